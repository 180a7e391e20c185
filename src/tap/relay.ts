import type { Readable, Writable } from 'node:stream'

/**
 * Copies bytes from one stream to another, unchanged and at the pace of the slower one. Each chunk is written first
 * and shown to `observe` after; what `observe` throws reaches nobody, and nothing more is shown to it.
 * When the source ends or breaks the target is ended too, if `endTarget`. When the target breaks the source is
 * destroyed, so that whoever writes into it learns of it as if there were no relay. Resolves when the source is over.
 */
export function relay(
  source: Readable,
  target: Writable,
  observe: ((chunk: Uint8Array) => void) | null,
  endTarget: boolean,
): Promise<void> {
  return new Promise((resolve) => {
    let watch = observe
    source.on('data', (chunk: Buffer) => {
      const free = target.write(chunk)
      if (!free) {
        source.pause()
        target.once('drain', () => source.resume())
      }
      if (!watch) return
      try {
        watch(chunk)
      } catch {
        watch = null
      }
    })
    target.on('error', () => source.destroy())
    const over = () => {
      if (endTarget) target.end()
      resolve()
    }
    source.on('error', over)
    source.on('close', over)
    source.on('end', over)
  })
}
