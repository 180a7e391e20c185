import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { createClient } from '@supabase/supabase-js'
import pg from 'pg'
import { transport } from './realtime_fixture.ts'
import { createDataDir, type RunningStack, startTelltale } from './stack_fixture.ts'

/** A whole stack in processes of its own, with somebody who watches, and all places in which content could come to lie. */
export type PrivacyStage = {
  readonly env: Readonly<Record<string, string>>
  /** The same by way of somebody who writes down what is sent, which is what an outbox file holds. */
  readonly overheardEnv: Readonly<Record<string, string>>
  /** What was sent on that way since it was last asked. */
  overheard(): string
  readonly pushes: readonly string[]
  /** Forgets what was stored, and lets the edge count somebody as looking for another minute. */
  begin(): Promise<void>
  postgres(): Promise<string>
  redis(): Promise<string>
  printed(): string
  close(): Promise<void>
}

/** Also the names that are known, of which only so many are kept as they are. */
const stored = [
  ...['traces', 'errors', 'error_groups', 'messages', 'gauges', 'batches', 'rollup_minutes', 'admitted_names'],
  ...['processes', 'sources'],
]

export async function openPrivacyStage(): Promise<PrivacyStage> {
  const { dir, remove } = createDataDir()
  const stack = await startTelltale(dir)
  const { env } = stack
  const database = new pg.Client({ connectionString: env.DATABASE_URL })
  await database.connect()
  const pushes: string[] = []
  const wire = await openWire(env.TELLTALE_INGEST_URL as string)
  const leave = await listen(env, (push) => pushes.push(push))
  return {
    env,
    overheardEnv: { ...env, TELLTALE_INGEST_URL: wire.url },
    overheard: wire.take,
    pushes,
    async begin() {
      pushes.length = 0
      wire.take()
      await database.query(`truncate ${stored.map((name) => `telltale.${name}`).join(', ')} cascade`)
      await database.query(
        'insert into telltale.viewers (viewer_id, user_id) values (gen_random_uuid(), gen_random_uuid())',
      )
    },
    postgres: () => dumpOf(database),
    redis: () => redisDumpOf(env),
    printed: stack.printed,
    async close() {
      await leave()
      wire.close()
      await database.end()
      await closeStack(stack)
      remove()
    },
  }
}

async function closeStack(stack: RunningStack): Promise<void> {
  await stack.stop('SIGTERM')
}

/** Passes everything on to the edge, and keeps it until it is taken. */
async function openWire(edge: string): Promise<{ url: string; take(): string; close(): void }> {
  let bodies: string[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    bodies.push((request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString())
    const { host: _host, connection: _connection, 'content-length': _length, ...headers } = request.headers
    const answer = await fetch(edge, { method: 'POST', headers: headers as Record<string, string>, body })
    response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' })
    response.end(await answer.text())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const take = () => {
    const taken = bodies.join('\n')
    bodies = []
    return taken
  }
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, take, close }
}

/** Every column of every table, as text. */
async function dumpOf(database: pg.Client): Promise<string> {
  const tables = await database.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'telltale' and c.relkind in ('r', 'p') and not c.relispartition order by 1`,
  )
  const rows: string[] = []
  for (const { name } of tables.rows) {
    const found = await database.query<{ text: string }>(`select t::text as text from ${name} t`)
    rows.push(...found.rows.map(({ text }) => `${name} ${text}`))
  }
  return rows.join('\n')
}

async function redisDumpOf(env: Readonly<Record<string, string>>): Promise<string> {
  const call = async (...command: string[]): Promise<unknown> => {
    const answer = await fetch(env.UPSTASH_REDIS_REST_URL as string, {
      method: 'POST',
      headers: { authorization: `Bearer ${env.UPSTASH_REDIS_REST_TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify(command),
    })
    return ((await answer.json()) as { result?: unknown }).result
  }
  const keys = (await call('KEYS', '*')) as string[]
  const values: string[] = []
  for (const key of keys) {
    const type = await call('TYPE', key)
    values.push(
      `${key} ${JSON.stringify(await (type === 'stream' ? call('XRANGE', key, '-', '+') : call('GET', key)))}`,
    )
  }
  return values.join('\n')
}

/** Joins the live channel as a page does. */
async function listen(
  env: Readonly<Record<string, string>>,
  take: (push: string) => void,
): Promise<() => Promise<void>> {
  const client = createClient(env.SUPABASE_URL as string, env.SUPABASE_PUBLISHABLE_KEY as string, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport },
  })
  const signedIn = await client.auth.signInWithPassword({
    email: env.TELLTALE_VIEWER_EMAIL as string,
    password: env.TELLTALE_VIEWER_PASSWORD as string,
  })
  if (signedIn.error) throw signedIn.error
  await client.realtime.setAuth(signedIn.data.session.access_token)
  const channel = client.channel('telltale:live', { config: { private: true } })
  channel.on('broadcast', { event: '*' }, (push) => take(JSON.stringify(push)))
  await new Promise<void>((resolve, reject) => {
    channel.subscribe((status, error) => {
      if (status === 'SUBSCRIBED') resolve()
      else if (error) reject(error)
    })
  })
  return async () => {
    await client.removeAllChannels()
    client.realtime.disconnect()
  }
}
