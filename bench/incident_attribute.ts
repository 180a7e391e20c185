import type { Json } from '../src/core/record.ts'
import type { Dice } from './incident_chance.ts'
import type { Call, World } from './incident_world.ts'

// The attributes that have nothing to do with what happened: most of those that a daemon records.

export type Field = {
  readonly key: string
  readonly layer: string
  /** Undefined: this call has none. */
  draw(call: Call): Json | undefined
}

const words = [
  ...[
    'region',
    'tenant',
    'plan',
    'feature.beta',
    'locale',
    'shard',
    'queue.name',
    'zone',
    'runtime',
    'format',
    'codec',
  ],
  ...['user.tier', 'branch', 'workspace', 'project', 'experiment.arm', 'auth.method', 'tls.version', 'thinking_mode'],
  ...['temperature_class', 'response.format', 'prompt.template', 'router.reason', 'db.index', 'db.pool', 'http.route'],
  ...[
    'retriever',
    'embedding.model',
    'guardrail',
    'language',
    'os.type',
    'editor',
    'session.kind',
    'priority',
    'cluster',
  ],
]
const numbers = [
  ...['payload.depth', 'rows', 'documents', 'files_count', 'cpu.load', 'heap_mb', 'temperature', 'top_p', 'score'],
  ...['event_loop_lag_ms', 'connections', 'gc.count', 'attempts_left', 'prompt.words', 'result.count', 'disk_free_gb'],
]
const identifiers = ['user.id', 'request.uuid', 'trace.parent', 'file.path', 'commit', 'http.user_agent', 'message_id']

/** `n` attributes, each of another name. `taken` are names that mean something in the incident. */
export function noiseFieldsOf(world: World, n: number, taken: ReadonlySet<string>): Field[] {
  const { dice } = world
  const layers = ['shim', 'websocket', 'tool', 'provider', 'api', 'storage'].filter((layer) => !world.hidden.has(layer))
  const seen = new Set(taken)
  const fields: Field[] = []
  // One span holds 64 attributes at most.
  const wanted = Math.min(n, layers.length * 40)
  while (fields.length < wanted) {
    const [base, kind] = dice.weighted(
      [
        [dice.one(words), 'few'],
        [dice.one(words), 'kin'],
        [dice.one(numbers), 'number'],
        [dice.one(identifiers), 'many'],
        [dice.one(words), 'flag'],
      ] as const,
      [4, 2, 3, 1, 1],
    )
    const key = seen.has(base) ? `${base}.${fields.length}` : base
    if (seen.has(key)) continue
    seen.add(key)
    const layer = wanted > 40 ? (layers[fields.length % layers.length] as string) : dice.one(layers)
    fields.push({ key, layer, draw: withGaps(dice, drawerOf(dice, kind)) })
  }
  return fields
}

function withGaps(dice: Dice, draw: Field['draw']): Field['draw'] {
  const missing = dice.weighted([0, 0.05, 0.3, 0.8], [6, 2, 2, 1])
  return (call) => (dice.is(missing) ? undefined : draw(call))
}

function drawerOf(dice: Dice, kind: 'few' | 'kin' | 'number' | 'many' | 'flag'): Field['draw'] {
  if (kind === 'flag') {
    const share = dice.one([0.02, 0.1, 0.5, 0.9])
    return () => dice.is(share)
  }
  if (kind === 'many') return () => dice.hex(12)
  if (kind === 'few') {
    const values = Array.from({ length: dice.whole(1, 8) }, (_, index) => valueName(dice, index))
    const skew = dice.one([0, 0.7, 2])
    const weights = values.map((_, index) => 1 / (index + 1) ** skew)
    return () => dice.weighted(values, weights)
  }
  if (kind === 'kin') return kinOf(dice)
  const middle = dice.logBetween(0.5, 5_000)
  const sigma = dice.between(0.1, 1.2)
  const whole = dice.is(0.6)
  return () => {
    const value = dice.around(middle, sigma)
    return whole ? Math.round(value) : Math.round(value * 1_000) / 1_000
  }
}

/** Goes along with something else, more or less: the tool, the client, the place in the session, the time. */
function kinOf(dice: Dice): Field['draw'] {
  const values = Array.from({ length: dice.whole(2, 6) }, (_, index) => valueName(dice, index))
  const faithful = dice.between(0.5, 0.97)
  const salt = dice.whole(1, 1_000)
  const of = dice.one<(call: Call) => string>([
    ({ tool }) => tool.name,
    ({ client }) => client.name,
    ({ server }) => server.instance,
    ({ callNumber }) => String(Math.min(4, callNumber ?? 0)),
    ({ session }) => session?.key ?? '',
    ({ provider }) => provider ?? '',
  ])
  return (call) => (dice.is(faithful) ? values[hashOf(of(call), salt) % values.length] : dice.one(values)) as Json
}

export function hashOf(text: string, salt: number): number {
  let hash = salt
  for (let index = 0; index < text.length; index++) hash = (Math.imul(hash, 31) + text.charCodeAt(index)) >>> 0
  return hash >>> 3
}

function valueName(dice: Dice, index: number): string {
  return dice.one([`v${index}`, `${dice.one(['eu', 'us', 'ap', 'a', 'blue', 'gold', 'std'])}-${index}`])
}
