import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readEntries } from '../src/reporter/delivery/spill_entry.ts'
import { createReporter } from '../src/reporter/reporter.ts'
import { eventually, type IngestFixture, startIngest } from './ingest_fixture.ts'

const script = fileURLToPath(new URL('outbox_child_fixture.ts', import.meta.url))
let far: IngestFixture
let dir: string
const children: ChildProcess[] = []

beforeEach(async () => {
  far = await startIngest()
  dir = mkdtempSync(join(tmpdir(), 'outbox_'))
})

afterEach(async () => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL')
  await far.close()
  rmSync(dir, { recursive: true, force: true })
})

function daemon(count: number): ChildProcess {
  const child = spawn(process.execPath, [script, far.url, far.key, dir, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  return child
}

/** How many records lie in the files, whose batches have no answer. */
function onDisk(): number {
  const waiting = new Map<string, number>()
  for (const name of readdirSync(dir)) {
    for (const entry of readEntries(readFileSync(join(dir, name)))) {
      if (entry.kind === 'batch') waiting.set(entry.batch.batchId, entry.batch.records)
      if (entry.kind === 'answered') waiting.delete(entry.batchId)
    }
  }
  return [...waiting.values()].reduce((sum, records) => sum + records, 0)
}

/** Makes the files look as old as they are when their process has been dead for two minutes. */
function age(): void {
  const then = Date.now() / 1_000 - 120
  for (const name of readdirSync(dir)) utimesSync(join(dir, name), then, then)
}

function valuesStored(): number[] {
  return far.batches.flatMap((batch) => batch.records.map((record) => (record.type === 'gauge' ? record.value : -1)))
}

test('a daemon is killed while the edge is down; the next one delivers what it left, each record once', async () => {
  far.fault = () => ({ kind: 'status', status: 503 })
  const killed = daemon(1_700)
  await eventually(() => onDisk() === 1_700, 20_000)
  const exit = once(killed, 'exit')
  killed.kill('SIGKILL')
  expect((await exit)[1]).toBe('SIGKILL')
  expect(statSync(dir).mode & 0o077).toBe(0)
  age()
  far.fault = () => ({ kind: 'none' })
  const heir = daemon(0)
  await once(heir, 'exit')
  expect(valuesStored().sort((a, b) => a - b)).toEqual(Array.from({ length: 1_700 }, (_, value) => value))
  expect(readdirSync(dir)).toEqual([])
})

test('close() leaves on the disk what it could not deliver, and counts it as waiting, not as lost', async () => {
  far.fault = () => ({ kind: 'reset' })
  const warned: string[] = []
  const warn = (line: string) => void warned.push(line)
  const address = { ingestUrl: far.url, ingestKey: far.key, outboxDir: dir, env: {}, warn, flushOnExit: false }
  const first = createReporter(address)
  for (let value = 0; value < 30; value++) first.gauge('g', value)
  await first.close(60)
  expect(first.status()).toMatchObject({ recorded: 30, stored: 0, waiting: 30, dropped: {} })
  expect([onDisk(), warned]).toEqual([30, []])
  age()
  far.fault = () => ({ kind: 'none' })
  const second = createReporter(address)
  await eventually(() => second.status().adopted.delivered === 30)
  expect(second.status()).toMatchObject({ recorded: 0, stored: 0, waiting: 0 })
  expect([valuesStored().length, onDisk()]).toEqual([30, 0])
  await second.close()
})

test('two daemons in one directory leave the batches of the living to themselves', async () => {
  far.fault = () => ({ kind: 'status', status: 503 })
  const address = { ingestUrl: far.url, ingestKey: far.key, outboxDir: dir, env: {}, flushOnExit: false, retryMs: 5 }
  const [one, other] = [createReporter(address), createReporter(address)]
  for (const reporter of [one, other]) for (let value = 0; value < 10; value++) reporter.gauge('g', value)
  await Promise.all([one.flush(), other.flush()])
  expect(onDisk()).toBe(20)
  far.fault = () => ({ kind: 'none' })
  const third = createReporter(address)
  await eventually(() => one.status().stored === 10 && other.status().stored === 10)
  expect(third.status().adopted).toEqual({ waiting: 0, delivered: 0, dropped: 0 })
  expect(readdirSync(dir)).toEqual([])
  await Promise.all([one, other, third].map((reporter) => reporter.close()))
})
