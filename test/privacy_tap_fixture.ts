import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Server as NetServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { WebSocket, WebSocketServer } from 'ws'
import { type Env, type Supply, supplyOf, type WayIn } from './privacy_way_fixture.ts'

const mainScript = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))

type StartedTap = {
  readonly url: string
  /** Asks once more of a server that is gone, ends the tap and answers all that it wrote. */
  stop(): Promise<string>
}

/** `telltale tap` in front of the target, of whose address a login and a query are part, with the content of all tools. */
async function startTapBefore(scheme: 'ws' | 'http', far: NetServer, supply: Supply, env: Env): Promise<StartedTap> {
  const names = ['--service', supply.text(), '--instance', supply.text(), '--session', supply.text()]
  const [user, query] = [encodeURIComponent(supply.text()), encodeURIComponent(supply.text())]
  const target = `${scheme}://ann:${user}@127.0.0.1:${(far.address() as AddressInfo).port}/?api_key=${query}`
  const words = ['tap', '--listen', '127.0.0.1:0', '--target', target, ...names, '--content', 'tool=*', '--json']
  const own = { TELLTALE_INGEST_URL: env.TELLTALE_INGEST_URL, TELLTALE_INGEST_KEY: env.TELLTALE_INGEST_KEY }
  const tap = spawn(process.execPath, [mainScript, ...words], { env: { ...process.env, ...own } })
  let printed = ''
  const url = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      printed += chunk.toString()
      const found = /"listening":"([^"]+)"/.exec(printed)?.[1]
      if (found !== undefined) resolve(found)
    }
    tap.stdout.on('data', read)
    tap.stderr.on('data', read)
    tap.once('exit', (code) => reject(new Error(`Cannot start the tap: it left with ${code}: ${printed}`)))
  })
  const stop = async () => {
    far.close()
    await Promise.allSettled([fetch(url.replace('ws:', 'http:')), ...(scheme === 'ws' ? [dialled(url)] : [])])
    const left = once(tap, 'close')
    tap.kill('SIGTERM')
    await left
    return printed
  }
  return { url, stop }
}

/** Resolves when the connection has ended, however. */
function dialled(url: string): Promise<void> {
  return new Promise((resolve) => new WebSocket(url).on('error', () => undefined).once('close', () => resolve()))
}

const damage = '{ "damaged": '

/** No JSON, so that the tap tells of it. */
const damagedOf = (supply: Supply) => `${damage}${JSON.stringify(supply.bag())}`

const argumentsOf = (supply: Supply) => ({ ...supply.bag(), prompt: supply.text(), continuation_id: supply.text() })

/** The WebSocket tap on the EXAI protocol: in turn an answer, an error of the tool and a bare failure. */
export const byWebSocket: WayIn = async (secrets, env) => {
  const supply = supplyOf(secrets)
  const far = createServer()
  far.listen(0, '127.0.0.1')
  await once(far, 'listening')
  let n = 0
  new WebSocketServer({ server: far }).on('connection', (socket) =>
    socket.on('message', (data) => {
      if (String(data).startsWith(damage)) return
      const frame = JSON.parse(String(data)) as { op: string; arguments?: object }
      if (frame.op === 'hello')
        return socket.send(JSON.stringify({ op: 'hello_ack', ok: true, session_id: supply.text() }))
      const text = JSON.stringify(frame.arguments)
      const metadata = supply.bag()
      n += 1
      if (n % 3 === 0)
        return socket.send(JSON.stringify({ error: { code: 'TOOL_ERROR', message: text, details: frame.arguments } }))
      const said = n % 3 === 1 ? text : `Error executing tool: ${text}`
      socket.send(JSON.stringify({ op: 'progress', request_id: 'unknown', name: supply.text(), note: supply.text() }))
      socket.send(
        JSON.stringify({
          op: 'call_tool_res',
          request_id: 'unknown',
          outputs: [{ type: 'text', text: said, metadata }],
        }),
      )
    }),
  )
  const tap = await startTapBefore('ws', far, supply, env)
  const socket = new WebSocket(tap.url)
  await once(socket, 'open')
  let answers = 0
  let answered = () => {}
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data)) as { op?: string; error?: unknown }
    if (frame.op === 'progress') return
    answers += 1
    answered()
  })
  const ask = async (frame: object) => {
    const done = new Promise<void>((resolve) => (answered = resolve))
    socket.send(JSON.stringify(frame))
    await done
  }
  const hello = { op: 'hello', token: supply.text(), jwt: supply.text(), protocolVersion: '1', capabilities: {} }
  await ask({ ...hello, clientInfo: { name: supply.text(), version: supply.text() }, session_id: supply.text() })
  while (supply.left > 0) {
    const name = answers % 10 === 0 ? 'rotate_token' : supply.text()
    await ask({ op: 'call_tool', id: supply.text(), request_id: supply.text(), name, arguments: argumentsOf(supply) })
  }
  socket.send(damagedOf(supply))
  socket.close(1000, 'bye')
  await once(socket, 'close')
  return await tap.stop()
}

