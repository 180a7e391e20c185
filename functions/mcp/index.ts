import { mcpApp } from '../route/mcp.ts'
import { readAs } from '../store/caller.ts'
import { readEdgeEnv } from '../store/edge_env.ts'

declare const Deno: {
  readonly env: { get(name: string): string | undefined }
  serve(answer: (request: Request) => Response | Promise<Response>): unknown
}

const env = readEdgeEnv((name) => Deno.env.get(name))
const app = mcpApp({
  readAs: (caller, name, args) => readAs({ url: env.url }, caller, name, args),
  publishableKey: env.publishableKey,
})

Deno.serve((request) => app.fetch(request))
