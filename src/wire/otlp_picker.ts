import { integerMax } from '../core/limit.ts'
import type { Attributes, Json } from '../core/record.ts'

/**
 * The attributes of one record, from which fields are taken one after another. What a field holds need not stand among
 * the attributes too: every spelling of the name that says the same is taken with it.
 */
export type Picker = {
  /** The first of the attributes that is text or a number, as text; null when none is. */
  text(...keys: readonly string[]): string | null
  /** The first of the attributes that is a whole number from 0, or the text of one. */
  count(...keys: readonly string[]): number | null
  /** The first of the attributes that is there, whatever it is. */
  any(...keys: readonly string[]): Json | undefined
  /** What nobody took. */
  rest(): Attributes
}

export function createPicker(attributes: Attributes): Picker {
  const left: { [key: string]: Json } = { ...attributes }

  function pick<T>(keys: readonly string[], read: (value: Json) => T | null): T | null {
    let found: T | null = null
    for (const key of keys) {
      const value = Object.hasOwn(left, key) ? read(left[key] as Json) : null
      if (value === null || (found !== null && value !== found)) continue
      found = value
      delete left[key]
    }
    return found
  }

  return {
    text: (...keys) => pick(keys, textOf),
    count: (...keys) => pick(keys, countOf),
    any: (...keys) => pick(keys, (value) => ({ value }))?.value,
    rest: () => left,
  }
}

function textOf(value: Json): string | null {
  const text = typeof value === 'number' ? String(value) : value
  return typeof text === 'string' && text.trim() !== '' ? text : null
}

function countOf(value: Json): number | null {
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isFinite(number)) return null
  const count = Math.trunc(number)
  return count >= 0 && count <= integerMax ? count : null
}
