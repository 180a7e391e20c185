import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { socketClientsMax, socketStartupMsMax } from '../core/limit.ts'
import { createMessageReader } from './message_reader.ts'
import type { PgliteSession } from './pglite_session.ts'
import { int32Of, messageOf, messageType } from './postgres_message.ts'
import { type ScramSecret, scramSecretOf } from './scram_server.ts'
import { createWireClient, type WireClient, type WireLimits, wireLimits } from './wire_client.ts'
import { authenticate, errorMessage, readStartup } from './wire_startup.ts'

export type WireServerOptions = {
  readonly session: PgliteSession
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  /** What a client is told at its start: server_version, TimeZone, ... */
  readonly parameters: Readonly<Record<string, string>>
  /** Ends the statement that runs now. */
  readonly interrupt: () => void
  readonly clientsMax?: number
  readonly limits?: Partial<WireLimits>
}

export type WireServer = {
  /** The port that it listens on. */
  readonly port: number
  close(): Promise<void>
}

const int32Max = 2 ** 31 - 1

type Registered = { readonly secretKey: number; readonly client: WireClient }

/**
 * A server of the PostgreSQL protocol 3.0 over PGlite's one session, for `psql` and other clients on this machine.
 * Every client is the database's owner. Source: https://www.postgresql.org/docs/current/protocol.html
 */
export async function openWireServer(options: WireServerOptions): Promise<WireServer> {
  const { session, host, port, user, password, parameters, interrupt, clientsMax = socketClientsMax } = options
  const limits: WireLimits = { ...wireLimits, ...options.limits }
  const secret: ScramSecret = scramSecretOf(password)
  const clients = new Map<number, Registered>()
  const sockets = new Set<Socket>()

  const greet = (socket: Socket, processId: number, secretKey: number) => {
    socket.write(
      Buffer.concat([
        ...Object.entries(parameters).map(([name, value]) => messageOf(0x53, name, value)),
        messageOf(0x4b, int32Of(processId), int32Of(secretKey)),
        messageOf(messageType.readyForQuery, Buffer.from('I')),
      ]),
    )
  }

  const serve = async (socket: Socket): Promise<void> => {
    const reader = createMessageReader(socket)
    const deadlineAt = Date.now() + socketStartupMsMax
    const startup = await readStartup(socket, reader, deadlineAt)
    if (startup === null) return
    if (startup.kind === 'cancel') {
      const target = clients.get(startup.processId)
      if (target?.secretKey === startup.secretKey && target.client.running) interrupt()
      return
    }
    const claimed = startup.parameters.user ?? ''
    if (!(await authenticate(socket, reader, deadlineAt, { user: claimed, expected: user, secret }))) {
      socket.write(errorMessage('FATAL', '28P01', `password authentication failed for user "${claimed}"`))
      return
    }
    if (clients.size >= clientsMax) {
      socket.write(errorMessage('FATAL', '53300', `sorry, too many clients already: ${clients.size}`))
      return
    }
    let processId = randomInt(1, int32Max)
    while (clients.has(processId)) processId = randomInt(1, int32Max)
    const secretKey = randomInt(1, int32Max)
    const client = createWireClient(socket, reader, session, startup.parameters, limits)
    clients.set(processId, { secretKey, client })
    try {
      greet(socket, processId, secretKey)
      await client.serve()
    } finally {
      clients.delete(processId)
    }
  }

  const server = createServer((socket) => {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => socket.destroy()) // The client has gone; its turn, if it has one, ends.
    socket.on('close', () => sockets.delete(socket))
    serve(socket).then(
      () => socket.end(),
      () => socket.destroy(),
    )
  })
  server.maxConnections = 2 * clientsMax // Some of them have not said yet who they are, or only cancel.
  server.listen(port, host)
  await once(server, 'listening')

  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = once(server, 'close')
      server.close()
      const farewell = errorMessage('FATAL', '57P01', 'terminating connection due to administrator command')
      for (const socket of sockets) {
        socket.write(farewell)
        socket.destroySoon()
        socket.unref()
      }
      await closed
    },
  }
}
