import { type Context, Hono } from 'hono'
import { requestId } from 'hono/request-id'
import { type HotSource, hotBatchOf } from '../../src/core/hot_batch.ts'
import { hostedPushMs, ingestsAtOnceMax, ingestsInFlightMax, ingestWaitMsMax } from '../../src/core/limit.ts'
import { openApiDocument } from '../../src/wire/openapi.ts'
import { noOtlpRules, type OtlpRules } from '../../src/wire/otlp_rule.ts'
import { parseBatch } from '../../src/wire/parse_batch.ts'
import { type Arrival, acceptBatch } from '../action/accept_batch.ts'
import { keyChecker } from '../action/check_key.ts'
import { livePusher } from '../action/push_live.ts'
import { type BatchStore, type HotStore, type PushChannel, StoreError } from '../store/port.ts'
import { createAdmission } from './admission.ts'
import { consoleLog, type EdgeLog, originOf } from './edge_log.ts'
import { otlpApp } from './otlp.ts'
import { type ProblemStatus, problem } from './problem.ts'
import { readBody } from './read_body.ts'

export type IngestDependencies = {
  readonly store: BatchStore
  /** µs since the epoch. */
  readonly clock: () => number
  /** The pace of a reporter that nobody watches, in ms. */
  readonly flushMs: number
  /** Starts a tick in the background; called after a batch whose store says that one is due. */
  readonly nudge?: () => void
  /** The hot tier; without it nothing is pushed. */
  readonly hot?: HotStore
  /** Where pushes go; without it the hot tier is only written. */
  readonly channel?: PushChannel
  /** The least time between two pushes, in ms. */
  readonly pushMs?: number
  /** Keeps alive what goes on after the answer, where a platform would end it. */
  readonly background?: (work: Promise<unknown>) => void
  /** What the operator says of OpenTelemetry's spans. */
  readonly otlpRules?: OtlpRules
  readonly log?: EdgeLog
}

type Env = { Variables: { requestId: string } }

/**
 * `POST /ingest` takes batches, `GET /ingest/openapi.json` documents it; every failure is a problem document. Below
 * `/ingest/v1` is OTLP.
 */
