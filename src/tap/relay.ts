import type { Readable, Writable } from 'node:stream'

/** What happens to the bytes between two streams. It must not throw, and passes on whatever it does not understand. */
export type Passage = {
  /** Writes what goes on of a chunk, now or later. */
  readonly push: (chunk: Buffer, write: (bytes: Uint8Array) => void) => void
  /** Writes what is still held, when the source is over. */
  readonly end: (write: (bytes: Uint8Array) => void) => void
}

/** Unchanged: each chunk is written first and shown to `observe` after. What that throws reaches nobody, once. */
export function unchanged(observe: ((chunk: Uint8Array) => void) | null): Passage {
  let watch = observe
  return {
    push(chunk, write) {
      write(chunk)
      if (!watch) return
      try {
        watch(chunk)
      } catch {
        watch = null
      }
    },
    end: () => undefined,
  }
}

/**
 * Carries bytes from one stream to another, at the pace of the slower one.
 * When the source ends or breaks the target is ended too, if `endTarget`. When the target breaks the source is
 * destroyed, so that whoever writes into it learns of it as if there were no relay. Resolves when the source is over.
 */
export function relay(source: Readable, target: Writable, passage: Passage, endTarget: boolean): Promise<void> {
  return new Promise((resolve) => {
    let waiting = false
    const write = (bytes: Uint8Array) => {
      if (target.write(bytes) || waiting) return
      waiting = true
      source.pause()
      target.once('drain', () => {
        waiting = false
        source.resume()
      })
    }
    source.on('data', (chunk: Buffer) => passage.push(chunk, write))
    target.on('error', () => source.destroy())
    let done = false
    const over = () => {
      if (done) return
      done = true
      if (!target.destroyed && !target.writableEnded) passage.end(write)
      if (endTarget) target.end()
      resolve()
    }
    source.on('error', over)
    source.on('close', over)
    source.on('end', over)
  })
}
