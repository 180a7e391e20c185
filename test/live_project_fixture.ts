import { randomBytes, randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createBackground } from '../functions/route/background.ts'
import { ingestApp } from '../functions/route/ingest.ts'
import { PostgresStore } from '../functions/store/postgres.ts'
import { RealtimeChannel } from '../functions/store/realtime.ts'
import { UpstashHotStore } from '../functions/store/redis.ts'
import { embeddedFlushMs } from '../src/core/limit.ts'
import type { Push } from '../src/core/live_snapshot.ts'
import type { TelltaleRecord } from '../src/core/record.ts'
import { createCallerReader } from '../src/local/claims.ts'
import { createRedis } from '../src/local/embedded_redis.ts'
import { ensureIngestKey } from '../src/local/ensure_ingest_key.ts'
import { openHttpServer } from '../src/local/http_server.ts'
import { migrate } from '../src/local/migrate.ts'
import { openPgliteDatabase } from '../src/local/pglite_database.ts'
import { readProjectKeys } from '../src/local/project_key.ts'
import { redisApp } from '../src/local/redis_rest.ts'
import { restApp, restSchema } from '../src/local/rest.ts'
import { createCatalogue } from '../src/local/rest_catalogue.ts'
import { gatewayOf } from './gateway_fixture.ts'
import { aBatch } from './rows_fixture.ts'

/** What Redis's address does with one request: `lose` carries it out and drops the answer. */
export type RedisFault = 'none' | 'refuse' | 'lose' | 'garbage' | 'hang'

/** One project: Postgres and Redis behind one address, and whatever is broadcast written down. */
export type LiveProject = {
  /** Redis commands as they came, one list a request. */
  readonly requests: { readonly at: number; readonly commands: readonly (readonly string[])[] }[]
  readonly pushes: { readonly at: number; readonly push: Push }[]
  /** Asked before each request to Redis; the first is 0. */
  redisFault: (request: number, commands: readonly (readonly string[])[]) => RedisFault
  broadcastStatus: () => number
  /** Runs one Redis command. */
  redis(...command: string[]): unknown
  watch(isWatched: boolean): Promise<void>
  /** An isolate of the ingest function, with memory of its own, that waits longer for Redis than a busy machine takes. */
  openEdge(options?: { readonly pushMs?: number; readonly redisMsMax?: number }): Edge
  /** Forgets what was seen and stored in Redis. */
  reset(): void
  close(): Promise<void>
}

export type Edge = {
  /** Sends a batch, and answers the status of its ack. */
  post(batch: ReturnType<typeof aBatch>): Promise<{ readonly http: number; readonly status: string }>
  readonly log: string[]
  settled(): Promise<void>
}

export async function openLiveProject(): Promise<LiveProject> {
  const dir = join(tmpdir(), `telltale-live-${randomUUID()}`)
  const keys = await readProjectKeys(dir)
  const database = await openPgliteDatabase({ dir, password: keys.databasePassword })
  await migrate(database)
  const ingestKey = await ensureIngestKey(database, dir, keys)
  let redis = createRedis()
  const seen: Pick<LiveProject, 'requests' | 'pushes'> = { requests: [], pushes: [] }
  const rest = restApp({
    database,
    catalogue: createCatalogue(database, restSchema),
    readCaller: createCallerReader(keys),
  })

  async function askRedis(request: Request): Promise<Response> {
    const commands = (await request.clone().json()) as readonly (readonly string[])[]
    const fault = project.redisFault(seen.requests.length, commands)
    seen.requests.push({ at: performance.now(), commands })
    if (fault === 'refuse') return new Response('{"error":"ERR max requests limit exceeded"}', { status: 400 })
    if (fault === 'garbage') return new Response('<html>', { status: 200 })
    if (fault === 'hang') return new Promise(() => {})
    const answer = await redisApp(redis, 'token').fetch(request)
    return fault === 'lose' ? new Response('bad gateway', { status: 502 }) : answer
  }

  async function broadcast(request: Request): Promise<Response> {
    const status = project.broadcastStatus()
    const body = (await request.json()) as { messages: { topic: string; event: string; payload: Push }[] }
    const isRight =
      request.url.endsWith('/api/broadcast') && request.headers.get('apikey') === keys.secretKey && status === 202
    if (isRight) for (const { payload } of body.messages) seen.pushes.push({ at: performance.now(), push: payload })
    return new Response(null, { status: isRight ? 202 : Math.max(status, 400) })
  }

  const gateway = gatewayOf({ rest: rest.fetch, redis: askRedis, realtime: broadcast })
  const server = await openHttpServer({ host: '127.0.0.1', port: 0 }, (request) => gateway.fetch(request))
  const project: LiveProject = {
    ...seen,
    redisFault: () => 'none',
    broadcastStatus: () => 202,
    redis: (...command) => redis.call(command),
    async watch(isWatched) {
      await database.exec('delete from telltale.viewers')
      if (!isWatched) return
      await database.exec(
        'insert into telltale.viewers (viewer_id, user_id) values (gen_random_uuid(), gen_random_uuid())',
      )
    },
    openEdge({ pushMs = 250, redisMsMax = 10_000 } = {}) {
      const background = createBackground()
      const log: string[] = []
      const app = ingestApp({
        store: new PostgresStore({ url: server.url, secretKey: keys.secretKey }),
        clock: () => Date.now() * 1_000,
        flushMs: embeddedFlushMs,
        hot: new UpstashHotStore({ url: `${server.url}/redis`, token: 'token', msMax: redisMsMax }),
        channel: new RealtimeChannel({ url: server.url, secretKey: keys.secretKey }),
        pushMs,
        background: background.run,
        log: ({ what, detail }) => log.push(`${what}: ${detail}`),
      })
      const headers = { authorization: `Bearer ${ingestKey}`, 'content-type': 'application/json' }
      return {
        log,
        settled: background.settled,
        async post(batch) {
          const answer = await app.request('/ingest', { method: 'POST', headers, body: JSON.stringify(batch) })
          const { status } = (await answer.json()) as { status: string }
          return { http: answer.status, status }
        },
      }
    },
    reset() {
      redis.close()
      redis = createRedis()
      seen.requests.splice(0)
      seen.pushes.splice(0)
      project.redisFault = () => 'none'
      project.broadcastStatus = () => 202
    },
    async close() {
      await server.close()
      redis.close()
      await database.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
  return project
}

/** One call that ends now, of a process of its own unless said; `seq` tells it from others. */
export function batchNow(seq: number, records: readonly TelltaleRecord[] = [], process: string = randomUUID()) {
  const made_at_us = Date.now() * 1_000
  const id = () => randomBytes(8).toString('hex')
  const span = {
    type: 'span',
    trace_id: id() + id(),
    span_id: id(),
    layer: 'tool',
    name: 'chat',
    tool: 'chat',
    entry: true,
    start_us: made_at_us - 5_000,
    end_us: made_at_us,
    outcome: 'ok',
  } as unknown as TelltaleRecord
  const { batch_id, source, counters } = aBatch([span, ...records])
  const started = { id: process, started_at_us: made_at_us - 60_000_000, host: 'box', pid: 7, sdk: 'telltale-js/0.1.0' }
  return aBatch([span, ...records], { batch_id, source, counters, made_at_us, process: started, seq })
}
