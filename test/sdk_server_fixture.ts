import { Client as SecondClient, InMemoryTransport as SecondPair } from '@modelcontextprotocol/client'
import { Client as FirstClient } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTransport as FirstPair } from '@modelcontextprotocol/sdk/inMemory.js'
import { McpServer as FirstServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { McpServer as SecondServer } from '@modelcontextprotocol/server'
import type { Reporter } from '../src/reporter/reporter.ts'

export const majors = ['first', 'second'] as const
export type Major = (typeof majors)[number]

/** What both majors give a tool's handler, under one name. */
type Given = {
  readonly signal: AbortSignal
  readonly token: string | number | undefined
  readonly notify: (notification: {
    method: 'notifications/progress'
    params: { progressToken: string | number; progress: number }
  }) => Promise<void>
  /** The name of the client's model. */
  readonly ask: () => Promise<string>
}
type Answer = { content: { type: 'text'; text: string }[]; isError?: boolean }

const text = (said: string): Answer => ({ content: [{ type: 'text', text: said }] })

/** Thrown from a function whose name stands in the stack. */
export function burstIntoFlames(): never {
  throw new RangeError('the disk is full')
}

/** Told when the client of `hang` gave it up. */
export type Gone = () => void

function toolsOf(reporter: Reporter | null, gone: Gone | null) {
  return {
    echo: async () => text('hello'),
    fail: async () => burstIntoFlames(),
    refuse: async () => ({ ...text('no such file'), isError: true }),
    blank: async () => text(' '),
    work: async () => reporter?.time({ name: 'query', layer: 'storage' }, async () => text('worked')) ?? text('worked'),
    ask: async ({ ask }: Given) => text(await ask()),
    slow: async ({ token, notify }: Given) => {
      for (let progress = 1; progress <= 3; progress++) {
        await new Promise((resolve) => setTimeout(resolve, 20))
        if (token === undefined) continue
        await notify({ method: 'notifications/progress', params: { progressToken: token, progress } })
      }
      return text('done')
    },
    hang: ({ signal }: Given) =>
      new Promise<Answer>((_, reject) => {
        signal.addEventListener('abort', () => {
          gone?.()
          reject(new DOMException('The client left', 'AbortError'))
        })
      }),
  }
}

const sampling = { messages: [], maxTokens: 5 }
const greeting = { messages: [{ role: 'user' as const, content: { type: 'text' as const, text: 'hi' } }] }

/** The same server in either major. */
export function firstServer(reporter: Reporter | null = null, gone: Gone | null = null): FirstServer {
  const server = new FirstServer({ name: 'first', version: '1.0.0' })
  for (const [name, tool] of Object.entries(toolsOf(reporter, gone))) {
    server.registerTool(name, {}, async ({ signal, _meta, sendNotification }) =>
      tool({
        signal,
        token: _meta?.progressToken,
        notify: sendNotification,
        ask: async () => (await server.server.createMessage(sampling)).model,
      }),
    )
  }
  server.registerResource('note', 'note://one', {}, () => ({ contents: [{ uri: 'note://one', text: 'one' }] }))
  server.registerResource('broken', 'note://broken', {}, () => burstIntoFlames())
  server.registerPrompt('greet', {}, () => greeting)
  return server
}

export function secondServer(reporter: Reporter | null = null, gone: Gone | null = null): SecondServer {
  const server = new SecondServer({ name: 'second', version: '2.0.0' })
  for (const [name, tool] of Object.entries(toolsOf(reporter, gone))) {
    server.registerTool(name, {}, async ({ mcpReq }) =>
      tool({
        signal: mcpReq.signal,
        token: mcpReq._meta?.progressToken,
        notify: (notification) => mcpReq.notify(notification),
        ask: async () => (await mcpReq.requestSampling(sampling)).model,
      }),
    )
  }
  server.registerResource('note', 'note://one', {}, () => ({ contents: [{ uri: 'note://one', text: 'one' }] }))
  server.registerResource('broken', 'note://broken', {}, () => burstIntoFlames())
  server.registerPrompt('greet', {}, () => greeting)
  return server
}

/** What a test asks of a client of either major. */
export type AnyClient = {
  callTool(
    params: { name: string; arguments?: { [name: string]: unknown }; _meta?: { [name: string]: unknown } },
    options?: { signal?: AbortSignal; onprogress?: () => void },
  ): Promise<{ isError?: boolean; content: { text: string }[] }>
  readResource(params: { uri: string }): Promise<unknown>
  getPrompt(params: { name: string }): Promise<unknown>
  listTools(): Promise<unknown>
  close(): Promise<void>
}

/**
 * A client that answers its server's questions with the model `small`. One of the second major asks as of old unless
 * `auto` lets it find out whether the server knows the revision of 2026.
 */
export function clientOf(major: Major, mode: 'auto' | 'legacy' = 'legacy'): FirstClient | SecondClient {
  const model = { role: 'assistant' as const, model: 'small', content: { type: 'text' as const, text: 'yes' } }
  const capabilities = { capabilities: { sampling: {} } }
  if (major === 'first') {
    const client = new FirstClient({ name: 'one', version: '1' }, capabilities)
    client.setRequestHandler(CreateMessageRequestSchema, () => model)
    return client
  }
  const client = new SecondClient({ name: 'two', version: '2' }, { ...capabilities, versionNegotiation: { mode } })
  client.setRequestHandler('sampling/createMessage', () => model)
  return client
}

export function serverOf(major: Major, reporter: Reporter | null = null, gone: Gone | null = null) {
  return major === 'first' ? firstServer(reporter, gone) : secondServer(reporter, gone)
}

/** The client of a server in this process, and every message that passes between them, as JSON. */
export async function linked(
  major: Major,
  server: FirstServer | SecondServer,
): Promise<{ client: AnyClient; said: string[] }> {
  const [near, far] = (major === 'first' ? FirstPair : SecondPair).createLinkedPair()
  const said: string[] = []
  for (const [end, mark] of [
    [near, '>'],
    [far, '<'],
  ] as const) {
    const send = end.send.bind(end) as (message: object, options?: object) => Promise<void>
    end.send = (message: object, options?: object) => {
      said.push(mark + JSON.stringify(message))
      return send(message, options)
    }
  }
  const client = clientOf(major)
  await server.connect(far as never)
  await client.connect(near as never)
  return { client: asAny(client), said }
}

/** The first major's clients take a schema between the two. */
export function asAny(client: FirstClient | SecondClient): AnyClient {
  if (client instanceof FirstClient) {
    const callTool = client.callTool.bind(client)
    client.callTool = ((params: never, options: never) => callTool(params, undefined, options)) as never
  }
  return client as unknown as AnyClient
}
