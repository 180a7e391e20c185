import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { retryAfterSeconds } from '../../src/core/limit.ts'

export type ProblemStatus = 400 | 401 | 403 | 404 | 405 | 408 | 413 | 415 | 422 | 429 | 500 | 503

const titles: { readonly [status in ProblemStatus]: string } = {
  400: 'Bad request',
  401: 'Unknown key',
  403: 'Revoked key',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Request ended early',
  413: 'Too large',
  415: 'Unsupported media type',
  422: 'Refused content',
  429: 'Too many requests',
  500: 'Internal error',
  503: 'Unavailable',
}

/** A problem document (RFC 9457). `detail` is ours: it never repeats what was sent. 429 and 503 say when to come back. */
export function problem(
  context: Context,
  status: ProblemStatus,
  detail: string,
  headers: Record<string, string> = {},
  title = titles[status],
) {
  const type = `urn:telltale:problem:${title.toLowerCase().replaceAll(' ', '-')}`
  const body = JSON.stringify({ type, title, status, detail, request_id: context.get('requestId') })
  const again: Record<string, string> =
    status === 429 || status === 503 ? { 'Retry-After': String(retryAfterSeconds) } : {}
  return context.body(body, status as ContentfulStatusCode, {
    ...again,
    ...headers,
    'Content-Type': 'application/problem+json',
  })
}
