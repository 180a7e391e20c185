import { whyApp } from '../route/why_app.ts'
import { readAs } from '../store/caller.ts'
import { readEdgeEnv } from '../store/edge_env.ts'

declare const Deno: {
  readonly env: { get(name: string): string | undefined }
  serve(answer: (request: Request) => Response | Promise<Response>): unknown
}

const env = readEdgeEnv((name) => Deno.env.get(name))
const app = whyApp({ readAs: (caller, name, args) => readAs({ url: env.url }, caller, name, args) })

Deno.serve((request) => app.fetch(request))
