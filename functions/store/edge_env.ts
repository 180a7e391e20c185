import { embeddedFlushMs, hostedFlushMs, hostedPushMs, pushMsMin } from '../../src/core/limit.ts'
import { assert } from '../../src/core/result.ts'

/** What an edge function needs to know of its project. */
export type EdgeEnv = {
  /** The project's address, without a path. */
  readonly url: string
  /** Opens everything; never logged. */
  readonly secretKey: string
  /** How long a reporter that nobody watches waits between batches, in ms. */
  readonly flushMs: number
  /** Where the hot tier is; null: there is none, and nothing is pushed. The token is never logged. */
  readonly redis: { readonly url: string; readonly token: string } | null
  /** The least time between two pushes, in ms. */
  readonly pushMs: number
  /** The key that is no secret; '' where none is set. */
  readonly publishableKey: string
  /** Where the dashboard is, for the links in messages; null where nobody says. */
  readonly pageUrl: string | null
  /** Whether alerts may be sent to addresses of a private network. */
  readonly allowsPrivateDestinations: boolean
}

/**
 * Reads the environment that Supabase gives its functions, and the embedded stack its own. Names, first one wins:
 * SUPABASE_SECRET_KEYS (JSON, the key named `default` or else the first), SUPABASE_SECRET_KEY, SUPABASE_SERVICE_ROLE_KEY.
 * SUPABASE_PUBLISHABLE_KEYS (JSON), SUPABASE_PUBLISHABLE_KEY and SUPABASE_ANON_KEY likewise.
 * UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN name the hot tier, TELLTALE_FLUSH_MS and TELLTALE_PUSH_MS the pace,
 * TELLTALE_URL the dashboard, and TELLTALE_ALLOW_PRIVATE_DESTINATIONS=1 lets alerts go to private addresses.
 * Throws when the address or the key is missing, for nothing can be served without them, or of Redis only one is there.
 */
export function readEdgeEnv(read: (name: string) => string | undefined): EdgeEnv {
  const url = read('SUPABASE_URL') ?? ''
  assert(/^https?:\/\//.test(url), 'SUPABASE_URL is an address')
  const secretKey =
    firstKeyIn(read('SUPABASE_SECRET_KEYS')) || read('SUPABASE_SECRET_KEY') || read('SUPABASE_SERVICE_ROLE_KEY') || ''
  assert(secretKey !== '', 'SUPABASE_SECRET_KEYS, SUPABASE_SECRET_KEY or SUPABASE_SERVICE_ROLE_KEY is set')
  return {
    url: url.replace(/\/+$/, ''),
    secretKey,
    flushMs: paceOf(read('TELLTALE_FLUSH_MS'), embeddedFlushMs, hostedFlushMs),
    redis: redisOf(read('UPSTASH_REDIS_REST_URL') ?? '', read('UPSTASH_REDIS_REST_TOKEN') ?? ''),
    pushMs: paceOf(read('TELLTALE_PUSH_MS'), pushMsMin, hostedPushMs),
    publishableKey:
      firstKeyIn(read('SUPABASE_PUBLISHABLE_KEYS')) ||
      read('SUPABASE_PUBLISHABLE_KEY') ||
      read('SUPABASE_ANON_KEY') ||
      '',
    pageUrl: pageUrlOf(read('TELLTALE_URL') ?? ''),
    allowsPrivateDestinations: read('TELLTALE_ALLOW_PRIVATE_DESTINATIONS') === '1',
  }
}

function pageUrlOf(url: string): string | null {
  return /^https?:\/\/[^\s#?]+$/.test(url) ? url.replace(/\/+$/, '') : null
}

function redisOf(url: string, token: string): EdgeEnv['redis'] {
  if (url === '' && token === '') return null
  assert(
    /^https?:\/\/[^\s#?]+$/.test(url) && token !== '',
    'UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN are set',
  )
  return { url: url.replace(/\/+$/, ''), token }
}

function firstKeyIn(json: string | undefined): string | null {
  if (json === undefined || json === '') return null
  try {
    const keys = JSON.parse(json) as Record<string, unknown> | null
    const key = keys?.default ?? Object.values(keys ?? {})[0]
    return typeof key === 'string' ? key : null
  } catch {
    // The parser's own message would quote the keys.
    return null
  }
}

function paceOf(text: string | undefined, msMin: number, otherwise: number): number {
  const ms = Number(text ?? '')
  return Number.isInteger(ms) && ms >= msMin ? ms : otherwise
}
