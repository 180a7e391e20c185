import type { Cause } from './why_answer.ts'

/** Which calls a sentence is about, and by how much they are slower. */
export type Subject = {
  /** Such as `Calls numbered 3`. */
  readonly calls: string
  readonly extraMs: number
  readonly layer: string | null
  readonly share: number
  readonly since: number | null
}

type Named = {
  readonly cause: Cause
  readonly attribute: string | readonly [string, string] | null
  readonly value: string | number | readonly [string | number, string | number] | null
  /** Of `grows_with`, ms for each unit. */
  readonly slope: number | null
}

/** One sentence for an operator. */
export function sentenceOf(subject: Subject, named: Named): string {
  const { calls, extraMs, share, since } = subject
  const moment = since === null ? '' : ` since ${instantOf(since)}`
  const part = `that is ${Math.round(share * 100)} % of the extra time`
  return `${calls} take ${durationText(extraMs)} longer at the median${moment} ${reasonOf(subject, named)}; ${part}.`
}

function reasonOf({ layer }: Subject, { cause, attribute, value, slope }: Named): string {
  const where = layer === null ? '' : ` in layer ${layer}`
  switch (cause) {
    case 'waiting':
      return `because they wait for ${String(attribute)}${value === null ? '' : `, held by ${String(value)}`}`
    case 'grows_with':
      return `because the time${where} grows with ${String(attribute)}${slope === null ? '' : `, by ${slopeText(slope)}`}`
    case 'attribute_value':
      return `because of ${pairText(attribute, value)}${where === '' ? '' : `, which is slow${where}`}`
    case 'fixed_timeout':
      return `because they run into a timeout of ${durationText(Number(value))}${where}`
    case 'retries':
      return `because the work${where} is tried ${String(value)} times`
    case 'previous_call':
      return `because of the call before${value === null ? '' : `, to ${String(value)}`}, which failed or still ran`
    case 'uniform_overhead':
      return `whatever the tool: the same time is added to every call${where}`
    case 'first_chunk':
      return `because the first chunk of the answer comes late${where}; what follows comes as fast as usual`
    case 'changed_at':
      return `because something changed at that moment${where}`
    case 'layer_slow':
      return layer === null ? 'in every layer' : `because layer ${layer} is slow`
  }
}

function pairText(attribute: Named['attribute'], value: Named['value']): string {
  if (typeof attribute === 'string') return `${attribute} ${String(value)}`
  const [a, b] = attribute as readonly [string, string]
  const [x, y] = value as readonly [string | number, string | number]
  return `${a} ${x} together with ${b} ${y}`
}

export function durationText(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1_000) return `${Math.round(ms)} ms`
  return ms < 100_000 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.round(ms / 1_000)} s`
}

function slopeText(slope: number): string {
  for (const [units, text] of [
    [1, 'one'],
    [1_000, 'thousand'],
    [1_000_000, 'million'],
  ] as const) {
    if (slope * units >= 1 || units === 1_000_000) return `${durationText(slope * units)} for each ${text} more`
  }
  return ''
}

function instantOf(us: number): string {
  return new Date(us / 1_000)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC')
}
