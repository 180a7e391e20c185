import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { exportTracesAsked, pageRowsMax, retryBaseMs } from '../core/limit.ts'
import type { ExportedRecord } from '../wire/otlp_export.ts'
import { type ExportKind, exportKinds, parseExportPage, recordsOfPage } from '../wire/stored_record.ts'
import { OtlpSender, type SendTotals } from './otlp_sender.ts'
import { RpcError, readSettings, type StackClient, stackClientOf } from './stack_client.ts'

type ExportOptions = {
  readonly otlp?: string
  readonly header: Readonly<Record<string, string>>
  readonly protocol: 'http/protobuf' | 'http/json'
  readonly out?: string
  readonly json?: boolean
} & { readonly [filter: string]: unknown }

/** Where records go, one after another. */
type Sink = {
  add(record: ExportedRecord): Promise<void>
  finish(): Promise<void>
  readonly totals?: SendTotals
}

type Totals = {
  traces: number
  spans: number
  errors: number
  messages: number
  events: number
  gauges: number
  orphans: number
}

const anyFilters = ['from', 'to', 'environment', 'service'] as const
const traceFilters = ['tool', 'provider', 'model', 'outcome', 'session'] as const
const rpcAttemptsMax = 6

export function registerExport(program: Command): void {
  const command = program
    .command('export')
    .description('write what is stored as lines of JSON (for `telltale import`), or send it on as OpenTelemetry')
    .option('--otlp <url>', 'send it to this OTLP/HTTP endpoint, as OTEL_EXPORTER_OTLP_ENDPOINT names it')
    .option('--header <key=value>', 'a header for the endpoint; may be repeated', addHeader, {})
    .option('--protocol <name>', 'http/protobuf or http/json', parseProtocol, 'http/protobuf')
    .option('--out <file>', 'write the lines to a file in place of stdout')
    .option('--from <time>', 'only what is not before: ISO 8601, or µs since the epoch')
    .option('--to <time>', 'only what is before')
    .option('--environment <name>', 'only of this environment')
    .option('--service <name>', 'only of this service')
    .option('--json', 'the summary as one JSON object')
  for (const name of traceFilters) command.option(`--${name} <name>`, `only traces of this ${name}, and nothing else`)
  command.action(async (options: ExportOptions) => {
    if (options.otlp !== undefined && options.out !== undefined)
      throw new Error('Cannot export: --otlp and --out are both set')
    const stop = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort())
    await exportAll(options, stop)
  })
}

async function exportAll(options: ExportOptions, stop: AbortController): Promise<void> {
  const startedAt = performance.now()
  const client = stackClientOf(await readSettings())
  const totals: Totals = { traces: 0, spans: 0, errors: 0, messages: 0, events: 0, gauges: 0, orphans: 0 }
  const sink = sinkOf(options, stop)
  const onlyTraces = traceFilters.some((name) => options[name] !== undefined)
  try {
    for (const kind of onlyTraces ? (['traces'] as const) : exportKinds) {
      const names = kind === 'traces' ? [...anyFilters, ...traceFilters] : anyFilters
      const filter = Object.fromEntries(
        names.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
      )
      await exportKind(kind, filter, { client, sink, totals, signal: stop.signal })
    }
    await sink.finish()
  } catch (error) {
    // Whoever read us, `head` say, has seen enough; and who stopped us knows it.
    if (!stop.signal.aborted) throw error
  }
  say(options, { totals, sent: sink.totals ?? null, ms: performance.now() - startedAt, stopped: stop.signal.aborted })
  if (stop.signal.aborted) process.exitCode = 1
}

type Export = {
  readonly client: StackClient
  readonly sink: Sink
  readonly totals: Totals
  readonly signal: AbortSignal
}

