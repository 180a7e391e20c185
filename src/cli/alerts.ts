import type { Command } from 'commander'
import type { AlertDocument } from '../core/alert/alert_document.ts'
import { registerDestinations } from './alert_destinations.ts'
import { registerRules } from './alert_rules.ts'
import { registerRuleTest } from './alert_test_rule.ts'
import { asSeconds, connect, type JsonOption, print, when } from './alert_words.ts'
import type { StackClient } from './stack_client.ts'
import { safeText } from './tail_line.ts'

type ListOptions = JsonOption & { readonly state?: string[]; readonly all?: boolean; readonly limit: string }
type SilenceOptions = JsonOption & {
  readonly rule?: string
  readonly service?: string
  readonly environment?: string
  readonly for: string
  readonly from?: string
  readonly every?: string
  readonly reason?: string
}

const rowsListed = '50'

/** `telltale alerts`: what fires, whom it is told, and the rules; of the embedded stack or a hosted one. */
export function registerAlerts(program: Command): void {
  const alerts = program.command('alerts').description('what fires, whom it is told, and the rules')
  alerts
    .command('list', { isDefault: true })
    .description('list the alerts that are open, or all of them')
    .option('--all', 'those that resolved too')
    .option('--state <state...>', 'pending, firing, acknowledged, resolved')
    .option('--limit <n>', 'how many', rowsListed)
    .option('--json', 'as one JSON array')
    .action(async (options: ListOptions) => listAlerts(await connect(), options))
  alerts
    .command('ack')
    .description('say that you know of an alert')
    .argument('<id>', 'as `telltale alerts` shows it, or its beginning')
    .option('--json', 'as one JSON object')
    .action(async (id: string, options: JsonOption) => acknowledge(await connect(), id, options))
  alerts
    .command('silence')
    .description('keep alerts from being told of, once or, as a maintenance window, again and again')
    .requiredOption('--for <time>', 'how long, such as 90m, 2h or 3d')
    .option('--rule <rule>', 'of one rule')
    .option('--service <service>', 'of one service')
    .option('--environment <environment>', 'of one environment')
    .option('--from <instant>', 'from when on (ISO 8601); now without it')
    .option('--every <time>', 'again every so long, such as 1d or 7d')
    .option('--reason <text>', 'why')
    .option('--json', 'as one JSON object')
    .action(async (options: SilenceOptions) => silence(await connect(), options))
  alerts
    .command('silences')
    .description('list what is silenced')
    .option('--json', 'as one JSON array')
    .action(async (options: JsonOption) => listSilences(await connect(), options))
  alerts
    .command('unsilence')
    .description('end a silence now')
    .argument('<id>', 'as `telltale alerts silences` shows it')
    .option('--json', 'as one JSON object')
    .action(async (id: string, options: JsonOption) => unsilence(await connect(), id, options))
  registerRules(alerts)
  registerDestinations(alerts)
  registerRuleTest(alerts)
}

async function listAlerts(stack: StackClient, { state, all, limit, json }: ListOptions): Promise<void> {
  const wanted = state ?? (all === true ? undefined : ['firing', 'acknowledged'])
  const filter = wanted === undefined ? {} : { state: wanted }
  const { rows } = (await stack.rpc('alerts', { filter, n: Number(limit) })) as {
    readonly rows: readonly AlertDocument[]
  }
  if (json === true) return print(JSON.stringify(rows))
  if (rows.length === 0) return print(wanted === undefined ? 'nothing ever fired' : `nothing is ${wanted.join(' or ')}`)
  for (const alert of rows) print(lineOf(alert))
}

function lineOf({
  alert_id,
  state,
  severity,
  started_us,
  resolved_us,
  title,
  silenced,
  acknowledged_by,
  rule_id,
}: AlertDocument): string {
  const span = resolved_us === null ? `since ${when(started_us)}` : `${when(started_us)} to ${when(resolved_us)}`
  const more = `${silenced ? ', silenced' : ''}${acknowledged_by === null ? '' : `, acknowledged by ${safeText(acknowledged_by)}`}`
  return `${alert_id}  ${state.padEnd(12)}  ${severity.padEnd(8)}  ${span}${more}  ${safeText(title)}  (${rule_id})`
}

async function acknowledge(stack: StackClient, text: string, { json }: JsonOption): Promise<void> {
  const { rows } = (await stack.rpc('alerts', { filter: { state: ['firing', 'acknowledged'] }, n: 1_000 })) as {
    readonly rows: readonly AlertDocument[]
  }
  const meant = rows.filter(({ alert_id }) => text.length >= 4 && alert_id?.startsWith(text.toLowerCase()))
  const [only] = meant
  if (only === undefined || meant.length > 1) {
    throw new Error(
      `Cannot acknowledge ${text}: ${meant.length === 0 ? 'no open alert has that id' : 'several begin so'}`,
    )
  }
  const alert = (await stack.rpc('acknowledge_alert', { alert_id: only.alert_id })) as AlertDocument
  print(json === true ? JSON.stringify(alert) : `${alert.alert_id} is ${alert.state}`)
}

async function silence(stack: StackClient, options: SilenceOptions): Promise<void> {
  const { rule, service, environment, from, every, reason, json } = options
  const wanted = {
    ...(rule === undefined ? {} : { rule_id: rule }),
    ...(service === undefined ? {} : { service }),
    ...(environment === undefined ? {} : { environment }),
    ...(from === undefined ? {} : { starts: from }),
    ...(every === undefined ? {} : { repeat_s: asSeconds(every) }),
    seconds: asSeconds(options.for),
    reason: reason ?? '',
  }
  const made = (await stack.rpc('silence', { wanted })) as SilenceEntry
  print(json === true ? JSON.stringify(made) : silenceLineOf(made))
}

type SilenceEntry = {
  readonly silence_id: string
  readonly rule_id: string | null
  readonly service: string | null
  readonly environment: string | null
  readonly starts_us: number
  readonly ends_us: number
  readonly repeat_s: number | null
  readonly reason: string
  readonly made_by: string
}

async function listSilences(stack: StackClient, { json }: JsonOption): Promise<void> {
  const rows = (await stack.rpc('silences', {})) as readonly SilenceEntry[]
  if (json === true) return print(JSON.stringify(rows))
  if (rows.length === 0) return print('nothing is silenced')
  for (const row of rows) print(silenceLineOf(row))
}

function silenceLineOf({
  silence_id,
  rule_id,
  service,
  environment,
  starts_us,
  ends_us,
  repeat_s,
  reason,
  made_by,
}: SilenceEntry): string {
  const what = [
    rule_id ?? 'every rule',
    ...(service === null ? [] : [`of ${safeText(service)}`]),
    ...(environment === null ? [] : [`in ${safeText(environment)}`]),
  ]
  const again = repeat_s === null ? '' : `, again every ${repeat_s} s`
  return `${silence_id}  ${when(starts_us)} to ${when(ends_us)}${again}  ${what.join(' ')}  by ${safeText(made_by)}  ${safeText(reason)}`.trimEnd()
}

async function unsilence(stack: StackClient, id: string, { json }: JsonOption): Promise<void> {
  const ended = await stack.rpc('end_silence', { silence_id: id })
  if (ended !== true) throw new Error(`Cannot end silence ${id}: there is none of that id`)
  print(json === true ? JSON.stringify({ silence_id: id, ended: true }) : `${id} is over`)
}
