import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fingerprintOf } from '../src/core/fingerprint.ts'
import { withoutSecrets } from '../src/core/secret_form.ts'
import { hintsAtSecret } from '../src/core/secret_hint.ts'
import { isSecretName } from '../src/core/secret_name.ts'
import { looksRandom } from '../src/core/secret_random.ts'
import { cpuMsOf } from './cost_fixture.ts'

type TextVector = { readonly text: string; readonly clean: string }
type NameVector = { readonly name: string; readonly secret: boolean }

const texts = readVectors<TextVector>('secret.json')
const names = readVectors<NameVector>('secret_name.json')

function readVectors<T>(file: string): readonly T[] {
  return JSON.parse(readFileSync(new URL(`./vector/${file}`, import.meta.url), 'utf8')) as T[]
}

test.each(texts)('withoutSecrets() makes of $text what every recorder makes of it', ({ text, clean }) => {
  expect(withoutSecrets(text)).toBe(clean)
  // The edge takes out once more what a reporter has taken out.
  expect(withoutSecrets(clean)).toBe(clean)
})

test.each(names)('isSecretName($name) is $secret', ({ name, secret }) => {
  expect(isSecretName(name)).toBe(secret)
})

test('hintsAtSecret() misses no secret of the vectors, in whatever JSON it is', () => {
  for (const { text, clean } of texts) {
    if (text === clean) continue
    expect(hintsAtSecret(JSON.stringify({ message: text })), text).toBe(true)
    expect(hintsAtSecret(JSON.stringify({ body: JSON.stringify({ a: `\n${text}` }) })), text).toBe(true)
  }
})

test('withoutSecrets() finds a secret wherever it stands in a text', () => {
  const secrets = texts.filter(({ clean }) => clean === '[redacted] ok' || /^use '\[redacted\]' here$/.test(clean))
  const around = fc.string({ unit: fc.constantFrom(...'\n\t "\'.,:;()[]{}<>|') })
  fc.assert(
    fc.property(fc.constantFrom(...secrets), around, around, ({ text }, before, after) => {
      const secret = text.replace(/^use '|' here$| ok$/g, '')
      expect(withoutSecrets(`${before}${secret}${after}`)).not.toContain(secret)
    }),
    { numRuns: 300 },
  )
})

const base = {
  62: 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789',
  64: 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_',
}

test('looksRandom() sees random text of 40 characters and more, alone and behind a name', () => {
  for (const digits of Object.values(base)) {
    const random = fc.string({ unit: fc.constantFrom(...digits), minLength: 43, maxLength: 90 })
    fc.assert(
      fc.property(random, (text) => looksRandom(text) && looksRandom(`session_of_the_user_${text}`)),
      { numRuns: 1_000 },
    )
  }
})

test('looksRandom() takes no name that people write for random', () => {
  const word = fc.constantFrom(
    ...'get user profile by session from cache async storage context with active span and handle request error'.split(
      ' ',
    ),
    ...'server client index module process internal websocket provider response message transport v2 http2 es6'.split(
      ' ',
    ),
  )
  const join = fc.constantFrom('_', '-', '/', '')
  fc.assert(
    fc.property(fc.array(word, { minLength: 4, maxLength: 10 }), join, (words, by) => {
      const name = by === '' ? words.map((w) => w[0]?.toUpperCase() + w.slice(1)).join('') : words.join(by)
      expect(looksRandom(name), name).toBe(false)
    }),
    { numRuns: 2_000 },
  )
})

test('withoutSecrets() leaves the name of no one in a path, and the group of an error as it was', () => {
  const stackAt = (home: string) =>
    `Error: no\n    at read (${home}/exai/src/store.ts:3:1)\n    at run (${home}/exai/src/run.ts:1:1)`
  const failureAt = (home: string) => ({ error_type: 'Error', message: 'no', traceback: withoutSecrets(stackAt(home)) })
  expect(failureAt('/home/ada').traceback).not.toContain('ada')
  const groups = ['/home/ada', '/home/you', '/Users/ada', 'C:\\Users\\ada'].map((home) =>
    fingerprintOf(failureAt(home)),
  )
  expect(new Set(groups).size).toBe(1)
  expect(groups[0]).toBe(fingerprintOf({ error_type: 'Error', message: 'no', traceback: stackAt('/home/ada') }))
})

const hostile: readonly (readonly [string, string])[] = [
  ['names without values', 'password'],
  ['names with values', 'password=a1 '],
  ['names in open quotes', 'password="'],
  ['names in escaped quotes', 'token=\\"a'],
  ['names in other quotes', `token='a password=\`b secret="c `],
  ['fields', ';pwd=a b'],
  ['cookies', 'cookie: a'],
  ['schemes', 'authorization: bearer '],
  ['digests', 'authorization: digest a'],
  ['heads of keys', '-----BEGIN PRIVATE KEY-----'],
  ['ends of keys', '-----END PRIVATE KEY-----'],
  ['base64', 'aB3/xZ9+'],
  ['random text', 'aB3xZ9qK7w'],
  ['slashes', 'aB3/'],
  ['upper-case slashes', 'A/'],
  ['homes', '/home/'],
  ['windows homes', 'C:\\Users\\'],
  ['blanks in a home', 'C:\\Users\\a b c d e f'],
  ['addresses', '://a:b'],
  ['addresses and at signs', '://a:b@'],
  ['at signs', '@'],
  ['parameters', '?sig=a&code='],
  ['starts of JWTs', 'eyJaaaaaaaaaaaaaa.'],
  ['hex and dots', '0123456789abcdef0123456789abcdef.'],
  ['starts of tokens', 'sk-xai-r8_ghp_SG.'],
  ['digits and colons', '1234567890:AA'],
  ['dots', 'a.'],
  ['backslashes', '\\'],
  ['bearers', 'bearer a.'],
  ['quotes', '"'],
]

test.each(hostile)('withoutSecrets() takes sixteen times as long for sixteen times as many %s', (_, part) => {
  const textOf = (length: number) =>
    `sk-${'a1B2c3D4'.repeat(3)} ${part.repeat(Math.ceil(length / part.length))}`.slice(0, length)
  const [small, large] = [textOf(64 * 1024), textOf(1024 * 1024)]
  const costOf = (text: string) => cpuMsOf(() => withoutSecrets(text), 3)
  costOf(small)
  // Of what costs nothing no ratio can be told; what is quadratic would be 256.
  expect(costOf(large) / Math.max(costOf(small), 2)).toBeLessThan(64)
})
