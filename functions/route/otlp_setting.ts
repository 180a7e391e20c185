import { noOtlpRules, type OtlpRules, parseOtlpRules } from '../../src/wire/otlp_rule.ts'
import { consoleLog, type EdgeLog } from './edge_log.ts'

/**
 * The rules in TELLTALE_OTLP_RULES, none where it is not set. Where they are wrong the log says why, and none are used:
 * to refuse what is sent would lose more than a layer's name.
 */
export function readOtlpRules(text: string | undefined, log: EdgeLog = consoleLog): OtlpRules {
  if (text === undefined || text.trim() === '') return noOtlpRules
  const rules = parseOtlpRules(text)
  if (rules.ok) return rules.value
  log({ request_id: '', what: 'TELLTALE_OTLP_RULES', detail: rules.error })
  return noOtlpRules
}
