import { isObject } from '../core/json_object.ts'
import type { Accepted, Ack, Missing, RecordType, Rejection } from '../core/record.ts'
import { messageFields, recordTypes } from '../core/record.ts'
import { err, ok, type Result } from '../core/result.ts'

/**
 * Parses the body of a 200 answer to the batch `batchId`. Anything that is not this batch's ack is an error, so that
 * a proxy that answers 200 with a page of its own never passes for a store.
 */
export function parseAck(value: unknown, batchId: string): Result<Ack> {
  if (!isObject(value)) return err('Cannot read the ack: it is no JSON object')
  if (value.batch_id !== batchId) return err('Cannot read the ack: it is for another batch')
  const status = value.status
  if (status !== 'stored' && status !== 'repeated') return err('Cannot read the ack: its status is unknown')
  const missing = missingOf(value.missing)
  return ok({
    batch_id: batchId,
    status,
    accepted: acceptedOf(value.accepted),
    rejected: Array.isArray(value.rejected) ? value.rejected.filter(isRejection) : [],
    flush_after_ms: countOf(value.flush_after_ms),
    watched: value.watched === true,
    records_max: countOf(value.records_max),
    ...(missing ? { missing } : {}),
  })
}

function isRejection(value: unknown): value is Rejection {
  return isObject(value) && Number.isInteger(value.index) && typeof value.reason === 'string'
}

/** 0 for what is not a count: the reporter then keeps its own pace and size. */
function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0
}

function acceptedOf(value: unknown): Accepted {
  if (!isObject(value)) return {}
  const accepted: { [type in RecordType]?: number } = {}
  for (const type of recordTypes) if (countOf(value[type]) > 0) accepted[type] = countOf(value[type])
  return accepted
}

function missingOf(value: unknown): Missing | null {
  if (!isObject(value)) return null
  const missing: { [field: string]: number } = {}
  for (const field of messageFields) if (countOf(value[field]) > 0) missing[field] = countOf(value[field])
  return Object.keys(missing).length > 0 ? missing : null
}
