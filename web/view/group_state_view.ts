import type { ErrorGroup, GroupState } from './answer.ts'
import { usOf } from './error_view.ts'
import { agoText, countText, timeText } from './number_text.ts'
import type { StateShown } from './place.ts'

// What was said of an error group, in words, and what may be said next.

export const stateNames: { readonly [state in StateShown]: string } = {
  open: 'Open',
  resolved: 'Resolved',
  ignored: 'Ignored',
  all: 'All',
}

/** How long a group may be ignored, in s; null: without end. */
export const ignoredFor: readonly (readonly [text: string, seconds: number | null])[] = [
  ['for an hour', 3_600],
  ['for a day', 86_400],
  ['for a week', 604_800],
  ['for good', null],
]

/** What is asked of `set_error_group_state`. */
export type GroupStateRequest = {
  readonly state: GroupState
  readonly options: { readonly version?: string; readonly until?: number; readonly count?: number }
}

/** Ignored for so many seconds, or for good; `until` in µs, as the SQL function takes it. */
export function ignoredRequest(seconds: number | null, nowUs: number): GroupStateRequest {
  return { state: 'ignored', options: seconds === null ? {} : { until: Math.round(nowUs + seconds * 1_000_000) } }
}

/** Who said what of a group, and why that holds no more; null where nobody said anything. */
export function decisionText(
  { state, decision }: Pick<ErrorGroup, 'state' | 'decision'>,
  nowUs: number,
): string | null {
  if (decision === null) return null
  const { said, set_at, set_by, version, until, count_max, counted, reopened_at, reopened_by } = decision
  const who = `${said === 'open' ? 'reopened' : said} by ${set_by} ${agoText(nowUs - usOf(set_at))}`
  const inVersion = version === null ? '' : `, in ${version}`
  const end = until === null ? '' : `, until ${timeText(usOf(until), nowUs)}`
  const left = count_max === null ? '' : `, until ${countText(count_max)} more came`
  if (reopened_at !== null) {
    const by =
      reopened_by === null ? '' : ` by an error${reopened_by.version === null ? '' : ` of ${reopened_by.version}`}`
    return `Back ${agoText(nowUs - usOf(reopened_at))}${by}: was ${who}${inVersion}${end}${left}`
  }
  if (state !== said) return `No longer ignored: was ${who}${end}`
  const soFar = count_max === null ? '' : ` (${countText(counted)} so far)`
  return `${who[0]?.toUpperCase()}${who.slice(1)}${inVersion}${end}${left}${soFar}`
}

/** Whether an error showed that what was said does not hold. */
export function isRegressed({ decision }: Pick<ErrorGroup, 'decision'>): boolean {
  return decision?.reopened_at !== null && decision?.reopened_at !== undefined
}

/** In which versions a group was seen: `in version 1.2`, `from version 1.2 to 1.4`; null where none was told. */
export function versionsText({ first_version: first, last_version: last }: VersionsSeen): string | null {
  if (first === null && last === null) return null
  if (first === last) return `in version ${last}`
  return first === null ? `last in version ${last}` : `from version ${first} to ${last ?? 'an unknown one'}`
}

type VersionsSeen = Pick<ErrorGroup, 'first_version' | 'last_version'>
