import type { MemoryMeter, OwnGauge, ResourceStore, StepAnswer } from '../store/port.ts'

export type ResourceMeters = {
  readonly store: ResourceStore
  /** Where Postgres is. */
  readonly instance: string
  /** Null where there is no hot tier. */
  readonly redis: MemoryMeter | null
}

/**
 * Measures what Telltale itself uses: Postgres and the live channel, as Postgres knows them, and Redis. At most once in 60 s,
 * whoever ticks: Upstash bills commands. A Redis that does not answer loses its own gauges and no other.
 * @throws StoreError when Postgres cannot be asked
 */
export async function measureResources({ store, instance, redis }: ResourceMeters): Promise<StepAnswer> {
  const { due, done } = await store.beginMeasuring(instance)
  if (!due || redis === null) return { done, more: false }
  const gauges = await redisGauges(redis)
  return { done: gauges.length === 0 ? done : done + (await store.storeResources(gauges)), more: false }
}

async function redisGauges(redis: MemoryMeter): Promise<readonly OwnGauge[]> {
  const usage = await redis.readUsage().catch(() => null)
  if (usage === null) return []
  const labels = { instance: redis.instance }
  const { memoryBytes, keyCount } = usage
  const memory = memoryBytes === null ? [] : [{ name: 'redis_memory_mb', value: mebibytes(memoryBytes), labels }]
  return [...memory, { name: 'redis_key_count', value: keyCount, labels }]
}

/** To the thousandth. */
function mebibytes(bytes: number): number {
  return Math.round((bytes / 1_048_576) * 1_000) / 1_000
}
