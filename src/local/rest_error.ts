import { isObject } from '../core/json_object.ts'
import type { DatabaseError } from './database.ts'

/** A refusal in PostgREST's terms: the body `{code, details, hint, message}` and its HTTP status. */
export class RestError extends Error {
  override readonly name = 'RestError'
  readonly status: number
  /** `PGRST` and three digits, or a SQLSTATE. */
  readonly code: string
  readonly details: string | null
  readonly hint: string | null
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: string,
    message: string,
    more: { details?: string | null; hint?: string | null; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message)
    this.status = status
    this.code = code
    this.details = more.details ?? null
    this.hint = more.hint ?? null
    this.headers = more.headers ?? {}
  }
}

/** https://docs.postgrest.org/en/v14/references/errors.html, "HTTP Status Codes". A longer prefix wins. */
const statusOfSqlState: { readonly [prefix: string]: number } = {
  '08': 503,
  '09': 500,
  '0L': 403,
  '0P': 403,
  21000: 500,
  23503: 409,
  23505: 409,
  25006: 405,
  25: 500,
  28: 403,
  '2D': 500,
  38: 500,
  39: 500,
  '3B': 500,
  40: 500,
  53400: 500,
  53: 503,
  54: 500,
  55: 500,
  '57P01': 503,
  57: 500,
  58: 500,
  F0: 500,
  HV: 500,
  P0001: 400,
  P0: 500,
  XX: 500,
  42883: 404,
  '42P01': 404,
  '42P17': 500,
}

/**
 * The HTTP status of a refusal by PostgreSQL. `role`: who asked, for 42501 (insufficient privilege) is 401 to anon, who
 * may yet sign in, and 403 to anybody else. `PT` and a number is that status.
 */
export function statusOf(code: string, role: string): number {
  if (code === '42501') return role === 'anon' ? 401 : 403
  if (code.startsWith('PT')) return asStatus(Number(code.slice(2)))
  return statusOfSqlState[code] ?? statusOfSqlState[code.slice(0, 2)] ?? 400
}

/** A refusal by PostgreSQL as PostgREST forwards it. */
export function restErrorOf(error: DatabaseError, role: string): RestError {
  if (error.code === 'PGRST') return raisedErrorOf(error)
  const status = statusOf(error.code, role)
  const headers: Record<string, string> = status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}
  return new RestError(status, error.code, error.message, { details: error.detail, hint: error.hint, headers })
}

/** `raise sqlstate 'PGRST'`: the message and the detail are JSON, and say the whole answer. */
function raisedErrorOf({ message, detail }: DatabaseError): RestError {
  const body = objectOf(message)
  const head = objectOf(detail ?? '')
  if (body === null || head === null || typeof body.code !== 'string' || typeof body.message !== 'string') {
    return new RestError(500, 'PGRST121', 'Could not parse JSON in the "RAISE SQLSTATE \'PGRST\'" error', {
      details: `Invalid JSON value for ${body === null ? 'MESSAGE' : 'DETAIL'}`,
    })
  }
  const headers = Object.entries(objectOf(JSON.stringify(head.headers ?? {})) ?? {})
  return new RestError(asStatus(Number(head.status)), body.code, body.message, {
    details: textOf(body.details),
    hint: textOf(body.hint),
    headers: Object.fromEntries(headers.map(([name, value]) => [name, String(value)])),
  })
}

function asStatus(status: number): number {
  return Number.isInteger(status) && status >= 200 && status <= 599 ? status : 500
}

function objectOf(text: string): { readonly [key: string]: unknown } | null {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
