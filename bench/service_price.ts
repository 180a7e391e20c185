// What a million requests cost at the hosted services: Redis commands, Postgres calls, function calls, Realtime messages
// and bytes, counted by a proxy between the Worker's own code and the embedded stack's services, at the pace of a hosted
// project; times list prices. The million is spread over one day (11.6 a second), because some costs come by the day: a
// tick every ten seconds, and what a page asks for that is open all day. Usage: node bench/service_price.ts
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { RealtimeClient, type WebSocketLikeConstructor } from '@supabase/realtime-js'
import { createClient } from '@supabase/supabase-js'
import { WebSocket } from 'ws'
import worker from '../functions/worker.ts'
import { hostedFlushMs, liveBeatMs, pushMsMin } from '../src/core/limit.ts'
import { createDataDir, startTelltale } from '../test/stack_fixture.ts'
import { type Count, openCountingProxy } from './counting_proxy.ts'
import { benchProcess, daemonBatch } from './daemon_batch.ts'

const requestsWanted = 1_000_000
const daySeconds = 86_400
const tickSeconds = 10
const overviewSeconds = 5 // As long as the page shows the last hour: refreshMs() of web/view/overview_view.ts.
const layers = ['shim', 'tool', 'api'] as const
const perBatch = [1, 100] as const
const unwatchedRequests = 2_000
const watchedBatches = { sparse: 60, dense: 600 }

// Read in stored copies on 2026-11-23; what they say may have changed since. USD.
const price = {
  redisCommand: 0.2 / 100_000,
  supabaseFunction: 2 / 1_000_000,
  realtimeMessage: 2.5 / 1_000_000,
  egressGb: 0.09,
  workerRequest: 0.3 / 1_000_000,
}
const free = { redisCommands: 500_000, supabaseFunctions: 500_000, realtimeMessages: 2_000_000, egressGb: 5 }
const workerRequestsFreeADay = 100_000
const sources = [
  'Upstash Redis: $0.20 per 100,000 commands pay as you go, 500,000 a month free; bandwidth free up to 200 GB a month.',
  '  upstash.com/docs/redis/overall/billing.md, upstash.com/pricing/redis (read there 2026-09-20 by api-evangelist/upstash)',
  'Supabase functions: $2 per million beyond 2 million (Pro, $25 a month), 500,000 free on Free.',
  '  supabase/supabase apps/docs/content/_partials/billing/pricing/pricing_edge_functions.mdx at 0a7098d',
  'Supabase Realtime: $2.50 per million beyond 5 million (Pro), 2 million free on Free; each sent and each received counts.',
  '  supabase.com/docs/guides/platform/manage-your-usage/realtime-messages',
  'Supabase egress: $0.09 per GB beyond 250 GB (Pro), 5 GB on Free. supabase.com/docs/guides/platform/org-based-billing',
  'Cloudflare Workers: $0.30 per million beyond 10 million (Paid, $5 a month), 100,000 a day on Free; subrequests are free.',
  '  cloudflare/cloudflare-docs src/content/docs/workers/platform/pricing.mdx at 07acbb6',
  'Not verified: the live price pages, since stored copies were read; whether what a Supabase function sends to Redis counts as',
  '  egress; CPU time on Workers ($0.02 per million ms beyond 30 million), which cannot be read here. Left out: database size.',
]

type Counts = ReadonlyMap<string, Count>
type Usage = {
  redis: number
  postgres: number
  functions: number
  ticks: number
  messages: number
  egressBytes: number
}

const dataDir = createDataDir()
const stack = await startTelltale(dataDir.dir)
const { SUPABASE_URL: stackUrl = '', SUPABASE_PUBLISHABLE_KEY: apikey = '' } = stack.env
const proxy = await openCountingProxy(stackUrl)
const work = new Set<Promise<unknown>>()
const bindings = {
  ASSETS: { fetch: async () => new Response(null, { status: 404 }) },
  SUPABASE_URL: proxy.url,
  SUPABASE_SECRET_KEY: stack.env.SUPABASE_SECRET_KEY,
  SUPABASE_PUBLISHABLE_KEY: apikey,
  UPSTASH_REDIS_REST_URL: `${proxy.url}/redis`,
  UPSTASH_REDIS_REST_TOKEN: stack.env.UPSTASH_REDIS_REST_TOKEN,
  TELLTALE_FLUSH_MS: String(hostedFlushMs),
  // A fourth of the hosted pace, and batches four times as dense: a quarter of the time.
  TELLTALE_PUSH_MS: String(pushMsMin),
}
const source = benchProcess(Date.now() * 1_000)

