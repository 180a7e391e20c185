import type { Json } from '../src/core/record.ts'
import type { Dice } from './incident_chance.ts'
import { type Ask, atPartOf, type Plant, type Recipe, type Scene, slowDown, wishOf } from './incident_plant.ts'
import { type Call, modelsOf, runOf, type ServerRun, type World } from './incident_world.ts'

// What makes the calls slower that have an attribute with a value, or two attributes with two values.

export type Mark = {
  readonly attribute: string
  readonly value: string | number
  readonly layers: readonly string[]
  readonly alsoCalled?: readonly string[]
  /** Makes the call one that has it, or one that has not, where that can be chosen. */
  dress?(scene: Scene, call: Call): void
  has(call: Call): boolean
}

const textOf = (value: Json | undefined) => (typeof value === 'object' ? null : String(value))

/** How likely a call has the value: where calls are asked about, mostly they; else some of all. */
function chanceOf(ask: Ask, share: number): (scene: Scene, call: Call) => number {
  if (ask.kind === 'call_number') return (_, { callNumber }) => (callNumber === ask.n ? 0.93 : 0.04)
  const atPart = atPartOf(ask)
  if (atPart !== null) return ({ world }, { startMs }) => (startMs >= atPart * world.lengthMs ? 0.9 : 0.02)
  return () => share
}

/** Whether the calls that are asked about are sent elsewhere than the others. */
function moves(ask: Ask): boolean {
  return ask.kind === 'call_number' || atPartOf(ask) !== null
}

/** A free attribute of few values. */
export function freeMark(dice: Dice, ask: Ask, share: number): () => Mark {
  const chance = chanceOf(ask, share)
  const [attribute, values, slow] = dice.one<readonly [string, readonly Json[], Json]>([
    ['index.kind', ['flat', 'hnsw', 'ivf'], 'flat'],
    ['tier', ['free', 'pro', 'enterprise'], 'free'],
    ['isolation', ['serializable', 'read committed'], 'serializable'],
    ['compression', ['none', 'gzip', 'br'], 'br'],
    ['use_websearch', [false, true], true],
    ['cache', ['hit', 'miss'], 'miss'],
    ['cache.hit', [true, false], false],
    ['resume', [false, true], true],
    ['replica', ['r1', 'r2', 'r3', 'r4'], 'r3'],
    ['config.revision', [17, 18], 18],
    ['thinking.mode', ['low', 'medium', 'high'], 'high'],
    ['argument_size', ['small', 'medium', 'large'], 'large'],
    ['db.collection', ['messages', 'files', 'users', 'events'], 'events'],
    ['cold_start', [false, true], true],
    ['faas.coldstart', [false, true], true],
  ])
  const place = dice.one(['tool', 'storage', 'tool', 'websocket'])
  const others = values.filter((value) => value !== slow)
  return () => ({
    attribute,
    value: slow as string | number,
    layers: ['tool', 'storage', 'api'],
    dress: (scene, call) => {
      const value = dice.is(chance(scene, call)) ? slow : dice.one(others)
      call.attributes.set(attribute, { layer: place, value })
    },
    has: ({ attributes }) => attributes.get(attribute)?.value === slow,
  })
}

/** The answers that came from no cache: there is nothing on the others' spans that says so. */
function uncachedMark(dice: Dice, ask: Ask, share: number): () => Mark {
  const chance = chanceOf(ask, share)
  return () => ({
    attribute: 'telltale.from_cache',
    value: 'false',
    layers: ['tool', 'storage'],
    dress: (scene, call) => {
      if (!dice.is(chance(scene, call))) call.attributes.set('telltale.from_cache', { layer: 'tool', value: true })
    },
    has: ({ attributes }) => !attributes.has('telltale.from_cache'),
  })
}

function providerMark(dice: Dice, ask: Ask, share: number): (world: World) => Mark | null {
  const chance = chanceOf(ask, share)
  return (world) => {
    const providers = [...new Set(world.tools.flatMap(({ provider }) => provider ?? []))]
    if (providers.length < 2) return null
    const slow = dice.one(providers)
    return {
      attribute: 'provider',
      value: slow,
      layers: ['api'],
      dress: (scene, call) => {
        if (call.provider === null || (!moves(ask) && dice.is(0.5))) return
        call.provider = dice.is(chance(scene, call)) ? slow : dice.one(providers.filter((name) => name !== slow))
        const models = modelsOf(world.book, call.provider)
        if (!models.includes(call.model ?? '')) call.model = dice.one(models)
      },
      has: ({ provider }) => provider === slow,
    }
  }
}

