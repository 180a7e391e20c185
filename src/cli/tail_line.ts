import { isFailure, type Outcome } from '../core/outcome.ts'

/** One row of the rpc `tail`, as far as a line shows it. */
export type TailRow = {
  readonly trace_id: string
  readonly revision?: number | string | null
  /** ISO 8601, or µs since the epoch: when the call ended. */
  readonly at: string | number
  readonly service: string | null
  readonly environment: string | null
  readonly session_key: string | null
  readonly call_number: number | null
  readonly tool: string | null
  readonly name: string | null
  readonly outcome: Outcome | null
  readonly duration_ms: number | null
  /** Self time by layer, in ms. */
  readonly layers: { readonly [layer: string]: number } | null
  readonly error: {
    readonly error_type: string | null
    readonly message: string | null
    readonly culprit: string | null
  } | null
}

export type LineStyle = {
  readonly colour: boolean
  /** An IANA name; the machine's own when absent. */
  readonly timeZone?: string
}

const textMax = 160
const sharesMax = 3

/** One call as one line, and a second, indented one where it failed with an error that is known. */
export function linesOf(row: TailRow, style: LineStyle): string {
  const paint = painterOf(style.colour)
  const failed = isFailure(row.outcome)
  const tint: Colour = failed ? 'red' : row.outcome === 'ok' ? 'green' : 'yellow'
  const line = [
    paint('dim', clockText(row.at, style.timeZone)),
    fit(sourceText(row), 20),
    paint('dim', fit(sessionText(row.session_key), 8)),
    fit(row.call_number === null ? '' : `#${row.call_number}`, 4),
    paint('bold', fit(safeText(row.tool ?? row.name ?? '-'), 26)),
    durationText(row.duration_ms).padStart(8),
    paint(tint, fit(row.outcome ?? 'running', 12)),
    paint('dim', sharesText(row.layers)),
  ]
  const head = line.join('  ').trimEnd()
  return row.error === null ? head : `${head}\n${errorText(row.error, paint)}`
}

function errorText(error: NonNullable<TailRow['error']>, paint: Painter): string {
  const type = safeText(error.error_type ?? 'Error')
  const message = safeText((error.message ?? '').trim().split(/[\r\n]/, 1)[0] ?? '')
  const culprit = error.culprit ? `  ${paint('dim', `at ${safeText(error.culprit)}`)}` : ''
  return `${' '.repeat(14)}${paint('red', type)}${message === '' ? '' : `: ${message}`}${culprit}`
}

/** A duration in ms as text of at most seven characters. */
export function durationText(ms: number | null): string {
  if (ms === null) return '...'
  // Each bound is where rounding would reach the next form.
  if (ms < 9.95) return `${ms.toFixed(1)} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1_000).toFixed(ms < 9_995 ? 2 : 1)} s`
  const minutes = ms / 60_000
  return minutes < 100 ? `${minutes.toFixed(1)} min` : `${Math.round(minutes / 60)} h`
}

/** The largest shares of the time, such as `api 82% websocket 11%`. */
export function sharesText(layers: TailRow['layers']): string {
  const entries = Object.entries(layers ?? {}).filter(([, ms]) => ms > 0)
  const total = entries.reduce((sum, [, ms]) => sum + ms, 0)
  return entries
    .sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    .slice(0, sharesMax)
    .map(([layer, ms]) => [safeText(layer), Math.round((100 * ms) / total)] as const)
    .filter(([, percent]) => percent > 0)
    .map(([layer, percent]) => `${layer} ${percent}%`)
    .join(' ')
}

/** The service, after its environment where that is a named one: `demo/filesystem` is no traffic of the operator's. */
function sourceText({ environment, service }: TailRow): string {
  const named = environment !== null && environment !== 'default'
  return safeText(named ? `${environment}/${service ?? '-'}` : (service ?? '-'))
}

/** Long keys are ids whose end differs; short ones are told whole. */
function sessionText(key: string | null): string {
  if (key === null) return ''
  const characters = [...safeText(key)]
  return characters.length <= 8 ? characters.join('') : `…${characters.slice(-7).join('')}`
}

const clocks = new Map<string | undefined, Intl.DateTimeFormat>()

/** Kept: to make one takes longer than all the rest of a line. */
function clockOf(timeZone: string | undefined): Intl.DateTimeFormat {
  const known = clocks.get(timeZone)
  if (known) return known
  const clock = new Intl.DateTimeFormat('en-GB', {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    fractionalSecondDigits: 3,
    hourCycle: 'h23',
    ...(timeZone === undefined ? {} : { timeZone }),
  })
  clocks.set(timeZone, clock)
  return clock
}

/** ISO 8601 text, or µs since the epoch, to the ms; an invalid date for anything else. */
export function instantOf(at: string | number): Date {
  return new Date(typeof at === 'number' ? at / 1_000 : at)
}

function clockText(at: string | number, timeZone: string | undefined): string {
  const date = instantOf(at)
  if (Number.isNaN(date.getTime())) return '--:--:--.---'
  return clockOf(timeZone).format(date)
}

/**
 * Text from a stranger as one harmless line: control characters (escape sequences begin with one), lone surrogates,
 * line and paragraph separators and direction marks are shown as `\x1b`, and what is too long is cut.
 */
export function safeText(text: string): string {
  const shown = text.replaceAll(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, (character) => escapeOf(character))
  const characters = [...shown]
  return characters.length <= textMax ? shown : `${characters.slice(0, textMax - 1).join('')}…`
}

function escapeOf(character: string): string {
  const code = character.codePointAt(0) ?? 0
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
}

/** Filled up, or cut, to a number of characters. */
function fit(text: string, width: number): string {
  const characters = [...text]
  return characters.length <= width
    ? text + ' '.repeat(width - characters.length)
    : `${characters.slice(0, width - 1).join('')}…`
}

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const
export type Colour = keyof typeof codes
export type Painter = (colour: Colour, text: string) => string

export function painterOf(colour: boolean): Painter {
  return (name, text) => (colour && text !== '' ? `\x1b[${codes[name]}m${text}\x1b[0m` : text)
}

/** Whether to colour: NO_COLOR forbids (https://no-color.org), FORCE_COLOR demands, else a terminal decides. */
export function colourWanted(env: { readonly [name: string]: string | undefined }, terminal: boolean): boolean {
  if (env.NO_COLOR) return false
  if (env.FORCE_COLOR !== undefined) return !['0', 'false'].includes(env.FORCE_COLOR)
  return terminal && env.TERM !== 'dumb'
}
