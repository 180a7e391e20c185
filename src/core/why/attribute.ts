import type { Json } from '../record.ts'
import type { WhyData, WhyProcess, WhyTrace } from './why_data.ts'

/** What may tell calls apart, one code a trace. */
export type Category = {
  readonly name: string
  readonly family: 'attribute' | 'outer' | 'place' | 'previous' | 'span'
  /** An index into `values`; -1 where it is not known. */
  readonly codes: Int32Array
  readonly values: readonly (string | number)[]
}

/** NaN where it is not known. */
export type Quantity = { readonly name: string; readonly values: Float64Array; readonly isEffect: boolean }

const levelsMax = 64
const toolLevelsMax = 512
const numericLevelsMax = 12
const attributesMax = 256

type Value = string | number | boolean

/** What is known of each call that is no measure of the call's own time or end. */
export function attributesOf(
  data: WhyData,
  traces: readonly WhyTrace[],
): { readonly categories: readonly Category[]; readonly quantities: readonly Quantity[] } {
  const categories: Category[] = []
  const quantities: Quantity[] = []
  const known: [string, (trace: WhyTrace) => string | null | undefined][] = [
    ['tool', (trace) => trace.tool],
    ['provider', (trace) => trace.provider],
    ['model', (trace) => trace.model],
    ['environment', (trace) => data.processes[trace.process]?.environment],
    ['session_rule', (trace) => trace.session_rule],
  ]
  for (const [name, read] of known) {
    const values = traces.map((trace) => read(trace) ?? undefined)
    const category = categoryOf(name, 'attribute', values, name === 'tool' ? toolLevelsMax : levelsMax)
    if (category !== null || name === 'tool') categories.push(category ?? unknownTool(traces.length))
  }
  categories.push(...placesOf(data, traces))
  const numbers: [string, boolean, (trace: WhyTrace) => number | null][] = [
    ['call_number', false, (trace) => trace.call_number],
    ['bytes_in', false, (trace) => trace.bytes_in],
    ['bytes_out', true, (trace) => trace.bytes_out],
    ['tokens_in', false, (trace) => trace.tokens_in],
    ['tokens_out', true, (trace) => trace.tokens_out],
    ['running', false, (trace) => trace.running],
    // Of several requests to a model the largest says what each took, where their sum does not.
    ['tokens_in', false, (trace) => greatestOf(trace, 'tokens_in')],
    ['tokens_out', true, (trace) => greatestOf(trace, 'tokens_out')],
  ]
  for (const [name, isEffect, read] of numbers) {
    const values = traces.map((trace) => read(trace) ?? undefined)
    const quantity = quantityOf(name, values, isEffect)
    if (quantity !== null) quantities.push(quantity)
    if (name === 'call_number') push(categories, categoryOf(name, 'place', values, levelsMax))
  }
  for (const [name, values] of recordedOf(traces)) {
    if (categories.some((category) => category.name === name)) continue
    const filled = filledOf(values)
    const quantity = quantityOf(name, filled, false)
    if (quantity !== null) quantities.push(quantity)
    push(categories, categoryOf(name, 'attribute', filled, quantity === null ? levelsMax : numericLevelsMax))
  }
  return { categories, quantities }
}

function greatestOf({ spans }: WhyTrace, field: 'tokens_in' | 'tokens_out'): number | null {
  let greatest: number | null = null
  for (const id in spans) {
    const tokens = spans[id]?.[field]
    if (tokens !== undefined && Number.isFinite(tokens) && tokens > (greatest ?? -1)) greatest = tokens
  }
  return greatest
}

const servicesMax = 8

/**
 * Which services have a part in the calls, and of each that has several its version, host and instance: a shim's host is not
 * its daemon's, and the only host of a service says no more than the service does.
 */
function placesOf({ processes }: WhyData, traces: readonly WhyTrace[]): Category[] {
  const columns = new Map<string, (WhyProcess | undefined)[]>()
  const inner = new Set<string>()
  for (let i = 0; i < traces.length; i++) {
    const { spans, process: head } = traces[i] as WhyTrace
    let last = ''
    for (const id of [head, ...Object.values(spans).map(({ process }) => process)]) {
      if (id === last) continue
      last = id
      const process = processes[id]
      if (process === undefined) continue
      let column = columns.get(process.service)
      if (column === undefined) {
        if (columns.size >= servicesMax) continue
        column = new Array(traces.length).fill(undefined)
        columns.set(process.service, column)
      }
      column[i] ??= process
      if (id !== head) inner.add(process.service)
    }
  }
  return [...columns]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([service, column]) => {
      const family = inner.size === 0 || inner.has(service) ? 'attribute' : 'outer'
      const partOf = column.map((process) => (process === undefined ? undefined : service))
      const isTelling = (name: 'version' | 'host' | 'instance'): boolean =>
        new Set(column.flatMap((process) => (process === undefined ? [] : [process[name]]))).size > 1
      return [
        categoryOf('service', family, partOf),
        ...(['version', 'host', 'instance'] as const).filter(isTelling).map((name) =>
          categoryOf(
            name,
            family,
            column.map((process) => process?.[name] ?? undefined),
          ),
        ),
      ]
    })
    .filter((category) => category !== null)
}

