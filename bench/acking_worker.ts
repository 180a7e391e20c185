// A far end in a thread of its own, so that what it does is no part of what is measured: it answers every batch as
// stored.
import { Worker } from 'node:worker_threads'

const answering = `const http = require('node:http'), zlib = require('node:zlib'), { parentPort } = require('node:worker_threads')
  const server = http.createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const raw = Buffer.concat(chunks)
    const text = (request.headers['content-encoding'] === 'gzip' ? zlib.gunzipSync(raw) : raw).toString()
    const batch_id = /"batch_id":"([^"]+)"/.exec(text)?.[1] ?? ''
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ batch_id, status: 'stored', accepted: {}, rejected: [], flush_after_ms: 250, watched: false, records_max: 500 }))
  })
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))`

/** Starts it; `close` ends it. */
export async function startAckingWorker(): Promise<{
  readonly ingestUrl: string
  readonly close: () => Promise<void>
}> {
  const worker = new Worker(answering, { eval: true })
  const port = await new Promise<number>((resolve) => worker.once('message', resolve))
  const close = async () => void (await worker.terminate())
  return { ingestUrl: `http://127.0.0.1:${port}/ingest`, close }
}
