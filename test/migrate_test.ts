import { cpSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Database, DatabaseError } from '../src/local/database.ts'
import { bootstrapText, migrate, migrationDir, readMigrations } from '../src/local/migrate.ts'
import { openPgDatabase } from '../src/local/pg_database.ts'
import { noPostgresReason, startPostgres } from './postgres_cluster_fixture.ts'

const temporary = mkdtempSync(join(tmpdir(), 'telltale-migrate-'))
afterAll(() => rmSync(temporary, { recursive: true, force: true }))

let copies = 0
function copyOfMigrations(): string {
  const dir = join(temporary, String(copies++))
  cpSync(migrationDir, dir, { recursive: true })
  return dir
}

test('readMigrations() refuses a file that is named like none', () => {
  const dir = copyOfMigrations()
  writeFileSync(join(dir, 'fix.sql'), 'select 1')
  expect(() => readMigrations(dir)).toThrow('Cannot read migration fix.sql')
})

test('readMigrations() refuses two of one version', () => {
  const dir = copyOfMigrations()
  const [first] = readdirSync(dir).sort()
  writeFileSync(join(dir, `${first?.slice(0, 14)}_zzz.sql`), 'select 1')
  expect(() => readMigrations(dir)).toThrow('two have version')
})

describe.skipIf(noPostgresReason() !== null)('migrate()', () => {
  let server: { url: string; stop(): Promise<void> }
  let database: Database
  beforeAll(async () => {
    server = await startPostgres()
    database = await openPgDatabase(server.url)
  })
  afterAll(async () => {
    await database.close()
    await server.stop()
  })

  test('applies every migration once, however many migrate at a time', async () => {
    const applied = await Promise.all([migrate(database), migrate(database), migrate(database)])
    const versions = readMigrations(migrationDir).map(({ version }) => version)
    expect(applied.flat().sort()).toEqual(versions)
    expect(await migrate(database)).toEqual([])
    const rows = await database.query({
      text: `select version, name, cardinality(statements) as n from supabase_migrations.schema_migrations order by version`,
    })
    expect(rows[0]).toEqual({ version: versions[0], name: 'create_schema', n: 1 })
  })

  test('keeps the text that it applied', async () => {
    const rows = await database.query({
      text: 'select statements[1] as text from supabase_migrations.schema_migrations order by version',
    })
    expect(rows.map(({ text }) => text)).toEqual(readMigrations(migrationDir).map(({ text }) => text))
  })

  test('refuses a database that another text of a migration has made', async () => {
    const dir = copyOfMigrations()
    const [first = ''] = readdirSync(dir).sort()
    writeFileSync(join(dir, first), '-- something else')
    await expect(migrate(database, dir)).rejects.toThrow(`${first.slice(0, -4)} said something else`)
    expect(await migrate(database)).toEqual([])
  })

  test('leaves nothing of a migration that fails, and names it', async () => {
    const dir = copyOfMigrations()
    writeFileSync(join(dir, '20270101000000_break_things.sql'), 'create table telltale.half (i int); select 1 / 0;')
    const failure = await migrate(database, dir).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(DatabaseError)
    expect(failure).toMatchObject({ code: '22012', message: expect.stringContaining('20270101000000_break_things') })
    const [row] = await database.query({ text: `select to_regclass('telltale.half')::text as half` })
    expect(row).toEqual({ half: null })
    expect(await migrate(database)).toEqual([])
  })

  test('refuses a database that is newer, that has what is missing here, or that lacks what came before', async () => {
    const newer = copyOfMigrations()
    writeFileSync(join(newer, '20270101000000_create_more.sql'), 'select 1')
    expect(await migrate(database, newer)).toEqual(['20270101000000'])
    await expect(migrate(database)).rejects.toThrow('the database is newer than this program, it has 20270101000000')
    const without = copyOfMigrations()
    const files = readdirSync(without).sort()
    rmSync(join(without, files[3] as string))
    writeFileSync(join(without, '20270101000000_create_more.sql'), 'select 1')
    await expect(migrate(database, without)).rejects.toThrow('which this program has not')
    const earlier = copyOfMigrations()
    writeFileSync(join(earlier, '20270101000000_create_more.sql'), 'select 1')
    writeFileSync(join(earlier, '20261123000150_create_late.sql'), 'select 1')
    await expect(migrate(database, earlier)).rejects.toThrow('20261123000150_create_late was never applied')
    renameSync(join(earlier, '20261123000150_create_late.sql'), join(earlier, '20270102000000_create_late.sql'))
    expect(await migrate(database, earlier)).toEqual(['20270102000000'])
  })

  test('says who may not create the policy of the live channel, and leaves what is there alone', async () => {
    // In a database of its own: what a role may, it may for a whole one.
    const [owner, other] = ['owner_of_realtime', 'not_the_owner']
    await database.exec(bootstrapText())
    await database.exec(`create role ${owner}; create role ${other} login createrole`)
    await database.exec(`create database apart owner ${other}`)
    const url = new URL(server.url)
    url.pathname = '/apart'
    const asSuperuser = await openPgDatabase(url.href)
    await asSuperuser.exec(`grant anon, authenticated, service_role to ${other};
      create schema realtime authorization ${owner};
      grant usage on schema realtime to public;`)
    url.username = other
    const asOther = await openPgDatabase(url.href)
    await expect(migrate(asOther)).rejects.toThrow(
      'Cannot create realtime.messages: the schema realtime belongs to another',
    )
    await asSuperuser.exec(`create table realtime.messages (topic text, extension text);
      create function realtime.topic() returns text language sql return 'theirs';
      alter table realtime.messages owner to ${owner};`)
    await expect(migrate(asOther)).rejects.toThrow(
      `Cannot create policy telltale_live_read on realtime.messages: role ${other} may not`,
    )
    await asSuperuser.exec(`alter table realtime.messages owner to ${other}`)
    expect((await migrate(asOther)).length).toBeGreaterThan(0)
    const [row] = await asOther.query({
      text: `select polname, realtime.topic() as topic, (select count(*)::int from pg_attribute
        where attrelid = 'realtime.messages'::regclass and attnum > 0) as columns
        from pg_policy where polrelid = 'realtime.messages'::regclass`,
    })
    expect(row).toEqual({ polname: 'telltale_live_read', topic: 'theirs', columns: 2 })
    await asOther.close()
    await asSuperuser.close()
  })
})
