import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { closeMsMax } from '../src/core/limit.ts'
import { type HttpServer, openHttpServer, PortTaken } from '../src/local/http_server.ts'
import { dataDirOf, readLocalEnv, readLocalEnvFile, writeLocalEnv } from '../src/local/local_env.ts'
import { readProjectKeys } from '../src/local/project_key.ts'
import { gatewayOf } from './gateway_fixture.ts'

const dirs: string[] = []
const servers: HttpServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true })
})

function freshDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'telltale-gateway-'))
  dirs.push(dir)
  return dir
}

/** A gateway whose rooms answer with what they were asked. */
async function openGateway(guard: { host?: string; allowedHosts?: readonly string[] } = {}): Promise<HttpServer> {
  const echo = async (request: Request) =>
    Response.json({ path: new URL(request.url).pathname, body: await request.text(), method: request.method })
  const dashboard = () => new Response('<!doctype html>', { headers: { 'Content-Type': 'text/html' } })
  const functions = { ingest: echo, tick: echo, live: echo, why: echo, mcp: echo }
  const app = gatewayOf({ rest: echo, auth: echo, realtime: echo, redis: echo, functions, dashboard }, guard)
  const server = await openHttpServer({ host: '127.0.0.1', port: 0 }, app.fetch)
  servers.push(server)
  return server
}

/** fetch() cannot name another host than the one it calls. */
async function ask(url: string, headers: Record<string, string>, method = 'GET') {
  const outgoing = request(url, { method, headers, agent: false })
  outgoing.end()
  const [answer] = await once(outgoing, 'response')
  let text = ''
  for await (const piece of answer) text += piece
  return { status: answer.statusCode as number, headers: answer.headers as Record<string, string>, text }
}

test.each([
  ['127.0.0.1:8080', 200],
  ['localhost', 200],
  ['LOCALHOST:1', 200],
  ['[::1]:8080', 200],
  ['telltale.localhost', 200],
  ['host.docker.internal:8080', 200],
  ['evil.example', 421],
  ['127.0.0.1.evil.example', 421],
  ['localhost.evil.example', 421],
  ['192.168.1.9', 421],
  ['a b', 400],
])('a request for host %j is answered %i', async (host, status) => {
  const { url } = await openGateway({ allowedHosts: ['host.docker.internal'] })
  const answer = await ask(`${url}/healthz`, { Host: host })
  expect(answer.status).toBe(status)
  if (status === 421) expect(answer.text).toContain('TELLTALE_ALLOWED_HOSTS')
})

test('a gateway that listens everywhere is called by any address, and by no name', async () => {
  const { url } = await openGateway({ host: '0.0.0.0' })
  expect((await ask(`${url}/healthz`, { Host: '192.168.1.9:8080' })).status).toBe(200)
  expect((await ask(`${url}/healthz`, { Host: 'rebound.example' })).status).toBe(421)
})

test.each([
  ['http://192.168.1.9:5173', 200],
  ['http://127.0.0.1', 200],
  ['http://[::1]', 200],
  ['http://10.0.0.7', 200],
  ['http://6.6.6.6', 403],
  ['http://[2001:db8::6]', 403],
  ['http://rebound.example', 403],
])('a gateway that listens everywhere answers a page of %s with %i', async (origin, status) => {
  const { url } = await openGateway({ host: '0.0.0.0', allowedHosts: ['10.0.0.7'] })
  const answer = await ask(`${url}/healthz`, { Host: '192.168.1.9:8080', Origin: origin })
  expect(answer.status).toBe(status)
})

test.each([
  ['http://127.0.0.1:5173', 200],
  ['http://localhost', 200],
  ['https://evil.example', 403],
  ['http://localhost.evil.example', 403],
  ['null', 403],
  ['file://', 403],
])('a page of %s is answered %i', async (origin, status) => {
  const { url } = await openGateway()
  const answer = await ask(`${url}/rest/v1/rpc/x`, { Origin: origin })
  expect(answer.status).toBe(status)
  expect(answer.headers['access-control-allow-origin']).toBe(status === 200 ? origin : undefined)
})

test('a preflight of an allowed page is answered, one of a foreign page is not', async () => {
  const { url } = await openGateway()
  const wish = { 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'apikey,content-profile' }
  const answer = await ask(`${url}/rest/v1/rpc/x`, { Origin: 'http://localhost:5173', ...wish }, 'OPTIONS')
  expect(answer.status).toBe(204)
  expect(answer.headers['access-control-allow-headers']).toContain('apikey')
  expect((await ask(`${url}/rest/v1/rpc/x`, { Origin: 'https://evil.example', ...wish }, 'OPTIONS')).status).toBe(403)
})

