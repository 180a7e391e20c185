import type { Outcome } from '../src/core/outcome.ts'
import type { Json, Session, SessionRule } from '../src/core/record.ts'
import type { WhyProcess } from '../src/core/why/why_data.ts'
import type { Dice } from './incident_chance.ts'
import { type NameBook, nameBooks } from './incident_name.ts'

// The system in which something happens: its tools, models, machines and clients, and how fast each of them is by nature.

export const styles = ['plain', 'otlp', 'exai'] as const
export type Style = (typeof styles)[number]

export type Tool = {
  readonly name: string
  /** Null: it asks no model. */
  readonly provider: string | null
  readonly model: string | null
  /** How often it is called, beside the others. */
  readonly weight: number
  /** Median of its own time in each layer, in ms. */
  readonly ms: { readonly [layer: string]: number }
  /** How it fares where a layer gets slower: some tools hardly notice. */
  readonly burden: number
  readonly storageCalls: number
}

export type Client = {
  readonly name: string
  readonly version: string
  readonly process: string
  readonly host: string
}

/** One life of a server process. */
export type ServerRun = {
  readonly id: string
  readonly instance: string
  readonly host: string
  readonly version: string
  readonly startedMs: number
  /** How many calls it has taken. */
  calls: number
}

/** Times are ms since the incident's beginning, with decimals. */
export type Call = {
  readonly index: number
  readonly startMs: number
  endMs: number
  readonly tool: Tool
  provider: string | null
  model: string | null
  readonly client: Client
  readonly session: Session | null
  readonly callNumber: number | null
  server: ServerRun
  /** The process of its head span. */
  headProcess: string
  /** The call before it in its session; its end may be later. */
  readonly previous: Call | null
  /** The call that began last before it in its head process. */
  before: Call | null
  /** How many calls of its head process run when it begins. */
  running: number
  /** From 0: how many calls its server process has taken before. */
  place: number
  bytesIn: number
  bytesOut: number
  tokensIn: number
  tokensOut: number
  historyBytes: number
  outcome: Outcome
  /** Free attributes, with the layer whose span has them; without such a span the head has it, unless it is bound. */
  readonly attributes: Map<string, { readonly layer: string; readonly value: Json; readonly bound?: boolean }>
  /** What each thing planted added, in ms, and by layer. */
  readonly extras: number[]
  readonly extraLayers: Map<string, number>[]
}

export type World = {
  readonly dice: Dice
  readonly style: Style
  readonly book: NameBook
  readonly beginUs: number
  readonly lengthMs: number
  readonly callsWanted: number
  readonly tools: Tool[]
  readonly clients: readonly Client[]
  /** The lives of each instance, in their order. */
  readonly instances: ServerRun[][]
  readonly hidden: ReadonlySet<string>
  readonly sessions: SessionRule | null
  readonly callsPerSession: number
  readonly thinkMs: number
  readonly overlapShare: number
  /** At which part of a call the next begins that overlaps it. */
  readonly overlapAt: readonly [number, number]
  /** Share of calls that go to the provider that their tool prefers: at 1 tool and provider say nearly the same. */
  readonly fidelity: number
  readonly sigma: number
  readonly tailShare: number
  readonly streams: 'span' | 'attribute' | 'none'
  readonly missingShare: number
  readonly skewMs: number
  readonly grainUs: number
  readonly parallelShare: number
  /** Of each client, the instance that it mostly talks to. */
  readonly homes: ReadonlyMap<string, number>
  readonly processes: { [id: string]: WhyProcess }
  /** How often calls fail by nature. */
  readonly faultShare: number
  /** How often a tool asks its model. */
  readonly turnsMax: number
  /** Whether tools tell their steps, and databases and caches of which layer. */
  readonly steps: boolean
  readonly ownLayer: string | null
  /** Share of calls whose head span does not say which tool it is. */
  readonly namelessShare: number
  /** Attributes of the head span tell how long the call was. */
  readonly tellsLength: boolean
  readonly recordsNumbers: boolean
}

export type WorldWish = {
  readonly style?: Style
  readonly calls?: number
  readonly callsMax?: number
  readonly tools?: readonly [number, number]
  /** Spread of the tools' natural speeds: the deviation of the logarithm. */
  readonly spread?: number
  readonly needsSessions?: boolean
  readonly needsModels?: boolean
  readonly needs?: readonly string[]
  readonly callsPerSession?: number
  readonly overlapShare?: number
  readonly overlapsEarly?: boolean
  readonly streams?: boolean
  readonly restarts?: number
  readonly instances?: readonly [number, number]
  readonly heavy?: boolean
  readonly faultShare?: number
  readonly busy?: boolean
}

