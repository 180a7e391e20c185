import { isObject } from '../core/json_object.ts'
import {
  authDepthMax,
  emailBytesMax,
  metadataBytesMax,
  passwordBytesMax,
  passwordCharactersMin,
  usersPageMax,
} from '../core/limit.ts'
import { isShallow } from '../wire/json_depth.ts'
import { AuthError } from './auth_error.ts'
import type { LogoutScope } from './auth_session.ts'
import type { Metadata } from './auth_user.ts'

export type Body = { readonly [key: string]: unknown }

/** What a person or an operator may change about a user. */
export type UserRequest = {
  readonly email?: string | undefined
  readonly password?: string | undefined
  readonly userMetadata?: Metadata | undefined
  readonly appMetadata?: Metadata | undefined
  /** In ms, null to end a ban. */
  readonly banMs?: number | null | undefined
  readonly confirmed?: true | undefined
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

// Every parser throws AuthError, in the words of Supabase Auth where it has some.

/** One JSON object. What it holds is not told when it is refused: it may be a password. */
export function parseBody(text: string): Body {
  if (!isShallow(text, authDepthMax)) throw new AuthError(400, 'bad_json', `Body is nested over ${authDepthMax} deep`)
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    body = null
  }
  if (!isObject(body)) throw new AuthError(400, 'bad_json', 'Could not parse request body as JSON')
  return body
}

export function parsePasswordGrant(body: Body): { readonly email: string; readonly password: string } {
  const { email, password } = body
  if (typeof email !== 'string' || email === '') throw invalid('missing email or phone')
  if (typeof password !== 'string' || byteLength(password) > passwordBytesMax) throw wrongPassword()
  return { email: email.trim().toLowerCase(), password }
}

/** One answer for an address that is nobody's and for a password that is wrong. */
export function wrongPassword(): AuthError {
  return new AuthError(400, 'invalid_credentials', 'Invalid login credentials')
}

export function parseRefreshGrant({ refresh_token: token }: Body): string {
  if (typeof token !== 'string' || token === '') throw invalid('refresh_token is not provided')
  return token
}

/** The code of a link. Six digits typed by hand are not served: there is no mail to bring them. */
export function parseVerification({ token_hash: code, type, token }: Body): string {
  if (typeof type !== 'string') throw invalid('Verify requires a verification type')
  if (!['magiclink', 'email', 'recovery'].includes(type)) throw invalid('Invalid email verification type')
  if (typeof code === 'string' && code !== '') return code
  if (typeof token === 'string') throw new AuthError(403, 'otp_expired', 'Token has expired or is invalid')
  throw invalid('Verify requires either a token or a token hash')
}

export function parseScope(text: string | undefined): LogoutScope {
  const scope = text === undefined || text === '' ? 'global' : text
  if (scope === 'global' || scope === 'local' || scope === 'others') return scope
  throw invalid('Unsupported logout scope')
}

export function parseUserId(text: string | undefined): string {
  if (text === undefined || !uuid.test(text)) throw invalid('user_id must be an UUID')
  return text.toLowerCase()
}

export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && uuid.test(value)
}

/** What users change about themselves. An address cannot be confirmed here, so only the operator changes it. */
export function parseOwnChange(body: Body): UserRequest {
  if (body.app_metadata !== undefined) {
    throw new AuthError(403, 'not_admin', 'Updating app_metadata requires admin privileges')
  }
  if (body.email !== undefined || body.phone !== undefined) {
    throw invalid('Cannot change address: no mail is sent here; the operator changes it')
  }
  return { password: passwordOf(body.password), userMetadata: metadataOf(body.data, 'data') }
}

/** What the operator sets on a user. */
export function parseUserRequest(body: Body): UserRequest {
  if (body.role !== undefined && body.role !== 'authenticated')
    throw invalid('Cannot set role: only authenticated is served')
  if (body.phone !== undefined && body.phone !== '') throw invalid('Cannot set phone: only addresses are served')
  if (body.password_hash !== undefined) throw invalid('Cannot set password hash: only passwords are served')
  return {
    email: body.email === undefined ? undefined : parseEmail(body.email),
    password: passwordOf(body.password),
    userMetadata: metadataOf(body.user_metadata, 'user_metadata'),
    appMetadata: metadataOf(body.app_metadata, 'app_metadata'),
    banMs: banMsOf(body.ban_duration),
    confirmed: body.email_confirm === true ? true : undefined,
  }
}

/** In lower case. */
export function parseEmail(value: unknown): string {
  const email = typeof value === 'string' ? value.trim().toLowerCase() : ''
  // Whether mail arrives is no question here; what is refused could not stand in a line or a link.
  const well = /^[^\s@<>()[\]\\,;:"\p{Cc}]+@[^\s@<>()[\]\\,;:"\p{Cc}]+$/u.test(email)
  if (well && byteLength(email) <= emailBytesMax) return email
  throw new AuthError(400, 'validation_failed', 'Unable to validate email address: invalid format')
}

/** Metadata with changes: a null takes a key away. */
export function mergedMetadata(old: Metadata, change: Metadata | undefined): Metadata | undefined {
  if (change === undefined) return undefined
  const merged = Object.entries({ ...old, ...change }).filter(([, value]) => value !== null)
  // Not by assignment: a key `__proto__` is a key like any other.
  const metadata = Object.fromEntries(merged)
  if (byteLength(JSON.stringify(metadata)) <= metadataBytesMax) return metadata
  throw invalid(`Cannot keep metadata: it is over ${metadataBytesMax} bytes`)
}

export function parsePage(query: { readonly page?: string; readonly per_page?: string }) {
  const page = query.page ? Number(query.page) : 1
  const perPage = query.per_page ? Number(query.per_page) : 50
  if (!Number.isInteger(page) || page < 1 || page > 1e6) throw invalid('Bad Pagination Parameters: page')
  if (!Number.isInteger(perPage) || perPage < 1) throw invalid('Bad Pagination Parameters: per_page')
  return { page, perPage: Math.min(perPage, usersPageMax) }
}

function passwordOf(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string') throw invalid('Cannot set password: it is not a text')
  if (byteLength(value) > passwordBytesMax) {
    throw invalid(`Password cannot be longer than ${passwordBytesMax} characters`)
  }
  if ([...value].length >= passwordCharactersMin) return value
  throw new AuthError(422, 'weak_password', `Password should be at least ${passwordCharactersMin} characters.`)
}

function metadataOf(value: unknown, name: string): Metadata | undefined {
  if (value === undefined || value === null) return undefined
  if (!isObject(value)) throw invalid(`Cannot set ${name}: it is not an object`)
  return value
}

/** A duration as Go writes it (24h, 1h30m, 300ms), or `none`. */
function banMsOf(value: unknown): number | null | undefined {
  if (value === undefined || value === '') return undefined
  if (value === 'none') return null
  const unitMs: { readonly [unit: string]: number } = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
  const text = typeof value === 'string' ? value : ''
  const ms = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
    .map(([, n, unit]) => Number(n) * (unitMs[unit ?? ''] ?? 0))
    .reduce((sum, part) => sum + part, 0)
  const yearsMs = 100 * 365 * 24 * 3_600_000
  if (/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return Math.min(ms, yearsMs)
  throw invalid('invalid format for ban duration')
}

function invalid(message: string): AuthError {
  return new AuthError(400, 'validation_failed', message)
}

function byteLength(text: string): number {
  return Buffer.byteLength(text)
}
