import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import manifest from '../package.json' with { type: 'json' }
import { pageRowsMax } from '../src/core/limit.ts'
import { eventually } from './ingest_fixture.ts'

const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))
let folder = ''
const servers: Server[] = []

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'telltale-program-'))
})
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

type Env = { readonly [name: string]: string }

function begin(args: readonly string[], env: Env = {}) {
  const outer = Object.entries(process.env).filter(
    ([name]) => !/^(?:TELLTALE|SUPABASE|FORCE_COLOR|NO_COLOR)/.test(name),
  )
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...Object.fromEntries(outer), TELLTALE_DATA_DIR: folder, TZ: 'UTC', ...env },
  })
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.err += text
  })
  const ended = new Promise<{ code: number | null; out: string; err: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, ...said })),
  )
  return { child, said, ended }
}

const run = (args: readonly string[], env?: Env) => begin(args, env).ended

test('the program says its version', async () => {
  expect(await run(['--version'])).toEqual({ code: 0, out: `${manifest.version}\n`, err: '' })
})

test('the program lists every command in its help', async () => {
  const { code, out } = await run(['--help'])
  expect(code).toBe(0)
  for (const name of ['start', 'wrap', 'tail', 'keys', 'doctor']) expect(out).toMatch(new RegExp(`^ {2}${name} `, 'm'))
})

test.each([
  [['tial'], /^telltale: unknown command 'tial'\n\(Did you mean tail\?\)\n$/],
  [['tail', '--jsno'], /^telltale: unknown option '--jsno'\n\(Did you mean --json\?\)\n$/],
  [['tail', '-n', 'x'], /^telltale: option .* is invalid\. It must be a whole number from 0 to \d+\.\n$/],
  [['constructor'], /^telltale: unknown command 'constructor'\n$/],
])('the program refuses %j with code 2 and says why on stderr alone', async (args, message) => {
  const end = await run(args)
  expect(end).toMatchObject({ code: 2, out: '' })
  expect(end.err).toMatch(message)
})

test('the program fails with one clear line and code 1, and as JSON when asked to', async () => {
  const line = 'Cannot find the stack: SUPABASE_URL and SUPABASE_SECRET_KEY are not set, and no local.env is there'
  expect(await run(['tail'])).toEqual({ code: 1, out: '', err: `telltale: ${line}\n` })
  expect(await run(['tail', '--json'])).toEqual({ code: 1, out: '', err: `${JSON.stringify({ error: line })}\n` })
})

const row = {
  at: '2026-11-23T19:22:33.045Z',
  service: 'exai',
  environment: 'demo',
  session_key: null,
  call_number: 1,
  tool: 'chat',
  name: 'tools/call chat',
  outcome: 'ok',
  duration_ms: 12,
  layers: { tool: 12 },
  error: null,
}

type Page = { readonly rows: readonly object[]; readonly next: string }

