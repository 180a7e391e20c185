import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ingestApp } from '../../functions/route/ingest.ts'
import { tickApp } from '../../functions/route/tick.ts'
import { PostgresStore } from '../../functions/store/postgres.ts'
import { embeddedFlushMs } from '../core/limit.ts'
import { createCallerReader } from './claims.ts'
import { DataDirInUse, lockDataDir } from './data_dir_lock.ts'
import type { Database } from './database.ts'
import { ensureIngestKey } from './ensure_ingest_key.ts'
import { isFree } from './free_port.ts'
import { gatewayApp, startingApp } from './gateway.ts'
import { openHttpServer } from './http_server.ts'
import { localEnvPathOf, readLocalEnvFile, writeLocalEnv } from './local_env.ts'
import { migrate } from './migrate.ts'
import { openPgDatabase } from './pg_database.ts'
import { openPgliteDatabase } from './pglite_database.ts'
import { type ProjectKeys, publicJwksOf, readProjectKeys } from './project_key.ts'
import type { GuardOptions } from './request_guard.ts'
import { restApp, restSchema } from './rest.ts'
import { createCatalogue } from './rest_catalogue.ts'
import { startTickTimer, type TickTimer } from './tick_timer.ts'

export type StackOptions = {
  /** Keys, local.env and the embedded database live here; one stack at a time. */
  readonly dataDir: string
  /** Default: 127.0.0.1. */
  readonly host?: string
  /** 0: any free one. */
  readonly port: number
  /** Names beside loopback and `host` under which requests may come. */
  readonly allowedHosts?: readonly string[]
  /** A PostgreSQL server in place of the embedded one. */
  readonly databaseUrl?: string
  /** Told what went wrong and is not fatal. */
  readonly log?: (line: string) => void
}

export type Stack = {
  readonly url: string
  /** What stands in local.env. */
  readonly env: Readonly<Record<string, string>>
  readonly envPath: string
  /** Within five seconds, unless a statement runs. */
  close(): Promise<void>
}

/** Another stack has the data directory. */
export class AlreadyRunning extends Error {
  override readonly name = 'AlreadyRunning'
  /** Null while it starts for the first time. */
  readonly url: string | null

  constructor(dataDir: string, url: string | null, pid: number | null) {
    const where = url === null ? '' : ` at ${url}`
    const who = pid === null ? '' : ` (process ${pid})`
    super(`Cannot start on ${dataDir}: telltale already runs there${where}${who}`)
    this.url = url
  }
}

/**
 * Starts all that a hosted project has, on one address: database, REST interface, functions, keys, and the cron.
 * When it answers, local.env is written and every address in it serves.
 * @throws AlreadyRunning, PortTaken, DatabaseError
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { dataDir } = options
  const log = options.log ?? ((line) => void process.stderr.write(`telltale: ${line}\n`))
  const guard: GuardOptions = { host: options.host ?? '127.0.0.1', allowedHosts: options.allowedHosts ?? [] }
  const closers: (() => unknown)[] = []
  const close = async () => {
    for (let next = closers.pop(); next !== undefined; next = closers.pop()) await next()
  }
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    closers.push(lock(dataDir))
    const keys = await readProjectKeys(dataDir)
    // The port before the database: whether it is free is known at once, the database takes seconds.
    let app = startingApp(guard)
    const server = await openHttpServer({ host: guard.host, port: options.port }, (request) => app.fetch(request))
    closers.push(server.close)

    const { database, maintain } = await openDatabase(options, keys)
    // Under the server: a request under way still finds it.
    closers.splice(-1, 0, database.close)
    await migrate(database)
    const ingestKey = await ensureIngestKey(database, dataDir, keys)

    let timer: TickTimer | null = null
    app = appOf({ database, keys, guard, url: server.url, nudge: () => timer?.nudge() })
    timer = startTickTimer({ url: `${server.url}/functions/v1/tick`, secretKey: keys.secretKey, maintain, log })
    closers.push(timer.close)

    const env = envOf(server.url, keys, ingestKey, database.url)
    writeLocalEnv(dataDir, env)
    return { url: server.url, env, envPath: localEnvPathOf(dataDir), close }
  } catch (error) {
    await close()
    throw error
  }
}

function lock(dataDir: string): () => void {
  try {
    return lockDataDir(dataDir)
  } catch (error) {
    if (!(error instanceof DataDirInUse)) throw error
    throw new AlreadyRunning(dataDir, readLocalEnvFile(dataDir).TELLTALE_URL ?? null, error.pid)
  }
}

async function openDatabase(
  { dataDir, databaseUrl }: StackOptions,
  { databasePassword: password }: ProjectKeys,
): Promise<{ database: Database; maintain: () => Promise<void> }> {
  if (databaseUrl !== undefined) return { database: await openPgDatabase(databaseUrl), maintain: async () => {} }
  // The port of the last time, so that what is set up in a client of the operator's stays right.
  const last = Number(/:(\d+)\/[^/]*$/.exec(readLocalEnvFile(dataDir).DATABASE_URL ?? '')?.[1] ?? 0)
  const port = last > 0 && (await isFree('127.0.0.1', last)) ? last : 0
  const database = await openPgliteDatabase({ dir: join(dataDir, 'postgres'), password, port })
  return { database, maintain: database.maintain }
}

type AppOptions = {
  readonly database: Database
  readonly keys: ProjectKeys
  readonly guard: GuardOptions
  readonly url: string
  readonly nudge: () => void
}

/** The functions speak HTTP to the gateway's own REST interface, as they do to a hosted project's. */
function appOf({ database, keys, guard, url, nudge }: AppOptions) {
  const store = new PostgresStore({ url, secretKey: keys.secretKey })
  const clock = () => Date.now() * 1_000
  const rest = restApp({
    database,
    catalogue: createCatalogue(database, restSchema),
    readCaller: createCallerReader(keys),
  })
  const ingest = ingestApp({ store, clock, flushMs: embeddedFlushMs, nudge })
  const tick = tickApp({ store, clock, secret: keys.secretKey })
  const isHealthy = () =>
    database.query({ text: 'select 1', readOnly: true }).then(
      () => true,
      () => false,
    )
  return gatewayApp(
    {
      rest: (request) => rest.fetch(request),
      functions: { ingest: (request) => ingest.fetch(request), tick: (request) => tick.fetch(request) },
      jwks: publicJwksOf(keys),
      isHealthy,
    },
    guard,
  )
}

function envOf(url: string, keys: ProjectKeys, ingestKey: string, databaseUrl: string): Record<string, string> {
  return {
    TELLTALE_URL: url,
    TELLTALE_INGEST_URL: `${url}/functions/v1/ingest`,
    TELLTALE_INGEST_KEY: ingestKey,
    SUPABASE_URL: url,
    SUPABASE_PUBLISHABLE_KEY: keys.publishableKey,
    SUPABASE_SECRET_KEY: keys.secretKey,
    DATABASE_URL: databaseUrl.replaceAll("'", '%27'),
  }
}
