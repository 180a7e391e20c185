import type { Batch } from '../../src/core/record.ts'
import type { Redactor } from '../../src/wire/redact_json.ts'
import { redactOrigin, redactRecord, redactRunning } from '../../src/wire/redact_record.ts'

/** The batch without known secrets, whoever sent it: not every sender is a reporter of ours. */
export function redactBatch(batch: Batch, redactor?: Redactor): Batch {
  return {
    ...batch,
    ...redactOrigin(batch, redactor),
    running: batch.running.map((call) => redactRunning(call, redactor)),
    records: batch.records.map((record) => redactRecord(record, redactor)),
  }
}
