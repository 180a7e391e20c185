import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import type { EdgeRuntime, FunctionName } from './edge_runtime_fixture.ts'

export type Ask = {
  readonly name: FunctionName
  readonly path?: string
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Uint8Array<ArrayBuffer>
  readonly signal?: AbortSignal
}

/** One request on a connection of its own: what became of an earlier body must not be this one's business. */
export async function send(runtime: EdgeRuntime, ask: Ask): Promise<Response> {
  const { name, path = '', method = 'POST', headers = {}, body = '', signal = AbortSignal.timeout(15_000) } = ask
  const length = method === 'GET' ? {} : { 'content-length': Buffer.byteLength(body) }
  const options = { method, headers: { ...headers, ...length }, agent: false, signal }
  const outgoing = request(`${runtime.addressOf(name)}${path}`, options)
  const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>
  outgoing.end(body)
  const [answer] = await answered
  // A body that was refused unread may not arrive whole.
  outgoing.on('error', () => {})
  const text = Buffer.concat(await answer.toArray())
  const status = answer.statusCode ?? 0
  return new Response(status === 204 ? null : text, { status, headers: answer.headers as Record<string, string> })
}

const toldHeaders = ['content-type', 'retry-after', 'allow', 'www-authenticate', 'accept', 'accept-encoding']

/** What a caller can tell one answer from another by: ids and times apart. */
export async function seenOf(answer: Response) {
  const bytes = Buffer.from(await answer.arrayBuffer())
  const isBinary = answer.headers.get('content-type') === 'application/x-protobuf'
  return {
    status: answer.status,
    headers: Object.fromEntries(toldHeaders.map((name) => [name, answer.headers.get(name)])),
    hasRequestId: /^[\w-]{36}$/.test(answer.headers.get('x-request-id') ?? ''),
    body: isBinary ? bytes.toString('base64') : bodyOf(answer.ok, JSON.parse(bytes.toString())),
  }
}

function bodyOf(isOk: boolean, body: object): unknown {
  return isOk ? shapeOf(body) : { ...body, request_id: 'any' }
}

function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf)
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, field]) => [key, shapeOf(field)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )
}
