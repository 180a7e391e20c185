import { appendFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ImportSummary } from '../src/cli/import.ts'
import { aSpan, processId, traceId } from './rows_fixture.ts'
import { createDataDir, type RunningStack, runTelltale, startTelltale } from './stack_fixture.ts'

const folder = createDataDir()
const dataDir = folder.dir
let stack: RunningStack
let database: pg.Client
beforeAll(async () => {
  stack = await startTelltale(dataDir)
  database = new pg.Client({ connectionString: stack.env.DATABASE_URL })
  await database.connect()
})
afterAll(async () => {
  await database?.end()
  await stack?.stop('SIGTERM')
  folder.remove()
})

const nowS = Math.floor(Date.now() / 1_000) - 3_600
/** Writes lines to a file of its own and answers its path. */
const fileOf = (name: string, lines: readonly unknown[]) => {
  const path = join(dataDir, name)
  writeFileSync(path, lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''))
  return path
}
const imported = async (service: string, path: string, ...more: string[]): Promise<ImportSummary> => {
  const args = ['import', '--json', '--service', service, ...more, path]
  const { code, printed, errors } = await runTelltale(args, { TELLTALE_DATA_DIR: dataDir })
  expect([code, errors]).toEqual([0, ''])
  return JSON.parse(printed)
}
const traces = async (service: string) =>
  (
    await database.query(
      `select t.name, t.outcome, t.duration_ms, t.request_id, t.call_number::int from telltale.traces as t
        join telltale.processes using (process_id) join telltale.sources as s using (source_id)
        where s.service = $1 order by t.started_at, t.trace_id`,
      [service],
    )
  ).rows
const countedIn = async (service: string) =>
  Number(
    (
      await database.query(
        `select coalesce(sum((series -> 'all' ->> 'count')::int), 0) as n from telltale.rollup_minutes
          join telltale.sources as s using (source_id) where s.service = $1`,
        [service],
      )
    ).rows[0].n,
  )

const started = (n: number, at = n) => ({
  event: 'tool_start',
  timestamp: nowS + at,
  tool: 'chat',
  request_id: `r${n}`,
  params: { prompt: 'x'.repeat(n) },
})
const completed = (n: number, at: number) => ({
  event: 'tool_complete',
  timestamp: nowS + at,
  tool: 'chat',
  request_id: `r${n}`,
  duration_secs: 1,
})
const whole = (n: number, error: string | null = null) => ({
  tool_name: 'upload',
  provider: 'kimi',
  args: {},
  start_ts: nowS + n,
  end_ts: nowS + n + 0.25,
  ok: error === null,
  error,
})

test('import pairs starts with ends, keeps what never ended, and leaves out what is damaged', async () => {
  const filler = Array.from({ length: 4_200 }, (_, i) => whole(10 + i))
  const lines = [
    started(1),
    started(2),
    ...filler,
    completed(1, 4),
    whole(7, 'no such file'),
    '{"tool":"chat","timest',
    'Traceback',
  ]
  const path = fileOf('pairs.jsonl', lines)
  const summary = await imported('pairs', path)
  expect(summary).toMatchObject({ lines: 4_206, lines_before: 0, stored: 4_204, repeated: 0, rejected: {}, open: 1 })
  expect(summary.records).toEqual({ span: 4_203, error: 1 })
  expect(summary.refused).toEqual({
    'it is damaged: no JSON': { count: 1, lines: [4_205] },
    'it is neither JSON nor a line of an MCP client': { count: 1, lines: [4_206] },
  })
  expect((await traces('pairs')).slice(0, 3)).toEqual([
    { name: 'tools/call chat', outcome: 'ok', duration_ms: 3_000, request_id: 'r1', call_number: null },
    { name: 'tools/call chat', outcome: null, duration_ms: null, request_id: 'r2', call_number: null },
    { name: 'tools/call upload', outcome: 'tool_error', duration_ms: 250, request_id: null, call_number: null },
  ])
  expect(await countedIn('pairs')).toBe(4_202)

  // Again: nothing is read. With its place forgotten: everything is there already.
  expect(await imported('pairs', path)).toMatchObject({ lines: 0, lines_before: 4_206, stored: 0, repeated: 0 })
  rmSync(join(dataDir, 'imports'), { recursive: true })
  expect(await imported('pairs', path)).toMatchObject({ lines: 4_206, stored: 0, repeated: 4_204 })
  expect(await countedIn('pairs')).toBe(4_202)

  // What came after: the end of a call whose start was read before.
  appendFileSync(path, `${JSON.stringify(completed(2, 9))}\n`)
  expect(await imported('pairs', path)).toMatchObject({ lines: 1, lines_before: 4_206, stored: 1, open: 0 })
  expect((await traces('pairs'))[1]).toMatchObject({ outcome: 'ok', duration_ms: 7_000 })
  expect(await countedIn('pairs')).toBe(4_203)
})

