import type { Session } from '../src/core/record.ts'
import type { Field } from './incident_attribute.ts'
import { tellFirstChunk, treeOf } from './incident_call.ts'
import { median } from './incident_chance.ts'
import type { Plant, Scene } from './incident_plant.ts'
import { type CallNode, durationOf, layerTimesOf, nodesOf, type Recorded, spansOf } from './incident_tree.ts'
import { type Call, modelsOf, type ServerRun, type World } from './incident_world.ts'

export type Played = { readonly call: Call; readonly traceId: string; readonly spans: readonly Recorded[] }

type Talk = {
  readonly session: Session | null
  readonly client: World['clients'][number]
  readonly instance: number
  left: number
  number: number
  last: Call | null
  historyBytes: number
}

/** Lets the system run: sessions come and go, each call is built, changed by what is planted, and recorded. */
export function play(world: World, fields: readonly Field[], plants: readonly Plant[]): Played[] {
  const { dice } = world
  const played: Played[] = []
  const running = new Map<string, Call[]>()
  const lastOf = new Map<string, Call>()
  const scene: Scene = { world, unitMs: unitOf(world), calls: [], waiting: new Map() }
  const clock = clockOf(world)
  const agenda = openings(world)
  while (agenda.length > 0 && played.length < world.callsWanted) {
    const { at, talk } = agenda.pop() as Turn
    const call = callOf(world, talk, at, played.length)
    const others = (running.get(call.headProcess) ?? []).filter(({ endMs }) => endMs > at)
    call.before = lastOf.get(call.headProcess) ?? null
    call.running = others.length
    for (const { key, layer, draw } of fields) {
      const value = draw(call)
      if (value !== undefined) call.attributes.set(key, { layer, value, bound: true })
    }
    const root = built(scene, call, plants)
    tellFirstChunk(world, root)
    call.endMs = at + durationOf(root)
    if (world.tellsLength) Object.assign(root.attributes, lengthFactsOf(call))
    scene.calls.push(call)
    running.set(call.headProcess, [...others, call])
    lastOf.set(call.headProcess, call)
    const traceId = dice.hex(31) + dice.whole(1, 9)
    const spans = spansOf(root, traceId, world.beginUs + at * 1_000, clock, dice)
    played.push({ call, traceId, spans: withMissing(world, spans) })
    talk.last = call
    talk.historyBytes += call.bytesIn + call.bytesOut
    if (--talk.left > 0) put(agenda, { at: nextAt(world, call), talk })
  }
  return played
}

type Turn = { readonly at: number; readonly talk: Talk }

/** The first calls of all sessions, the earliest last. */
function openings(world: World): Turn[] {
  const { dice } = world
  const turns: Turn[] = []
  let calls = 0
  while (calls < world.callsWanted) {
    const client = dice.one(world.clients)
    const left =
      world.sessions === null ? 1 : Math.max(1, Math.min(40, Math.round(dice.around(world.callsPerSession, 0.5))))
    calls += left
    const key = dice.uuid()
    const session = world.sessions === null ? null : { key, rule: world.sessions }
    const home = world.homes.get(client.process) ?? 0
    const instance = dice.is(0.5) ? home : dice.whole(0, world.instances.length - 1)
    const talk: Talk = { session, client, instance, left, number: 0, last: null, historyBytes: 0 }
    turns.push({ at: dice.between(0, world.lengthMs), talk })
  }
  return turns.toSorted((a, b) => b.at - a.at)
}

function put(agenda: Turn[], turn: Turn): void {
  let low = 0
  let high = agenda.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((agenda[middle] as Turn).at > turn.at) low = middle + 1
    else high = middle
  }
  agenda.splice(low, 0, turn)
}

function nextAt({ dice, overlapShare, overlapAt, thinkMs }: World, { startMs, endMs }: Call): number {
  if (dice.is(overlapShare)) return startMs + (endMs - startMs) * dice.between(...overlapAt)
  return endMs + dice.around(thinkMs, 0.9)
}

