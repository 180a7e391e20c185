import { createReadStream, readFileSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename } from 'node:path'
import { createGunzip } from 'node:zlib'
import cliProgress from 'cli-progress'
import type { Command } from 'commander'
import { importFileBytesMax, importLinesAtOnce, recordAgeDaysMax } from '../core/limit.ts'
import { dataDirOf } from '../local/local_env.ts'
import { saltOf } from '../reporter/mcp/argument_hash.ts'
import { LineSplitter } from '../tap/line_splitter.ts'
import type { LogEntry } from '../wire/log_entry.ts'
import { parseLogLine } from '../wire/log_line.ts'
import { placePathOf, readPlace, seamOf, writePlace } from './import_place.ts'
import { type ImportedRecord, ImportReader, type Refusal } from './import_reader.ts'
import { ImportSender, ImportStopped } from './import_sender.ts'
import { readSettings } from './stack_client.ts'

type ImportOptions = {
  readonly service: string
  readonly environment: string
  readonly instance: string
  readonly shift?: boolean
  readonly json?: boolean
}

/** What became of one file. `records` counts what its lines made of it, by type. */
export type ImportSummary = {
  readonly file: string
  /** Lines read now, and those that an earlier run had read. */
  readonly lines: number
  readonly lines_before: number
  readonly records: { readonly [type: string]: number }
  readonly stored: number
  readonly repeated: number
  readonly rejected: { readonly [reason: string]: number }
  readonly refused: { readonly [reason: string]: Refusal }
  /** Calls that began and never ended. */
  readonly open: number
  readonly shifted_ms: number
  readonly seconds: number
}

type Destination = {
  readonly ingestUrl: string
  readonly ingestKey: string
  readonly dataDir: string
  /** Added to the times of files that are begun now, in µs. */
  readonly shifts: ReadonlyMap<string, number>
}

/** `telltale import FILE...`: what log files tell, as if it had been recorded. */
export function registerImport(program: Command): void {
  program
    .command('import')
    .description(
      'take in log files: tool calls, metrics, MCP clients’ logs, Telltale’s own export; again changes nothing',
    )
    .argument('<file...>', 'JSONL or a log of an MCP client, also gzipped')
    .option('--service <name>', 'whose logs these are', 'imported')
    .option('--environment <name>', 'such as production or staging', 'default')
    .option('--instance <name>', 'which copy of it', hostname())
    .option('--shift', 'move all times so that the newest is now: for logs that are too old to be taken')
    .option('--json', 'the summaries as JSON, one a line')
    .action(async (files: readonly string[], options: ImportOptions) => {
      const settings = await readSettings()
      const { TELLTALE_INGEST_URL: ingestUrl, TELLTALE_INGEST_KEY: ingestKey } = settings
      if (!ingestUrl || !ingestKey) {
        throw new Error(
          'Cannot import: TELLTALE_INGEST_URL and TELLTALE_INGEST_KEY are not set, and no local.env is there',
        )
      }
      const shifts: Destination['shifts'] = options.shift ? await shiftsOf(files) : new Map()
      const destination = { ingestUrl, ingestKey, dataDir: dataDirOf(process.env), shifts }
      for (const file of files) {
        try {
          const summary = await importFile(file, options, destination)
          process.stdout.write(options.json ? `${JSON.stringify(summary)}\n` : textOf(summary))
        } catch (error) {
          // A file that cannot be read is no reason to leave out the others; an edge that takes nothing is.
          if (error instanceof ImportStopped || files.length === 1) throw error
          process.stderr.write(`telltale: ${error instanceof Error ? error.message : String(error)}\n`)
          process.exitCode = 1
        }
      }
    })
}

