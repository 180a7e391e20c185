import type { Outcome } from '../src/core/outcome.ts'
import type { Json } from '../src/core/record.ts'
import type { StoredSpan } from '../src/core/trace.ts'
import type { Predecessor, WhyData, WhyProcess, WhyQuestion, WhyTrace } from '../src/core/why/why_data.ts'
import { type Chance, chanceOf as chanceFrom, normalOf } from '../src/demo/chance.ts'

// A small daemon on paper: tools of their own speeds, providers, sessions, attributes that mean nothing, and what a test adds.

/** What is about to be called, before it is known how long it takes. Tests change it. */
export type Call = {
  readonly index: number
  readonly chance: () => number
  readonly startedUs: number
  readonly number: number
  /** 0 to 1, its place in the range. */
  readonly at: number
  tool: string
  provider: string
  model: string
  host: string
  version: string
  outcome: Outcome
  bytesIn: number
  tokensIn: number
  running: number
  readonly attributes: { [name: string]: Json }
  /** Self time in ms. */
  readonly work: { shim: number; websocket: number; tool: number; provider: number; api: number; storage: number }
  readonly waits: { layer: keyof Call['work']; name: string; ms: number; holder?: string }[]
  firstChunkMs: number
  attempts: number
  previous: Predecessor | null
}

export type World = {
  readonly seed: number
  readonly traces: number
  readonly tools?: number
  readonly noiseAttributes?: number
  readonly sigma?: number
  readonly question?: Partial<WhyQuestion>
  readonly disturb?: (call: Call) => void
  /** The part of the calls that lack their api span. */
  readonly missing?: number
}

export const startUs = 1_760_000_000_000_000
const rangeUs = 3_600_000_000

/** Seeds that lie side by side begin far apart. */
export function chanceOf(seed: number): Chance {
  return chanceFrom((seed * 2_654_435_761) >>> 0)
}

const providers: readonly (readonly [string, string])[] = [
  ['glm', 'glm-4.5'],
  ['glm', 'glm-4.6'],
  ['kimi', 'kimi-k2'],
  ['kimi', 'kimi-thinking'],
]

export function whyDataOf(world: World): WhyData {
  const chance = chanceOf(world.seed)
  const sigma = world.sigma ?? 0.35
  const toolBase = Array.from({ length: world.tools ?? 6 }, () => Math.exp(Math.log(400) + 0.8 * normalOf(chance)))
  const processes: { [id: string]: WhyProcess } = {}
  const traces: WhyTrace[] = []
  let session = 0
  let number = 0
  let length = 0
  let before: Predecessor | null = null
  for (let index = 0; index < world.traces; index++) {
    if (number >= length) {
      session++
      number = 0
      length = 3 + Math.floor(chance() * 4)
      before = null
    }
    number++
    const startedUs = startUs + Math.floor((rangeUs * (index + chance() * 0.5)) / world.traces)
    const call = callOf(world, { index, chance, startedUs, number, before, toolBase, sigma })
    world.disturb?.(call)
    const trace = traceOf(call, world, processes, `session-${session}`)
    traces.push(trace)
    before = { trace_id: trace.trace_id, tool: call.tool, outcome: call.outcome, gap_ms: 200 + 3_000 * chance() }
  }
  const question: WhyQuestion = {
    call_number: null,
    after_us: null,
    above_ms: null,
    trace_id: null,
    region: null,
    from_us: startUs,
    to_us: startUs + rangeUs,
    ...world.question,
  }
  return { question, matched: traces.length, traces, processes }
}

type Setting = {
  readonly index: number
  readonly chance: () => number
  readonly startedUs: number
  readonly number: number
  readonly before: Predecessor | null
  readonly toolBase: readonly number[]
  readonly sigma: number
}

