// The client of the demonstration, a process of its own: plays scripts against MCP servers until its stdin closes, so
// that it never outlives whoever started it; its own servers end by the same rule.
import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { type Chance, chanceOf } from './chance.ts'
import { pause, playConversations } from './daemon_script.ts'
import { type ServerScript, serverScripts } from './server_script.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const stepMs = 1_300
const restMs = 2_000
const leaveMsMax = 1_200

const stop = new AbortController()
for (const event of ['end', 'close', 'error']) process.stdin.once(event, () => stop.abort())
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => stop.abort())
process.stdin.resume()
stop.signal.addEventListener('abort', () => setTimeout(() => process.exit(0), leaveMsMax).unref())

/** Starts a server, plays with it, and sees it out. */
async function withServer(
  args: readonly string[],
  env: { readonly [name: string]: string },
  play: (client: Client) => Promise<void>,
): Promise<void> {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== undefined))
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [...args],
    env: { ...(inherited as { [name: string]: string }), ...env },
    stderr: 'ignore',
  })
  const client = new Client({ name: 'telltale-demo', version: '0.1.0' })
  const gone = new Promise<void>((resolve) => {
    client.onclose = resolve
  })
  const close = () => void client.close()
  let pid: number | null = null
  try {
    await client.connect(transport)
    pid = transport.pid
    stop.signal.addEventListener('abort', close, { once: true })
    if (!stop.signal.aborted) await play(client)
  } finally {
    stop.signal.removeEventListener('abort', close)
    // A server that works on when its stdin closes is told to stop.
    const impatience = setTimeout(() => terminate(pid), leaveMsMax / 2)
    await client.close()
    if (pid !== null) await gone
    clearTimeout(impatience)
  }
}

function terminate(pid: number | null): void {
  try {
    if (pid !== null) process.kill(pid, 'SIGTERM')
  } catch {
    // It has ended meanwhile.
  }
}

/** The daemon behind a tap that takes the shim's place: it records itself, layer by layer. */
async function playDaemon(folder: string, chance: Chance): Promise<void> {
  const conversations = join(folder, 'conversations')
  await mkdir(conversations, { recursive: true })
  const script = fileURLToPath(new URL('./demo_server.ts', import.meta.url))
  const args = tapped(['--layer', 'shim', '--service', 'exai-shim'], [...process.execArgv, script, conversations])
  await withServer(args, { TELLTALE_ENVIRONMENT: 'demo' }, async (client) => {
    for (let round = 0; !stop.signal.aborted; round++) {
      await playConversations({ client, chance, signal: stop.signal }, round)
      await pause(restMs, stop.signal)
    }
  })
}

/** How to start a server of Node behind the tap. */
function tapped(options: readonly string[], server: readonly string[]): readonly string[] {
  const tap = [...process.execArgv, join(root, 'bin', 'telltale.mjs'), 'wrap', '--environment', 'demo', ...options]
  return [...tap, '--', process.execPath, ...server]
}

/** One unmodified server through the tap. A new process each time, and so a new session. */
async function playServer(script: ServerScript, folder: string, chance: Chance): Promise<void> {
  const home = await realpath(folder).then((path) => join(path, script.service))
  await mkdir(home, { recursive: true })
  const server = [join(root, 'node_modules', script.script), ...script.args(home)]
  const args = tapped(['--service', script.service], server)
  await withServer(args, script.env(home), async (client) => {
    for (const step of script.steps) {
      if (stop.signal.aborted) return
      // What the server refuses, and what we cancel, is recorded by the tap: that is what this is for.
      await step(client, home).catch(() => undefined)
      await pause(stepMs * (0.5 + chance()), stop.signal)
    }
  })
}

/** Plays again and again; a server that fails outright is told of and given a rest. */
async function repeat(play: () => Promise<void>): Promise<void> {
  while (!stop.signal.aborted) {
    try {
      await play()
    } catch (error) {
      if (!stop.signal.aborted) console.error(`demo: ${error instanceof Error ? error.message : error}`)
    }
    await pause(restMs, stop.signal)
  }
}

const chance = chanceOf(Date.now())
const folder = await mkdtemp(join(tmpdir(), 'telltale-demo-'))
let played = 0
await Promise.all([
  repeat(() => playDaemon(folder, chance)),
  repeat(async () => {
    const script = serverScripts[played++ % serverScripts.length]
    if (script) await playServer(script, folder, chance)
  }),
])
await rm(folder, { recursive: true, force: true })
process.exit(0)
