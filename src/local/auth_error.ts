import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { retryAfterSeconds } from '../core/limit.ts'
import { DatabaseError } from './database.ts'

/** Codes of Supabase Auth that are answered here. @see https://supabase.com/docs/guides/auth/debugging/error-codes */
export type AuthErrorCode =
  | 'bad_json'
  | 'bad_jwt'
  | 'email_exists'
  | 'email_not_confirmed'
  | 'invalid_credentials'
  | 'no_authorization'
  | 'not_admin'
  | 'otp_disabled'
  | 'otp_expired'
  | 'over_request_rate_limit'
  | 'refresh_token_already_used'
  | 'refresh_token_not_found'
  | 'same_password'
  | 'session_not_found'
  | 'signup_disabled'
  | 'unexpected_failure'
  | 'user_banned'
  | 'user_not_found'
  | 'validation_failed'
  | 'weak_password'

/** A refusal in the terms of Supabase Auth: its HTTP status, its code, and words for people. */
export class AuthError extends Error {
  override readonly name = 'AuthError'
  readonly status: number
  readonly code: AuthErrorCode
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, code: AuthErrorCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.code = code
    this.headers = headers
  }
}

const versionHeader = 'X-Supabase-Api-Version'
const versionOfCodes = '2024-01-01'

/**
 * The answer to a refusal: `{code, message}` to a client that names API version 2024-01-01 or a later one (auth-js does),
 * else `{code: <status>, error_code, msg}`.
 */
export function answerOf(context: Context, { status, code, message, headers }: AuthError): Response {
  const version = context.req.header(versionHeader) ?? ''
  const reasons = code === 'weak_password' ? { weak_password: { reasons: ['length'] } } : {}
  const named = /^\d{4}-\d\d-\d\d$/.test(version) && version >= versionOfCodes
  const body = named ? { code, message, ...reasons } : { code: status, error_code: code, msg: message, ...reasons }
  return context.json(body, status as ContentfulStatusCode, {
    'Cache-Control': 'no-store',
    ...(named ? { [versionHeader]: versionOfCodes } : {}),
    ...headers,
  })
}

/** Classes of SQLSTATE that mean: not now. */
const passing = new Set(['08', '40', '53', '57'])

/**
 * Whatever was thrown, as a refusal. A database that is away or busy is 503, which auth-js tries again; a value that
 * PostgreSQL cannot keep (NUL in a text) is the caller's. What is left is ours: it is told on standard error without its
 * values, since those may be passwords.
 */
export function authErrorOf(error: unknown): AuthError {
  if (error instanceof AuthError) return error
  if (error instanceof DatabaseError && passing.has(error.code.slice(0, 2))) {
    const message = 'Cannot answer: the database is away or busy'
    return new AuthError(503, 'unexpected_failure', message, { 'Retry-After': String(retryAfterSeconds) })
  }
  if (error instanceof DatabaseError && error.code.startsWith('22')) {
    return new AuthError(400, 'validation_failed', 'Cannot keep a value: it has a character that PostgreSQL has not')
  }
  const what = error instanceof DatabaseError ? `SQLSTATE ${error.code}: ${error.message}` : stackOf(error)
  process.stderr.write(`telltale: Cannot answer for Auth: ${what}\n`)
  return new AuthError(500, 'unexpected_failure', 'Unexpected failure, told on the standard error of telltale')
}

/** Where it was thrown, without its message. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return [error.name, ...frames].join('\n')
}
