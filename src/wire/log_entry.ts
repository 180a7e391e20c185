import type {
  ConnectionEvent,
  ErrorRecord,
  Gauge,
  Message,
  ProcessInfo,
  Source,
  TelltaleRecord,
} from '../core/record.ts'

type WithoutIds<R> = R extends unknown ? Omit<R, 'error_id' | 'message_id' | 'event_id'> : never

/** A record as a line of a log tells it, before it has an id. */
export type LoggedRecord = WithoutIds<ErrorRecord | Message | ConnectionEvent | Gauge>

/** What is known of a call beside its times. */
export type LoggedCall = {
  readonly tool: string
  readonly requestId: string | null
  readonly provider: string | null
  /** The tool's arguments, of which only the shape is kept. */
  readonly args: { readonly [name: string]: unknown } | null
  readonly attributes: { readonly [name: string]: number | string | boolean }
}

/** What one line of a log says. Times are µs since the epoch. */
export type LogEntry =
  | {
      readonly kind: 'call'
      readonly startUs: number
      readonly endUs: number
      readonly error: string | null
      readonly call: LoggedCall
    }
  | { readonly kind: 'start'; readonly atUs: number; readonly call: LoggedCall }
  | { readonly kind: 'progress'; readonly atUs: number; readonly call: LoggedCall }
  /** `durationUs` null: only the start can say when it began. */
  | {
      readonly kind: 'end'
      readonly atUs: number
      readonly durationUs: number | null
      readonly error: string | null
      readonly call: LoggedCall
    }
  | { readonly kind: 'record'; readonly records: readonly LoggedRecord[] }
  /** A JSON-RPC frame in a client's log. `text` may have been cut by the client. */
  | {
      readonly kind: 'frame'
      readonly atUs: number
      readonly from: 'client' | 'server'
      readonly server: string | null
      readonly text: string
    }
  /** The server is gone: what runs will not be answered. */
  | { readonly kind: 'gone'; readonly atUs: number; readonly server: string | null }
  | {
      readonly kind: 'exported'
      readonly source: Source
      readonly process: ProcessInfo
      readonly record: TelltaleRecord
    }
  /** A line for people. */
  | { readonly kind: 'prose' }

/** Seconds since the epoch, as Python's time.time() has them, in µs; null for what is no time after 2001. */
export function microsOf(seconds: unknown): number | null {
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds < 1e9 || seconds > 1e11) return null
  return Math.round(seconds * 1e6)
}
