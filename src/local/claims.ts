import { createHash, timingSafeEqual } from 'node:crypto'
import { createLocalJWKSet, errors, type JWTPayload, jwtVerify } from 'jose'
import { jwtSkewSecondsMax } from '../core/limit.ts'
import type { ProjectKeys } from './project_key.ts'
import { publicJwksOf } from './project_key.ts'
import { RestError } from './rest_error.ts'

const roles = ['anon', 'authenticated', 'service_role'] as const
export type Role = (typeof roles)[number]

/** Who asks: the role that the transaction takes, and `request.jwt.claims`. */
export type Caller = { readonly role: Role; readonly claims: JWTPayload & { readonly role: Role } }

export type CallerReader = (headers: Headers) => Promise<Caller>

const invalidKey = 'Double check the API key: `telltale start` writes it to local.env in its data directory.'

/**
 * Reads who asks as Supabase's gateway and PostgREST do: `apikey` is the project's publishable key (anon) or secret key
 * (service_role); `Authorization: Bearer` a user's JWT, signed ES256 by the project, whose `role` then counts.
 * The reader throws RestError: 401 without a right key, PGRST301 for a token that is not ours, PGRST303 for its times.
 * @see https://supabase.com/docs/guides/api/api-keys
 */
export function createCallerReader(keys: ProjectKeys): CallerReader {
  const jwks = createLocalJWKSet(publicJwksOf(keys))
  return async (headers) => {
    const apikey = headers.get('apikey')
    if (apikey === null) {
      throw new RestError(401, 'PGRST302', 'No API key found in request', {
        hint: 'No `apikey` request header was found.',
      })
    }
    const role = roleOfKey(keys, apikey)
    const token = bearerOf(headers)
    if (token === null || token === apikey) return { role, claims: { role } }
    const claims = await verifiedClaims(token, jwks)
    return callerOf(claims)
  }
}

/** Whether a text is the project's secret key, in a time that does not depend on where it differs. */
function isSameSecret(text: string, secret: string): boolean {
  return timingSafeEqual(createHash('sha256').update(text).digest(), createHash('sha256').update(secret).digest())
}

function roleOfKey(keys: ProjectKeys, apikey: string): Role {
  if (isSameSecret(apikey, keys.secretKey)) return 'service_role'
  if (isSameSecret(apikey, keys.publishableKey)) return 'anon'
  throw new RestError(401, 'PGRST301', 'Invalid API key', { hint: invalidKey })
}

function bearerOf(headers: Headers): string | null {
  return /^bearer +(\S+)\s*$/i.exec(headers.get('authorization') ?? '')?.[1] ?? null
}

async function verifiedClaims(token: string, jwks: ReturnType<typeof createLocalJWKSet>): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, jwks, { algorithms: ['ES256'], clockTolerance: jwtSkewSecondsMax })
    return payload
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw refusedToken('PGRST303', 'JWT expired')
    if (error instanceof errors.JWTClaimValidationFailed) {
      throw refusedToken('PGRST303', error.claim === 'nbf' ? 'JWT not yet valid' : error.message)
    }
    if (error instanceof errors.JWKSNoMatchingKey) throw refusedToken('PGRST301', 'No suitable key or wrong key type')
    if (error instanceof errors.JOSEAlgNotAllowed) {
      throw refusedToken('PGRST301', 'Wrong or unsupported encoding algorithm')
    }
    throw refusedToken('PGRST301', 'JWT cryptographic operation failed')
  }
}

/** A token without a role is anon's; one with a role that callers may not take opens nothing. */
function callerOf(claims: JWTPayload): Caller {
  const named = claims.role ?? 'anon'
  const role = roles.find((known) => known === named)
  if (role === undefined) throw new RestError(403, '42501', `permission denied to set role "${String(named)}"`)
  return { role, claims: { ...claims, role } }
}

function refusedToken(code: string, message: string): RestError {
  const challenge = `Bearer error="invalid_token", error_description=${JSON.stringify(message)}`
  return new RestError(401, code, message, { headers: { 'WWW-Authenticate': challenge } })
}
