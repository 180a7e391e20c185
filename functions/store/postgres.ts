import { PostgrestClient } from '@supabase/postgrest-js'
import type { AlertPush } from '../../src/core/alert/alert_document.ts'
import type { AlertOutcome } from '../../src/core/alert/alert_pass.ts'
import { isObject } from '../../src/core/json_object.ts'
import { statementMsMax, storeSlackMs, turnMsMax } from '../../src/core/limit.ts'
import type { WhyAnswer } from '../../src/core/why/why_answer.ts'
import type { WhyData } from '../../src/core/why/why_data.ts'
import {
  type AlertQuestion,
  type AlertReading,
  type AlertStore,
  type AlertWhyStore,
  type BatchRows,
  type BatchStore,
  type Delivery,
  type Detections,
  type DetectorStore,
  type DetectorWork,
  type EndedSpans,
  type IngestReply,
  type KeyRow,
  type Notification,
  type OwnGauge,
  type ResourceStore,
  type StepAnswer,
  StoreError,
  type TickStep,
  type TickStore,
} from './port.ts'
import { secretHeaders } from './secret_header.ts'

/** The tables of the operator's own project live in `public`; ours never do. */
const schema = 'telltale'

export type StoreAccess = {
  /** SUPABASE_URL, without a path. */
  readonly url: string
  /** `sb_secret_...`, or the legacy service_role JWT. */
  readonly secretKey: string
  readonly fetch?: typeof fetch
}

type Client = ReturnType<typeof clientOf>
type Answer = { readonly error: Refusal | null; readonly data: unknown; readonly status: number }
type Refusal = { readonly code?: string | null; readonly details?: string | null }

/** Supabase Postgres over its REST interface, as service_role. Each method is one rpc. */
export class PostgresStore implements BatchStore, TickStore, DetectorStore, ResourceStore, AlertStore, AlertWhyStore {
  readonly #quick: Client
  readonly #patient: Client

  constructor(access: StoreAccess) {
    this.#quick = clientOf(access, turnMsMax + storeSlackMs)
    this.#patient = clientOf(access, statementMsMax + storeSlackMs)
  }

  async readKey(keyId: string): Promise<KeyRow | null> {
    const row = await this.#call(this.#quick, 'read_key', { key_id: keyId })
    if (row === null) return null
    if (isObject(row) && row.key_id === keyId && typeof row.key_hash === 'string' && typeof row.revoked === 'boolean') {
      return { key_id: keyId, key_hash: row.key_hash, revoked: row.revoked }
    }
    throw misread('read_key')
  }

  async ingestBatch(rows: BatchRows): Promise<IngestReply> {
    const reply = await this.#call(this.#quick, 'ingest_batch', { batch: rows })
    if (!isReply(reply)) throw misread('ingest_batch')
    return reply
  }

  async endedSpans(traceIds: readonly string[]): Promise<EndedSpans> {
    const reply = await this.#call(this.#quick, 'ended_spans', { trace_ids: traceIds })
    if (!isObject(reply) || !Object.values(reply).every(Array.isArray)) throw misread('ended_spans')
    return reply as EndedSpans
  }

  async makePartitions(days: readonly string[]): Promise<void> {
    await this.#call(this.#quick, 'make_partitions', { days })
  }

  async claimTick(holder: string, seconds: number): Promise<boolean> {
    const claimed = await this.#call(this.#quick, 'claim_tick', { holder, seconds })
    if (typeof claimed !== 'boolean') throw misread('claim_tick')
    return claimed
  }

  async runStep(step: TickStep): Promise<{ readonly done: number; readonly more: boolean }> {
    const reply = await this.#call(this.#patient, `tick_${step}`, {})
    if (!isObject(reply) || typeof reply.done !== 'number' || typeof reply.more !== 'boolean') {
      throw misread(`tick_${step}`)
    }
    return { done: reply.done, more: reply.more }
  }

  async readDetectorWork(): Promise<DetectorWork | null> {
    const work = await this.#call(this.#patient, 'detector_work', {})
    if (work !== null && !isWork(work)) throw misread('detector_work')
    return work
  }

  async storeDetections(detections: Detections): Promise<boolean> {
    const stored = await this.#call(this.#patient, 'store_detections', { findings: detections })
    if (typeof stored !== 'boolean') throw misread('store_detections')
    return stored
  }

  async beginMeasuring(instance: string): Promise<StepAnswer & { readonly due: boolean }> {
    const reply = await this.#call(this.#patient, 'tick_measure_resources', { instance })
    if (!isObject(reply) || typeof reply.done !== 'number' || typeof reply.due !== 'boolean') {
      throw misread('tick_measure_resources')
    }
    return { done: reply.done, more: false, due: reply.due }
  }

  async storeResources(gauges: readonly OwnGauge[]): Promise<number> {
    const reply = await this.#call(this.#quick, 'store_resources', { gauges })
    if (!isObject(reply) || typeof reply.done !== 'number') throw misread('store_resources')
    return reply.done
  }

  async releaseTick(holder: string): Promise<void> {
    await this.#call(this.#quick, 'release_tick', { holder })
  }

