import { randomUUID } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { evaluateAlerts } from '../functions/action/evaluate_alerts.ts'
import { explainAlerts } from '../functions/action/explain_alerts.ts'
import { sendNotifications } from '../functions/action/send_notifications.ts'
import { destinationPolicyOf } from '../functions/store/destination_check.ts'
import { HttpNotifier } from '../functions/store/http_notifier.ts'
import type {
  AlertQuestion,
  AlertReading,
  AlertStore,
  AlertWhyStore,
  Notification,
  Notifier,
  PushChannel,
} from '../functions/store/port.ts'
import type { AlertDocument, AlertPush } from '../src/core/alert/alert_document.ts'
import type { Batch, TelltaleRecord } from '../src/core/record.ts'
import type { WhyData } from '../src/core/why/why_data.ts'
import { normalOf } from '../src/demo/chance.ts'
import { nodeDial } from '../src/local/node_dial.ts'
import { stoppedClock, type TestDatabase } from './postgres_fixture.ts'
import { aBatch, aSpan, rowsOf, traceId } from './rows_fixture.ts'

/** The edge's store over a database of the test's own: the same functions, called by name. */
export function alertStoreOf(database: TestDatabase): AlertStore & AlertWhyStore {
  return {
    readAlertInputs: async () => (await database.rpc('alert_inputs')) as AlertReading,
    storeAlertOutcome: async (outcome) =>
      ((await database.rpc('store_alert_outcome', { outcome })) as { stored: boolean }).stored,
    claimAlertQuestion: async (tries_max, gap_s) =>
      (await database.rpc('claim_alert_question', { tries_max, gap_s })) as AlertQuestion | null,
    readWhyData: async (filter, traces_max) => (await database.rpc('why_data', { filter, traces_max })) as WhyData,
    storeAlertVerdict: async (alert_id, verdict) =>
      ((await database.rpc('store_alert_verdict', { alert_id, verdict })) as { stored: boolean }).stored,
    claimAlertPush: async () => (await database.rpc('claim_alert_push')) as AlertPush | null,
    noteAlertPush: async (revision) => void (await database.rpc('note_alert_push', { revision })),
    claimNotifications: async (n) => (await database.rpc('claim_notifications', { n })) as Notification[],
    noteDeliveries: async (deliveries) =>
      void (await database.query('select telltale.note_deliveries($1)', [JSON.stringify(deliveries)])),
  }
}

/** Whole minutes, an hour ago, in µs: everything that the simulations store lies before the real now. */
export const simulationUs = Math.floor(Date.now() / 60_000) * 60_000_000 - 3_600_000_000
export const secondUs = 1_000_000

/** A database whose time the test moves, and one that a page watches. */
export async function openAlerts(database: TestDatabase, startUs = simulationUs) {
  const setClock = await stoppedClock(database, startUs)
  const world = { nowUs: startUs, pushes: [] as { readonly at_us: number; readonly push: AlertPush }[], batches: 0 }
  const store = alertStoreOf(database)
  const channel: PushChannel = {
    push: async (event, payload) => {
      if (event === 'alert') world.pushes.push({ at_us: world.nowUs, push: payload as AlertPush })
    },
  }
  const dayOf = (us: number) => new Date(us / 1_000).toISOString().slice(0, 10)
  const days = [-2, -1, 0, 1].map((n) => dayOf(startUs + n * 86_400_000_000))
  await database.query('select telltale.make_partitions($1::date[])', [days])
  return {
    world,
    store,
    channel,
    async moveTo(us: number): Promise<void> {
      world.nowUs = us
      await setClock(us)
    },
    /** Somebody looks. */
    async watch(): Promise<void> {
      await database.query(
        `insert into telltale.viewers (viewer_id, user_id, seen_at)
         values ('00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002', telltale.clock())
         on conflict (viewer_id) do update set seen_at = excluded.seen_at`,
      )
    },
    async ingest(records: readonly TelltaleRecord[], changes: Partial<Batch> = {}): Promise<void> {
      if (changes.seq === undefined) world.batches += 1
      const batch = aBatch(records, { seq: world.batches, made_at_us: world.nowUs, ...changes })
      await database.rpc('ingest_batch', { batch: rowsOf(batch) })
    },
    async later(seconds: number): Promise<void> {
      await this.moveTo(world.nowUs + seconds * secondUs)
    },
    /** As it was at first, but for the rules. */
    async reset(): Promise<void> {
      await database.query(`truncate telltale.alerts, telltale.alert_notifications, telltale.alert_destinations,
        telltale.alert_silences, telltale.alert_marks, telltale.alert_stretches, telltale.traces, telltale.trace_days,
        telltale.errors, telltale.error_groups, telltale.error_group_states, telltale.rollup_minutes, telltale.processes,
        telltale.batches cascade`)
      await this.moveTo(startUs)
      world.pushes.length = 0
      world.batches = 0
    },
    /** `rule state` of all alerts, sorted. */
    async states(): Promise<string[]> {
      return (await this.open()).map(({ rule_id, state }) => `${rule_id} ${state}`).sort()
    },
    evaluate: () => evaluateAlerts(store, channel),
    explain: () => explainAlerts(store),
    async open(): Promise<readonly AlertDocument[]> {
      const { rows } = (await database.rpc('alerts')) as { rows: AlertDocument[] }
      return rows
    },
    send: (notifier: Notifier) => sendNotifications(store, notifier, () => 0.5),
  }
}

