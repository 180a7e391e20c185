import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { buildDashboard } from './dashboard_build.ts'
import { DataDirInUse, lockDataDir } from './data_dir_lock.ts'
import type { Database } from './database.ts'
import { ensureIngestKey } from './ensure_ingest_key.ts'
import { isFree } from './free_port.ts'
import { startingApp } from './gateway.ts'
import { openHttpServer, refuseUpgrade, type Upgrade } from './http_server.ts'
import { localEnvPathOf, readLocalEnvFile, writeLocalEnv } from './local_env.ts'
import { migrate } from './migrate.ts'
import { readOtlpRulesFile } from './otlp_rules_file.ts'
import { openPgDatabase } from './pg_database.ts'
import { openPgliteDatabase } from './pglite_database.ts'
import { type ProjectKeys, readProjectKeys } from './project_key.ts'
import { openServices, type RedisAccess } from './project_service.ts'
import { createHostCheck, type GuardOptions, refusalOf } from './request_guard.ts'
import { startTickTimer, type TickTimer } from './tick_timer.ts'
import { ensureViewer } from './viewer.ts'

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
  /** An Upstash database in place of the embedded Redis. */
  readonly redis?: RedisAccess
  /** Whether alerts may be sent to addresses of a private network; they may not unless it says so. */
  readonly allowsPrivateDestinations?: boolean
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
 * @throws AlreadyRunning, PortTaken, DatabaseError, Error when the rules of otlp.json are wrong
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
    const otlpRules = readOtlpRulesFile(dataDir)
    const keys = await readProjectKeys(dataDir)
    const building = buildDashboard().then(
      (dir) => ({ dir, reason: null }),
      (error: Error) => {
        log(error.message)
        return { dir: null, reason: error.message }
      },
    )
    // The port before the database: whether it is free is known at once, the database takes seconds.
    let app = startingApp(guard)
    let upgrade: Upgrade = (_request, socket) => void refuseUpgrade(socket, new Response(null, { status: 503 }))
    const server = await openHttpServer(
      { host: guard.host, port: options.port },
      (request) => app.fetch(request),
      (request, socket, head) => upgrade(request, socket, head),
    )
    closers.push(server.close)

    const { database, maintain } = await openDatabase(options, keys)
    // Under the server: a request under way still finds it.
    closers.splice(-1, 0, database.close)
    await migrate(database)
    const ingestKey = await ensureIngestKey(database, dataDir, keys)
    const viewer = await ensureViewer(database, keys)

    let timer: TickTimer | null = null
    const services = openServices({
      database,
      keys,
      guard,
      url: server.url,
      redis: options.redis ?? null,
      dashboard: await building,
      nudge: () => timer?.nudge(),
      otlpRules,
      allowsPrivateDestinations: options.allowsPrivateDestinations ?? false,
    })
    closers.push(services.close)
    upgrade = guardedUpgrade(guard, services.upgrade)
    app = services.app
    timer = startTickTimer({ url: `${server.url}/functions/v1/tick`, secretKey: keys.secretKey, maintain, log })
    closers.push(timer.close)

    const env = {
      TELLTALE_URL: server.url,
      TELLTALE_INGEST_URL: `${server.url}/functions/v1/ingest`,
      TELLTALE_INGEST_KEY: ingestKey,
      SUPABASE_URL: server.url,
      SUPABASE_PUBLISHABLE_KEY: keys.publishableKey,
      SUPABASE_SECRET_KEY: keys.secretKey,
      UPSTASH_REDIS_REST_URL: services.redis.url,
      UPSTASH_REDIS_REST_TOKEN: services.redis.token,
      DATABASE_URL: database.url.replaceAll("'", '%27'),
      TELLTALE_VIEWER_EMAIL: viewer.email,
      TELLTALE_VIEWER_PASSWORD: viewer.password,
    }
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

/** A connection that changes its protocol is asked what every request is: for which host, and from which page. */
function guardedUpgrade(guard: GuardOptions, upgrade: Upgrade): Upgrade {
  const isAllowed = createHostCheck(guard)
  return (request, socket, head) => {
    const refusal = refusalOf(isAllowed, request.headers.host, request.headers.origin)
    if (refusal === null) upgrade(request, socket, head)
    else void refuseUpgrade(socket, refusal)
  }
}
