import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RealtimeClient, type WebSocketLikeConstructor } from '@supabase/realtime-js'
import { createClient } from '@supabase/supabase-js'
import { Hono } from 'hono'
import pg from 'pg'
import { WebSocket } from 'ws'
import type { Database } from '../src/local/database.ts'
import { createRealtime, type Realtime, type RealtimeOptions } from '../src/local/embedded_realtime.ts'
import { openHttpServer } from '../src/local/http_server.ts'
import { migrate } from '../src/local/migrate.ts'
import { openPgliteDatabase } from '../src/local/pglite_database.ts'
import { type ProjectKeys, readProjectKeys } from '../src/local/project_key.ts'
import { signToken } from './rest_fixture.ts'

/** A project with Realtime and the policies of `contractSql`; embedded, or the hosted one of the environment. */
export type RealtimeProject = {
  readonly url: string
  readonly publishableKey: string
  readonly secretKey: string
  /** A user's token, for an hour; of a member, or of somebody else. */
  signIn(member: boolean): Promise<string>
  /** Runs SQL as the owner. */
  exec(text: string): Promise<void>
  close(): Promise<void>
}

export type EmbeddedRealtime = RealtimeProject & {
  readonly keys: ProjectKeys
  readonly database: Database
  readonly realtime: Realtime
  readonly logged: readonly string[]
}

/** For every official client in Node. */
export const transport = WebSocket as unknown as WebSocketLikeConstructor

/** A private topic on which every user may send and receive, whatever comes after the colon. */
export const openTopic = 'contract:open'

const contractEndSql = `
  drop policy if exists contract_open_read on realtime.messages;
  drop policy if exists contract_open_write on realtime.messages;`

const contractSql = `${contractEndSql}
  create policy contract_open_read on realtime.messages for select to authenticated
    using (realtime.topic() like 'contract:open%');
  create policy contract_open_write on realtime.messages for insert to authenticated
    with check (realtime.topic() like 'contract:open%');`

/** With SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, SUPABASE_SECRET_KEY and DATABASE_URL: that project, migrated before. */
export async function openRealtimeProject(): Promise<RealtimeProject> {
  const { SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, SUPABASE_SECRET_KEY, DATABASE_URL } = process.env
  if (!SUPABASE_URL || !SUPABASE_PUBLISHABLE_KEY || !SUPABASE_SECRET_KEY || !DATABASE_URL) {
    return openEmbeddedRealtime()
  }
  const database = new pg.Client({ connectionString: DATABASE_URL })
  await database.connect()
  const exec = async (text: string) => void (await database.query(text))
  await exec(contractSql)
  const options = { auth: { persistSession: false, autoRefreshToken: false }, realtime: { transport } }
  const admin = createClient(SUPABASE_URL, SUPABASE_SECRET_KEY, options).auth.admin
  const users: string[] = []
  return {
    url: SUPABASE_URL,
    publishableKey: SUPABASE_PUBLISHABLE_KEY,
    secretKey: SUPABASE_SECRET_KEY,
    exec,
    async signIn(member) {
      const credentials = { email: `${randomUUID()}@example.com`, password: randomUUID() }
      const { data } = await admin.createUser({ ...credentials, email_confirm: true })
      const id = data.user?.id ?? ''
      users.push(id)
      if (member) await exec(`insert into telltale.members (user_id) values ('${id}')`)
      const client = createClient(SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, options)
      const signedIn = await client.auth.signInWithPassword(credentials)
      return signedIn.data.session?.access_token ?? ''
    },
    async close() {
      await exec(contractEndSql)
      for (const id of users) {
        await exec(`delete from telltale.members where user_id = '${id}'`)
        await admin.deleteUser(id)
      }
      await database.end()
    },
  }
}