/** Speaks the rpc `tail`: `answer` gives the page for a cursor, or a status to refuse with. */
async function startStack(answer: (args: { cursor: string | null; n: number }) => Page | number, port = 0) {
  const server = createServer(async (request, response) => {
    const page = isTail(request) ? answer(JSON.parse(await bodyOf(request))) : 404
    response.writeHead(typeof page === 'number' ? page : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(typeof page === 'number' ? { message: 'no', code: 'X' } : page))
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const bound = (server.address() as AddressInfo).port
  return { server, port: bound, env: { SUPABASE_URL: `http://127.0.0.1:${bound}`, SUPABASE_SECRET_KEY: 'sb_secret_x' } }
}

function isTail({ method, url, headers }: IncomingMessage): boolean {
  const allowed = headers.apikey === 'sb_secret_x' && headers['content-profile'] === 'telltale'
  return allowed && method === 'POST' && url === '/rest/v1/rpc/tail'
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

test('tail prints the last calls and stops when it is told not to follow', async () => {
  const asked: object[] = []
  const { env } = await startStack((args) => {
    asked.push(args)
    const rows = ['a', 'b'].map((id) => ({ ...row, trace_id: id, revision: 1, environment: id }))
    return { rows, next: '1' }
  })
  const end = await run(['tail', '--no-follow', '-n', '5', '--environment', 'a'], env)
  expect(end).toMatchObject({ code: 0, err: '' })
  expect(end.out).toMatch(/^19:22:33\.045 {2}a\/exai .*#1 .*chat .*12 ms {2}ok .*tool 100%\n$/)
  expect(asked).toEqual([{ cursor: null, n: 5 }])
})

test('tail of one environment looks further back until it has as many calls as wanted', async () => {
  const asked: number[] = []
  const past = Array.from({ length: 60 }, (_, i) => {
    const at = new Date(Date.UTC(2026, 10, 23) + i).toISOString()
    return { ...row, at, trace_id: `t${i}`, revision: 1, environment: i % 10 === 0 ? 'rare' : 'demo' }
  })
  const { env } = await startStack(({ n }) => {
    asked.push(n)
    return { rows: past.slice(-n), next: '1' }
  })
  const idsOf = async (args: readonly string[]) => {
    const { out } = await run(['tail', '--no-follow', '--json', ...args], env)
    return out.match(/(?<="trace_id":")\w+/g) ?? []
  }
  expect(await idsOf(['-n', '4', '--environment', 'rare'])).toEqual(['t20', 't30', 't40', 't50'])
  expect(await idsOf(['-n', '20', '--environment', 'rare'])).toEqual(['t0', 't10', 't20', 't30', 't40', 't50'])
  expect(await idsOf(['-n', '4', '--environment', 'absent'])).toEqual([])
  expect(asked).toEqual([4, pageRowsMax, 20, pageRowsMax, 4, pageRowsMax])
  expect(await idsOf(['-n', '4', '--environment', 'demo'])).toEqual(['t56', 't57', 't58', 't59'])
  expect(await idsOf(['-n', '0', '--environment', 'rare'])).toEqual([])
  expect(asked.slice(6)).toEqual([4, 1])
})

test('tail -n 0 begins with none of the past, and shows what comes', async () => {
  const asked: (string | null)[] = []
  const { env } = await startStack(({ cursor, n }) => {
    asked.push(cursor)
    if (n < 1) return 400
    return { rows: [{ ...row, trace_id: cursor === null ? 'past' : 'new', revision: 1 }], next: '1' }
  })
  const { child, said, ended } = begin(['tail', '--json', '-n', '0'], env)
  await eventually(() => said.out.includes('new'), 10_000)
  child.kill('SIGINT')
  expect((await ended).out).not.toContain('past')
  expect(asked.slice(0, 2)).toEqual([null, '1'])
})

test('tail outlives a stack that restarts, says so once, shows nothing twice, and stops at SIGINT', async () => {
  let last = 1
  const answer = ({ cursor }: { cursor: string | null }): Page => {
    const rows = [last - 1, last].map((id) => ({ ...row, trace_id: `t${id}`, revision: 1 }))
    return { rows: cursor === null || Number(cursor) <= last ? rows : [], next: `${last}` }
  }
  const first = await startStack(answer)
  const { child, said, ended } = begin(['tail', '--json'], first.env)
  await eventually(() => said.out.includes('t1'), 10_000)
  first.server.close()
  first.server.closeAllConnections()
  await eventually(() => said.err.includes('waiting for it to come back'), 10_000)
  last = 2
  await startStack(answer, first.port)
  await eventually(() => said.out.includes('t2'), 10_000)
  child.kill('SIGINT')
  const { code, out, err } = await ended
  expect(code).toBe(process.platform === 'win32' ? null : 0)
  expect(out.match(/"trace_id":"t\d"/g)).toEqual(['t0', 't1', 't2'].map((id) => `"trace_id":"${id}"`))
  expect(err.match(/waiting for it to come back/g)).toHaveLength(1)
  expect(err).toMatch(/connected again\n$/)
})

test('tail stops when its reader has gone', async () => {
  let id = 0
  const { env } = await startStack(() => ({ rows: [{ ...row, trace_id: `t${id++}`, revision: 1 }], next: `${id}` }))
  const { child, said, ended } = begin(['tail', '--json'], env)
  await eventually(() => said.out !== '', 10_000)
  child.stdout.destroy()
  expect((await ended).code).toBe(0)
})

test('tail gives up on a stack that refuses it', async () => {
  const { env } = await startStack(() => 403)
  const { code, err } = await run(['tail'], env)
  expect(code).toBe(1)
  expect(err).toMatch(/^telltale: Cannot call tail at http:\/\/127\.0\.0\.1:\d+: 403 no\n$/)
})

test('doctor says where Redis and the dashboard should be, and what is there', async () => {
  const { env } = await startStack(() => 404)
  const url = env.SUPABASE_URL as string
  const more = { TELLTALE_URL: url, UPSTASH_REDIS_REST_URL: `${url}/redis`, UPSTASH_REDIS_REST_TOKEN: 't' }
  const { findings } = JSON.parse((await run(['doctor', '--json'], { ...env, ...more })).out)
  const wrong = findings.filter(({ name, ok }: { name: string; ok: boolean }) => !ok && /redis|dashboard/.test(name))
  expect(wrong.map(({ detail }: { detail: string }) => detail)).toEqual([
    `Cannot use Redis: ${url}/redis answers 404, so the live view is degraded`,
    `Cannot open the dashboard: ${url} answers 404`,
  ])
})

test('doctor looks at everything, and fails where one thing is wrong', async () => {
  const { code, out } = await run(['doctor', '--json'])
  expect(code).toBe(1)
  const { healthy, findings } = JSON.parse(out)
  expect(healthy).toBe(false)
  const byName = Object.fromEntries(findings.map((one: { name: string; ok: boolean }) => [one.name, one.ok]))
  // What is not set here need not be: a hosted project's functions know their own.
  expect(byName).toEqual({
    node: true,
    settings: false,
    gateway: true,
    'ingest key': false,
    store: false,
    redis: true,
    dashboard: true,
  })
})
