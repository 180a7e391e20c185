import type { LiveData } from '../../src/core/live_snapshot.ts'

/** Who asks, in the words of the request: Postgres is asked with the caller's own key and token. */
export type Caller = {
  /** The project's publishable key, or a secret one. */
  readonly apikey: string
  /** `Bearer` and the user's token. */
  readonly authorization: string
}

/** Who asks for live data, and for what of it. */
export type LiveCaller = Caller & {
  /** UUID of the page that looks, which keeps it watching; null for none. */
  readonly viewer: string | null
  /** How many minutes back the minutes go, 0 to 60. */
  readonly minutes: number
  /** How many pages that page sees on the live channel, itself included; 0 for none, or where it has no channel. */
  readonly present: number
}

/** Reads what Postgres knows, as the caller. Throws CallerError. */
export type ReadLiveData = (caller: LiveCaller) => Promise<LiveData>

/** Calls a reading function of the schema telltale, as the caller. Throws CallerError. */
export type ReadAs = (caller: Caller, name: string, args: { readonly [name: string]: unknown }) => Promise<unknown>

/** The same for a caller who is known already. Throws CallerError. */
export type Ask = (name: string, args: { readonly [name: string]: unknown }) => Promise<unknown>

/** Why a caller is not answered. */
export class CallerError extends Error {
  override readonly name = 'CallerError'
  /**
   * `unauthenticated`: no user is known by this key and token, or no longer.
   * `forbidden`: the user is no member.
   * `refused`: the question itself is wrong; the message says how.
   * `unavailable`: Postgres is not reached, or fails.
   */
  readonly reason: 'unauthenticated' | 'forbidden' | 'refused' | 'unavailable'

  constructor(reason: CallerError['reason'], message: string) {
    super(message)
    this.reason = reason
  }
}
