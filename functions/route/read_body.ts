import { batchBytesMax, batchCompressedBytesMax, bodyMsMax } from '../../src/core/limit.ts'
import { err, ok, type Result } from '../../src/core/result.ts'

/** Why a body was not read. 408: it ended early, so the sender should keep it and send it again. */
export type BodyRefusal = { readonly status: 400 | 408 | 413 | 415; readonly detail: string }

type Bytes = Uint8Array<ArrayBuffer>

/** What a body may be: its media type, in words too, and its bounds in bytes. */
export type BodyForm = {
  readonly accepts: (contentType: string | null) => boolean
  readonly wanted: string
  readonly bytesMax: number
  readonly compressedBytesMax: number
}

const batchForm: BodyForm = {
  accepts: isJson,
  wanted: 'application/json in UTF-8',
  bytesMax: batchBytesMax,
  compressedBytesMax: batchCompressedBytesMax,
}

/**
 * The decompressed bytes of a request, of a batch in JSON by default. Content-Encoding may be gzip or identity.
 * A body that grows beyond a bound is not read further, so that a small request never costs much memory, and one that
 * takes longer than `msMax` is given up, so that a slow sender keeps no other waiting.
 */
export async function readBody(
  request: Request,
  msMax = bodyMsMax,
  form = batchForm,
): Promise<Result<Bytes, BodyRefusal>> {
  if (!form.accepts(request.headers.get('content-type'))) {
    return refuse(415, `Cannot read body: its Content-Type is not ${form.wanted}`)
  }
  const encoding = (request.headers.get('content-encoding') ?? 'identity').trim().toLowerCase()
  if (encoding !== 'gzip' && encoding !== 'identity') {
    return refuse(415, 'Cannot read body: its Content-Encoding is neither gzip nor identity')
  }
  const bytesMax = encoding === 'gzip' ? form.compressedBytesMax : form.bytesMax
  const tooLarge = `Cannot read body: it is over ${bytesMax} bytes long`
  if (Number(request.headers.get('content-length') ?? 0) > bytesMax) return refuse(413, tooLarge)
  if (request.body === null) return ok(new Uint8Array())
  try {
    const sent = await readAtMost(request.body, bytesMax, msMax)
    if (sent === null) return refuse(413, tooLarge)
    return encoding === 'gzip' ? await readGzip(sent, form.bytesMax) : ok(sent)
  } catch {
    return refuse(408, 'Cannot read body: it ended early or came too slowly')
  }
}

async function readGzip(compressed: Bytes, bytesMax: number): Promise<Result<Bytes, BodyRefusal>> {
  try {
    const plain = await readAtMost(
      new Blob([compressed]).stream().pipeThrough(new DecompressionStream('gzip')),
      bytesMax,
    )
    return plain === null ? refuse(413, `Cannot read body: it is over ${bytesMax} bytes long decompressed`) : ok(plain)
  } catch {
    return refuse(400, 'Cannot read body: it is not gzip')
  }
}

/** All bytes of the stream, or null as soon as they are more than `bytesMax`. Throws what the stream throws, or after `msMax`. */
async function readAtMost(stream: ReadableStream<Uint8Array>, bytesMax: number, msMax?: number): Promise<Bytes | null> {
  const reader = stream.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  let late = false
  // Cancelling is not awaited: a sender that goes on regardless must not keep the answer waiting.
  const stop = () => void reader.cancel().catch(() => {})
  const giveUp = () => {
    late = true
    stop()
  }
  const timer = msMax === undefined ? undefined : setTimeout(giveUp, msMax)
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      length += next.value.byteLength
      if (length > bytesMax) {
        stop()
        return null
      }
      chunks.push(next.value)
    }
  } finally {
    clearTimeout(timer)
  }
  if (late) throw new Error(`Cannot read body: it took longer than ${msMax} ms`)
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.byteLength
  }
  return bytes
}

export function isJson(contentType: string | null): boolean {
  const [type = '', ...parameters] = (contentType ?? '').toLowerCase().split(';')
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith('charset='))
  return type.trim() === 'application/json' && (charset === undefined || /^charset="?utf-?8"?$/.test(charset))
}

function refuse(status: BodyRefusal['status'], detail: string): Result<never, BodyRefusal> {
  return err({ status, detail })
}
