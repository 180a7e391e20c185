import { isFailure, outcomes } from '../../src/core/outcome.ts'

// Where somebody looks: a page, a stretch of time and a filter, all of it in the address.

export const pages = [
  'overview',
  'traces',
  'trace',
  'sessions',
  'session',
  'where',
  'errors',
  'error',
  'alerts',
] as const
export type Page = (typeof pages)[number]

/** The ranges that end now, in seconds. */
export const rangeSeconds = {
  '15m': 900,
  '1h': 3_600,
  '6h': 21_600,
  '24h': 86_400,
  '7d': 604_800,
  '30d': 2_592_000,
} as const
export type Range = keyof typeof rangeSeconds

export const defaultRange: Range = '1h'

export const filterKeys = [
  'tool',
  'provider',
  'model',
  'layer',
  'outcome',
  'session',
  'call_number',
  'environment',
  'service',
  'min_duration_ms',
  'max_duration_ms',
  'text',
  'state',
] as const
export type FilterKey = (typeof filterKeys)[number]

/** What the list of errors may be narrowed to; `all` is no narrowing. */
export const statesShown = ['open', 'resolved', 'ignored', 'all'] as const
export type StateShown = (typeof statesShown)[number]

/** The value of `outcome` that means every outcome that counts as an error in rates. */
export const failedOutcome = 'failed'

/** Either `range` is set, and the time ends now, or both bounds are, in µs since the epoch. */
export type Place = {
  readonly page: Page
  /** The id of the trace or the alert, the session's key, or the error group's fingerprint; null on the other pages. */
  readonly id: string | null
  readonly range: Range | null
  readonly from_us: number | null
  readonly to_us: number | null
  readonly filter: Readonly<Record<string, string>>
}

const pageOfFolder: ReadonlyMap<string, readonly [list: Page, one: Page]> = new Map<string, readonly [Page, Page]>([
  ['traces', ['traces', 'trace']],
  ['sessions', ['sessions', 'session']],
  ['where', ['where', 'where']],
  ['errors', ['errors', 'error']],
  ['alerts', ['alerts', 'alerts']],
])
const folderOf: { readonly [page in Page]: string } = {
  overview: '',
  traces: 'traces',
  trace: 'traces',
  sessions: 'sessions',
  session: 'sessions',
  where: 'where',
  errors: 'errors',
  error: 'errors',
  alerts: 'alerts',
}
// Later than any clock, and still exact as a double when turned into ms.
const usMax = 8_640_000_000_000_000
const textLengthMax = 512

/** What an address means. What it says wrongly is left out: an address can always be opened. */
export function placeOf(url: URL): Place {
  const [folder = '', id = ''] = url.pathname.split('/').slice(1)
  const found = pageOfFolder.get(folder)
  const decoded = decodedOf(id)
  const page: Page = found === undefined ? 'overview' : decoded === '' ? found[0] : found[1]
  const query = url.searchParams
  // A page that is no list has nothing below it.
  const hasId = found !== undefined && found[0] !== found[1] && decoded !== ''
  return { page, id: hasId ? decoded : null, ...timeOf(query), filter: filterIn(query) }
}

/** The address of a place: path and query, the same for equal places. */
export function pathOf(place: Place): string {
  const query = new URLSearchParams()
  if (place.from_us !== null && place.to_us !== null) {
    query.set('from', String(place.from_us))
    query.set('to', String(place.to_us))
  } else if (place.range !== null && place.range !== defaultRange) query.set('range', place.range)
  for (const key of filterKeys) {
    const value = place.filter[key]
    if (value !== undefined && value !== '') query.set(key, value)
  }
  const folder = folderOf[place.page]
  const path = place.id === null ? `/${folder}` : `/${folder}/${encodeURIComponent(place.id)}`
  const text = query.toString()
  return text === '' ? path : `${path}?${text}`
}

/** A place with parts of it changed; leaving a page for another drops the id unless one is given. */
export function withPlace(place: Place, change: Partial<Place>): Place {
  const id = change.page !== undefined && change.page !== place.page && change.id === undefined ? null : place.id
  return { ...place, id, ...change }
}

/** A place with one key of its filter set, or taken away by null. */
export function withFilter(place: Place, key: FilterKey, value: string | null): Place {
  const filter = { ...place.filter }
  delete filter[key]
  if (value !== null && value !== '') filter[key] = value
  return { ...place, filter }
}

