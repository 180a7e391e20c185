import { type LookupAddress, lookup } from 'node:dns'
import { request as requestPlain } from 'node:http'
import { request as requestSecure } from 'node:https'
import type { LookupFunction } from 'node:net'
import type { DestinationPolicy } from '../../functions/store/destination_check.ts'
import {
  type Dial,
  type DialAnswer,
  type DialRequest,
  ForbiddenAddress,
} from '../../functions/store/destination_dial.ts'
import { destinationReplyBytesMax } from '../core/limit.ts'

/** What Node's `dns.lookup` with `all` is; another in tests. */
export type LookupAll = (host: string, done: (error: Error | null, addresses: readonly LookupAddress[]) => void) => void

const lookupAll: LookupAll = (host, done) => lookup(host, { all: true }, (error, found) => done(error, found ?? []))

/**
 * Asks on Node. The address that was checked is the one that is connected to: the name is resolved once, as part of the
 * connection, so what it leads to afterwards (rebinding) is of no matter.
 */
export function nodeDial(lookUp: LookupAll = lookupAll): Dial {
  return { resolves: true, ask: (request, policy) => ask(request, policy, lookUp) }
}

function ask(request: DialRequest, policy: DestinationPolicy, lookUp: LookupAll): Promise<DialAnswer> {
  const { url, headers, body, signal } = request
  const send = url.protocol === 'https:' ? requestSecure : requestPlain
  return new Promise((resolve, reject) => {
    const outgoing = send(
      url,
      {
        method: 'POST',
        headers: { ...headers, 'Content-Length': Buffer.byteLength(body) },
        signal,
        agent: false,
        lookup: checkedLookup(lookUp, policy),
      },
      (answer) => {
        const { statusCode: status = 0, headers: said } = answer
        resolve({ status, location: said.location ?? null, retryAfter: said['retry-after'] ?? null })
        let bytes = 0
        // An answer without end holds nobody up.
        answer.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > destinationReplyBytesMax) answer.destroy()
        })
        answer.on('error', () => undefined)
      },
    )
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

function checkedLookup(lookUp: LookupAll, { isForbidden }: DestinationPolicy): LookupFunction {
  return (host, options, done) => {
    lookUp(host, (error, addresses) => {
      const [first] = addresses
      if (error !== null || first === undefined) return done(error ?? new Error('Cannot resolve the name'), '', 4)
      if (addresses.some(({ address }) => isForbidden(address))) {
        return done(new ForbiddenAddress('its name leads to a private address'), '', 4)
      }
      if (options.all === true) done(null, [...addresses])
      else done(null, first.address, first.family)
    })
  }
}