test('each room sees the path that it would see in a hosted project, and the body as sent', async () => {
  const { url } = await openGateway()
  const post = async (path: string) => (await fetch(`${url}${path}`, { method: 'POST', body: 'é' })).json()
  expect(await post('/rest/v1/rpc/f')).toEqual({ path: '/rpc/f', body: 'é', method: 'POST' })
  expect(await post('/functions/v1/ingest')).toEqual({ path: '/ingest', body: 'é', method: 'POST' })
  expect(await post('/functions/v1/ingest/v1/traces')).toEqual({ path: '/ingest/v1/traces', body: 'é', method: 'POST' })
  expect(await post('/functions/v1/tick')).toEqual({ path: '/tick', body: 'é', method: 'POST' })
  expect(await post('/functions/v1/live')).toEqual({ path: '/live', body: 'é', method: 'POST' })
  expect(await post('/auth/v1/token')).toEqual({ path: '/token', body: 'é', method: 'POST' })
  expect(await post('/realtime/v1/api/broadcast')).toEqual({ path: '/api/broadcast', body: 'é', method: 'POST' })
  expect(await post('/redis/pipeline')).toEqual({ path: '/pipeline', body: 'é', method: 'POST' })
  const other = await fetch(`${url}/functions/v1/other`)
  expect([other.status, other.headers.get('content-type')]).toEqual([404, 'application/problem+json'])
  expect((await fetch(`${url}/`)).headers.get('content-type')).toContain('text/html')
})

test('health is that of the database', async () => {
  const host = { headers: { host: '127.0.0.1' } }
  const answer = await gatewayOf({ isHealthy: async () => false }).request('http://127.0.0.1/healthz', host)
  expect([answer.status, await answer.json()]).toEqual([503, { name: 'telltale', status: 'unavailable' }])
})

test('openHttpServer() says who has the port, and how to choose another', async () => {
  const { url } = await openGateway()
  const port = Number(new URL(url).port)
  const error = await openHttpServer({ host: '127.0.0.1', port }, () => new Response()).catch((e: unknown) => e)
  expect(error).toBeInstanceOf(PortTaken)
  expect(String(error)).toContain(`PORT=${port + 1} npm start`)
  if (process.platform === 'linux') expect(String(error)).toContain(`process ${process.pid} (`)
})

test('close() ends idle connections at once and waits for requests under way', async () => {
  let release: (answer: Response) => void = () => undefined
  const server = await openHttpServer(
    { host: '127.0.0.1', port: 0 },
    () => new Promise<Response>((resolve) => (release = resolve)),
  )
  const answer = fetch(server.url)
  await expect.poll(() => release.length).toBe(1)
  const closed = server.close()
  const startedAt = performance.now()
  release(new Response('late'))
  expect(await (await answer).text()).toBe('late')
  await closed
  expect(performance.now() - startedAt).toBeLessThan(closeMsMax / 2)
  await expect(fetch(server.url)).rejects.toThrow()
})

test('readProjectKeys() makes keys once, for their owner alone, and never overwrites what it cannot read', async () => {
  const dir = freshDir()
  const keys = await readProjectKeys(dir)
  expect(await readProjectKeys(dir)).toEqual(keys)
  expect(keys.publishableKey).toMatch(/^sb_publishable_[\w-]+$/)
  expect(keys.secretKey).toMatch(/^sb_secret_[\w-]+$/)
  expect(keys.ingestKey).toMatch(/^tt_[a-z0-9]{12}_[\w-]{43}$/)
  const path = join(dir, 'project.json')
  if (process.platform !== 'win32') expect(statSync(path).mode & 0o777).toBe(0o600)
  writeFileSync(path, '{')
  await expect(readProjectKeys(dir)).rejects.toThrow(/damaged/)
  expect(readFileSync(path, 'utf8')).toBe('{')
})

test('local.env reads the same in a shell, in a dotenv parser and in readLocalEnvFile()', async () => {
  const dir = freshDir()
  const settings = {
    SUPABASE_URL: 'http://127.0.0.1:1',
    SUPABASE_SECRET_KEY: 'a$b#c "d" `e`',
    TELLTALE_INGEST_KEY: 'k',
  }
  writeLocalEnv(dir, settings)
  expect(readLocalEnvFile(dir)).toEqual(settings)
  const { parseEnv } = await import('node:util')
  expect(parseEnv(readFileSync(join(dir, 'local.env'), 'utf8'))).toEqual(settings)
  if (process.platform === 'win32') return
  expect(statSync(join(dir, 'local.env')).mode & 0o777).toBe(0o600)
  const shell = spawn('sh', ['-c', `. "${dir}/local.env"; printf %s "$SUPABASE_SECRET_KEY"`], {
    env: { PATH: process.env.PATH },
  })
  let text = ''
  for await (const piece of shell.stdout) text += piece
  expect(text).toBe(settings.SUPABASE_SECRET_KEY)
  expect(() => writeLocalEnv(dir, { X: "it's" })).toThrow()
})

test('readLocalEnv() never pairs an address of the environment with a key of the embedded stack', () => {
  const dir = freshDir()
  expect(readLocalEnv({ TELLTALE_DATA_DIR: dir })).toEqual({})
  writeLocalEnv(dir, {
    SUPABASE_URL: 'u',
    SUPABASE_SECRET_KEY: 's',
    TELLTALE_INGEST_URL: 'i',
    TELLTALE_INGEST_KEY: 'k',
  })
  expect(readLocalEnv({ TELLTALE_DATA_DIR: dir, SUPABASE_URL: 'https://hosted' })).toEqual({
    TELLTALE_INGEST_URL: 'i',
    TELLTALE_INGEST_KEY: 'k',
  })
  expect(dataDirOf({}).endsWith('.telltale')).toBe(true)
})