const sizes: readonly (readonly [number, number])[] = [
  [60, 300],
  [200, 900],
  [800, 5_000],
]
const toolCounts: readonly (readonly [number, number])[] = [
  [5, 12],
  [8, 40],
  [40, 200],
]

export function worldOf(dice: Dice, wish: WorldWish = {}): World {
  const style = wish.style ?? dice.weighted(styles, [5, 3, 4])
  const book = nameBooks[style]
  const [fewest, most] = dice.weighted(sizes, [3, 6, 1.5])
  const calls = Math.min(wish.calls ?? Math.round(dice.logBetween(fewest, most)), wish.callsMax ?? most)
  const sessions =
    wish.needsSessions || style === 'exai' || dice.is(style === 'otlp' ? 0.4 : 0.85) ? dice.one(book.rules) : null
  const callsPerSession = wish.callsPerSession ?? dice.logBetween(2.5, 9)
  // A range that a person would look at: calls come every 0.2 to 20 s.
  const lengthMs = calls * (wish.busy ? dice.logBetween(150, 900) : dice.logBetween(200, 20_000))
  const processes: { [id: string]: WhyProcess } = {}
  const beginUs = 1_789_393_600_000_000 + dice.whole(0, 5_000_000) * 1_000_003
  const tools = toolsOf(dice, book, style, wish)
  const instances = instancesOf(dice, book, lengthMs, wish, processes, beginUs)
  const clients = clientsOf(dice, book, processes, beginUs)
  const hidden = hiddenOf(dice, style, wish.needs ?? [])
  return {
    dice,
    style,
    book,
    beginUs,
    lengthMs,
    callsWanted: calls,
    tools,
    clients,
    instances,
    hidden,
    sessions,
    callsPerSession,
    thinkMs: wish.busy ? dice.logBetween(100, 1_500) : dice.logBetween(300, 20_000),
    overlapAt: wish.overlapsEarly ? [0.02, 0.25] : [0.2, 0.9],
    overlapShare: wish.overlapShare ?? (dice.is(0.5) ? dice.between(0.02, 0.2) : 0),
    fidelity: dice.one([0.6, 0.75, 0.85, 0.95]),
    sigma: wish.heavy ? dice.between(0.6, 1) : dice.is(0.12) ? dice.between(0.02, 0.1) : dice.between(0.18, 0.5),
    tailShare: wish.heavy ? dice.between(0.02, 0.06) : dice.one([0, 0.003, 0.01, 0.02]),
    streams: wish.streams
      ? dice.weighted(['span', 'attribute'] as const, [3, 1])
      : dice.weighted(['span', 'attribute', 'none'] as const, [4, 1, 4]),
    missingShare: dice.is(0.35) ? dice.between(0.005, 0.05) : 0,
    skewMs: dice.one([0, 0, 2, 15, 80, 1_500]),
    grainUs: dice.weighted([1, 1_000], [4, 1]),
    parallelShare: style === 'otlp' ? dice.one([0, 0.5]) : 0,
    homes: new Map(clients.map(({ process }) => [process, dice.whole(0, instances.length - 1)])),
    processes,
    faultShare: wish.faultShare ?? dice.one([0, 0.005, 0.02]),
    turnsMax: dice.weighted([1, 3], [4, 1]),
    steps: dice.is(style === 'otlp' ? 0.6 : 0.15),
    ownLayer: style !== 'exai' && dice.is(0.3) ? dice.one(['vector', 'cache', 'gpu', 'auth']) : null,
    namelessShare: style === 'otlp' && dice.is(0.3) ? dice.between(0.02, 0.15) : 0,
    tellsLength: dice.is(0.12),
    recordsNumbers: dice.is(0.8),
  }
}

