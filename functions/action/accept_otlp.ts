import type { HotSource } from '../../src/core/hot_batch.ts'
import { otlpReasonsMax } from '../../src/core/limit.ts'
import type { OtlpBatches, OtlpPart } from '../../src/wire/otlp_batch.ts'
import { uuidOfHex } from '../../src/wire/otlp_id.ts'
import type { OtlpSignal } from '../../src/wire/otlp_request.ts'
import { batchOf } from '../../src/wire/parse_batch.ts'
import { type BatchStore, StoreError } from '../store/port.ts'
import { type Arrival, acceptBatch } from './accept_batch.ts'
import { sha256Hex } from './check_key.ts'

export type OtlpAcceptance = {
  /** How many spans, data points or log records were refused. */
  readonly rejected: number
  /** Why, in one sentence for each of the first reasons; empty when none was refused. */
  readonly message: string
  readonly tickDue: boolean
  /** What the live view is to know: one for each part that was not stored before. */
  readonly stored: readonly { readonly hot: HotSource; readonly watched: boolean }[]
}

/**
 * Stores the parts of an OTLP request one after another; when this returns, all are committed but those that the store
 * refuses for their content, which are told as rejected. After a failure the request may be sent again: what is stored
 * already is known by the ids of the parts, which come from the key, the body and their place.
 * @throws StoreError when the store is unavailable
 */
export async function acceptOtlp(
  { signal, body, batches }: { readonly signal: OtlpSignal; readonly body: Uint8Array; readonly batches: OtlpBatches },
  arrival: Arrival,
  store: BatchStore,
): Promise<OtlpAcceptance> {
  const reasons = new Map<string, number>()
  let rejected = batches.unread
  if (batches.unread > 0) reasons.set(`Cannot read ${itemName[signal]}: it is not of its form`, batches.unread)
  const refuse = (reason: string): void => {
    rejected += 1
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }
  const stored: OtlpAcceptance['stored'][number][] = []
  let tickDue = false
  const hash = await bodyHashOf(signal, arrival.keyId, body)
  for (const [index, part] of batches.parts.entries()) {
    const id = index === 0 ? hash : await sha256Hex(`${hash} ${index}`)
    const outcome = await acceptPart(part, uuidOfHex(id), arrival, store)
    if (outcome === null) {
      for (const { isMain } of part.records) if (isMain) refuse('Cannot take record: the store refuses its content')
      continue
    }
    for (const { index: at, reason } of outcome.ack.rejected) if (part.records[at]?.isMain === true) refuse(reason)
    if (outcome.hot !== null) stored.push({ hot: outcome.hot, watched: outcome.ack.watched })
    tickDue ||= outcome.tickDue
  }
  return { rejected, message: messageOf(reasons), tickDue, stored }
}

const itemName = { traces: 'span', metrics: 'metric', logs: 'log record' } as const

/** Null when the store refuses what the part holds. */
async function acceptPart({ origin, records }: OtlpPart, batchId: string, arrival: Arrival, store: BatchStore) {
  const { receivedAtUs: nowUs } = arrival
  const starts = records.map(({ record }) => Number(record.start_us ?? record.at_us)).filter((us) => us > 0)
  const first = starts.reduce((least, us) => Math.min(least, us), nowUs)
  const parsed = batchOf(
    {
      batch_id: batchId,
      made_at_us: nowUs,
      source: origin.source,
      process: { ...origin.process, started_at_us: origin.process.started_at_us ?? first },
      // A sender of OTLP counts nothing: always the first, so that no number is ever missing.
      seq: 1,
      counters: { recorded: 0, dropped: {} },
      records: records.map(({ record }) => record),
    },
    nowUs,
  )
  if (!parsed.ok) return null
  try {
    return await acceptBatch(parsed.value, arrival, store)
  } catch (error) {
    if (error instanceof StoreError && error.reason === 'refused') return null
    throw error
  }
}

async function bodyHashOf(signal: OtlpSignal, keyId: string, body: Uint8Array): Promise<string> {
  const head = new TextEncoder().encode(`${signal} ${keyId}\n`)
  const bytes = new Uint8Array(head.length + body.length)
  bytes.set(head)
  bytes.set(body, head.length)
  const digest = await crypto.subtle.digest('SHA-256', bytes)
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function messageOf(reasons: ReadonlyMap<string, number>): string {
  const told = [...reasons].slice(0, otlpReasonsMax).map(([reason, n]) => (n === 1 ? reason : `${reason} (${n} times)`))
  const more = reasons.size - told.length
  return told.concat(more > 0 ? [`and ${more} more reasons`] : []).join('; ')
}
