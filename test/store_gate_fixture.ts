import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A door before a project's address, through which an edge calls its stores, and which can be shut. */
export type StoreGate = {
  readonly url: string
  /** Paths of the calls that came, oldest first. */
  readonly calls: string[]
  /** Drops every call, as an address where nothing answers. */
  shut(): void
  /** Lets calls through, those that waited too. */
  open(): void
  /** Lets calls whose path ends so wait until `open`. */
  hold(pathEnd: string): void
  close(): Promise<void>
}

export async function openStoreGate(target: string): Promise<StoreGate> {
  const calls: string[] = []
  let isShut = false
  let heldEnd: string | null = null
  let held: (() => void)[] = []

  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? '/'
    calls.push(path)
    if (isShut) incoming.socket.destroy()
    else if (heldEnd !== null && path.endsWith(heldEnd)) held.push(() => forward(target, incoming, outgoing))
    else forward(target, incoming, outgoing)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    shut() {
      isShut = true
    },
    open() {
      isShut = false
      heldEnd = null
      for (const go of held.splice(0)) go()
    },
    hold(pathEnd) {
      heldEnd = pathEnd
    },
    async close() {
      held = []
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function forward(target: string, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { host: _, ...headers } = incoming.headers
  const onward = request(new URL(incoming.url ?? '/', target), { method: incoming.method ?? 'GET', headers })
  onward.on('response', (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(outgoing)
  })
  onward.on('error', () => incoming.socket.destroy())
  incoming.pipe(onward)
}
