import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import type { Batch } from '../src/core/record.ts'
import { parseBatch } from '../src/wire/parse_batch.ts'
import { eventually, type IngestFixture, startIngest } from './ingest_fixture.ts'
import { noPythonReason, runPython, spawnPython } from './python_fixture.ts'

// telltale.py in processes of its own against an ingest address that can be told to fail.

const skipped = noPythonReason !== null
const posix = process.platform !== 'win32'
const folders: string[] = []
let ingest: IngestFixture

beforeEach(async () => {
  await ingest?.close()
  ingest = await startIngest()
})
afterAll(async () => {
  await ingest.close()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

function outboxDir(): string {
  const folder = mkdtempSync(join(tmpdir(), 'telltale-python-'))
  folders.push(folder)
  return folder
}

function envOf(dir = 'none', changes: Record<string, string> = {}): Record<string, string> {
  return {
    TELLTALE_INGEST_URL: ingest.url,
    TELLTALE_INGEST_KEY: ingest.key,
    TELLTALE_OUTBOX_DIR: dir,
    TELLTALE_SERVICE: 'py',
    ...changes,
  }
}

const names = (batches: readonly Batch[] = ingest.batches) =>
  batches.flatMap(({ records }) =>
    records.filter(({ type }) => type === 'span').map((span) => (span as { name: string }).name),
  )

/** As if the processes whose files these are had died more than a minute ago. */
function ageFiles(dir: string): readonly string[] {
  const files = readdirSync(dir)
  const past = new Date(Date.now() - 120_000)
  for (const file of files) utimesSync(join(dir, file), past, past)
  return files
}

test.skipIf(skipped)('telltale.py delivers every kind of record, as the edge takes them', async () => {
  const ran = await runPython(
    `
import asyncio, threading, telltale
with telltale.start_trace('tools/call chat', layer='tool', tool='chat', session='s', request_id='r1') as request:
    with telltale.span('generate', layer='api', provider='KIMI', model='k2') as call:
        call.set(tokens_in=3, tokens_out=4)
    with telltale.wait('permit global_sem', holder='debug'): pass
    telltale.record_message(role='assistant', thinking_mode='high')
    telltale.record_event('redis', 'receive', 'a.py', 'get', 12, response_time_ms=0.5)
    try:
        try: raise ValueError('inner')
        except ValueError as e: raise RuntimeError('outer password=hunter2222') from e
    except RuntimeError as e:
        telltale.capture_error(e)
    thread = threading.Thread(target=telltale.run, args=(request, lambda: telltale.span('in a thread').end()))
    thread.start(); thread.join()
    async def work(name):
        async with telltale.span(name):
            await asyncio.sleep(0.001)
            telltale.span(name + ' inner').end()
    async def both(): await asyncio.gather(work('a'), work('b'))
    asyncio.run(both())
telltale.gauge('redis_memory_mb', 1.5, {'name': 'main'})
assert telltale.flush(5)
status = telltale.status()
assert status['recorded'] == status['stored'] > 0 and status['waiting'] == 0, status
`,
    { env: envOf() },
  )
  expect(ran).toEqual({ code: 0, out: '', err: '' })
  for (const batch of ingest.batches) {
    const parsed = parseBatch(JSON.stringify(batch), Date.now() * 1_000)
    expect(parsed.ok && parsed.value.rejected).toEqual([])
    expect(batch.source.service).toBe('py')
  }
  const ended = ingest.spans().filter(({ end_us }) => end_us !== null)
  const parentOf = (name: string) =>
    ended.find(({ span_id }) => span_id === ended.find((span) => span.name === name)?.parent_span_id)?.name
  expect([parentOf('a inner'), parentOf('b inner'), parentOf('in a thread'), parentOf('a')]).toEqual([
    'a',
    'b',
    'tools/call chat',
    'tools/call chat',
  ])
  expect(new Set(ended.map(({ trace_id }) => trace_id)).size).toBe(1)
  const [error] = ingest.errors()
  expect(error).toMatchObject({ error_type: 'RuntimeError', message: 'outer password=[redacted]' })
  expect(error?.traceback).toMatch(/ValueError: inner[\s\S]*direct cause[\s\S]*RuntimeError: outer/)
  const message = ingest.batches.flatMap(({ records }) => records).find(({ type }) => type === 'message')
  expect(message).toMatchObject({
    conversation_id: 's',
    model_used: 'k2',
    provider_used: 'KIMI',
    tool_name: 'chat',
    role: 'assistant',
    token_usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
  })
})

test.skipIf(skipped || !posix)('a forked child is a process of its own, and sends nothing of its parent', async () => {
  const ran = await runPython(
    `
import multiprocessing, os, sys, telltale
telltale.start_trace('before').end()
open_span = telltale.start_trace('of the parent')
child = os.fork()
if child == 0:
    open_span.end()
    telltale.start_trace('child').end()
    ok = telltale.flush(5) and telltale.status()['recorded'] in (1, 2)  # A span may be told of while it runs.
    os._exit(0 if ok else 1)
assert os.waitpid(child, 0)[1] == 0
def work(): telltale.start_trace('grandchild').end()
process = multiprocessing.get_context('fork').Process(target=work)
process.start(); process.join()
open_span.end()
telltale.close()
`,
    // From 3.12 on Python warns at a fork of each process that has a thread.
    { env: envOf('none', { PYTHONWARNINGS: 'ignore' }) },
  )
  expect(ran).toEqual({ code: 0, out: '', err: '' })
  const byProcess = new Map<string, string[]>()
  for (const batch of ingest.batches) {
    const ended = batch.records.filter((record) => record.type === 'span' && record.end_us !== null)
    byProcess.set(batch.process.id, [
      ...(byProcess.get(batch.process.id) ?? []),
      ...ended.map((span) => (span as { name: string }).name),
    ])
  }
  expect([...byProcess.values()].map((each) => each.sort()).sort()).toEqual([
    ['before', 'of the parent'],
    ['child'],
    ['grandchild'],
  ])
})

test.skipIf(skipped)('what a killed process could not deliver is delivered by the next one, once', async () => {
  const dir = outboxDir()
  ingest.fault = () => ({ kind: 'status', status: 503 })
  const child = spawnPython(
    [
      '-c',
      `
import time, telltale
telltale.configure(retry_ms=10, warn=lambda line: None)
for i in range(40):
    telltale.start_trace('lost %d' % i).end()
courier = telltale.reporter()._courier
while not courier.frozen or telltale.reporter()._outbox.queue or any(batch.segment is None for batch in list(courier.frozen)): time.sleep(0.01)
print('spilled', flush=True)
time.sleep(60)
`,
    ],
    { env: envOf(dir), stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await once(child.stdout as NodeJS.ReadableStream, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const [file = ''] = ageFiles(dir)
  expect(file).toMatch(/^[0-9a-f]{16}-[0-9a-f-]{36}-000001\.outbox$/)
  if (posix) expect(statSync(join(dir, file)).mode & 0o777).toBe(0o600)
  ingest.fault = () => ({ kind: 'none' })
  const ran = await runPython(
    `
import time, telltale
telltale.start_trace('next').end()
until = time.time() + 10
while (telltale.status()['adopted']['delivered'] < 40 or telltale.status()['adopted']['waiting']) and time.time() < until: time.sleep(0.01)
adopted = telltale.status()['adopted']
assert adopted['waiting'] == adopted['dropped'] == 0 and adopted['delivered'] >= 40, adopted
`,
    { env: envOf(dir) },
  )
  expect(ran).toEqual({ code: 0, out: '', err: '' })
  expect([...new Set(names().filter((name) => name.startsWith('lost')))].sort()).toEqual(
    Array.from({ length: 40 }, (_, i) => `lost ${i}`).sort(),
  )
  expect(readdirSync(dir)).toEqual([])
})

test.skipIf(skipped)(
  'two processes in one directory take nothing from each other, and share what others left',
  async () => {
    const dir = outboxDir()
    const leave = `
import sys, telltale
telltale.configure(retry_ms=10, warn=lambda line: None)
for i in range(700): telltale.start_trace('%s %d' % (sys.argv[1], i)).end()
telltale.close(3)
status = telltale.status()
assert status['waiting'] == status['recorded'] >= 700, status
print(status['recorded'])
`
    ingest.fault = () => ({ kind: 'status', status: 503 })
    const left = await Promise.all(['a', 'b'].map((name) => runPython(['-c', leave, name], { env: envOf(dir) })))
    expect(left.map(({ code }) => code)).toEqual([0, 0])
    ageFiles(dir)
    ingest.fault = () => ({ kind: 'none' })
    const adopt = `
import glob, os, time, telltale
telltale.start_trace('adopter').end()
until = time.time() + 15
while glob.glob(os.environ['TELLTALE_OUTBOX_DIR'] + '/*') and time.time() < until: time.sleep(0.01)
telltale.close()
print(telltale.status()['adopted']['delivered'])
`
    const adopters = await Promise.all([1, 2].map(() => runPython(adopt, { env: envOf(dir) })))
    expect(adopters.map(({ code, err }) => [code, err])).toEqual([
      [0, ''],
      [0, ''],
    ])
    const total = (runs: readonly { out: string }[]) => runs.reduce((sum, { out }) => sum + Number(out), 0)
    expect(total(adopters)).toBe(total(left))
    expect(new Set(names()).size).toBe(1_401)
    expect(readdirSync(dir)).toEqual([])
  },
)

test.skipIf(skipped)('a full disk costs no record, and nothing half written stays', async () => {
  const dir = outboxDir()
  ingest.fault = () => ({ kind: 'status', status: 503 })
  const child = runPython(
    `
import errno, glob, os, time, telltale
room, real = [300], os.write
def write(file, data):
    if room[0] <= 0: raise OSError(errno.ENOSPC, 'full')
    data = bytes(data)[:room[0]]
    room[0] -= len(data)
    return real(file, data)
os.write = write
telltale.configure(retry_ms=10, warn=lambda line: None)
for i in range(200): telltale.start_trace('kept %d' % i, request_id=telltale.new_trace_id()).end()
telltale.flush(0.5)
status = telltale.status()
assert status['waiting'] == status['recorded'] >= 200 and status['dropped'] == {}, status
assert sum(os.path.getsize(path) for path in glob.glob(os.environ['TELLTALE_OUTBOX_DIR'] + '/*')) == 0
print('full', flush=True)
until = time.time() + 15
while telltale.status()['waiting'] and time.time() < until: time.sleep(0.01)
status = telltale.status()
assert status['stored'] == status['recorded'] and status['waiting'] == 0, status
`,
    { env: envOf(dir) },
  )
  await eventually(() => ingest.attempts.length >= 3)
  ingest.fault = () => ({ kind: 'none' })
  expect(await child).toEqual({ code: 0, out: 'full\n', err: '' })
  expect(new Set(names()).size).toBe(200)
})

test.skipIf(skipped)('the exit waits 2 s at most, and leaves on the disk what has no answer', async () => {
  const dir = outboxDir()
  ingest.fault = () => ({ kind: 'hang', stored: false })
  const began = performance.now()
  const ran = await runPython(`import telltale\nfor i in range(10): telltale.start_trace('t').end()`, {
    env: envOf(dir),
  })
  expect(ran).toEqual({ code: 0, out: '', err: '' })
  expect(performance.now() - began).toBeLessThan(4_000)
  expect(readdirSync(dir).length).toBe(1)
})

test.skipIf(skipped)(
  'status() says which fields of messages the server missed, and takes no nonsense for a count',
  async () => {
    ingest.missing = { thinking_mode: 2, token_usage: 1, model_used: -1, role: 'many', stranger: 3 }
    const script = `
import json, telltale
for n in range(2):
    telltale.record_message(role='user')
    assert telltale.flush(10)
print(json.dumps(telltale.status()['missing']))
`
    const { code, out, err } = await runPython(script, { env: envOf() })
    expect([code, err]).toEqual([0, ''])
    expect(JSON.parse(out)).toEqual({ thinking_mode: 4, token_usage: 2 })
  },
)

test.skipIf(skipped)('the sender gives the host its turn between two records, not between two batches', async () => {
  // In CPU time of the sender's thread: what else the machine does is not measured.
  const script = `
import threading, time, telltale
spent, begun, sleep = [], [None], time.sleep
def watched(seconds):
    sender = threading.current_thread().name == 'telltale'
    if sender and begun[0] is not None: spent.append((time.thread_time() - begun[0]) * 1000)
    sleep(seconds)
    if sender: begun[0] = time.thread_time()
time.sleep = watched
own = telltale.reporter()
own._courier._blocked_until = float('inf')
for i in range(3000): telltale.start_trace('t', tool='echo', request_id=str(i)).end(attributes={'a': 'b'})
own._courier._blocked_until = float('-inf')
assert telltale.flush(20)
spent.sort()
print(len(spent), spent[len(spent) // 2], spent[int(len(spent) * 0.8)])
`
  const { code, out, err } = await runPython(script, { env: envOf() })
  expect([code, err]).toEqual([0, ''])
  const [turns = 0, half = 0, most = 0] = out.split(' ').map(Number)
  expect(names().length).toBe(3_000)
  expect(turns).toBeGreaterThan(12)
  expect(half).toBeLessThan(1)
  expect(most).toBeLessThan(2)
})

test.skipIf(skipped)('recorded is stored, rejected, dropped and waiting, whatever the far end does', async () => {
  let seed = 7
  const kinds = [
    { kind: 'none' },
    { kind: 'status', status: 503, headers: { 'retry-after': '0.01' } },
    { kind: 'status', status: 400 },
    { kind: 'status', status: 413 },
    { kind: 'lose_answer' },
    { kind: 'reset' },
    { kind: 'strange' },
    { kind: 'reject_first' },
  ] as const
  ingest.fault = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return kinds[(seed >> 8) % kinds.length] ?? { kind: 'none' }
  }
  const ran = await runPython(
    `
import json, time, telltale
telltale.configure(retry_ms=1, warn=lambda line: None)
for i in range(3000):
    telltale.start_trace('n %d' % i).end('tool_error' if i % 97 == 0 else 'ok')
    if i % 50 == 0: time.sleep(0.002)
    status = telltale.status()
    law = status['stored'] + status['rejected'] + sum(status['dropped'].values()) + status['waiting']
    assert law == status['recorded'], status
until = time.time() + 15
while telltale.status()['waiting'] and time.time() < until: time.sleep(0.01)
print(json.dumps(telltale.status()))
`,
    { env: envOf(outboxDir()) },
  )
  expect(ran.err).toBe('')
  const status = JSON.parse(ran.out) as {
    recorded: number
    stored: number
    rejected: number
    waiting: number
    dropped: Record<string, number>
  }
  const dropped = Object.values(status.dropped).reduce((sum, count) => sum + count, 0)
  expect(status.waiting).toBe(0)
  expect(status.recorded).toBe(status.stored + status.rejected + dropped)
  // A batch whose ack was lost may be refused the second time, and is declared dropped though it is there.
  expect(names().length).toBeGreaterThanOrEqual(status.stored + status.rejected)
  expect(names().length).toBeLessThanOrEqual(status.recorded)
  const bytesOf = new Map<string, string>()
  for (const { batchId, bytes } of ingest.attempts) {
    expect(bytesOf.get(batchId) ?? bytes).toBe(bytes)
    bytesOf.set(batchId, bytes)
  }
})