/** @throws ImportStopped when the edge does not take it; the next run goes on where this one stopped */
async function importFile(file: string, options: ImportOptions, destination: Destination): Promise<ImportSummary> {
  try {
    return await importLines(file, options, destination)
  } catch (error) {
    if (error instanceof ImportStopped) throw error
    throw new Error(`Cannot import ${file}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

async function importLines(file: string, options: ImportOptions, destination: Destination): Promise<ImportSummary> {
  const { size } = statSync(file)
  if (statSync(file).isDirectory()) throw new Error('it is a directory')
  const begunAt = performance.now()
  const scope = JSON.stringify([options.service, options.environment, options.instance])
  const whole = file.endsWith('.gz')
  const placePath = placePathOf(destination.dataDir, file, scope)
  const place = readPlace(placePath, file)
  const shiftUs = place ? place.shiftUs : (destination.shifts.get(file) ?? 0)
  const salt = saltOf(destination.ingestKey)
  const reader = new ImportReader({ scope, salt, nowUs: Date.now() * 1_000, shiftUs, state: place?.reader })
  const { service, environment, instance } = options
  const source = { service, environment, instance, version: null }
  // A process of its own for each file: its sequence numbers begin with it.
  const sender = new ImportSender({ ...destination, source, scope: basename(placePath), shiftUs, state: place?.sender })
  const records: { [type: string]: number } = {}
  let lines = place?.lines ?? 0
  let offset = place?.offset ?? 0
  const save = () => {
    const state = { reader: reader.state, sender: sender.state }
    writePlace(placePath, { version: 2, offset, lines, seam: seamOf(file, offset), shiftUs, ...state })
  }
  const send = async (chunk: readonly ImportedRecord[]) => {
    for (const { record } of chunk) records[record.type] = (records[record.type] ?? 0) + 1
    await sender.send(chunk)
  }
  const bar = progressBar(basename(file), size, options.json === true)
  try {
    for await (const chunk of chunksOf(file, whole ? 0 : offset, whole ? lines : 0)) {
      const made = chunk.lines.flatMap((text, i) =>
        text === null ? reader.refuse('it is too long', lines + i + 1) : reader.read(text, lines + i + 1),
      )
      await send(made)
      lines += chunk.lines.length
      // Of what is packed lines alone are counted.
      if (!whole) offset += chunk.bytes
      save()
      const rate = Math.round((lines - (place?.lines ?? 0)) / ((performance.now() - begunAt) / 1_000))
      bar?.update(Math.min(size, whole ? size : offset), { rate })
    }
    if (lines > (place?.lines ?? 0)) await send(reader.rest())
    if (whole) offset = size
    save()
  } catch (error) {
    if (!(error instanceof ImportStopped)) throw error
    throw new ImportStopped(`${error.message}; ${lines} lines of ${basename(file)} are in, run the same again to go on`)
  } finally {
    bar?.stop()
  }
  return {
    file,
    lines: lines - (place?.lines ?? 0),
    lines_before: place?.lines ?? 0,
    records,
    stored: sender.stored,
    repeated: sender.repeated,
    rejected: sender.rejected,
    refused: reader.refused,
    open: reader.openCount,
    shifted_ms: Math.round(shiftUs / 1_000),
    seconds: Math.round(performance.now() - begunAt) / 1_000,
  }
}

/** So long after it was last written to, a file is taken to be finished. */
const unfinishedMsMax = 60_000

type Chunk = { readonly lines: readonly (string | null)[]; readonly bytes: number }

/** The lines of a file from an offset, some thousand at a time, however large it is. A JSON file may be one line. */
async function* chunksOf(file: string, offset: number, skip: number): AsyncGenerator<Chunk> {
  if (file.endsWith('.json')) {
    if (offset === 0) yield jsonChunkOf(file)
    return
  }
  let lines: (string | null)[] = []
  let bytes = 0
  let ahead = skip
  let ended = true
  const splitter = new LineSplitter((line) => {
    bytes += line.bytes + (ended ? 1 : 0)
    if (ahead > 0) ahead--
    else lines.push(line.text)
  }, importFileBytesMax)
  const raw = createReadStream(file, { start: offset })
  const stream = file.endsWith('.gz') ? raw.pipe(createGunzip()) : raw
  raw.on('error', (error) => stream.destroy(error))
  for await (const part of stream as AsyncIterable<Buffer>) {
    for (let at = 0; at < part.length; ) {
      const end = part.indexOf(0x0a, at)
      splitter.push(part.subarray(at, end < 0 ? part.length : end + 1))
      at = end < 0 ? part.length : end + 1
      if (lines.length < importLinesAtOnce && bytes < importFileBytesMax) continue
      yield { lines, bytes }
      lines = []
      bytes = 0
    }
  }
  const [count, sum] = [lines.length, bytes]
  ended = false
  splitter.end()
  // The last line has no end: whoever writes it may be in the midst of it, and the next run reads it whole.
  if (lines.length > count && !isJson(lines.at(-1)) && Date.now() - statSync(file).mtimeMs < unfinishedMsMax) {
    lines.pop()
    bytes = sum
  }
  if (lines.length > 0) yield { lines, bytes }
}

/** Pretty-printed JSON, as `ws_daemon.health.json` may be, an array of what else are lines, or lines after all. */
function jsonChunkOf(file: string): Chunk {
  const { size } = statSync(file)
  if (size > importFileBytesMax) return { lines: [null], bytes: size }
  const bytes = readFileSync(file)
  const text = bytes.toString()
  try {
    const value: unknown = JSON.parse(text.trim())
    const lines = (Array.isArray(value) ? value : [value]).map((item) => JSON.stringify(item))
    return { lines, bytes: bytes.length }
  } catch {
    return { lines: text.trimEnd().split('\n'), bytes: bytes.length }
  }
}

function isJson(text: string | null | undefined): boolean {
  try {
    return typeof text === 'string' && JSON.parse(text) !== undefined
  } catch {
    return false
  }
}

type Times = { readonly oldestUs: number; readonly newestUs: number }

/**
 * By how much, in µs, each file is moved so that its newest line is now. As long as what is kept holds them all they are
 * moved by one time, so that they lie to each other as they lay.
 */
async function shiftsOf(files: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const nowUs = Date.now() * 1_000
  const times = new Map<string, Times>()
  for (const file of files) {
    try {
      const found = await timesOf(file)
      if (found) times.set(file, found)
    } catch {
      // Its own turn says why it cannot be read.
    }
  }
  const newestUs = Math.max(...[...times.values()].map((found) => found.newestUs))
  const oldestUs = Math.min(...[...times.values()].map((found) => found.oldestUs))
  const together = newestUs - oldestUs < recordAgeDaysMax * 86_400_000_000
  return new Map([...times].map(([file, found]) => [file, nowUs - (together ? newestUs : found.newestUs)]))
}

/** The oldest and the newest time that any line of a file names, null where none names one. */
async function timesOf(file: string): Promise<Times | null> {
  let [oldestUs, newestUs] = [Number.POSITIVE_INFINITY, 0]
  for await (const { lines } of chunksOf(file, 0, 0)) {
    for (const line of lines) {
      const parsed = line === null ? null : parseLogLine(line)
      for (const atUs of parsed?.ok ? timesIn(parsed.value) : []) {
        oldestUs = Math.min(oldestUs, atUs)
        newestUs = Math.max(newestUs, atUs)
      }
    }
  }
  return newestUs > 0 ? { oldestUs, newestUs } : null
}

function timesIn(entry: LogEntry): readonly number[] {
  switch (entry.kind) {
    case 'prose':
      return []
    case 'call':
      return [entry.startUs, entry.endUs]
    case 'record':
      return entry.records.map((record) => record.at_us)
    case 'exported': {
      const { record } = entry
      return record.type === 'span' ? [record.start_us, record.end_us ?? record.start_us] : [record.at_us]
    }
    default:
      return [entry.atUs]
  }
}

function progressBar(name: string, size: number, quiet: boolean): cliProgress.SingleBar | null {
  if (quiet || !process.stderr.isTTY) return null
  const format = `${name} {bar} {percentage} % | {rate} lines/s | {duration_formatted}, {eta_formatted} left`
  const bar = new cliProgress.SingleBar({ format, stream: process.stderr, hideCursor: true }, cliProgress.Presets.rect)
  bar.start(Math.max(1, size), 0, { rate: 0 })
  return bar
}

function textOf(summary: ImportSummary): string {
  const { file, lines, lines_before, records, stored, repeated, rejected, refused, open, seconds } = summary
  const counts = Object.entries(records).map(([type, count]) => `${count} ${type}${count === 1 ? '' : 's'}`)
  const rate = seconds > 0 ? `, ${Math.round(lines / seconds)} lines a second` : ''
  const told = [
    `${basename(file)}: ${lines} lines in ${seconds.toFixed(1)} s${rate}`,
    ...(lines_before > 0 ? [`  ${lines_before} lines before these had been imported already`] : []),
    `  made of them: ${counts.length > 0 ? counts.join(', ') : 'nothing'}`,
    `  stored ${stored}, already there ${repeated}`,
    ...(summary.shifted_ms !== 0
      ? [`  moved by ${(summary.shifted_ms / 86_400_000).toFixed(1)} days, so that the newest is now`]
      : []),
    ...(open > 0 ? [`  ${open} calls began and have no end yet`] : []),
    ...Object.entries(refused).map(([reason, { count, lines: where }]) => {
      return `  refused ${count} because ${reason}${where.length > 0 ? ` (line ${where.join(', ')}${count > where.length ? ', ...' : ''})` : ''}`
    }),
    ...Object.entries(rejected).map(([reason, count]) => `  rejected ${count}: ${reason}`),
  ]
  if (summary.shifted_ms === 0 && Object.keys(refused).some((reason) => reason.includes('older than'))) {
    told.push(`  Detail is kept for ${recordAgeDaysMax + 1} days; --shift moves a log so that its newest line is now`)
  }
  return `${told.join('\n')}\n`
}
