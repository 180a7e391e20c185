import { expect, test } from 'vitest'
import { beginScram, scramSecretOf } from '../src/local/scram_server.ts'

// The exchange of RFC 7677, section 3.
const secret = scramSecretOf('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'))
const serverNonce = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
const initialOf = (text: string, mechanism = 'SCRAM-SHA-256') =>
  Buffer.concat([Buffer.from(`${mechanism}\0`), Buffer.from([0, 0, 0, text.length]), Buffer.from(text)])
const clientFirst = 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO'
const nonce = `rOprNGfwEbeRWgbNEkqO${serverNonce}`
const clientFinal = `c=biws,r=${nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`

test('beginScram() holds the exchange that RFC 7677 prints', () => {
  const exchange = beginScram(secret, initialOf(clientFirst), serverNonce)
  expect(exchange?.challenge).toBe(`r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`)
  expect(exchange?.verify(clientFinal)).toBe('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')
})

const wrongFinals = {
  'the proof of another password': clientFinal.replace('dHzb', 'dHzc'),
  'a proof that is too short': `c=biws,r=${nonce},p=dHzb`,
  'another nonce': clientFinal.replace('r=rO', 'r=rP'),
  'another binding': clientFinal.replace('biws', 'eSws'),
  'no proof': `c=biws,r=${nonce}`,
  nothing: '',
}
for (const [what, final] of Object.entries(wrongFinals)) {
  test(`beginScram() does not believe ${what}`, () => {
    expect(beginScram(secret, initialOf(clientFirst), serverNonce)?.verify(final)).toBeNull()
  })
}

test('beginScram() refuses another mechanism, channel binding, and what is no message', () => {
  expect(beginScram(secret, initialOf(clientFirst, 'SCRAM-SHA-1'))).toBeNull()
  expect(beginScram(secret, initialOf('p=tls-unique,,n=user,r=abc'))).toBeNull()
  expect(beginScram(secret, Buffer.from('SCRAM-SHA-256'))).toBeNull()
  expect(beginScram(secret, Buffer.alloc(0))).toBeNull()
})
