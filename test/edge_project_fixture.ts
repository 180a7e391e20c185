import { randomUUID } from 'node:crypto'
import { createClient, type SupabaseClient } from '@supabase/supabase-js'
import { tickActionsOf } from '../functions/action/tick_action.ts'
import { ingestApp } from '../functions/route/ingest.ts'
import { liveApp } from '../functions/route/live.ts'
import { mcpApp } from '../functions/route/mcp.ts'
import { tickApp } from '../functions/route/tick.ts'
import { whyApp } from '../functions/route/why_app.ts'
import { readAs, readLiveData } from '../functions/store/caller.ts'
import type { ReadAs } from '../functions/store/caller_port.ts'
import { destinationPolicyOf } from '../functions/store/destination_check.ts'
import { HttpNotifier } from '../functions/store/http_notifier.ts'
import { PostgresStore } from '../functions/store/postgres.ts'
import { embeddedFlushMs, pushMsMin } from '../src/core/limit.ts'
import { openHttpServer } from '../src/local/http_server.ts'
import { createIngestKey } from '../src/local/ingest_key.ts'
import { nodeDial } from '../src/local/node_dial.ts'
import { startStack } from '../src/local/stack.ts'
import {
  buildWorker,
  createEdgeDir,
  type EdgeRuntime,
  noDenoReason,
  noWorkerdReason,
  type Settings,
  startDeno,
  startWorkerd,
} from './edge_runtime_fixture.ts'
import { transport } from './realtime_fixture.ts'
import { createDataDir } from './stack_fixture.ts'
import { openStoreGate, type StoreGate } from './store_gate_fixture.ts'

/** Why a runtime is not there; null when it is. */
export const absent = { node: null, deno: noDenoReason(), workerd: noWorkerdReason() }
export type RuntimeName = keyof typeof absent
export const runtimeNames = Object.keys(absent) as RuntimeName[]

/** One embedded stack, and every runtime of the functions before it. */
export type EdgeProject = {
  readonly env: Settings
  readonly dir: string
  /** Before the stores of all runtimes but Node, whose functions are the stack's own. */
  readonly gate: StoreGate
  readonly build: Awaited<ReturnType<typeof buildWorker>>
  readonly worker: Awaited<ReturnType<typeof startWorkerd>> | null
  runtimeOf(name: RuntimeName): EdgeRuntime
  /** As `runtimeOf`, and on Node the same routes behind the gate too. */
  gatedOf(name: RuntimeName): Promise<EdgeRuntime>
  createKey(): Promise<string>
  revokeKey(key: string): Promise<void>
  /** Somebody's client with a session: the stack's viewer, or a user who is no member. */
  signIn(who: 'viewer' | 'stranger'): Promise<{ client: SupabaseClient; headers: Record<string, string> }>
  close(): Promise<void>
}

/** Free ports throughout; `close` ends all that was started, and so does a failure here. */
export async function startEdgeProject(): Promise<EdgeProject> {
  const { dir, remove } = createEdgeDir()
  const closers: (() => unknown)[] = [remove]
  const close = async () => {
    for (let next = closers.pop(); next !== undefined; next = closers.pop()) await next()
  }
  const keep = <T extends { close(): unknown }>(opened: T): T => {
    closers.push(() => opened.close())
    return opened
  }
  try {
    const data = createDataDir()
    closers.push(data.remove)
    const stack = keep(await startStack({ dataDir: data.dir, port: 0 }))
    const gate = keep(await openStoreGate(stack.url))
    const settings = settingsOf(stack.env, gate.url)
    const node = runtimeAt(`${stack.url}/functions/v1`)
    const starting = absent.deno === null ? startDeno(settings, dir) : null
    const [deno, building] = await Promise.allSettled([starting, buildWorker(dir)])
    if (deno.status === 'rejected') throw deno.reason
    if (deno.value !== null) keep(deno.value)
    const build = building.status === 'fulfilled' ? building.value : failedBuild(building.reason)
    const isBuilt = absent.workerd === null && build.code === 0
    const worker = isBuilt ? keep(await startWorkerd(settings, { dir, outDir: build.outDir })) : null
    const runtimes = { node, deno: deno.value, workerd: worker }
    const runtimeOf = (name: RuntimeName) => {
      const runtime = runtimes[name]
      if (runtime === null) throw new Error(`Cannot ask ${name}: it was not started: ${build.printed}`)
      return runtime
    }
    const gatedOf = async (name: RuntimeName) =>
      name === 'node' ? keep(await serveBehind(gate.url, settings)) : runtimeOf(name)
    return { env: stack.env, dir, gate, build, worker, runtimeOf, gatedOf, ...accessOf(stack.env), close }
  } catch (error) {
    await close()
    throw error
  }
}