function modelMark(dice: Dice, ask: Ask, share: number): (world: World) => Mark | null {
  const chance = chanceOf(ask, share)
  return (world) => {
    const provider = dice.one(world.tools.flatMap(({ provider }) => provider ?? []))
    const [slow, other] = dice.some(modelsOf(world.book, provider), 2)
    if (slow === undefined || other === undefined) return null
    return {
      attribute: 'model',
      value: slow,
      layers: ['api'],
      dress: (scene, call) => {
        if (call.provider === null) return
        if (moves(ask)) call.provider = provider
        if (call.provider === provider) call.model = dice.is(moves(ask) ? chance(scene, call) : 0.4) ? slow : other
      },
      has: (call) => call.model === slow && call.provider === provider,
    }
  }
}

function toolMark(dice: Dice, ask: Ask): (world: World) => Mark {
  return (world) => {
    // One that is called often enough to be noticed, and that is no slower by nature than others.
    const tool = dice.one(world.tools.slice(0, Math.min(3, world.tools.length)))
    const atMs = (atPartOf(ask) ?? -1) * world.lengthMs
    const share = world.tools.reduce((sum, { weight }) => sum + weight, 0)
    if (ask.kind === 'after') Object.assign(tool, { weight: share * 2 })
    return {
      attribute: 'tool',
      value: tool.name,
      layers: ['tool', 'storage'],
      has: (call) => call.tool === tool && call.startMs >= atMs,
    }
  }
}

function versionMark(dice: Dice, ask: Ask): (world: World) => Mark | null {
  return (world) => {
    const [old] = (world.instances[0] as ServerRun[]).map(({ version }) => version)
    const next = dice.one(world.book.versions.filter((version) => version !== old))
    const atPart = atPartOf(ask)
    const upgraded = atPart === null ? world.instances.slice(0, Math.ceil(world.instances.length / 3)) : world.instances
    if (atPart === null && world.instances.length < 2) return null
    for (const lives of upgraded) {
      const [first] = lives as [ServerRun]
      const service = world.processes[first.id]?.service as string
      const startedMs = atPart === null ? first.startedMs : atPart * world.lengthMs * dice.between(1, 1.01)
      const life = runOf(dice, { ...first, version: next, startedMs }, service, world.processes, world.beginUs)
      lives.splice(atPart === null ? 0 : 1, lives.length, life)
    }
    return {
      attribute: 'version',
      value: next,
      layers: ['tool', 'storage', 'websocket'],
      has: ({ server }) => server.version === next,
    }
  }
}

export function hostMark(dice: Dice): (world: World) => Mark | null {
  return (world) => {
    const hosts = [...new Set(world.instances.flat().map(({ host }) => host))]
    if (hosts.length < 2) return null
    const slow = dice.one(hosts)
    return { attribute: 'host', value: slow, layers: ['tool', 'storage'], has: ({ server }) => server.host === slow }
  }
}

export function clientMark(dice: Dice): (world: World) => Mark | null {
  return (world) => {
    const names = [...new Set(world.clients.map(({ name }) => name))]
    if (names.length < 2) return null
    const slow = dice.one(names)
    return {
      attribute: 'mcp.client.name',
      alsoCalled: ['client', 'client.name'],
      value: slow,
      layers: ['shim', 'websocket', 'tool'],
      has: ({ client }) => client.name === slow,
    }
  }
}

const coldNames = [
  'cold_start',
  'cold start',
  'telltale.cold_start',
  'process_age',
  'process_age_ms',
  'process_age_s',
  'process.age',
]

/** The first calls of a process, or those of its first seconds: nothing says so but when it started. */
function coldMark(dice: Dice): (world: World) => Mark {
  return (world) => {
    const places = dice.whole(2, 5)
    const meanMs = (world.lengthMs / world.callsWanted) * world.instances.length
    const ageMs = dice.is(0.5) ? meanMs * dice.between(2, 5) : Number.POSITIVE_INFINITY
    return {
      attribute: 'cold_start',
      alsoCalled: coldNames,
      value: 'true',
      layers: ['tool', 'storage'],
      has: ({ place, server, startMs }) =>
        server.startedMs >= 0 &&
        (ageMs < Number.POSITIVE_INFINITY ? startMs - server.startedMs < ageMs : place < places),
    }
  }
}

