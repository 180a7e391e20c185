import { AsyncLocalStorage } from 'node:async_hooks'
import { Hono } from 'hono'
import { tickActionsOf } from './action/tick_action.ts'
import { ingestApp } from './route/ingest.ts'
import { liveApp } from './route/live.ts'
import { mcpApp } from './route/mcp.ts'
import { readOtlpRules } from './route/otlp_setting.ts'
import { pageConfigOf } from './route/page_config.ts'
import { cacheControlOf, pageHeaders } from './route/page_headers.ts'
import { problem } from './route/problem.ts'
import { tickApp } from './route/tick.ts'
import { whyApp } from './route/why_app.ts'
import { readAs, readLiveData } from './store/caller.ts'
import type { ReadAs } from './store/caller_port.ts'
import { destinationPolicyOf } from './store/destination_check.ts'
import { fetchDial } from './store/destination_dial.ts'
import { readEdgeEnv } from './store/edge_env.ts'
import { HttpNotifier } from './store/http_notifier.ts'
import { PostgresStore } from './store/postgres.ts'
import { RealtimeChannel } from './store/realtime.ts'
import { UpstashHotStore } from './store/redis.ts'

/** What wrangler.toml binds; the settings, which `wrangler secret put` adds, are texts. */
type Bindings = { readonly ASSETS: Assets; readonly [setting: string]: unknown }
type Assets = { fetch(request: Request): Promise<Response> }
/** What a request, or a turn of the cron, keeps alive beyond its answer. */
type Lifetime = { waitUntil(work: Promise<unknown>): void }
type Fetch = (request: Request) => Response | Promise<Response>
type Apps = { readonly tick: () => Promise<Response>; readonly fetch: Fetch }

const prefix = '/functions/v1'
const lifetimes = new AsyncLocalStorage<Lifetime>()
// An isolate serves many requests, and what the apps remember of keys and stores must outlast each.
const built = new WeakMap<Bindings, Apps>()

/** On Cloudflare one Worker is all: the functions, the dashboard's files, and the cron that ticks. */
export default {
  fetch(request: Request, bindings: Bindings, lifetime: Lifetime): Promise<Response> {
    const answer = lifetimes.run(lifetime, async () => appsOf(bindings).fetch(request))
    // A caller who hangs up must not end what others wait for: a key being read, a place among those in flight. And a
    // body that was refused unread must be given up, or its sender may lose the connection before the answer.
    lifetime.waitUntil(answer.finally(() => (request.body?.locked ? undefined : request.body?.cancel())))
    return answer
  },

  async scheduled(_event: unknown, bindings: Bindings, lifetime: Lifetime): Promise<void> {
    const answer = await lifetimes.run(lifetime, () => appsOf(bindings).tick())
    if (!answer.ok) throw new Error(`Cannot run tick: it answered ${answer.status}`)
  },
}

function appsOf(bindings: Bindings): Apps {
  const apps = built.get(bindings) ?? buildApps(bindings)
  built.set(bindings, apps)
  return apps
}

/** Throws when a setting is missing. */
function buildApps(bindings: Bindings): Apps {
  const setting = (name: string) => (typeof bindings[name] === 'string' ? bindings[name] : undefined)
  const env = readEdgeEnv(setting)
  const store = new PostgresStore(env)
  const clock = () => Date.now() * 1_000
  const background = (work: Promise<unknown>) => lifetimes.getStore()?.waitUntil(work)

  const hot = env.redis === null ? null : new UpstashHotStore(env.redis)
  const channel = new RealtimeChannel(env)
  const notifier = new HttpNotifier({
    // A Worker resolves no names; its requests leave from a network in which there are no private ones.
    dial: fetchDial(null),
    policy: destinationPolicyOf(env.allowsPrivateDestinations),
    pageUrl: env.pageUrl,
    clock,
  })
  const instance = new URL(env.url).host
  const actions = tickActionsOf({ store, instance, redis: hot, channel, notifier, chance: Math.random })
  const ticks = tickApp({ store, actions, secret: env.secretKey, clock })
  // A Worker cannot call itself by its address.
  const tick = async () => ticks.request('/tick', { method: 'POST', headers: { apikey: env.secretKey } })
  const ingests = ingestApp({
    store,
    clock,
    flushMs: env.flushMs,
    nudge: () => background(tick()),
    ...(hot === null ? {} : { hot, channel }),
    pushMs: env.pushMs,
    background,
    otlpRules: readOtlpRules(setting('TELLTALE_OTLP_RULES')),
  })

  const lives = liveApp({ hot, readData: (caller) => readLiveData({ url: env.url }, caller), clock })

  const reading: ReadAs = (caller, name, args) => readAs({ url: env.url }, caller, name, args)
  const whys = whyApp({ readAs: reading })
  const mcps = mcpApp({ readAs: reading, publishableKey: env.publishableKey })

  const app = new Hono()
  for (const [name, functionApp] of Object.entries({
    ingest: ingests,
    tick: ticks,
    live: lives,
    why: whys,
    mcp: mcps,
  })) {
    app.mount(`${prefix}/${name}`, (request: Request) => functionApp.fetch(request), {
      replaceRequest: (request) => new Request(request.url.replace(prefix, ''), request),
    })
  }
  const page = { supabaseUrl: env.url, publishableKey: env.publishableKey }
  app.route('/', pageApp(bindings.ASSETS, page))
  app.notFound((context) => problem(context, 404, `Cannot find ${context.req.path}: nothing is served there`))
  return { tick, fetch: (request) => app.fetch(request) }
}

/** The dashboard's files; its own paths, which are no files, are answered with the page. */
function pageApp(assets: Assets, config: { readonly supabaseUrl: string; readonly publishableKey: string }): Hono {
  const headers = Object.entries(pageHeaders(config))
  const app = new Hono()
  app.use(async (context, next) => {
    await next()
    for (const [name, value] of headers) context.header(name, value)
    context.header('Cache-Control', cacheControlOf(context.req.path, context.res.status))
  })
  app.get('/config.json', (context) => context.json(pageConfigOf(config)))
  // What other places have beside the page: the page in its stead would puzzle every client.
  for (const service of ['functions', 'rest', 'auth', 'realtime']) {
    app.all(`/${service}/*`, (context) => context.notFound())
  }
  app.all('*', async (context) => {
    const file = await assets.fetch(context.req.raw)
    // In place of a file of an earlier build the page would be taken for a script.
    const isPage = file.headers.get('Content-Type')?.startsWith('text/html') ?? false
    if (isPage && /\.(?!html$)\w+$/.test(context.req.path)) return context.notFound()
    return new Response(file.body, file)
  })
  return app
}
