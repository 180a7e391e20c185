import { retryBaseMs, retryMsMax } from '../../core/limit.ts'
import type { SpanHandle } from '../recorded_span.ts'
import type { WaitScope } from './wait_ledger.ts'

export type RetryOptions = {
  /** What each attempt's span is called; the function's name, or `attempt`, when absent. */
  readonly name?: string
  /** The layer of the attempts; the active span's when absent. */
  readonly layer?: string
  /** How many attempts at most; 3 when absent. */
  readonly attempts?: number
  /** The first backoff in ms, 250 when absent; doubled at each, up to `maxMs`, and cut by up to a half at random. */
  readonly baseMs?: number
  readonly maxMs?: number
  /** Whether what an attempt threw is worth another; always when absent. */
  readonly retryable?: (thrown: unknown, attempt: number) => boolean
  /** How long to wait in ms in place of the backoff, as a Retry-After asks; null: as long as the backoff says. */
  readonly waitMs?: (thrown: unknown, attempt: number) => number | null
  /** Ends the waiting, and the attempts after it, with its reason. */
  readonly signal?: AbortSignal
  /** Between 0 and 1. */
  readonly random?: () => number
}

/**
 * Calls `fn`, which is given the number of the attempt from 1, until it answers or the attempts are used up; then what
 * the last one threw is thrown as it is. Each attempt is a span with `telltale.attempt`, each wait a wait span
 * `backoff`; the span around has `telltale.retry_count`.
 */
export function retry<T>(
  scope: WaitScope,
  fn: (attempt: number) => T | Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  const around = scope.active()
  if (around || !scope.enabled) return attempts(scope, fn, options, around)
  const name = nameOf(fn, options)
  return scope.time({ name, ...layerOf(options) }, (span) => attempts(scope, fn, options, span))
}

async function attempts<T>(
  scope: WaitScope,
  fn: (attempt: number) => T | Promise<T>,
  options: RetryOptions,
  around: SpanHandle | null,
): Promise<T> {
  const { attempts: most = 3, retryable, signal } = options
  const name = nameOf(fn, options)
  for (let attempt = 1; ; attempt++) {
    if (attempt > 1) around?.set({ attributes: { 'telltale.retry_count': attempt - 1 } })
    try {
      const start = { name, ...layerOf(options), attributes: { 'telltale.attempt': attempt } }
      return await scope.time(start, () => fn(attempt))
    } catch (thrown) {
      if (attempt >= most || signal?.aborted || retryable?.(thrown, attempt) === false) throw thrown
      await backOff(scope, backoffMsOf(options, thrown, attempt), attempt, signal)
    }
  }
}

async function backOff(scope: WaitScope, ms: number, attempt: number, signal: AbortSignal | undefined): Promise<void> {
  const wait = scope.wait({ name: 'backoff', attributes: { 'telltale.attempt': attempt } })
  const aborted = await new Promise<boolean>((resolve) => {
    const leave = () => {
      clearTimeout(timer)
      resolve(true)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', leave)
      resolve(false)
    }, ms)
    signal?.addEventListener('abort', leave, { once: true })
  })
  wait.end(aborted ? 'cancelled' : 'ok')
  if (aborted) throw signal?.reason
}

function backoffMsOf(options: RetryOptions, thrown: unknown, attempt: number): number {
  const { baseMs = retryBaseMs, maxMs = retryMsMax, random = Math.random } = options
  const asked = options.waitMs?.(thrown, attempt)
  if (typeof asked === 'number' && Number.isFinite(asked)) return Math.max(0, asked)
  return Math.min(maxMs, baseMs * 2 ** (attempt - 1)) * (1 - random() / 2)
}

function nameOf(fn: (attempt: number) => unknown, { name }: RetryOptions): string {
  return name ?? (fn.name === '' ? 'attempt' : fn.name)
}

function layerOf({ layer }: RetryOptions): { readonly layer?: string } {
  return layer === undefined ? {} : { layer }
}
