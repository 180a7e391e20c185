import { Hono } from 'hono'
import { createHostCheck, crossOrigin, type GuardOptions, refuseForeign } from './request_guard.ts'

type Fetch = (request: Request) => Response | Promise<Response>

export type GatewayApps = {
  /** Sees `/rpc/...`. */
  readonly rest: Fetch
  /** Each sees `/<name>/...`, as a function of Supabase's does. */
  readonly functions: Readonly<Record<'ingest' | 'tick', Fetch>>
  /** The public keys that sign users' tokens. */
  readonly jwks: unknown
  /** Whether the database answers. */
  readonly isHealthy: () => Promise<boolean>
}

/** One address for all that a Supabase project has at several, refused to foreign hosts and pages. */
export function gatewayApp({ rest, functions, jwks, isHealthy }: GatewayApps, guard: GuardOptions): Hono {
  const app = new Hono()
  app.use(refuseForeign(createHostCheck(guard)))
  app.use(crossOrigin())

  app.mount('/rest/v1', rest)
  for (const [name, fetch] of Object.entries(functions)) {
    app.mount(`/functions/v1/${name}`, fetch, { replaceRequest: withoutPrefix('/functions/v1') })
  }
  app.get('/auth/v1/.well-known/jwks.json', (context) => {
    context.header('Cache-Control', 'public, max-age=600')
    return context.json(jwks)
  })
  app.get('/healthz', async (context) => {
    const healthy = await isHealthy()
    return context.json({ name: 'telltale', status: healthy ? 'ok' : 'unavailable' }, healthy ? 200 : 503)
  })
  app.get('/', (context) => context.html(welcome))
  app.notFound((context) => {
    const detail = `Cannot find ${context.req.path}: nothing is served there`
    const problem = { type: 'about:blank', title: 'Not Found', status: 404, detail }
    return context.json(problem, 404, { 'Content-Type': 'application/problem+json' })
  })
  return app
}

/** What the gateway answers while the database opens: come back soon. */
export function startingApp(guard: GuardOptions): Hono {
  const app = new Hono()
  app.use(refuseForeign(createHostCheck(guard)))
  app.all('*', (context) => {
    const detail = 'Cannot answer yet: telltale is starting'
    const problem = { type: 'about:blank', title: 'Service Unavailable', status: 503, detail }
    return context.json(problem, 503, { 'Retry-After': '1', 'Content-Type': 'application/problem+json' })
  })
  return app
}

function withoutPrefix(prefix: string): (request: Request) => Request {
  return (request) => {
    const url = new URL(request.url)
    url.pathname = url.pathname.slice(prefix.length)
    return new Request(url, request)
  }
}

const welcome = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Telltale</title>
<style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem }</style>
<h1>Telltale is running</h1>
<p>Its keys and addresses are in <code>local.env</code> in its data directory (<code>.telltale</code> beside package.json unless
<code>TELLTALE_DATA_DIR</code> says otherwise).</p>
<ul>
<li>Record an MCP server: <code>telltale wrap -- CMD ARGS...</code></li>
<li>Follow its calls: <code>telltale tail</code></li>
<li>Ask in SQL: <code>psql "$DATABASE_URL"</code></li>
</ul>
<p><a href="/functions/v1/ingest/openapi.json">What ingest takes</a> · <a href="/healthz">Health</a></p>
</html>
`