test('import refuses what is too old with its reason, and takes it moved to now', async () => {
  const old = 400 * 86_400
  const path = fileOf('old.jsonl', [
    { ...whole(1), start_ts: nowS - old, end_ts: nowS - old + 1 },
    { event: 'file_count_delta', provider: 'kimi', delta: 2, t: nowS - old - 5 },
  ])
  const { code, printed } = await runTelltale(['import', '--service', 'old', path], { TELLTALE_DATA_DIR: dataDir })
  expect([code, printed.split('\n').slice(1)]).toEqual([
    0,
    [
      '  made of them: nothing',
      '  stored 0, already there 0',
      '  refused 2 because it is older than 29 days (line 1, 2)',
      '  Detail is kept for 30 days; --shift moves a log so that its newest line is now',
      '',
    ],
  ])
  expect(await imported('moved', path, '--shift')).toMatchObject({ stored: 2, refused: {} })
  rmSync(join(dataDir, 'imports'), { recursive: true })
  expect(await imported('moved', path, '--shift')).toMatchObject({ stored: 0, repeated: 2 })
})

test.each([
  ['by one time, so that they lie as they lay', 1, true],
  ['each by itself where one time would make a part too old', 40, false],
])('import --shift moves the files of one command %s', async (_, days, together) => {
  const old = 400 * 86_400
  const calls = fileOf(`calls_${days}.jsonl`, [{ ...whole(1), start_ts: nowS - old, end_ts: nowS - old + 1 }])
  const gauge = { event: 'file_count_delta', provider: 'kimi', delta: 2, t: nowS - old - days * 86_400 }
  const gauges = fileOf(`gauges_${days}.jsonl`, [gauge])
  const args = ['import', '--json', '--shift', '--service', `shift_${days}`, gauges, calls]
  const { printed } = await runTelltale(args, { TELLTALE_DATA_DIR: dataDir })
  const [first, second] = printed
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect([first.stored, second.stored]).toEqual([1, 1])
  expect(first.shifted_ms === second.shifted_ms).toBe(together)
})

test('import stops when its key is refused, and goes on where it stopped', async () => {
  const path = fileOf('stopped.jsonl', [whole(1), whole(2)])
  const wrong = {
    TELLTALE_DATA_DIR: dataDir,
    TELLTALE_INGEST_URL: stack.env.TELLTALE_INGEST_URL ?? '',
    TELLTALE_INGEST_KEY: 'tt_aaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbb',
  }
  const { code, errors } = await runTelltale(['import', '--service', 'stopped', path], wrong)
  expect([code, errors]).toEqual([
    1,
    'telltale: Cannot import: the ingest key is refused (it answered 401); 0 lines of stopped.jsonl are in, run the same again to go on\n',
  ])
  expect(await imported('stopped', path)).toMatchObject({ lines: 2, stored: 2 })
})

