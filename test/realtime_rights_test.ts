import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rightsAtOnceMax, rightsWaitingMax } from '../src/core/limit.ts'
import type { Caller } from '../src/local/claims.ts'
import type { Database, Row, Statement } from '../src/local/database.ts'
import { migrate } from '../src/local/migrate.ts'
import { openPgDatabase } from '../src/local/pg_database.ts'
import { openPgliteDatabase } from '../src/local/pglite_database.ts'
import { allRights, createRightsReader, type RightsReader } from '../src/local/realtime_rights.ts'
import { noPostgresReason, startPostgres } from './postgres_cluster_fixture.ts'
import { openEmbeddedRealtime, openRaw, openTopic, postBroadcast } from './realtime_fixture.ts'
import { signToken } from './rest_fixture.ts'

type Opened = { readonly database: Database; readonly stop: () => Promise<void> }

async function openOnPglite(): Promise<Opened> {
  const dir = mkdtempSync(join(tmpdir(), 'telltale-rights-'))
  const database = await openPgliteDatabase({ dir, password: 'secret' })
  return { database, stop: async () => rmSync(dir, { recursive: true, force: true }) }
}

async function openOnServer(): Promise<Opened> {
  const server = await startPostgres()
  return { database: await openPgDatabase(server.url), stop: server.stop }
}

const none = { read: false, write: false, seePresence: false, tellPresence: false }

const cases = [
  { name: 'on PGlite', open: openOnPglite, reason: null },
  { name: 'on PostgreSQL', open: openOnServer, reason: noPostgresReason() },
]

describe.each(cases)('createRightsReader() $name', ({ open, reason }) => {
  const member = randomUUID()
  const callerOf = (role: Caller['role'], sub?: string): Caller => ({
    role,
    claims: { role, ...(sub === undefined ? {} : { sub }) },
  })
  let opened: Opened
  let read: RightsReader
  const logged: string[] = []

  beforeAll(async () => {
    if (reason !== null) return
    opened = await open()
    await migrate(opened.database)
    await opened.database.exec(`insert into telltale.members (user_id) values ('${member}');
      create policy writers on realtime.messages for insert to authenticated with check (topic = 'written');
      create policy broken on realtime.messages for select to authenticated
        using (case when realtime.topic() = 'broken' then 1 / (length(topic) - 6) = 0 else false end)`)
    read = createRightsReader(opened.database, (line) => logged.push(line))
  })
  afterAll(async () => {
    await opened?.database.close()
    await opened?.stop()
  })

  test.skipIf(reason !== null)('says what the policies say, and leaves no row', async () => {
    const asked = [
      [
        callerOf('authenticated', member),
        'telltale:live',
        { ...none, read: true, seePresence: true, tellPresence: true },
      ],
      [callerOf('authenticated', member), 'telltale:other', none],
      [callerOf('authenticated', member), 'written', { ...none, write: true, tellPresence: true }],
      [callerOf('authenticated', randomUUID()), 'telltale:live', none],
      [callerOf('authenticated', 'no uuid'), 'telltale:live', none],
      [callerOf('authenticated'), 'telltale:live', none],
      [callerOf('anon'), 'telltale:live', none],
      [callerOf('service_role'), 'whatever', allRights],
    ] as const
    for (const [caller, topic, value] of asked) {
      expect(await read(caller, topic), `${JSON.stringify(caller)} ${topic}`).toEqual({ ok: true, value })
    }
    expect(await opened.database.query({ text: 'select count(*)::int as n from realtime.messages' })).toEqual([
      { n: 0 },
    ])
    expect(logged).toEqual([])
  })

  test.skipIf(reason !== null)('a policy that fails gives no right, and is told', async () => {
    expect(await read(callerOf('authenticated', member), 'broken')).toEqual({
      ok: true,
      value: none,
    })
    expect(logged.splice(0)).toEqual([expect.stringContaining('division by zero (22012)')])
  })

  test.skipIf(reason !== null)('many who ask the same ask once, and few at a time', async () => {
    let busy = 0
    let most = 0
    let n = 0
    const query = async (statement: Statement): Promise<readonly Row[]> => {
      n++
      most = Math.max(most, ++busy)
      return opened.database.query(statement).finally(() => busy--)
    }
    const counting = createRightsReader({ query }, (line) => logged.push(line))
    const answers = await Promise.all(
      [...Array(200)].map((_, i) => counting(callerOf('authenticated', member), `topic:${i % 20}`)),
    )
    expect([n, most]).toEqual([20, rightsAtOnceMax])
    expect(answers.every(({ ok }) => ok)).toBe(true)
    expect(logged).toEqual([])
  })

  test.skipIf(reason !== null)('users go before whoever shows a key alone, and no more wait than may', async () => {
    let open = () => {}
    const held = new Promise<void>((resolve) => {
      open = resolve
    })
    const asked: unknown[] = []
    const query = async (statement: Statement): Promise<readonly Row[]> => {
      asked.push(statement.settings?.['telltale.caller'])
      await held
      return opened.database.query(statement)
    }
    const waiting = createRightsReader({ query }, (line) => logged.push(line))
    const answers = [...Array(rightsAtOnceMax + 20)].map((_, i) => waiting(callerOf('anon'), `topic:${i}`))
    const own = waiting(callerOf('authenticated', member), 'telltale:live')
    open()
    expect(await own).toEqual({ ok: true, value: { ...none, read: true, seePresence: true, tellPresence: true } })
    expect(asked.indexOf('authenticated')).toBe(rightsAtOnceMax)
    await Promise.all(answers)
    const never = createRightsReader({ query: () => new Promise(() => {}) }, () => {})
    const [last] = [...Array(rightsAtOnceMax + rightsWaitingMax + 1)]
      .map((_, i) => never(callerOf('anon'), `${i}`))
      .slice(-1)
    expect(await last).toEqual({ ok: false, error: 'Cannot judge rights: too many are asked for' })
  })
})

