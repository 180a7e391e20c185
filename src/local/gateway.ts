import { Hono } from 'hono'
import { problem } from '../../functions/route/problem.ts'
import { createHostCheck, crossOrigin, type GuardOptions, refuseForeign } from './request_guard.ts'

type Fetch = (request: Request) => Response | Promise<Response>

export type GatewayApps = {
  /** Sees `/rpc/...`. */
  readonly rest: Fetch
  /** Sees `/token`, `/user` ... */
  readonly auth: Fetch
  /** Sees `/api/broadcast...`; its WebSocket is no request. */
  readonly realtime: Fetch
  /** Sees `/`, `/pipeline` ... */
  readonly redis: Fetch
  /** Each sees `/<name>/...`, as a function of Supabase's does. */
  readonly functions: Readonly<Record<'ingest' | 'tick' | 'live' | 'why' | 'mcp', Fetch>>
  /** Sees whatever no service has. */
  readonly dashboard: Fetch
  /** Whether the database answers. */
  readonly isHealthy: () => Promise<boolean>
}

/** What else a mounted app could be given is looked for by an exception, which in Node costs as much as the rest of the way. */
const requestAlone = (): [] => []

/** One address for all that a Supabase project, an Upstash database and a Worker have at several, refused to foreign hosts and pages. */
export function gatewayApp(
  { rest, auth, realtime, redis, functions, dashboard, isHealthy }: GatewayApps,
  guard: GuardOptions,
): Hono {
  const app = new Hono()
  app.use(refuseForeign(createHostCheck(guard)))
  app.use(crossOrigin())

  app.mount('/rest/v1', rest, requestAlone)
  app.mount('/auth/v1', auth, requestAlone)
  app.mount('/realtime/v1', realtime, requestAlone)
  app.mount('/redis', redis, requestAlone)
  for (const [name, fetch] of Object.entries(functions)) {
    app.mount(`/functions/v1/${name}`, fetch, {
      optionHandler: requestAlone,
      replaceRequest: withoutPrefix('/functions/v1'),
    })
  }
  app.get('/healthz', async (context) => {
    const healthy = await isHealthy()
    return context.json({ name: 'telltale', status: healthy ? 'ok' : 'unavailable' }, healthy ? 200 : 503)
  })
  // Services that a project may have and this one has not: a page in their place would puzzle every client.
  for (const service of ['rest', 'auth', 'realtime', 'functions', 'storage', 'graphql']) {
    app.all(`/${service}/*`, (context) => context.notFound())
  }
  app.get('*', (context) => dashboard(context.req.raw))
  app.notFound((context) => problem(context, 404, `Cannot find ${context.req.path}: nothing is served there`))
  return app
}

/** What the gateway answers while the database opens: come back soon. */
export function startingApp(guard: GuardOptions): Hono {
  const app = new Hono()
  app.use(refuseForeign(createHostCheck(guard)))
  app.all('*', (context) => problem(context, 503, 'Cannot answer yet: telltale is starting', { 'Retry-After': '1' }))
  return app
}

function withoutPrefix(prefix: string): (request: Request) => Request {
  return (request) => {
    const url = new URL(request.url)
    url.pathname = url.pathname.slice(prefix.length)
    return new Request(url, request)
  }
}
