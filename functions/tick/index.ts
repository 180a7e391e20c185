import { tickActionsOf } from '../action/tick_action.ts'
import { tickApp } from '../route/tick.ts'
import { destinationPolicyOf } from '../store/destination_check.ts'
import { fetchDial } from '../store/destination_dial.ts'
import { readEdgeEnv } from '../store/edge_env.ts'
import { HttpNotifier } from '../store/http_notifier.ts'
import { PostgresStore } from '../store/postgres.ts'
import { RealtimeChannel } from '../store/realtime.ts'
import { UpstashHotStore } from '../store/redis.ts'

declare const Deno: {
  resolveDns(name: string, kind: 'A' | 'AAAA'): Promise<string[]>
  readonly env: { get(name: string): string | undefined }
  serve(answer: (request: Request) => Response | Promise<Response>): unknown
}

const env = readEdgeEnv((name) => Deno.env.get(name))
const store = new PostgresStore(env)
const clock = () => Date.now() * 1_000
const resolve = async (host: string) => {
  const found = await Promise.allSettled([Deno.resolveDns(host, 'A'), Deno.resolveDns(host, 'AAAA')])
  return found.flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
}
const notifier = new HttpNotifier({
  dial: fetchDial(resolve),
  policy: destinationPolicyOf(env.allowsPrivateDestinations),
  pageUrl: env.pageUrl,
  clock,
})
const app = tickApp({
  store,
  actions: tickActionsOf({
    store,
    instance: new URL(env.url).host,
    redis: env.redis === null ? null : new UpstashHotStore(env.redis),
    channel: new RealtimeChannel(env),
    notifier,
    chance: Math.random,
  }),
  secret: env.secretKey,
  clock,
})

Deno.serve((request) => app.fetch(request))
