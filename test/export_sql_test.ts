import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { TelltaleRecord } from '../src/core/record.ts'
import { type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, anError, aSpan, dayUs, nowUs, rowsOf, traceId } from './rows_fixture.ts'

type Page = { readonly rows: readonly Record<string, unknown>[]; readonly next: string | null }

const calls = 23
// In threes at one instant, over midnight: what a page ends with is told apart from what the next begins with by its id.
const atUs = (n: number) => Math.floor(nowUs / dayUs) * dayUs - 4_000_000 + Math.floor(n / 3) * 1_000_000

const records = Array.from({ length: calls }, (_, n): readonly TelltaleRecord[] => [
  aSpan({ trace_id: traceId(n), start_us: atUs(n), end_us: atUs(n) + 5_000 }),
  anError({ error_id: randomUUID(), at_us: atUs(n), message: `failure ${n}` }),
  {
    type: 'message',
    message_id: randomUUID(),
    at_us: atUs(n),
    trace_id: null,
    span_id: null,
    conversation_id: `c${n}`,
    role: 'user',
    model_used: null,
    provider_used: null,
    response_time_ms: null,
    tool_name: null,
    thinking_mode: null,
    token_usage: null,
    metadata: {},
  },
  { type: 'gauge', name: `queue of\n${'x'.repeat(200)} ${n}`, at_us: atUs(n), value: n, labels: { n: String(n) } },
]).flat()

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    beforeAll(async () => {
      database = await open()
      const days = [-2, -1, 0].map((n) => new Date((nowUs + n * dayUs) / 1_000).toISOString().slice(0, 10))
      await database.rpc('make_partitions', { days })
      await database.rpc('ingest_batch', { batch: rowsOf(aBatch(records)) })
    })
    afterAll(() => database.close())

    test.each([
      ['traces', 'trace_id'],
      ['errors', 'message'],
      ['messages', 'conversation_id'],
      ['gauges', 'name'],
    ])('export_page() gives each of the %s once, however small the pages', async (kind, key) => {
      const all = (await database.rpc('export_page', { kind, n: 1_000 })) as Page
      expect(all.next).toBeNull()
      expect(new Set(all.rows.map((row) => row[key])).size).toBe(calls)
      const rows: Record<string, unknown>[] = []
      let pages = 0
      for (let cursor: string | null = null; ; ) {
        const page = (await database.rpc('export_page', { kind, cursor, n: 4 })) as Page
        rows.push(...page.rows)
        pages += 1
        if (page.next === null) break
        cursor = page.next
      }
      expect(pages).toBe(Math.ceil((calls + 1) / 4))
      expect(rows).toEqual(all.rows)
    })

    test('export_page() refuses a cursor that is none of its own', async () => {
      const place = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
      for (const cursor of ['x', place({ us: '1' }), place({ us: '1', id: '' }), place({ us: 'x', id: 'a' })])
        await expect(database.rpc('export_page', { kind: 'traces', cursor })).rejects.toThrow(/^Cannot read cursor/)
    })
  })
}
