import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type IngestFixture, startIngest } from './ingest_fixture.ts'
import { noPythonReason, pythonFolder, runPython, spawnPython, telltalePy } from './python_fixture.ts'

// What SIGTERM, and so `docker stop`, does to a script under `python telltale.py`: it ends as it would, and loses nothing.

const hooked = test.skipIf(noPythonReason !== null || process.platform === 'win32')

let far: IngestFixture
let folder: string
let outbox: string

beforeEach(async () => {
  far = await startIngest()
  folder = mkdtempSync(join(tmpdir(), 'telltale-signal-'))
  outbox = join(folder, 'outbox')
})

afterEach(async () => {
  await far.close()
  rmSync(folder, { recursive: true })
})

const env = () => ({
  TELLTALE_INGEST_URL: far.url,
  TELLTALE_INGEST_KEY: far.key,
  TELLTALE_OUTBOX_DIR: outbox,
  PYTHONPATH: '',
})

/** Runs a script that says `ready`, ends it by SIGTERM and answers how it ended: its code, or the signal. */
async function ended(lines: readonly string[], under: readonly string[] = [telltalePy]) {
  writeFileSync(join(folder, 'script.py'), `${lines.join('\n')}\n`)
  const stdio = ['ignore', 'pipe', 'inherit'] as const
  const child = spawnPython([...under, 'script.py'], { cwd: folder, env: env(), stdio: [...stdio] })
  let out = ''
  child.stdout?.on('data', (chunk: Buffer) => {
    out += chunk.toString()
  })
  await expect.poll(() => out, { timeout: 10_000 }).toContain('ready')
  const began = performance.now()
  child.kill('SIGTERM')
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  return { code, signal, out, ms: performance.now() - began }
}

/** What another process of the same host finds a minute later, and delivers. */
async function deliverRest() {
  const past = new Date(Date.now() - 120_000)
  for (const file of readdirSync(outbox)) utimesSync(join(outbox, file), past, past)
  const script = `
import glob, os, time, telltale
telltale.start_trace('next').end()
until = time.time() + 10
while glob.glob(os.environ['TELLTALE_OUTBOX_DIR'] + '/*') and time.time() < until: time.sleep(0.01)
`
  const ran = await runPython(script, { env: { ...env(), PYTHONPATH: pythonFolder } })
  expect(ran).toEqual({ code: 0, out: '', err: '' })
  expect(readdirSync(outbox)).toEqual([])
}

const names = () => far.spans().flatMap(({ name, end_us }) => (end_us !== null && name !== 'next' ? [name] : []))

const waiting = [
  'import sys, threading, time, telltale',
  'telltale.start_trace("early").end()',
  'assert telltale.flush(5)',
  'for i in range(900): telltale.start_trace("late %d" % i).end()',
]
const late = ['early', ...Array.from({ length: 900 }, (_, i) => `late ${i}`)]

hooked(
  'a script that SIGTERM ends leaves on the disk what waits, ends by the signal, and another one delivers it',
  async () => {
    far.flushAfterMs = 15_000
    far.recordsMax = 500
    const end = await ended([...waiting, 'print("ready")', 'time.sleep(60)'])
    expect(end).toMatchObject({ code: null, signal: 'SIGTERM', out: 'ready\n' })
    expect(end.ms).toBeLessThan(2_500)
    await deliverRest()
    expect([...new Set(names())].sort()).toEqual(late.toSorted())
  },
)

hooked('a script that is busy, or in an event loop, loses nothing by SIGTERM either', async () => {
  far.flushAfterMs = 15_000
  const busy = [
    'count = 0',
    'while True:',
    '    telltale.start_trace("busy").end(); count += 1',
    '    if count == 100: print("ready")',
    '    if count % 10 == 0: time.sleep(0.001)',
  ]
  expect(await ended([...waiting, ...busy])).toMatchObject({ signal: 'SIGTERM' })
  await deliverRest()
  expect(new Set(names())).toEqual(new Set([...late, 'busy']))
  far.batches.length = 0
  const loop = [
    'import asyncio',
    'async def main():',
    '    print("ready"); await asyncio.sleep(60)',
    'asyncio.run(main())',
  ]
  expect(await ended([...waiting, ...loop])).toMatchObject({ signal: 'SIGTERM' })
  await deliverRest()
  expect(new Set(names())).toEqual(new Set(late))
})

hooked('a handler of the script takes the place of ours, and ends it as the script says', async () => {
  const own = [
    'import signal, sys, time',
    'signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))',
    'print("ready")',
    'time.sleep(60)',
  ]
  expect(await ended(own)).toMatchObject({ code: 7, signal: null })
  const before = [
    'import os, signal, time, telltale',
    'print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "ready")',
  ]
  const guest = [
    ...before,
    'telltale.install()',
    'assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL',
    'time.sleep(60)',
  ]
  const alone = await ended(['import sys', `sys.path.insert(0, ${JSON.stringify(pythonFolder)})`, ...guest], [])
  expect(alone).toMatchObject({ signal: 'SIGTERM', out: 'True ready\n' })
  const children = [
    'import os, signal, subprocess, sys, time',
    'child = subprocess.run([sys.executable, "-c", "import signal; print(signal.getsignal(15) == signal.SIG_DFL, flush=True)"])',
    'print("ready")',
    'time.sleep(60)',
  ]
  expect((await ended(children)).out).toBe('True\nready\n')
})

hooked('a SIGTERM while the script already ends waits for what the end has begun', async () => {
  far.fault = () => ({ kind: 'hang', stored: false })
  const lines = ['import telltale', 'for i in range(10): telltale.start_trace("t %d" % i).end()', 'print("ready")']
  const end = await ended(lines)
  expect(end.ms).toBeLessThan(4_000)
  far.fault = () => ({ kind: 'none' })
  await deliverRest()
  expect([...new Set(names())].sort()).toEqual(Array.from({ length: 10 }, (_, i) => `t ${i}`).sort())
})
