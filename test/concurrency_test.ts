import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { BatchRows, IngestReply } from '../functions/store/port.ts'
import { type StoredSpan, strongerSpan, summaryOf } from '../src/core/trace.ts'
import { mergeSeries, type Series } from '../src/core/window.ts'
import { noPostgresReason, openServer, type TestServer } from './postgres_fixture.ts'
import { aBatch, anError, aSpan, dayUs, minuteUs, noonUs, nowUs, rowsOf, traceId } from './rows_fixture.ts'

const writers = 8
const batchesEach = 30
const dayOf = (us: number) => new Date(us / 1_000).toISOString().slice(0, 10)

/** A small generator of repeatable noise (mulberry32), from 0 to below n. */
function noiseOf(seed: number): (n: number) => number {
  let state = seed
  return (n) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % n
  }
}

/** Batches of several processes and two sources that share 12 traces, 5 errors and more tools than are admitted. */
function batchesOf(seed: number): BatchRows[] {
  const noise = noiseOf(seed)
  return Array.from({ length: writers * batchesEach }, (_, i) => {
    const process = {
      id: `018f0000-0000-7000-8000-00000000000${i % 4}`,
      started_at_us: 1,
      host: null,
      pid: null,
      sdk: 'x',
    }
    const spans = Array.from({ length: 6 }, () => {
      const start_us = noonUs + noise(2 * minuteUs)
      return aSpan({
        trace_id: traceId(noise(12)),
        span_id: (noise(20) + 1).toString(16).padStart(16, '0'),
        start_us,
        end_us: noise(3) === 0 ? null : start_us + noise(900_000),
        outcome: null,
        tool: `tool_${noise(90)}`,
      })
    })
    const errors = [0, 1].map(() =>
      anError({ error_id: `018f0000-0000-7000-8000-0000000000e${noise(5)}`, traceback: String(noise(4)) }),
    )
    const source = { service: 'x', instance: String(i % 2), environment: 'test', version: null }
    return rowsOf(aBatch([...spans, ...errors], { process, source, seq: Math.floor(i / 4) + 1 }))
  })
}

