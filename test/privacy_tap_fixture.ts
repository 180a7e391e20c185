import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { WebSocket, WebSocketServer } from 'ws'
import { readEntries } from '../src/reporter/spill_entry.ts'
import { type Env, type Supply, supplyOf, type WayIn } from './privacy_way_fixture.ts'
import { runPython } from './python_fixture.ts'

const mainScript = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))

/** `telltale tap` in front of the target, with the content of all tools. */
async function startTapBefore(target: string, supply: Supply, env: Env): Promise<{ tap: ChildProcess; url: string }> {
  const names = ['--service', supply.text(), '--instance', supply.text(), '--session', supply.text()]
  const words = ['tap', '--listen', '127.0.0.1:0', '--target', target, ...names, '--content', 'tool=*', '--json']
  const own = { TELLTALE_INGEST_URL: env.TELLTALE_INGEST_URL, TELLTALE_INGEST_KEY: env.TELLTALE_INGEST_KEY }
  const tap = spawn(process.execPath, [mainScript, ...words], { env: { ...process.env, ...own } })
  let printed = ''
  const url = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      printed += chunk.toString()
      const found = /(?:ws|http):\/\/127\.0\.0\.1:\d+/.exec(printed.replaceAll(target, ''))
      if (found) resolve(found[0])
    }
    tap.stdout.on('data', read)
    tap.stderr.on('data', read)
    tap.once('exit', (code) => reject(new Error(`Cannot start the tap: it left with ${code}: ${printed}`)))
  })
  return { tap, url }
}

async function stop(tap: ChildProcess): Promise<void> {
  const left = once(tap, 'exit')
  tap.kill('SIGTERM')
  await left
}

const argumentsOf = (supply: Supply) => ({ ...supply.bag(), prompt: supply.text(), continuation_id: supply.text() })

/** The WebSocket tap on the EXAI protocol: in turn an answer, an error of the tool and a bare failure. */
export const byWebSocket: WayIn = async (secrets, env) => {
  const supply = supplyOf(secrets)
  const far = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(far, 'listening')
  let n = 0
  far.on('connection', (socket) =>
    socket.on('message', (data) => {
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
  const { tap, url } = await startTapBefore(`ws://127.0.0.1:${(far.address() as AddressInfo).port}`, supply, env)
  const socket = new WebSocket(url)
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
  socket.close()
  await once(socket, 'close')
  await stop(tap)
  far.close()
}

/** The HTTP tap on Streamable HTTP: in turn JSON, an event stream and an error of the protocol. */
export const byHttp: WayIn = async (secrets, env) => {
  const supply = supplyOf(secrets)
  let n = 0
  const far = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { id, params } = JSON.parse(Buffer.concat(chunks).toString()) as { id: string; params: { arguments: object } }
    const text = JSON.stringify(params.arguments)
    const result = { content: [{ type: 'text', text }], structuredContent: params.arguments, isError: n % 2 === 0 }
    n += 1
    const failure = { error: { code: -32_000, message: text, data: params.arguments } }
    const body = JSON.stringify({ jsonrpc: '2.0', id, ...(n % 3 === 0 ? failure : { result }) })
    const type = n % 3 === 1 ? 'text/event-stream' : 'application/json'
    response.writeHead(n % 10 === 0 ? 500 : 200, { 'content-type': type, 'mcp-session-id': sessionId })
    response.end(n % 3 === 1 ? `event: message\ndata: ${body}\n\n` : body)
  })
  const sessionId = supply.text().replaceAll(/[^\x21-\x7e]/g, '')
  far.listen(0, '127.0.0.1')
  await once(far, 'listening')
  const { tap, url } = await startTapBefore(`http://127.0.0.1:${(far.address() as AddressInfo).port}`, supply, env)
  for (let id = 0; supply.left > 0; id += 1) {
    const token = supply.text().replaceAll(/[^\x20-\x7e]/g, ' ')
    const headers = {
      authorization: `Bearer ${token}`,
      cookie: token,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-session-id': sessionId,
    }
    const params = { name: supply.text(), arguments: argumentsOf(supply), _meta: { progressToken: supply.text() } }
    const body = JSON.stringify({ jsonrpc: '2.0', id: `${id} ${supply.text()}`, method: 'tools/call', params })
    const path = `/mcp?api_key=${encodeURIComponent(supply.text())}`
    await (await fetch(url + path, { method: 'POST', headers, body })).text()
  }
  await stop(tap)
  far.closeAllConnections()
  far.close()
}

const pythonScript = `
import json, sys, itertools
import telltale
seeds = json.load(open(sys.argv[1]))
state = {"at": 0}
def seed():
    state["at"] += 1
    return seeds[(state["at"] - 1) % len(seeds)]
def s():
    return seed()["text"]
def bag():
    a, b = seed(), seed()
    return {"plain": a["text"], a["name"]: a["value"], b["text"]: 1, "deep": [{"deeper": b["text"], b["name"]: [b["value"]]}], "json": json.dumps({b["name"]: b["value"]})}
while state["at"] < len(seeds):
    with telltale.start_trace(s(), layer="tool", tool=s(), provider=s(), model=s(), request_id=s(), session=s(), attributes=bag()):
        with telltale.wait(s(), holder=s(), attributes=bag()):
            pass
        try:
            raise ValueError("Cannot call: " + s()) from KeyError(s())
        except ValueError as error:
            telltale.capture_error(error, context=bag())
        telltale.record_event(s(), s(), s(), s(), 1, error=s(), error_type=s(), error_traceback=s(), metadata=bag())
        telltale.record_message(conversation_id=s(), role=s(), model_used=s(), provider_used=s(), tool_name=s(), thinking_mode=s(), token_usage=bag(), metadata=bag())
        telltale.gauge(s()[:200], 1, {"a": s()[:200]})
telltale.flush(20)
telltale.close(10)
print(json.dumps(telltale.status()))
`

/** The Python reporter. */
export const byPython: WayIn = async (secrets, env) => {
  const dir = mkdtempSync(join(tmpdir(), 'telltale-privacy-'))
  const file = join(dir, 'seeds.json')
  writeFileSync(file, JSON.stringify(secrets))
  const own = { TELLTALE_INGEST_URL: env.TELLTALE_INGEST_URL, TELLTALE_INGEST_KEY: env.TELLTALE_INGEST_KEY }
  const more = { TELLTALE_OUTBOX_DIR: env.TELLTALE_OUTBOX_DIR ?? 'none', TELLTALE_SERVICE: 'privacy' }
  const run = await runPython(['-c', pythonScript, file], { env: { ...own, ...more }, msMax: 60_000 })
  rmSync(dir, { recursive: true, force: true })
  if (run.code !== 0) throw new Error(`Cannot report from Python: ${run.err}`)
}

/** What the way leaves on the disk while no edge is there. */
export async function outboxTextOf(way: WayIn, secrets: Parameters<WayIn>[0]): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'telltale-privacy-'))
  const down = { TELLTALE_INGEST_URL: 'http://127.0.0.1:9/', TELLTALE_INGEST_KEY: 'k', TELLTALE_OUTBOX_DIR: dir }
  await way(secrets, down)
  const texts: string[] = []
  for (const name of readdirSync(dir, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.outbox'))) {
    const file = readFileSync(join(dir, name))
    for (const found of readEntries(file)) {
      if (found.kind !== 'batch') continue
      const { body, encoding } = found.batch
      texts.push((encoding === 'gzip' ? gunzipSync(body) : Buffer.from(body)).toString())
    }
  }
  rmSync(dir, { recursive: true, force: true })
  return texts.join('\n')
}
