import { isObject } from '../core/json_object.ts'
import { reasonBytesMax } from '../core/limit.ts'
import { fieldCheckers, fieldsWanted } from './batch_check_generated.ts'
import { cutText } from './wire_text.ts'

/**
 * Why the checker refused `value`, as `Cannot take <what>: <field> is <what it is now>, wanted <what it should be>`.
 * Slow; runs only for what failed. It names fields of the schema and kinds of values, never a value that was sent.
 */
export function explainRefusal(
  what: 'envelope' | 'span' | 'error' | 'message' | 'event' | 'gauge',
  value: unknown,
): string {
  const subject = what === 'envelope' ? 'batch' : what
  if (!isObject(value)) return `Cannot take ${subject}: it is ${kindOf(value)}, wanted an object`
  for (const [field, wanted] of Object.entries(fieldsWanted[what] ?? {})) {
    const missing = !Object.hasOwn(value, field)
    if (missing ? wanted.required : fieldCheckers[what]?.[field]?.(value[field]) === false) {
      const now = missing ? 'missing' : kindOf(value[field])
      return cutText(`Cannot take ${subject}: ${field} is ${now}, wanted ${wanted.expected}`, reasonBytesMax)
    }
  }
  return `Cannot take ${subject}: it does not match the schema`
}

/** What a value is, without saying the value; numbers are no secrets and short. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return `text of ${value.length} characters`
  if (typeof value === 'number') return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  return typeof value === 'object' ? 'an object' : `${value}`
}
