import type { WebSocket } from 'ws'
import { webSocketUnsentBytesMax } from '../core/limit.ts'
import type { SocketEnd, SocketObserver } from './ws_observer.ts'

// Codes that say how a connection ended and are never sent (RFC 6455 section 7.4.1).
const [noCode, broken] = [1005, 1006]

/** What went to one side and has not left yet; holds its source up while it is too much. */
class Flow {
  readonly #source: WebSocket
  readonly #target: WebSocket
  #unsentBytes = 0
  #whenEmpty: (() => void) | null = null

  constructor(source: WebSocket, target: WebSocket) {
    this.#source = source
    this.#target = target
  }

  /** A text is sent as text unless `binary`; bytes pass as they are either way. */
  send(data: Buffer, binary: boolean): void {
    this.#unsentBytes += data.length
    if (this.#unsentBytes > webSocketUnsentBytesMax) this.#source.pause()
    this.#target.send(data, { binary }, () => this.#left(data.length))
  }

  /** Once all that was sent has left, or can no longer leave. */
  drained(then: () => void): void {
    if (this.#unsentBytes === 0) then()
    else this.#whenEmpty = then
  }

  #left(bytes: number): void {
    this.#unsentBytes -= bytes
    if (this.#source.isPaused && this.#unsentBytes <= webSocketUnsentBytesMax / 2) this.#source.resume()
    if (this.#unsentBytes > 0) return
    this.#whenEmpty?.()
    this.#whenEmpty = null
  }
}

/**
 * Joins two open sockets: messages, pings and pongs pass in their order and unchanged, but for what the observer puts in
 * a message's place, and an end of one is an end of the other, with its code and reason. What the observer throws
 * reaches nobody: from then on the messages pass unread.
 */
export function joinSockets(
  client: WebSocket,
  server: WebSocket,
  observer: SocketObserver | null,
  warn: (text: string) => void,
): void {
  const told = guarded(observer, warn)
  const toServer = new Flow(client, server)
  const toClient = new Flow(server, client)
  client.on('message', (raw, binary) => {
    const at = performance.now()
    const data = raw as Buffer
    if (!observer?.rewrites) toServer.send(data, binary)
    const text = told((listener) => listener.clientMessage({ data, binary }, at)) ?? null
    if (observer?.rewrites) toServer.send(text === null ? data : Buffer.from(text), binary)
  })
  server.on('message', (raw, binary) => {
    const at = performance.now()
    const data = raw as Buffer
    toClient.send(data, binary)
    told((listener) => listener.serverMessage({ data, binary }, at))
  })
  let ended = false
  const end = (by: SocketEnd['by'], code: number, reason: Buffer) => {
    if (ended) return
    ended = true
    told((listener) => listener.close({ by, code, reason: reason.toString() }, performance.now()))
  }
  passControl(client, server, toServer, (code, reason) => end('client', code, reason))
  passControl(server, client, toClient, (code, reason) => end('server', code, reason))
}

/** Pings, pongs and the end of one side. */
function passControl(from: WebSocket, to: WebSocket, flow: Flow, ended: (code: number, reason: Buffer) => void): void {
  from.on('ping', (data) => to.ping(data, undefined, ignore))
  from.on('pong', (data) => to.pong(data, undefined, ignore))
  // What follows an error is the end, and that is passed on.
  from.on('error', ignore)
  from.on('close', (code, reason) => {
    ended(code, reason)
    if (code === noCode) to.close()
    else if (code !== broken) to.close(code, reason)
    // Without a closing handshake here there is none there, but all that was said before is heard.
    else flow.drained(() => to.terminate())
  })
}

function ignore(): void {
  // Whoever cannot be reached any more closes, and that is passed on.
}

/** Asks the observer, until it throws for the first time. */
function guarded(observer: SocketObserver | null, warn: (text: string) => void) {
  let listener = observer
  return <T>(ask: (listener: SocketObserver) => T): T | undefined => {
    if (!listener) return undefined
    try {
      return ask(listener)
    } catch (error) {
      listener = null
      const why = error instanceof Error ? error.message : String(error)
      warn(`Cannot read a connection any longer, it passes unread: ${why}`)
      return undefined
    }
  }
}
