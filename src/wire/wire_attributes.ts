import {
  attributeBytesMax,
  attributeKeyBytesMax,
  attributesBytesMax,
  attributesMax,
  jsonDepthMax,
} from '../core/limit.ts'
import type { Attributes, Json } from '../core/record.ts'
import { cleanText, cutText, isWithin, utf8Bytes } from './wire_text.ts'

/** The attribute that names the fields of its record that were cut or left out. */
const truncatedKey = 'telltale.truncated'

type Bag = { readonly [key: string]: unknown }

/**
 * The record's free-form object: its own entries first, then the fields of `record` that are not `known`. At most
 * attributesMax entries and attributesBytesMax bytes; longer keys and values are cut, what does not fit is left out,
 * and `cuts`, the fields that were cut, stand under `telltale.truncated` together with those named there before.
 */
export function attributesOf(
  own: Bag | null | undefined,
  record: Bag,
  known: ReadonlySet<string>,
  cuts: string[],
): Attributes {
  const room = { entries: attributesMax, bytes: attributesBytesMax, cut: false }
  const taken: { [key: string]: Json } = {}
  if (own !== null && own !== undefined) takeInto(taken, own, null, room)
  takeInto(taken, record, known, room)
  if (room.cut) cuts.push('attributes')
  const before = own?.[truncatedKey]
  if (Array.isArray(before)) cuts.push(...before.filter((name) => typeof name === 'string' && known.has(name)))
  if (Array.isArray(before) && before.includes('attributes')) cuts.push('attributes')
  if (cuts.length > 0) taken[truncatedKey] = [...new Set(cuts)].sort()
  return taken
}

function takeInto(
  taken: { [key: string]: Json },
  bag: Bag,
  known: ReadonlySet<string> | null,
  room: { entries: number; bytes: number; cut: boolean },
): void {
  for (const name in bag) {
    if (known?.has(name) || name === truncatedKey) continue
    const key = cutText(cleanText(name), attributeKeyBytesMax)
    const value = boundedJson(bag[name])
    const bytes = utf8Bytes(key) + sizeOf(value.json)
    // Assigning to __proto__ would change the object's nature instead of adding an entry.
    const fits = key !== '__proto__' && room.entries > 0 && bytes <= room.bytes
    if (key.length < name.length || value.cut || !fits) room.cut = true
    if (!fits || Object.hasOwn(taken, key)) continue
    taken[key] = value.json
    room.entries -= 1
    room.bytes -= bytes
  }
}

/** Any JSON value, clean and bounded: depth jsonDepthMax, attributeBytesMax as text; what is longer becomes cut text. */
export function boundedJson(value: unknown): { readonly json: Json; readonly cut: boolean } {
  if (typeof value === 'string') {
    const clean = cleanText(value)
    const json = cutText(clean, attributeBytesMax)
    return { json, cut: json !== clean }
  }
  if (typeof value !== 'object' || value === null) return { json: scalarOf(value), cut: false }
  const state = { cut: false }
  const json = cleanJson(value, jsonDepthMax, state)
  const text = JSON.stringify(json)
  if (isWithin(text, attributeBytesMax)) return { json, cut: state.cut }
  return { json: cutText(text, attributeBytesMax), cut: true }
}

function cleanJson(value: unknown, depthLeft: number, state: { cut: boolean }): Json {
  if (typeof value === 'string') return cleanText(value)
  if (typeof value !== 'object' || value === null) return scalarOf(value)
  if (depthLeft === 0) {
    state.cut = true
    return '\u2026'
  }
  if (Array.isArray(value)) return value.map((item) => cleanJson(item, depthLeft - 1, state))
  const clean: { [key: string]: Json } = {}
  for (const [key, item] of Object.entries(value)) {
    if (key === '__proto__') state.cut = true
    else clean[cleanText(key)] = cleanJson(item, depthLeft - 1, state)
  }
  return clean
}

/** JSON's 1e999 reads as Infinity, which JSON cannot write again. */
function scalarOf(value: unknown): Json {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  return typeof value === 'boolean' ? value : null
}

function sizeOf(value: Json): number {
  if (typeof value === 'string') return utf8Bytes(value)
  return typeof value === 'object' && value !== null ? utf8Bytes(JSON.stringify(value)) : 8
}
