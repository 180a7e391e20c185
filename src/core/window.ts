import {
  addTo,
  type Histogram,
  histogramFrom,
  type MutableHistogram,
  mergeHistograms,
  mutableHistogram,
  saturatingSum,
} from './histogram.ts'
import { callNumbersNamed, nameBytesMax } from './limit.ts'
import { isFailure } from './outcome.ts'
import type { Batch, ConnectionEvent, Span } from './record.ts'

/** What is counted under one series key. bytes and tokens are sums; `latency` is in µs. */
export type Cell = {
  readonly count: number
  readonly errors: number
  readonly bytes_in: number
  readonly bytes_out: number
  readonly tokens_in: number
  readonly tokens_out: number
  readonly latency: Histogram
}

/** Keys: all, layer:X, tool:X, call:1..5|6+|unknown, provider:X, model:X, connection:X, cache:[X:]hit|miss|shared. */
export type Series = { readonly [key: string]: Cell }

/** One second of one source's metrics. */
export type Window = { readonly second: number; readonly series: Series }

/** One minute (seconds since the epoch, a multiple of 60) of one batch's metrics. */
export type MinutePart = { readonly minute: number; readonly series: Series }

/** What one record adds to each cell that it counts in; null is nothing to add. `latency_us` may be one to refuse. */
type Sample = {
  readonly failed: boolean
  readonly bytes_in: number | null
  readonly bytes_out: number | null
  readonly tokens_in: number | null
  readonly tokens_out: number | null
  readonly latency_us: number | null
}

type MutableCell = {
  count: number
  errors: number
  bytes_in: number
  bytes_out: number
  tokens_in: number
  tokens_out: number
  readonly latency: MutableHistogram
}

type Tally = Map<string, MutableCell>

const usPerSecond = 1_000_000

/**
 * The seconds that a batch's records end in, ascending. A span counts once, when it has ended, in the second of its end:
 * under `layer:X`; as an entry span under `all`, `tool:X` and `call:N`; in layer `api` under `provider:X` and `model:X`.
 * An event counts under `connection:X` in the second of its `at_us`. What a cache answered counts under `cache:` and the
 * result, after the cache's name where it has one: a span that says so, and an event of direction `hit` or `miss`. Each
 * record is taken as it comes: neither the order of records nor how they were cut into batches changes what the windows
 * add up to.
 */
export function windowsOf(batch: Pick<Batch, 'records'>): Window[] {
  return [...talliesOf(batch, 1)].map(([second, tally]) => ({ second, series: seriesOf(tally) }))
}

/** The same cells as `windowsOf`, by the minute of the end: merging a minute's windows gives its part. */
export function minutePartsOf(batch: Pick<Batch, 'records'>): MinutePart[] {
  return [...talliesOf(batch, 60)].map(([minute, tally]) => ({ minute, series: seriesOf(tally) }))
}

/** Associative and commutative: what counting both at once had given. */
export function mergeCells(a: Cell, b: Cell): Cell {
  return {
    count: saturatingSum(a.count, b.count),
    errors: saturatingSum(a.errors, b.errors),
    bytes_in: saturatingSum(a.bytes_in, b.bytes_in),
    bytes_out: saturatingSum(a.bytes_out, b.bytes_out),
    tokens_in: saturatingSum(a.tokens_in, b.tokens_in),
    tokens_out: saturatingSum(a.tokens_out, b.tokens_out),
    latency: mergeHistograms(a.latency, b.latency),
  }
}

/** Cell by cell; `{}` changes nothing. */
export function mergeSeries(a: Series, b: Series): Series {
  const merged = new Map(Object.entries(a))
  for (const [key, cell] of Object.entries(b)) {
    const other = merged.get(key)
    merged.set(key, other === undefined ? cell : mergeCells(other, cell))
  }
  return Object.fromEntries(merged)
}

