import { setTimeout as pause } from 'node:timers/promises'
import type { Hono } from 'hono'
import { tickActionsOf } from '../../functions/action/tick_action.ts'
import { createBackground } from '../../functions/route/background.ts'
import { ingestApp } from '../../functions/route/ingest.ts'
import { liveApp } from '../../functions/route/live.ts'
import { mcpApp } from '../../functions/route/mcp.ts'
import { tickApp } from '../../functions/route/tick.ts'
import { whyApp } from '../../functions/route/why_app.ts'
import { readAs, readLiveData } from '../../functions/store/caller.ts'
import type { ReadAs } from '../../functions/store/caller_port.ts'
import { destinationPolicyOf } from '../../functions/store/destination_check.ts'
import { HttpNotifier } from '../../functions/store/http_notifier.ts'
import { PostgresStore } from '../../functions/store/postgres.ts'
import { RealtimeChannel } from '../../functions/store/realtime.ts'
import { UpstashHotStore } from '../../functions/store/redis.ts'
import { closeMsMax, embeddedFlushMs, pushMsMin } from '../core/limit.ts'
import type { OtlpRules } from '../wire/otlp_rule.ts'
import { authApp } from './auth.ts'
import { createCallerReader } from './claims.ts'
import { dashboardApp } from './dashboard_app.ts'
import type { Database } from './database.ts'
import { createRealtime } from './embedded_realtime.ts'
import { createRedis } from './embedded_redis.ts'
import { gatewayApp } from './gateway.ts'
import { refuseUpgrade, type Upgrade } from './http_server.ts'
import { nodeDial } from './node_dial.ts'
import type { ProjectKeys } from './project_key.ts'
import { redisApp } from './redis_rest.ts'
import type { GuardOptions } from './request_guard.ts'
import { restApp, restSchema } from './rest.ts'
import { createCatalogue } from './rest_catalogue.ts'

/** Where Upstash's REST interface to a Redis is. The token opens all of it. */
export type RedisAccess = { readonly url: string; readonly token: string }

export type ServiceOptions = {
  readonly database: Database
  readonly keys: ProjectKeys
  readonly guard: GuardOptions
  /** The address under which all of them answer. */
  readonly url: string
  /** Null: an embedded one is started. */
  readonly redis: RedisAccess | null
  readonly dashboard: { readonly dir: string | null; readonly reason: string | null }
  /** Starts a tick in the background. */
  readonly nudge: () => void
  readonly otlpRules: OtlpRules
  /** Whether alerts may be sent to addresses of a private network. */
  readonly allowsPrivateDestinations: boolean
}

export type Services = {
  readonly app: Hono
  readonly upgrade: Upgrade
  /** The one that the functions use. */
  readonly redis: RedisAccess
  /** Ends sockets, and waits for what is under way in the background, though no longer than a third of `closeMsMax`. */
  close(): Promise<void>
}

/**
 * What a hosted project offers, over one database: REST, Auth, Realtime, Redis, and the functions. The functions speak
 * HTTP to the others, as they do to a hosted project's.
 */
export function openServices(options: ServiceOptions): Services {
  const { database, keys, guard, url, dashboard, nudge, otlpRules } = options
  const embedded = options.redis === null ? createRedis() : null
  const redis = options.redis ?? { url: `${url}/redis`, token: keys.redisToken }
  const realtime = createRealtime({ database, keys })
  const background = createBackground()
  const clock = () => Date.now() * 1_000
  const store = new PostgresStore({ url, secretKey: keys.secretKey })
  const hot = new UpstashHotStore(redis)
  const channel = new RealtimeChannel({ url, secretKey: keys.secretKey })
  const rest = restApp({
    database,
    catalogue: createCatalogue(database, restSchema),
    readCaller: createCallerReader(keys),
  })
  const auth = authApp({ database, keys, url })
  const ingest = ingestApp({
    store,
    clock,
    flushMs: embeddedFlushMs,
    nudge,
    hot,
    channel,
    pushMs: pushMsMin,
    background: background.run,
    otlpRules,
  })
  const notifier = new HttpNotifier({
    dial: nodeDial(),
    policy: destinationPolicyOf(options.allowsPrivateDestinations),
    pageUrl: url,
    clock,
  })
  const instance = new URL(url).host
  const actions = tickActionsOf({ store, instance, redis: hot, channel, notifier, chance: Math.random })
  const tick = tickApp({ store, actions, clock, secret: keys.secretKey })
  const live = liveApp({ hot, readData: (headers) => readLiveData({ url }, headers), clock })
  const reading: ReadAs = (caller, name, args) => readAs({ url }, caller, name, args)
  const why = whyApp({ readAs: reading })
  const mcp = mcpApp({ readAs: reading, publishableKey: keys.publishableKey })
  const redisRest = embedded === null ? null : redisApp(embedded, redis.token)
  const page = dashboardApp({ ...dashboard, config: { supabaseUrl: null, publishableKey: keys.publishableKey } })
  const app = gatewayApp(
    {
      rest: (request) => rest.fetch(request),
      auth: (request) => auth.fetch(request),
      realtime: (request) => realtime.fetch(request),
      redis: (request) => redisRest?.fetch(request) ?? redisElsewhere(),
      functions: {
        ingest: (request) => ingest.fetch(request),
        tick: (request) => tick.fetch(request),
        live: (request) => live.fetch(request),
        why: (request) => why.fetch(request),
        mcp: (request) => mcp.fetch(request),
      },
      dashboard: (request) => page.fetch(request),
      isHealthy: () => isHealthy(database),
    },
    guard,
  )
  return {
    app,
    upgrade: (request, socket, head) => {
      const { pathname } = new URL(request.url ?? '/', url)
      if (pathname === '/realtime/v1/websocket') realtime.upgrade(request, socket, head)
      else void refuseUpgrade(socket, new Response(null, { status: 404 }))
    },
    redis,
    async close() {
      await Promise.race([background.settled(), pause(closeMsMax / 3, undefined, { ref: false })])
      await realtime.close()
      embedded?.close()
    },
  }
}

function redisElsewhere(): Response {
  return Response.json(
    { error: 'ERR no Redis is served here: UPSTASH_REDIS_REST_URL says where it is' },
    { status: 404 },
  )
}

function isHealthy(database: Database): Promise<boolean> {
  return database.query({ text: 'select 1', readOnly: true }).then(
    () => true,
    () => false,
  )
}