export function ingestApp(dependencies: IngestDependencies): Hono<Env> {
  const { store, clock, flushMs, nudge, otlpRules = noOtlpRules, log = consoleLog } = dependencies
  const checkKey = keyChecker(store, clock)
  const afterAck = liveWriter(dependencies, log)
  const app = new Hono<Env>({ strict: false }).basePath('/ingest')
  const admission = createAdmission(ingestsAtOnceMax, ingestWaitMsMax)
  let inFlight = 0

  app.use(requestId({ limitLength: 64 }))
  app.get('/openapi.json', (c) => c.json(openApiDocument()))

  app.post('/', async (c) => {
    const receivedAtUs = clock()
    const end = begin()
    if (end === null) return problem(c, 429, 'Cannot take batch: too many are being taken')
    try {
      const key = await checkKey(c.req.header('authorization') ?? null)
      if (!key.ok && key.error === 'revoked') return problem(c, 403, 'Cannot take batch: its ingest key is revoked')
      if (!key.ok) {
        return problem(c, 401, 'Cannot take batch: its ingest key is unknown', { 'WWW-Authenticate': 'Bearer' })
      }
      const body = await readBody(c.req.raw)
      if (!body.ok) return problem(c, body.error.status, body.error.detail, hintsOf(body.error.status))
      const leave = await admission.enter()
      if (leave === null) return problem(c, 429, 'Cannot take batch: too many are being taken')
      try {
        return await accept(c, body.value, { keyId: key.value, receivedAtUs })
      } finally {
        leave()
      }
    } finally {
      end()
    }
  })

  function begin(): (() => void) | null {
    if (inFlight >= ingestsInFlightMax) return null
    inFlight += 1
    return () => {
      inFlight -= 1
    }
  }

  function nudgeTick(requestId: string): void {
    try {
      nudge?.()
    } catch (error) {
      // The batch is committed: whatever the platform holds against work in the background, the ack stands.
      log({ request_id: requestId, what: 'nudge', detail: originOf(error) })
    }
  }

  async function accept(c: Context<Env>, body: Uint8Array, from: Pick<Arrival, 'keyId' | 'receivedAtUs'>) {
    const parsed = parseBatch(body, from.receivedAtUs)
    if (!parsed.ok) return problem(c, parsed.error.status, parsed.error.detail)
    const sentAtUs = sentAtOf(c.req.header('telltale-sent-at'))
    const { ack, tickDue, hot } = await acceptBatch(parsed.value, { ...from, sentAtUs, flushMs }, store)
    if (tickDue) nudgeTick(c.get('requestId'))
    if (hot !== null) afterAck(hot, ack.watched)
    return c.json(ack)
  }

  const otlp = otlpApp({
    ...{ store, clock, flushMs, rules: otlpRules, checkKey, begin, enter: admission.enter },
    settle: ({ tickDue, stored }, requestId) => {
      if (tickDue) nudgeTick(requestId)
      for (const { hot, watched } of stored) afterAck(hot, watched)
    },
    warn: (request_id, error) => log({ request_id, what: 'otlp', detail: detailOf(error) }),
  })
  app.route('/v1', otlp)

  app.all('/', (c) => problem(c, 405, `Cannot ${c.req.method} here: batches are sent by POST`, { Allow: 'POST' }))
  app.all('/openapi.json', (c) => problem(c, 405, 'Cannot change the document: it is read by GET', { Allow: 'GET' }))
  app.notFound((c) => problem(c, 404, 'Cannot find the resource: batches are taken at /ingest'))
  app.onError((error, c) => {
    const [status, detail] = answerTo(error)
    const entry = { request_id: c.get('requestId') ?? '', what: 'ingest' }
    log({ ...entry, detail: detailOf(error) })
    return problem(c, status, detail)
  })
  return app
}

/** Begins the hot write and the push of a stored batch. The ack neither waits for them nor fails with them. */
function liveWriter({ hot, channel, pushMs = hostedPushMs, clock, background }: IngestDependencies, log: EdgeLog) {
  if (hot === undefined) return () => {}
  const warn = (what: string, error: unknown) => log({ request_id: '', what, detail: detailOf(error) })
  const push = livePusher({ hot, channel: channel ?? null, pushMs, clock, warn })

  async function write(source: HotSource, watched: boolean): Promise<void> {
    // Not before the answer is on its way: summing up a full batch takes some milliseconds.
    await new Promise((resolve) => setTimeout(resolve, 0))
    await push(hotBatchOf(source), watched)
  }

  return (source: HotSource, watched: boolean): void => {
    const work = write(source, watched).catch((error: unknown) => warn('hot batch', error))
    try {
      background?.(work)
    } catch (error) {
      warn('background', error)
    }
  }
}

function detailOf(error: unknown): string {
  return error instanceof StoreError ? error.message : originOf(error)
}

/** The store's failures as answers. A missing partition that was made and is still missing is the store's fault. */
function answerTo(error: Error): readonly [ProblemStatus, string] {
  if (!(error instanceof StoreError)) return [500, 'Cannot take batch: the edge failed']
  if (error.reason === 'refused') return [422, 'Cannot take batch: the store refuses its content']
  return [503, 'Cannot take batch: the store is unavailable']
}

function hintsOf(status: number): Record<string, string> {
  return status === 415 ? { Accept: 'application/json', 'Accept-Encoding': 'gzip, identity' } : {}
}

/** Integer µs since the epoch; null for anything else, as without the header. */
function sentAtOf(header: string | undefined): number | null {
  if (header === undefined || !/^\d{1,16}$/.test(header)) return null
  const us = Number(header)
  return Number.isSafeInteger(us) ? us : null
}
