import type { Outcome } from '../src/core/outcome.ts'
import type { Dice } from './incident_chance.ts'
import { type Ask, atPartOf, putFirst, type Recipe, type Scene, whenOf, wishOf } from './incident_plant.ts'
import { type CallNode, durationOf, nodeOf, nodesOf, waitOf, workOf } from './incident_tree.ts'
import type { Call, World } from './incident_world.ts'

// What makes calls slower by making them wait, come to nothing, come again, or come after something.

const failed: ReadonlySet<Outcome> = new Set(['tool_error', 'server_fault', 'timeout'])

type Waiting = { readonly name: string; readonly layer: string }

function waitingIn(dice: Dice, world: World): Waiting {
  const { book, hidden } = world
  const places: Waiting[] = [
    ...book.permits.map((name) => ({ name, layer: 'tool' })),
    ...book.permits.map((name) => ({ name, layer: 'provider' })),
    ...book.pools.map((name) => ({ name, layer: 'storage' })),
    ...book.queues.map((name) => ({ name, layer: 'websocket' })),
    { name: dice.one(['permit session_lock', 'permit index_lock', 'permit file_lock']), layer: 'tool' },
  ]
  const asking = world.tools.every(({ provider }) => provider !== null)
  return dice.one(places.filter(({ layer }) => !hidden.has(layer) && (layer !== 'provider' || asking)))
}

/** Calls wait for a permit, a lock, a connection or their turn. */
export function waiting(dice: Dice, ask: Ask): Recipe {
  const asked = ask.kind === 'call_number'
  const ways = asked ? ['leak'] : atPartOf(ask) === null ? ['leak', 'held', 'held', 'crowd'] : ['shrunk']
  const way = dice.one(ways)
  const n = asked ? ask.n : 3
  const size = dice.between(1, 3.5)
  const wish = {
    ...wishOf(dice, ask),
    ...(way === 'leak' && !asked ? { needsSessions: true, callsPerSession: 3.2 } : {}),
  }
  return {
    wish: way === 'crowd' ? { ...wish, busy: true, instances: [1, 2] } : wish,
    plant(world) {
      const { name, layer } = waitingIn(dice, world)
      const job = dice.one([...world.tools.map((tool) => tool.name), 'reindex', 'nightly backup', 'background'])
      const holds = way === 'held' ? holdsOf(dice, world) : []
      const when = whenOf(dice, ask)
      return {
        kind: `${way}: ${name}`,
        cause: 'waiting',
        attribute: name,
        value: way === 'leak' ? null : job,
        atPart: atPartOf(ask),
        act: (scene, call, root) => {
          const node = workOf(root, layer)[0]
          if (!node) return
          let ms = dice.is(0.25) ? dice.between(1, Math.max(2, scene.unitMs * 0.01)) : 0
          let holder: string | null = job
          if (way === 'leak') {
            const later = call.callNumber !== null && call.callNumber > n && dice.is(0.2)
            if ((call.callNumber === n && dice.is(0.93)) || later) ms = scene.unitMs * size * dice.around(1, 0.35)
            holder = call.previous?.tool.name ?? null
          } else if (way === 'held') {
            const hold = holds.find(({ from, to }) => from <= call.startMs && call.startMs < to)
            if (hold) ms = (hold.to - call.startMs) * dice.between(0.9, 1)
          } else if (way === 'crowd') ms = Math.max(ms, turnOf(scene, call, root, world))
          else if (when(scene, call)) ms = scene.unitMs * size * dice.around(1, 0.5)
          if (ms <= 0) return
          const wait = waitOf(node, name, ms, dice.is(0.85) ? holder : null)
          if (holder !== null) wait.attributes['telltale.holder_held_ms'] = Math.round(ms * dice.between(1, 3))
          putFirst(node, wait)
        },
      }
    },
  }
}

/** When somebody has the only one: a sixth to a third of the time, for several calls each time. */
function holdsOf(dice: Dice, world: World): { readonly from: number; readonly to: number }[] {
  const medianMs = world.tools
    .map(({ ms }) => Object.values(ms).reduce((sum, part) => sum + part, 0))
    .toSorted((a, b) => a - b)
  const unit = medianMs[medianMs.length >> 1] as number
  const length = unit * dice.between(4, 10)
  const share = dice.between(0.15, 0.35)
  const holds: { from: number; to: number }[] = []
  for (let at = 0; at < world.lengthMs * 1.2; ) {
    const to = at + length * dice.between(0.7, 1.4)
    holds.push({ from: at, to })
    at = to + (length / share) * (1 - share) * dice.between(0.5, 1.5)
  }
  return holds
}

/** How long a call stands in line for one of few places, each taken until its call is done. */
function turnOf({ waiting, calls }: Scene, call: Call, root: CallNode, world: World): number {
  const key = call.server.id
  // As many places as leave them busy nine tenths of the time.
  const rate = world.callsWanted / world.lengthMs / world.instances.length
  const recent = calls.slice(-50)
  const meanMs =
    recent.reduce((sum, { endMs, startMs, extras }) => sum + endMs - startMs - (extras[0] ?? 0), 0) /
    Math.max(1, recent.length)
  const places = waiting.get(key) ?? Array.from({ length: Math.max(1, Math.floor(rate * (meanMs || 100))) }, () => 0)
  const free = places.indexOf(Math.min(...places))
  const ms = Math.max(0, (places[free] as number) - call.startMs)
  places[free] = call.startMs + ms + durationOf(root)
  waiting.set(key, places)
  return ms
}

