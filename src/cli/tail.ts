import { setTimeout as wait } from 'node:timers/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { pageRowsMax } from '../core/limit.ts'
import { RpcError, readSettings, type StackClient, stackClientOf } from './stack_client.ts'
import { TailFeed } from './tail_feed.ts'
import { colourWanted, linesOf, type TailRow } from './tail_line.ts'

type TailOptions = {
  readonly json?: boolean
  readonly lines: number
  readonly follow: boolean
  readonly environment?: string
}

type TailPage = { readonly rows: readonly TailRow[]; readonly next: string | null }

const pollMs = 400
const retryMs = 1_000
const settleMs = 800

export function registerTail(program: Command): void {
  program
    .command('tail')
    .description('follow the calls as they end: when, who, what, how long, where the time went, and what failed')
    .option('--json', 'one JSON object a line')
    .option('-n, --lines <n>', 'how many past calls to begin with', parseLines, 20)
    .option('--no-follow', 'print the past calls and stop')
    .option('--environment <name>', 'only calls of this environment')
    .action(async (options: TailOptions) => {
      const stop = new AbortController()
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort())
      // Whoever read us, `head` say, has seen enough.
      process.stdout.on('error', () => stop.abort())
      await tail(options, stop.signal)
    })
}

async function tail(options: TailOptions, signal: AbortSignal): Promise<void> {
  const style = { colour: colourWanted(process.env, process.stdout.isTTY === true) }
  // A program that reads us can put revisions together by itself; it wants them at once.
  const feed = options.json ? new TailFeed(JSON.stringify, 0) : new TailFeed((row) => linesOf(row, style), settleMs)
  const wanted = (row: TailRow) => options.environment === undefined || row.environment === options.environment
  const show = (nowMs: number) => {
    for (const text of feed.due(nowMs)) process.stdout.write(`${text}\n`)
  }
  const connection = new Connection(await readSettings())
  let cursor: string | null = null
  while (!signal.aborted) {
    const first: boolean = cursor === null
    const page: TailPage | null = first
      ? await pastPage(connection, wanted, options.lines, signal)
      : await connection.page(cursor, pageRowsMax, signal)
    if (page === null) break
    feed.add(page.rows.filter(wanted), performance.now())
    // What is past has settled.
    show(first ? Number.POSITIVE_INFINITY : performance.now())
    cursor = page.next ?? cursor
    if (!options.follow) return
    await pause(pollMs, signal)
  }
  show(Number.POSITIVE_INFINITY)
}

/** The last page, with the last `lines` rows that are wanted, as far as pageRowsMax rows hold as many. */
async function pastPage(
  connection: Connection,
  wanted: (row: TailRow) => boolean,
  lines: number,
  signal: AbortSignal,
): Promise<TailPage | null> {
  // A page has a row at least; whoever wants none of the past still needs its cursor.
  const least = Math.max(1, lines)
  let page = await connection.page(null, least, signal)
  const more = page !== null && page.rows.length >= least && page.rows.filter(wanted).length < lines
  if (more) page = await connection.page(null, pageRowsMax, signal)
  if (page === null) return null
  return { rows: lines === 0 ? [] : page.rows.filter(wanted).slice(-lines), next: page.next }
}

/** Asks for pages; once it has had one, it outlives a stack that restarts, and says so once on stderr. */
class Connection {
  #client: StackClient
  #reached = false

  constructor(settings: Awaited<ReturnType<typeof readSettings>>) {
    this.#client = stackClientOf(settings)
  }

  /** Null when the signal ends the wait for an answer. */
  async page(cursor: string | null, n: number, signal: AbortSignal): Promise<TailPage | null> {
    let lost = false
    while (!signal.aborted) {
      try {
        const page = pageOf(await this.#client.rpc('tail', { cursor, n }))
        if (lost) warn('connected again')
        this.#reached = true
        return page
      } catch (error) {
        if (!this.#reached || !(error instanceof RpcError && error.retryable)) throw error
        if (!lost) warn(`${error.message}; waiting for it to come back`)
        lost = true
        await pause(retryMs, signal)
        // A stack that was set up anew has written new keys.
        this.#client = stackClientOf(await readSettings())
      }
    }
    return null
  }
}

function pageOf(answer: unknown): TailPage {
  const page = answer as Partial<TailPage> | null
  if (!Array.isArray(page?.rows)) throw new Error(`Cannot read the answer of tail: it is ${typeof answer}`)
  return { rows: page.rows, next: page.next ?? null }
}

function warn(text: string): void {
  process.stderr.write(`telltale: ${text}\n`)
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => undefined)
}

function parseLines(text: string): number {
  const n = Number(text)
  if (!Number.isInteger(n) || n < 0 || n > pageRowsMax)
    throw new InvalidArgumentError(`It must be a whole number from 0 to ${pageRowsMax}.`)
  return n
}
