import { tapFrameBytesMax } from '../core/limit.ts'
import type { Line } from '../reporter/mcp/message_line.ts'

const newline = 0x0a

/**
 * Cuts a stream of bytes at newlines, however it is chunked, characters of several bytes included. A line longer than
 * `bytesMax` is counted and not kept. Bytes that are not UTF-8 become U+FFFD in the text; the stream itself goes its
 * own way, unchanged.
 */
export class LineSplitter {
  readonly #bytesMax: number
  readonly #onLine: (line: Line) => void
  #parts: Uint8Array[] = []
  #bytes = 0

  constructor(onLine: (line: Line) => void, bytesMax: number = tapFrameBytesMax) {
    this.#onLine = onLine
    this.#bytesMax = bytesMax
  }

  push(chunk: Uint8Array): void {
    let start = 0
    for (;;) {
      const end = chunk.indexOf(newline, start)
      if (end < 0) break
      this.#keep(chunk.subarray(start, end))
      this.#emit()
      start = end + 1
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start))
  }

  /** What came after the last newline, when the stream ends. */
  end(): void {
    if (this.#bytes > 0) this.#emit()
  }

  #keep(part: Uint8Array): void {
    this.#bytes += part.length
    if (this.#bytes > this.#bytesMax) this.#parts = []
    else if (part.length > 0) this.#parts.push(part)
  }

  #emit(): void {
    const bytes = this.#bytes
    const parts = this.#parts
    this.#parts = []
    this.#bytes = 0
    const text = bytes > this.#bytesMax ? null : textOf(parts)
    this.#onLine({ text, bytes })
  }
}

function textOf(parts: readonly Uint8Array[]): string {
  const [only] = parts
  if (parts.length === 1 && only) return Buffer.from(only.buffer, only.byteOffset, only.byteLength).toString()
  return Buffer.concat(parts).toString()
}