test('import reads what an MCP client logged: sessions, call numbers, failures, what was never answered', async () => {
  const say = (second: number, from: string, frame: unknown) =>
    `${new Date((nowS + second) * 1_000).toISOString()} [files] [info] Message from ${from}: ${JSON.stringify(frame)} { metadata: undefined }`
  const ask = (id: number, name: string) => ({
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: { name, arguments: { path: '/a' } },
  })
  const path = fileOf('mcp-server-files.log', [
    `${new Date(nowS * 1_000).toISOString()} [files] [info] Initializing server... { metadata: undefined }`,
    say(0, 'client', { jsonrpc: '2.0', id: 0, method: 'initialize', params: {} }),
    say(1, 'server', { jsonrpc: '2.0', id: 0, result: {} }),
    say(2, 'client', ask(1, 'read')),
    say(4, 'server', { jsonrpc: '2.0', id: 1, result: { content: [{ type: 'text', text: 'words' }] } }),
    say(5, 'client', ask(2, 'read')),
    say(6, 'server', { jsonrpc: '2.0', id: 2, result: { isError: true, content: [{ type: 'text', text: 'ENOENT' }] } }),
    say(7, 'client', ask(3, 'write')),
    `${new Date((nowS + 9) * 1_000).toISOString()} [files] [info] Server transport closed { metadata: undefined }`,
  ])
  expect(await imported('desktop', path)).toMatchObject({ records: { span: 4, error: 1 }, refused: {}, open: 0 })
  expect(await traces('desktop')).toEqual([
    { name: 'initialize', outcome: 'ok', duration_ms: 1_000, request_id: '0', call_number: null },
    { name: 'tools/call read', outcome: 'ok', duration_ms: 2_000, request_id: '1', call_number: 1 },
    { name: 'tools/call read', outcome: 'tool_error', duration_ms: 1_000, request_id: '2', call_number: 2 },
    { name: 'tools/call write', outcome: 'interrupted', duration_ms: 2_000, request_id: '3', call_number: 3 },
  ])
  const kept = JSON.stringify((await database.query('select spans from telltale.traces')).rows)
  expect(kept).not.toContain('words')
  expect(kept).toContain('"path": "string(2)"'.replace(': ', ':'))
})

test('import takes its own export back, gzipped, under its own source, beside the process that it is of', async () => {
  const source = { service: 'elsewhere', instance: 'b', environment: 'staging', version: '2' }
  const process = { id: processId, started_at_us: nowS * 1e6, host: 'far', pid: 9, sdk: 'telltale-js/0.1.0' }
  const record = aSpan({ trace_id: traceId(77) })
  const path = join(dataDir, 'export.jsonl.gz')
  writeFileSync(path, gzipSync(`${JSON.stringify({ telltale: 1, source, process, record })}\n`))
  expect(await imported('ignored', path)).toMatchObject({ lines: 1, stored: 1 })
  expect(await imported('ignored', path)).toMatchObject({ lines: 0, lines_before: 1 })
  const { rows } = await database.query(
    `select s.service, s.environment, p.host, p.process_id <> $1 as other from telltale.traces
      join telltale.processes as p using (process_id) join telltale.sources as s using (source_id) where trace_id = $2`,
    [processId, record.trace_id],
  )
  expect(rows).toEqual([{ service: 'elsewhere', environment: 'staging', host: 'far', other: true }])
})

test("import reads the daemon's health, however it is laid out", async () => {
  const path = join(dataDir, 'ws_daemon.health.json')
  writeFileSync(
    path,
    JSON.stringify({ t: nowS, pid: 7, sessions: 3, global_capacity: 24, global_inflight: 2, tool_count: 29 }, null, 2),
  )
  expect(await imported('health', path)).toMatchObject({ lines: 1, records: { gauge: 4 }, stored: 4 })
})

test('import of several files of one service counts each by itself, so that recorded stays what was stored', async () => {
  await imported('two', fileOf('first.jsonl', [whole(1), whole(2), whole(3)]))
  await imported('two', fileOf('second.jsonl', [whole(4)]))
  const { rows } = await database.query(
    `select p.recorded::int, p.stored::int, p.seqs::text from telltale.processes as p
      join telltale.sources as s using (source_id) where s.service = 'two' order by 1`,
  )
  expect(rows).toEqual([
    { recorded: 1, stored: 1, seqs: '{[1,2)}' },
    { recorded: 3, stored: 3, seqs: '{[1,2)}' },
  ])
})

