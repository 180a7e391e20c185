import { isObject } from '../core/json_object.ts'
import type { HotBatch } from '../core/live_snapshot.ts'
import type { LiveState } from '../core/live_state.ts'
import type { Window } from '../core/window.ts'

// What was written to the hot tier comes back as text of which nothing is certain: an older or newer edge may have
// written it. Whatever is merged or compared is checked, numbers above all; what is only passed on to the pages is not.

/** An entry of the stream of recent batches; null for anything else. */
export function parseHotBatch(text: string): HotBatch | null {
  const value = parseJson(text)
  return isHotBatch(value) ? value : null
}

/** A finished second; null for anything else. */
export function parseWindow(text: string): Window | null {
  const value = parseJson(text)
  return isWindow(value) ? value : null
}

/** The push's own state; null for anything else, as for one of another version: it begins anew. */
export function parseLiveState(text: string): LiveState | null {
  const value = parseJson(text)
  return isLiveState(value) ? value : null
}

/** Whether a text is the id of a stream entry, `<ms>-<n>`. */
export function isStreamId(value: unknown): value is string {
  return typeof value === 'string' && /^\d{1,15}-\d{1,15}$/.test(value)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function isHotBatch(value: unknown): value is HotBatch {
  return (
    isObject(value) &&
    areAll(value.windows, isWindow) &&
    isRunning(value.running) &&
    areAll(value.ended, isEnded) &&
    areAll(value.errors, isError) &&
    areAll(value.stale, isCount)
  )
}

function isLiveState(value: unknown): value is LiveState {
  return (
    isObject(value) &&
    value.version === 1 &&
    isStreamId(value.rev) &&
    (value.before === null || isStreamId(value.before)) &&
    isCount(value.from) &&
    areAll(value.windows, dated(isWindow)) &&
    areAll(value.running, dated(isRunning)) &&
    areAll(value.ended, dated(isEnded)) &&
    areAll(value.errors, dated(isError)) &&
    areAll(value.stale, dated(isCount))
  )
}

function dated(check: (value: unknown) => boolean): (value: unknown) => boolean {
  return (item) => isObject(item) && isStreamId(item.rev) && check(item.value)
}

function isWindow(value: unknown): value is Window {
  return isObject(value) && isCount(value.second) && isObject(value.series) && Object.values(value.series).every(isCell)
}

function isCell(value: unknown): boolean {
  return (
    isObject(value) &&
    ['count', 'errors', 'bytes_in', 'bytes_out', 'tokens_in', 'tokens_out'].every((field) => isCount(value[field])) &&
    isObject(value.latency) &&
    isCount(value.latency.z) &&
    isCount(value.latency.sum) &&
    isObject(value.latency.b) &&
    Object.values(value.latency.b).every(isCount)
  )
}

function isRunning(value: unknown): boolean {
  return isObject(value) && typeof value.process === 'string' && isCount(value.seq) && areAll(value.list, isObject)
}

function isEnded(value: unknown): boolean {
  return isObject(value) && typeof value.trace_id === 'string' && typeof value.at_us === 'number'
}

function isError(value: unknown): boolean {
  return isObject(value) && typeof value.error_id === 'string' && typeof value.at_us === 'number'
}

function areAll(value: unknown, check: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(check)
}

/** What cells count and sum is saturated below 2^53, and whole. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
