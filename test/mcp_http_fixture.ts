import { randomUUID } from 'node:crypto'
import { createServer, type Server as HttpServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js'
import { type EventStore, StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import {
  CallToolRequestSchema,
  CreateMessageResultSchema,
  ListToolsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { createMcpHandler, fromJsonSchema, McpServer } from '@modelcontextprotocol/server'

export type HttpFixture = { readonly url: URL; readonly close: () => Promise<void> }

/** A server of the SDK's first major: echo, fail (throws), slow (three steps of progress), ask (its client's model), seen (the context it got). */
export function firstMajor(): Server {
  const server = new Server({ name: 'first', version: '1.0.0' }, { capabilities: { tools: {} } })
  const text = (said: string) => ({ content: [{ type: 'text', text: said }] })
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [] }))
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    if (params.name === 'echo') return text(String(params.arguments?.message))
    if (params.name === 'fail') return { ...text('the disk is full'), isError: true }
    if (params.name === 'seen') return text(JSON.stringify(params._meta ?? {}))
    if (params.name === 'ask') {
      const asked = { messages: [], maxTokens: 5 }
      const { model } = await extra.sendRequest(
        { method: 'sampling/createMessage', params: asked },
        CreateMessageResultSchema,
      )
      return text(model)
    }
    const progressToken = params._meta?.progressToken
    for (let progress = 1; progress <= 3; progress++) {
      await new Promise((resolve) => setTimeout(resolve, 40))
      if (progressToken === undefined) continue
      await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress, total: 3 } })
    }
    return text('done')
  })
  return server
}

export async function listening(listener: RequestListener): Promise<HttpFixture & { readonly server: HttpServer }> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { server, url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`), close }
}

/** Streamable HTTP with sessions. */
export async function startSessions(
  options: { readonly json?: boolean; readonly store?: EventStore } = {},
): Promise<HttpFixture> {
  const transports = new Map<string, StreamableHTTPServerTransport>()
  return listening(async (request, response) => {
    const id = request.headers['mcp-session-id']
    const known = typeof id === 'string' ? transports.get(id) : undefined
    if (known) return known.handleRequest(request, response)
    const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      enableJsonResponse: options.json ?? false,
      ...(options.store ? { eventStore: options.store } : {}),
      onsessioninitialized: (session) => void transports.set(session, transport),
    })
    // The SDK's own types do not hold under exactOptionalPropertyTypes.
    await firstMajor().connect(transport as unknown as Parameters<Server['connect']>[0])
    await transport.handleRequest(request, response)
  })
}

/** Streamable HTTP without sessions: a server of its own for each request. */
export async function startStateless(json = false): Promise<HttpFixture> {
  return listening(async (request, response) => {
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: json } as ConstructorParameters<
      typeof StreamableHTTPServerTransport
    >[0])
    await firstMajor().connect(transport as unknown as Parameters<Server['connect']>[0])
    await transport.handleRequest(request, response)
  })
}

/** The HTTP+SSE transport of 2024-11-05. */
export async function startOldSse(): Promise<HttpFixture> {
  const transports = new Map<string, SSEServerTransport>()
  const fixture = await listening(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://here')
    if (request.method === 'GET') {
      const transport = new SSEServerTransport('/messages', response)
      transports.set(transport.sessionId, transport)
      return firstMajor().connect(transport)
    }
    await transports.get(url.searchParams.get('sessionId') ?? '')?.handlePostMessage(request, response)
  })
  return { ...fixture, url: new URL('/sse', fixture.url) }
}

/** The same of the SDK's second major, less slow and ask. */
export function secondMajor(): McpServer {
  const text = (said: string) => ({ content: [{ type: 'text' as const, text: said }] })
  const server = new McpServer({ name: 'second', version: '2.0.0' })
  const inputSchema = fromJsonSchema<{ message: string }>({
    type: 'object',
    properties: { message: { type: 'string' } },
    required: ['message'],
  })
  server.registerTool('echo', { inputSchema }, ({ message }) => text(message))
  server.registerTool('fail', {}, () => {
    throw new Error('the disk is full')
  })
  server.registerTool('seen', {}, (context) => text(JSON.stringify(context.mcpReq._meta ?? {})))
  return server
}

/** The revision 2026-07-28, and stateless serving of those before. */
export async function startSecondMajor(): Promise<HttpFixture> {
  const handler = createMcpHandler(secondMajor)
  const fixture = await listening(getRequestListener((request) => handler.fetch(request)))
  return {
    url: fixture.url,
    async close() {
      await handler.close()
      await fixture.close()
    },
  }
}
