import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
  type ServerResponse,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import { tapConnectMsMax, tapFrameBytesMax, tapHeadersBytesMax, tapIdleMsMax } from '../core/limit.ts'
import { endToEndHeaders, isJson, mediaTypeOf, withHeader } from './http_headers.ts'
import type { HttpWatch } from './http_watch.ts'

/** The server behind a tap. */
export class HttpTarget {
  readonly #url: URL
  readonly #agent: HttpAgent

  constructor(url: URL) {
    this.#url = url
    // Idle connections are closed before servers do so: a request into one that is just closing would be lost.
    const options = { keepAlive: true, timeout: tapIdleMsMax, maxSockets: Number.POSITIVE_INFINITY }
    this.#agent = url.protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options)
  }

  /** Asks in the client's place. `upgrade`: the connection is to become one of another protocol. */
  request(from: IncomingMessage, headers: readonly string[], upgrade = false) {
    const { protocol, hostname, port, pathname, search } = this.#url
    // A target with a path is meant where the client names none; any other path is the client's to choose.
    const path = from.url === '/' && pathname !== '/' ? pathname + search : (from.url ?? '/')
    const options: RequestOptions = {
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port: port || (protocol === 'https:' ? 443 : 80),
      method: from.method ?? 'GET',
      path,
      headers: withHeader(headers, 'Host', this.#url.host),
      agent: upgrade ? false : this.#agent,
      maxHeaderSize: tapHeadersBytesMax,
    }
    const outgoing = protocol === 'https:' ? httpsRequest(options) : httpRequest(options)
    outgoing.on('socket', (socket) => {
      if (!socket.connecting) return
      const late = () => outgoing.destroy(new Error(`there was no connection within ${tapConnectMsMax} ms`))
      const timer = setTimeout(late, tapConnectMsMax)
      const stop = () => clearTimeout(timer)
      socket.once('connect', stop).once('close', stop)
    })
    return outgoing
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Takes one exchange from a client to the server and back; `watch` null: unread. */
export async function relayExchange(
  target: HttpTarget,
  request: IncomingMessage,
  response: ServerResponse,
  watch: HttpWatch | null,
): Promise<void> {
  const { method, headers } = request
  const readable = watch !== null && method === 'POST' && isJson(mediaTypeOf(headers))
  if (!readable) return forward(target, request, response, watch, { parts: [], whole: false, changed: null })
  const body = await collected(request)
  if (body === null) return
  const changed = body.whole ? watch.asked(Buffer.concat(body.parts)) : null
  forward(target, request, response, watch, { ...body, changed })
}

type Body = {
  /** What has been read of it. */
  readonly parts: readonly Buffer[]
  /** Whether that is all. */
  readonly whole: boolean
  /** What is sent in its place. */
  readonly changed: Buffer | null
}

/** The body as far as it may be kept; null when the client hung up before its end. */
function collected(request: IncomingMessage): Promise<Pick<Body, 'parts' | 'whole'> | null> {
  return new Promise((resolve) => {
    const parts: Buffer[] = []
    let bytes = 0
    const settle = (result: Pick<Body, 'parts' | 'whole'> | null) => {
      request.off('data', onData)
      resolve(result)
    }
    const onData = (chunk: Buffer) => {
      parts.push(chunk)
      bytes += chunk.length
      if (bytes <= tapFrameBytesMax) return
      request.pause()
      settle({ parts, whole: false })
    }
    request.on('data', onData)
    request.once('end', () => settle({ parts, whole: true }))
    request.once('close', () => settle(null))
    request.on('error', () => settle(null))
  })
}

function forward(
  target: HttpTarget,
  request: IncomingMessage,
  response: ServerResponse,
  watch: HttpWatch | null,
  body: Body,
): void {
  let headers = endToEndHeaders(request.rawHeaders, request.headers.connection)
  const length = body.changed?.length ?? body.parts.reduce((sum, part) => sum + part.length, 0)
  if (body.whole) headers = withHeader(headers, 'Content-Length', String(length))
  else if (request.headers['transfer-encoding'] !== undefined) headers.push('Transfer-Encoding', 'chunked')
  for (const [name, value] of Object.entries(watch?.context ?? {})) headers = withHeader(headers, name, value)
  const outgoing = target.request(request, headers)
  let over = false
  response.once('close', () => {
    if (over || response.writableFinished) return
    over = true
    watch?.left()
    outgoing.destroy()
  })
  const fail = (error: Error) => {
    if (over) return
    over = true
    if (response.headersSent) watch?.broken(error)
    else watch?.unreachable(error)
    if (response.headersSent) response.destroy()
    else refuse(request, response, error)
  }
  outgoing.on('error', fail)
  outgoing.once('response', (incoming) => {
    watch?.answered(incoming)
    pass(incoming, response)
    incoming.on('data', (chunk: Buffer) => watch?.chunk(chunk))
    incoming.once('end', () => {
      over = true
      watch?.ended()
    })
    incoming.on('error', fail)
  })
  for (const part of body.changed ? [body.changed] : body.parts) outgoing.write(part)
  if (body.whole) outgoing.end()
  else request.pipe(outgoing)
}

/** The answer as it came, each part at once. */
function pass(incoming: IncomingMessage, response: ServerResponse): void {
  response.sendDate = false
  const headers = endToEndHeaders(incoming.rawHeaders, incoming.headers.connection)
  response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage ?? '', headers)
  incoming.once('end', () => {
    const { rawTrailers } = incoming
    const pairs = rawTrailers.flatMap((name, at) =>
      at % 2 === 0 ? [[name, rawTrailers[at + 1] ?? ''] as [string, string]] : [],
    )
    if (pairs.length > 0) response.addTrailers(pairs)
  })
  incoming.pipe(response)
  // The head goes with the first of the body where that is there already, and else does not wait for it.
  setImmediate(() => {
    if (!response.writableEnded && !response.destroyed) response.flushHeaders()
  })
}

/** 502, in words that a client of JSON-RPC can read. What the client still sends is let in, so that it gets to read them. */
function refuse(request: IncomingMessage, response: ServerResponse, error: Error): void {
  request.unpipe()
  request.resume()
  const message = `telltale: Cannot reach the server behind this tap: ${'code' in error ? String(error.code) : error.message}`
  const body = JSON.stringify({ jsonrpc: '2.0', error: { code: -32_000, message }, id: null })
  response.writeHead(502, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body)
}

/** A connection that becomes one of another protocol passes unread. */
export function relayUpgrade(target: HttpTarget, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const headers = endToEndHeaders(request.rawHeaders, request.headers.connection)
  const outgoing = target.request(
    request,
    [...headers, 'Connection', 'Upgrade', 'Upgrade', request.headers.upgrade ?? ''],
    true,
  )
  const begin = (incoming: IncomingMessage) => {
    const lines = [`HTTP/1.1 ${incoming.statusCode} ${incoming.statusMessage}`]
    for (let at = 0; at + 1 < incoming.rawHeaders.length; at += 2)
      lines.push(`${incoming.rawHeaders[at]}: ${incoming.rawHeaders[at + 1]}`)
    socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  }
  socket.on('error', () => outgoing.destroy())
  outgoing.on('error', () => socket.destroy())
  outgoing.once('upgrade', (incoming, upstream, first) => {
    upstream.on('error', () => socket.destroy())
    socket.on('close', () => upstream.destroy())
    begin(incoming)
    if (first.length > 0) socket.write(first)
    if (head.length > 0) upstream.write(head)
    upstream.pipe(socket)
    socket.pipe(upstream)
  })
  outgoing.once('response', (incoming) => {
    // Refused: the answer's own framing is undone by now, so that its end is the connection's.
    const { rawHeaders } = incoming
    incoming.rawHeaders = [...endToEndHeaders(rawHeaders, incoming.headers.connection), 'Connection', 'close']
    begin(incoming)
    incoming.pipe(socket)
  })
  outgoing.end()
}