const sizeNames = ['bytes_in', 'argument_size', 'argument size', 'argument_size_class', 'size_class']

/** Arguments above a size take another way. */
function sizeMark(dice: Dice): () => Mark {
  const least = dice.one([1_024, 2_048, 4_096])
  return () => ({
    attribute: 'bytes_in',
    alsoCalled: sizeNames,
    value: `>= ${least}`,
    layers: ['tool', 'websocket', 'storage'],
    has: ({ bytesIn }) => bytesIn >= least,
  })
}

type Maker = (world: World) => Mark | null

function markOf(dice: Dice, ask: Ask, share: number): { readonly make: Maker; readonly wish: Recipe['wish'] } {
  const free = { make: freeMark(dice, ask, share), wish: {} }
  const models = { needsModels: true, needs: ['api'] }
  const moving = [
    free,
    free,
    { make: providerMark(dice, ask, share), wish: models },
    { make: modelMark(dice, ask, share), wish: models },
  ]
  if (ask.kind === 'call_number') return dice.one([free, free, { make: uncachedMark(dice, ask, share), wish: {} }])
  if (atPartOf(ask) !== null) {
    const version = { make: versionMark(dice, ask), wish: { restarts: 0, instances: [1, 3] as const } }
    const tool = { make: toolMark(dice, ask), wish: { tools: [5, 20] as const, spread: 0.3 } }
    return dice.one([...moving, version, version, tool])
  }
  return dice.one([
    ...moving,
    ...(ask.kind === 'none' ? [] : [{ make: toolMark(dice, ask), wish: { tools: [5, 20] as const, spread: 0.15 } }]),
    { make: versionMark(dice, ask), wish: { restarts: 0, instances: [3, 6] as const } },
    { make: hostMark(dice), wish: { instances: [2, 6] as const } },
    { make: clientMark(dice), wish: {} },
    { make: coldMark(dice), wish: { restarts: dice.whole(6, 12), instances: [1, 2] as const } },
    { make: sizeMark(dice), wish: {} },
    { make: uncachedMark(dice, ask, share), wish: {} },
  ])
}

/** Calls with one value of one attribute are slower, in one layer. */
export function attributeValue(dice: Dice, ask: Ask): Recipe {
  const share = dice.logBetween(0.06, 0.4)
  const { make, wish } = markOf(dice, ask, share)
  const size = dice.between(1, 3)
  const shadow = shadowOf(dice)
  const gaps = dice.is(0.15) ? 0.1 : 0
  return {
    wish: { ...wishOf(dice, ask), ...wish },
    plant(world) {
      const mark = make(world)
      const layer = mark && layerFor(dice, world, mark)
      if (!mark || !layer) return null
      const { attribute, value, alsoCalled } = mark
      const plant: Plant = {
        kind: attribute,
        cause: 'attribute_value',
        attribute,
        value: textOf(value),
        atPart: atPartOf(ask),
        ...(alsoCalled ? { alsoCalled } : {}),
        dress: (scene, call) => {
          mark.dress?.(scene, call)
          if (attribute !== 'cold_start') shadow?.(call, mark.has(call))
        },
        act: (scene, call, root) => {
          if (mark.has(call)) slowDown(scene, call, root, layer, size)
          if (dice.is(gaps)) call.attributes.delete(attribute)
        },
      }
      return plant
    },
  }
}

export function layerFor(dice: Dice, world: World, { layers }: Mark): string | undefined {
  const seen = layers.filter((layer) => !world.hidden.has(layer))
  if (seen.length > 0 && (layers[0] !== 'api' || seen[0] === 'api'))
    return dice.one(seen.filter((l) => l !== 'api' || layers[0] === 'api'))
  return layers[0] === 'api' ? undefined : 'tool'
}

/** An attribute that mostly goes along with the one that matters, and explains less. */
function shadowOf(dice: Dice): ((call: Call, has: boolean) => void) | null {
  if (!dice.is(0.4)) return null
  const key = dice.one(['pod', 'rack', 'route', 'backend', 'lane'])
  const faithful = dice.between(0.75, 0.92)
  return (call, has) => {
    call.attributes.set(key, { layer: 'tool', value: dice.is(faithful) === has ? 'x2' : dice.one(['x1', 'x3']) })
  }
}
