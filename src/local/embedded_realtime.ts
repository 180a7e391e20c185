import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import {
  heartbeatMsMax,
  realtimeConnectionsMax,
  realtimeFrameBytesMax,
  rightsMsMax,
  unsentBytesMax,
} from '../core/limit.ts'
import { createCallerReader } from './claims.ts'
import type { Database } from './database.ts'
import { refuseUpgrade } from './http_server.ts'
import type { ProjectKeys } from './project_key.ts'
import { broadcastApp } from './realtime_broadcast.ts'
import { createHub } from './realtime_hub.ts'
import { createIdentityReader } from './realtime_identity.ts'
import { createRightsReader } from './realtime_rights.ts'
import { type Version, versions } from './realtime_serializer.ts'
import { RealtimeSocket, type SocketContext } from './realtime_socket.ts'

export type RealtimeOptions = {
  readonly database: Pick<Database, 'query'>
  readonly keys: ProjectKeys
  /** ms since the epoch. */
  readonly clock?: () => number
  /** Told what went wrong and is not fatal. */
  readonly log?: (line: string) => void
  /** Default: as in limit.ts. */
  readonly heartbeatMs?: number
  readonly rightsMs?: number
  readonly unsentBytesMax?: number
}

export type Realtime = {
  /** Sees `/api/broadcast...` and `/api/ping`. */
  fetch(request: Request): Promise<Response>
  /** Takes `/realtime/v1/websocket?apikey=...&vsn=1.0.0|2.0.0` over, or refuses it in HTTP. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** How many are connected. */
  connections(): number
  /** Ends every connection at once. */
  close(): Promise<void>
}

/**
 * The part of Supabase Realtime that Telltale uses, in this process: broadcast and presence on public channels, and on
 * private ones that the policies on realtime.messages guard. Not served: postgres_changes, stored messages and their replay.
 * @see https://supabase.com/docs/guides/realtime/protocol
 */
export function createRealtime(options: RealtimeOptions): Realtime {
  const { database, keys } = options
  const clock = options.clock ?? Date.now
  const heartbeatMs = options.heartbeatMs ?? heartbeatMsMax
  const log = options.log ?? ((line) => void process.stderr.write(`telltale: ${line}\n`))
  const hub = createHub()
  const readRights = createRightsReader(database, log)
  const readCaller = createCallerReader(keys)
  const context: SocketContext = {
    hub,
    readIdentity: createIdentityReader(keys, clock),
    readRights,
    clock,
    rightsMs: options.rightsMs ?? rightsMsMax,
    unsentBytesMax: options.unsentBytesMax ?? unsentBytesMax,
    log,
  }
  const app = broadcastApp({ hub, readCaller, readRights, log })
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: realtimeFrameBytesMax,
    perMessageDeflate: false,
  })
  const sockets = new Set<RealtimeSocket>()
  let closing = false

  const sweep = setInterval(() => {
    const silentSince = clock() - heartbeatMs
    for (const socket of sockets) if (socket.seenAtMs < silentSince) socket.end(1001, 'No heartbeat came')
  }, heartbeatMs / 4)
  sweep.unref()

  const isKnown = async (apikey: string): Promise<boolean> => {
    try {
      await readCaller(new Headers({ apikey }))
      return true
    } catch {
      return false // Or it is no header at all.
    }
  }
  const accept = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const asked = parseUpgrade(request)
    if ('status' in asked) return refuseUpgrade(socket, Response.json({ message: asked.message }, asked))
    if (closing || sockets.size >= realtimeConnectionsMax) {
      const message = closing
        ? 'Cannot connect: telltale is stopping'
        : 'ConnectionRateLimitReached: Too many connected users'
      return refuseUpgrade(socket, Response.json({ message }, { status: 503, headers: { 'Retry-After': '1' } }))
    }
    const known = await isKnown(asked.apikey)
    if (!known) return refuseUpgrade(socket, Response.json({ message: 'Invalid API key' }, { status: 401 }))
    server.handleUpgrade(request, socket, head, (ws) => {
      const connection = new RealtimeSocket(context, ws, asked.version, asked.apikey)
      sockets.add(connection)
      ws.on('close', () => sockets.delete(connection))
      if (closing) connection.end(1001, 'Telltale is stopping', 0)
    })
  }

  return {
    fetch: async (request) => app.fetch(request),
    upgrade(request, socket, head) {
      accept(request, socket, head).catch((error: unknown) => {
        log(`Cannot accept a realtime connection: ${error instanceof Error ? error.message : error}`)
        socket.destroy()
      })
    },
    connections: () => sockets.size,
    async close() {
      closing = true
      clearInterval(sweep)
      for (const socket of sockets) socket.end(1001, 'Telltale is stopping', 0)
      sockets.clear()
      server.close()
    },
  }
}

type Refusal = { readonly status: number; readonly message: string }

/** The address of a request carries its key, so nothing of it is ever told on. */
function parseUpgrade({ url = '', headers }: IncomingMessage): { apikey: string; version: Version } | Refusal {
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  if (pathname !== '/realtime/v1/websocket') return { status: 404, message: 'Not found' }
  const asked = searchParams.get('vsn') ?? '1.0.0'
  const version = versions.find((known) => known === asked)
  if (version === undefined)
    return { status: 403, message: `Cannot speak version ${asked}: known are ${versions.join(', ')}` }
  const apikey = searchParams.get('apikey') ?? headers['x-api-key'] ?? headers.apikey
  if (typeof apikey !== 'string') return { status: 401, message: 'No API key found in request' }
  return { apikey, version }
}
