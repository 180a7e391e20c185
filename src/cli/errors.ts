import { userInfo } from 'node:os'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { errorRowsAsked, ignoredErrorsMax, pageRowsMax } from '../core/limit.ts'
import { decisionTextOf, type GroupDetail, type GroupRow, groupLinesOf, groupTextOf, shortPrint } from './error_line.ts'
import { readSettings, type StackClient, stackClientOf } from './stack_client.ts'

type Json = { readonly json?: boolean }
type Since = { readonly since: number }
type ListOptions = Json &
  Since & {
    readonly state: (typeof states)[number]
    readonly lines: number
    readonly environment?: string
    readonly service?: string
    readonly text?: string
  }
type ResolveOptions = Json & { readonly in?: string; readonly at?: string }
type IgnoreOptions = Json & { readonly until?: string; readonly for?: number; readonly count?: number }
type GroupPage = { readonly rows: readonly GroupRow[]; readonly next: string | null }
type StateAnswer = Pick<GroupRow, 'fingerprint' | 'state' | 'decision'>

const states = ['open', 'resolved', 'ignored', 'all'] as const
/** Pages that are looked through for a fingerprint that is written short. */
const pagesMax = 20

/** `telltale errors list | show | resolve | ignore | reopen`: what fails, and what is said of it. */
export function registerErrors(program: Command): void {
  const errors = program.command('errors').description('list kinds of errors, and resolve or ignore them')
  registerReading(errors)
  errors
    .command('resolve')
    .description('say that an error is fixed; a later one brings it back')
    .argument('<fingerprint>', fingerprintHelp)
    .option('--in <version>', 'the version it is fixed in: errors of older versions do not bring it back')
    .option('--at <time>', 'when it was fixed (ISO 8601), in place of now')
    .option('--json', 'as one JSON object')
    .action(async (print: string, { in: version, at, json }: ResolveOptions) =>
      say(
        print,
        'resolved',
        { ...(version === undefined ? {} : { version }), ...(at === undefined ? {} : { at }) },
        json,
      ),
    )
  errors
    .command('ignore')
    .description('leave an error out of the list of open ones: for good, for a time, or until so many more came')
    .argument('<fingerprint>', fingerprintHelp)
    .addOption(new Option('--for <time>', 'such as 90m, 12h or 7d').argParser(secondsOf).conflicts(['until', 'count']))
    .addOption(new Option('--until <time>', 'ISO 8601').conflicts('count'))
    .addOption(new Option('--count <n>', 'until so many more came').argParser(countOf))
    .option('--json', 'as one JSON object')
    .action(async (print: string, { for: seconds, until, count, json }: IgnoreOptions) => {
      const end = seconds === undefined ? until : new Date(Date.now() + seconds * 1_000).toISOString()
      await say(
        print,
        'ignored',
        { ...(end === undefined ? {} : { until: end }), ...(count === undefined ? {} : { count }) },
        json,
      )
    })
  errors
    .command('reopen')
    .description('say that an error is open, whatever was said before')
    .argument('<fingerprint>', fingerprintHelp)
    .option('--json', 'as one JSON object')
    .action((print: string, { json }: Json) => say(print, 'open', {}, json))
}

const fingerprintHelp = 'as `telltale errors list` shows it: the whole, or a beginning that only one has'

function registerReading(errors: Command): void {
  errors
    .command('list')
    .description('list kinds of errors, the last seen first: state, count, last seen, history')
    .addOption(new Option('--state <state>', 'which').choices(states).default('open'))
    .option('--since <time>', 'how far back, such as 90m, 12h or 7d', secondsOf, 86_400)
    .option('-n, --lines <n>', 'how many', linesOf, errorRowsAsked)
    .option('--environment <name>', 'only of this environment')
    .option('--service <name>', 'only of this service')
    .option('--text <words>', 'only with these words')
    .option('--json', 'one JSON object a line')
    .action((options: ListOptions) => listGroups(options))
  errors
    .command('show')
    .description('show one kind of error: its history, versions, tools and sessions')
    .argument('<fingerprint>', fingerprintHelp)
    .option('--since <time>', 'how far back, such as 90m, 12h or 7d', secondsOf, 30 * 86_400)
    .option('--json', 'as one JSON object')
    .action((print: string, options: Json & Since) => showGroup(print, options))
}

