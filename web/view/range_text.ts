import { timeText } from './number_text.ts'
import { defaultRange, type Place, type Range } from './place.ts'

/** What the ranges are called. */
export const rangeNames: { readonly [range in Range]: string } = {
  '15m': '15 min',
  '1h': '1 h',
  '6h': '6 h',
  '24h': '24 h',
  '7d': '7 d',
  '30d': '30 d',
}

/** The stretch before of equal length, in words that follow a difference: `vs the hour before`. */
export function beforeText(place: Place): string {
  if (place.to_us !== null) return 'vs the time before'
  const range = place.range ?? defaultRange
  return range === '1h' ? 'vs the hour before' : `vs the ${rangeNames[range]} before`
}

/** The stretch of time in words. `zone` is for tests. */
export function rangeText(place: Place, nowUs: number, zone?: string): string {
  if (place.from_us === null || place.to_us === null) return `Last ${rangeNames[place.range ?? defaultRange]}`
  return `${timeText(place.from_us, nowUs, zone)} to ${timeText(place.to_us, nowUs, zone)}`
}

/** An instant as a datetime-local field takes it: by the viewer's clock, to the second. */
export function fieldTextOf(us: number): string {
  const date = new Date(us / 1_000)
  const two = (value: number): string => String(value).padStart(2, '0')
  const day = `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** The instant in µs that a datetime-local field says, null when it says none. */
export function usOfField(text: string): number | null {
  const ms = text === '' ? Number.NaN : new Date(text).getTime()
  return Number.isFinite(ms) && ms >= 0 ? ms * 1_000 : null
}
