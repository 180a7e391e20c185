import { createClient } from '@supabase/supabase-js'
import pg from 'pg'
import { transport } from './realtime_fixture.ts'
import { createDataDir, type RunningStack, startTelltale } from './stack_fixture.ts'

/** A whole stack in processes of its own, with somebody who watches, and all places in which content could come to lie. */
export type PrivacyStage = {
  readonly env: Readonly<Record<string, string>>
  readonly pushes: readonly string[]
  /** Lets the edge count somebody as looking for another minute. */
  watch(): Promise<void>
  postgres(): Promise<string>
  redis(): Promise<string>
  printed(): string
  close(): Promise<void>
}

export async function openPrivacyStage(): Promise<PrivacyStage> {
  const { dir, remove } = createDataDir()
  const stack = await startTelltale(dir)
  const { env } = stack
  const database = new pg.Client({ connectionString: env.DATABASE_URL })
  await database.connect()
  const pushes: string[] = []
  const leave = await listen(env, (push) => pushes.push(push))
  return {
    env,
    pushes,
    async watch() {
      await database.query(
        'insert into telltale.viewers (viewer_id, user_id) values (gen_random_uuid(), gen_random_uuid())',
      )
    },
    postgres: () => dumpOf(database),
    redis: () => redisDumpOf(env),
    printed: stack.printed,
    async close() {
      await leave()
      await database.end()
      await closeStack(stack)
      remove()
    },
  }
}

async function closeStack(stack: RunningStack): Promise<void> {
  await stack.stop('SIGTERM')
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
