import { once } from 'node:events'
import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import { type AddressInfo, isIPv6 } from 'node:net'
import type { Duplex } from 'node:stream'
import { createAdaptorServer } from '@hono/node-server'
import { closeMsMax, headersBytesMax, headersMsMax, keepAliveMs, requestMsMax } from '../core/limit.ts'
import { type PortHolder, readPortHolder } from './port_holder.ts'

export type HttpServer = {
  /** With a name that this machine can call, whatever it listens on. */
  readonly url: string
  /** Takes no more requests, waits `closeMsMax` for those under way, then drops them. */
  close(): Promise<void>
}

/** The port belongs to another process. */
export class PortTaken extends Error {
  override readonly name = 'PortTaken'

  constructor(host: string, port: number, holder: PortHolder | null) {
    const who =
      holder === null
        ? 'another process'
        : `process ${holder.pid}${holder.command === null ? '' : ` (${holder.command})`}`
    super(`Cannot listen on ${host}:${port}: ${who} does; choose another port, as in PORT=${nextPort(port)} npm start`)
  }
}

type Listen = { readonly host: string; readonly port: number }

/** Takes a connection over for another protocol, or ends it with `refuseUpgrade`. */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** Answers a request for another protocol in HTTP, and ends its connection. */
export async function refuseUpgrade(socket: Duplex, answer: Response): Promise<void> {
  const body = Buffer.from(await answer.arrayBuffer())
  let headers = ''
  answer.headers.forEach((value, name) => {
    headers += `${name}: ${value}\r\n`
  })
  const status = `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`
  // A client that leaves its own side open would keep the connection for as long as it likes.
  socket.once('finish', () => socket.destroy())
  socket.end(
    Buffer.concat([
      Buffer.from(`${status}\r\n${headers}Content-Length: ${body.length}\r\nConnection: close\r\n\r\n`),
      body,
    ]),
  )
}

/**
 * Serves `fetch` over HTTP, and gives `upgrade` what asks for a WebSocket. Whoever asks for another protocol is answered in
 * HTTP, as if nothing had been asked: Java's own client asks for HTTP/2 with every request. Port 0: any free one.
 * @throws PortTaken
 */
export async function openHttpServer(
  { host, port }: Listen,
  fetch: (request: Request) => Response | Promise<Response>,
  upgrade?: Upgrade,
): Promise<HttpServer> {
  const server = createAdaptorServer({
    fetch,
    serverOptions: {
      maxHeaderSize: headersBytesMax,
      headersTimeout: headersMsMax,
      requestTimeout: requestMsMax,
      keepAliveTimeout: keepAliveMs,
      shouldUpgradeCallback: ({ headers }) => upgrade !== undefined && /^websocket$/i.test(headers.upgrade ?? ''),
    },
  }) as Server
  const upgraded = new Set<Duplex>()
  if (upgrade !== undefined) server.on('upgrade', takenOver(upgrade, upgraded))
  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code === 'EADDRINUSE') throw new PortTaken(host, port, await readPortHolder(port))
    if (code === 'EACCES') throw new Error(`Cannot listen on ${host}:${port}: it needs rights that this user lacks`)
    throw new Error(`Cannot listen on ${host}:${port}: ${error instanceof Error ? error.message : String(error)}`)
  }
  return { url: urlOf(host, (server.address() as AddressInfo).port), close: () => closeServer(server, upgraded) }
}

/** What an address or a header may hold ends at most its own connection. */
function takenOver(upgrade: Upgrade, upgraded: Set<Duplex>): Upgrade {
  return (request, socket, head) => {
    // A client that is gone is no fault of ours.
    socket.on('error', () => socket.destroy())
    socket.on('close', () => upgraded.delete(socket))
    upgraded.add(socket)
    try {
      upgrade(request, socket, head)
    } catch {
      void refuseUpgrade(socket, new Response(null, { status: 400 }))
    }
  }
}

function nextPort(port: number): number {
  return port < 65_535 ? port + 1 : port - 1
}

function urlOf(host: string, port: number): string {
  const callable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${isIPv6(callable) ? `[${callable}]` : callable}:${port}`
}

async function closeServer(server: Server, upgraded: ReadonlySet<Duplex>): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeIdleConnections()
  // A connection becomes idle when its request has been answered, and would then be kept for the next.
  const idle = setInterval(() => server.closeIdleConnections(), 50)
  const timer = setTimeout(() => {
    server.closeAllConnections()
    // Node counts those among the server's connections no more, but waits for them.
    for (const socket of upgraded) socket.destroy()
  }, closeMsMax)
  await closed
  clearInterval(idle)
  clearTimeout(timer)
}