describe.skipIf(noPostgresReason() !== null)('eight writers, three compactors and a killer', () => {
  let database: TestServer
  beforeAll(async () => {
    database = await openServer()
    // So soon that a deadlock shows itself before the killer ends one of its backends.
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    await client.query(`alter system set deadlock_timeout = '3ms'`)
    await client.query('select pg_reload_conf()')
    await client.end()
    await database.rpc('make_partitions', { days: [-3, -2, -1, 0].map((n) => dayOf(nowUs + n * dayUs)) })
  })
  afterAll(() => database.close())

  test('leave exactly what the batches add up to, with every batch sent twice', async () => {
    const rows = batchesOf(7)
    const failures = new Set<string>()
    let deadlocks = 0
    let kills = 0
    let busy = true

    /** Sends until it is acked, as a reporter does. */
    const send = async (row: BatchRows): Promise<IngestReply> => {
      for (;;) {
        try {
          return (await database.rpc('ingest_batch', { batch: row })) as IngestReply
        } catch (error) {
          const code = (error as { code?: string }).code ?? 'connection'
          if (code === '40P01') deadlocks += 1
          else failures.add(code)
        }
      }
    }
    const write = async (writer: number) => {
      const replies: IngestReply[] = []
      for (let i = writer; i < rows.length; i += writers) {
        const [a, b] = await Promise.all([send(rows[i] as BatchRows), send(rows[i] as BatchRows)])
        replies.push(a, b)
      }
      return replies
    }
    const compact = async () => {
      while (busy) {
        for (const step of ['compact_minutes', 'recompute_hours']) {
          await database.rpc(`tick_${step}`).catch((error: { code?: string }) => {
            if (error.code === '40P01') deadlocks += 1
          })
        }
      }
    }
    const kill = async () => {
      const client = new pg.Client({ connectionString: database.url })
      await client.connect()
      while (busy) {
        const { rowCount } = await client.query(`select pg_terminate_backend(pid) from pg_stat_activity
          where pid <> pg_backend_pid() and state = 'active' and query like '%telltale.%' order by random() limit 1`)
        kills += rowCount ?? 0
        await new Promise((resolve) => setTimeout(resolve, 15))
      }
      await client.end()
    }

    const background = [compact(), compact(), compact(), kill()]
    const replies = (await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))).flat()
    busy = false
    await Promise.all(background)
    while (((await database.rpc('tick_compact_minutes')) as { done: number }).done > 0);
    while (((await database.rpc('tick_recompute_hours')) as { done: number }).done > 0);

    expect(deadlocks).toBe(0)
    expect(kills).toBeGreaterThan(5)
    expect([...failures].filter((code) => !['57P01', 'connection'].includes(code))).toEqual([])
    expect(replies.every(({ status }) => status === 'stored' || status === 'repeated')).toBe(true)
    await expectTraces(rows)
    await expectSums(rows)
    await expectCounts(rows)
  }, 90_000)

  async function expectTraces(rows: readonly BatchRows[]) {
    const wanted = new Map<string, Record<string, StoredSpan>>()
    for (const { trace_id, spans } of rows.flatMap(({ traces }) => traces)) {
      const merged = wanted.get(trace_id) ?? {}
      for (const [id, span] of Object.entries(spans)) {
        const other = merged[id]
        merged[id] = other === undefined ? span : strongerSpan(other, span)
      }
      wanted.set(trace_id, merged)
    }
    const stored = await database.query(
      'select trace_id, spans, layers, wait_ms, duration_ms, span_count from telltale.traces',
    )
    expect(stored.length).toBe(wanted.size)
    for (const { trace_id, spans, ...summary } of stored) {
      expect(spans).toEqual(wanted.get(String(trace_id)))
      expect(summaryOf(wanted.get(String(trace_id)) ?? {})).toMatchObject(summary)
    }
  }

  async function expectSums(rows: readonly BatchRows[]) {
    const total = rows.flatMap(({ parts }) => parts).reduce((sum, { series }) => mergeSeries(sum, series), {} as Series)
    const toolsOf = (series: Series) =>
      Object.entries(series)
        .filter(([key]) => key.startsWith('tool:'))
        .reduce((n, [, { count }]) => n + count, 0)
    for (const table of ['rollup_minutes', 'rollup_hours']) {
      const [row] = await database.query(`select telltale.series_merge(series) as series from telltale.${table}`)
      const series = row?.series as Series
      expect(series.all).toEqual(total.all)
      expect(series['layer:tool']).toEqual(total['layer:tool'])
      expect(toolsOf(series)).toBe(toolsOf(total))
    }
    const names = await database.query(`select source_id, count(*)::int as n from telltale.admitted_names
      where series_key like 'tool:%' group by 1`)
    expect(names.map(({ n }) => n)).toEqual([64, 64])
    expect(await database.query('select from telltale.rollup_minutes where batch_id is not null')).toEqual([])
  }

  async function expectCounts(rows: readonly BatchRows[]) {
    const processes = await database.query('select seqs::text, stored::int, counters_seq::int from telltale.processes')
    const last = (writers * batchesEach) / 4
    expect(processes).toEqual(Array(4).fill({ seqs: `{[1,${last + 1})}`, stored: last * 8, counters_seq: last }))
    const errors = rows.flatMap((row) => row.errors)
    const keys = new Set(errors.map(({ error_id, fingerprint }) => `${error_id} ${fingerprint}`))
    const stored = await database.query('select error_id, fingerprint from telltale.errors')
    expect(new Set(stored.map(({ error_id, fingerprint }) => `${error_id} ${fingerprint}`))).toEqual(keys)
    const [groups] = await database.query('select sum(count)::int as n from telltale.error_groups')
    expect(groups?.n).toBe(keys.size)
    expect((await database.query('select from telltale.batches')).length).toBe(rows.length)
  }

  test('compute an hour again when a part came while it was being computed', async () => {
    const hourly = async () => {
      const [row] = await database.query(`select
        (select telltale.series_merge(series) from telltale.rollup_hours) as hours,
        (select telltale.series_merge(series) from telltale.rollup_minutes) as minutes`)
      return row as { hours: Series; minutes: Series }
    }
    const addPart = async (n: number) => {
      await database.rpc('ingest_batch', { batch: rowsOf(aBatch([aSpan({ trace_id: traceId(n) })])) })
      await database.rpc('tick_compact_minutes')
    }
    await addPart(4_000)
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    await client.query('begin')
    await client.query('select telltale.tick_recompute_hours()')
    let added = false
    const part = addPart(4_001).finally(() => {
      added = true
    })
    // It has come as far as it can beside the other: it is there, or waits for a lock.
    const locked = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%telltale.%'`
    for (let i = 0; i < 1_000 && !added && (await database.query(locked)).length === 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await client.query('commit')
    await client.end()
    await part
    await database.rpc('tick_recompute_hours')
    const { hours, minutes } = await hourly()
    expect(hours).toEqual(minutes)
  })

  test('let tail() miss no trace, however late it was committed, and show none twice in one revision', async () => {
    const ids = Array.from({ length: 160 }, (_, i) => traceId(5_000 + i))
    const shown: string[] = []
    // The source and its names are known, else every writer waits for the one that makes them known.
    await database.rpc('ingest_batch', { batch: rowsOf(aBatch([aSpan({ trace_id: traceId(4_998) })])) })
    let cursor = ((await database.rpc('tail', { n: 1 })) as { next: string }).next
    const look = async () => {
      const page = (await database.rpc('tail', { cursor, n: 7 })) as { rows: Record<string, unknown>[]; next: string }
      cursor = page.next
      shown.push(...page.rows.map(({ trace_id, revision }) => `${trace_id} ${revision}`))
      return page.rows.length
    }
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    await client.query('begin')
    const late = rowsOf(
      aBatch([aSpan({ trace_id: traceId(4_999) })], {
        process: { id: randomUUID(), started_at_us: 1, host: null, pid: null, sdk: 'x' },
      }),
    )
    await client.query('select telltale.ingest_batch($1)', [JSON.stringify(late)])
    let writing = true
    const reading = (async () => {
      while (writing) await look()
    })()
    await Promise.all(
      Array.from({ length: 4 }, async (_, writer) => {
        for (let i = writer; i < ids.length; i += 4) {
          const process = { id: randomUUID(), started_at_us: 1, host: null, pid: null, sdk: 'x' }
          await database.rpc('ingest_batch', {
            batch: rowsOf(aBatch([aSpan({ trace_id: ids[i] as string })], { process })),
          })
        }
      }),
    )
    writing = false
    await reading
    while ((await look()) > 0);
    await client.query('commit')
    await client.end()
    while ((await look()) > 0);
    expect([...shown].sort()).toEqual([traceId(4_999), ...ids].map((id) => `${id} 1`))
  }, 60_000)
})
