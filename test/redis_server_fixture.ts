import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

// A real redis-server, and the least of a client for it: replies come as the JSON that Upstash's REST gives for them.

const required = (process.env.TELLTALE_REQUIRE ?? '').split(',').includes('redis')

/** Why tests against a Redis server cannot run here; null when they can or must. */
export function noRedisReason(): string | null {
  if (required) return null
  const { stdout } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' })
  if (!stdout) return 'no redis-server is installed'
  // Error texts differ a little from one version to the next.
  return stdout.includes(' v=7.0.') ? null : `they need redis-server 7.0, and here is ${stdout.split(' sha')[0]}`
}

export type WireReply = {
  /** JSON: `{"result":...}` or `{"error":...}`. */
  readonly text: string
  readonly isError: boolean
  /** The texts of an array's elements: EXEC answers with one. */
  readonly parts: readonly string[]
}

export type RedisServer = {
  send(commands: readonly (readonly string[])[], base64: boolean): Promise<readonly WireReply[]>
  stop(): Promise<void>
}

/** A server of its own on a free port, thrown away by `stop`. */
export async function startRedisServer(): Promise<RedisServer> {
  const dir = mkdtempSync(join(tmpdir(), 'telltale-redis-'))
  const port = await freePort()
  const settings = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no']
  const server = spawn('redis-server', settings, { stdio: 'ignore', cwd: dir })
  const socket = await connected(port, server)
  const exchange = exchangeOver(socket)
  return {
    send: exchange,
    async stop() {
      socket.destroy()
      const ended = server.exitCode === null ? once(server, 'exit') : null
      server.kill('SIGTERM')
      await ended
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function connected(port: number, server: ChildProcess): Promise<Socket> {
  for (let tries = 0; tries < 200; tries += 1) {
    const socket = connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return socket
    } catch {
      await wait(25)
    }
  }
  server.kill('SIGKILL')
  throw new Error(`Cannot reach redis-server: nothing answers on port ${port}`)
}

type Waiting = { readonly base64: boolean; readonly resolve: (reply: WireReply) => void }

function exchangeOver(socket: Socket): RedisServer['send'] {
  const waiting: Waiting[] = []
  let unread = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    unread = Buffer.concat([unread, chunk])
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      const reply = readReply(unread, 0, first.base64)
      if (reply === null) return
      unread = unread.subarray(reply.next)
      waiting.shift()
      first.resolve({ text: wrapped(reply), isError: reply.isError, parts: reply.parts.map(wrapped) })
    }
  })
  return (commands, base64) => {
    const replies = commands.map(() => new Promise<WireReply>((resolve) => waiting.push({ base64, resolve })))
    socket.write(Buffer.concat(commands.map(wireOf)))
    return Promise.all(replies)
  }
}

function wireOf(args: readonly string[]): Buffer {
  const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`)
  return Buffer.from(`*${args.length}\r\n${parts.join('')}`)
}

type ParsedReply = {
  readonly json: string
  readonly next: number
  readonly isError: boolean
  readonly parts: readonly ParsedReply[]
}

function wrapped({ json, isError }: ParsedReply): string {
  return isError ? `{"error":${json}}` : `{"result":${json}}`
}

/** One reply of RESP 2 from `start`; null while its end has not come. */
function readReply(buffer: Buffer, start: number, base64: boolean): ParsedReply | null {
  const end = buffer.indexOf('\r\n', start)
  if (end < 0) return null
  const line = buffer.toString('latin1', start + 1, end)
  const kind = String.fromCharCode(buffer[start] ?? 0)
  const next = end + 2
  const plain = (json: string, after = next) => ({ json, next: after, isError: false, parts: [] })
  if (kind === ':') return plain(line)
  if (kind === '-') return { ...plain(textOf(buffer.subarray(start + 1, end), false)), isError: true }
  if (kind === '+') return plain(textOf(buffer.subarray(start + 1, end), base64 && line !== 'OK'))
  const length = Number(line)
  if (length < 0) return plain('null')
  if (kind === '*') return readArray(buffer, next, length, base64)
  if (buffer.length < next + length + 2) return null
  return plain(textOf(buffer.subarray(next, next + length), base64), next + length + 2)
}

function readArray(buffer: Buffer, start: number, length: number, base64: boolean): ParsedReply | null {
  const parts: ParsedReply[] = []
  let next = start
  for (let i = 0; i < length; i += 1) {
    const part = readReply(buffer, next, base64)
    if (part === null) return null
    next = part.next
    parts.push(part)
  }
  return { json: `[${parts.map(({ json }) => json).join(',')}]`, next, isError: false, parts }
}

function textOf(bytes: Buffer, base64: boolean): string {
  return base64 ? `"${bytes.toString('base64')}"` : JSON.stringify(bytes.toString('utf8'))
}
