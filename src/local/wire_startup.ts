import type { Socket } from 'node:net'
import type { MessageReader } from './message_reader.ts'
import { int32Of, messageOf, messageType } from './postgres_message.ts'
import { beginScram, type ScramSecret } from './scram_server.ts'

const code = { cancel: 80877102, ssl: 80877103, gssEncryption: 80877104, majorVersion: 3 }
const startupBytesMax = 10_000
const passwordBytesMax = 10_000

/** What a new connection turned out to want. Null: it left, or spoke no PostgreSQL. */
export type Startup =
  | { readonly kind: 'session'; readonly parameters: Readonly<Record<string, string>> }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secretKey: number }

/** An ErrorResponse. */
export function errorMessage(severity: 'ERROR' | 'FATAL', sqlState: string, text: string): Buffer {
  const field = (letter: string, value: string) => Buffer.from(`${letter}${value}\0`)
  return messageOf(
    messageType.error,
    field('S', severity),
    field('V', severity),
    field('C', sqlState),
    field('M', text),
    Buffer.from([0]),
  )
}

function parametersOf(body: Buffer): Readonly<Record<string, string>> {
  const texts = body.toString('utf8').split('\0')
  const parameters: Record<string, string> = {}
  for (let i = 0; i + 1 < texts.length && texts[i] !== ''; i += 2)
    parameters[texts[i] as string] = texts[i + 1] as string
  return parameters
}

/** NegotiateProtocolVersion: we speak 3.0 and know none of the options named `_pq_.*`. */
function negotiation(parameters: Readonly<Record<string, string>>): Buffer {
  const unknown = Object.keys(parameters).filter((name) => name.startsWith('_pq_.'))
  return messageOf(0x76, int32Of(code.majorVersion << 16), int32Of(unknown.length), ...unknown)
}

/** Reads until a client has said what it wants; declines encryption, for we listen on the loopback interface. */
export async function readStartup(socket: Socket, reader: MessageReader, deadlineAt: number): Promise<Startup | null> {
  for (;;) {
    const head = await reader.read(8, deadlineAt)
    if (head === null) return null
    const size = head.readUInt32BE(0)
    const wanted = head.readUInt32BE(4)
    if (size < 8 || size > startupBytesMax) return null
    const body = await reader.read(size - 8, deadlineAt)
    if (body === null) return null
    if (wanted === code.ssl || wanted === code.gssEncryption) {
      socket.write('N')
    } else if (wanted === code.cancel) {
      return body.length < 8 ? null : { kind: 'cancel', processId: body.readInt32BE(0), secretKey: body.readInt32BE(4) }
    } else if (wanted >>> 16 === code.majorVersion) {
      const parameters = parametersOf(body)
      if ((wanted & 0xffff) > 0) socket.write(negotiation(parameters))
      return { kind: 'session', parameters }
    } else {
      const version = `${wanted >>> 16}.${wanted & 0xffff}`
      socket.write(errorMessage('FATAL', '0A000', `unsupported frontend protocol ${version}: server supports 3.0`))
      return null
    }
  }
}

const authentication = (kind: number, ...parts: (string | Uint8Array)[]) => messageOf(0x52, int32Of(kind), ...parts)

async function readPassword(reader: MessageReader, deadlineAt: number): Promise<Buffer | null> {
  const head = await reader.read(5, deadlineAt)
  if (head === null || head[0] !== messageType.password) return null
  const size = head.readUInt32BE(1)
  return size < 4 || size > passwordBytesMax ? null : reader.read(size - 4, deadlineAt)
}

/**
 * SCRAM-SHA-256 with a client that claims to be `user`; answers whether it proved to be `expected`.
 * An unknown user goes through the same exchange, so that the answer does not tell which of the two was wrong.
 */
export async function authenticate(
  socket: Socket,
  reader: MessageReader,
  deadlineAt: number,
  { user, expected, secret }: { user: string; expected: string; secret: ScramSecret },
): Promise<boolean> {
  socket.write(authentication(10, 'SCRAM-SHA-256', Buffer.from([0])))
  const initial = await readPassword(reader, deadlineAt)
  const exchange = initial === null ? null : beginScram(secret, initial)
  if (exchange === null) return false
  socket.write(authentication(11, Buffer.from(exchange.challenge)))
  const final = await readPassword(reader, deadlineAt)
  const proof = final === null ? null : exchange.verify(final.toString('utf8'))
  if (proof === null || user !== expected) return false
  socket.write(Buffer.concat([authentication(12, Buffer.from(proof)), authentication(0)]))
  return true
}
