import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Database, DatabaseError } from './database.ts'

export type Migration = {
  /** 14 digits, YYYYMMDDhhmmss: the order in which they apply. */
  readonly version: string
  readonly name: string
  readonly text: string
}

/** The migrations of this repository. */
export const migrationDir = fileURLToPath(new URL('../../supabase/migrations', import.meta.url))

/** What a Supabase project has before the first migration and plain PostgreSQL lacks, in the order in which it is made. */
const bootstrapFiles = ['bootstrap.sql', 'auth_schema.sql', 'realtime_schema.sql'] as const

/** Guards against two that migrate at once; any number that nobody else uses for an advisory lock. */
const lockKey = '8467125002'

/** Raised inside the transaction of a migration that another one has applied in the meantime. */
const appliedCode = 'TT003'

/**
 * Brings a database up to the migrations in `dir`: what Supabase has by itself first (`bootstrapText`), then each
 * migration that is not recorded, in order and in a transaction of its own, and records it in
 * supabase_migrations.schema_migrations as the Supabase command line does, so that either may go on where the other stopped.
 * Answers the versions that it applied.
 * @throws Error when the record and the directory disagree, in versions or in what one of them said; DatabaseError when PostgreSQL refuses a migration.
 */
export async function migrate(database: Database, dir: string = migrationDir): Promise<readonly string[]> {
  const migrations = readMigrations(dir)
  await database.exec(transactionOf(bootstrapText()))
  await database.exec(transactionOf(recordText))
  const applied: string[] = []
  const recorded = await readRecorded(database)
  refuseChanged(migrations, recorded)
  for (const migration of pendingOf(
    migrations,
    recorded.map(({ version }) => version),
  )) {
    try {
      await database.exec(transactionOf(guardOf(migration) + migration.text + recordOf(migration)))
      applied.push(migration.version)
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      if (error.code === appliedCode) continue
      const where = `migration ${migration.version}_${migration.name}`
      throw new DatabaseError(`Cannot apply ${where}: ${error.message}`, error.code, error.detail, error.hint)
    }
  }
  return applied
}

/** Makes the roles and schemas of a Supabase project; changes nothing where they exist. */
export function bootstrapText(): string {
  return bootstrapFiles.map((file) => readFileSync(new URL(file, import.meta.url), 'utf8')).join('\n')
}

/** The migrations in a directory, in order. Every .sql file there must be one. */
export function readMigrations(dir: string): readonly Migration[] {
  const files = readdirSync(dir).filter((file) => file.endsWith('.sql'))
  const migrations = files.sort().map((file) => {
    const match = /^(\d{14})_([a-z0-9_]+)\.sql$/.exec(file)
    if (match === null)
      throw new Error(`Cannot read migration ${file}: its name is not <14 digits>_<verb>_<object>.sql`)
    return { version: match[1] as string, name: match[2] as string, text: readFileSync(join(dir, file), 'utf8') }
  })
  const repeated = migrations.find(({ version }, i) => i > 0 && migrations[i - 1]?.version === version)
  if (repeated !== undefined) throw new Error(`Cannot read migrations: two have version ${repeated.version}`)
  return migrations
}

/** What is left to apply, or why the directory cannot be that of the database. */
function pendingOf(migrations: readonly Migration[], recorded: readonly string[]): readonly Migration[] {
  const known = new Set(migrations.map(({ version }) => version))
  const newest = migrations.at(-1)?.version ?? ''
  const unknown = recorded.filter((version) => !known.has(version))
  const newer = unknown.filter((version) => version > newest)
  if (newer.length > 0) {
    throw new Error(`Cannot migrate: the database is newer than this program, it has ${newer.join(', ')}`)
  }
  if (unknown.length > 0) {
    throw new Error(`Cannot migrate: the database has ${unknown.join(', ')}, which this program has not`)
  }
  const last = recorded.at(-1) ?? ''
  const pending = migrations.filter(({ version }) => !recorded.includes(version))
  const skipped = pending.filter(({ version }) => version < last)
  if (skipped.length > 0) {
    const names = skipped.map(({ version, name }) => `${version}_${name}`).join(', ')
    throw new Error(`Cannot migrate: ${names} was never applied, but the database has ${last}, which comes after`)
  }
  return pending
}

type Recorded = {
  readonly version: string /** Null where the Supabase command line applied it, which keeps statements and no text. */
  readonly text: string | null
}

async function readRecorded(database: Database): Promise<readonly Recorded[]> {
  const rows = await database.query({
    text: `select version, case when cardinality(statements) = 1 and right(statements[1], 1) = chr(10) then statements[1] end as text
      from supabase_migrations.schema_migrations order by version`,
    readOnly: true,
  })
  return rows.map(({ version, text }) => ({ version: String(version), text: text === null ? null : String(text) }))
}

/** A database made by another text of the same version would fail later, in ways that nobody could explain. */
function refuseChanged(migrations: readonly Migration[], recorded: readonly Recorded[]): void {
  const texts = new Map(recorded.map(({ version, text }) => [version, text]))
  const changed = migrations.filter(({ version, text }) => (texts.get(version) ?? text) !== text)
  if (changed.length === 0) return
  const names = changed.map(({ version, name }) => `${version}_${name}`).join(', ')
  throw new Error(
    `Cannot migrate: the database was made by an earlier, unreleased state of this program (${names} said something else); export what it holds with that state, or begin with another data directory`,
  )
}

const recordText = `
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
`

/** All or nothing, one at a time. */
function transactionOf(text: string): string {
  return `begin;\nselect pg_catalog.pg_advisory_xact_lock(${lockKey});\n${text}\ncommit;`
}

function guardOf({ version }: Migration): string {
  return `do $$ begin
  if exists (select from supabase_migrations.schema_migrations where version = '${version}') then
    raise exception 'Cannot apply migration ${version}: it is applied' using errcode = '${appliedCode}';
  end if;
end $$;
`
}

/** Begins with a semicolon, since the text need not end with one. */
function recordOf({ version, name, text }: Migration): string {
  return `
;
insert into supabase_migrations.schema_migrations (version, name, statements)
values ('${version}', '${name}', array[${literalOf(text)}]);`
}

/** Whatever standard_conforming_strings says. */
function literalOf(text: string): string {
  return ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