function failedBuild(reason: unknown): EdgeProject['build'] {
  return { code: null, printed: String(reason), outDir: '' }
}

/** The stack's own settings, with every store behind the gate. */
function settingsOf(env: Settings, gateUrl: string): Settings {
  const names = ['SUPABASE_PUBLISHABLE_KEY', 'SUPABASE_SECRET_KEY', 'UPSTASH_REDIS_REST_TOKEN']
  return {
    ...Object.fromEntries(names.map((name) => [name, env[name] ?? ''])),
    SUPABASE_URL: gateUrl,
    UPSTASH_REDIS_REST_URL: `${gateUrl}/redis`,
    TELLTALE_FLUSH_MS: String(embeddedFlushMs),
    TELLTALE_PUSH_MS: String(pushMsMin),
  }
}

function runtimeAt(url: string, close = async () => {}): EdgeRuntime {
  return { name: 'node', addressOf: (name) => `${url}/${name}`, printed: () => '', close }
}

async function serveBehind(url: string, settings: Settings): Promise<EdgeRuntime> {
  const secretKey = settings.SUPABASE_SECRET_KEY ?? ''
  const store = new PostgresStore({ url, secretKey })
  const clock = () => Date.now() * 1_000
  const log = () => {}
  const reading: ReadAs = (caller, name, args) => readAs({ url }, caller, name, args)
  const notifier = new HttpNotifier({ dial: nodeDial(), policy: destinationPolicyOf(false), pageUrl: url, clock })
  const parts = { store, instance: new URL(url).host, redis: null, channel: null, notifier, chance: Math.random }
  const apps = {
    ingest: ingestApp({ store, clock, flushMs: embeddedFlushMs, log }),
    tick: tickApp({ store, actions: tickActionsOf(parts), clock, secret: secretKey, log }),
    live: liveApp({ hot: null, readData: (caller) => readLiveData({ url }, caller), clock, log }),
    why: whyApp({ readAs: reading, log }),
    mcp: mcpApp({ readAs: reading, publishableKey: settings.SUPABASE_PUBLISHABLE_KEY ?? '', log }),
  }
  const server = await openHttpServer({ host: '127.0.0.1', port: 0 }, (request) =>
    apps[new URL(request.url).pathname.split('/')[1] as keyof typeof apps].fetch(request),
  )
  return runtimeAt(server.url, server.close)
}

function accessOf(env: Settings): Pick<EdgeProject, 'createKey' | 'revokeKey' | 'signIn'> {
  const { SUPABASE_URL: url = '', SUPABASE_PUBLISHABLE_KEY: apikey = '', SUPABASE_SECRET_KEY: secretKey = '' } = env
  const options = { auth: { persistSession: false, autoRefreshToken: false }, realtime: { transport } }
  const admin = createClient(url, secretKey, options)

  async function call(name: string, args: Record<string, unknown>): Promise<void> {
    const { error } = await admin.schema('telltale').rpc(name, args)
    if (error !== null) throw new Error(`Cannot call ${name}: ${error.message}`)
  }

  return {
    async createKey() {
      const { id, text, hash } = createIngestKey()
      await call('create_key', { key_id: id, key_hash: hash, name: 'conformance' })
      return text
    },
    revokeKey: (key) => call('revoke_key', { key_id: /^tt_([a-z0-9]{12})_/.exec(key)?.[1] }),
    async signIn(who) {
      const stranger = { email: `${randomUUID()}@example.com`, password: randomUUID() }
      const viewer = { email: env.TELLTALE_VIEWER_EMAIL ?? '', password: env.TELLTALE_VIEWER_PASSWORD ?? '' }
      if (who === 'stranger') await admin.auth.admin.createUser({ ...stranger, email_confirm: true })
      const client = createClient(url, apikey, options)
      const { data, error } = await client.auth.signInWithPassword(who === 'viewer' ? viewer : stranger)
      if (error !== null) throw new Error(`Cannot sign in: ${error.message}`)
      return { client, headers: { apikey, authorization: `Bearer ${data.session.access_token}` } }
    },
  }
}
