import { decodeJwt } from 'jose'
import { err, ok, type Result } from '../core/result.ts'
import { type Caller, createCallerReader } from './claims.ts'
import type { ProjectKeys } from './project_key.ts'
import { RestError } from './rest_error.ts'

/** Who is on a channel, and until when. */
export type Identity = {
  readonly caller: Caller
  /** Null for a key of the project, which does not expire. */
  readonly expiresAtMs: number | null
}

/** Why not, in Supabase Realtime's words. */
export type Refusal = { readonly code: string; readonly message: string }

/** `token` null, or a key of the project in its place: whoever the connection's key says. */
export type IdentityReader = (apikey: string, token: string | null) => Promise<Result<Identity, Refusal>>

/** Reads who joins a channel: the same keys and tokens as everywhere, without a grace after a token's end. */
export function createIdentityReader(keys: ProjectKeys, clock: () => number): IdentityReader {
  const readCaller = createCallerReader(keys)
  return async (apikey, token) => {
    if (token === null || isProjectKey(token)) {
      return ok({ caller: await readCaller(headersOf(apikey, null)), expiresAtMs: null })
    }
    const expiresAt = expiryOf(token)
    if (expiresAt === undefined) return refusal('MalformedJWT', 'The token provided is not a valid JWT')
    try {
      const caller = await readCaller(headersOf(apikey, token))
      if (expiresAt === null) return refusal('InvalidJWTToken', 'Fields `role` and `exp` are required in JWT')
      const expiresAtMs = expiresAt * 1_000
      return expiresAtMs > clock() ? ok({ caller, expiresAtMs }) : err(expired(expiresAtMs, clock()))
    } catch (error) {
      if (!(error instanceof RestError)) throw error
      if (expiresAt !== null && error.message === 'JWT expired') return err(expired(expiresAt * 1_000, clock()))
      if (error.status === 403) return refusal('Unauthorized', error.message)
      return refusal('JwtSignatureError', 'Failed to validate JWT signature')
    }
  }
}

export function isProjectKey(token: string): boolean {
  return token.startsWith('sb_')
}

export function expired(expiresAtMs: number, nowMs: number): Refusal {
  const seconds = Math.max(0, Math.floor((nowMs - expiresAtMs) / 1_000))
  return { code: 'InvalidJWTToken', message: `Token has expired ${seconds} seconds ago` }
}

/** Seconds since the epoch, null without one, undefined for what is no token. */
function expiryOf(token: string): number | null | undefined {
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return undefined
  try {
    const { exp } = decodeJwt(token)
    return typeof exp === 'number' ? exp : null
  } catch {
    return undefined
  }
}

function headersOf(apikey: string, token: string | null): Headers {
  return new Headers({ apikey, ...(token === null ? {} : { authorization: `Bearer ${token}` }) })
}

function refusal(code: string, message: string): Result<never, Refusal> {
  return err({ code, message })
}
