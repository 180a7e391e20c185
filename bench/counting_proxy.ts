import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What passed to the services of a project, of one kind. */
export type Count = { n: number; bytesOut: number; bytesIn: number }

export type CountingProxy = {
  readonly url: string
  /** By kind: `redis XADD telltale:batches`, `rpc ingest_batch`, `broadcast`. A pipeline counts for each command in it. */
  take(): ReadonlyMap<string, Count>
  close(): Promise<void>
}

/** Stands before a project's services, and counts what the edge asks of them as their bills do. */
export async function openCountingProxy(target: string): Promise<CountingProxy> {
  let counts = new Map<string, Count>()
  const server = createServer(async (incoming, outgoing) => {
    const body = Buffer.concat(await incoming.toArray())
    const answer = await forward(target, incoming, outgoing, body)
    const kinds = kindsOf(incoming.url ?? '/', body)
    for (const kind of kinds) {
      const count = counts.get(kind) ?? { n: 0, bytesOut: 0, bytesIn: 0 }
      count.n += 1
      count.bytesOut += body.length / kinds.length
      count.bytesIn += answer / kinds.length
      counts.set(kind, count)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = counts
      counts = new Map()
      return taken
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function kindsOf(url: string, body: Buffer): string[] {
  const { pathname } = new URL(url, 'http://proxy')
  if (pathname.startsWith('/redis')) {
    const sent = JSON.parse(body.toString()) as readonly (string | readonly string[])[]
    const commands = Array.isArray(sent[0]) ? (sent as readonly (readonly string[])[]) : [sent as readonly string[]]
    return commands.map(([name, key]) => `redis ${name?.toUpperCase()} ${key}`)
  }
  if (pathname === '/realtime/v1/api/broadcast') return ['broadcast']
  return [pathname.replace('/rest/v1/rpc/', 'rpc ')]
}

/** Answers as the target does; how many bytes that were. */
function forward(target: string, incoming: IncomingMessage, outgoing: ServerResponse, body: Buffer): Promise<number> {
  const { host: _, ...headers } = incoming.headers
  return new Promise((resolve) => {
    const onward = request(new URL(incoming.url ?? '/', target), { method: incoming.method ?? 'GET', headers })
    onward.on('response', async (answer) => {
      const bytes = Buffer.concat(await answer.toArray())
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      outgoing.end(bytes)
      resolve(bytes.length)
    })
    onward.on('error', () => {
      outgoing.destroy()
      resolve(0)
    })
    onward.end(body)
  })
}
