import { type Context, Hono } from 'hono'
import { requestId } from 'hono/request-id'
import { knownCallerMs, knownCallersMax, liveMinutesMax, livesInFlightMax } from '../../src/core/limit.ts'
import { type LiveStores, readLive } from '../action/read_live.ts'
import { CallerError, type LiveCaller } from '../store/caller_port.ts'
import { anyOrigin, callerOf, callerProblem, noStore, unauthenticated } from './caller_request.ts'
import { consoleLog, type EdgeLog, originOf } from './edge_log.ts'
import { problem } from './problem.ts'

export type LiveDependencies = LiveStores & {
  /** µs since the epoch. */
  readonly clock: () => number
  readonly log?: EdgeLog
}

type Env = { Variables: { requestId: string } }

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * `GET` or `POST /live?viewer=<uuid>&minutes=<0..60>` answers a LiveSnapshot to a member: `apikey` and a bearer token are
 * the caller's own. Each call with a viewer keeps the reporters fast for another minute. Failures are problem documents.
 */
export function liveApp({ hot, readData, clock, log = consoleLog }: LiveDependencies): Hono<Env> {
  const app = new Hono<Env>({ strict: false }).basePath('/live')
  const known = callerMemory(clock)
  let inFlight = 0

  app.use(requestId({ limitLength: 64 }))
  app.use(anyOrigin(['GET', 'POST']))
  app.use(noStore)

  app.on(['GET', 'POST'], '/', async (c) => {
    const caller = liveCallerOf(c)
    if (caller === null) return unauthenticated(c, 'read live data', 'its key or token is missing')
    if (caller === 'viewer') return problem(c, 400, 'Cannot read live data: viewer is no UUID')
    if (caller === 'minutes') return problem(c, 400, `Cannot read live data: minutes is not 0 to ${liveMinutesMax}`)
    if (caller === 'present') return problem(c, 400, 'Cannot read live data: present is no number of pages')
    if (inFlight >= livesInFlightMax) return problem(c, 429, 'Cannot read live data: too many are asking')
    inFlight += 1
    try {
      const snapshot = await readLive({ hot, readData }, caller, { nowUs: clock(), known: known.has(caller) })
      known.add(caller)
      return c.json(snapshot)
    } catch (error) {
      if (!(error instanceof CallerError)) throw error
      if (error.reason === 'unavailable') log({ request_id: c.get('requestId'), what: 'live', detail: error.message })
      return callerProblem(c, 'read live data', error)
    } finally {
      inFlight -= 1
    }
  })

  app.all('/', (c) => problem(c, 405, `Cannot ${c.req.method} here: live data is read`, { Allow: 'GET, POST' }))
  app.notFound((c) => problem(c, 404, 'Cannot find the resource: live data is read at /live'))
  app.onError((error, c) => {
    log({ request_id: c.get('requestId') ?? '', what: 'live', detail: originOf(error) })
    return problem(c, 500, 'Cannot read live data: the edge failed')
  })
  return app
}

/** Who was let look lately, by their tokens: only a hint of who will be, and the newest knownCallersMax of them. */
function callerMemory(clock: () => number) {
  const until = new Map<string, number>()
  return {
    has: ({ authorization }: LiveCaller) => (until.get(authorization) ?? 0) > clock(),
    add({ authorization }: LiveCaller): void {
      until.delete(authorization)
      until.set(authorization, clock() + knownCallerMs * 1_000)
      const oldest = until.keys().next()
      if (until.size > knownCallersMax && !oldest.done) until.delete(oldest.value)
    },
  }
}

/** Who asks and for what; null without a key and a token, else the name of what is wrong. */
function liveCallerOf(c: Context<Env>): LiveCaller | null | 'viewer' | 'minutes' | 'present' {
  const caller = callerOf(c)
  if (caller === null) return null
  const viewer = c.req.query('viewer') ?? null
  if (viewer !== null && !uuid.test(viewer)) return 'viewer'
  const minutes = c.req.query('minutes') ?? String(liveMinutesMax)
  if (!/^\d{1,2}$/.test(minutes) || Number(minutes) > liveMinutesMax) return 'minutes'
  const present = c.req.query('present') ?? '0'
  if (!/^\d{1,5}$/.test(present)) return 'present'
  return { ...caller, viewer, minutes: Number(minutes), present: Number(present) }
}
