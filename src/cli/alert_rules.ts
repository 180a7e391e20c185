import { type Command, Option } from 'commander'
import { alertConditions, alertKinds, alertMetrics, groupDimensions, severities } from '../core/alert/alert_rule.ts'
import { asSeconds, connect, type JsonOption, parseNumber, print } from './alert_words.ts'
import type { StackClient } from './stack_client.ts'
import { safeText } from './tail_line.ts'

type RuleEntry = {
  readonly rule_id: string
  readonly name: string
  readonly enabled: boolean
  readonly is_template: boolean
  readonly kind: string
  readonly metric: string | null
  readonly condition: string | null
  readonly threshold: number | null
  readonly severity: string
  readonly open: number
}

type RuleOptions = JsonOption & {
  readonly name?: string
  readonly kind?: string
  readonly metric?: string
  readonly above?: number
  readonly below?: number
  readonly times?: number
  readonly threshold?: number
  readonly clear?: number
  readonly minCount?: number
  readonly window?: string
  readonly for?: string
  readonly clearFor?: string
  readonly baseline?: string
  readonly severity?: string
  readonly groupBy?: string[]
  readonly objective?: number
  readonly service?: string[]
  readonly environment?: string[]
  readonly key?: string[]
  readonly tool?: string[]
  readonly errorType?: string[]
  readonly gauge?: string
  readonly destination?: string[]
}

/** `telltale alerts rules`: what is watched. */
export function registerRules(alerts: Command): void {
  const rules = alerts.command('rules').description('list, add, change, enable, disable and remove rules')
  rules
    .command('list', { isDefault: true })
    .description('list the rules')
    .option('--json', 'as one JSON array')
    .action(async (options: JsonOption) => listRules(await connect(), options))
  withColumns(
    rules.command('add').description('add a rule').argument('<rule>', 'its id: lower case words joined by _'),
  ).action(async (rule: string, options: RuleOptions) => {
    const kind = options.kind ?? 'metric'
    await setRule(
      await connect(),
      { rule_id: rule, kind, ...columnsOf(options), ...(await destinationsOf(options)) },
      options,
    )
  })
  withColumns(rules.command('set').description('change a rule').argument('<rule>', 'its id')).action(
    async (rule: string, options: RuleOptions) => {
      const stack = await connect()
      const known = (await rulesOf(stack)).find(({ rule_id }) => rule_id === rule)
      if (known === undefined) throw new Error(`Cannot change rule ${rule}: there is none of that id`)
      await setRule(stack, { rule_id: rule, ...columnsOf(options), ...(await destinationsOf(options)) }, options)
    },
  )
  for (const [word, enabled] of [
    ['enable', true],
    ['disable', false],
  ] as const) {
    rules
      .command(word)
      .description(enabled ? 'look at a rule again' : 'look at a rule no more; what it has open resolves')
      .argument('<rule>', 'its id')
      .option('--json', 'as one JSON object')
      .action(async (rule: string, options: JsonOption) => {
        const stack = await connect()
        if (!(await rulesOf(stack)).some(({ rule_id }) => rule_id === rule)) {
          throw new Error(`Cannot ${word} rule ${rule}: there is none of that id`)
        }
        await setRule(stack, { rule_id: rule, enabled }, options)
      })
  }
  rules
    .command('remove')
    .description('remove a rule of your own, with its alerts')
    .argument('<rule>', 'its id')
    .option('--json', 'as one JSON object')
    .action(async (rule: string, { json }: JsonOption) => {
      const removed = await (await connect()).rpc('remove_rule', { rule_id: rule })
      if (removed !== true) throw new Error(`Cannot remove rule ${rule}: it is a template, or there is none`)
      print(json === true ? JSON.stringify({ rule_id: rule, removed: true }) : `${rule} is removed`)
    })
}

