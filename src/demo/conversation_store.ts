import { appendFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Reporter, SpanHandle } from '../reporter/reporter.ts'

/** The conversation that a call continues cannot be read. Its cause is what the file system said. */
class StorageError extends Error {
  override readonly name = 'StorageError'
}

/** Conversations as files, one JSON message a line. Each method records a span of the layer `storage`. */
export class ConversationStore {
  readonly #reporter: Reporter
  readonly #folder: string

  constructor(reporter: Reporter, folder: string) {
    this.#reporter = reporter
    this.#folder = folder
  }

  /** The messages so far. @throws StorageError when there are none */
  async read(parent: SpanHandle, conversationId: string): Promise<readonly string[]> {
    const span = this.#reporter.span(parent, { name: 'select conversations', layer: 'storage' })
    try {
      const text = await readFile(this.#path(conversationId), 'utf8')
      const lines = text.split('\n').filter(Boolean)
      span.end('ok', { bytesIn: text.length })
      return lines
    } catch (error) {
      span.end('tool_error')
      throw new StorageError(`Cannot continue ${conversationId}: no message of it is stored`, { cause: error })
    }
  }

  async append(parent: SpanHandle, conversationId: string, message: object): Promise<void> {
    const line = `${JSON.stringify(message)}\n`
    const span = this.#reporter.span(parent, { name: 'insert messages', layer: 'storage', bytesOut: line.length })
    await appendFile(this.#path(conversationId), line)
    span.end('ok')
  }

  #path(conversationId: string): string {
    return join(this.#folder, `${conversationId.replaceAll(/[^\w-]/g, '_')}.jsonl`)
  }
}
