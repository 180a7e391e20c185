import { statSync } from 'node:fs'
import { join } from 'node:path'
import { PostgrestClient } from '@supabase/postgrest-js'
import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { readLocalEnvFile } from '../src/local/local_env.ts'
import { AlreadyRunning, type Stack, startStack } from '../src/local/stack.ts'
import { noPostgresReason, startPostgres } from './postgres_cluster_fixture.ts'
import { createDataDir, liveBatch, postBatch, type RunningStack, runTelltale, startTelltale } from './stack_fixture.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (let next = cleanups.pop(); next !== undefined; next = cleanups.pop()) await next()
})

function freshDir(): string {
  const { dir, remove } = createDataDir()
  cleanups.push(remove)
  return dir
}

async function startIn(dataDir: string, more: { port?: number; databaseUrl?: string } = {}): Promise<Stack> {
  const stack = await startStack({ dataDir, port: 0, ...more })
  cleanups.push(stack.close)
  return stack
}

async function startProcess(dataDir: string, more: Parameters<typeof startTelltale>[1] = {}): Promise<RunningStack> {
  const stack = await startTelltale(dataDir, more)
  cleanups.push(stack.killGroup)
  return stack
}

async function rowsOf(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

test('startStack() takes a batch into a fresh directory, and answers it by rpc and by SQL', async () => {
  const { env } = await startIn(freshDir())
  const batch = liveBatch()
  const first = await postBatch(env, batch)
  expect([first?.status, await first?.json()]).toMatchObject([200, { status: 'stored', accepted: { span: 2 } }])
  const second = await postBatch(env, batch)
  expect(await second?.json()).toMatchObject({ status: 'repeated', accepted: { span: 2 } })

  const client = new PostgrestClient(`${env.SUPABASE_URL}/rest/v1`, {
    headers: { apikey: env.SUPABASE_SECRET_KEY as string },
    schema: 'telltale',
  })
  const { data } = await client.rpc('traces', { filter: {}, cursor: null, n: 10 })
  expect(data.rows).toHaveLength(1)
  expect(data.rows[0]).toMatchObject({ trace_id: batch.traceId, tool: 'chat', outcome: 'ok', duration_ms: 9 })
  const rows = await rowsOf(env.DATABASE_URL as string, 'select trace_id, tool from telltale.traces')
  expect(rows).toEqual([{ trace_id: batch.traceId, tool: 'chat' }])
  expect(await rowsOf(env.DATABASE_URL as string, 'select batch_id::text from telltale.batches')).toEqual([
    { batch_id: batch.batchId },
  ])
})

test('the stack refuses wrong keys at every door', async () => {
  const { env } = await startIn(freshDir())
  const wrong = `${env.TELLTALE_INGEST_KEY?.slice(0, -1)}${env.TELLTALE_INGEST_KEY?.endsWith('A') ? 'B' : 'A'}`
  expect((await postBatch({ ...env, TELLTALE_INGEST_KEY: wrong }, liveBatch()))?.status).toBe(401)
  expect((await fetch(`${env.TELLTALE_URL}/functions/v1/tick`, { method: 'POST' })).status).toBe(401)
  const anon = new PostgrestClient(`${env.SUPABASE_URL}/rest/v1`, {
    headers: { apikey: env.SUPABASE_PUBLISHABLE_KEY as string },
    schema: 'telltale',
  })
  expect((await anon.rpc('traces', { filter: {}, cursor: null, n: 1 })).status).toBe(401)
  expect((await anon.rpc('keys')).status).toBe(401)
  await expect(rowsOf(`${env.DATABASE_URL?.replace(/:[^:@/]+@/, ':wrong@')}`, 'select 1')).rejects.toThrow()
})

test('a second start on the directory says where the first one runs; one on its port says who has it', async () => {
  const dir = freshDir()
  const stack = await startIn(dir)
  const error = await startStack({ dataDir: dir, port: 0 }).catch((e: unknown) => e)
  expect(error).toBeInstanceOf(AlreadyRunning)
  expect(String(error)).toContain(`already runs there at ${stack.url}`)
  const port = Number(new URL(stack.url).port)
  await expect(startStack({ dataDir: freshDir(), port })).rejects.toThrow(`PORT=${port + 1} npm start`)
})

test('telltale start keeps keys, rows and the port of psql over a restart, and stops cleanly', async () => {
  const dir = freshDir()
  const first = await startProcess(dir)
  const batch = liveBatch()
  expect((await postBatch(first.env, batch))?.status).toBe(200)
  if (process.platform !== 'win32') {
    expect(statSync(`${dir}/local.env`).mode & 0o777).toBe(0o600)
    expect(statSync(dir).mode & 0o077).toBe(0)
  }
  const stoppingAt = performance.now()
  expect(await first.stop('SIGTERM')).toBe(0)
  expect(performance.now() - stoppingAt).toBeLessThan(5_000)
  expect(await postBatch(first.env, batch)).toBe(null)

  const port = Number(new URL(first.url).port)
  const second = await startProcess(dir, { port })
  expect(second.readyMs).toBeLessThan(10_000)
  expect(second.env).toEqual(first.env)
  expect(await (await postBatch(second.env, batch))?.json()).toMatchObject({ status: 'repeated' })
  expect(await second.stop('SIGINT')).toBe(0)
})

test('telltale start --json says where it listens as one object', async () => {
  const dir = freshDir()
  const stack = await startProcess(dir, { json: true })
  const [line = '', ...others] = stack
    .printed()
    .split('\n')
    .filter((text) => !text.startsWith('telltale: '))
  const { url, env_path, pid, open_url, ...rest } = JSON.parse(line)
  expect([url, env_path, rest, others]).toEqual([stack.url, join(dir, 'local.env'), {}, ['']])
  expect(open_url).toMatch(new RegExp(`^${url}/#code=[0-9a-f]{56}$`))
  expect(readLocalEnvFile(dir).SUPABASE_URL).toBe(url)
  expect(process.kill(pid, 0)).toBe(true)
  expect(await stack.stop('SIGTERM')).toBe(0)
  expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})

test('telltale keys makes, lists and ends keys of the running stack', async () => {
  const dir = freshDir()
  const { env } = await startIn(dir)
  const settings = { TELLTALE_DATA_DIR: dir }
  const made = await runTelltale(['keys', 'create', 'the daemon', '--json'], settings)
  expect(made).toMatchObject({ code: 0 })
  const nameless = await runTelltale(['keys', 'create', ''], settings)
  expect([nameless.code, nameless.errors]).toEqual([1, expect.stringContaining('its name is 0 bytes long')])
  const { key_id, key } = JSON.parse(made.printed) as { key_id: string; key: string }
  expect((await postBatch({ ...env, TELLTALE_INGEST_KEY: key }, liveBatch()))?.status).toBe(200)
  const listed = await runTelltale(['keys', 'list'], settings)
  expect(listed.printed).toMatch(new RegExp(`^${key_id} .* the daemon$`, 'm'))
  expect(listed.printed).not.toContain(key)
  expect(await runTelltale(['keys', 'revoke', key_id], settings)).toMatchObject({ code: 0 })
  expect(await runTelltale(['keys', 'revoke', 'nosuchkeyid0'], settings)).toMatchObject({ code: 1 })
  expect((await runTelltale(['keys', 'list'], settings)).printed).toMatch(new RegExp(`^${key_id} .*revoked`, 'm'))
})

test('a first key that was revoked is replaced at the next start', async () => {
  const dir = freshDir()
  const first = await startIn(dir)
  const id = first.env.TELLTALE_INGEST_KEY?.split('_')[1]
  await rowsOf(first.env.DATABASE_URL as string, `select telltale.revoke_key('${id}')`)
  await first.close()
  const second = await startIn(dir)
  expect(second.env.TELLTALE_INGEST_KEY).not.toBe(first.env.TELLTALE_INGEST_KEY)
  expect((await postBatch(second.env, liveBatch()))?.status).toBe(200)
})

test('startStack() uses the PostgreSQL server that it is given, as it uses the embedded one', async ({ skip }) => {
  const reason = noPostgresReason()
  if (reason !== null) return skip(reason)
  const server = await startPostgres()
  cleanups.push(server.stop)
  const dir = freshDir()
  const first = await startIn(dir, { databaseUrl: server.url })
  expect(first.env.DATABASE_URL).toBe(server.url)
  const batch = liveBatch()
  expect((await postBatch(first.env, batch))?.status).toBe(200)
  await first.close()
  const second = await startIn(dir, { databaseUrl: server.url })
  expect(await (await postBatch(second.env, batch))?.json()).toMatchObject({ status: 'repeated' })
  expect(await rowsOf(server.url, 'select trace_id from telltale.traces')).toEqual([{ trace_id: batch.traceId }])
})

test('telltale start that cannot start says why in one line, and leaves nothing running', async () => {
  const dir = freshDir()
  const stack = await startIn(dir)
  const port = new URL(stack.url).port
  const taken = await runTelltale(['start', '--no-demo', '--port', port], { TELLTALE_DATA_DIR: freshDir() })
  expect(taken.code).toBe(1)
  expect(taken.errors).toMatch(/^telltale: Cannot listen on 127\.0\.0\.1:\d+: .*PORT=\d+ npm start\n$/)
  const again = await runTelltale(['start', '--no-demo', '--port', '0'], { TELLTALE_DATA_DIR: dir })
  expect(again.errors).toContain(`already runs there at ${stack.url} (process ${process.pid})`)
  const wrong = await runTelltale(['start'], { TELLTALE_DATA_DIR: dir, PORT: 'http' })
  expect([wrong.code, wrong.errors]).toEqual([expect.any(Number), expect.stringContaining('http is not a port')])
  const unreachable = await runTelltale(['start', '--no-demo', '--port', '0'], {
    TELLTALE_DATA_DIR: freshDir(),
    TELLTALE_DATABASE_URL: 'postgres://127.0.0.1:9/none',
  })
  expect([unreachable.code, unreachable.errors]).toEqual([1, expect.stringContaining('Cannot reach database')])
  const half = await runTelltale(['start'], { TELLTALE_DATA_DIR: dir, TELLTALE_REDIS_REST_URL: 'https://a.upstash.io' })
  expect([half.code, half.errors]).toEqual([1, expect.stringContaining('TELLTALE_REDIS_REST_TOKEN: it is not set')])
})
