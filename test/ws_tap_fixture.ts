import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws'
import { startWsTap, type WsTap, type WsTapOptions } from '../src/tap/ws_tap.ts'

/** A WebSocket server of our own on a free port, and what its clients told it when they came. */
export type FarServer = {
  readonly url: URL
  readonly port: number
  readonly server: WebSocketServer
  readonly http: Server
  readonly asked: { readonly url: string | undefined; readonly headers: IncomingHttpHeaders }[]
  readonly sockets: WebSocket[]
  close(): Promise<void>
}

export async function startFarServer(
  onSocket: (socket: WebSocket) => void = () => undefined,
  options: ServerOptions = {},
): Promise<FarServer> {
  const http = createServer((request, response) => {
    response.writeHead(request.url === '/health' ? 200 : 426, { 'x-far': 'yes' }).end(`plain ${request.method}`)
  })
  const server = new WebSocketServer({ server: http, ...options })
  const asked: FarServer['asked'] = []
  const sockets: WebSocket[] = []
  server.on('connection', (socket, request) => {
    asked.push({ url: request.url, headers: request.headers })
    sockets.push(socket)
    socket.on('error', () => undefined)
    onSocket(socket)
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  return {
    url: new URL(`ws://127.0.0.1:${port}`),
    port,
    server,
    http,
    asked,
    sockets,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.terminate()
        server.close()
        http.close(() => resolve())
        http.closeAllConnections()
      }),
  }
}

/** A tap on a free port in front of `target`; without an observer unless one is given. */
export function tapBefore(target: URL, more: Partial<WsTapOptions> = {}): Promise<WsTap> {
  return startWsTap({
    listen: { host: '127.0.0.1', port: 0 },
    target,
    observerOf: null,
    warn: () => undefined,
    ...more,
  })
}

export type Heard = { readonly data: Buffer; readonly binary: boolean }

/** The next messages of a socket, as many as are asked for. */
export function nextMessages(socket: WebSocket, count: number): Promise<readonly Heard[]> {
  return new Promise((resolve, reject) => {
    const heard: Heard[] = []
    const closed = (code: number) => reject(new Error(`Cannot hear ${count} messages: closed with ${code}`))
    const hear = (data: unknown, binary: boolean) => {
      heard.push({ data: data as Buffer, binary })
      if (heard.length < count) return
      socket.off('message', hear)
      socket.off('close', closed)
      resolve(heard)
    }
    socket.on('message', hear)
    socket.once('close', closed)
  })
}

/** How a socket ends: its code and reason. */
export function endOf(socket: WebSocket): Promise<readonly [number, string]> {
  return new Promise((resolve) => socket.once('close', (code, reason) => resolve([code, reason.toString()])))
}

export function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve())
    socket.once('error', reject)
  })
}
