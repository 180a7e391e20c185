import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  request as startRequest,
} from 'node:http'
import { request as startSecureRequest } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocket, WebSocketServer } from 'ws'
import { tapCloseMsMax, webSocketCloseMsMax, webSocketDialMsMax, webSocketMessageBytesMax } from '../core/limit.ts'
import {
  endToEndHeadersOf,
  endToEndLinesOf,
  offersDeflate,
  passRefusal,
  protocolsOf,
  targetUrlOf,
} from './ws_handshake.ts'
import type { SocketObserver } from './ws_observer.ts'
import { joinSockets } from './ws_relay.ts'

export type WsTapOptions = {
  readonly listen: { readonly host: string; readonly port: number }
  /** Of scheme ws or wss. */
  readonly target: URL
  /** Makes a listener for each connection; null: all pass unread. */
  readonly observerOf: (() => SocketObserver) | null
  /** Told whenever the number of open connections has changed. */
  readonly connections?: (count: number) => void
  readonly warn: (text: string) => void
}

export type WsTap = {
  readonly port: number
  /** Ends every connection as going away (1001), and listens no longer. */
  close(): Promise<void>
}

/** How the target answered an upgrade, to answer the client alike. */
type Agreement = { readonly protocol: string | null; readonly lines: readonly string[] }

// Both sides of the tap pass on what they get, and judge nothing: that is up to the far ends.
const shared = {
  autoPong: false,
  skipUTF8Validation: true,
  maxPayload: webSocketMessageBytesMax,
  closeTimeout: webSocketCloseMsMax,
} as const

/**
 * Listens for WebSocket clients and joins each of them to a connection of its own to the target. Requests over HTTP
 * are passed on too. Rejects when it cannot listen.
 */
export async function startWsTap(options: WsTapOptions): Promise<WsTap> {
  const gate = new Gate(options)
  const server = createServer((request, response) => relayRequest(options.target, request, response))
  server.on('upgrade', (request, socket, head) => gate.admit(request, socket, head))
  await listening(server, options.listen)
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close()
      await gate.close()
      server.closeAllConnections()
    },
  }
}

class Gate {
  readonly #options: WsTapOptions
  readonly #agreements = new WeakMap<IncomingMessage, Agreement>()
  readonly #plain: WebSocketServer
  readonly #deflating: WebSocketServer
  readonly #open = new Set<WebSocket>()
  #joined = 0
  #closing = false

  constructor(options: WsTapOptions) {
    this.#options = options
    this.#plain = this.#serverOf(false)
    this.#deflating = this.#serverOf(true)
  }

  /** Dials the target first: the client is answered as the target answers. */
  admit(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { target, observerOf, warn } = this.#options
    const observer = observerOf === null || this.#closing ? null : made(observerOf, warn)
    const { headers } = request
    const protocols = [...protocolsOf(headers)]
    const server = new WebSocket(targetUrlOf(target, request.url), protocols, {
      ...shared,
      headers: endToEndHeadersOf(headers),
      perMessageDeflate: offersDeflate(headers),
      handshakeTimeout: webSocketDialMsMax,
    })
    this.#keep(server)
    const giveUp = () => server.terminate()
    socket.on('close', giveUp)
    socket.on('error', giveUp)
    server.on('upgrade', (answer) => this.#agreements.set(request, agreementOf(answer, protocols)))
    const failed = (error: Error) => {
      if (!socket.destroyed) refused(observer, error.message)
      // As if nobody listened here: there is nobody behind.
      if ('resetAndDestroy' in socket) (socket as Socket).resetAndDestroy()
      else socket.destroy()
    }
    server.once('unexpected-response', (_asked, answer) => {
      server.off('error', failed)
      refused(observer, `the server answered HTTP ${answer.statusCode}`)
      passRefusal(answer, socket)
      answer.once('close', giveUp)
    })
    server.once('error', failed)
    server.once('open', () => {
      server.off('error', failed)
      socket.off('close', giveUp)
      socket.off('error', giveUp)
      this.#join(request, socket, head, server, observer)
    })
  }

  async close(): Promise<void> {
    this.#closing = true
    const ends = [...this.#open].map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.once('close', () => resolve())
          if (socket.readyState === WebSocket.CONNECTING) socket.terminate()
          else socket.close(1001)
        }),
    )
    const tooLong = setTimeout(() => {
      for (const socket of this.#open) socket.terminate()
    }, tapCloseMsMax)
    await Promise.all(ends)
    clearTimeout(tooLong)
  }

  #join(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    server: WebSocket,
    observer: SocketObserver | null,
  ): void {
    const gate = server.extensions === '' ? this.#plain : this.#deflating
    let joined = false
    gate.handleUpgrade(request, socket, head, (client) => {
      joined = true
      this.#keep(client)
      this.#count(1)
      client.once('close', () => this.#count(-1))
      joinSockets(client, server, observer, this.#options.warn)
    })
    // The client's handshake was no good, and it has been told so.
    if (!joined) server.close()
  }

  #serverOf(deflates: boolean): WebSocketServer {
    const server = new WebSocketServer({
      ...shared,
      noServer: true,
      clientTracking: false,
      perMessageDeflate: deflates,
      handleProtocols: (_offered, request) => this.#agreements.get(request)?.protocol ?? false,
    })
    server.on('headers', (lines, request) => lines.push(...(this.#agreements.get(request)?.lines ?? [])))
    return server
  }

  #keep(socket: WebSocket): void {
    this.#open.add(socket)
    // Not heard by anyone else before the two are joined.
    socket.on('error', () => undefined)
    socket.once('close', () => this.#open.delete(socket))
  }

  #count(change: number): void {
    this.#joined += change
    this.#options.connections?.(this.#joined)
  }
}

function agreementOf(answer: IncomingMessage, protocols: readonly string[]): Agreement {
  const protocol = answer.headers['sec-websocket-protocol'] ?? null
  // A server need not choose; `ws` takes that for an error, and is told that it chose.
  if (protocol === null && protocols[0] !== undefined) answer.headers['sec-websocket-protocol'] = protocols[0]
  return { protocol, lines: endToEndLinesOf(answer) }
}

function made(observerOf: () => SocketObserver, warn: (text: string) => void): SocketObserver | null {
  try {
    return observerOf()
  } catch (error) {
    warn(`Cannot read a connection, it passes unread: ${error instanceof Error ? error.message : String(error)}`)
    return null
  }
}

function refused(observer: SocketObserver | null, why: string): void {
  try {
    observer?.refused(why)
  } catch {
    // The client is answered all the same.
  }
}

/** A request that is no upgrade, such as one for the daemon's health. */
function relayRequest(target: URL, request: IncomingMessage, response: ServerResponse): void {
  const url = targetUrlOf(target, request.url)
  const start = url.protocol === 'wss:' ? startSecureRequest : startRequest
  url.protocol = url.protocol === 'wss:' ? 'https:' : 'http:'
  const onward = start(url, { method: request.method, headers: endToEndHeadersOf(request.headers), agent: false })
  onward.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.statusMessage, endToEndHeadersOf(answer.headers))
    answer.pipe(response)
    answer.on('error', () => response.destroy())
  })
  onward.on('error', () => request.socket.resetAndDestroy())
  request.on('error', () => onward.destroy())
  response.on('close', () => onward.destroy())
  request.pipe(onward)
}

function listening(server: Server, { host, port }: WsTapOptions['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(new Error(`Cannot listen on ${host}:${port}: ${error.message}`)))
    server.listen(port, host, () => resolve())
  })
}
