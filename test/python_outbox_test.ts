import { mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type IngestFixture, startIngest } from './ingest_fixture.ts'
import { noPythonReason, runPython } from './python_fixture.ts'

// The files of telltale.py between processes: who has them, how large they become, and what is cut again.

const skipped = noPythonReason !== null
let ingest: IngestFixture
let dir: string

beforeEach(async () => {
  ingest = await startIngest()
  dir = mkdtempSync(join(tmpdir(), 'telltale-python-'))
})
afterEach(async () => {
  await ingest.close()
  rmSync(dir, { recursive: true, force: true })
})

const env = () => ({ TELLTALE_INGEST_URL: ingest.url, TELLTALE_INGEST_KEY: ingest.key, TELLTALE_OUTBOX_DIR: dir })

const head = `
import glob, os, time, telltale
telltale.configure(retry_ms=60_000, warn=lambda line: None)  # It ends between two attempts.
courier = telltale.reporter()._courier
courier.pace_ms = 20
folder = os.environ['TELLTALE_OUTBOX_DIR']
def spilled(count, name):
    for i in range(count): telltale.start_trace('%s %d' % (name, i), request_id=telltale.new_trace_id()).end()
    until = time.time() + 10
    while time.time() < until:
        with courier.lock:
            outbox, batches = telltale.reporter()._outbox, list(courier.frozen)
            if not outbox.queue and not outbox.in_hand and all(batch.segment for batch in batches if batch.count): return
        time.sleep(0.005)
    raise SystemExit('never spilled')
def law():
    status = telltale.status()
    assert status['recorded'] == status['stored'] + status['rejected'] + sum(status['dropped'].values()) + status['waiting'], status
    return status
`

const names = () => ingest.spans().flatMap(({ name, end_us }) => (end_us === null ? [] : [name]))

test.skipIf(skipped)(
  'records whose file another process claimed wait there, and are neither dropped nor sent twice',
  async () => {
    ingest.fault = () => ({ kind: 'status', status: 503 })
    const ran = await runPython(
      `${head}
spilled(20, 'claimed')
[path] = glob.glob(folder + '/*')
other = os.path.join(folder, os.path.basename(path)[:17] + telltale.new_uuid() + '-000001.outbox')
os.rename(path, other)
spilled(20, 'kept')  # Goes to a file of its own.
assert len(glob.glob(folder + '/*')) == 2
status = law()
assert status['dropped'] == {} and status['waiting'] == status['recorded'] >= 40, status
print(courier.elsewhere >= 20, courier.unfinished())
courier.disk.segments.clear()
os._exit(0)
`,
      { env: env() },
    )
    expect(ran).toEqual({ code: 0, out: 'True True\n', err: '' })
    const past = new Date(Date.now() - 120_000)
    for (const file of readdirSync(dir)) utimesSync(join(dir, file), past, past)
    ingest.fault = () => ({ kind: 'none' })
    const next = await runPython(
      `${head}
telltale.start_trace('next').end()
until = time.time() + 10
while glob.glob(folder + '/*') and time.time() < until: time.sleep(0.01)
assert law()['adopted']['dropped'] == 0
`,
      { env: env() },
    )
    expect(next).toEqual({ code: 0, out: '', err: '' })
    expect(
      names()
        .filter((name) => name !== 'next')
        .sort(),
    ).toEqual(['claimed', 'kept'].flatMap((name) => Array.from({ length: 20 }, (_, i) => `${name} ${i}`)).sort())
  },
)

test.skipIf(skipped)(
  'past the bound of the disk the oldest of its own files goes, declared, and none of another process',
  async () => {
    ingest.fault = () => ({ kind: 'status', status: 503 })
    const ran = await runPython(
      `${head}
telltale.OUTBOX_DISK_BYTES_MAX, telltale.SEGMENT_BYTES_MAX = 24_000, 6_000
stranger = os.path.join(folder, courier.disk.destination + '-' + telltale.new_uuid() + '-000001.outbox')
with open(stranger, 'wb') as file: file.write(b'x' * 9_000)
for turn in range(12):
    spilled(30, 'turn %d' % turn)
    sizes = [os.path.getsize(path) for path in glob.glob(folder + '/*')]
    assert sum(sizes) <= 24_000 and max(sizes[1:]) <= 9_000, sizes
    law()
assert os.path.getsize(stranger) == 9_000
status = law()
print(sorted(status['dropped']), 0 < status['dropped']['outbox_full'] < status['recorded'] - 30)
os.unlink(stranger)
os._exit(0)
`,
      { env: env() },
    )
    expect(ran).toEqual({ code: 0, out: "['outbox_full'] True\n", err: '' })
  },
)

test.skipIf(skipped)(
  'a batch that is cut after a 413 has the same pieces whoever cuts it, and each is stored once',
  async () => {
    ingest.fault = () => ({ kind: 'status', status: 503 })
    const left = await runPython(
      `${head}
spilled(40, 'cut')
os._exit(0)
`,
      { env: env() },
    )
    expect(left).toEqual({ code: 0, out: '', err: '' })
    const past = new Date(Date.now() - 120_000)
    for (const file of readdirSync(dir)) utimesSync(join(dir, file), past, past)
    const before = ingest.attempts.length
    // The first to adopt it dies when its pieces are on the disk; the next one goes on with them.
    ingest.fault = ({ piece, records }) =>
      records.length > 15 || piece[1] > 1
        ? { kind: 'status', status: records.length > 15 ? 413 : 503 }
        : { kind: 'none' }
    const died = await runPython(
      `${head}
telltale.start_trace('adopter').end()
until = time.time() + 10
while time.time() < until and not courier.failures: time.sleep(0.005)
assert all(batch.segment for batch in list(courier.adopted)) and law()['adopted']['waiting'] >= 40
os._exit(0)
`,
      { env: env() },
    )
    expect(died).toEqual({ code: 0, out: '', err: '' })
    const cut = new Set(ingest.attempts.slice(before).map(({ batchId }) => batchId))
    for (const file of readdirSync(dir)) utimesSync(join(dir, file), past, past)
    ingest.fault = (batch) => (batch.records.length > 15 ? { kind: 'status', status: 413 } : { kind: 'none' })
    const next = await runPython(
      `${head}
telltale.start_trace('next').end()
until = time.time() + 10
while glob.glob(folder + '/*') and time.time() < until: time.sleep(0.01)
assert law()['adopted']['dropped'] == 0
`,
      { env: env() },
    )
    expect(next).toEqual({ code: 0, out: '', err: '' })
    expect(
      names()
        .filter((name) => name.startsWith('cut'))
        .sort(),
    ).toEqual(Array.from({ length: 40 }, (_, i) => `cut ${i}`).sort())
    const pieces = ingest.batches.filter(({ piece }) => piece[1] > 1)
    expect(pieces.length).toBeGreaterThan(1)
    for (const { batch_id } of pieces) expect(batch_id[14]).toBe('8')
    expect(pieces.some(({ batch_id }) => cut.has(batch_id))).toBe(true)
  },
)