export type AlertWorld = Awaited<ReturnType<typeof openAlerts>>

let called = 0

/** A call that ended then: an entry span and, with a provider, the span of its API. */
export function aCall(endUs: number, ms: number, changes: Record<string, unknown> = {}): TelltaleRecord[] {
  const trace_id = traceId(1_000_000 + called++)
  const { provider = null, outcome = 'ok', tool = 'chat' } = changes as { [key: string]: string | null }
  const times = { start_us: endUs - Math.round(ms * 1_000), end_us: endUs }
  const span = { trace_id, outcome, tool, ...times } as Parameters<typeof aSpan>[0]
  const api = { span_id: '00000000000000b2', parent_span_id: '00000000000000a1', entry: false, layer: 'api' as const }
  return [
    aSpan({ ...span, provider }),
    ...(provider === null ? [] : [aSpan({ ...span, ...api, provider, name: 'chat', tool: null })]),
  ]
}

/** A latency as calls have them: log-normal about a median, in ms. */
export function latencyOf(chance: () => number, median: number, sigma = 0.4): number {
  return median * Math.exp(sigma * normalOf(chance))
}

export type Received = { readonly headers: IncomingHttpHeaders; readonly body: string; readonly path: string }

/** A receiver of webhooks on this machine. `answer` may take its time; what it answers first is 204. */
export async function openReceiver(host = '127.0.0.1') {
  const received: Received[] = []
  const world = { answer: (response: ServerResponse) => void response.writeHead(204).end() }
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (part) => {
      body += part
    })
    request.on('end', () => {
      received.push({ headers: request.headers, body, path: request.url ?? '' })
      world.answer(response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${host}:${port}/hook`,
    port,
    received,
    world,
    async close(): Promise<void> {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const webhookSecret = `whsec_${Buffer.from('a secret of thirty-two bytes, no less').toString('base64')}`

/** Tells receivers on this machine. */
export function localNotifier(): Notifier {
  return new HttpNotifier({
    dial: nodeDial(),
    policy: destinationPolicyOf(true),
    pageUrl: 'https://telltale.example',
    clock: () => Date.now() * 1_000,
  })
}

/** Keeps a webhook as a destination; answers its id. */
export async function addWebhook(
  database: TestDatabase,
  url: string,
  more: Record<string, unknown> = {},
): Promise<string> {
  const wanted = { name: `hook ${randomUUID().slice(0, 8)}`, kind: 'webhook', url, secret: webhookSecret, ...more }
  const { destination_id } = (await database.rpc('add_destination', { wanted })) as { destination_id: string }
  return destination_id
}

export async function eventually(check: () => boolean, msMax = 5_000): Promise<void> {
  const until = performance.now() + msMax
  while (!check() && performance.now() < until) await pause(10)
}
