import { ingestApp } from '../route/ingest.ts'
import { readOtlpRules } from '../route/otlp_setting.ts'
import { readEdgeEnv } from '../store/edge_env.ts'
import { PostgresStore } from '../store/postgres.ts'
import { RealtimeChannel } from '../store/realtime.ts'
import { UpstashHotStore } from '../store/redis.ts'
import { tickNudge } from '../store/tick_nudge.ts'

declare const Deno: {
  readonly env: { get(name: string): string | undefined }
  serve(answer: (request: Request) => Response | Promise<Response>): unknown
}
/** Supabase's; Deno by itself keeps what is under way alive as it is. */
declare const EdgeRuntime: { waitUntil(work: Promise<unknown>): void } | undefined

const env = readEdgeEnv((name) => Deno.env.get(name))
const background = (work: Promise<unknown>) => {
  if (typeof EdgeRuntime !== 'undefined') EdgeRuntime.waitUntil(work)
}
const app = ingestApp({
  store: new PostgresStore(env),
  clock: () => Date.now() * 1_000,
  flushMs: env.flushMs,
  nudge: tickNudge(env, background),
  ...(env.redis === null ? {} : { hot: new UpstashHotStore(env.redis), channel: new RealtimeChannel(env) }),
  pushMs: env.pushMs,
  background,
  otlpRules: readOtlpRules(Deno.env.get('TELLTALE_OTLP_RULES')),
})

Deno.serve((request) => app.fetch(request))