try {
  await send(1)
  const unwatched = new Map<number, Counts>()
  for (const n of perBatch) unwatched.set(n, await countOf(() => inTurn(unwatchedRequests / n, n, 0)))
  const tick = await countOf(() => ask('tick', 'POST', { apikey: stack.env.SUPABASE_SECRET_KEY ?? '' }))

  const page = await openPage()
  const beat = await countOf(() => page.look())
  const read = await countOf(() => page.readOverview())
  const watched = new Map<number, Counts>()
  for (const n of perBatch) {
    const batchesADay = requestsWanted / n
    const isDense = batchesADay > daySeconds
    const count = isDense ? watchedBatches.dense : watchedBatches.sparse
    const gapMs = isDense ? (daySeconds * pushMsMin) / batchesADay : pushMsMin * 1.2
    watched.set(n, await countOf(() => inTurn(count, n, gapMs, page.look)))
  }
  await page.close()

  const rows = perBatch.flatMap((n) => {
    const plain = usageOf(unwatched.get(n) as Counts, unwatchedRequests / n, requestsWanted / n, tick)
    const [count, live] = countOfWatched(watched.get(n) as Counts)
    const busy = usageOf(live, count, requestsWanted / n, tick)
    addPage(busy, beat, read)
    return [
      { shape: n, who: 'unwatched', usage: plain },
      { shape: n, who: 'one page', usage: busy },
    ]
  })
  print(rows)
  const kbOf = (counts: Counts, isMeant: (kind: string) => boolean, what: 'bytesIn' | 'bytesOut', each: number) =>
    `${(sumOf(counts, isMeant, what) / each / 1_000).toFixed(1)} KB`
  const live = watched.get(1) as Counts
  const isPush = (kind: string) => kind === 'broadcast'
  console.log(
    `\nuncompressed, a push has ${kbOf(live, isPush, 'bytesOut', sumOf(live, isPush))}, a snapshot (every ${liveBeatMs / 1_000} s) ${kbOf(beat, () => true, 'bytesIn', 1)}, a reading of the overview (every ${overviewSeconds} s) ${kbOf(read, isRpc, 'bytesIn', 1)}`,
  )
  console.log(`\n${sources.join('\n')}`)
} finally {
  await proxy.close()
  await stack.stop('SIGTERM')
  dataDir.remove()
}

async function ask(name: string, method: string, headers: Record<string, string>, body?: string): Promise<Response> {
  const request = new Request(`http://edge/functions/v1/${name}`, { method, headers, ...(body ? { body } : {}) })
  return worker.fetch(request, bindings, {
    waitUntil(task) {
      const kept = task.catch(() => {}).finally(() => work.delete(kept))
      work.add(kept)
    },
  })
}

async function send(requests: number): Promise<void> {
  const batch = daemonBatch(source, requests * layers.length, Date.now() * 1_000, layers)
  const headers = { authorization: `Bearer ${stack.env.TELLTALE_INGEST_KEY}`, 'content-type': 'application/json' }
  const body = JSON.stringify(batch)
  let answer = await ask('ingest', 'POST', headers, body)
  for (let tries = 0; answer.status === 429 && tries < 5; tries += 1) {
    await pause(2_000)
    answer = await ask('ingest', 'POST', headers, body)
  }
  if (answer.status !== 200) throw new Error(`Cannot send batch: ${answer.status} ${await answer.text()}`)
}

