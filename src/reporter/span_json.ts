// How the members of a span become JSON. A text in few pieces is written in half the time of the same one in many, so
// members that most spans leave empty are one piece while they are.
import { cutText } from './text_cut.ts'

export type Text = string | null | undefined
export type Count = number | null | undefined

/** A text as JSON; null where it is refused. */
export type TextJson = (text: string) => string | null

export function fieldJson(text: Text, bytesMax: number, textJson: TextJson): string | null {
  return text === null || text === undefined ? 'null' : textJson(cutText(String(text), bytesMax))
}

export function countJson(count: Count): string {
  return typeof count === 'number' && Number.isFinite(count) && count >= 0 ? String(Math.round(count)) : 'null'
}

/** Two counts as members, with their comma before them. */
export function countsJson(one: string, oneCount: Count, other: string, otherCount: Count): string {
  return `,"${one}":${countJson(oneCount)},"${other}":${countJson(otherCount)}`
}

const secondUs = 1_000_000
// Up to here a quotient is precise enough to be rounded down.
const secondsMax = 4_000_000_000
let second = 0
let secondDigits = ''

/** An instant as JSON, in whole µs. Most instants lie in the second of the one before, whose digits are known. */
export function instantJson(us: number | null): string {
  if (us === null) return 'null'
  const seconds = Math.floor(us / secondUs)
  if (!(seconds > 0 && seconds < secondsMax)) return String(us)
  if (seconds !== second) {
    second = seconds
    secondDigits = String(seconds)
  }
  return secondDigits + String(us - seconds * secondUs + secondUs).slice(1)
}
