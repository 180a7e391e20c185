import type { RunningCall, TelltaleRecord } from '../../core/record.ts'
import { withoutSecrets } from '../../core/secret_form.ts'
import { hintsAtSecret } from '../../core/secret_hint.ts'
import type { Redactor } from '../../wire/redact_json.ts'
import { redactRecord, redactRunning } from '../../wire/redact_record.ts'

/**
 * The JSON of a record without known secrets: the same text where nothing hints at one, which is all that most spans
 * ever pay. Null where the record cannot be read, since what cannot be redacted must not leave.
 */
export function redactJsonText(json: string, redactor: Redactor = withoutSecrets): string | null {
  try {
    if (!hintsAtSecret(json)) return json
    return JSON.stringify(redactRecord(JSON.parse(json) as TelltaleRecord, redactor))
  } catch {
    return null
  }
}

/** The running list without known secrets. */
export function redactRunningList(
  running: readonly RunningCall[],
  redactor: Redactor = withoutSecrets,
): readonly RunningCall[] {
  return running.map((call) => redactRunning(call, redactor))
}