/** Tallies by the start, in seconds, of each bin of `width` seconds; ascending. */
function talliesOf(batch: Pick<Batch, 'records'>, width: number): [number, Tally][] {
  const tallies = new Map<number, Tally>()
  const tallyAt = (at_us: number): Tally => {
    const bin = Math.floor(at_us / (usPerSecond * width)) * width
    const tally: Tally = tallies.get(bin) ?? new Map()
    tallies.set(bin, tally)
    return tally
  }
  for (const record of batch.records) {
    if (record.type === 'event') countEvent(tallyAt(record.at_us), record)
    else if (record.type === 'span' && record.end_us !== null) countSpan(tallyAt(record.end_us), record, record.end_us)
  }
  return [...tallies].sort(([a], [b]) => a - b)
}

function countSpan(tally: Tally, span: Span, end_us: number): void {
  const sample: Sample = {
    failed: isFailure(span.outcome),
    bytes_in: span.bytes_in,
    bytes_out: span.bytes_out,
    tokens_in: span.tokens_in,
    tokens_out: span.tokens_out,
    latency_us: end_us - span.start_us,
  }
  count(tally, `layer:${span.layer}`, sample)
  if (span.entry) {
    count(tally, 'all', sample)
    count(tally, callKeyOf(span.call_number), sample)
    if (span.tool !== null) count(tally, `tool:${span.tool}`, sample)
  }
  if (span.layer === 'api') {
    if (span.provider !== null) count(tally, `provider:${span.provider}`, sample)
    if (span.model !== null) count(tally, `model:${span.model}`, sample)
  }
  const result = cacheResultOf(span)
  if (result !== null) count(tally, cacheKeyOf(span.attributes['telltale.cache'], result), sample)
}

/** Only `send` and `receive` say whose bytes `data_size_bytes` are; other directions carry other sizes, even tokens. */
function countEvent(tally: Tally, event: ConnectionEvent): void {
  const sample: Sample = {
    failed: event.error !== null,
    bytes_in: event.direction === 'receive' ? event.data_size_bytes : null,
    bytes_out: event.direction === 'send' ? event.data_size_bytes : null,
    tokens_in: null,
    tokens_out: null,
    latency_us: event.response_time_ms === null ? null : Math.round(event.response_time_ms * 1_000),
  }
  count(tally, `connection:${event.connection_type}`, sample)
  if (event.direction === 'hit' || event.direction === 'miss') {
    count(tally, cacheKeyOf(event.connection_type, event.direction), sample)
  }
}

function count(tally: Tally, key: string, sample: Sample): void {
  const cell = tally.get(key) ?? emptyCell()
  if (cell.count === 0) tally.set(key, cell)
  cell.count += 1
  if (sample.failed) cell.errors += 1
  cell.bytes_in = saturatingSum(cell.bytes_in, sample.bytes_in ?? 0)
  cell.bytes_out = saturatingSum(cell.bytes_out, sample.bytes_out ?? 0)
  cell.tokens_in = saturatingSum(cell.tokens_in, sample.tokens_in ?? 0)
  cell.tokens_out = saturatingSum(cell.tokens_out, sample.tokens_out ?? 0)
  if (sample.latency_us !== null) addTo(cell.latency, sample.latency_us)
}

function callKeyOf(callNumber: number | null): string {
  if (callNumber === null) return 'call:unknown'
  return callNumber > callNumbersNamed ? `call:${callNumbersNamed + 1}+` : `call:${callNumber}`
}

/** What a cache said of a request, null where none was asked: `shared` is the answer of an equal call that was under way. */
function cacheResultOf({ attributes }: Span): 'hit' | 'miss' | 'shared' | null {
  if (attributes['telltale.from_inflight'] === true) return 'shared'
  const fromCache = attributes['telltale.from_cache']
  return fromCache === true ? 'hit' : fromCache === false ? 'miss' : null
}

function cacheKeyOf(cache: unknown, result: string): string {
  const isNamed = typeof cache === 'string' && cache !== '' && cache.length <= nameBytesMax
  return isNamed ? `cache:${cache}:${result}` : `cache:${result}`
}

function emptyCell(): MutableCell {
  return {
    count: 0,
    errors: 0,
    bytes_in: 0,
    bytes_out: 0,
    tokens_in: 0,
    tokens_out: 0,
    latency: mutableHistogram(),
  }
}

function seriesOf(tally: Tally): Series {
  const series: [string, Cell][] = []
  for (const [key, cell] of tally) series.push([key, { ...cell, latency: histogramFrom(cell.latency) }])
  return Object.fromEntries(series)
}
