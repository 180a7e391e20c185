import type { DestinationPolicy } from './destination_check.ts'

/** One POST to a destination, which follows no redirect. */
export type DialRequest = {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly signal: AbortSignal
}

/** Of the answer what is looked at. */
export type DialAnswer = {
  readonly status: number
  readonly location: string | null
  readonly retryAfter: string | null
}

/** Asks a destination. Throws ForbiddenAddress where its name leads to an address that the policy forbids. */
export type Dial = {
  readonly ask: (request: DialRequest, policy: DestinationPolicy) => Promise<DialAnswer>
  /** Whether it knows where a name leads. One that does not is told of no other place by a redirect. */
  readonly resolves: boolean
}

export class ForbiddenAddress extends Error {
  override readonly name = 'ForbiddenAddress'
}

/** The addresses of a name. */
export type Resolve = (host: string) => Promise<readonly string[]>

/**
 * Asks by the platform's own `fetch`. With `resolve` the addresses of a name are checked first; between that and the
 * connection the name may come to lead elsewhere, which these platforms give no way to prevent. Without it (Workers, whose
 * requests leave from Cloudflare's own network and reach no private one) only what the URL itself says is checked.
 */
export function fetchDial(resolve: Resolve | null): Dial {
  return {
    resolves: resolve !== null,
    async ask({ url, headers, body, signal }, { isForbidden }) {
      const host = url.hostname.replace(/^\[|\]$/g, '')
      if (resolve !== null) {
        const addresses = await resolve(host)
        if (addresses.length === 0) throw new Error('Cannot resolve the name')
        if (addresses.some(isForbidden)) throw new ForbiddenAddress('its name leads to a private address')
      }
      const answer = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'manual' })
      await answer.body?.cancel()
      return {
        status: answer.status,
        location: answer.headers.get('location'),
        retryAfter: answer.headers.get('retry-after'),
      }
    },
  }
}
