import { tapFrameBytesMax } from '../core/limit.ts'

/** One event of a stream; `data` null when it was too long to keep. */
export type SseEvent = {
  /** `message` when the stream names none. */
  readonly type: string
  readonly data: string | null
  /** Bytes of its data. */
  readonly bytes: number
  /** Whether it has an id, from which its stream can be resumed. */
  readonly resumable: boolean
}

const lineEnd = /\r\n|\n|\r/g

/**
 * Reads a stream of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), however it is
 * chunked, in linear time. Comments are skipped, and what stands after the last blank line is no event.
 */
export class SseReader {
  readonly #onEvent: (event: SseEvent) => void
  readonly #bytesMax: number
  readonly #decoder = new TextDecoder()
  #pieces: string[] = []
  #pieceLength = 0
  #afterReturn = false
  #type = ''
  #data: string[] | null = null
  #bytes = 0
  #tooLong = false
  #resumable = false

  constructor(onEvent: (event: SseEvent) => void, bytesMax: number = tapFrameBytesMax) {
    this.#onEvent = onEvent
    this.#bytesMax = bytesMax
  }

  push(chunk: Uint8Array): void {
    const text = this.#decoder.decode(chunk, { stream: true })
    if (text === '') return
    let start = this.#afterReturn && text.startsWith('\n') ? 1 : 0
    this.#afterReturn = text.endsWith('\r')
    lineEnd.lastIndex = start
    for (let found = lineEnd.exec(text); found !== null; found = lineEnd.exec(text)) {
      this.#keep(text.slice(start, found.index))
      start = lineEnd.lastIndex
      this.#line()
      lineEnd.lastIndex = start
    }
    this.#keep(text.slice(start))
  }

  #keep(piece: string): void {
    if (piece === '') return
    this.#pieceLength += piece.length
    if (this.#pieceLength > this.#bytesMax) {
      // Enough of it stays to tell which field it was.
      this.#tooLong = true
      this.#pieces = this.#pieces.slice(0, 1)
      if (this.#pieces.length === 0) this.#pieces.push(piece.slice(0, 16))
    } else this.#pieces.push(piece)
  }

  #line(): void {
    const line = this.#pieces.length === 1 ? (this.#pieces[0] ?? '') : this.#pieces.join('')
    const length = this.#pieceLength
    this.#pieces = []
    this.#pieceLength = 0
    if (line === '') this.#dispatch()
    const at = line.indexOf(':')
    if (at === 0) return
    const field = at < 0 ? line : line.slice(0, at)
    const value = at < 0 ? '' : line.slice(line[at + 1] === ' ' ? at + 2 : at + 1)
    if (field === 'event') this.#type = value
    else if (field === 'id') this.#resumable = true
    else if (field === 'data') this.#add(value, length)
  }

  #add(value: string, length: number): void {
    this.#data ??= []
    const bytes = this.#tooLong ? length : Buffer.byteLength(value)
    this.#bytes += bytes + (this.#data.length > 0 ? 1 : 0)
    this.#tooLong ||= this.#bytes > this.#bytesMax
    if (this.#tooLong) this.#data = []
    else this.#data.push(value)
  }

  #dispatch(): void {
    const data = this.#data
    const event: SseEvent = {
      type: this.#type || 'message',
      data: this.#tooLong ? null : (data ?? []).join('\n'),
      bytes: this.#bytes,
      resumable: this.#resumable,
    }
    this.#type = ''
    this.#data = null
    this.#bytes = 0
    this.#tooLong = false
    this.#resumable = false
    if (data !== null || event.resumable) this.#onEvent(event)
  }
}
