import { type Command, InvalidArgumentError } from 'commander'

/** The filter of `telltale.why_data`. */
export type WhyFilter = { readonly [key: string]: unknown }

export type WhyOptions = {
  readonly callNumber?: number
  readonly after?: string
  readonly above?: number
  readonly trace?: string
  readonly from?: string
  readonly to?: string
  readonly source?: string
  readonly environment?: string
  readonly tool?: string
  readonly provider?: string
  readonly model?: string
  readonly session?: string
}

/** What `why` and `report` ask about. */
export function withWhyOptions(command: Command): Command {
  return command
    .option('--call-number <n>', 'the slow calls are those at this place in their session', parseWhole)
    .option('--after <time>', 'the slow calls are those since then, and the baseline those before', parseInstant)
    .option('--above <ms>', 'the slow calls are those that took longer', parseMs)
    .option('--trace <id>', 'the slow call is this one')
    .option('--from <time>', 'look at calls since then: ISO 8601, or as 30m, 6h, 2d ago', parseInstant)
    .option('--to <time>', 'look at calls before then', parseInstant)
    .option('--source <service>', 'only calls of this service')
    .option('--environment <name>', 'only calls of this environment')
    .option('--tool <name>', 'only calls of this tool')
    .option('--provider <name>', 'only calls that this provider served')
    .option('--model <name>', 'only calls that this model answered')
    .option('--session <key>', 'only calls of this session')
}

export function whyFilterOf(options: WhyOptions): WhyFilter {
  const filter = {
    call_number: options.callNumber,
    after: options.after,
    above_ms: options.above,
    trace_id: options.trace,
    from: options.from,
    to: options.to,
    service: options.source,
    environment: options.environment,
    tool: options.tool,
    provider: options.provider,
    model: options.model,
    session: options.session,
  }
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined))
}

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** ISO 8601 as it is; `6h` as the instant six hours ago. */
export function parseInstant(text: string): string {
  const ago = /^(\d{1,6})([mhd])$/.exec(text)
  if (ago) return new Date(Date.now() - Number(ago[1]) * unitMs[ago[2] as keyof typeof unitMs]).toISOString()
  const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at)) throw new InvalidArgumentError('It must be ISO 8601, or a time ago such as 30m, 6h or 2d.')
  return new Date(at).toISOString()
}

function parseWhole(text: string): number {
  const n = Number(text)
  if (!Number.isInteger(n) || n < 1) throw new InvalidArgumentError('It must be a whole number from 1.')
  return n
}

function parseMs(text: string): number {
  const ms = Number(text)
  if (text.trim() === '' || !Number.isFinite(ms) || ms < 0) throw new InvalidArgumentError('It must be a number of ms.')
  return ms
}
