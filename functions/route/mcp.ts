import { createMcpHandler } from '@modelcontextprotocol/server'
import { Hono } from 'hono'
import { requestId } from 'hono/request-id'
import { mcpBodyBytesMax } from '../../src/core/limit.ts'
import { mcpServerOf } from '../action/mcp_server.ts'
import { CallerError, type ReadAs } from '../store/caller_port.ts'
import { anyOrigin, callerOf, callerProblem, noStore, unauthenticated } from './caller_request.ts'
import { consoleLog, type EdgeLog, originOf } from './edge_log.ts'
import { problem } from './problem.ts'

export type McpDependencies = {
  readonly readAs: ReadAs
  /** What a client that sends a bearer token alone means: the project's publishable key; '' where none is known. */
  readonly publishableKey: string
  readonly log?: EdgeLog
}

type Env = { Variables: { requestId: string } }

const clientHeaders = ['accept', 'mcp-protocol-version', 'mcp-session-id', 'mcp-method', 'mcp-name', 'last-event-id']

/**
 * `POST /mcp`: MCP over Streamable HTTP, without sessions, for the current revision and those before it. `Authorization` is a
 * member's own token, or a secret key, which may as well be the header `apikey`; what it opens, Postgres decides at each call.
 */
export function mcpApp({ readAs, publishableKey, log = consoleLog }: McpDependencies): Hono<Env> {
  const app = new Hono<Env>({ strict: false }).basePath('/mcp')
  app.use(requestId({ limitLength: 64 }))
  app.use(anyOrigin(['GET', 'POST', 'DELETE'], clientHeaders))
  app.use(noStore)
  app.all('/', async (c) => {
    completeCaller(c.req.raw.headers, publishableKey)
    const caller = callerOf(c)
    if (caller === null) return unauthenticated(c, 'answer', 'its token is missing')
    try {
      await readAs(caller, 'store_status', {})
    } catch (error) {
      if (!(error instanceof CallerError)) throw error
      if (error.reason === 'unavailable') log({ request_id: c.get('requestId'), what: 'mcp', detail: error.message })
      return callerProblem(c, 'answer', error)
    }
    const handler = createMcpHandler(() => mcpServerOf((name, args) => readAs(caller, name, args)), {
      maxRequestBodySize: mcpBodyBytesMax,
      responseMode: 'json',
      onerror: (error) => log({ request_id: c.get('requestId'), what: 'mcp', detail: originOf(error) }),
    })
    return await handler.fetch(c.req.raw)
  })
  app.notFound((c) => problem(c, 404, 'Cannot find the resource: MCP is spoken at /mcp'))
  app.onError((error, c) => {
    log({ request_id: c.get('requestId') ?? '', what: 'mcp', detail: originOf(error) })
    return problem(c, 500, 'Cannot answer: the edge failed')
  })
  return app
}

/** MCP clients send one header; the project asks for two. A secret key says both what is called and by whom. */
function completeCaller(headers: Headers, publishableKey: string): void {
  const token = /^bearer +(\S+)/i.exec(headers.get('authorization') ?? '')?.[1] ?? ''
  const key = headers.get('apikey') ?? (token.startsWith('sb_secret_') ? token : publishableKey)
  if (key !== '') headers.set('apikey', key)
  if (token === '' && key.startsWith('sb_secret_')) headers.set('authorization', `Bearer ${key}`)
}
