import { evaluateAlerts } from '../action/evaluate_alerts.ts'
import { sendNotifications } from '../action/send_notifications.ts'
import { tickApp } from '../route/tick.ts'
import { destinationPolicyOf } from '../store/destination_check.ts'
import { fetchDial } from '../store/destination_dial.ts'
import { readEdgeEnv } from '../store/edge_env.ts'
import { HttpNotifier } from '../store/http_notifier.ts'
import { PostgresStore } from '../store/postgres.ts'
import { RealtimeChannel } from '../store/realtime.ts'

declare const Deno: {
  resolveDns(name: string, kind: 'A' | 'AAAA'): Promise<string[]>
  readonly env: { get(name: string): string | undefined }
  serve(answer: (request: Request) => Response | Promise<Response>): unknown
}

const env = readEdgeEnv((name) => Deno.env.get(name))
const store = new PostgresStore(env)
const channel = new RealtimeChannel(env)
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
  actions: {
    evaluate_alerts: () => evaluateAlerts(store, channel),
    send_notifications: () => sendNotifications(store, notifier, Math.random),
  },
  secret: env.secretKey,
  clock,
})

Deno.serve((request) => app.fetch(request))
