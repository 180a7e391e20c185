// How fast `telltale import` takes in a daemon's tool calls, and how much memory it needs for a hundred thousand and for a
// million lines, side by side in one run, into an embedded stack of its own. Usage: node bench/import_rate.ts [LINES]
import { spawn } from 'node:child_process'
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ImportSummary } from '../src/cli/import.ts'
import { startTelltale } from '../test/stack_fixture.ts'

const most = Number(process.argv[2] ?? 1_000_000)
const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'telltale-import-'))

/** Starts and ends in turn, calls of 0 to 2 s, some of which fail, over the last days. */
async function writeLog(path: string, lines: number): Promise<void> {
  const stream = createWriteStream(path)
  const from = Date.now() / 1_000 - 5 * 86_400
  for (let i = 0; i < lines; i += 2) {
    const timestamp = from + (i / lines) * 4 * 86_400
    const call = { tool: `tool_${i % 20}`, request_id: `r${i}` }
    const start = { timestamp, event: 'tool_start', ...call, params: { prompt: 'x'.repeat(i % 200) } }
    const took = { timestamp: timestamp + (i % 2_000) / 1_000, ...call, duration_secs: (i % 2_000) / 1_000 }
    const end = i % 100 === 0 ? { event: 'tool_error', error: 'Failure', ...took } : { event: 'tool_complete', ...took }
    if (!stream.write(`${JSON.stringify(start)}\n${JSON.stringify(end)}\n`)) {
      await new Promise<void>((resolve) => stream.once('drain', () => resolve()))
    }
  }
  await new Promise<void>((resolve) => stream.end(() => resolve()))
}

/** The summary, and the most memory that the process had, in MiB. */
async function measured(path: string, service: string): Promise<{ summary: ImportSummary; peakMb: number }> {
  const code = `process.on('exit', () => process.stderr.write('peak ' + process.resourceUsage().maxRSS))`
  const args = [
    '--import',
    `data:text/javascript,${encodeURIComponent(code)}`,
    main,
    'import',
    '--json',
    '--service',
    service,
    path,
  ]
  const child = spawn(process.execPath, args, { env: { ...process.env, TELLTALE_DATA_DIR: folder } })
  let out = ''
  let err = ''
  child.stdout.on('data', (text) => (out += text))
  child.stderr.on('data', (text) => (err += text))
  await new Promise((resolve) => child.once('close', resolve))
  const peak = /peak (\d+)/.exec(err)?.[1]
  if (out === '') throw new Error(`Cannot import: ${err}`)
  return { summary: JSON.parse(out), peakMb: Number(peak) / 1_024 }
}

const stack = await startTelltale(folder)
try {
  const results: { readonly lines: number; readonly perSecond: number; readonly peakMb: number }[] = []
  for (const lines of [most / 10, most]) {
    const path = join(folder, `toolcalls_${lines}.jsonl`)
    await writeLog(path, lines)
    const { summary, peakMb } = await measured(path, `bench_${lines}`)
    if (summary.stored !== summary.lines / 2 + (summary.records.error ?? 0))
      throw new Error(`Cannot trust: ${JSON.stringify(summary)}`)
    results.push({ lines, perSecond: summary.lines / summary.seconds, peakMb })
    rmSync(path)
  }
  console.log('lines      lines/s  peak memory, MiB')
  for (const { lines, perSecond, peakMb } of results) {
    console.log(`${String(lines).padEnd(9)} ${perSecond.toFixed(0).padStart(8)}  ${peakMb.toFixed(0).padStart(16)}`)
  }
  const [few, many] = results
  if (few && many) console.log(`memory for ten times the lines: ${(many.peakMb / few.peakMb).toFixed(2)} times`)
} finally {
  await stack.stop('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
}