test.skipIf(noPostgresReason() !== null)(
  'a database that is gone is said at a join, and takes no right that was given',
  async () => {
    const { database, stop } = await openOnServer()
    await migrate(database)
    const member = randomUUID()
    await database.exec(`insert into telltale.members (user_id) values ('${member}')`)
    const project = await openEmbeddedRealtime({ rightsMs: 200 }, database)
    const access_token = await signToken(project.keys, { sub: member, role: 'authenticated' })
    const config = { private: true, presence: { enabled: false } }
    const [watching, late] = [await openRaw(project), await openRaw(project)]
    expect(await watching.join('telltale:live', { config, access_token })).toMatchObject({ status: 'ok' })
    await stop()
    expect(await late.join('telltale:live', { config, access_token })).toEqual({
      status: 'error',
      response: { reason: 'UnableToConnectToProject: Realtime was unable to connect to the project database' },
    })
    expect(await late.join('public', { config: { presence: { enabled: false } } })).toMatchObject({ status: 'ok' })
    await new Promise((resolve) => setTimeout(resolve, 500))
    const message = { topic: 'telltale:live', event: 'live', payload: { n: 1 }, private: true }
    expect((await postBroadcast(project, [message])).status).toBe(202)
    expect((await watching.next())[4]).toMatchObject({ payload: { n: 1 } })
    const headers = { apikey: project.publishableKey, Authorization: `Bearer ${access_token}` }
    expect((await postBroadcast(project, [message], headers)).status).toBe(503)
    for (const { ws } of [watching, late]) ws.close()
    await project.close()
    await database.close()
  },
  30_000,
)

test.skipIf(noPostgresReason() !== null)(
  'a join that waits for the database holds up its own topic alone, and nothing of it is lost',
  async () => {
    const { database, stop } = await openOnServer()
    const project = await openEmbeddedRealtime({}, database)
    const access_token = await project.signIn(true)
    const holder = new pg.Client({ connectionString: database.url })
    await holder.connect()
    await holder.query('begin; lock table realtime.messages in access exclusive mode')
    const client = await openRaw(project)
    const config = { private: true, presence: { enabled: false }, broadcast: { ack: true } }
    const topic = `realtime:${openTopic}`
    client.send(['1', 'join', topic, 'phx_join', { config, access_token }])
    const payload = { text: 'x'.repeat(200_000) }
    // More than is kept waiting: the rest stays with the client until the database has answered.
    const refs = [...Array(20)].map((_, i) => `broadcast ${i}`)
    for (const ref of refs) client.send(['1', ref, topic, 'broadcast', { type: 'broadcast', event: 'e', payload }])
    const other = await openRaw(project)
    expect(await other.join('public', { config: { presence: { enabled: false } } })).toMatchObject({ status: 'ok' })
    await holder.query('rollback')
    const heard = []
    for (const _ of ['join', ...refs]) heard.push(await client.next())
    expect(heard.map(([, ref]) => ref)).toEqual(['join', ...refs])
    expect(heard.map(([, , , , reply]) => reply)).toMatchObject(heard.map(() => ({ status: 'ok' })))
    for (const { ws } of [client, other]) ws.close()
    await holder.end()
    await project.close()
    await database.close()
    await stop()
  },
  30_000,
)
