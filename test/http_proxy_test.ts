import { createHash } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { tapFrameBytesMax } from '../src/core/limit.ts'
import type { Span } from '../src/core/record.ts'
import { createReporter, type Reporter } from '../src/reporter/reporter.ts'
import type { HttpObserverOptions } from '../src/tap/http_session.ts'
import { startHttpTap } from '../src/tap/http_tap.ts'
import { eventually, type IngestFixture, startIngest } from './ingest_fixture.ts'
import { type HttpFixture, listening } from './mcp_http_fixture.ts'

let far: IngestFixture
let reporter: Reporter
const open: { close(): Promise<unknown> }[] = []

beforeEach(async () => {
  far = await startIngest()
  reporter = createReporter({ ingestUrl: far.url, ingestKey: far.key, service: 's', env: {}, flushOnExit: false })
})

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close().catch(() => undefined)
  await reporter.close(200)
  await far.close()
})

function kept<T extends { close(): Promise<unknown> }>(each: T): T {
  open.push(each)
  return each
}

/** A tap in front of `target`; its address is that of the target through it. */
async function tapped(target: URL, more: Partial<HttpObserverOptions> | null = {}): Promise<{ url: URL }> {
  const observer = more && { reporter, context: true, salt: 'salt', ...more }
  const tap = kept(
    await startHttpTap({ listen: { host: '127.0.0.1', port: 0 }, target, observer, warn: (text) => expect.fail(text) }),
  )
  const url = new URL(target.pathname, `http://127.0.0.1:${tap.port}`)
  return { url }
}

async function calls(n: number): Promise<Span[]> {
  const ended = () => far.spans().filter((span) => span.end_us !== null && span.tool !== null)
  await eventually(() => ended().length >= n)
  return ended()
}

/** A server that answers what it was asked, byte for byte, as the client would see it. */
async function startMirror(): Promise<HttpFixture & { readonly seen: string[] }> {
  const seen: string[] = []
  const server = await listening(async (request, response) => {
    const body: Buffer[] = []
    for await (const chunk of request) body.push(chunk)
    const digest = createHash('sha256').update(Buffer.concat(body)).digest('hex')
    seen.push(JSON.stringify({ method: request.method, url: request.url, headers: request.rawHeaders, digest }))
    response.writeHead(207, 'As It Was', [
      'X-Twice',
      'one',
      'x-TWICE',
      'two',
      'Content-Type',
      'application/octet-stream',
    ])
    response.end(Buffer.concat(body))
  })
  return { ...server, seen }
}

/** One request by hand; answers the status line, the headers as they came, and the body. */
function asked(url: URL, method: string, headers: readonly string[], body: Buffer) {
  return new Promise<{ status: string; headers: string[]; body: string }>((resolve, reject) => {
    const outgoing = httpRequest(url, { method, headers: [...headers, 'Host', url.host], agent: false })
    outgoing.on('error', reject).on('response', (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part)).on('error', reject)
      response.on('end', () => {
        const dropped = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding'])
        const raw = response.rawHeaders
        const pairs = raw.flatMap((name, at) =>
          at % 2 === 0 && !dropped.has(name.toLowerCase()) ? [`${name}: ${raw[at + 1]}`] : [],
        )
        resolve({
          status: `${response.statusCode} ${response.statusMessage}`,
          headers: pairs,
          body: Buffer.concat(parts).toString('base64'),
        })
      })
    })
    for (let at = 0; at < body.length; at += 70_000) outgoing.write(body.subarray(at, at + 70_000))
    outgoing.end()
  })
}

test('without context every byte passes as it came, and what is no MCP passes unread', async () => {
  const mirror = kept(await startMirror())
  const { url } = await tapped(mirror.url, { context: false })
  const rpc = Buffer.from('{ "jsonrpc":"2.0", "id":1,"method":"tools/call" ,"params":{"name":"\\u00e9"}}\r\n')
  const cases: [string, string, string[], Buffer][] = [
    [
      'POST',
      '/mcp?token=hush-hush',
      ['Content-Type', 'application/json', 'Cookie', 'a=b', 'X-Odd', '1', 'x-odd', '2', 'Transfer-Encoding', 'chunked'],
      rpc,
    ],
    ['POST', '/register', ['content-type', 'application/json', 'Content-Length', '9'], Buffer.from('{"a": 1 }')],
    ['PUT', '/file', ['Content-Type', 'image/png', 'Transfer-Encoding', 'chunked'], Buffer.alloc(700_000, 7)],
    ['GET', '/.well-known/oauth-protected-resource', ['Authorization', 'Bearer secret-value'], Buffer.alloc(0)],
  ]
  const strip = (text: string) =>
    text
      .replace(/"Host","[^"]*"/, '')
      .replace(/,"(Transfer-Encoding","chunked|Content-Length","\d+|Connection","[a-z-]+)"/gi, '')
  for (const [method, path, headers, body] of cases) {
    const bare = await asked(new URL(path, mirror.url), method, headers, body)
    const through = await asked(new URL(path, url), method, headers, body)
    expect(through).toEqual(bare)
    const [first = '', second = ''] = mirror.seen.splice(0)
    expect(strip(second)).toBe(strip(first))
  }
  await reporter.flush()
  expect(JSON.stringify(far.batches)).not.toMatch(/secret-value|hush-hush|well-known/)
})

