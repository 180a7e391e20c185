// A storage service that knows nothing of Telltale: OpenTelemetry's own SDK, set up by environment variables alone. It
// takes rows over HTTP as PostgREST does, prints its address, and ends on SIGTERM when what it recorded is sent.

import { createRequire } from 'node:module'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { NodeSDK } from '@opentelemetry/sdk-node'

const sdk = new NodeSDK({ instrumentations: [new HttpInstrumentation()] })
sdk.start()
const http = createRequire(import.meta.url)('node:http')

const server = http.createServer((request, response) => {
  request.resume()
  request.once('end', () => setTimeout(() => response.writeHead(201).end(), 5))
})
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
process.once('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
  void sdk.shutdown()
})
