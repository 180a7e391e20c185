import { readFile, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { bootstrapText, migrationDir, readMigrations } from '../src/local/migrate.ts'
import { noPostgresReason, startPostgres } from './postgres_cluster_fixture.ts'

export { noPostgresReason } from './postgres_cluster_fixture.ts'

/** Who asks: a role, and the user id of the token that PostgREST would have checked. */
export type Caller = { readonly role: 'anon' | 'authenticated' | 'service_role' | 'owner'; readonly sub?: string }

export type Rows = readonly Readonly<Record<string, unknown>>[]

/** The schema telltale on a PostgreSQL of its own. jsonb comes as values. */
export type TestDatabase = {
  /** One statement in a transaction of its own, as the owner or as a caller. */
  query(text: string, values?: readonly unknown[], caller?: Caller): Promise<Rows>
  /** `select telltale.<name>(...)` with named arguments, as PostgREST calls it; by default as service_role. */
  rpc(name: string, args?: Readonly<Record<string, unknown>>, caller?: Caller): Promise<unknown>
  close(): Promise<void>
}

export type TestServer = TestDatabase & { readonly url: string }

type Run = (text: string, values: readonly unknown[]) => Promise<Rows>
type WithTransaction = <T>(work: (run: Run) => Promise<T>) => Promise<T>

const owner: Caller = { role: 'owner' }
const service: Caller = { role: 'service_role' }

function databaseOf(withTransaction: WithTransaction, close: () => Promise<void>): TestDatabase {
  const query: TestDatabase['query'] = (text, values = [], caller = owner) =>
    withTransaction(async (run) => {
      if (caller.role !== 'owner') {
        const claims = JSON.stringify({ role: caller.role, ...(caller.sub === undefined ? {} : { sub: caller.sub }) })
        await run(`select set_config('request.jwt.claims', $1, true)`, [claims])
        await run(`set local role ${caller.role}`, [])
      }
      return await run(text, values)
    })
  return {
    query,
    async rpc(name, args = {}, caller = service) {
      const names = Object.keys(args)
      const list = names.map((key, i) => `"${key}" => $${i + 1}`).join(', ')
      const values = Object.values(args).map((value) =>
        typeof value === 'object' && value !== null && !Array.isArray(value) ? JSON.stringify(value) : value,
      )
      const [row] = await query(`select telltale."${name}"(${list}) as answer`, values, caller)
      return row?.answer
    },
    close,
  }
}

/** PGlite in this process, migrated; closed by `close`. */
export async function openPglite(): Promise<TestDatabase> {
  // A whole run makes one cluster and copies it, which takes a third of the time.
  const template = process.env.TELLTALE_TEST_RUN === undefined ? null : join(tmpdir(), 'pglite-template.tar')
  const copied = template === null ? null : await readFile(template).catch(() => null)
  const db = copied === null ? await migratedPglite() : await PGlite.create({ loadDataDir: new Blob([copied]) })
  if (template !== null && copied === null) {
    const written = `${template}.${process.pid}`
    await writeFile(written, Buffer.from(await (await db.dumpDataDir('none')).arrayBuffer()))
    await rename(written, template)
  }
  return databaseOf(
    (work) =>
      db.transaction((tx) => work(async (text, values) => (await tx.query(text, [...values])).rows as unknown as Rows)),
    () => db.close(),
  )
}

async function migratedPglite(): Promise<PGlite> {
  const db = await PGlite.create()
  await db.exec(bootstrapText())
  for (const { text } of readMigrations(migrationDir)) await db.exec(`begin;${text};commit;`)
  return db
}

/** As PGlite reads it: bigint as a number. */
const parserOf = ((oid: number, format: 'text') =>
  oid === 20 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser

/** A PostgreSQL server of its own with up to 20 connections, migrated; stopped by `close`. */
export async function openServer(): Promise<TestServer> {
  const server = await startPostgres()
  const pool = new pg.Pool({ connectionString: server.url, max: 20, types: { getTypeParser: parserOf } })
  pool.on('error', () => {}) // A backend that a test killed.
  const close = async () => {
    await pool.end()
    await server.stop()
  }
  try {
    await pool.query(bootstrapText())
    for (const { text } of readMigrations(migrationDir)) await pool.query(`begin;${text};commit;`)
  } catch (error) {
    await close()
    throw error
  }
  const withTransaction: WithTransaction = async (work) => {
    const client = await pool.connect()
    client.on('error', () => {})
    let broken = false
    try {
      await client.query('begin')
      const answer = await work(async (text, values) => (await client.query(text, [...values])).rows)
      await client.query('commit')
      return answer
    } catch (error) {
      await client.query('rollback').catch(() => {
        broken = true
      })
      throw error
    } finally {
      client.removeAllListeners('error')
      client.release(broken)
    }
  }
  return { ...databaseOf(withTransaction, close), url: server.url }
}

/** Replaces the clock of a database by one that stands still; the answer sets it, in µs since the epoch. */
export async function stoppedClock(database: TestDatabase, us: number): Promise<(us: number) => Promise<void>> {
  await database.query('create table if not exists public.stopped_clock (at timestamptz not null)')
  await database.query('grant select on public.stopped_clock to public')
  await database.query('delete from public.stopped_clock')
  await database.query('insert into public.stopped_clock values (telltale.at_of($1))', [us])
  await database.query(`create or replace function telltale.clock() returns timestamptz language sql stable parallel safe
    as $$ select at from public.stopped_clock $$`)
  return async (next) => {
    await database.query('update public.stopped_clock set at = telltale.at_of($1)', [next])
  }
}

/** Runs `work` on PGlite and closes it, whatever happens. */
export async function withPglite<T>(work: (database: TestDatabase) => Promise<T>): Promise<T> {
  const database = await openPglite()
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}

/** Where every promise of the schema is tested. `reason` says why one cannot run here, null when it can. */
export const testDatabases: readonly {
  readonly name: string
  readonly open: () => Promise<TestDatabase>
  readonly reason: string | null
}[] = [
  { name: 'on PGlite', open: openPglite, reason: null },
  { name: 'on PostgreSQL', open: openServer, reason: noPostgresReason() },
]