/** Batches `gapMs` apart, or one after the other, while a page looks as often as a page does. */
async function inTurn(batches: number, requests: number, gapMs: number, look?: () => Promise<unknown>): Promise<void> {
  let lookedAt = performance.now()
  const began = performance.now()
  const sent: Promise<void>[] = []
  for (let n = 0; n < batches; n += 1) {
    if (look !== undefined && performance.now() - lookedAt > liveBeatMs) {
      lookedAt = performance.now()
      sent.push(look().then(() => undefined))
    }
    await pause(Math.max(0, began + n * gapMs - performance.now()))
    const sending = send(requests)
    if (gapMs === 0) await sending
    else sent.push(sending)
  }
  await Promise.all(sent)
  const slower = (performance.now() - began) / (batches * gapMs)
  if (gapMs > 0 && slower > 1.1)
    console.log(`too busy a machine: a watched run took ${slower.toFixed(1)} times its time`)
}

/** All that was asked of the services by some work and by what it left in the background. */
async function countOf(act: () => Promise<unknown>): Promise<Counts> {
  proxy.take()
  await act()
  while (work.size > 0) await Promise.all(work)
  return proxy.take()
}

type OpenPage = { look(): Promise<unknown>; readOverview(): Promise<unknown>; close(): Promise<unknown> }

/** The clients of a page, signed in; what it asks for goes through the proxy, what is pushed to it does not. */
async function openPage(): Promise<OpenPage> {
  const transport = WebSocket as unknown as WebSocketLikeConstructor
  const options = { auth: { persistSession: false, autoRefreshToken: false }, realtime: { transport } }
  const client = createClient(stackUrl, apikey, options)
  const { data, error } = await client.auth.signInWithPassword({
    email: stack.env.TELLTALE_VIEWER_EMAIL ?? '',
    password: stack.env.TELLTALE_VIEWER_PASSWORD ?? '',
  })
  if (error !== null) throw new Error(`Cannot sign in: ${error.message}`)
  const authorization = `Bearer ${data.session.access_token}`
  const realtime = new RealtimeClient(`${stackUrl}/realtime/v1`, {
    params: { apikey },
    transport,
    accessToken: async () => data.session.access_token,
  })
  await realtime.setAuth()
  const channel = realtime.channel('telltale:live', { config: { private: true } })
  await new Promise<void>((resolve) => channel.subscribe((status) => status === 'SUBSCRIBED' && resolve()))
  const viewer = randomUUID()
  const reader = createClient(proxy.url, apikey, { ...options, global: { headers: { authorization } } })
  return {
    // Only the first asks for the whole hour.
    look: () =>
      ask(`live?viewer=${viewer}&minutes=1`, 'GET', { apikey, authorization }).then((answer) => answer.text()),
    async readOverview() {
      const filter = { from: (Date.now() - 3_600_000) * 1_000, to: Date.now() * 1_000 }
      const rpc = reader.schema('telltale')
      for (const found of await Promise.all([rpc.rpc('overview', { filter }), rpc.rpc('series', { filter })])) {
        if (found.error !== null) throw new Error(`Cannot read the overview: ${found.error.message}`)
      }
    },
    close: () => realtime.disconnect(),
  }
}

function sumOf(counts: Counts, isMeant: (kind: string) => boolean, what: keyof Count = 'n'): number {
  return [...counts].reduce((sum, [kind, count]) => sum + (isMeant(kind) ? count[what] : 0), 0)
}

function isRedis(kind: string): boolean {
  return kind.startsWith('redis ')
}

/** A second is finished once, however many batches had a part in it. */
function isSecond(kind: string): boolean {
  return isRedis(kind) && kind.endsWith(' telltale:seconds')
}

function isRpc(kind: string): boolean {
  return kind.startsWith('rpc ')
}

/** Without the looks of the page that kept it watched, which are counted by the day. */
function countOfWatched(counts: Counts): [number, Counts] {
  const looks = new Set(['rpc live_data', 'redis XREVRANGE telltale:seconds', 'redis XREVRANGE telltale:batches'])
  const lookCount = counts.get('rpc live_data')?.n ?? 0
  const rest = new Map([...counts].filter(([kind]) => !looks.has(kind)))
  const state = rest.get('redis GET telltale:state')
  if (state !== undefined) rest.set('redis GET telltale:state', { ...state, n: state.n - lookCount })
  return [counts.get('rpc ingest_batch')?.n ?? 0, rest]
}

