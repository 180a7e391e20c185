import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { noOtlpRules, type OtlpRules, parseOtlpRules } from '../wire/otlp_rule.ts'

/**
 * The rules in `otlp.json` of the data directory, or else in TELLTALE_OTLP_RULES; none without either.
 * @throws Error when they are wrong, saying which and why
 */
export function readOtlpRulesFile(dataDir: string, env: NodeJS.ProcessEnv = process.env): OtlpRules {
  const path = join(dataDir, 'otlp.json')
  const text = existsSync(path) ? readFileSync(path, 'utf8') : (env.TELLTALE_OTLP_RULES ?? '')
  if (text.trim() === '') return noOtlpRules
  const rules = parseOtlpRules(text)
  if (!rules.ok) throw new Error(existsSync(path) ? `${rules.error} (${path})` : rules.error)
  return rules.value
}
