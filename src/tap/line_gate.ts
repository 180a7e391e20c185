import { isUtf8 } from 'node:buffer'
import { heldLineBytesMax, heldLineMsMax } from '../core/limit.ts'
import type { Line } from '../reporter/mcp/message_line.ts'
import { LineSplitter } from './line_splitter.ts'
import type { Passage } from './relay.ts'

const [newline, openObject, openArray] = [0x0a, 0x7b, 0x5b]
const blanks: ReadonlySet<number> = new Set([0x20, 0x09, 0x0d])

type Write = (bytes: Uint8Array) => void

/**
 * Lets lines pass once they are whole, each as `read` answers it, or, where that answers null, byte for byte.
 * To wait for its end costs a line nothing: its reader can begin with none before. What may be no line at all is not
 * made to wait: text that begins like no JSON flows at once, and the start of a line goes on as it is when it is larger
 * than heldLineBytesMax or older than heldLineMsMax. Once a line was no JSON (headers of another framing, say) nothing
 * waits any more on this connection. `read` must not throw, and hears of every line, however it passed.
 */
export function lineGate(read: (line: Line) => string | null): Passage {
  let held: Uint8Array[] = []
  let heldBytes = 0
  let flowing = false
  let foreign = false
  let timer: NodeJS.Timeout | null = null
  let replacement: string | null = null
  const splitter = new LineSplitter((line) => {
    replacement = read(line)
    foreign ||= line.text !== null && !beginsJson(Buffer.from(line.text.slice(0, 64))) && line.text.trim() !== ''
  })
  const release = (write: Write) => {
    if (timer) clearTimeout(timer)
    timer = null
    for (const part of held) write(part)
    held = []
    heldBytes = 0
  }
  const finish = (part: Uint8Array, write: Write) => {
    replacement = null
    splitter.push(part)
    if (flowing || replacement === null) {
      release(write)
      write(part)
    } else {
      // Bytes that are no UTF-8 are not in the text, so the text cannot stand in for them.
      const whole = Buffer.concat([...held, part])
      const changed = isUtf8(whole) ? Buffer.from(`${replacement}\n`) : whole
      held = []
      release(write)
      write(changed)
    }
    flowing = false
  }
  const keep = (part: Uint8Array, write: Write, later: Write) => {
    splitter.push(part)
    if (flowing) return write(part)
    held.push(part)
    heldBytes += part.length
    if (foreign || heldBytes > heldLineBytesMax || !beginsJson(held[0] ?? part)) {
      flowing = true
      return release(write)
    }
    timer ??= setTimeout(() => {
      flowing = true
      release(later)
    }, heldLineMsMax)
  }
  return {
    push(chunk, send) {
      // One write, hence one system call, for all the lines of a chunk.
      const parts: Uint8Array[] = []
      const write = (bytes: Uint8Array) => parts.push(bytes)
      let start = 0
      for (;;) {
        const end = chunk.indexOf(newline, start)
        if (end < 0) break
        finish(chunk.subarray(start, end + 1), write)
        start = end + 1
      }
      if (start < chunk.length) keep(chunk.subarray(start), write, send)
      const [only] = parts
      if (only) send(parts.length === 1 ? only : Buffer.concat(parts))
    },
    end(write) {
      release(write)
      splitter.end()
    },
  }
}

function beginsJson(bytes: Uint8Array): boolean {
  const first = bytes.find((byte) => !blanks.has(byte))
  return first === undefined || first === openObject || first === openArray
}