/** What so many batches in a day would cost, as counted of some. */
function usageOf(counts: Counts, counted: number, batches: number, tick: Counts): Usage {
  const scale = batches / counted
  const pushes = (counts.get('broadcast')?.n ?? 0) * scale
  // Each second of the day has a request: at a quarter of the time there were fewer to finish for each push.
  const seconds = pushes === 0 ? 0 : Math.min(daySeconds, batches * 2)
  const ticks = daySeconds / tickSeconds
  return {
    redis: sumOf(counts, (kind) => isRedis(kind) && !isSecond(kind)) * scale + seconds * 2,
    postgres: sumOf(counts, isRpc) * scale + ticks * sumOf(tick, isRpc),
    functions: batches,
    ticks,
    // One sent, and one received by the page.
    messages: pushes * 2,
    egressBytes: (counts.get('broadcast')?.bytesOut ?? 0) * scale,
  }
}

function addPage(usage: Usage, beat: Counts, read: Counts): void {
  const beats = (daySeconds * 1_000) / liveBeatMs
  const reads = daySeconds / overviewSeconds
  usage.redis += beats * sumOf(beat, isRedis)
  usage.postgres += beats * sumOf(beat, isRpc) + reads * sumOf(read, isRpc)
  usage.functions += beats
  usage.egressBytes += beats * sumOf(beat, () => true, 'bytesIn') + reads * sumOf(read, isRpc, 'bytesIn')
}

function print(rows: readonly { readonly shape: number; readonly who: string; readonly usage: Usage }[]): void {
  console.log('a million requests in a day, in thousands (k) and GB:')
  console.log('a batch  watched    | Redis  Postgres  functions  (ticks)  Realtime  egress to the page')
  for (const { shape, who, usage } of rows) {
    const k = (n: number, width: number) => `${(n / 1_000).toFixed(1)}k`.padStart(width)
    console.log(
      `${String(shape).padStart(7)}  ${who.padEnd(10)} | ${k(usage.redis, 8)} ${k(usage.postgres, 8)} ${k(usage.functions, 9)} ${k(usage.ticks, 8)} ${k(usage.messages, 9)}  ${(usage.egressBytes / 1e9).toFixed(2)} GB`,
    )
  }
  console.log('\nat list prices beyond every quota, USD; on Workers ticks come by the cron or within a request:')
  console.log(
    'a batch  watched    |  Redis  functions (Supabase | Workers)  Realtime  egress | total (Supabase | Workers)',
  )
  for (const { shape, who, usage } of rows) {
    const redis = usage.redis * price.redisCommand
    const supabase = (usage.functions + usage.ticks) * price.supabaseFunction
    const workers = usage.functions * price.workerRequest
    const realtime = usage.messages * price.realtimeMessage
    const egress = (usage.egressBytes / 1e9) * price.egressGb
    const usd = (n: number) => `$${n.toFixed(3)}`
    console.log(
      `${String(shape).padStart(7)}  ${who.padEnd(10)} | ${usd(redis)} ${usd(supabase).padStart(20)} | ${usd(workers)} ${usd(realtime).padStart(11)} ${usd(egress)} | ${usd(redis + supabase + realtime + egress).padStart(17)} | ${usd(redis + workers + realtime + egress)}`,
    )
  }
  console.log(
    '\nhow many days like that the free plans bear in a month (the scarcest first); Workers: of 100,000 a day',
  )
  for (const { shape, who, usage } of rows) {
    const days = [
      ['Redis commands', free.redisCommands / usage.redis],
      ['Supabase functions', free.supabaseFunctions / (usage.functions + usage.ticks)],
      ['Realtime messages', free.realtimeMessages / usage.messages],
      ['egress', (free.egressGb * 1e9) / usage.egressBytes],
    ] as const
    const list = days
      .filter(([, n]) => Number.isFinite(n))
      .toSorted(([, a], [, b]) => a - b)
      .map(([name, n]) => `${name} ${n.toFixed(1)}`)
    const share = ((100 * usage.functions) / workerRequestsFreeADay).toFixed(0)
    console.log(`${String(shape).padStart(7)}  ${who.padEnd(10)} | ${list.join(', ')}; Workers ${share} %`)
  }
}
