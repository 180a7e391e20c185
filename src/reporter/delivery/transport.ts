import * as http from 'node:http'
import * as https from 'node:https'
import type { Socket } from 'node:net'
import { replyBytesMax, sendMsMax } from '../../core/limit.ts'
import type { SpilledBatch } from './spill_entry.ts'
import type { Reply } from './verdict.ts'

/** What is sent of a batch. */
export type Parcel = Pick<SpilledBatch, 'body' | 'encoding'>

/** Carries one batch at a time to the ingest address. */
export type Transport = {
  /** One attempt. Rejects when no answer came: refused, reset, timed out, aborted. */
  readonly post: (batch: Parcel, sentAtUs: number) => Promise<Reply>
  /** Whether an attempt under way keeps the process alive: no, except while the host asked for a flush. */
  readonly hold: (held: boolean) => void
  /** Ends the attempt under way and the kept connection. */
  readonly abort: () => void
}

/** A transport over node:http(s) with one kept connection, since `fetch` has no way to let the host exit meanwhile. */
export function createTransport(ingestUrl: string, ingestKey: string, timeoutMs: number = sendMsMax): Transport {
  const url = new URL(ingestUrl)
  const client = url.protocol === 'https:' ? https : http
  const agent = new client.Agent({ keepAlive: true, maxSockets: 1 })
  let held = false
  let current: { readonly request: http.ClientRequest; socket: Socket | null } | null = null

  const post = (batch: Parcel, sentAtUs: number) =>
    new Promise<Reply>((resolve, reject) => {
      const headers: http.OutgoingHttpHeaders = {
        authorization: `Bearer ${ingestKey}`,
        'content-type': 'application/json',
        'content-length': batch.body.length,
        'telltale-sent-at': String(sentAtUs),
      }
      if (batch.encoding) headers['content-encoding'] = batch.encoding
      const request = client.request(url, { method: 'POST', agent, headers })
      const attempt: { request: http.ClientRequest; socket: Socket | null } = { request, socket: null }
      current = attempt
      const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
      timer.unref()
      request.on('socket', (socket) => {
        attempt.socket = socket
        if (held) socket.ref()
        else socket.unref()
      })
      let answered = false
      request.on('response', (response) => {
        answered = true
        readBody(response).then((body) => resolve(replyOf(response, body)), reject)
      })
      request.on('error', reject)
      request.on('close', () => {
        clearTimeout(timer)
        if (current === attempt) current = null
        // With an answer, `close` may come before its last bytes have been read; a body cut short rejects by itself.
        if (!answered) reject(new Error('the connection closed before an answer'))
      })
      request.end(batch.body)
    })

  return {
    post,
    hold(next) {
      held = next
      if (held) current?.socket?.ref()
      else current?.socket?.unref()
    },
    abort() {
      current?.request.destroy()
      agent.destroy()
    },
  }
}

async function readBody(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > replyBytesMax) throw new Error(`the answer is larger than ${replyBytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function replyOf(response: http.IncomingMessage, text: string): Reply {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    body = undefined
  }
  return { status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] ?? null, body }
}
