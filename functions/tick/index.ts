import { tickActionsOf } from '../action/tick_action.ts'
import { tickApp } from '../route/tick.ts'
import { readEdgeEnv } from '../store/edge_env.ts'
import { PostgresStore } from '../store/postgres.ts'
import { UpstashHotStore } from '../store/redis.ts'

declare const Deno: {
  readonly env: { get(name: string): string | undefined }
  serve(answer: (request: Request) => Response | Promise<Response>): unknown
}

const env = readEdgeEnv((name) => Deno.env.get(name))
const store = new PostgresStore(env)
const app = tickApp({
  store,
  actions: tickActionsOf({
    store,
    instance: new URL(env.url).host,
    redis: env.redis === null ? null : new UpstashHotStore(env.redis),
  }),
  secret: env.secretKey,
  clock: () => Date.now() * 1_000,
})

Deno.serve((request) => app.fetch(request))
