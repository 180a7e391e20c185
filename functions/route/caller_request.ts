import type { Context, MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import type { Caller, CallerError } from '../store/caller_port.ts'
import { problem } from './problem.ts'

/** What the official browser client sends. */
const clientHeaders = [
  'authorization',
  'x-client-info',
  'apikey',
  'content-type',
  'x-retry-count',
  'traceparent',
  'tracestate',
  'baggage',
]

/** Any origin: what opens an answer is a token in a header, which no browser adds by itself. */
export function anyOrigin(allowMethods: string[], moreHeaders: readonly string[] = []): MiddlewareHandler {
  return cors({ origin: '*', allowMethods, allowHeaders: [...clientHeaders, ...moreHeaders], maxAge: 3_600 })
}

/** What is told to one caller is kept by nobody. */
export const noStore: MiddlewareHandler = async (c, next) => {
  await next()
  c.header('Cache-Control', 'no-store')
}

/** The key and the token of a request, null where one is missing. */
export function callerOf(c: Context): Caller | null {
  const apikey = c.req.header('apikey') ?? ''
  const authorization = c.req.header('authorization') ?? ''
  return apikey === '' || !/^bearer +\S/i.test(authorization) ? null : { apikey, authorization }
}

/** `what` is done completes "Cannot ...". */
export function unauthenticated(c: Context, what: string, now: string) {
  return problem(c, 401, `Cannot ${what}: ${now}`, { 'WWW-Authenticate': 'Bearer' }, 'Not signed in')
}

/** The answer to a caller whom Postgres did not answer. */
export function callerProblem(c: Context, what: string, { reason, message }: CallerError) {
  if (reason === 'unauthenticated') return unauthenticated(c, what, 'its key or token opens nothing')
  if (reason === 'forbidden') return problem(c, 403, `Cannot ${what}: the caller is not a member`, {}, 'Not a member')
  if (reason === 'refused') return problem(c, 400, message)
  return problem(c, 503, `Cannot ${what}: the store is unavailable`)
}
