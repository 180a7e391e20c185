import { Hono } from 'hono'
import { requestId } from 'hono/request-id'
import { isSameHash, sha256Hex } from '../action/check_key.ts'
import { runTick } from '../action/run_tick.ts'
import { StoreError, type TickActions, type TickStore } from '../store/port.ts'
import { consoleLog, type EdgeLog, originOf } from './edge_log.ts'
import { problem } from './problem.ts'

export type TickDependencies = {
  readonly store: TickStore
  readonly actions: TickActions
  /** Who may ask for a tick: sent as `apikey`, or as a bearer token. */
  readonly secret: string
  /** µs since the epoch. */
  readonly clock: () => number
  readonly log?: EdgeLog
}

type Env = { Variables: { requestId: string } }

/** `POST /tick` runs one pass, or none where another has the lease, and answers what it did. */
export function tickApp({ store, actions, secret, clock, log = consoleLog }: TickDependencies): Hono<Env> {
  const app = new Hono<Env>({ strict: false }).basePath('/tick')
  const expected = sha256Hex(secret)

  app.use(requestId({ limitLength: 64 }))
  app.post('/', async (c) => {
    const bearer = /^bearer +(.+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
    const offered = c.req.header('apikey') ?? bearer ?? ''
    if (!isSameHash(await sha256Hex(offered), await expected)) {
      return problem(c, 401, 'Cannot run tick: its key is unknown', { 'WWW-Authenticate': 'Bearer' })
    }
    const report = await runTick(store, actions, crypto.randomUUID(), clock)
    for (const [step, { failed }] of Object.entries(report.steps)) {
      if (failed !== null) log({ request_id: c.get('requestId'), what: `tick ${step}`, detail: failed })
    }
    return c.json(report)
  })

  app.all('/', (c) => problem(c, 405, `Cannot ${c.req.method} here: a tick is asked for by POST`, { Allow: 'POST' }))
  app.notFound((c) => problem(c, 404, 'Cannot find the resource: ticks are run at /tick'))
  app.onError((error, c) => {
    const known = error instanceof StoreError
    log({ request_id: c.get('requestId') ?? '', what: 'tick', detail: known ? error.message : originOf(error) })
    return known
      ? problem(c, 503, 'Cannot run tick: the store is unavailable')
      : problem(c, 500, 'Cannot run tick: the edge failed')
  })
  return app
}
