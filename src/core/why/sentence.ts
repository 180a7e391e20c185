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
      return `because the time${where} grows with ${String(attribute)}${slope === null ? '' : slopeText(String(attribute), slope)}`
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

/** What is counted: of what one more is called, and what several are, where anybody would count so many. */
const units: readonly { readonly name: RegExp; readonly one: string; readonly many?: string }[] = [
  { name: /^call_number$/, one: 'call more' },
  { name: /^running$/, one: 'call more that runs besides' },
  { name: /(^|[._])bytes([._]|$)/, one: 'byte more', many: 'bytes more' },
  { name: /(^|[._])tokens([._]|$)/, one: 'token more', many: 'tokens more' },
]
const anything = { one: 'one more', many: 'more' }

/** For as few more as take a millisecond or longer; empty where nothing that can be read would be said. */
function slopeText(name: string, slope: number): string {
  const { one, many } = units.find((unit) => unit.name.test(name)) ?? { ...anything, name: null }
  const steps: (readonly [number, string])[] = [[1, one]]
  if (many !== undefined) steps.push([1_000, `1,000 ${many}`], [1_000_000, `million ${many}`])
  const [count, text] = steps.find(([times]) => slope * times >= 1) ?? (steps.at(-1) as readonly [number, string])
  return slope * count < 0.05 ? '' : `, by ${durationText(slope * count)} for each ${text}`
}

function instantOf(us: number): string {
  return new Date(us / 1_000)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC')
}
