import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono, type MiddlewareHandler } from 'hono'
import { type PageConfig, pageConfigOf } from '../../functions/route/page_config.ts'
import { cacheControlOf, pageHeaders } from '../../functions/route/page_headers.ts'

type DashboardOptions = {
  /** Of the built files; null while there are none, with the reason. */
  readonly dir: string | null
  readonly reason: string | null
  readonly config: PageConfig
}

/**
 * The dashboard's files, `/config.json`, and for every path that is no file the page itself, which knows its own paths.
 * What looks like a file and is none answers 404.
 */
export function dashboardApp({ dir, reason, config }: DashboardOptions): Hono {
  const app = new Hono()
  app.use(pagePolicy(config))
  app.get('/config.json', (context) => context.json(pageConfigOf(config)))
  if (dir === null || !existsSync(join(dir, 'index.html'))) {
    app.get('/', (context) => context.text(`The dashboard is not there: ${reason ?? 'it was not built'}\n`, 503))
    return app
  }
  app.get('*', serveStatic({ root: dir }))
  app.get('*', async (context, next) =>
    /\.\w+$/.test(context.req.path) ? next() : serveStatic({ root: dir, path: 'index.html' })(context, next),
  )
  return app
}

function pagePolicy(config: PageConfig): MiddlewareHandler {
  const headers = Object.entries(pageHeaders(config))
  return async (context, next) => {
    await next()
    for (const [name, value] of headers) context.header(name, value)
    context.header('Cache-Control', cacheControlOf(context.req.path, context.res.status))
  }
}
