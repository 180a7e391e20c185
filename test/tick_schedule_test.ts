import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stoppedClock, type TestDatabase, testDatabases } from './postgres_fixture.ts'
import { aBatch, aSpan, minuteUs, nowUs, rowsOf } from './rows_fixture.ts'

// pg_cron and pg_net are not on every machine: in their place a table notes what would have been sent, in their words.

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    let database: TestDatabase
    let setClock: (us: number) => Promise<void>
    beforeAll(async () => {
      database = await open()
      setClock = await stoppedClock(database, nowUs)
      await database.rpc('tick_make_partitions')
    })
    afterAll(() => database.close())

    const called = async () => (await database.query('select telltale.call_tick() as called'))[0]?.called
    const isWaiting = () => database.rpc('does_work_wait')

    test('call_tick() asks the edge when work waits and nobody has claimed the tick, and says where it cannot', async () => {
      await database.rpc('claim_tick', { holder: 'x', seconds: 1 })
      await database.rpc('release_tick', { holder: 'x' })
      await setClock(nowUs + 20_000_000)
      expect([await database.rpc('is_tick_due'), await isWaiting(), await called()]).toEqual([true, false, false])
      await database.rpc('ingest_batch', { batch: rowsOf(aBatch([aSpan({ start_us: nowUs - 9, end_us: nowUs })])) })
      expect(await isWaiting()).toBe(false)
      await setClock(nowUs + 4 * minuteUs)
      expect([await isWaiting(), await called()]).toEqual([true, false])
      await database.query('create schema if not exists net')
      await database.query('create schema if not exists vault')
      await database.query('create table net.sent (url text, headers jsonb)')
      await database.query(`create function net.http_post(url text, body jsonb default '{}', params jsonb default '{}',
        headers jsonb default '{}', timeout_milliseconds int default 5000) returns bigint language sql
        as $$ insert into net.sent values (url, headers) returning 1::bigint $$`)
      await database.query(`create view vault.decrypted_secrets as select * from (values
        ('telltale_tick_url', 'https://x.example/functions/v1/tick'), ('telltale_tick_key', 'secret')) as s(name, decrypted_secret)`)
      expect(await called()).toBe(true)
      expect(await database.query('select * from net.sent')).toEqual([
        {
          url: 'https://x.example/functions/v1/tick',
          headers: { apikey: 'secret', 'Content-Type': 'application/json' },
        },
      ])
      await database.rpc('claim_tick', { holder: 'x', seconds: 60 })
      expect(await called()).toBe(false)
      await database.rpc('release_tick', { holder: 'x' })
      expect(await called()).toBe(false)
      await database.rpc('tick_compact_minutes')
      await setClock(nowUs + 5 * minuteUs)
      expect(await called()).toBe(true)
      await database.rpc('tick_recompute_hours')
      expect([await isWaiting(), await called()]).toEqual([false, false])
      // A quiet project is looked at all the same.
      await setClock(nowUs + 15 * minuteUs)
      expect(await called()).toBe(true)
    })
  })
}
