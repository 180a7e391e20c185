import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Database, DatabaseError, type Statement } from '../src/local/database.ts'
import { openPgDatabase } from '../src/local/pg_database.ts'
import { openPgliteDatabase } from '../src/local/pglite_database.ts'
import { noPostgresReason, startPostgres } from './postgres_cluster_fixture.ts'

// One suite for both implementations of the port.

type Opened = { readonly database: Database; close(): Promise<void> }
type Limits = { readonly statementMsMax: number; readonly turnMsMax: number; readonly connectionsMax?: number }

async function openPglite(limits: Limits): Promise<Opened> {
  const dir = mkdtempSync(join(tmpdir(), 'telltale-database-'))
  const database = await openPgliteDatabase({ dir, password: 'secret', ...limits })
  const close = async () => {
    await database.close()
    rmSync(dir, { recursive: true, force: true })
  }
  return { database, close }
}

async function openPg(limits: Limits): Promise<Opened> {
  const postgres = await startPostgres()
  const database = await openPgDatabase(postgres.url, limits)
  const close = async () => {
    await database.close()
    await postgres.stop()
  }
  return { database, close }
}

const limits: Limits = { statementMsMax: 1_500, turnMsMax: 400, connectionsMax: 1 }

async function refusalOf(promise: Promise<unknown>): Promise<DatabaseError> {
  const error = await promise.then(
    () => null,
    (refusal: unknown) => refusal,
  )
  expect(error).toBeInstanceOf(DatabaseError)
  return error as DatabaseError
}

const implementations = [
  { name: 'openPgliteDatabase()', open: openPglite, skip: null },
  { name: 'openPgDatabase()', open: openPg, skip: noPostgresReason() },
]