  async readAlertInputs(): Promise<AlertReading> {
    const reply = await this.#call(this.#patient, 'alert_inputs', {})
    if (!isObject(reply) || typeof reply.revision !== 'number' || !Array.isArray(reply.rules)) {
      throw misread('alert_inputs')
    }
    return reply as AlertReading
  }

  async storeAlertOutcome(outcome: AlertOutcome): Promise<boolean> {
    const reply = await this.#call(this.#patient, 'store_alert_outcome', { outcome })
    if (!isObject(reply) || typeof reply.stored !== 'boolean') throw misread('store_alert_outcome')
    return reply.stored
  }

  async claimAlertPush(): Promise<AlertPush | null> {
    const reply = await this.#call(this.#quick, 'claim_alert_push', {})
    if (reply === null) return null
    if (!isObject(reply) || typeof reply.rev !== 'number') throw misread('claim_alert_push')
    return reply as AlertPush
  }

  async claimAlertQuestion(triesMax: number, gapSeconds: number): Promise<AlertQuestion | null> {
    const reply = await this.#call(this.#quick, 'claim_alert_question', { tries_max: triesMax, gap_s: gapSeconds })
    if (reply === null) return null
    if (!isObject(reply) || typeof reply.alert_id !== 'string' || !isObject(reply.filter))
      throw misread('claim_alert_question')
    return reply as AlertQuestion
  }

  async readWhyData(filter: AlertQuestion['filter'], tracesMax: number): Promise<WhyData> {
    const reply = await this.#call(this.#patient, 'why_data', { filter, traces_max: tracesMax })
    if (!isObject(reply) || !Array.isArray(reply.traces) || !isObject(reply.question)) throw misread('why_data')
    return reply as WhyData
  }

  async storeAlertVerdict(alertId: string, verdict: WhyAnswer): Promise<boolean> {
    const reply = await this.#call(this.#quick, 'store_alert_verdict', { alert_id: alertId, verdict })
    if (!isObject(reply) || typeof reply.stored !== 'boolean') throw misread('store_alert_verdict')
    return reply.stored
  }

  async noteAlertPush(revision: number): Promise<void> {
    await this.#call(this.#quick, 'note_alert_push', { revision })
  }

  async claimNotifications(n: number): Promise<readonly Notification[]> {
    const reply = await this.#call(this.#quick, 'claim_notifications', { n })
    if (!Array.isArray(reply)) throw misread('claim_notifications')
    return reply as Notification[]
  }

  async noteDeliveries(deliveries: readonly Delivery[]): Promise<void> {
    await this.#call(this.#quick, 'note_deliveries', { deliveries })
  }

  async #call(client: Client, name: string, args: Record<string, unknown>): Promise<unknown> {
    const answer = (await client.rpc(name, args)) as Answer
    if (answer.error === null) return answer.data
    throw storeErrorOf(name, answer)
  }
}

function clientOf({ url, secretKey, fetch }: StoreAccess, timeout: number) {
  const headers = secretHeaders(secretKey)
  // No retries here: the reporter tries again by its own rules.
  const options = { headers, schema, timeout, retry: false, ...(fetch === undefined ? {} : { fetch }) }
  return new PostgrestClient(`${url.replace(/\/+$/, '')}/rest/v1`, options)
}

/**
 * The failure in the port's terms. Only SQLSTATE classes 22 and 23 are the data's fault; whatever else answered, or did
 * not, may go well the next time. Postgres's own texts are left out: they quote rows.
 */
function storeErrorOf(name: string, { error, status }: Answer): StoreError {
  const code = error?.code === undefined || error.code === null || error.code === '' ? null : error.code
  if (code === 'TT001') {
    const days = daysOf(error?.details ?? '')
    if (days.length > 0)
      return new StoreError('missing_partition', `Cannot call ${name}: a day has no partition`, { code, days })
  }
  if (code !== null && /^2[23][0-9A-Z]{3}$/.test(code)) {
    return new StoreError('refused', `Cannot call ${name}: Postgres refuses the data with ${code}`, { code })
  }
  const now = status === 0 ? 'Postgres is not reached' : `it answers ${status}${code === null ? '' : ` with ${code}`}`
  return new StoreError('unavailable', `Cannot call ${name}: ${now}`, { code })
}

function daysOf(details: string): string[] {
  return details
    .split(',')
    .map((day) => day.trim())
    .filter((day) => /^\d{4}-\d{2}-\d{2}$/.test(day))
}

function misread(name: string): StoreError {
  return new StoreError('unavailable', `Cannot call ${name}: its answer is not understood`)
}

function isReply(value: unknown): value is IngestReply {
  return (
    isObject(value) &&
    (value.status === 'stored' || value.status === 'repeated') &&
    isObject(value.accepted) &&
    Array.isArray(value.rejected) &&
    isObject(value.renamed) &&
    typeof value.watched === 'boolean' &&
    typeof value.tick_due === 'boolean'
  )
}

function isWork(value: unknown): value is DetectorWork {
  return (
    isObject(value) &&
    typeof value.service === 'string' &&
    typeof value.environment === 'string' &&
    typeof value.revision === 'number' &&
    typeof value.more === 'boolean' &&
    [value.learn, value.look, value.series, value.recent].every(Array.isArray)
  )
}
