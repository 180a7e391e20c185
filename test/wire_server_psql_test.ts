import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openPgliteDatabase, type PgliteDatabase } from '../src/local/pglite_database.ts'
import { noPsqlReason, type Psql, startPsql } from './psql_fixture.ts'

const skip = noPsqlReason()
const idleMs = 600

describe.skipIf(skip !== null)(`psql on the embedded database${skip === null ? '' : `, skipped: ${skip}`}`, () => {
  let dir = ''
  let database: PgliteDatabase
  let acked = 0

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'telltale-psql-'))
    database = await openPgliteDatabase({ dir, password: 'p@ss/é word', idleInTransactionMsMax: idleMs })
    await database.exec('create role psql_reader')
  })
  beforeEach(async () => {
    await database.exec('drop table if exists rows; create table rows (who text)')
    acked = 0
  })
  afterAll(async () => {
    await database?.close()
    rmSync(dir, { recursive: true, force: true })
  })

  /** One insert as the stack makes them; counts it once it is acked. */
  const insert = async () => {
    await database.query({ text: `insert into rows values ('inside')` })
    acked += 1
  }
  const countOf = async (who: string) => {
    const [row] = await database.query({ text: 'select count(*)::int as n from rows where who = $1', values: [who] })
    return row?.n
  }
  const whoAmI = async () => {
    const text = `select current_user::text as who, current_setting('search_path') as path`
    return (await database.query({ text }))[0]
  }
  const withPsql = async (use: (psql: Psql) => Promise<void>) => {
    const psql = startPsql(database.url)
    try {
      await use(psql)
    } finally {
      await psql.kill()
    }
  }

  test('psql left idle in BEGIN delays others until its time is over, and is rolled back and told so', async () => {
    await withPsql(async (psql) => {
      await insert()
      const startedAt = Date.now()
      await psql.say(`begin; insert into rows values ('psql');`)
      await Promise.all([insert(), insert(), insert()])
      const waitedMs = Date.now() - startedAt
      expect(waitedMs).toBeGreaterThan(idleMs / 3)
      expect(waitedMs).toBeLessThan(5 * idleMs)
      expect(await countOf('psql')).toBe(0)
      expect(await countOf('inside')).toBe(acked)
      expect(await psql.say('commit;')).toContain('terminating connection due to idle-in-transaction timeout')
      await insert()
      expect(await countOf('psql')).toBe(0)
      expect(await countOf('inside')).toBe(acked)
    })
  })

  test('psql in a transaction that failed harms nobody', async () => {
    await withPsql(async (psql) => {
      expect(await psql.say(`begin; insert into rows values ('psql'); select 1/0;`)).toContain('division by zero')
      expect(await psql.say('select 1;')).toContain('current transaction is aborted')
      await Promise.all([insert(), insert()])
      expect(await countOf('psql')).toBe(0)
      expect(await countOf('inside')).toBe(acked)
    })
  })

  test('psql after SET ROLE and SET search_path affects nobody else, and finds both again', async () => {
    await withPsql(async (psql) => {
      const before = await whoAmI()
      await psql.say('set role psql_reader; set search_path to pg_catalog;')
      expect(await whoAmI()).toEqual(before)
      await insert()
      expect(await psql.say('select current_user; show search_path;')).toBe('psql_reader\npg_catalog\n')
      expect(await psql.say('reset role; reset search_path; select count(*) from rows;')).toBe('1\n')
      await insert()
      expect(await psql.say('select current_user;')).toBe('postgres\n')
    })
  })

  test('psql killed in a transaction leaves nothing and delays nobody', async () => {
    const waitedMs: number[] = []
    for (let round = 0; round < 3; round++) {
      await withPsql(async (psql) => {
        await psql.say(`begin; insert into rows values ('psql');`)
        const inserts = [insert(), insert()]
        const startedAt = Date.now()
        await psql.kill()
        await Promise.all(inserts)
        waitedMs.push(Date.now() - startedAt)
      })
    }
    // A machine that is busy elsewhere may be late once.
    expect(Math.min(...waitedMs)).toBeLessThan(idleMs - 100)
    expect(await countOf('psql')).toBe(0)
    expect(await countOf('inside')).toBe(acked)
  })

  test('psql killed while its statement runs leaves nothing', async () => {
    await withPsql(async (psql) => {
      await psql.say('begin;')
      void psql.say(`insert into rows select 'psql' from generate_series(1, 300000);`)
      await new Promise((resolve) => setTimeout(resolve, 50))
      const inserts = [insert(), insert()]
      await psql.kill()
      await Promise.all(inserts)
    })
    expect(await countOf('psql')).toBe(0)
    expect(await countOf('inside')).toBe(acked)
  })

  test('psql commits what it means to commit', async () => {
    await withPsql(async (psql) => {
      await psql.say(`begin; insert into rows values ('psql'); commit;`)
      await psql.say(`insert into rows values ('psql');`)
      expect(await countOf('psql')).toBe(2)
    })
  })

  const leaks = {
    'temporary tables': ['create temporary table leak (i int);', `select to_regclass('pg_temp.leak') as found`],
    'advisory locks': [
      'select pg_advisory_lock(7);',
      `select max(objid) as found from pg_locks where locktype = 'advisory'`,
    ],
    'prepared statements': ['prepare leak as select 1;', `select max(name) as found from pg_prepared_statements`],
    LISTEN: ['listen leak;', 'select max(c) as found from pg_listening_channels() as c'],
    'open cursors': [
      'begin; declare leak cursor with hold for select 1; commit;',
      `select max(name) as found from pg_cursors where name <> ''`,
    ],
    'a custom setting': ['set a.leak to 1;', `select nullif(current_setting('a.leak', true), '') as found`],
  } as const
  for (const [what, [leave, find]] of Object.entries(leaks)) {
    test(`psql leaves no ${what} to the next owner`, async () => {
      await withPsql(async (psql) => {
        await psql.say(leave)
        expect(await database.query({ text: find })).toEqual([{ found: null }])
        await withPsql(async (other) => {
          await psql.say(leave)
          expect((await other.say(`${find};`)).trim()).toBe('')
        })
      })
    })
  }

  test('psql copies in and out, in text and in binary, and is told when a copy fails', async () => {
    await withPsql(async (psql) => {
      await psql.say('\\copy rows from stdin\none\ntwo\n\\.')
      expect(await psql.say('\\copy (select * from rows order by 1) to stdout')).toBe('one\ntwo\n')
      const path = join(dir, 'rows.copy')
      await psql.say(`\\copy rows to '${path}' (format binary)`)
      await psql.say(`\\copy rows from '${path}' with (format binary)`)
      expect(await psql.say('select count(*) from rows;')).toBe('4\n')
      expect(await psql.say('\\copy missing from stdin\none\n\\.')).toContain('relation "missing" does not exist')
      await psql.say('begin;\ncopy rows from stdin;\nthree\n\\.\ncommit;')
      expect(await psql.say('select count(*) from rows;')).toBe('5\n')
      expect(await psql.say('select 1\\; copy rows from stdin;\nfour\n\\.')).toContain('only as a single simple query')
      expect(await psql.say('select count(*) from rows;')).toBe('5\n')
    })
  })

  test('psql gets every line of a large result, and a long line back', async () => {
    await withPsql(async (psql) => {
      const lines = (await psql.say('select i from generate_series(1, 200000) i;')).trim().split('\n')
      expect(lines).toHaveLength(200_000)
      expect(lines.at(-1)).toBe('200000')
      expect(await psql.say(`select length('${'é'.repeat(300_000)}');`)).toBe('300000\n')
    })
  })

  test('psql is not starved by a flood from inside, nor the inside by psql', async () => {
    let stopped = false
    const flood = Array.from({ length: 20 }, async () => {
      while (!stopped) await insert()
    })
    await withPsql(async (psql) => {
      const startedAt = Date.now()
      for (let i = 0; i < 20; i++) expect(await psql.say('select 1;')).toBe('1\n')
      expect(Date.now() - startedAt).toBeLessThan(5_000)
    })
    stopped = true
    await Promise.all(flood)
    await withPsql(async (psql) => {
      const busy = psql.say(`select 1 from generate_series(1, 300)\\; select 1;\n${'select 1;\n'.repeat(2_000)}`)
      const startedAt = Date.now()
      for (let i = 0; i < 20; i++) await insert()
      expect(Date.now() - startedAt).toBeLessThan(2_000)
      await busy
    })
  })

  test('psql with a wrong password or user is refused', async () => {
    for (const change of [{ password: 'wrong' }, { password: '' }, { username: 'someone' }]) {
      const url = new URL(database.url)
      Object.assign(url, change)
      const psql = startPsql(url.href)
      expect(await psql.quit()).toMatch(/password authentication failed for user|no password supplied/)
    }
  })
})