function callOf(world: World, { index, chance, startedUs, number, before, toolBase, sigma }: Setting): Call {
  const toolAt = Math.floor(chance() * toolBase.length)
  const noise = (): number => Math.exp(sigma * normalOf(chance))
  const base = toolBase[toolAt] as number
  const [provider, model] = providers[Math.floor(chance() * providers.length)] as readonly [string, string]
  const attributes: { [name: string]: Json } = {}
  for (let i = 0; i < (world.noiseAttributes ?? 8); i++) {
    if (chance() < 0.1) continue
    attributes[`noise_${i}`] =
      i % 3 === 2 ? Math.round(chance() * 1_000) : `value ${Math.floor(chance() * (2 + (i % 7)))}`
  }
  const api = base * noise()
  return {
    index,
    chance,
    startedUs,
    number,
    at: index / world.traces,
    tool: `tool_${toolAt}`,
    provider,
    model,
    host: `host-${Math.floor(chance() * 3)}`,
    version: '1.0.0',
    outcome: chance() < 0.04 ? 'tool_error' : 'ok',
    bytesIn: Math.round(Math.exp(6 + normalOf(chance))),
    tokensIn: Math.round(Math.exp(7 + 0.6 * normalOf(chance))),
    running: Math.floor(chance() * 5),
    attributes,
    work: {
      shim: 2 * noise(),
      websocket: 5 * noise(),
      tool: 0.15 * base * noise(),
      provider: 10 * noise(),
      api,
      storage: 40 * noise(),
    },
    waits: [],
    firstChunkMs: api * 0.35 * noise(),
    attempts: 1,
    previous: before,
  }
}

function hex(index: number, digits: number): string {
  return (index + 1).toString(16).padStart(digits, '0')
}

function traceOf(call: Call, world: World, processes: { [id: string]: WhyProcess }, sessionKey: string): WhyTrace {
  const process = `${call.host} ${call.version}`
  processes[process] ??= {
    service: 'daemon',
    environment: 'production',
    instance: process,
    version: call.version,
    host: call.host,
    started_us: startUs - 86_400_000_000,
  }
  const spans: { [id: string]: StoredSpan } = {}
  let spanIndex = call.index * 64
  const put = (span: Omit<StoredSpan, 'process'>): string => {
    const id = hex(spanIndex++, 16)
    spans[id] = { ...span, process }
    return id
  }
  const us = (ms: number): number => Math.round(ms * 1_000)
  const { work } = call
  const waitMs = (layer: keyof Call['work']): number =>
    call.waits.filter((wait) => wait.layer === layer).reduce((sum, { ms }) => sum + ms, 0)
  const order = ['shim', 'websocket', 'tool', 'provider', 'api'] as const
  const inner = (at: number): number =>
    order.slice(at).reduce((sum, layer) => sum + work[layer] + waitMs(layer), 0) +
    (at <= 2 ? work.storage + waitMs('storage') : 0)
  let cursor = call.startedUs
  let parent: string | undefined
  for (const [at, layer] of order.entries()) {
    if (layer === 'api' && call.chance() < (world.missing ?? 0)) break
    const end = cursor + us(inner(at))
    const id = put({
      ...(parent === undefined
        ? { entry: true as const, attributes: call.attributes as NonNullable<StoredSpan['attributes']> }
        : { parent_span_id: parent }),
      layer,
      name: layer === 'tool' ? `tool ${call.tool}` : layer,
      start_us: cursor,
      end_us: end,
      outcome: call.outcome,
    })
    parent = id
    for (const wait of call.waits.filter((other) => other.layer === layer)) {
      const holder = wait.holder === undefined ? {} : { holder: wait.holder }
      put({
        parent_span_id: id,
        layer,
        kind: 'wait',
        name: wait.name,
        start_us: cursor,
        end_us: cursor + us(wait.ms),
        ...holder,
      })
      cursor += us(wait.ms)
    }
    if (layer === 'tool') {
      put({ parent_span_id: id, layer: 'storage', name: 'read', start_us: cursor, end_us: cursor + us(work.storage) })
      cursor += us(work.storage)
    }
    if (layer === 'api') {
      const chunk = { parent_span_id: id, layer, kind: 'wait' as const, name: 'first chunk' }
      put({ ...chunk, start_us: cursor, end_us: Math.min(end, cursor + us(call.firstChunkMs)) })
    }
    cursor += us(work[layer] / 2)
  }
  const duration = inner(0)
  return {
    trace_id: hex(call.index * 7_919 + 13, 32),
    started_us: call.startedUs,
    duration_ms: duration,
    outcome: call.outcome,
    tool: call.tool,
    provider: call.provider,
    model: call.model,
    session_key: sessionKey,
    session_rule: 'mcp',
    call_number: call.number,
    bytes_in: call.bytesIn,
    bytes_out: null,
    tokens_in: call.tokensIn,
    tokens_out: null,
    process,
    previous: call.previous,
    before: null,
    running: call.running,
    weight: 1,
    spans,
  }
}
