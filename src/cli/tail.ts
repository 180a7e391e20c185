import { setTimeout as wait } from 'node:timers/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { pageRowsMax } from '../core/limit.ts'
import { RpcError, readSettings, type StackClient, stackClientOf } from './stack_client.ts'
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
const rememberedMax = 5_000

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
  const print = printerOf(options)
  const connection = new Connection(await readSettings())
  let cursor: string | null = null
  while (!signal.aborted) {
    const page = await connection.page(cursor, cursor === null ? options.lines : pageRowsMax, signal)
    if (page === null) return
    for (const row of page.rows) print(row)
    cursor = page.next ?? cursor
    if (!options.follow) return
    await pause(pollMs, signal)
  }
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

/**
 * Prints a row unless it was printed. Pages overlap, and a trace comes again with each revision; it is worth a new line
 * only where the line differs.
 */
function printerOf(options: TailOptions): (row: TailRow) => void {
  const style = { colour: colourWanted(process.env, process.stdout.isTTY === true) }
  const shown = new Map<string, string>()
  return (row) => {
    if (options.environment !== undefined && row.environment !== options.environment) return
    const text = options.json ? JSON.stringify(row) : linesOf(row, style)
    const known = options.json ? `${row.revision}` : text
    if (shown.get(row.trace_id) === known) return
    shown.delete(row.trace_id)
    shown.set(row.trace_id, known)
    const oldest = shown.size > rememberedMax ? shown.keys().next().value : undefined
    if (oldest !== undefined) shown.delete(oldest)
    write(text)
  }
}

function write(text: string): void {
  process.stdout.write(`${text}\n`)
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
