import { liveApp } from '../route/live.ts'
import { readLiveData } from '../store/caller.ts'
import { readEdgeEnv } from '../store/edge_env.ts'
import { UpstashHotStore } from '../store/redis.ts'

declare const Deno: {
  readonly env: { get(name: string): string | undefined }
  serve(answer: (request: Request) => Response | Promise<Response>): unknown
}

const env = readEdgeEnv((name) => Deno.env.get(name))
const app = liveApp({
  hot: env.redis === null ? null : new UpstashHotStore(env.redis),
  readData: (caller) => readLiveData({ url: env.url }, caller),
  clock: () => Date.now() * 1_000,
})

Deno.serve((request) => app.fetch(request))