test('a signed body, one that is compressed and one that is no UTF-8 pass as they came, and are read where they can be', async () => {
  const mirror = kept(await startMirror())
  const { url } = await tapped(mirror.url)
  const body = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"signed"}}')
  const json = ['Content-Type', 'application/json']
  const odd = Buffer.from(body.toString('latin1').replace('signed', 'sign\xffed'), 'latin1')
  expect((await asked(url, 'POST', [...json, 'Content-Digest', 'x'], body)).body).toBe(body.toString('base64'))
  const packed = gzipSync(Buffer.from(body.toString().replace('signed', 'packed')))
  const gzip = [...json, 'Content-Encoding', 'gzip']
  expect((await asked(url, 'POST', gzip, packed)).body).toBe(packed.toString('base64'))
  expect((await asked(url, 'POST', json, odd)).body).toBe(odd.toString('base64'))
  expect(Buffer.from((await asked(url, 'POST', json, body)).body, 'base64').toString()).toContain(
    '"_meta":{"traceparent":"00-',
  )
  const tools = (await calls(4)).map((span) => span.tool)
  expect(tools).toEqual(['signed', 'packed', 'sign\ufffded', 'signed'])
})

test('startHttpTap() holds back what its client does not read, and passes megabytes unharmed', async () => {
  const size = 24_000_000
  let written = 0
  const server = kept(
    await listening(async (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/octet-stream' })
      for (; written < size; written += 100_000) {
        if (!response.write(Buffer.alloc(100_000, written / 100_000)))
          await new Promise((resolve) => response.once('drain', resolve))
      }
      response.end()
    }),
  )
  const { url } = await tapped(server.url)
  const answer = await fetch(url)
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(written).toBeLessThan(size)
  const bytes = Buffer.from(await answer.arrayBuffer())
  expect(bytes.length).toBe(size)
  expect(bytes.every((byte, at) => byte === Math.floor(at / 100_000) % 256)).toBe(true)
})

test('a body too long to keep flows on unread, and so does all of it where nobody listens or the listener fails', async () => {
  const mirror = kept(await startMirror())
  const json = ['Content-Type', 'application/json', 'Transfer-Encoding', 'chunked']
  const rpc = (message: string) =>
    Buffer.from(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"m":"${message}"}}}`)
  const long = rpc('x'.repeat(tapFrameBytesMax))
  const { url } = await tapped(mirror.url)
  expect((await asked(url, 'POST', json, long)).body === long.toString('base64')).toBe(true)
  const unread = await tapped(mirror.url, null)
  expect((await asked(unread.url, 'POST', json, rpc('y'))).body).toBe(rpc('y').toString('base64'))
  const warnings: string[] = []
  const broken = {
    ...reporter,
    startTrace: () => {
      throw new Error('ours')
    },
  }
  const observer = { reporter: broken, context: true }
  const listen = { host: '127.0.0.1', port: 0 }
  const tap = kept(
    await startHttpTap({ listen, target: mirror.url, observer, warn: (text) => void warnings.push(text) }),
  )
  for (let n = 0; n < 2; n++) {
    const answer = await asked(new URL(`http://127.0.0.1:${tap.port}/mcp`), 'POST', json, rpc('z'))
    expect([answer.status, answer.body]).toEqual(['207 As It Was', rpc('z').toString('base64')])
  }
  expect(warnings).toEqual(['Cannot read an exchange, it passes unread: ours'])
  await reporter.flush()
  expect([far.spans(), far.errors()]).toEqual([[], []])
})

test('a connection that becomes one of another protocol passes both ways', async () => {
  const server = await listening(() => undefined)
  kept(server)
  server.server.on('upgrade', (request, socket) => {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${request.headers.upgrade}\r\nConnection: Upgrade\r\n\r\n`,
    )
    socket.pipe(socket)
  })
  const { url } = await tapped(server.url)
  const socket = connect(Number(url.port), '127.0.0.1')
  let seen = ''
  socket.on('data', (chunk) => {
    seen += chunk
  })
  socket.write('GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: odd/1\r\n\r\nfirst ')
  await eventually(() => seen.includes('first '))
  socket.write('second')
  await eventually(() => seen.endsWith('first second'))
  expect(seen).toContain('Upgrade: odd/1')
  socket.destroy()
})