function withColumns(command: Command): Command {
  return command
    .option('--name <text>', 'what people call it')
    .addOption(new Option('--kind <kind>', 'what it looks for').choices(alertKinds))
    .addOption(new Option('--metric <metric>', 'which number').choices(alertMetrics))
    .option('--above <n>', 'fire above this: rates as 0..1, latencies in ms', parseNumber)
    .option('--below <n>', 'fire below this', parseNumber)
    .option('--times <n>', 'fire above so many times what is usual', parseNumber)
    .option(
      '--threshold <n>',
      'of other kinds: s of no_data and stuck, ms of starvation and slow_rate, 0..1 of anomaly',
      parseNumber,
    )
    .option('--clear <n>', 'count as over from here on', parseNumber)
    .option('--min-count <n>', 'conclude nothing from fewer calls', parseNumber)
    .option('--window <time>', 'look so far back, such as 5m')
    .option('--for <time>', 'fire after it has held so long')
    .option('--clear-for <time>', 'resolve after it has been over so long')
    .option('--baseline <time>', 'what is usual is taken from so long before')
    .addOption(new Option('--severity <severity>', 'how grave it is').choices(severities))
    .addOption(new Option('--group-by <thing...>', 'one alert for each').choices(groupDimensions))
    .option('--objective <share>', 'of slo: the share of calls that has to be good, such as 0.99', parseNumber)
    .option('--service <name...>', 'of these services')
    .option('--environment <name...>', 'in these environments')
    .option('--key <series...>', 'of these series, such as all, tool:chat or provider:*')
    .option('--tool <name...>', 'of stuck: these tools')
    .option('--error-type <type...>', 'of errors and leak: these types')
    .option('--gauge <name>', 'of the metric gauge: its name')
    .option('--destination <name...>', 'tell these alone')
    .option('--json', 'as one JSON object')
}

/** The columns of the row that the options name. */
function columnsOf(options: RuleOptions): Record<string, unknown> {
  const { above, below, times, service, environment, key, tool, errorType, gauge } = options
  const bound =
    above !== undefined
      ? { condition: alertConditions[0], threshold: above }
      : below !== undefined
        ? { condition: alertConditions[1], threshold: below }
        : times !== undefined
          ? { condition: alertConditions[2], threshold: times }
          : { threshold: options.threshold }
  const filter = given({ service, environment, keys: key, tool, error_type: errorType, gauge })
  const seconds = (text: string | undefined) => (text === undefined ? undefined : asSeconds(text))
  return given({
    name: options.name,
    kind: options.kind,
    metric: options.metric,
    ...bound,
    clear_threshold: options.clear,
    min_count: options.minCount,
    window_s: seconds(options.window),
    for_s: seconds(options.for),
    clear_for_s: seconds(options.clearFor),
    baseline_s: seconds(options.baseline),
    severity: options.severity,
    group_by: options.groupBy,
    objective: options.objective,
    filter: Object.keys(filter).length === 0 ? undefined : filter,
  })
}

function given(columns: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== undefined))
}

async function destinationsOf({ destination }: RuleOptions): Promise<{ readonly destinations?: readonly string[] }> {
  if (destination === undefined) return {}
  const rows = (await (await connect()).rpc('destinations', {})) as readonly {
    readonly destination_id: string
    readonly name: string
  }[]
  const ids = destination.map((name) => {
    const found = rows.find((row) => row.name === name)
    if (found === undefined) throw new Error(`Cannot find destination ${name}: there is none of that name`)
    return found.destination_id
  })
  return { destinations: ids }
}

async function rulesOf(stack: StackClient): Promise<readonly RuleEntry[]> {
  return (await stack.rpc('rules', {})) as readonly RuleEntry[]
}

async function setRule(stack: StackClient, rule: Record<string, unknown>, { json }: JsonOption): Promise<void> {
  const row = (await stack.rpc('set_rule', { rule })) as RuleEntry
  print(json === true ? JSON.stringify(row) : `${row.rule_id} is ${row.enabled ? 'enabled' : 'disabled'}`)
}

async function listRules(stack: StackClient, { json }: JsonOption): Promise<void> {
  const rows = await rulesOf(stack)
  if (json === true) return print(JSON.stringify(rows))
  for (const { rule_id, enabled, kind, metric, condition, threshold, severity, name, open } of rows) {
    const what = [kind, metric, condition, threshold].filter((part) => part !== null).join(' ')
    const state = `${enabled ? 'on ' : 'off'}  ${open > 0 ? `${open} open  ` : ''}`
    print(`${rule_id.padEnd(18)}  ${state}${severity.padEnd(8)}  ${what}  ${safeText(name)}`)
  }
}