function push<T>(list: T[], item: T | null): void {
  if (item !== null) list.push(item)
}

function unknownTool(n: number): Category {
  return { name: 'tool', family: 'attribute', codes: new Int32Array(n).fill(-1), values: [] }
}

/** Null where the values tell nothing apart, or each call from every other. */
export function categoryOf(
  name: string,
  family: Category['family'],
  values: readonly (Value | undefined)[],
  levels = levelsMax,
): Category | null {
  const index = new Map<Value, number>()
  const codes = new Int32Array(values.length).fill(-1)
  let isKnown = true
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    if (value === undefined) {
      isKnown = false
      continue
    }
    let code = index.get(value)
    if (code === undefined) {
      if (index.size >= levels) return null
      code = index.size
      index.set(value, code)
    }
    codes[i] = code
  }
  if (index.size === 0) return null
  const named = [...index].map(([value, code]) => ({ level: typeof value === 'boolean' ? String(value) : value, code }))
  named.sort((x, y) => (x.level < y.level ? -1 : x.level > y.level ? 1 : 0))
  const sorted = named.map(({ level }) => level)
  if (index.size === 1 && isKnown) return name === 'tool' ? { name, family, codes, values: sorted } : null
  const places = new Int32Array(named.length)
  for (const [place, { code }] of named.entries()) places[code] = place
  for (let i = 0; i < codes.length; i++) if ((codes[i] as number) >= 0) codes[i] = places[codes[i] as number] as number
  return { name, family, codes, values: sorted }
}

function quantityOf(name: string, values: readonly (Value | undefined)[], isEffect: boolean): Quantity | null {
  const distinct = new Set<number>()
  let known = 0
  for (const value of values) {
    if (value === undefined) continue
    if (typeof value !== 'number' || !Number.isFinite(value)) return null
    known++
    if (distinct.size < 4) distinct.add(value)
  }
  if (distinct.size < 3 || known < values.length / 4) return null
  return {
    name,
    isEffect,
    values: Float64Array.from(values, (value) => (typeof value === 'number' ? value : Number.NaN)),
  }
}

/** A flag that is only ever set is not set elsewhere. */
function filledOf(values: readonly (Value | undefined)[]): readonly (Value | undefined)[] {
  const isFlag = values.every((value) => value === undefined || value === true)
  return isFlag ? values.map((value) => value ?? false) : values
}

const measured =
  /(_ms|_us|_ns|_seconds|_secs|latency|duration|elapsed)$|^attempts?$|^(retries|retry_count)$|^telltale\.(attempt|retry_count|chunk_count|progress_count|derived|sampled|fault|truncated|evicted|uncaught|event|outcome|holder|argument_hash|connection_id)|(^|[._])(trace|span|request|session|connection|conversation|continuation|message|error|process)[._]?id$|^error|^(http\.response\.)?status(_code)?$|resend_count/i

function isValue(value: Json): value is Value {
  return value !== null && typeof value !== 'object' && (typeof value !== 'number' || Number.isFinite(value))
}

/** The attributes of a call's spans; of several spans that say the same name the one that began first counts. */
function recordedOf(traces: readonly WhyTrace[]): [string, (Value | undefined)[]][] {
  const columns = new Map<string, (Value | undefined)[]>()
  const began = new Map<string, number>()
  const refused = new Set<string>()
  for (let i = 0; i < traces.length; i++) {
    began.clear()
    const { spans } = traces[i] as WhyTrace
    for (const id in spans) {
      const span = spans[id]
      if (span?.attributes === undefined) continue
      for (const name in span.attributes) {
        const value = span.attributes[name] as Json
        if (refused.has(name) || !isValue(value)) continue
        const before = began.get(name)
        if (before !== undefined && before <= span.start_us) continue
        let column = columns.get(name)
        if (column === undefined) {
          if (measured.test(name) || columns.size >= attributesMax) {
            refused.add(name)
            continue
          }
          column = new Array(traces.length).fill(undefined)
          columns.set(name, column)
        }
        began.set(name, span.start_us)
        column[i] = value
      }
    }
  }
  return [...columns].sort(([a], [b]) => (a < b ? -1 : 1))
}
