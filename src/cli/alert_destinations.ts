import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import { type DestinationKind, destinationKinds } from '../../functions/store/port.ts'
import { severities } from '../core/alert/alert_rule.ts'
import { connect, type JsonOption, print, when } from './alert_words.ts'
import { readSettings, type StackClient } from './stack_client.ts'
import { safeText } from './tail_line.ts'

type AddOptions = JsonOption & {
  readonly severity?: string
  readonly to?: string[]
  readonly from?: string
  readonly url?: string
}

type DestinationEntry = {
  readonly name: string
  readonly kind: string
  readonly url: string
  readonly severity: string
  readonly to: readonly string[]
  readonly created_us: number
}

type DeliveryEntry = {
  readonly destination: string
  readonly kind: string
  readonly event: string
  readonly title: string
  readonly state: 'waiting' | 'sent' | 'given_up'
  readonly attempts: number
  readonly error: string | null
  readonly created_us: number
}

const mailUrl = 'https://api.resend.com/emails'
const keyName = 'TELLTALE_EMAIL_API_KEY'
const secretName = 'TELLTALE_WEBHOOK_SECRET'
const secretBytes = 32
const testMsMax = 60_000

/** `telltale alerts destinations`: whom alerts are told. Secrets go in, and never come out again. */
export function registerDestinations(alerts: Command): void {
  const destinations = alerts.command('destinations').description('list, add, remove and test who is told')
  destinations
    .command('list', { isDefault: true })
    .description('list who is told')
    .option('--json', 'as one JSON array')
    .action(async (options: JsonOption) => listDestinations(await connect(), options))
  destinations
    .command('add')
    .description('add a destination; a webhook signs as Standard Webhooks says, and its secret is printed this once')
    .argument('<kind>', destinationKinds.join(', '))
    .argument('<name>', 'what it is called')
    .option('--url <address>', `where to POST (of email ${mailUrl} unless given)`)
    .option('--to <address...>', 'of email: to whom')
    .option('--from <address>', 'of email: from whom')
    .addOption(new Option('--severity <severity>', 'the least that it is told of').choices(severities))
    .option('--json', 'as one JSON object')
    .addHelpText(
      'after',
      `\nThe key of the e-mail API is read from ${keyName}; ${secretName} gives a webhook a secret of yours.`,
    )
    .action(async (kind: string, name: string, options: AddOptions) =>
      addDestination(await connect(), kind, name, options),
    )
  destinations
    .command('remove')
    .description('tell a destination nothing more, and forget its secrets')
    .argument('<name>', 'as listed')
    .option('--json', 'as one JSON object')
    .action(async (name: string, { json }: JsonOption) => {
      const removed = await (await connect()).rpc('remove_destination', { name })
      if (removed !== true) throw new Error(`Cannot remove destination ${name}: there is none of that name`)
      print(json === true ? JSON.stringify({ name, removed: true }) : `${name} is removed`)
    })
  destinations
    .command('test')
    .description('tell a destination something harmless, and say how that went')
    .argument('<name>', 'as listed')
    .option('--json', 'as one JSON object')
    .action(async (name: string, options: JsonOption) => testDestination(await connect(), name, options))
  alerts
    .command('deliveries')
    .description('list what was told to whom, and how it went')
    .option('--json', 'as one JSON array')
    .action(async ({ json }: JsonOption) => {
      const { rows } = (await (await connect()).rpc('deliveries', { n: 50 })) as {
        readonly rows: readonly DeliveryEntry[]
      }
      if (json === true) return print(JSON.stringify(rows))
      for (const row of rows) print(deliveryLineOf(row))
    })
}

async function addDestination(stack: StackClient, kindText: string, name: string, options: AddOptions): Promise<void> {
  const kind = destinationKinds.find((each) => each === kindText)
  if (kind === undefined)
    throw new Error(`Cannot add destination: its kind is ${kindText}, wanted ${destinationKinds.join(', ')}`)
  const { json, severity, to, from } = options
  const url = options.url ?? (kind === 'email' ? mailUrl : null)
  if (url === null) throw new Error('Cannot add destination: --url is not given')
  if (kind === 'email' && (to === undefined || from === undefined))
    throw new Error('Cannot add destination: --to and --from are not given')
  const secret = await secretOf(kind)
  const wanted = {
    name,
    kind,
    url,
    ...(secret === null ? {} : { secret }),
    ...(kind === 'email' ? { detail: { from, to } } : {}),
    ...(severity === undefined ? {} : { severity }),
  }
  const row = (await stack.rpc('add_destination', { wanted })) as DestinationEntry
  const isNew = kind === 'webhook' && secret !== process.env[secretName]
  print(json === true ? JSON.stringify({ ...row, ...(isNew ? { secret } : {}) }) : lineOf(row))
  if (json !== true && isNew) print(`secret ${secret}  (it is not shown again)`)
}

async function secretOf(kind: DestinationKind): Promise<string | null> {
  if (kind === 'email') {
    const key = (await readSettings())[keyName]
    if (!key) throw new Error(`Cannot add destination: ${keyName} is not set`)
    return key
  }
  if (kind !== 'webhook') return null
  const own = process.env[secretName]
  if (own !== undefined && !/^whsec_[A-Za-z0-9+/=]{16,}$/.test(own))
    throw new Error(`Cannot use ${secretName}: it is not whsec_ and base64`)
  return own ?? `whsec_${randomBytes(secretBytes).toString('base64')}`
}

async function listDestinations(stack: StackClient, { json }: JsonOption): Promise<void> {
  const rows = (await stack.rpc('destinations', {})) as readonly DestinationEntry[]
  if (json === true) return print(JSON.stringify(rows))
  if (rows.length === 0) return print('nobody is told: `telltale alerts destinations add` says whom to tell')
  for (const row of rows) print(lineOf(row))
}

function lineOf({ name, kind, url, severity, to }: DestinationEntry): string {
  return `${safeText(name).padEnd(16)}  ${kind.padEnd(8)}  ${severity.padEnd(8)}  ${url}  ${to.map(safeText).join(', ')}`.trimEnd()
}

function deliveryLineOf({
  created_us,
  destination,
  kind,
  event,
  state,
  attempts,
  error,
  title,
}: DeliveryEntry): string {
  const how = `${state} after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}${error === null ? '' : ` (${safeText(error)})`}`
  return `${when(created_us)}  ${safeText(destination)} (${kind})  ${event}  ${how}  ${safeText(title)}`
}

/** The next tick sends it; the log says how that went. */
async function testDestination(stack: StackClient, name: string, { json }: JsonOption): Promise<void> {
  const { notification_id } = (await stack.rpc('test_destination', { name })) as { readonly notification_id: string }
  const until = Date.now() + testMsMax
  for (;;) {
    const { rows } = (await stack.rpc('deliveries', { filter: { notification_id }, n: 1 })) as {
      readonly rows: readonly DeliveryEntry[]
    }
    const [row] = rows
    const isDone = row !== undefined && (row.state !== 'waiting' || (row.attempts > 0 && row.error !== null))
    if (isDone || Date.now() > until) {
      if (row === undefined) throw new Error(`Cannot test destination ${name}: its log is gone`)
      print(json === true ? JSON.stringify(row) : deliveryLineOf(row))
      if (row.state !== 'sent') process.exitCode = 1
      return
    }
    await pause(500)
  }
}