/** Some calls end at a time that somebody set. */
export function fixedTimeout(dice: Dice, ask: Ask): Recipe {
  const when = whenOf(dice, ask, dice.between(0.06, 0.2))
  const times = dice.between(4, 15)
  const tells = dice.one(['timeout', 'tool_error', 'ok'] as const)
  return {
    wish: { ...wishOf(dice, ask), ...(dice.is(0.6) ? { needsModels: true, needs: ['api'] } : {}) },
    plant(world) {
      const asking = world.tools.every(({ provider }) => provider !== null)
      const layer = dice.one(
        ['api', 'api', 'storage', 'tool'].filter((name) => !world.hidden.has(name) && (name !== 'api' || asking)),
      )
      let limitMs = 0
      return {
        kind: `${layer} timeout`,
        cause: 'fixed_timeout',
        attribute: null,
        get value() {
          return limitMs
        },
        atPart: atPartOf(ask),
        act: (scene, call, root) => {
          limitMs ||= roundTimeout(scene.unitMs * times)
          const node = workOf(root, layer)[0]
          if (!node || !when(scene, call) || durationOf(node) >= limitMs) return
          node.children = node.children.filter(({ name }) => name !== 'first chunk')
          const inner = durationOf(node) - node.ms
          node.ms = Math.max(0.01, limitMs - inner) + dice.between(0, Math.max(3, limitMs * 0.002))
          node.fields = { ...node.fields, outcome: 'timeout' }
          if (tells !== 'ok') call.outcome = tells
        },
      }
    },
  }
}

function roundTimeout(ms: number): number {
  const usual = [
    500, 1_000, 2_000, 3_000, 5_000, 8_000, 10_000, 15_000, 20_000, 30_000, 45_000, 60_000, 90_000, 120_000,
  ]
  return usual.reduce((best, one) => (Math.abs(Math.log(one / ms)) < Math.abs(Math.log(best / ms)) ? one : best))
}

/** An attempt fails, and comes again after a pause. */
export function retries(dice: Dice, ask: Ask): Recipe {
  const when = whenOf(dice, ask)
  const attempts = dice.whole(2, 4)
  const backoff = dice.between(0.3, 1)
  const part = dice.between(0.2, 1)
  return {
    wish: { ...wishOf(dice, ask), needsModels: true, needs: ['api'] },
    plant: () => ({
      kind: `${attempts} attempts`,
      cause: 'retries',
      attribute: null,
      value: attempts,
      atPart: atPartOf(ask),
      act: (scene, call, root) => {
        const parent = nodesOf(root, ({ children }) => children.some(({ layer }) => layer === 'api'))[0]
        const api = parent?.children.find(({ layer }) => layer === 'api')
        if (!parent || !api) return
        const tries = when(scene, call) ? attempts : 1
        const steps: CallNode[] = []
        for (let attempt = 1; attempt < tries; attempt++) {
          const ms = durationOf(api) * part * dice.around(1, 0.3)
          const fields = { ...api.fields, outcome: 'server_fault' as const, tokens_in: null, tokens_out: null }
          const attributes = { 'telltale.attempt': attempt, 'http.response.status_code': dice.one([429, 503]) }
          steps.push(nodeOf('api', api.name, api.process, ms, { fields, attributes }))
          const pause = waitOf(parent, 'backoff', scene.unitMs * backoff * 2 ** (attempt - 1) * dice.between(0.5, 1))
          pause.attributes['telltale.attempt'] = attempt
          steps.push(pause)
        }
        api.attributes['telltale.attempt'] = tries
        if (tries > 1) parent.attributes['telltale.retry_count'] = tries - 1
        parent.children.splice(parent.children.indexOf(api), 0, ...steps)
      },
    }),
  }
}

/** What ran before raised, was of a kind, or still runs. */
export function previousCall(dice: Dice, ask: Ask): Recipe {
  const way = dice.one(['raised', 'raised anywhere', 'tool', 'running'] as const)
  const size = dice.between(1.2, 3.5)
  const wish = { ...wishOf(dice, ask), needsSessions: true, callsPerSession: dice.between(4, 9) }
  return {
    wish: {
      ...wish,
      ...(way.startsWith('raised') ? { faultShare: dice.between(0.1, 0.25) } : {}),
      ...(way === 'running' ? { overlapShare: dice.between(0.2, 0.35), overlapsEarly: true } : { overlapShare: 0.02 }),
    },
    plant(world) {
      const layer = dice.one(['websocket', 'tool', 'tool', 'storage'].filter((name) => !world.hidden.has(name)))
      const tool = dice.one(world.tools.slice(0, Math.min(3, world.tools.length)))
      const seen = way === 'running' && dice.is(0.4)
      return {
        kind: seen ? 'frame before it' : way,
        cause: 'previous_call',
        attribute: null,
        value: way === 'tool' ? tool.name : null,
        atPart: null,
        ...(seen ? { alsoCause: ['waiting'] as const, alsoCalled: ['frame before it'] } : {}),
        act: (scene, call, root) => {
          const { previous, before } = call
          const node = workOf(root, layer)[0]
          if (!node || previous === null) return
          const hit = {
            raised: failed.has(previous.outcome),
            'raised anywhere': before !== null && failed.has(before.outcome),
            tool: previous.tool === tool,
            running: previous.endMs > call.startMs,
          }[way]
          if (!hit) return
          const ms =
            way === 'running'
              ? previous.endMs - call.startMs + scene.unitMs * dice.between(0.05, 0.4)
              : scene.unitMs * size * dice.around(1, 0.3)
          if (seen) putFirst(node, waitOf(node, 'frame before it', ms, previous.tool.name))
          else node.ms += ms
        },
      }
    },
  }
}
