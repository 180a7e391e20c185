import { detectAnomalies } from '../action/detect_anomalies.ts'
import { tickApp } from '../route/tick.ts'
import { readEdgeEnv } from '../store/edge_env.ts'
import { PostgresStore } from '../store/postgres.ts'

declare const Deno: {
  readonly env: { get(name: string): string | undefined }
  serve(answer: (request: Request) => Response | Promise<Response>): unknown
}

const env = readEdgeEnv((name) => Deno.env.get(name))
const store = new PostgresStore(env)
const app = tickApp({
  store,
  actions: { detect_anomalies: () => detectAnomalies(store) },
  secret: env.secretKey,
  clock: () => Date.now() * 1_000,
})

Deno.serve((request) => app.fetch(request))
