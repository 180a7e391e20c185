import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'

const iterations = 4096
const keyBytes = 32
const mechanism = 'SCRAM-SHA-256'

const hmac = (key: Uint8Array, text: string) => createHmac('sha256', key).update(text).digest()
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()

/** What the server keeps of a password. Source: RFC 5802, section 3. */
export type ScramSecret = { readonly salt: Buffer; readonly storedKey: Buffer; readonly serverKey: Buffer }

export function scramSecretOf(password: string, salt: Buffer = randomBytes(16)): ScramSecret {
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, iterations, keyBytes, 'sha256')
  return { salt, storedKey: sha256(hmac(salted, 'Client Key')), serverKey: hmac(salted, 'Server Key') }
}

/** One exchange: the first client message is answered by `challenge`, the second is judged by `verify`. */
export type ScramExchange = {
  readonly challenge: string
  /** What the server says last, or null when the client has not proved that it knows the password. */
  verify(clientFinal: string): string | null
}

/**
 * Begins an exchange with the body of a SASLInitialResponse.
 * Null when it is malformed or asks for another mechanism or for channel binding, which needs TLS.
 */
export function beginScram(secret: ScramSecret, initial: Buffer, nonce = randomBytes(18).toString('base64')) {
  const nameEnd = initial.indexOf(0)
  if (nameEnd < 0 || initial.toString('utf8', 0, nameEnd) !== mechanism) return null
  const clientFirst = initial.toString('utf8', nameEnd + 5)
  const parts = /^([ny],[^,]*,)(n=[^,]*,r=([\x21-\x2b\x2d-\x7e]+)(?:,.*)?)$/.exec(clientFirst)
  if (parts === null) return null
  const [, header = '', bare = '', clientNonce = ''] = parts
  const serverNonce = clientNonce + nonce
  const challenge = `r=${serverNonce},s=${secret.salt.toString('base64')},i=${iterations}`
  const exchange: ScramExchange = {
    challenge,
    verify(clientFinal) {
      const final = /^(c=([^,]*),r=([^,]*)(?:,.*)?),p=([^,]+)$/.exec(clientFinal)
      if (final === null) return null
      const [, withoutProof = '', binding = '', echoed = '', proofText = ''] = final
      const proof = Buffer.from(proofText, 'base64')
      if (binding !== Buffer.from(header).toString('base64') || echoed !== serverNonce) return null
      if (proof.length !== keyBytes) return null
      const signed = `${bare},${challenge},${withoutProof}`
      const signature = hmac(secret.storedKey, signed)
      const clientKey = proof.map((byte, i) => byte ^ (signature[i] as number))
      if (!timingSafeEqual(sha256(clientKey), secret.storedKey)) return null
      return `v=${hmac(secret.serverKey, signed).toString('base64')}`
    },
  }
  return exchange
}
