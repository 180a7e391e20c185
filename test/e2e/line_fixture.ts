import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket, connect as tcpConnect } from 'node:net'

/** The way from a client to a server of this machine, which can break as ways do. */
export type Line = {
  readonly url: string
  /** Every connection breaks, and new ones break at once. */
  cut(): void
  /** Nothing comes through either way, and nobody is told. */
  stall(): void
  /** It is whole again; what was held up comes through. */
  mend(): void
  /** The WebSockets alone break; new ones are let through. */
  cutSockets(): void
  /** How many WebSockets were opened so far. */
  socketsOpened(): number
  /** Says a text to the server on every WebSocket, as the client. */
  say(text: string): void
  close(): Promise<void>
}

type Ways = { readonly near: Socket; readonly far: Socket; isSocket: boolean }

export async function openLine(target: string): Promise<Line> {
  const { hostname, port } = new URL(target)
  const ways = new Set<Ways>()
  let state: 'whole' | 'cut' | 'stalled' = 'whole'
  let opened = 0

  const flow = ({ near, far }: Ways) => {
    for (const end of [near, far]) if (state === 'stalled') end.pause()
    for (const end of [near, far]) if (state === 'whole') end.resume()
  }
  const drop = (way: Ways) => {
    ways.delete(way)
    way.near.resetAndDestroy()
    way.far.resetAndDestroy()
  }
  const server = createServer({ pauseOnConnect: true }, (near) => {
    if (state === 'cut') return void near.resetAndDestroy()
    const way: Ways = { near, far: tcpConnect(Number(port), hostname), isSocket: false }
    ways.add(way)
    near.once('data', (head: Buffer) => {
      // Browsers open a connection of its own for each WebSocket.
      way.isSocket = /^GET \S*\/websocket\b/.test(head.toString('latin1', 0, 200))
      if (way.isSocket) opened += 1
    })
    for (const [from, to] of [
      [way.near, way.far],
      [way.far, way.near],
    ] as const) {
      // Not by pipe, which would end a pause of its source.
      from.on('data', (chunk: Buffer) => to.write(chunk))
      from.on('error', () => to.destroy())
      // What came before the end still has to go.
      from.on('close', () => {
        to.end()
        // One that is held back does not notice the end of the other before it is let go on.
        if (near.destroyed && way.far.destroyed) ways.delete(way)
      })
    }
    flow(way)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut() {
      state = 'cut'
      for (const way of ways) drop(way)
    },
    stall() {
      state = 'stalled'
      for (const way of ways) flow(way)
    },
    mend() {
      state = 'whole'
      for (const way of ways) flow(way)
    },
    cutSockets() {
      for (const way of ways) if (way.isSocket) drop(way)
    },
    socketsOpened: () => opened,
    say(text) {
      for (const { far, isSocket } of ways) if (isSocket) far.write(maskedFrame(text))
    },
    async close() {
      for (const way of ways) drop(way)
      server.close()
      await once(server, 'close')
    },
  }
}

/** One whole text message of a client, RFC 6455 section 5.2; at most 65,535 bytes. */
function maskedFrame(text: string): Buffer {
  const bytes = Buffer.from(text)
  const mask = randomBytes(4)
  const isLong = bytes.length > 125
  const head = Buffer.from([0x81, 0x80 | (isLong ? 126 : bytes.length)])
  const length = Buffer.alloc(isLong ? 2 : 0)
  if (isLong) length.writeUInt16BE(bytes.length)
  return Buffer.concat([head, length, mask, bytes.map((byte, at) => byte ^ (mask[at % 4] ?? 0))])
}