function callOf(world: World, talk: Talk, at: number, index: number): Call {
  const { dice } = world
  const tool = dice.weighted(
    world.tools,
    world.tools.map(({ weight }) => weight),
  )
  const providers = [...new Set(world.tools.flatMap(({ provider }) => provider ?? []))]
  const kept = dice.is(world.fidelity)
  const provider = tool.provider === null ? null : kept ? tool.provider : dice.one(providers)
  const models = provider === null ? [] : modelsOf(world.book, provider)
  const model = provider === null ? null : kept && dice.is(0.85) ? tool.model : dice.one(models)
  const lives = world.instances[talk.instance] as ServerRun[]
  const server = lives.findLast(({ startedMs }) => startedMs <= at) ?? (lives[0] as ServerRun)
  talk.number++
  const bytesIn = Math.round(dice.around(900, 0.9))
  const tokensOut = Math.round(dice.around(260, 0.7))
  return {
    index,
    startMs: at,
    endMs: at,
    tool,
    provider,
    model: provider !== null && model !== null && models.includes(model) ? model : (models[0] ?? null),
    client: talk.client,
    session: talk.session,
    callNumber: talk.session === null ? null : talk.number,
    server,
    headProcess: world.hidden.has('shim') ? server.id : talk.client.process,
    previous: talk.last,
    before: null,
    running: 0,
    place: server.calls++,
    bytesIn,
    bytesOut: Math.round(dice.around(2_400, 0.8)),
    tokensIn: Math.round(((talk.historyBytes + bytesIn) / 4) * dice.around(1, 0.05)) + 40,
    tokensOut,
    historyBytes: talk.historyBytes,
    outcome: 'ok',
    attributes: new Map(),
    extras: [],
    extraLayers: [],
  }
}

function built(scene: Scene, call: Call, plants: readonly Plant[]): CallNode {
  for (const plant of plants) plant.dress?.(scene, call)
  const root = treeOf(scene.world, call)
  if (scene.world.dice.is(scene.world.faultShare)) call.outcome = scene.world.dice.one(['tool_error', 'server_fault'])
  for (const plant of plants) {
    const before = layerTimesOf(root)
    const durationBefore = durationOf(root)
    plant.act(scene, call, root)
    const after = layerTimesOf(root)
    call.extras.push(durationOf(root) - durationBefore)
    call.extraLayers.push(new Map([...after].map(([layer, ms]) => [layer, ms - (before.get(layer) ?? 0)])))
  }
  root.fields = { ...root.fields, outcome: call.outcome }
  const places = new Map<string, CallNode>()
  for (const node of nodesOf(root, ({ kind }) => kind === 'work')) {
    if (!places.has(node.layer)) places.set(node.layer, node)
  }
  for (const [key, { layer, value, bound }] of call.attributes) {
    const node = places.get(layer) ?? (bound ? null : root)
    if (node) node.attributes[key] = value
  }
  return root
}

/** What a span has because its call was long: nothing of it makes a call slow. */
function lengthFactsOf({ startMs, endMs }: Call): { [key: string]: number } {
  const ms = endMs - startMs
  const progress = Math.floor(ms / 5_000)
  return { response_time_ms: Math.round(ms), ...(progress > 0 ? { 'telltale.progress_count': progress } : {}) }
}

/** What a call takes by nature, in the middle; found out beside the run. */
function unitOf(world: World): number {
  const talk = (): Talk => {
    const client = world.dice.one(world.clients)
    return { session: null, client, instance: 0, left: 1, number: 0, last: null, historyBytes: 4_000 }
  }
  const durations = Array.from({ length: 200 }, () => durationOf(treeOf(world, callOf(world, talk(), 0, 0))))
  for (const lives of world.instances) for (const life of lives) life.calls = 0
  return median(durations)
}

function clockOf(world: World) {
  const offsets = new Map<string, number>()
  return {
    offsetUs(process: string) {
      const known = offsets.get(process) ?? Math.round(world.dice.normal() * world.skewMs * 1_000)
      offsets.set(process, known)
      return known
    },
    grainUs: () => world.grainUs,
  }
}

/** Some spans get lost, and sometimes all below them; of some the end is. */
function withMissing({ dice, missingShare }: World, spans: readonly Recorded[]): readonly Recorded[] {
  if (missingShare === 0) return spans
  const lost = new Set<string>()
  return spans.flatMap((recorded, index) => {
    const { span, process } = recorded
    if (index === 0) return [recorded]
    const below = span.parent_span_id !== null && lost.has(span.parent_span_id) && dice.is(0.5)
    if (below || dice.is(missingShare)) {
      lost.add(span.span_id)
      return []
    }
    return dice.is(missingShare * 0.2) ? [{ process, span: { ...span, end_us: null, outcome: null } }] : [recorded]
  })
}
