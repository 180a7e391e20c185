import type { Attributes } from '../../core/record.ts'

/** How a connection ended, on whatever transport. */
export type Departure = {
  /** The client closed it or asked the server to stop: what still ran is cancelled, not interrupted. */
  readonly clientLeft: boolean
  /** What to record of a server that went by itself; null where there is nothing to say. */
  readonly failure: {
    /** Such as `ServerExited`, `ConnectionLost`. */
    readonly errorType: string
    readonly message: string
    /** The last that the server said; empty when nothing. */
    readonly traceback: string
    /** An error even where no call was running. */
    readonly abnormal: boolean
  } | null
  /** For the connection's `disconnect` event and the context of its errors; null: there is no event. */
  readonly facts: Attributes | null
}

/** The end of a server process; `lastWords` are the last that it wrote to stderr. */
export function departureOfProcess(
  code: number | null,
  signal: string | null,
  clientLeft: boolean,
  lastWords: string,
): Departure {
  const how = signal ? `was killed by ${signal}` : `exited with code ${code}`
  const abnormal = code !== 0 || signal !== null
  return {
    clientLeft,
    failure: { errorType: 'ServerExited', message: `The server ${how}`, traceback: lastWords, abnormal },
    facts: { exit_code: code, signal },
  }
}
