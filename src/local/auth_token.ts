import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { createLocalJWKSet, errors, importJWK, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { accessTokenSeconds } from '../core/limit.ts'
import { AuthError } from './auth_error.ts'
import type { AuthSession } from './auth_session.ts'
import { type ProjectKeys, publicJwksOf } from './project_key.ts'

/** Which refresh token of a session: they are counted from 0, and only the last is good. */
export type RefreshToken = { readonly sessionId: string; readonly counter: number }

export type Tokens = {
  /** A user's token (ES256) with the claims that Supabase gives it. Good for `accessTokenSeconds` from `now`, in ms. */
  signAccess(session: AuthSession, now: number): Promise<string>
  /** @throws AuthError bad_jwt, for a token that is not ours, was changed, or has run out by `now`, in ms */
  readClaims(token: string, now: number): Promise<JWTPayload>
  /** The same text every time, so that nothing has to be kept to say it again. */
  refreshTextOf(token: RefreshToken): string
  /** Null for what this project has not signed. */
  parseRefresh(text: string): RefreshToken | null
}

const uuidBytes = 16
const counterBytes = 6
const signatureBytes = 24
const version = 1

/**
 * The tokens of a project. A refresh token names its session and its number and is signed (HMAC) with a key made from the
 * project's signing key, as those of Supabase's second form are with a key of the session: the database holds no secret
 * that opens a session.
 */
export function createTokens(keys: ProjectKeys, issuer: string): Tokens {
  const { signingKey } = keys
  const jwks = createLocalJWKSet(publicJwksOf(keys))
  const refreshKey = Buffer.from(hkdfSync('sha256', String(signingKey.d), '', 'telltale refresh token', 32))
  const header = { alg: 'ES256', typ: 'JWT', ...(signingKey.kid === undefined ? {} : { kid: signingKey.kid }) }
  const signatureOf = (body: Buffer) =>
    createHmac('sha256', refreshKey).update(body).digest().subarray(0, signatureBytes)
  return {
    async signAccess(session, now) {
      const issuedAt = Math.floor(now / 1_000)
      return new SignJWT(claimsOf(session))
        .setProtectedHeader(header)
        .setIssuer(issuer)
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + accessTokenSeconds)
        .sign(await importJWK(signingKey, 'ES256'))
    },
    async readClaims(token, now) {
      try {
        const options = { algorithms: ['ES256'], requiredClaims: ['exp'], currentDate: new Date(now) }
        return (await jwtVerify(token, jwks, options)).payload
      } catch (error) {
        const why =
          error instanceof errors.JWTExpired ? 'token has invalid claims: token is expired' : 'it is not valid'
        throw new AuthError(403, 'bad_jwt', `invalid JWT: unable to parse or verify signature, ${why}`)
      }
    },
    refreshTextOf({ sessionId, counter }) {
      const body = Buffer.alloc(1 + uuidBytes + counterBytes)
      body.writeUInt8(version)
      body.write(sessionId.replaceAll('-', ''), 1, 'hex')
      body.writeUIntBE(counter, 1 + uuidBytes, counterBytes)
      return Buffer.concat([body, signatureOf(body)]).toString('base64url')
    },
    parseRefresh(text) {
      const bytes = Buffer.from(text, 'base64url')
      const body = bytes.subarray(0, 1 + uuidBytes + counterBytes)
      const signature = bytes.subarray(body.length)
      // A text of another spelling is another token: nothing is ignored.
      if (bytes.toString('base64url') !== text || signature.length !== signatureBytes) return null
      if (body.readUInt8() !== version || !timingSafeEqual(signature, signatureOf(body))) return null
      const digits = body.toString('hex', 1, 1 + uuidBytes)
      const sessionId = digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
      return { sessionId, counter: body.readUIntBE(1 + uuidBytes, counterBytes) }
    },
  }
}

/** The code of a link that signs in once, and what is kept of it. */
export function createSignInCode(): { readonly code: string; readonly hash: string } {
  const code = randomBytes(28).toString('hex')
  return { code, hash: hashOfCode(code) }
}

/** sha256, 64 hex digits. A code is random and long: it needs no slower hash. */
export function hashOfCode(code: string): string {
  return createHash('sha256').update(code).digest('hex')
}

/** @see https://supabase.com/docs/guides/auth/jwt-fields */
function claimsOf({ id, aal, amr, user }: AuthSession): JWTPayload {
  return {
    sub: user.id,
    aud: 'authenticated',
    email: user.email,
    phone: '',
    app_metadata: user.appMetadata,
    user_metadata: user.userMetadata,
    role: 'authenticated',
    aal,
    amr,
    session_id: id,
    is_anonymous: false,
  }
}