const callKeys = filterKeys.filter((key) => key !== 'state')
const listed: { readonly [page in Page]: readonly FilterKey[] } = {
  overview: callKeys,
  traces: callKeys,
  trace: callKeys,
  sessions: callKeys,
  session: callKeys,
  where: callKeys,
  errors: ['environment', 'service', 'text', 'state'],
  error: ['environment', 'service', 'text'],
  alerts: ['environment', 'service'],
}

/** The keys of the filter that a page's reader knows; the others stay in the address and wait for their page. */
export function filterKeysOf(page: Page): readonly FilterKey[] {
  return listed[page]
}

/** What the SQL readers take. A range that ends now has `from` alone, so that what arrives meanwhile is in it. */
export function filterOf(place: Place, nowUs: number): Record<string, unknown> {
  const filter: Record<string, unknown> = { from: fromOf(place, nowUs) }
  if (place.to_us !== null) filter.to = place.to_us
  for (const key of filterKeysOf(place.page)) {
    const value = key === 'state' ? stateShownOf(place) : place.filter[key]
    if (value === undefined || (key === 'state' && value === 'all')) continue
    if (isNumberKey(key)) filter[key] = Number(value)
    else if (key === 'outcome' && value === failedOutcome) filter[key] = outcomes.filter(isFailure)
    else filter[key] = value
  }
  return filter
}

/** Whether what stands under a key is a number. */
export function isNumberKey(key: FilterKey): boolean {
  return key === 'call_number' || key === 'min_duration_ms' || key === 'max_duration_ms'
}

/** The state that the list of errors shows groups of: open ones, unless the address says otherwise. */
export function stateShownOf({ filter }: Place): StateShown {
  return isStateShown(filter.state) ? filter.state : 'open'
}

/** Whether anything but time, and the state of an error, narrows what this page shows. */
export function isFiltered(place: Place): boolean {
  return filterKeysOf(place.page).some((key) => key !== 'state' && place.filter[key] !== undefined)
}

/** Whether the place's time reaches to now, so that live entries belong into it. */
export function endsNow(place: Place): boolean {
  return place.to_us === null
}

/** The start of the place's time in µs. */
export function fromOf(place: Place, nowUs: number): number {
  return place.from_us ?? nowUs - rangeSeconds[place.range ?? defaultRange] * 1_000_000
}

function timeOf(query: URLSearchParams): Pick<Place, 'range' | 'from_us' | 'to_us'> {
  const from_us = instantIn(query, 'from')
  const to_us = instantIn(query, 'to')
  if (from_us !== null && to_us !== null && from_us < to_us) return { range: null, from_us, to_us }
  const range = query.get('range')
  return { range: isRange(range) ? range : defaultRange, from_us: null, to_us: null }
}

function filterIn(query: URLSearchParams): Record<string, string> {
  const filter: Record<string, string> = {}
  for (const key of filterKeys) {
    const value = query
      .get(key)
      ?.slice(0, textLengthMax)
      .replace(/[\uD800-\uDBFF]$|\0/g, '')
    if (value === undefined || value === '') continue
    if (key === 'call_number' && !/^[1-9][0-9]{0,8}$/.test(value)) continue
    if (key.endsWith('_duration_ms') && !/^[0-9]{1,9}(\.[0-9]{1,3})?$/.test(value)) continue
    if (key === 'state' && !isStateShown(value)) continue
    filter[key] = value
  }
  return filter
}

function isStateShown(text: string | undefined): text is StateShown {
  return statesShown.some((state) => state === text)
}

function isRange(text: string | null): text is Range {
  return text !== null && Object.hasOwn(rangeSeconds, text)
}

function instantIn(query: URLSearchParams, key: string): number | null {
  const text = query.get(key) ?? ''
  const us = /^[0-9]{1,16}$/.test(text) ? Number(text) : null
  return us !== null && us <= usMax ? us : null
}

function decodedOf(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

const titles: { readonly [page in Page]: string } = {
  overview: 'Overview',
  traces: 'Traces',
  trace: 'Trace',
  sessions: 'Sessions',
  session: 'Session',
  where: 'Where time goes',
  errors: 'Errors',
  error: 'Error',
  alerts: 'Alerts',
}

/** What the window is called. */
export function pageTitle({ page, id }: Place): string {
  return id === null || page === 'alerts' ? titles[page] : `${titles[page]} ${id.slice(0, 8)}`
}
