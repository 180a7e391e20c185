import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { recordsOf, type Supply, supplyOf, type WayIn } from './privacy_way_fixture.ts'
import { runTelltale } from './stack_fixture.ts'

/** `telltale import` of every kind of log; answers also what it keeps of the calls that have not ended. */
export const byImport: WayIn = async (secrets, env) => {
  const supply = supplyOf(secrets)
  const dataDir = mkdtempSync(join(tmpdir(), 'telltale-privacy-'))
  const logs: { [name: string]: string[] } = {
    'calls.jsonl': [],
    'client.log': [],
    'editor.log': [],
    'export.jsonl': [],
  }
  for (let n = 0; supply.left > 0; n += 1) {
    logs['calls.jsonl']?.push(...toolLinesOf(supply, n), ...metricLinesOf(supply), ...refusedLinesOf(supply))
    logs['client.log']?.push(...frameLinesOf(supply, n, desktopLine))
    logs['editor.log']?.push(...frameLinesOf(supply, n, editorLine))
    logs['export.jsonl']?.push(...exportLinesOf(supply))
  }
  const files = Object.entries(logs).map(([name, lines]) => {
    writeFileSync(join(dataDir, name), `${lines.join('\n')}\n`)
    return join(dataDir, name)
  })
  const own = { TELLTALE_INGEST_URL: env.TELLTALE_INGEST_URL ?? '', TELLTALE_INGEST_KEY: env.TELLTALE_INGEST_KEY ?? '' }
  const names = ['--service', supply.text(), '--environment', supply.text(), '--instance', supply.text()]
  const run = await runTelltale(['import', ...names, ...files], { ...own, TELLTALE_DATA_DIR: dataDir })
  const places = join(dataDir, 'imports')
  const kept = readdirSync(places).map((name) => readFileSync(join(places, name), 'utf8'))
  rmSync(dataDir, { recursive: true, force: true })
  if (run.code !== 0) throw new Error(`Cannot import: ${run.errors}`)
  const open = kept.flatMap((text) => {
    const { reader } = JSON.parse(text) as { reader: { open: unknown[]; frames: { open: unknown[] } } }
    return [...reader.open, ...reader.frames.open]
  })
  if (open.length < 100) throw new Error(`Cannot see what is kept of open calls: there are ${open.length}`)
  return [run.printed, run.errors, ...kept].join('\n')
}

const nowS = () => Date.now() / 1_000 - 60

function toolLinesOf(supply: Supply, n: number): readonly string[] {
  const s = supply.text
  const at = nowS()
  const [tool, request_id] = [s(), `${n} ${s()}`]
  const asked = { provider: s(), args: { ...supply.bag(), prompt: s() } }
  const whole = { tool_name: s(), request_id: s(), ...asked, start_ts: at, end_ts: at + 1, ok: false, error: s() }
  const door = { provider: 'boundary', tool_name: s(), start_ts: at, end_ts: at + 1, ok: true, error: null }
  const counted = { ...door, args: { arg_count: 3, req_id: s() } }
  const noted = { ...door, args: { event: s(), req_id: s() } }
  const started = { event: 'tool_start', timestamp: at, tool, request_id, provider: s(), params: supply.bag() }
  const failed = { event: 'tool_error', timestamp: at + 1, tool, request_id, error: s(), own: s() }
  const done = { timestamp: at, tool: s(), duration_s: 1, citations: [s()], summary_words: 3, result: s() }
  // Every third call never ends.
  return [whole, counted, noted, started, ...(n % 3 === 0 ? [] : [failed]), done].map((line) => JSON.stringify(line))
}

function metricLinesOf(supply: Supply): readonly string[] {
  const s = supply.text
  const t = nowS()
  return [
    { event: 'token_usage', t, model: s(), provider: s(), input_tokens: 1, output_tokens: 2, own: s() },
    { event: 'provider_error', t, model: s(), provider: s(), message: s(), error_type: s() },
    { event: 'file_count_delta', t, provider: s(), delta: 2 },
    { event: 'file_cache', t, action: s(), sha: s(), ...supply.bag() },
    { event: 'route_plan', ts: t, ...supply.bag(), requested: s(), chosen: s(), meta: supply.bag() },
    { event: s(), t, ...supply.bag() },
    { t, sessions: 1, global_capacity: 4, global_inflight: 1, host: s() },
  ].map((line) => JSON.stringify(line))
}

function refusedLinesOf(supply: Supply): readonly string[] {
  const s = supply.text
  const oneLine = s().replaceAll('\n', ' ')
  return [`{"tool": ${JSON.stringify(s())}, "args"`, `Traceback ${oneLine}`, JSON.stringify({ [s()]: s() })]
}

type Say = (from: 'client' | 'server', text: string) => string

const desktopLine = (server: string): Say => {
  return (from, text) => `${new Date(nowS() * 1_000).toISOString()} [${server}] [info] Message from ${from}: ${text} {}`
}

const editorLine = (): Say => (from, text) => {
  const at = new Date(nowS() * 1_000)
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 23).replace('T', ' ')
  return `${local} [debug] [${from === 'client' ? 'editor -> server' : 'server -> editor'}] ${text}`
}

function frameLinesOf(supply: Supply, n: number, lineOf: (server: string) => Say): readonly string[] {
  const s = supply.text
  const say = lineOf(s().replaceAll(/[\][\n]/g, ' '))
  const rpc = (more: object) => JSON.stringify({ jsonrpc: '2.0', ...more })
  const ask = (id: string, params: object) => say('client', rpc({ id, method: 'tools/call', params }))
  const [first, second, third] = [`${n} ${s()}`, `${n} ${s()}`, `${n} ${s()}`]
  const result = { isError: n % 2 === 0, content: [{ type: 'text', text: s() }], structuredContent: supply.bag() }
  return [
    say('client', rpc({ id: s(), method: 'initialize', params: { clientInfo: { name: s() } } })),
    ask(first, { name: s(), arguments: supply.bag() }),
    ask(second, { name: s(), arguments: supply.bag(), _meta: supply.bag() }),
    ask(third, { name: s(), arguments: supply.bag() }),
    say('server', rpc({ id: first, result })),
    say('server', rpc({ id: second, error: { code: -32_000, message: s(), data: supply.bag() } })),
    say('client', rpc({ id: s(), method: s(), params: supply.bag() })),
    say('server', rpc({ id: s(), result: supply.bag() }).slice(0, -3)),
  ]
}

function exportLinesOf(supply: Supply): readonly string[] {
  const s = supply.text
  const source = { service: s(), instance: s(), environment: s(), version: s() }
  const process = { id: '0190a1b2-0000-7000-8000-000000000001', started_at_us: 1, host: s(), pid: 1, sdk: s() }
  return recordsOf(supply).map((record) => JSON.stringify({ telltale: 1, source, process, record }))
}