type McpAsked = { readonly id: string; readonly params: { readonly arguments: object } }

/** The n-th answer to a call: in turn a result, one that is an error, and an error of the protocol. */
function mcpAnswerOf({ id, params }: McpAsked, n: number): string {
  const text = JSON.stringify(params.arguments)
  const result = { content: [{ type: 'text', text }], structuredContent: params.arguments, isError: n % 2 === 0 }
  const failure = { error: { code: -32_000, message: text, data: params.arguments } }
  return JSON.stringify({ jsonrpc: '2.0', id, ...(n % 3 === 0 ? failure : { result }) })
}

function mcpCallOf(supply: Supply, id: number): string {
  const params = { name: supply.text(), arguments: argumentsOf(supply), _meta: { progressToken: supply.text() } }
  return JSON.stringify({ jsonrpc: '2.0', id: `${id} ${supply.text()}`, method: 'tools/call', params })
}

/** The WebSocket tap on MCP's JSON-RPC, with the stray and damaged messages that it tells of. */
export const byMcpSocket: WayIn = async (secrets, env) => {
  const supply = supplyOf(secrets)
  const far = createServer()
  far.listen(0, '127.0.0.1')
  await once(far, 'listening')
  let n = 0
  new WebSocketServer({ server: far, handleProtocols: () => 'mcp' }).on('connection', (socket) =>
    socket.on('message', (data) => {
      if (String(data).startsWith(damage)) return
      n += 1
      const progress = { progressToken: supply.text(), progress: 1, message: supply.text() }
      socket.send(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: progress }))
      if (n % 20 === 0) socket.send(`stray ${supply.text()}`)
      if (n % 21 === 0) socket.send(JSON.stringify({ jsonrpc: '2.0', id: supply.text(), result: supply.bag() }))
      socket.send(mcpAnswerOf(JSON.parse(String(data)) as McpAsked, n))
    }),
  )
  const tap = await startTapBefore('ws', far, supply, env)
  const socket = new WebSocket(`${tap.url}/?api_key=${encodeURIComponent(supply.text())}`, 'mcp')
  await once(socket, 'open')
  const clientInfo = { name: supply.text(), version: supply.text() }
  const hello = { protocolVersion: supply.text(), clientInfo, capabilities: supply.bag(), arguments: {} }
  let answered = () => {}
  socket.on('message', (data) => {
    if (/^\{"jsonrpc":"2.0","id":"(?:first|\d+ )/.test(String(data))) answered()
  })
  const ask = async (call: string) => {
    const done = new Promise<void>((resolve) => (answered = resolve))
    socket.send(call)
    await done
  }
  await ask(JSON.stringify({ jsonrpc: '2.0', id: 'first', method: 'initialize', params: hello }))
  for (let id = 0; supply.left > 0; id += 1) await ask(mcpCallOf(supply, id))
  socket.send(damagedOf(supply))
  socket.close()
  await once(socket, 'close')
  return await tap.stop()
}

/** The HTTP tap on Streamable HTTP: in turn JSON, an event stream and an error of the protocol. */
export const byHttp: WayIn = async (secrets, env) => {
  const supply = supplyOf(secrets)
  let n = 0
  const far = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    n += 1
    const body = mcpAnswerOf(JSON.parse(Buffer.concat(chunks).toString()) as McpAsked, n)
    const type = n % 3 === 1 ? 'text/event-stream' : 'application/json'
    response.writeHead(n % 10 === 0 ? 500 : 200, { 'content-type': type, 'mcp-session-id': sessionId })
    response.end(n % 3 === 1 ? `event: message\ndata: ${body}\n\n` : body)
  })
  const sessionId = supply.text().replaceAll(/[^\x21-\x7e]/g, '')
  far.listen(0, '127.0.0.1')
  await once(far, 'listening')
  const tap = await startTapBefore('http', far, supply, env)
  for (let id = 0; supply.left > 0; id += 1) {
    const token = supply.text().replaceAll(/[^\x20-\x7e]/g, ' ')
    const headers = {
      authorization: `Bearer ${token}`,
      cookie: token,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-session-id': sessionId,
    }
    const path = `/mcp?api_key=${encodeURIComponent(supply.text())}`
    await (await fetch(tap.url + path, { method: 'POST', headers, body: mcpCallOf(supply, id) })).text()
  }
  far.closeAllConnections()
  return await tap.stop()
}
