import { selfTimesOf } from '../breakdown.ts'
import type { StoredSpan, StoredSpans } from '../trace.ts'
import type { WhyTrace } from './why_data.ts'

// What a call's duration is made of: self time of each layer's work, and of each wait by its name. In ms.

export type Part = {
  readonly layer: string
  /** The wait's name; null: the layer's work. */
  readonly wait: string | null
  /** NaN where the trace has no span that could have told. */
  readonly ms: Float64Array
}

export type TraceParts = {
  readonly parts: readonly Part[]
  /** From the first attempt's start to the last one's, backoff included. */
  readonly retryMs: Float64Array
  /** 1 where nothing was tried again. */
  readonly attempts: Float64Array
  /** NaN where nothing tells of a first chunk. */
  readonly firstChunkMs: Float64Array
}

const partsMax = 48

export function partsOf(traces: readonly WhyTrace[]): TraceParts {
  const n = traces.length
  const columns = new Map<string, Part>()
  const retryMs = new Float64Array(n)
  const attempts = new Float64Array(n)
  const firstChunkMs = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    const { spans } = traces[i] as WhyTrace
    for (const [id, us] of selfTimesOf(spans)) {
      const span = spans[id] as StoredSpan
      const part = partOf(columns, span.layer, span.kind === 'wait' ? span.name : null, n)
      if (part === null) continue
      const had = part.ms[i] as number
      part.ms[i] = (Number.isNaN(had) ? 0 : had) + us / 1_000
    }
    const tried = attemptsOf(spans)
    attempts[i] = tried.count
    retryMs[i] = tried.ms
    firstChunkMs[i] = firstChunkOf(spans)
  }
  const parts = [...columns.values()].sort((a, b) => compare(a.layer, b.layer) || compare(a.wait ?? '', b.wait ?? ''))
  for (const part of parts) if (part.wait !== null && !isFirstChunk(part.wait)) nothingOf(part.ms)
  return { parts, retryMs, attempts, firstChunkMs }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** A wait that no span tells of did not happen. */
function nothingOf(ms: Float64Array): void {
  for (let i = 0; i < ms.length; i++) if (Number.isNaN(ms[i])) ms[i] = 0
}

function partOf(columns: Map<string, Part>, layer: string, wait: string | null, n: number): Part | null {
  const key = wait === null ? layer : `${layer}\n${wait}`
  const known = columns.get(key)
  if (known !== undefined) return known
  if (columns.size >= partsMax) return null
  const part = { layer, wait, ms: new Float64Array(n).fill(Number.NaN) }
  columns.set(key, part)
  return part
}

const attemptKeys = ['telltale.attempt', 'attempt']
const countKeys = ['attempts']
const retryKeys = ['telltale.retry_count', 'retry_count', 'retries', 'http.request.resend_count']

/** How often the same was tried: as attributes say, else spans of one name, parent and layer of which an earlier one failed. */
function attemptsOf(spans: StoredSpans): { readonly count: number; readonly ms: number } {
  let count = 1
  let first = Number.POSITIVE_INFINITY
  let last = Number.NEGATIVE_INFINITY
  let waited = 0
  for (const span of Object.values(spans)) {
    const { attributes } = span
    if (span.kind === 'wait') {
      if (isBackoff(span.name)) {
        waited += (span.end_us ?? span.start_us) - span.start_us
        first = Math.min(first, span.start_us)
        last = Math.max(last, span.end_us ?? span.start_us)
      }
      continue
    }
    if (attributes === undefined) continue
    count = Math.max(count, numberAt(attributes, countKeys), numberAt(attributes, retryKeys) + 1)
    const attempt = numberAt(attributes, attemptKeys)
    if (attempt < 1) continue
    count = Math.max(count, attempt)
    first = Math.min(first, span.start_us)
    last = Math.max(last, span.start_us)
  }
  const repeated = repeatedOf(spans)
  count = Math.max(count, repeated.count)
  return { count, ms: Math.max(0, last - first, waited, count > 1 ? repeated.us : 0) / 1_000 }
}

function numberAt(attributes: NonNullable<StoredSpan['attributes']>, keys: readonly string[]): number {
  for (const key of keys) {
    const value = attributes[key]
    if (typeof value === 'number') return value
  }
  return 0
}

const asking: ReadonlySet<string> = new Set(['api', 'provider'])

/** A failed span of a provider's, and those of its name and parent that began after it ended. */
function repeatedOf(spans: StoredSpans): { readonly count: number; readonly us: number } {
  let best = { count: 1, us: 0 }
  const all = Object.values(spans).filter(({ kind, layer }) => kind !== 'wait' && asking.has(layer))
  for (const { name, layer, parent_span_id, outcome, start_us, end_us } of all) {
    if (end_us === undefined || outcome === undefined || outcome === 'ok') continue
    const after = all.filter(
      (span) =>
        span.name === name && span.layer === layer && span.parent_span_id === parent_span_id && span.start_us >= end_us,
    )
    if (after.length < best.count) continue
    best = { count: after.length + 1, us: Math.max(...after.map((span) => span.start_us)) - start_us }
  }
  return best
}

export function isBackoff(wait: string): boolean {
  return /^(backoff|retry)\b/.test(wait)
}

export function isFirstChunk(wait: string): boolean {
  return /^first (chunk|token|byte)\b/.test(wait)
}

function firstChunkOf(spans: StoredSpans): number {
  let waited = Number.NaN
  let said = Number.NaN
  for (const span of Object.values(spans)) {
    if (span.kind === 'wait' && isFirstChunk(span.name) && span.end_us !== undefined) {
      waited = (Number.isNaN(waited) ? 0 : waited) + (span.end_us - span.start_us) / 1_000
    }
    const ms = span.attributes?.['telltale.first_chunk_ms']
    if (typeof ms === 'number' && !(said >= ms)) said = ms
  }
  return Number.isNaN(waited) ? said : waited
}
