import { layers } from '../../src/core/layer.ts'
import { outcomes } from '../../src/core/outcome.ts'
import { type FilterKey, failedOutcome } from './place.ts'

/** What the keys of the filter are called. */
export const filterNames: { readonly [key in FilterKey]: string } = {
  tool: 'Tool',
  provider: 'Provider',
  model: 'Model',
  layer: 'Layer',
  outcome: 'Outcome',
  session: 'Session',
  call_number: 'Call number',
  environment: 'Environment',
  service: 'Service',
  min_duration_ms: 'Slower than (ms)',
  max_duration_ms: 'Faster than (ms)',
  text: 'Text',
  state: 'State',
}

export type Choice = { readonly value: string; readonly text: string }

const outcomeNames: { readonly [outcome: string]: string } = {
  [failedOutcome]: 'Any failure',
  ok: 'OK',
  tool_error: 'Tool error',
  empty: 'Empty',
  truncated: 'Truncated',
  caller_fault: "Caller's fault",
  server_fault: "Server's fault",
  timeout: 'Timeout',
  cancelled: 'Cancelled',
  interrupted: 'Interrupted',
}

/** An outcome in words; one that is not known stays as it is. */
export function outcomeText(outcome: string | null): string {
  return outcome === null ? 'Running' : (outcomeNames[outcome] ?? outcome)
}

/** What may be chosen under a key; null where anything may be written. */
export function choicesOf(
  key: FilterKey,
  known: { readonly environments: readonly string[]; readonly services: readonly string[] },
): readonly Choice[] | null {
  if (key === 'outcome') return [failedOutcome, ...outcomes].map((value) => ({ value, text: outcomeText(value) }))
  if (key === 'layer') return layers.map(asChoice)
  if (key === 'environment' && known.environments.length > 0) return known.environments.map(asChoice)
  if (key === 'service' && known.services.length > 0) return known.services.map(asChoice)
  return null
}

/** A chip's text without its key: what the value means. */
export function filterValueText(key: FilterKey, value: string): string {
  return key === 'outcome' ? outcomeText(value) : value
}

function asChoice(value: string): Choice {
  return { value, text: value }
}
