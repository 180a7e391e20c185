import type { ChildProcess } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import spawn from 'cross-spawn'
import { stderrTailBytesMax } from '../core/limit.ts'
import { type Departure, departureOfProcess } from '../reporter/mcp/departure.ts'
import type { Line } from '../reporter/mcp/message_line.ts'
import { lineGate } from './line_gate.ts'
import { LineSplitter } from './line_splitter.ts'
import { type Passage, relay, unchanged } from './relay.ts'

/** Whoever listens to the frames. Every method may throw: the traffic flows on. */
export type Listener = {
  /** Answers what is sent on in the line's place; null: the line. */
  clientLine(line: Line, at: number): string | null
  serverLine(line: Line, at: number): void
  close(departure: Departure, at: number): void
}

export type TapOptions = {
  readonly command: string
  readonly args: readonly string[]
  /** The client's side. */
  readonly input: Readable
  readonly output: Writable
  readonly errors: Writable
  /** Null: bytes pass and nobody listens. */
  readonly listener: Listener | null
  /** Whether the listener may have a client's line sent on changed; if not, bytes pass before it hears of them. */
  readonly context?: boolean
  /** Told once when the listener has thrown. */
  readonly warn: (text: string) => void
}

/** How the server ended: what the tap has to end like. */
export type TapExit =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: NodeJS.Signals }
  | { readonly kind: 'not_started'; readonly code: 126 | 127; readonly message: string }

export type Tap = {
  /**
   * The client wants the server to stop: passes its signal on, unless the server has it already (`heard`). Answers
   * whether there was a server to take it.
   */
  readonly signal: (signal: NodeJS.Signals, heard: boolean) => boolean
  /** Resolves when the server has ended and every byte that it wrote has been passed on. */
  readonly ended: Promise<TapExit>
}

const newline = 0x0a

/** Starts an MCP server on the stdio transport between a client and itself. */
export function startTap(options: TapOptions): Tap {
  const child = spawn(options.command, [...options.args], { stdio: ['pipe', 'pipe', 'pipe'], windowsHide: true })
  const { stdin, stdout, stderr } = child
  if (!stdin || !stdout || !stderr) throw new Error(`Cannot tap ${options.command}: it has no pipes`)
  let clientLeft = false
  for (const end of ['end', 'error']) {
    options.input.once(end, () => {
      clientLeft = true
    })
  }
  const tail = createTail()
  const tell = tellerOf(options)
  const toServer = clientPassage(options, tell)
  const toClient = new LineSplitter((line) => tell((listener, at) => listener.serverLine(line, at)))

  void relay(options.input, stdin, toServer, true)
  const written = [
    relay(stdout, options.output, unchanged(options.listener && ((chunk) => toClient.push(chunk))), false),
    relay(stderr, options.errors, unchanged(tail.push), false),
  ]
  const ended = exitOf(child, options.command).then(async (exit) => {
    options.input.pause()
    await Promise.all([...written, ...[options.output, options.errors].map(flushed)])
    toClient.end()
    const code = exit.kind === 'killed' ? null : exit.code
    const signal = exit.kind === 'killed' ? exit.signal : null
    const lastWords = exit.kind === 'not_started' ? exit.message : tail.text()
    tell((listener, at) => listener.close(departureOfProcess(code, signal, clientLeft, lastWords), at))
    return exit
  })
  return {
    ended,
    signal(signal, heard) {
      if (child.exitCode !== null || child.signalCode !== null) return false
      clientLeft = true
      return heard || child.kill(signal)
    },
  }
}

/** Waits for the end of the process, and then for its streams; a process it left behind may still write to them. */
function exitOf(child: ChildProcess, command: string): Promise<TapExit> {
  return new Promise((resolve) => {
    // Every time: a signal that may not be sent is an `error` too.
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined && error.code !== 'ENOENT') return
      const code = error.code === 'EACCES' ? 126 : 127
      resolve({ kind: 'not_started', code, message: `Cannot start ${command}: ${error.message}` })
    })
    child.once('close', (code, signal) => {
      resolve(signal ? { kind: 'killed', signal } : { kind: 'exited', code: code ?? 1 })
    })
  })
}

type Tell = <T>(told: (listener: Listener, at: number) => T) => T | null

/** Speaks to the listener, who is left alone for good once it has thrown. */
function tellerOf({ listener, warn }: TapOptions): Tell {
  let deaf = listener === null
  return (told) => {
    if (deaf || !listener) return null
    try {
      return told(listener, performance.now())
    } catch (error) {
      deaf = true
      warn(
        `Cannot read the traffic any longer, it passes unread: ${error instanceof Error ? error.message : String(error)}`,
      )
      return null
    }
  }
}

/** The client's bytes: line by line where the listener may change them, else as they come. */
function clientPassage({ listener, context }: TapOptions, tell: Tell): Passage {
  const read = (line: Line) => tell((heard, at) => heard.clientLine(line, at))
  if (listener && context) return lineGate(read)
  const splitter = new LineSplitter((line) => void read(line))
  return unchanged(listener && ((chunk) => splitter.push(chunk)))
}

/** Keeps the last of what was written, from the start of a line: half a line could begin inside a secret. */
function createTail(): { readonly push: (chunk: Uint8Array) => void; readonly text: () => string } {
  let kept = Buffer.alloc(0)
  let cut = false
  return {
    push(chunk) {
      cut ||= kept.length + chunk.length > stderrTailBytesMax
      kept = Buffer.concat([kept, chunk.subarray(-stderrTailBytesMax)]).subarray(-stderrTailBytesMax)
    },
    text() {
      const lines = kept.subarray(cut ? kept.indexOf(newline) + 1 : 0)
      return lines.toString().trim()
    },
  }
}

/** Resolves when all that was written has left, or the far end is gone. */
function flushed(target: Writable): Promise<void> {
  return new Promise((resolve) => {
    if (target.destroyed || target.errored || target.writableLength === 0) return resolve()
    target.once('error', () => resolve())
    target.once('close', () => resolve())
    target.write('', () => resolve())
  })
}
