import { isObject } from '../core/json_object.ts'
import { nameBytesMax, otlpRulesMax } from '../core/limit.ts'
import type { Attributes, SpanKind } from '../core/record.ts'
import { err, ok, type Result } from '../core/result.ts'
import { isWithin } from './wire_text.ts'

/** What a rule looks at. */
export type RuleSubject = {
  readonly service: string
  readonly scope: string
  readonly name: string
  readonly attributes: Attributes
}

/** What the operator says of the spans that a rule fits; null: nothing. */
type RuleVerdict = { readonly layer: string | null; readonly kind: SpanKind | null; readonly content: boolean }
type Rule = RuleVerdict & { readonly fits: (subject: RuleSubject) => boolean }

/** The operator's rules, in order; for each question the first that fits and answers it counts. */
export type OtlpRules = readonly Rule[]

export const noOtlpRules: OtlpRules = []

const subjects = ['service', 'scope', 'name', 'attribute'] as const

/**
 * Parses `otlp.json` or TELLTALE_OTLP_RULES: `[{when: {service, scope, name, attribute}, layer, kind, content}]`. A
 * pattern is text in which `*` stands for anything; `attribute` is `key` or `key=pattern`. All that `when` names must
 * fit. `kind` is work or wait; `content: true` keeps prompts, answers and arguments of these spans.
 */
export function parseOtlpRules(text: string): Result<OtlpRules> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return err('Cannot read OTLP rules: they are not JSON')
  }
  if (!Array.isArray(value)) return err('Cannot read OTLP rules: they are not an array of rules')
  if (value.length > otlpRulesMax)
    return err(`Cannot read OTLP rules: they are ${value.length}, wanted ${otlpRulesMax}`)
  const rules: Rule[] = []
  for (const [index, item] of value.entries()) {
    const rule = parseRule(item)
    if (!rule.ok) return err(`Cannot read OTLP rule ${index + 1}: ${rule.error}`)
    rules.push(rule.value)
  }
  return ok(rules)
}

function parseRule(value: unknown): Result<Rule> {
  if (!isObject(value)) return err('it is not an object')
  const { when, layer = null, kind = null, content = false, ...rest } = value
  const [strange] = Object.keys(rest)
  if (strange !== undefined) return err(`it has a member ${JSON.stringify(strange.slice(0, 64))}`)
  if (layer !== null && !isText(layer)) return err('layer is not text')
  if (kind !== null && kind !== 'work' && kind !== 'wait') return err('kind is neither work nor wait')
  if (typeof content !== 'boolean') return err('content is neither true nor false')
  if (layer === null && kind === null && !content) return err('it says none of layer, kind and content')
  if (!isObject(when) || Object.keys(when).length === 0) return err(`when names none of ${subjects.join(', ')}`)
  const tests: ((subject: RuleSubject) => boolean)[] = []
  for (const [name, pattern] of Object.entries(when)) {
    const subject = subjects.find((known) => known === name)
    if (subject === undefined) return err(`when has a member ${JSON.stringify(name.slice(0, 64))}`)
    if (!isText(pattern)) return err(`when.${subject} is not text`)
    tests.push(testOf(subject, pattern))
  }
  return ok({ layer, kind, content, fits: (subject) => tests.every((test) => test(subject)) })
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.trim() !== '' && isWithin(value, nameBytesMax)
}

function testOf(subject: (typeof subjects)[number], pattern: string): (subject: RuleSubject) => boolean {
  if (subject !== 'attribute') return (of) => isLike(of[subject], pattern)
  const at = pattern.indexOf('=')
  const [key, wanted] = at < 0 ? [pattern, '*'] : [pattern.slice(0, at), pattern.slice(at + 1)]
  return ({ attributes }) => {
    const value = Object.hasOwn(attributes, key) ? attributes[key] : undefined
    if (value === undefined || value === null) return false
    return isLike(typeof value === 'string' ? value : JSON.stringify(value), wanted)
  }
}

/** Whether the text has the pattern's form, in which `*` stands for any text. Case counts for nothing. Linear but for `*`. */
export function isLike(text: string, pattern: string): boolean {
  const { first, middle: parts, last } = cutPattern(pattern)
  const lower = text.toLowerCase()
  if (last === undefined) return lower === first
  if (!lower.startsWith(first) || lower.length < first.length + last.length || !lower.endsWith(last)) return false
  let from = first.length
  for (const part of parts) {
    const found = lower.indexOf(part, from)
    if (found < 0) return false
    from = found + part.length
  }
  return from <= lower.length - last.length
}

type CutPattern = { readonly first: string; readonly middle: readonly string[]; readonly last: string | undefined }

/** There are as many as are written down in the tables and in the operator's rules. */
const cut = new Map<string, CutPattern>()

function cutPattern(pattern: string): CutPattern {
  const known = cut.get(pattern)
  if (known !== undefined) return known
  const [first = '', ...middle] = pattern.toLowerCase().split('*')
  const last = middle.pop()
  const made = { first, middle, last }
  cut.set(pattern, made)
  return made
}
