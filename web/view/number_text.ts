// Every number that a page shows, with its unit. A no-break space stands before units, so that they never part.

const space = '\u00a0'

/** What stands where there is nothing to show. */
export const nothing = '–'

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

/** Three significant digits, never more than the number has: 1.23, 12.3, 123, 1,234. */
function digits(value: number): string {
  const size = Math.abs(value)
  if (size >= 99.95) return grouped.format(value)
  const text = value.toFixed(size >= 9.995 ? 1 : 2)
  return text.replace(/\.?0+$/, '')
}

/** A duration given in ms: `430 µs`, `12.3 ms`, `1.23 s`, `2 min 05 s`, `3 h 07 min`, `2 d 4 h`. */
export function durationText(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return nothing
  if (ms < 0) return `−${durationText(-ms)}`
  if (ms === 0) return `0${space}ms`
  if (ms < 0.9995) return `${digits(Math.max(ms * 1_000, 0.01))}${space}µs`
  if (ms < 999.5) return `${digits(ms)}${space}ms`
  if (ms < 59_995) return `${digits(ms / 1_000)}${space}s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 3_600) return pairText(seconds, 60, 'min', 1, 's')
  if (seconds < 86_400) return pairText(seconds, 3_600, 'h', 60, 'min')
  return pairText(seconds, 86_400, 'd', 3_600, 'h')
}

function pairText(seconds: number, big: number, bigUnit: string, small: number, smallUnit: string): string {
  const rest = Math.floor((seconds % big) / small)
  const whole = `${grouped.format(Math.floor(seconds / big))}${space}${bigUnit}`
  return rest === 0 ? whole : `${whole} ${String(rest).padStart(2, '0')}${space}${smallUnit}`
}

/**
 * Requests by the second, or by the minute, hour or day where they are few: `2.5 req/s`, `3 req/min`. Numbers that are read
 * side by side take their unit from one of them, `like`.
 */
export function rateText(perSecond: number | null | undefined, like: number | null | undefined = perSecond): string {
  if (perSecond === null || perSecond === undefined || !Number.isFinite(perSecond)) return nothing
  const size = like === null || like === undefined || like === 0 ? Number.POSITIVE_INFINITY : Math.abs(like)
  const [unit, seconds] = rateUnits.find(([, per]) => size * per >= 0.1) ?? ['d', 86_400]
  const rate = perSecond * seconds
  return rate > 0 && rate < 0.01 ? `<${space}0.01${space}req/${unit}` : `${digits(rate)}${space}req/${unit}`
}

const rateUnits: readonly (readonly [unit: string, seconds: number])[] = [
  ['s', 1],
  ['min', 60],
  ['h', 3_600],
  ['d', 86_400],
]

/** A share given as 0..1. What is not zero never reads as zero, and what is not all never as 100 %. */
export function percentText(share: number | null | undefined): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return nothing
  const percent = share * 100
  if (percent > 0 && percent < 0.01) return `<${space}0.01${space}%`
  if (percent < 100 && percent >= 99.95) return `>${space}99.9${space}%`
  return `${digits(percent)}${space}%`
}

/** A number of things: `1,234`, `123 k`, `4.56 M`. */
export function countText(count: number | null | undefined): string {
  if (count === null || count === undefined || !Number.isFinite(count)) return nothing
  return scaledText(count, 99_999, 1_000, ['', `${space}k`, `${space}M`, `${space}G`, `${space}T`])
}

export function bytesText(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return nothing
  return scaledText(bytes, 1_023, 1_024, [`${space}B`, `${space}KiB`, `${space}MiB`, `${space}GiB`, `${space}TiB`])
}

function scaledText(value: number, wholeMax: number, step: number, units: readonly string[]): string {
  if (Math.abs(value) <= wholeMax)
    return `${Number.isInteger(value) ? grouped.format(value) : digits(value)}${units[0]}`
  let scaled = value
  let unit = 0
  while (Math.abs(scaled) >= step * 0.9995 && unit < units.length - 1) {
    scaled /= step
    unit += 1
  }
  return `${digits(scaled)}${units[unit]}`
}

/** `1 batch`, `3 batches`. */
export function pluralText(count: number, one: string, many: string): string {
  return `${countText(count)}${space}${count === 1 ? one : many}`
}

/** How long something has been going on, by whole seconds: `12 s`, `2 min 05 s`. Never negative. */
export function ageText(ageUs: number): string {
  const seconds = Math.max(0, Math.floor(ageUs / 1e6))
  return seconds === 0 ? `0${space}s` : durationText(seconds * 1_000)
}

/** How long ago, by its largest unit alone. */
export function agoText(ageUs: number): string {
  const seconds = Math.max(0, Math.floor(ageUs / 1e6))
  if (seconds < 1) return 'just now'
  if (seconds < 60) return `${seconds}${space}s ago`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}${space}min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}${space}h ago`
  return `${grouped.format(Math.floor(seconds / 86_400))}${space}d ago`
}

/** A change as a share of what was before: `+12 %`, `−3.4 %`, `×4.2`; empty where there is nothing to compare. */
export function changeText(now: number | null, before: number | null): string {
  if (now === null || before === null || before === 0) return ''
  const ratio = now / before
  if (Math.abs(ratio - 1) < 0.005) return `±0${space}%`
  if (ratio >= 3) return `×${digits(ratio)}`
  const percent = (ratio - 1) * 100
  return `${percent < 0 ? '−' : '+'}${digits(Math.abs(percent))}${space}%`
}

/** An instant by the viewer's clock: the time alone today, with the date on other days. `zone` is for tests. */
export function timeText(us: number | null | undefined, nowUs: number, zone?: string): string {
  if (us === null || us === undefined || !Number.isFinite(us)) return nothing
  const options: Intl.DateTimeFormatOptions = {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  }
  if (zone !== undefined) options.timeZone = zone
  const day = new Intl.DateTimeFormat('en-CA', { ...dateOptions, ...(zone === undefined ? {} : { timeZone: zone }) })
  const time = new Intl.DateTimeFormat('en-GB', options).format(us / 1_000)
  const date = day.format(us / 1_000)
  return date === day.format(nowUs / 1_000) ? time : `${date} ${time}`
}

const dateOptions: Intl.DateTimeFormatOptions = { year: 'numeric', month: '2-digit', day: '2-digit' }

/** The same instant for a title: whole, in UTC, by the ms. */
export function utcText(us: number | null | undefined): string {
  if (us === null || us === undefined || !Number.isFinite(us) || Math.abs(us) > 8.64e18) return nothing
  return new Date(us / 1_000).toISOString().replace('T', ' ').replace('Z', ' UTC')
}
