import type { IncomingHttpHeaders } from 'node:http'
import type { Transform } from 'node:stream'
import { constants, createBrotliDecompress, createGunzip, createInflate, gunzipSync } from 'node:zlib'
import { heldLineBytesMax, tapFrameBytesMax } from '../core/limit.ts'
import type { Line } from '../reporter/mcp/message_line.ts'
import { type SseEvent, SseReader } from '../wire/sse_reader.ts'
import { isJson, mediaTypeOf } from './http_headers.ts'

/** Reads a body beside its way to the client; may throw, and what it cannot read it leaves. */
export type BodyReading = {
  readonly push: (chunk: Buffer) => void
  /** Calls `done` when the last of it is read. */
  readonly end: (done: () => void) => void
}

/** A reading for a body of events or of JSON, compressed or not; null for any other. */
export function readingOf(
  headers: IncomingHttpHeaders,
  onEvent: (event: SseEvent) => void,
  onBody: (body: Line) => void,
): BodyReading | null {
  const type = mediaTypeOf(headers)
  const plain = type === 'text/event-stream' ? eventReading(onEvent) : isJson(type) ? bodyReading(onBody) : null
  const coding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (plain === null || coding === 'identity') return plain
  const expanding = expanderOf(coding)
  return expanding && expanded(expanding, plain)
}

function eventReading(onEvent: (event: SseEvent) => void): BodyReading {
  const reader = new SseReader(onEvent)
  return { push: (chunk) => reader.push(chunk), end: (done) => done() }
}

function bodyReading(onBody: (body: Line) => void): BodyReading {
  let parts: Buffer[] = []
  let bytes = 0
  return {
    push(chunk) {
      bytes += chunk.length
      if (bytes > tapFrameBytesMax) parts = []
      else parts.push(chunk)
    },
    end(done) {
      onBody({ text: bytes > tapFrameBytesMax ? null : Buffer.concat(parts).toString(), bytes })
      done()
    },
  }
}

function expanderOf(coding: string): Transform | null {
  if (coding === 'gzip' || coding === 'x-gzip') return createGunzip({ flush: constants.Z_SYNC_FLUSH })
  if (coding === 'deflate') return createInflate({ flush: constants.Z_SYNC_FLUSH })
  return coding === 'br' ? createBrotliDecompress({ flush: constants.BROTLI_OPERATION_FLUSH }) : null
}

/** Expands at the pace of the reader, which keeps a bounded part; a body that is damaged is read as far as it goes. */
function expanded(expanding: Transform, plain: BodyReading): BodyReading {
  let over: (() => void) | null = null
  let failed = false
  const finish = () => {
    failed = true
    over?.()
  }
  expanding.on('data', (chunk: Buffer) => {
    try {
      plain.push(chunk)
    } catch {
      expanding.destroy()
      finish()
    }
  })
  expanding.on('error', finish)
  return {
    push(chunk) {
      if (!failed) expanding.write(chunk)
    },
    end(done) {
      if (failed) return done()
      over = done
      expanding.on('end', () => plain.end(done))
      expanding.end()
    },
  }
}

/** The JSON text of a request's body, where it is one that can be read; null otherwise. */
export function requestTextOf(body: Buffer, headers: IncomingHttpHeaders): string | null {
  const coding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (coding === 'identity') return body.toString()
  // In one go, and so only where that takes no time to speak of.
  if (!['gzip', 'x-gzip'].includes(coding) || body.length > heldLineBytesMax) return null
  try {
    return gunzipSync(body, { maxOutputLength: heldLineBytesMax }).toString()
  } catch {
    return null
  }
}
