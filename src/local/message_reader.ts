import type { Socket } from 'node:net'

/** The other side kept us waiting for longer than it may. */
export class ReadTimeout extends Error {
  override readonly name = 'ReadTimeout'
}

/** Reads a socket piece by piece, as many bytes as one asks for; what is not asked for stays in the kernel. */
export type MessageReader = {
  /**
   * Exactly `size` bytes, null when the socket ends before.
   * @param deadlineAt in ms since the epoch; Infinity for none.
   * @throws ReadTimeout
   */
  read(size: number, deadlineAt: number): Promise<Buffer | null>
}

export function createMessageReader(socket: Socket): MessageReader {
  let wake = () => {}
  for (const event of ['readable', 'end', 'close', 'error']) socket.on(event, () => wake())

  const waitUntil = (deadlineAt: number) =>
    new Promise<void>((resolve, reject) => {
      const timer = Number.isFinite(deadlineAt)
        ? setTimeout(
            () => reject(new ReadTimeout('Cannot read message: none came in time')),
            Math.max(0, deadlineAt - Date.now()),
          )
        : undefined
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  return {
    async read(size, deadlineAt) {
      if (size === 0) return Buffer.alloc(0)
      for (;;) {
        if (socket.destroyed) return null
        const bytes: Buffer | null = socket.read(size)
        if (bytes !== null) return bytes.length === size ? bytes : null
        if (socket.readableEnded) return null
        await waitUntil(deadlineAt)
      }
    },
  }
}
