// An application that knows nothing of Telltale: OpenTelemetry's own SDK and instrumentations, set up by environment
// variables alone. It serves one request over HTTP, which asks Postgres and another service, and ends.

import { createRequire } from 'node:module'
import { SpanStatusCode, trace } from '@opentelemetry/api'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg'
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici'
import { NodeSDK } from '@opentelemetry/sdk-node'

const sdk = new NodeSDK({
  instrumentations: [new HttpInstrumentation(), new PgInstrumentation(), new UndiciInstrumentation()],
})
sdk.start()
const require = createRequire(import.meta.url)
const http = require('node:http')
const { once } = require('node:events')
const { Pool } = require('pg')

const server = http.createServer(async (request, response) => {
  if (request.url === '/inner') return void response.end('{}')
  const client = new Pool({ connectionString: process.env.APP_DATABASE_URL })
  await client.query('select $1::text as one', ['s3cret-value'])
  await client.query('select nothing from nowhere').catch(() => {})
  await client.end()
  await (await fetch(`http://127.0.0.1:${server.address().port}/inner`)).text()
  await trace.getTracer('app').startActiveSpan('chat k2', async (span) => {
    span.setAttributes({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'kimi',
      'gen_ai.request.model': 'k2',
      'gen_ai.usage.input_tokens': 11,
      'gen_ai.usage.output_tokens': 7,
      'gen_ai.input.messages': 'what was said',
    })
    const failure = new TypeError('Cannot answer: the model is away')
    span.recordException(failure)
    span.setStatus({ code: SpanStatusCode.ERROR, message: failure.message })
    span.end()
  })
  response.end('done')
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const outer = http.get({ port: server.address().port, path: '/outer' })
const [answer] = await once(outer, 'response')
answer.resume()
await once(answer, 'end')
server.close()
server.closeAllConnections()
await sdk.shutdown()
process.stdout.write('shut down\n')
