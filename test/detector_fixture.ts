import { detectAnomalies } from '../functions/action/detect_anomalies.ts'
import type { DetectorStore } from '../functions/store/port.ts'
import type { Span } from '../src/core/record.ts'
import { minutePartsOf } from '../src/core/window.ts'
import { chanceOf, normalOf } from '../src/demo/chance.ts'
import { stoppedClock, type TestDatabase } from './postgres_fixture.ts'
import { aBatch, aSpan, rowsOf, traceId } from './rows_fixture.ts'

/** What the daemon does from when to when: s since the epoch. */
export type Traffic = {
  readonly from: number
  readonly to: number
  readonly perSecond: (at: number) => number
  readonly medianMs: (provider: string, at: number) => number
  readonly failing?: (provider: string, at: number) => number
}

const tools = ['chat', 'analyze', 'debug'] as const

/** The spans of every call, by their end: a tool that asks a model. Calls come at random, latencies are log-normal. */
export function spansOf({ from, to, perSecond, medianMs, failing }: Traffic, seed: number): Span[] {
  const chance = chanceOf(seed)
  const spans: Span[] = []
  for (let second = from; second < to; second += 1) {
    const rate = perSecond(second)
    const calls = Math.floor(rate) + (chance() < rate % 1 ? 1 : 0)
    for (let call = 0; call < calls; call += 1) {
      const provider = chance() < 0.5 ? 'kimi' : 'glm'
      const tool = tools[Math.floor(chance() * tools.length)] as string
      const at = second + chance()
      const start_us = Math.round(at * 1_000_000)
      const end_us = start_us + Math.round(medianMs(provider, at) * Math.exp(0.4 * normalOf(chance)) * 1_000)
      const outcome = chance() < (failing?.(provider, at) ?? 0.005) ? 'server_fault' : 'ok'
      const number = 1 + Math.floor(chance() * 7)
      const whole = { trace_id: traceId(spans.length), start_us, outcome } as const
      spans.push(
        aSpan({ ...whole, layer: 'tool', tool, end_us: end_us + 3_000, call_number: number }),
        aSpan({ ...whole, layer: 'api', entry: false, tool, provider, model: 'm', end_us }),
      )
    }
  }
  return spans.sort((a, b) => (a.end_us as number) - (b.end_us as number))
}

/** The store of the detector, as the edge calls it. */
export function detectorStoreOf(database: TestDatabase): DetectorStore {
  return {
    readDetectorWork: async () => (await database.rpc('detector_work')) as never,
    storeDetections: async (findings) => (await database.rpc('store_detections', { findings })) as boolean,
  }
}

/** A daemon in simulated time: what it counted is stored as its batches would have stored it, without the batches. */
export async function simulate(database: TestDatabase, spans: readonly Span[], startAt: number) {
  const setClock = await stoppedClock(database, startAt * 1_000_000)
  const days = [-1, 0, 1].map((n) => new Date((startAt + n * 86_400) * 1_000).toISOString().slice(0, 10))
  await database.rpc('make_partitions', { days })
  await database.rpc('ingest_batch', { batch: rowsOf(aBatch([], { made_at_us: startAt * 1_000_000 })) })
  const store = detectorStoreOf(database)
  let fed = 0
  const count = async (records: readonly Span[]) => {
    await database.query(
      `insert into telltale.rollup_minutes (minute, day, source_id, batch_id, series)
      select to_timestamp(p.minute), (to_timestamp(p.minute) at time zone 'UTC')::date, s.source_id, gen_random_uuid(), p.series
      from jsonb_to_recordset($1) as p(minute bigint, series jsonb), telltale.sources as s`,
      [JSON.stringify(minutePartsOf({ records }))],
    )
  }
  return {
    store,
    count,
    /** Moves the clock, and stores what ended until then. */
    async advance(to: number): Promise<void> {
      let next = fed
      while (next < spans.length && (spans[next]?.end_us ?? 0) < to * 1_000_000) next += 1
      await count(spans.slice(fed, next))
      fed = next
      await setClock(to * 1_000_000)
      await database.query('update telltale.processes set last_seen_at = telltale.clock()')
    },
    /** Looks as long as anything is due. */
    async detect(): Promise<number> {
      let looks = 0
      for (;;) {
        const { done, more } = await detectAnomalies(store)
        looks += done
        if (!more) return looks
      }
    },
  }
}