/** On PGlite, or on the database given, which stays open; with the address space of a hosted project: /realtime/v1 and nothing else. */
export async function openEmbeddedRealtime(
  options: Partial<RealtimeOptions> = {},
  given?: Database,
): Promise<EmbeddedRealtime> {
  const dir = join(tmpdir(), `telltale-realtime-${randomUUID()}`)
  const keys = await readProjectKeys(dir)
  const database = given ?? (await openPgliteDatabase({ dir, password: keys.databasePassword }))
  await migrate(database)
  await database.exec(contractSql)
  const logged: string[] = []
  const realtime = createRealtime({ database, keys, log: (line) => logged.push(line), ...options })
  const app = new Hono().mount('/realtime/v1', realtime.fetch)
  const server = await openHttpServer({ host: '127.0.0.1', port: 0 }, app.fetch, realtime.upgrade)
  return {
    url: server.url,
    publishableKey: keys.publishableKey,
    secretKey: keys.secretKey,
    keys,
    database,
    realtime,
    logged,
    exec: database.exec,
    async signIn(member) {
      const id = randomUUID()
      if (member) await database.exec(`insert into telltale.members (user_id) values ('${id}')`)
      return signToken(keys, { sub: id, role: 'authenticated' })
    },
    async close() {
      await realtime.close()
      await server.close()
      if (given === undefined) await database.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

export type ClientOptions = { readonly vsn?: string; readonly apikey?: string; readonly heartbeatIntervalMs?: number }

/** The official client. */
export function realtimeClientOf(project: RealtimeProject, options: ClientOptions = {}): RealtimeClient {
  const { apikey = project.publishableKey, ...rest } = options
  return new RealtimeClient(`${project.url.replace(/^http/, 'ws')}/realtime/v1`, {
    params: { apikey },
    transport,
    ...rest,
  })
}

/** Follows a channel's states, one at a time. */
export type Subscription = {
  /** The first state that comes, `SUBSCRIBED`, `CHANNEL_ERROR`, `CLOSED` ..., with the error's text. */
  readonly next: () => Promise<readonly [state: string, why: string]>
}

export function subscribed(channel: ReturnType<RealtimeClient['channel']>): Subscription {
  const states: (readonly [string, string])[] = []
  const waiting: ((state: readonly [string, string]) => void)[] = []
  channel.subscribe((state, error) => {
    const told = [state, error === undefined ? '' : `${error.message} ${String(error.cause ?? '')}`] as const
    const next = waiting.shift()
    if (next === undefined) states.push(told)
    else next(told)
  })
  return {
    next: () => {
      const state = states.shift()
      return state === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(state)
    },
  }
}

/** What a channel receives under an event, in order. */
export function received<T = unknown>(channel: ReturnType<RealtimeClient['channel']>, event: string): () => Promise<T> {
  const messages: T[] = []
  const waiting: ((message: T) => void)[] = []
  channel.on('broadcast', { event }, (message) => {
    const payload = message.payload as T
    const next = waiting.shift()
    if (next === undefined) messages.push(payload)
    else next(payload)
  })
  return () => {
    const message = messages.shift()
    return message === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(message)
  }
}

/** `POST /api/broadcast` as the edge sends it. */
export function postBroadcast(project: RealtimeProject, messages: unknown, headers: Record<string, string> = {}) {
  return fetch(`${project.url}/realtime/v1/api/broadcast`, {
    method: 'POST',
    headers: { apikey: project.secretKey, 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ messages }),
  })
}

/** A client of version 2.0.0 that sends whatever it is told to. */
export type RawClient = {
  readonly ws: WebSocket
  /** `[join_ref, ref, topic, event, payload]`, or any bytes. */
  send(frame: readonly unknown[] | Buffer | string): void
  /** The next message, `[join_ref, ref, topic, event, payload]`. */
  next(): Promise<readonly unknown[]>
  /** Joins `realtime:<topic>` and answers the reply's payload. */
  join(topic: string, payload?: object): Promise<unknown>
  /** The code with which the connection ends. */
  readonly ended: Promise<number>
}

export async function openRaw(project: RealtimeProject, apikey = project.publishableKey): Promise<RawClient> {
  const ws = new WebSocket(
    `${project.url.replace(/^http/, 'ws')}/realtime/v1/websocket?vsn=2.0.0&apikey=${encodeURIComponent(apikey)}`,
  )
  const messages: (readonly unknown[])[] = []
  const waiting: ((message: readonly unknown[]) => void)[] = []
  ws.on('message', (data, binary) => {
    const message = binary ? [data] : (JSON.parse(String(data)) as readonly unknown[])
    const next = waiting.shift()
    if (next === undefined) messages.push(message)
    else next(message)
  })
  const ended = new Promise<number>((resolve) => ws.on('close', resolve))
  await new Promise((resolve, reject) => ws.on('open', resolve).on('error', reject))
  const send: RawClient['send'] = (frame) =>
    ws.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame))
  const next: RawClient['next'] = () => {
    const message = messages.shift()
    return message === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(message)
  }
  let ref = 0
  return {
    ws,
    ended,
    send,
    next,
    async join(topic, payload = {}) {
      const joinRef = String(++ref)
      send([joinRef, joinRef, `realtime:${topic}`, 'phx_join', payload])
      const [, , , , reply] = await next()
      return reply
    },
  }
}
