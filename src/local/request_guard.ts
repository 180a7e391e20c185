import type { MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'

export type GuardOptions = {
  /** What the gateway listens on. */
  readonly host: string
  /** TELLTALE_ALLOWED_HOSTS: further names under which it may be called, without ports. */
  readonly allowedHosts: readonly string[]
}

/** Whether a request may name the host, or come from a page of it. */
export type HostCheck = (hostname: string, of?: 'request' | 'page') => boolean

/**
 * Whether a request may name this host: loopback, what is listened on, and what the operator allows. Listening on every
 * address allows any address, but no name: a name is what a page elsewhere can point here (DNS rebinding). It allows no
 * page of any address: that is whoever has a server.
 */
export function createHostCheck({ host, allowedHosts }: GuardOptions): HostCheck {
  const allowed = new Set([host, ...allowedHosts].map((name) => name.toLowerCase().replace(/^\[|\]$/g, '')))
  const everywhere = allowed.has('0.0.0.0') || allowed.has('::')
  return (hostname, of = 'request') => {
    const name = hostname.toLowerCase().replace(/^\[|\]$/g, '')
    if (allowed.has(name) || isLoopback(name)) return true
    return everywhere && of === 'request' && (/^\d+(\.\d+){3}$/.test(name) || name.includes(':'))
  }
}

function isLoopback(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name)
}

/** Refuses requests under a foreign Host (421) or from a foreign page (403), before anything else sees them. */
export function refuseForeign(isAllowed: HostCheck): MiddlewareHandler {
  return async (context, next) =>
    refusalOf(isAllowed, context.req.header('host'), context.req.header('origin')) ?? (await next())
}

/** Why a request under this Host and from a page of this origin is refused, null when it is not. */
export function refusalOf(isAllowed: HostCheck, host = '', origin?: string): Response | null {
  const hostname = hostnameOf(`http://${host}`)
  if (hostname === null || !isAllowed(hostname)) {
    return refusal(
      421,
      `Cannot answer for host ${shown(host)}`,
      `allow it with TELLTALE_ALLOWED_HOSTS=${shown(hostname ?? 'name')}`,
    )
  }
  const page = origin === undefined ? undefined : hostnameOf(origin)
  if (page === undefined || page === hostname || (page !== null && isAllowed(page, 'page'))) return null
  return refusal(403, `Cannot answer a page of ${shown(origin ?? '')}`, 'allow its host with TELLTALE_ALLOWED_HOSTS')
}

/** CORS as Supabase answers it, but for the pages that `refuseForeign` lets through only. */
export function crossOrigin(): MiddlewareHandler {
  return cors({
    origin: (origin) => origin,
    allowMethods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    exposeHeaders: [
      'Content-Encoding',
      'Content-Location',
      'Content-Range',
      'Content-Type',
      'Date',
      'Link',
      'Location',
      'Retry-After',
      'X-Supabase-Api-Version',
      'X-Total-Count',
    ],
    maxAge: 3_600,
  })
}

function hostnameOf(address: string): string | null {
  try {
    const { hostname } = new URL(address)
    return hostname === '' ? null : hostname
  } catch {
    return null
  }
}

function shown(text: string): string {
  return text.replace(/[^\w.:[\]/-]/g, '?').slice(0, 200)
}

function refusal(status: number, what: string, remedy: string): Response {
  const title = status === 421 ? 'Misdirected Request' : 'Forbidden'
  return new Response(
    JSON.stringify({ type: 'about:blank', title, status, detail: `${what}: it is not known here; ${remedy}` }),
    {
      status,
      headers: { 'Content-Type': 'application/problem+json' },
    },
  )
}
