import { durationText, safeText } from './tail_line.ts'

/** A row of the rpc `error_groups`, as far as the command line shows it. */
export type GroupRow = {
  readonly fingerprint: string
  readonly error_type: string
  readonly message: string
  readonly culprit: string | null
  readonly trace_id: string | null
  readonly first_seen_at: string
  readonly last_seen_at: string
  readonly count: number
  readonly services: readonly string[]
  readonly first_version: string | null
  readonly last_version: string | null
  readonly state: string
  readonly decision: Decision | null
  readonly counts: { readonly step_s: number; readonly values: readonly number[] }
}

export type Decision = {
  readonly said: string
  readonly set_at: string
  readonly set_by: string
  readonly version: string | null
  readonly until: string | null
  readonly count_max: number | null
  readonly counted: number
  readonly reopened_at: string | null
  readonly reopened_by: { readonly trace_id: string | null; readonly version: string | null } | null
}

type Named = {
  readonly total: number
  readonly rows: readonly { readonly name: string; readonly requests: number }[]
}

/** What the rpc `error_group` answers. */
export type GroupDetail = GroupRow & {
  readonly versions: {
    readonly total: number
    readonly rows: readonly { readonly version: string | null; readonly service: string; readonly count: number }[]
  }
  readonly touched: { readonly errors: number; readonly tools: Named; readonly sessions: Named }
}

const levels = '▁▂▃▄▅▆▇█'

/** Counts as one line of blocks, a space where there was none; the greatest is a full block. */
export function blocksOf(values: readonly number[]): string {
  const most = Math.max(1, ...values)
  return values.map((n) => (n === 0 ? ' ' : (levels[Math.ceil((n / most) * levels.length) - 1] ?? ' '))).join('')
}

/** A group as two lines: what it is, and beneath it the end of its message and where it comes from. */
export function groupLinesOf(row: GroupRow, now: Date): string {
  const head = [
    shortPrint(row.fingerprint).padEnd(11),
    stateWord(row).padEnd(9),
    String(row.count).padStart(7),
    agoOf(row.last_seen_at, now).padStart(8),
    `|${blocksOf(row.counts.values)}|`,
    safeText(row.error_type),
  ]
  const at = row.culprit === null ? '' : `  at ${safeText(row.culprit)}`
  return `${head.join('  ')}\n${' '.repeat(13)}${safeText(firstLineOf(row.message))}${at}`
}

/** All that is known of one group, a fact a line. */
export function groupTextOf(row: GroupDetail, now: Date): string {
  const { versions, touched } = row
  const facts: readonly (readonly [string, string | null])[] = [
    ['fingerprint', row.fingerprint],
    ['state', decisionTextOf(row, now)],
    ['message', safeText(firstLineOf(row.message))],
    ['at', row.culprit === null ? null : safeText(row.culprit)],
    ['count', `${row.count} in all`],
    ['history', `|${blocksOf(row.counts.values)}| steps of ${durationText(row.counts.step_s * 1_000)}`],
    ['first seen', `${row.first_seen_at}${ofVersion(row.first_version)}`],
    ['last seen', `${row.last_seen_at}${ofVersion(row.last_version)}`],
    ['services', row.services.map(safeText).join(', ')],
    [
      'versions',
      listOf(
        versions.total,
        versions.rows.map(
          ({ version, service, count }) => `${safeText(version ?? '?')} of ${safeText(service)} (${count})`,
        ),
      ),
    ],
    ['tools', namesOf(touched.tools)],
    ['sessions', namesOf(touched.sessions)],
    ['last trace', row.trace_id],
  ]
  const lines = facts.flatMap(([name, text]) => (text === null || text === '' ? [] : [`${name.padEnd(12)} ${text}`]))
  return [safeText(row.error_type), ...lines].join('\n')
}

/** Who said what of a group, and why that holds no more. */
export function decisionTextOf({ state, decision }: Pick<GroupRow, 'state' | 'decision'>, now: Date): string {
  if (decision === null) return state
  const { said, set_by, set_at, version, until, count_max, counted, reopened_at, reopened_by } = decision
  const what = [
    `${said} by ${safeText(set_by)} ${agoOf(set_at, now)}`,
    ...(version === null ? [] : [`in ${safeText(version)}`]),
    ...(until === null ? [] : [`until ${until}`]),
    ...(count_max === null ? [] : [`until ${count_max} more came (${counted} so far)`]),
  ].join(', ')
  if (reopened_at === null) return state === said ? what : `${state}; was ${what}`
  return `regressed ${agoOf(reopened_at, now)}${ofVersion(reopened_by?.version ?? null)}; was ${what}`
}

/** As much of a fingerprint as tells it apart in practice, and as the commands take it. */
export function shortPrint(fingerprint: string): string {
  return fingerprint.slice(0, fingerprint.indexOf(':') + 9)
}

function stateWord({ state, decision }: GroupRow): string {
  return decision?.reopened_at ? 'regressed' : state
}

function ofVersion(version: string | null): string {
  return version === null ? '' : ` of ${safeText(version)}`
}

function namesOf({ total, rows }: Named): string {
  return listOf(
    total,
    rows.map(({ name, requests }) => `${safeText(name)} (${requests})`),
  )
}

function listOf(total: number, texts: readonly string[]): string {
  return `${texts.join(', ')}${total > texts.length ? ` and ${total - texts.length} more` : ''}`
}

function firstLineOf(message: string): string {
  return message.trim().split(/[\r\n]/, 1)[0] ?? ''
}

function agoOf(at: string, now: Date): string {
  const seconds = Math.max(0, Math.floor((now.getTime() - Date.parse(at)) / 1_000))
  if (seconds < 60) return `${seconds}s ago`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ago`
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h ago` : `${Math.floor(seconds / 86_400)}d ago`
}