async function exportKind(kind: ExportKind, filter: object, { client, sink, totals, signal }: Export): Promise<void> {
  const n = kind === 'traces' ? exportTracesAsked : pageRowsMax
  for (let cursor: string | null = null; ; ) {
    signal.throwIfAborted()
    const page = parseExportPage(await ask(client, { kind, filter, cursor, n }))
    const { records, orphans } = recordsOfPage(kind, page)
    for (const exported of records) {
      await sink.add(exported)
      totals[`${exported.record.type}s`] += 1
    }
    totals.orphans += orphans
    if (kind === 'traces') totals.traces += page.rows.length
    if (page.next === null) return
    cursor = page.next
  }
}

/** A page; a stack that is busy or restarts is asked again. @throws RpcError */
async function ask(client: StackClient, args: { readonly [name: string]: unknown }): Promise<unknown> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await client.rpc('export_page', args)
    } catch (error) {
      if (!(error instanceof RpcError && error.retryable) || attempt >= rpcAttemptsMax) throw error
      await new Promise((resolve) => setTimeout(resolve, retryBaseMs * 2 ** attempt))
    }
  }
}

function sinkOf(options: ExportOptions, stop: AbortController): Sink {
  if (options.otlp === undefined) return lineSink(options.out, stop)
  const url = options.otlp.replace(/\/+$/, '').replace(/\/v1\/(traces|metrics|logs)$/, '')
  if (!URL.canParse(url) || !/^https?:/.test(url)) throw new Error('Cannot export: --otlp is not an http address')
  const encoding = options.protocol === 'http/json' ? 'json' : 'protobuf'
  return new OtlpSender({ url, headers: options.header, encoding }, stop.signal)
}

/** One line a record; waits for whoever reads. */
function lineSink(path: string | undefined, stop: AbortController): Sink {
  const stream = path === undefined ? process.stdout : createWriteStream(path, { mode: 0o600 })
  let failure: Error | null = null
  stream.on('error', (error) => {
    failure = error
    stop.abort()
  })
  return {
    async add({ source, process, record }) {
      const line = JSON.stringify({ telltale: 1, source, process, record })
      if (!stream.write(`${line}\n`)) await once(stream, 'drain', { signal: stop.signal })
    },
    async finish() {
      if (path !== undefined) {
        stream.end()
        await finished(stream)
      }
      if (failure !== null) throw failure
    },
  }
}

type Report = {
  readonly totals: Totals
  readonly sent: SendTotals | null
  readonly ms: number
  readonly stopped: boolean
}

function say(options: ExportOptions, { totals, sent, ms, stopped }: Report): void {
  // Lines on stdout are for a program, which the summary must not disturb.
  const stream = options.otlp === undefined && options.out === undefined ? process.stderr : process.stdout
  if (options.json === true) {
    const report = { ...totals, ...(sent === null ? {} : sent), ms: Math.round(ms), stopped }
    stream.write(`${JSON.stringify(report)}\n`)
    return
  }
  const { traces, spans, errors, messages, events, gauges, orphans } = totals
  const parts = [
    `${traces} traces (${spans} spans)`,
    `${errors + events} errors`,
    `${messages} messages`,
    `${gauges} gauges`,
  ]
  stream.write(`${stopped ? 'stopped after' : 'exported'} ${parts.join(', ')} in ${(ms / 1_000).toFixed(1)} s\n`)
  if (orphans > 0) stream.write(`left out ${orphans} records of processes that are forgotten\n`)
  if (sent !== null && sent.refused > 0) stream.write(`refused ${sent.refused}: ${sent.reasons.join('; ')}\n`)
}

function addHeader(text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const at = text.indexOf('=')
  const name = text.slice(0, at).trim()
  if (at < 1 || !/^[\w!#$%&'*+.^`|~-]+$/.test(name)) throw new InvalidArgumentError('It must be key=value.')
  return { ...before, [name]: text.slice(at + 1) }
}

function parseProtocol(text: string): ExportOptions['protocol'] {
  if (text === 'http/protobuf' || text === 'http/json') return text
  throw new InvalidArgumentError('It must be http/protobuf or http/json.')
}
