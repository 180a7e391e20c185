import { createHash } from 'node:crypto'
import { attemptAddressesMax, attemptSeconds, attemptsPerAddressMax, attemptsTotalMax } from '../core/limit.ts'
import { AuthError } from './auth_error.ts'

/** Counts passwords that were wrong, for each address and together, in windows of `attemptSeconds`. */
export type AttemptLimit = {
  /** Why no password is tried for this address now, null when one may be. */
  refusalOf(address: string): AuthError | null
  /** Notes that a password was wrong. */
  note(address: string): void
}

/** @param clock ms since the epoch */
export function createAttemptLimit(clock: () => number): AttemptLimit {
  let window = -1
  let total = 0
  // By hash, so that a list of addresses takes bounded memory and tells nobody anything.
  const failures = new Map<string, number>()
  const turnWindow = () => {
    const now = Math.floor(clock() / 1_000 / attemptSeconds)
    if (now === window) return
    window = now
    total = 0
    failures.clear()
  }
  return {
    refusalOf(address) {
      turnWindow()
      const many = (failures.get(keyOf(address)) ?? 0) >= attemptsPerAddressMax
      if (!many && total < attemptsTotalMax) return null
      const seconds = Math.ceil((window + 1) * attemptSeconds - clock() / 1_000)
      return new AuthError(429, 'over_request_rate_limit', 'Request rate limit reached', {
        'Retry-After': String(Math.max(1, seconds)),
      })
    },
    note(address) {
      turnWindow()
      total += 1
      const key = keyOf(address)
      if (failures.has(key) || failures.size < attemptAddressesMax) failures.set(key, (failures.get(key) ?? 0) + 1)
    },
  }
}

function keyOf(address: string): string {
  return createHash('sha256').update(address).digest('base64url')
}