function toolsOf(dice: Dice, book: NameBook, style: Style, wish: WorldWish): Tool[] {
  const [least, most] = wish.tools ?? dice.weighted(toolCounts, [5, 3, 1])
  const n = Math.round(dice.logBetween(least, most))
  const spread = wish.spread ?? dice.between(0.2, 1.1)
  const baseMs = dice.logBetween(80, 2_500)
  const providers = dice.some(book.providers, dice.whole(2, Math.min(5, book.providers.length)))
  const modelShare = wish.needsModels ? 1 : style === 'exai' ? 0.85 : dice.one([0.35, 0.7, 0.9])
  return Array.from({ length: n }, (_, index) => {
    const asks = dice.is(modelShare)
    const provider = asks ? dice.one(providers) : null
    const total = baseMs * Math.exp(spread * dice.normal())
    // What part each layer has in it; the outer ones are thin.
    const raw: [string, number][] = [
      ['shim', 0.01 * dice.around(1, 0.4)],
      ['websocket', 0.02 * dice.around(1, 0.4)],
      ['tool', (asks ? 0.15 : 0.5) * dice.around(1, 0.5)],
      ['provider', asks ? 0.03 * dice.around(1, 0.5) : 0],
      ['api', asks ? 0.6 * dice.around(1, 0.4) : 0],
      ['storage', (asks ? 0.18 : 0.45) * dice.around(1, 0.5)],
    ]
    const sum = raw.reduce((all, [, part]) => all + part, 0)
    const [known, ...rest] = [book.tools[index % book.tools.length] as string, Math.floor(index / book.tools.length)]
    return {
      name: rest[0] === 0 ? known : `${known}_v${(rest[0] ?? 0) + 1}`,
      provider,
      model: provider === null ? null : dice.one(modelsOf(book, provider)),
      // A few tools have most of the calls.
      weight: 1 / (index + 1) ** dice.between(0.3, 1),
      ms: Object.fromEntries(raw.map(([layer, part]) => [layer, (total * part) / sum])),
      burden: dice.logBetween(0.4, 2.4),
      storageCalls: dice.whole(1, 3),
    }
  })
}

export function modelsOf(book: NameBook, provider: string): readonly string[] {
  return book.models[provider] ?? [`${provider.toLowerCase()}-large`, `${provider.toLowerCase()}-small`]
}

function instancesOf(
  dice: Dice,
  book: NameBook,
  lengthMs: number,
  wish: WorldWish,
  processes: { [id: string]: WhyProcess },
  beginUs: number,
): ServerRun[][] {
  const [least, most] = wish.instances ?? [1, dice.one([1, 3, 6])]
  const n = dice.whole(least, most)
  const hosts = dice.some(book.hosts, dice.whole(1, n))
  const version = dice.one(book.versions)
  const service = dice.one(book.services)
  return Array.from({ length: n }, (_, index) => {
    const restarts = wish.restarts ?? (dice.is(0.2) ? dice.whole(1, 2) : 0)
    const begins = [-dice.logBetween(600_000, 86_400_000 * 5)]
    for (let life = 0; life < restarts; life++) {
      // Lives of like length, so that each has its calls.
      begins.push(((life + dice.between(0.4, 0.9)) / (restarts + 0.5)) * lengthMs)
    }
    const host = hosts[index % hosts.length] as string
    return begins.map((startedMs) =>
      runOf(dice, { instance: `${service}-${index}`, host, version, startedMs }, service, processes, beginUs),
    )
  })
}

export function runOf(
  dice: Dice,
  run: Pick<ServerRun, 'instance' | 'host' | 'version' | 'startedMs'>,
  service: string,
  processes: { [id: string]: WhyProcess },
  beginUs: number,
): ServerRun {
  const id = dice.uuid()
  const started_us = Math.round(beginUs + run.startedMs * 1_000)
  processes[id] = {
    service,
    environment: 'production',
    instance: run.instance,
    version: run.version,
    host: run.host,
    started_us,
  }
  return { ...run, id, calls: 0 }
}

function clientsOf(dice: Dice, book: NameBook, processes: { [id: string]: WhyProcess }, beginUs: number): Client[] {
  const kinds = dice.some(book.clients, dice.whole(1, Math.min(4, book.clients.length)))
  return Array.from({ length: dice.whole(kinds.length, kinds.length * dice.one([1, 4, 10])) }, (_, index) => {
    const name = kinds[index % kinds.length] as string
    const process = dice.uuid()
    const host = `desk-${dice.whole(1, 40)}`
    const started_us = beginUs - dice.whole(60, 400_000) * 1_000_000
    processes[process] = {
      service: 'shim',
      environment: 'production',
      instance: host,
      version: '1.4.0',
      host,
      started_us,
    }
    return { name, version: dice.one(['1.0.3', '1.1.0', '2.0.0']), process, host }
  })
}

/** Which layers nobody records. */
function hiddenOf(dice: Dice, style: Style, needs: readonly string[]): ReadonlySet<string> {
  const ways: { readonly [style in Style]: readonly (readonly string[])[] } = {
    exai: [[], [], ['shim'], ['shim', 'provider']],
    plain: [
      ['shim', 'websocket'],
      ['shim', 'websocket', 'provider'],
      ['websocket'],
      ['shim', 'websocket', 'provider', 'api', 'storage'],
    ],
    otlp: [['shim'], ['shim', 'provider'], ['shim', 'websocket'], ['shim', 'websocket', 'provider']],
  }
  const fits = ways[style].filter((hidden) => !needs.some((layer) => hidden.includes(layer)))
  return new Set(dice.one(fits.length > 0 ? fits : [[]]))
}
