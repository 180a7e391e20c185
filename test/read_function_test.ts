import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Batch, Span } from '../src/core/record.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, anError, aSpan, dayUs, noonUs, nowUs, processId, rowsOf, traceId } from './rows_fixture.ts'

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    type Page = { readonly rows: readonly Record<string, unknown>[]; readonly next: string | null }

    let database: TestDatabase
    const dayOf = (us: number) => new Date(us / 1_000).toISOString().slice(0, 10)
    const store = (records: Batch['records'], changes: Partial<Batch> = {}) =>
      database.rpc('ingest_batch', { batch: rowsOf(aBatch(records, changes)) })
    const page = (name: string, args: Record<string, unknown> = {}) => database.rpc(name, args) as Promise<Page>
    const idsOf = async (filter: Record<string, unknown>) =>
      (await page('traces', { filter })).rows
        .map(({ trace_id }) => Number.parseInt(String(trace_id).slice(1), 16))
        .sort()
    const call = (n: number, changes: Partial<Span> = {}) =>
      aSpan({
        trace_id: traceId(n),
        start_us: noonUs + n * 1_000_000,
        end_us: noonUs + n * 1_000_000 + n * 1_000,
        ...changes,
      })
    const demoProcess = {
      id: '018f0000-0000-7000-8000-00000000000d',
      started_at_us: noonUs,
      host: null,
      pid: null,
      sdk: 'x',
    }
    const failed = '018f0000-0000-7000-8000-0000000000e5'

    beforeAll(async () => {
      database = await open()
      await database.rpc('make_partitions', { days: [-3, -2, -1, 0].map((n) => dayOf(nowUs + n * dayUs)) })
      await store([
        call(1, { session: { key: 's1', rule: 'mcp' }, provider: 'kimi', model: 'k2', request_id: 'req-1' }),
        call(2, { session: { key: 's1', rule: 'mcp' }, tool: 'chat' }),
        call(3, { session: { key: 's1', rule: 'mcp' }, tool: 'chat', call_number: 9, name: 'tools/call größe' }),
        call(4, { layer: 'storage', outcome: 'timeout' }),
        call(5, { outcome: 'tool_error' }),
        aSpan({ trace_id: traceId(6), start_us: noonUs + dayUs, end_us: null, outcome: null }),
        anError({
          error_id: failed,
          trace_id: traceId(5),
          at_us: noonUs + 5_000_000,
          message: 'Connection refused by upstream',
        }),
        {
          type: 'message',
          message_id: randomUUID(),
          at_us: noonUs,
          trace_id: traceId(5),
          span_id: null,
          conversation_id: 'c',
          role: 'user',
          model_used: 'k2',
          provider_used: 'kimi',
          response_time_ms: 3,
          tool_name: 'chat',
          thinking_mode: null,
          token_usage: { total: 3 },
          metadata: {},
        },
      ])
      const demo = { service: 'demo', instance: 'a', environment: 'demo', version: null }
      await store([call(7), anError({ error_type: 'ValueError' })], { source: demo, process: demoProcess })
    })
    afterAll(() => database.close())

    describe('traces()', () => {
      const iso = (us: number) => new Date(us / 1_000).toISOString()
      const filters: [string, Record<string, unknown>, number[]][] = [
        ['nothing', {}, [1, 2, 3, 4, 5, 6, 7]],
        ['from, in µs', { from: noonUs + 4_000_000 }, [4, 5, 6, 7]],
        ['from, as text', { from: iso(noonUs + 4_000_000) }, [4, 5, 6, 7]],
        ['to', { to: iso(noonUs + 3_000_000) }, [1, 2]],
        ['a day', { from: noonUs + dayUs / 2, to: noonUs + dayUs * 2 }, [6]],
        ['tool', { tool: 'chat' }, [2, 3]],
        ['tools', { tool: ['chat', 'none'] }, [2, 3]],
        ['provider', { provider: 'kimi' }, [1]],
        ['model', { model: 'k2' }, [1]],
        ['layer', { layer: 'storage' }, [4]],
        ['layers', { layer: ['storage', 'gpu'] }, [4]],
        ['outcome', { outcome: 'timeout' }, [4]],
        ['outcomes', { outcome: ['timeout', 'tool_error'] }, [4, 5]],
        ['least duration', { min_duration_ms: 4 }, [4, 5, 7]],
        ['session', { session: 's1' }, [1, 2, 3]],
        ['a call number that SQL ranks', { call_number: 2 }, [2]],
        ['a call number that was sent', { call_number: 9 }, [3]],
        ['a call number as text', { call_number: '9.0' }, [3]],
        ['request id', { request_id: 'req-1' }, [1]],
        ['environment', { environment: 'demo' }, [7]],
        ['service', { service: 'exai', tool: 'chat' }, [2, 3]],
        ['text of a name', { text: 'größ' }, [3]],
        ['text of an error', { text: 'refused upstream' }, [5]],
        ['text that is SQL', { text: `'; drop table x; --` }, []],
        ['a quote', { tool: `o'hara\\` }, []],
        ['null', { tool: null, from: null, text: null }, [1, 2, 3, 4, 5, 6, 7]],
      ]
      for (const [name, filter, wanted] of filters) {
        test(`filters by ${name}`, async () => expect(await idsOf(filter)).toEqual(wanted))
      }

      test('answers summary, source and rank, newest first', async () => {
        const { rows } = await page('traces', { filter: { session: 's1' } })
        expect(rows.map(({ call_number }) => call_number)).toEqual([9, 2, 1])
        expect(rows[2]).toMatchObject({
          trace_id: traceId(1),
          started_at: expect.stringMatching(/T12:00:01\+00:00$/),
          started_at_us: noonUs + 1_000_000,
          duration_ms: 1,
          layers: { tool: 1 },
          service: 'exai',
          environment: 'test',
          instance: 'a',
          process: processId,
        })
        expect(rows[2]).not.toHaveProperty('spans')
      })

      test('walks everything exactly once by cursor while rows are inserted', async () => {
        const seen: unknown[] = []
        let cursor: string | null = null
        let added = 100
        do {
          const { rows, next }: Page = await page('traces', { filter: { environment: 'test' }, cursor, n: 2 })
          seen.push(...rows.map(({ trace_id }) => trace_id))
          cursor = next
          await store([call(added++, { start_us: nowUs + added })])
        } while (cursor !== null)
        expect([...seen].sort()).toEqual([1, 2, 3, 4, 5, 6].map(traceId).sort())
        await database.query(`delete from telltale.traces where started_at >= now() - interval '1 hour'`)
      })

      const refused: [string, Record<string, unknown>, RegExp][] = [
        ['an unknown key', { filter: { tol: 'x' } }, /Allowed are: from, to, tool/],
        ['a filter that is no object', { filter: '[]' }, /An object with any of: from/],
        ['an instant that is none', { filter: { from: 'yesterday' } }, /ISO 8601/],
        ['a number that is none', { filter: { min_duration_ms: 'slow' } }, /is a number/],
        ['a number that is not one', { filter: { min_duration_ms: 'NaN' } }, /is a number/],
        ['a number without end', { filter: { min_duration_ms: '-Infinity' } }, /is a number/],
        ['a call number between two', { filter: { call_number: 1.5 } }, /whole number/],
        ['a call number beyond all', { filter: { call_number: 1e30 } }, /is a number/],
        ['a tool that is no text', { filter: { tool: 7 } }, /a string or an array/],
        ['tools that are no text', { filter: { tool: [null] } }, /a string or an array/],
        ['a layer that is no text', { filter: { layer: 7 } }, /a string or an array/],
        ['a cursor of nobody', { cursor: 'abc' }, /the `next` of the page before/],
        [
          'a cursor of another function',
          { cursor: Buffer.from('{"us":"x","id":1}').toString('base64url') },
          /the `next` of the page before/,
        ],
        ['no rows', { n: 0 }, /1 to 1000/],
        ['too many rows', { n: 1001 }, /1 to 1000/],
      ]
      for (const [name, args, hint] of refused) {
        test(`refuses ${name} with 22023 and says what is right`, async () => {
          await expect(page('traces', args)).rejects.toMatchObject({ code: '22023', hint: expect.stringMatching(hint) })
        })
      }

      const indexes: [string, Record<string, unknown>, RegExp][] = [
        ['the start for nothing', {}, /Index Scan Backward using traces_\d+_started_at_trace_id_idx/],
        ['a tool', { tool: 'tool_7' }, /using traces_\d+_tool_started_at_trace_id_idx/],
        ['a session', { session: 's_7' }, /using traces_\d+_session_key_started_at_trace_id_idx/],
        ['a request', { request_id: 'r_7' }, /using traces_\d+_request_id_started_at_trace_id_idx/],
        ['an error', { outcome: 'timeout' }, /using traces_\d+_started_at_trace_id_idx1/],
        ['text', { text: 'r_77' }, /traces_\d+_words_of_idx/],
      ]
      test('goes by the index of each common filter', async () => {
        await database.query(
          `insert into telltale.traces (trace_id, day, started_at, duration_ms, wait_ms, process_id, span_count, name, outcome,
        request_id, session_key, tool, layers, spans)
      select 'd' || lpad(i::text, 31, '0'), $1, telltale.at_of($2::bigint + i), 1, 0, $3, 1, 'x',
        case when i % 1000 = 0 then 'timeout' else 'ok' end, 'r_' || i, 's_' || i % 500, 'tool_' || i % 50, '{}', '{}'
      from generate_series(1, 10000) as i`,
          [dayOf(noonUs - dayUs / 3), noonUs - dayUs / 3, processId],
        )
        await database.query('analyze telltale.traces')
        for (const [name, filter, index] of indexes) {
          const [where] = await database.query('select telltale.traces_where($1::jsonb, null) as sql', [
            JSON.stringify(filter),
          ])
          const plan = await database.query(
            `explain select * from telltale.traces as t where ${where?.sql} order by t.started_at desc, t.trace_id desc limit 10`,
          )
          expect(`${name}: ${plan.map((row) => row['QUERY PLAN']).join('\n')}`).toMatch(index)
        }
        await database.query(`delete from telltale.traces where trace_id like 'd%'`)
      })
    })

    describe('trace()', () => {
      test('answers spans in order with self time and source, its errors and messages', async () => {
        const child = aSpan({
          trace_id: traceId(5),
          span_id: '00000000000000b2',
          parent_span_id: '00000000000000a1',
          entry: false,
          layer: 'api',
          start_us: noonUs + 5_001_000,
          end_us: noonUs + 5_003_000,
        })
        await store([child])
        const answer = (await database.rpc('trace', { trace_id: traceId(5) })) as Record<string, never>
        expect(answer).toMatchObject({
          trace: {
            trace_id: traceId(5),
            layers: { tool: 3, api: 2 },
            spans: [
              {
                span_id: '00000000000000a1',
                self_ms: 3,
                process: processId,
                service: 'exai',
                instance: 'a',
                kind: 'work',
              },
              { span_id: '00000000000000b2', self_ms: 2, parent_span_id: '00000000000000a1' },
            ],
          },
          errors: [{ error_id: failed, message: 'Connection refused by upstream', service: 'exai' }],
          messages: [{ model_used: 'k2', role: 'user' }],
        })
      })

      test('answers null for a trace that nobody knows', async () => {
        expect(await database.rpc('trace', { trace_id: traceId(404) })).toBe(null)
        expect(await database.rpc('trace', { trace_id: `x'` })).toBe(null)
      })
    })

    describe('errors() and error_groups()', () => {
      test('find errors by each filter', async () => {
        const count = async (filter: Record<string, unknown>) => (await page('errors', { filter })).rows.length
        expect(await count({})).toBe(2)
        expect(await count({ error_type: 'ValueError' })).toBe(1)
        expect(await count({ environment: 'test' })).toBe(1)
        expect(await count({ trace_id: traceId(5) })).toBe(1)
        expect(await count({ text: 'connection refus' })).toBe(1)
        expect(await count({ from: noonUs + 1_000_000 })).toBe(1)
        expect(await count({ to: noonUs + 1_000_000 })).toBe(1)
        expect(await count({ connection_type: 'redis' })).toBe(0)
        const [first] = (await page('errors', {})).rows
        expect(await count({ fingerprint: first?.fingerprint })).toBe(1)
      })

      test('group what has one fingerprint across sources', async () => {
        const { rows } = await page('error_groups')
        expect(rows.map(({ error_type, count }) => [error_type, count])).toEqual([
          ['TypeError', 1],
          ['ValueError', 1],
        ])
        expect((await page('error_groups', { filter: { environment: 'demo' } })).rows).toMatchObject([
          { error_type: 'ValueError', environments: ['demo'] },
        ])
        expect((await page('error_groups', { filter: { error_type: 'TypeError', text: 'refused' } })).rows.length).toBe(
          1,
        )
      })

      for (const name of ['errors', 'error_groups']) {
        test(`walk ${name}() by cursor`, async () => {
          const one = await page(name, { n: 1 })
          const two = await page(name, { n: 1, cursor: one.next })
          const end = await page(name, { n: 1, cursor: two.next })
          expect(new Set([...one.rows, ...two.rows].map(({ fingerprint }) => fingerprint)).size).toBe(2)
          expect(end).toEqual({ rows: [], next: null })
          await expect(page(name, { cursor: '?' })).rejects.toMatchObject({ code: '22023' })
          await expect(page(name, { filter: { x: 1 } })).rejects.toMatchObject({ code: '22023' })
        })
      }
    })

    describe('tail()', () => {
      test('gives the last n with their first error, then only what changed', async () => {
        const first = await page('tail', { n: 3 })
        expect(first.rows.length).toBe(3)
        const all = await page('tail', { n: 100 })
        expect(all.rows.find(({ trace_id }) => trace_id === traceId(5))).toMatchObject({
          outcome: 'tool_error',
          error: { error_type: 'TypeError', message: 'Connection refused by upstream', culprit: null },
          environment: 'test',
        })
        expect(all.rows.find(({ trace_id }) => trace_id === traceId(6))).toBeUndefined()
        expect(all.rows.slice(-3).map(({ trace_id }) => trace_id)).toEqual(first.rows.map(({ trace_id }) => trace_id))
        const none = await page('tail', { cursor: all.next })
        expect(none.rows).toEqual([])
        await store([call(50), call(51)])
        await store([call(50, { span_id: '00000000000000f6', entry: false })])
        const one = await page('tail', { cursor: none.next, n: 1 })
        const two = await page('tail', { cursor: one.next, n: 10 })
        expect([...one.rows, ...two.rows].map(({ trace_id, revision }) => [trace_id, revision])).toEqual([
          [traceId(51), 1],
          [traceId(50), 2],
        ])
        expect((await page('tail', { cursor: two.next })).rows).toEqual([])
      })

      test('refuses a cursor of another function', async () => {
        for (const place of [
          { us: 1, id: 'x' },
          { us: 'x', id: 'y', seen: 'z' },
          { us: 1, id: 'y', seen: 'z' },
        ]) {
          const cursor = Buffer.from(JSON.stringify(place)).toString('base64url')
          await expect(page('tail', { cursor })).rejects.toMatchObject({ code: '22023' })
        }
      })
    })

    test('store_status() tells the demo from what is real', async () => {
      expect(await database.rpc('store_status')).toMatchObject({ environments: ['demo', 'test'], real: true })
      await database.query(`update telltale.sources set environment = 'demo' where service <> 'demo'`)
      expect(await database.rpc('store_status')).toMatchObject({ environments: ['demo'], real: false })
      await database.query(`update telltale.sources set environment = 'test' where service <> 'demo'`)
    })

    test('spans unfolds every trace', async () => {
      const rows = await database.query(
        'select span_id, layer, duration_ms, concluded from telltale.spans where trace_id = $1',
        [traceId(4)],
      )
      expect(rows).toEqual([{ span_id: '00000000000000a1', layer: 'storage', duration_ms: 4, concluded: false }])
    })
  })
}
