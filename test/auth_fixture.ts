import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, type SupabaseClient } from '@supabase/supabase-js'
import { Hono } from 'hono'
import pg from 'pg'
import ws from 'ws'
import { authApp } from '../src/local/auth.ts'
import { createCallerReader } from '../src/local/claims.ts'
import type { Database } from '../src/local/database.ts'
import { openHttpServer } from '../src/local/http_server.ts'
import { migrate } from '../src/local/migrate.ts'
import { openPgDatabase } from '../src/local/pg_database.ts'
import { openPgliteDatabase } from '../src/local/pglite_database.ts'
import { type ProjectKeys, readProjectKeys } from '../src/local/project_key.ts'
import { restApp, restSchema } from '../src/local/rest.ts'
import { createCatalogue } from '../src/local/rest_catalogue.ts'

/** A project with Auth and the schema telltale; embedded, or the hosted one of the environment. */
export type AuthProject = {
  readonly url: string
  readonly publishableKey: string
  readonly secretKey: string
  /** Runs one statement as the owner; every value is text. */
  query(text: string, values?: readonly string[]): Promise<readonly Readonly<Record<string, unknown>>[]>
  /** What only the embedded one lets a test reach. */
  readonly embedded: EmbeddedAuth | null
  close(): Promise<void>
}

export type EmbeddedAuth = {
  readonly database: Database
  readonly keys: ProjectKeys
  /** Lets so many seconds pass for Auth. */
  passTime(seconds: number): void
  /** From now on every statement is refused so; null: no more. */
  breakDatabase(error: Error | null): void
}

/** With SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, SUPABASE_SECRET_KEY and DATABASE_URL: that project, migrated before. */
export async function openAuthProject(): Promise<AuthProject> {
  const { SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, SUPABASE_SECRET_KEY, DATABASE_URL } = process.env
  if (!SUPABASE_URL || !SUPABASE_PUBLISHABLE_KEY || !SUPABASE_SECRET_KEY || !DATABASE_URL) return openEmbeddedAuth()
  const client = new pg.Client({ connectionString: DATABASE_URL })
  await client.connect()
  return {
    url: SUPABASE_URL,
    publishableKey: SUPABASE_PUBLISHABLE_KEY,
    secretKey: SUPABASE_SECRET_KEY,
    query: async (text, values = []) => (await client.query(text, [...values])).rows,
    embedded: null,
    close: () => client.end(),
  }
}

/** On PGlite, or on the PostgreSQL server of `databaseUrl`. */
export async function openEmbeddedAuth(
  databaseUrl?: string,
): Promise<AuthProject & { readonly embedded: EmbeddedAuth }> {
  const dir = join(tmpdir(), `telltale-auth-${randomUUID()}`)
  const keys = await readProjectKeys(dir)
  const database =
    databaseUrl === undefined
      ? await openPgliteDatabase({ dir, password: keys.databasePassword })
      : await openPgDatabase(databaseUrl)
  await migrate(database)
  let passed = 0
  let broken: Error | null = null
  const query: Database['query'] = (statement) => (broken === null ? database.query(statement) : Promise.reject(broken))
  const app = new Hono()
  const server = await openHttpServer({ host: '127.0.0.1', port: 0 }, (request) => app.fetch(request))
  const auth = authApp({ database: { query }, keys, url: server.url, clock: () => Date.now() + passed })
  const rest = restApp({
    database,
    catalogue: createCatalogue(database, restSchema),
    readCaller: createCallerReader(keys),
  })
  app.mount('/auth/v1', (request) => auth.fetch(request))
  app.mount('/rest/v1', (request) => rest.fetch(request))
  return {
    url: server.url,
    publishableKey: keys.publishableKey,
    secretKey: keys.secretKey,
    query: (text, values = []) => database.query({ text, values }),
    embedded: {
      database,
      keys,
      passTime: (seconds) => {
        passed += seconds * 1_000
      },
      breakDatabase: (error) => {
        broken = error
      },
    },
    async close() {
      await server.close()
      await database.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

export type Client = SupabaseClient<never, 'telltale'>

/** The official client, which keeps its session in memory and renews it only when told. */
export function clientOf({ url }: Pick<AuthProject, 'url'>, key: string): Client {
  return createClient<never, 'telltale'>(url, key, {
    db: { schema: 'telltale' },
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    realtime: { transport: ws as never },
  })
}

export type TestUser = { readonly id: string; readonly email: string; readonly password: string }

/** A user whose address is confirmed; a member when told so. */
export async function addTestUser(project: AuthProject, { member = false } = {}): Promise<TestUser> {
  const email = `tester-${randomUUID()}@example.com`
  const password = randomUUID()
  const admin = clientOf(project, project.secretKey).auth.admin
  const { data, error } = await admin.createUser({ email, password, email_confirm: true })
  if (error) throw error
  if (member) {
    await project.query('insert into telltale.members (user_id, email) values ($1::uuid, $2)', [data.user.id, email])
  }
  return { id: data.user.id, email, password }
}
