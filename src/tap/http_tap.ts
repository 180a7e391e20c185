import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { tapHeadersBytesMax } from '../core/limit.ts'
import { HttpTarget, relayExchange, relayUpgrade } from './http_exchange.ts'
import { type HttpObserverOptions, HttpSessions } from './http_session.ts'
import { HttpWatch } from './http_watch.ts'

export type HttpTapOptions = {
  /** Port 0: a free one. */
  readonly listen: { readonly host: string; readonly port: number }
  /** http or https. Its path, if it has one, is meant by requests for `/`. */
  readonly target: URL
  /** Null: exchanges pass unread. */
  readonly observer: HttpObserverOptions | null
  /** Told once when reading failed. */
  readonly warn: (text: string) => void
}

export type HttpTap = {
  readonly port: number
  /** Ends every connection, and records what ran as cancelled. */
  readonly close: () => Promise<void>
  /** Resolves when the tap is closed. */
  readonly ended: Promise<void>
}

/**
 * Listens in front of an MCP server on HTTP: the Streamable HTTP transport of every revision, with sessions or without,
 * the HTTP+SSE transport of 2024-11-05, and whatever else is asked there, unread. Rejects when it cannot listen.
 */
export async function startHttpTap({ listen, target, observer, warn }: HttpTapOptions): Promise<HttpTap> {
  const far = new HttpTarget(target)
  const sessions = observer && new HttpSessions(observer)
  const ids = new WeakMap<Socket, string>()
  let warned = false
  const warnOnce = (text: string) => {
    if (!warned) warn(text)
    warned = true
  }
  const idOf = (socket: Socket): string => {
    const id = ids.get(socket) ?? randomUUID()
    ids.set(socket, id)
    return id
  }
  // A call may take any time, and so may a stream.
  const server = createServer({ requestTimeout: 0, maxHeaderSize: tapHeadersBytesMax }, (request, response) => {
    const watch = sessions && new HttpWatch(sessions, request, idOf(request.socket), warnOnce)
    response.on('error', () => response.destroy())
    relayExchange(far, request, response, watch).catch((error: unknown) => {
      warnOnce(`Cannot relay an exchange: ${error instanceof Error ? error.message : String(error)}`)
      response.destroy()
    })
  })
  const upgraded = new Set<Duplex>()
  server.on('upgrade', (request, socket, head) => {
    upgraded.add(socket)
    socket.once('close', () => upgraded.delete(socket))
    relayUpgrade(far, request, socket, head)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(listen.port, listen.host, () => resolve())
  })
  const ended = new Promise<void>((resolve) => server.once('close', () => resolve()))
  return {
    port: (server.address() as AddressInfo).port,
    ended,
    async close() {
      server.close()
      server.closeAllConnections()
      for (const socket of upgraded) socket.destroy()
      await ended
      sessions?.dropAll()
      far.close()
    },
  }
}
