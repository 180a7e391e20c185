import { Hono } from 'hono'
import { requestId } from 'hono/request-id'
import { isObject } from '../../src/core/json_object.ts'
import { whyBodyBytesMax } from '../../src/core/limit.ts'
import { answerWhy } from '../action/answer_why.ts'
import { CallerError, type ReadAs } from '../store/caller_port.ts'
import { anyOrigin, callerOf, callerProblem, noStore, unauthenticated } from './caller_request.ts'
import { consoleLog, type EdgeLog, originOf } from './edge_log.ts'
import { problem } from './problem.ts'
import { isJson, readBody } from './read_body.ts'

export type WhyDependencies = { readonly readAs: ReadAs; readonly log?: EdgeLog }

type Env = { Variables: { requestId: string } }

const form = {
  accepts: isJson,
  wanted: 'application/json in UTF-8',
  bytesMax: whyBodyBytesMax,
  compressedBytesMax: whyBodyBytesMax,
}

/**
 * `POST /why` with the filter of `telltale.why_data` as JSON, `{}` to have the slow calls found, answers a WhyAnswer to a
 * member: `apikey` and a bearer token are the caller's own. Failures are problem documents.
 */
export function whyApp({ readAs, log = consoleLog }: WhyDependencies): Hono<Env> {
  const app = new Hono<Env>({ strict: false }).basePath('/why')
  app.use(requestId({ limitLength: 64 }))
  app.use(anyOrigin(['POST']))
  app.use(noStore)

  app.post('/', async (c) => {
    const caller = callerOf(c)
    if (caller === null) return unauthenticated(c, 'reach a verdict', 'its key or token is missing')
    const body = await readBody(c.req.raw, undefined, form)
    if (!body.ok) return problem(c, body.error.status, body.error.detail)
    const filter = filterIn(body.value)
    if (filter === null) return problem(c, 400, 'Cannot reach a verdict: the body is no JSON object')
    try {
      return c.json(await answerWhy((name, args) => readAs(caller, name, args), filter))
    } catch (error) {
      if (!(error instanceof CallerError)) throw error
      if (error.reason === 'unavailable') log({ request_id: c.get('requestId'), what: 'why', detail: error.message })
      return callerProblem(c, 'reach a verdict', error)
    }
  })

  app.all('/', (c) => problem(c, 405, `Cannot ${c.req.method} here: a verdict is asked for by POST`, { Allow: 'POST' }))
  app.notFound((c) => problem(c, 404, 'Cannot find the resource: verdicts are reached at /why'))
  app.onError((error, c) => {
    log({ request_id: c.get('requestId') ?? '', what: 'why', detail: originOf(error) })
    return problem(c, 500, 'Cannot reach a verdict: the edge failed')
  })
  return app
}

function filterIn(body: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body))
    return isObject(value) ? value : null
  } catch {
    return null
  }
}