for (const { name, open, skip } of implementations) {
  describe.skipIf(skip !== null)(`${name}${skip === null ? '' : `, skipped: ${skip}`}`, () => {
    let opened: Opened
    let database: Database
    const query = (text: string, values: readonly (string | null)[] = [], rest: Partial<Statement> = {}) =>
      database.query({ text, values, ...rest })
    const countOf = async (table: string) => Number((await query(`select count(*) as n from ${table}`))[0]?.n)

    beforeAll(async () => {
      opened = await open(limits)
      database = opened.database
      await database.exec('create role suite_reader; create table kept (i int primary key, j jsonb)')
    })
    afterAll(async () => {
      await opened?.close()
    })

    test('query() answers json and jsonb as text, other types as pg gives them, and null as null', async () => {
      const [row] = await query(
        `select $1::jsonb as b, '{ "a":1}'::json as j, 7 as i, 2.5::float8 as f, 2.50::numeric as n, 8::int8 as l,
                true as t, null::jsonb as z, '{1,2}'::int[] as a, 'é'::text as s, '2026-01-02T03:04:05Z'::timestamptz as at`,
        ['{"x":[1, "é\\"\\\\"]}'],
      )
      expect(row).toEqual({
        b: '{"x": [1, "é\\"\\\\"]}',
        j: '{ "a":1}',
        i: 7,
        f: 2.5,
        n: '2.50',
        l: '8',
        t: true,
        z: null,
        a: [1, 2],
        s: 'é',
        at: new Date('2026-01-02T03:04:05Z'),
      })
    })

    test('query() carries every text there and back unchanged', async () => {
      const text = fc.string({ unit: 'grapheme', maxLength: 200 }).map((value) => value.replaceAll('\0', ''))
      await fc.assert(
        fc.asyncProperty(fc.array(fc.option(text), { minLength: 1, maxLength: 5 }), async (values) => {
          const columns = values.map((_, i) => `$${i + 1}::text as c${i}`)
          const [row] = await query(`select ${columns.join(', ')}`, values)
          expect(Object.values(row ?? {})).toEqual(values.map((value) => value ?? null))
        }),
        { numRuns: 60 },
      )
    })

    test('query() takes and answers a json of 4 MiB', async () => {
      const big = JSON.stringify(Array.from({ length: 40_000 }, (_, i) => `é${i}${'"x\\'.repeat(24)}`))
      expect(big.length).toBeGreaterThan(4 * 1024 * 1024)
      const [row] = await query('select $1::json as j, jsonb_array_length($1::jsonb) as n', [big])
      expect(row?.n).toBe(40_000)
      expect(row?.j).toBe(big)
    })

    test('query() answers as many rows as there are, and none for a statement without any', async () => {
      expect(await query('select i from generate_series(1, 30000) i')).toHaveLength(30_000)
      expect(await query('select where false')).toEqual([])
      expect(await query('create table empty_handed (i int)')).toEqual([])
    })

    test('query() runs as the role and with the settings given, for that statement only', async () => {
      const text = `select current_user::text as who, current_setting('request.jwt.claims', true) as claims`
      const [inside] = await query(text, [], {
        role: 'suite_reader',
        settings: { 'request.jwt.claims': `{"sub":"it's \\"é\\""}` },
      })
      expect(inside).toEqual({ who: 'suite_reader', claims: `{"sub":"it's \\"é\\""}` })
      const [after] = await query(text)
      expect(after?.who).not.toBe('suite_reader')
      expect(after?.claims ?? '').toBe('')
    })

    test('query() has the rights of its role', async () => {
      expect((await refusalOf(query('select * from kept', [], { role: 'suite_reader' }))).code).toBe('42501')
    })

    test('query() refuses with the SQLSTATE, message, detail and hint of PostgreSQL', async () => {
      const raising = `do $$ begin raise exception 'no partition' using errcode = 'TT001', detail = '2026-01-02', hint = 'make it'; end $$`
      const { code, message, detail, hint } = await refusalOf(query(raising))
      expect({ code, message, detail, hint }).toEqual({
        code: 'TT001',
        message: 'no partition',
        detail: '2026-01-02',
        hint: 'make it',
      })
    })

    const refusals: readonly (readonly [string, string, readonly (string | null)[], Partial<Statement>])[] = [
      ['22012', 'select 1/0', [], {}],
      ['42601', 'selec 1', [], {}],
      ['42P01', 'select * from missing', [], {}],
      ['22P02', 'select $1::jsonb', ['{'], {}],
      ['22P05', 'select $1::jsonb', ['"\\u0000"'], {}],
      ['22021', 'select $1::text', ['a\0b'], {}],
      ['23505', 'insert into kept values (0), (0)', [], {}],
      ['25006', 'create table refused (i int)', [], { readOnly: true }],
      ['22023', 'select 1', [], { role: 'no_such_role' }],
      ['08P01', 'select $1::int, $2::int', ['1'], {}],
    ]
    for (const [code, text, values, rest] of refusals) {
      test(`query() refuses ${text} with ${code}, and the next statement is unharmed`, async () => {
        expect((await refusalOf(query(text, values, rest))).code).toBe(code)
        expect(await query('select 1 as one')).toEqual([{ one: 1 }])
      })
    }

    test('query() runs nothing when its role or a setting is refused', async () => {
      const before = await countOf('kept')
      await refusalOf(query('insert into kept values (-1)', [], { role: 'no_such_role' }))
      await refusalOf(query('insert into kept values (-1)', [], { settings: { 'no such setting': 'x' } }))
      expect(await countOf('kept')).toBe(before)
    })

    test('query() keeps nothing of a statement that fails, not even at commit', async () => {
      await database.exec(
        `create table parents (i int primary key);
         create table children (i int references parents deferrable initially deferred)`,
      )
      expect((await refusalOf(query('insert into children values (1)'))).code).toBe('23503')
      expect(await countOf('children')).toBe(0)
    })

    test('query() runs many statements given at once, each to its own caller', async () => {
      const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => query('select $1::int as i', [`${i}`])))
      expect(answers.map(([row]) => row?.i)).toEqual(Array.from({ length: 40 }, (_, i) => i))
    })

    test('query() ends a statement that runs too long with 57014, and keeps what was committed', async () => {
      await query('insert into kept values (1, $1::jsonb)', ['{"a":1}'])
      const startedAt = Date.now()
      const slow = refusalOf(
        query('with recursive r(i) as (select 1 union all select i from r) select count(*) from r'),
      )
      expect((await slow).code).toBe('57014')
      expect(Date.now() - startedAt).toBeLessThan(5 * limits.statementMsMax)
      expect(await query('select j from kept where i = 1')).toEqual([{ j: '{"a": 1}' }])
    })

    test('query() refuses with 53300 when it had no turn in time', async () => {
      let holding = true
      const slow = query('select pg_sleep(0.9)').finally(() => {
        holding = false
      })
      const startedAt = Date.now()
      expect((await refusalOf(query('select 1'))).code).toBe('53300')
      expect(holding).toBe(true)
      expect(Date.now() - startedAt).toBeLessThan(5 * limits.turnMsMax)
      await slow
      expect(await query('select 1 as one')).toEqual([{ one: 1 }])
    })

    test('exec() runs several statements as the owner', async () => {
      await database.exec(
        `create table several (i int); insert into several values (1); insert into several values (2)`,
      )
      expect(await countOf('several')).toBe(2)
    })

    test('exec() refuses with the SQLSTATE of the statement that failed', async () => {
      expect((await refusalOf(database.exec('select 1; select 1/0'))).code).toBe('22012')
      expect(await query('select 1 as one')).toEqual([{ one: 1 }])
    })

    test('exec() leaves neither a transaction nor a setting behind', async () => {
      await database.exec('begin; insert into kept values (99)')
      expect(await query('select i from kept where i = 99')).toEqual([])
      await database.exec(`set role suite_reader; set search_path to pg_catalog; select set_config('a.b', 'c', false)`)
      const [row] = await query(`select current_user::text as who, current_setting('a.b', true) as left_over`)
      expect(row?.who).not.toBe('suite_reader')
      expect(row?.left_over ?? '').toBe('')
      expect(await query('select count(*) > 0 as found from kept')).toHaveLength(1)
    })

    test('query() refuses once the database is closed', async () => {
      const other = await open(limits)
      await other.close()
      await expect(other.database.query({ text: 'select 1' })).rejects.toThrow()
    })
  })
}