async function client(): Promise<StackClient> {
  return stackClientOf(await readSettings())
}

async function listGroups({ state, since, lines, environment, service, text, json }: ListOptions): Promise<void> {
  const named = { environment, service, text, state: state === 'all' ? undefined : state }
  const filter = {
    ...Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined)),
    from: ago(since),
  }
  const { rows } = await pageOf(await client(), filter, null, lines)
  for (const row of rows) print(json === true ? JSON.stringify(row) : groupLinesOf(row, new Date()))
  if (rows.length === 0 && json !== true) process.stderr.write(`telltale: there is no such error\n`)
}

async function showGroup(text: string, { since, json }: Json & Since): Promise<void> {
  const stack = await client()
  const fingerprint = await wholePrint(stack, text)
  const row = (await stack.rpc('error_group', { fingerprint, filter: { from: ago(since) } })) as GroupDetail | null
  if (row === null) throw new Error(`Cannot show ${text}: there is no such error`)
  print(json === true ? JSON.stringify(row) : groupTextOf(row, new Date()))
}

async function say(
  text: string,
  state: string,
  options: { readonly [key: string]: unknown },
  json?: boolean,
): Promise<void> {
  const stack = await client()
  const fingerprint = await wholePrint(stack, text)
  const by = { by: userName() }
  const answer = (await stack.rpc('set_error_group_state', {
    fingerprint,
    state,
    options: { ...options, ...by },
  })) as StateAnswer
  print(json === true ? JSON.stringify(answer) : `${shortPrint(fingerprint)} is ${decisionTextOf(answer, new Date())}`)
}

/** The one fingerprint that begins so. */
async function wholePrint(stack: StackClient, text: string): Promise<string> {
  if (/^v\d+:[0-9a-f]{32}$/.test(text)) return text
  const found: string[] = []
  let cursor: string | null = null
  for (let i = 0; i < pagesMax; i += 1) {
    const page: GroupPage = await pageOf(stack, {}, cursor, pageRowsMax)
    found.push(...page.rows.flatMap(({ fingerprint }) => (fingerprint.startsWith(text) ? [fingerprint] : [])))
    cursor = page.next
    if (cursor === null) break
  }
  if (found.length === 1) return found[0] as string
  throw new Error(
    `Cannot find ${text}: ${found.length === 0 ? 'no error begins so' : `${found.length} errors begin so`}`,
  )
}

async function pageOf(stack: StackClient, filter: object, cursor: string | null, n: number): Promise<GroupPage> {
  const page = (await stack.rpc('error_groups', { filter, cursor, n })) as Partial<GroupPage> | null
  if (!Array.isArray(page?.rows)) throw new Error(`Cannot read the answer of error_groups: it is ${typeof page}`)
  return { rows: page.rows, next: page.next ?? null }
}

function ago(seconds: number): string {
  return new Date(Date.now() - seconds * 1_000).toISOString()
}

/** Who runs this; a container may have users without a name. */
function userName(): string {
  try {
    return userInfo().username || 'operator'
  } catch {
    return 'operator'
  }
}

const unitSeconds: { readonly [unit: string]: number } = { s: 1, m: 60, h: 3_600, d: 86_400 }

function secondsOf(text: string): number {
  const [, number, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const seconds = Number(number) * (unitSeconds[unit ?? ''] ?? Number.NaN)
  if (!(seconds > 0)) throw new InvalidArgumentError('It must be a number and s, m, h or d, such as 12h.')
  return seconds
}

function countOf(text: string): number {
  return wholeNumberOf(text, ignoredErrorsMax)
}

function linesOf(text: string): number {
  return wholeNumberOf(text, pageRowsMax)
}

function wholeNumberOf(text: string, max: number): number {
  const n = Number(text)
  if (!Number.isInteger(n) || n < 1 || n > max)
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${max}.`)
  return n
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