test('import of what is stored already, in another file and from an export, counts nothing twice', async () => {
  await imported('twice', fileOf('once.jsonl', [whole(1), whole(2), started(3)]))
  const other = fileOf('other.jsonl', [whole(9), whole(1), whole(2), started(3), completed(3, 5)])
  expect(await imported('twice', other)).toMatchObject({ stored: 4, refused: {}, open: 0 })
  expect([(await traces('twice')).length, await countedIn('twice')]).toEqual([4, 4])

  const path = join(dataDir, 'twice.jsonl')
  const args = ['export', '--service', 'twice', '--out', path]
  expect((await runTelltale(args, { TELLTALE_DATA_DIR: dataDir })).code).toBe(0)
  expect(await imported('ignored', path)).toMatchObject({ records: { span: 4 }, refused: {} })
  expect([(await traces('twice')).length, await countedIn('twice')]).toEqual([4, 4])
})

test('import leaves a last line that is still being written for the next run, and takes what grows meanwhile once', async () => {
  const path = fileOf('growing.jsonl', [whole(1), whole(2)])
  const line = JSON.stringify(whole(3))
  appendFileSync(path, line.slice(0, 40))
  expect(await imported('growing', path)).toMatchObject({ lines: 2, stored: 2, refused: {} })
  appendFileSync(path, line.slice(40))
  expect(await imported('growing', path)).toMatchObject({ lines: 1, lines_before: 2, stored: 1, refused: {} })
  appendFileSync(path, `\n${JSON.stringify(whole(4))}\r\n`)
  expect(await imported('growing', path)).toMatchObject({ stored: 1, refused: {} })
  expect(await countedIn('growing')).toBe(4)

  // Nobody writes to it any more: it is damaged.
  appendFileSync(path, line.slice(0, 40))
  utimesSync(path, nowS, nowS)
  expect(await imported('growing', path)).toMatchObject({
    stored: 0,
    refused: { 'it is damaged: no JSON': { count: 1 } },
  })
})

test('import reads JSON files that are lists, or lines after all', async () => {
  const list = join(dataDir, 'list.json')
  writeFileSync(list, `\uFEFF${JSON.stringify([whole(1), whole(2)], null, 2)}`)
  expect(await imported('list', list)).toMatchObject({ lines: 2, stored: 2, refused: {} })
  expect(await imported('lines', fileOf('lines.json', [whole(1), whole(2)]))).toMatchObject({ lines: 2, stored: 2 })
})

test('import goes on with the next file where one cannot be read, and says so', async () => {
  const damaged = join(dataDir, 'damaged.log.gz')
  writeFileSync(damaged, gzipSync('{}\n').subarray(0, 12))
  const good = fileOf('good.jsonl', [whole(1)])
  const { code, printed, errors } = await runTelltale(
    ['import', '--json', '--service', 'many', dataDir, damaged, join(dataDir, 'none.log'), good],
    { TELLTALE_DATA_DIR: dataDir },
  )
  expect(code).toBe(1)
  expect(errors.trim().split('\n')).toEqual([
    expect.stringMatching(/^telltale: Cannot import .*: it is a directory$/),
    expect.stringMatching(/^telltale: Cannot import .*damaged.log.gz: unexpected end of file$/),
    expect.stringMatching(/^telltale: Cannot import .*none.log: ENOENT/),
  ])
  expect(JSON.parse(printed)).toMatchObject({ file: good, stored: 1 })
})

test('import says what is missing', async () => {
  const none = { TELLTALE_DATA_DIR: join(dataDir, 'none'), TELLTALE_INGEST_URL: '', TELLTALE_INGEST_KEY: '' }
  expect((await runTelltale(['import', 'x'], none)).errors).toBe(
    'telltale: Cannot import: TELLTALE_INGEST_URL and TELLTALE_INGEST_KEY are not set, and no local.env is there\n',
  )
  const { code, errors } = await runTelltale(['import', join(dataDir, 'no-such-file')], { TELLTALE_DATA_DIR: dataDir })
  expect([code, errors]).toEqual([1, expect.stringMatching(/^telltale: .*ENOENT.*no-such-file/)])
})
