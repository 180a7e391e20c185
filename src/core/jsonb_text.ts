import type { Json } from './record.ts'

/**
 * The text that Postgres prints for a jsonb value (`value::text`), so that a choice by text falls the same here and in
 * SQL: keys by byte length and then by bytes, `": "` and `", "` between, numbers without exponent. Fields that are
 * undefined are left out, as JSON.stringify does. For text without NUL and lone surrogates, which the wire replaces.
 *
 * Source: https://www.postgresql.org/docs/current/datatype-json.html and `compareJsonbScalarValue`, `lengthCompareJsonbString`
 * in src/backend/utils/adt/jsonb_util.c
 */
export function jsonbTextOf(value: Json): string {
  if (typeof value === 'number') return numericTextOf(value)
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (isList(value)) return `[${value.map(jsonbTextOf).join(', ')}]`
  const fields: string[] = []
  for (const [key, field] of Object.entries(value).sort(([a], [b]) => compareKeys(a, b))) {
    if (field !== undefined) fields.push(`${JSON.stringify(key)}: ${jsonbTextOf(field)}`)
  }
  return `{${fields.join(', ')}}`
}

/** Order of text by its UTF-8 bytes, as Postgres's `collate "C"`: negative, 0 or positive. */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return orderOfUnit(x) - orderOfUnit(y)
  }
  return a.length - b.length
}

/** UTF-16 puts surrogates (planes beyond the first) before U+E000..U+FFFF, UTF-8 after: swap the two. */
function orderOfUnit(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

function compareKeys(a: string, b: string): number {
  return utf8LengthOf(a) - utf8LengthOf(b) || compareBytes(a, b)
}

function utf8LengthOf(text: string): number {
  let bytes = 0
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i)
    // Each half of a surrogate pair is two of its four bytes.
    bytes += unit < 0x80 ? 1 : unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 2 : 3
  }
  return bytes
}

/** The shortest decimal of a double as Postgres's numeric prints it: all its digits, never an exponent. */
function numericTextOf(value: number): string {
  const text = JSON.stringify(value)
  const match = /^(-?)(\d+)(?:\.(\d+))?e([+-]\d+)$/.exec(text)
  if (match === null) return text
  const [, sign = '', whole = '', fraction = '', power = '0'] = match
  const exponent = Number(power)
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - whole.length)}${whole}${fraction}`
  return `${sign}${whole}${fraction.padEnd(exponent, '0')}`
}

function isList(value: readonly Json[] | { readonly [key: string]: Json }): value is readonly Json[] {
  return Array.isArray(value)
}
