import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openPgliteDatabase, type PgliteDatabase } from '../src/local/pglite_database.ts'
import { int32Of, messageOf, queryMessage } from '../src/local/postgres_message.ts'
import { eventually } from './ingest_fixture.ts'

const clientsMax = 5
let dir = ''
let database: PgliteDatabase

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'telltale-wire-'))
  const limits = {
    socketClientsMax: clientsMax,
    idleInTransactionMsMax: 500,
    statementMsMax: 1_500,
    socketTransactionMsMax: 1_000,
  }
  database = await openPgliteDatabase({ dir, password: 'secret', ...limits })
})
beforeEach(() => database.exec('drop table if exists rows; create table rows (who text, i int)'))
afterAll(async () => {
  await database?.close()
  rmSync(dir, { recursive: true, force: true })
})

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function withClient<T>(use: (client: pg.Client) => Promise<T>, config: pg.ClientConfig = {}): Promise<T> {
  const client = new pg.Client({ connectionString: database.url, ...config })
  client.on('error', () => {}) // Expected where the server closes.
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end().catch(() => {})
  }
}

const insert = (i: number) =>
  database.query({ text: `insert into rows values ('inside', $1::int)`, values: [String(i)] })
const countOf = async (who: string) =>
  (await database.query({ text: 'select count(*)::int as n from rows where who = $1', values: [who] }))[0]?.n

/** A bare socket, and what arrived on it. */
async function withSocket(use: (socket: Socket, received: () => Buffer) => Promise<void>): Promise<void> {
  const { hostname, port } = new URL(database.url)
  const socket = connect(Number(port), hostname)
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => {})
  await once(socket, 'connect')
  try {
    await use(socket, () => Buffer.concat(chunks))
  } finally {
    socket.destroy()
  }
}

/** When the client has been sent away: what it was told. */
const endOf = (client: pg.Client) =>
  new Promise<string>((resolve) => {
    let told = ''
    client.on('error', (error) => {
      told ||= error.message
    })
    client.once('end', () => resolve(told))
  })

/** The socket under a client, to send on it what no client would. */
const socketOf = (client: pg.Client) => (client as unknown as { connection: { stream: Socket } }).connection.stream

test('openWireServer() serves node-postgres: parameters, types, errors, several results, streams of messages', async () => {
  await withClient(async (client) => {
    const { rows } = await client.query('select $1::int as i, $2::jsonb as j, $3::text as t', [7, { a: 1 }, 'é'])
    expect(rows).toEqual([{ i: 7, j: { a: 1 }, t: 'é' }])
    const refusal = await client.query('select 1/0').catch((error: pg.DatabaseError) => error)
    expect(refusal).toMatchObject({ code: '22012', severity: 'ERROR' })
    const several = (await client.query('select 1 as a; select 2 as b')) as unknown as pg.QueryResult[]
    expect(several.map((result) => result.rows)).toEqual([[{ a: 1 }], [{ b: 2 }]])
    const many = await Promise.all(Array.from({ length: 50 }, (_, i) => client.query('select $1::int as i', [i])))
    expect(many.map((result) => result.rows[0].i)).toEqual(Array.from({ length: 50 }, (_, i) => i))
  })
})

test('openWireServer() keeps the named prepared statements of a client while others use the session', async () => {
  await withClient(async (client) => {
    await withClient(async (other) => {
      for (let i = 0; i < 5; i++) {
        const query = { name: 'mine', text: 'select $1::int + 1 as next', values: [i] }
        expect((await client.query(query)).rows).toEqual([{ next: i + 1 }])
        const theirs = { name: 'mine', text: 'select $1::text as said', values: [`${i}`] }
        expect((await other.query(theirs)).rows).toEqual([{ said: `${i}` }])
        await insert(i)
      }
    })
  })
})

test('openWireServer() says so when a statement that was prepared no longer fits', async () => {
  await withClient(async (client) => {
    const query = { name: 'stale', text: 'select i from rows' }
    await client.query(query)
    await database.exec('drop table rows')
    await expect(client.query(query)).rejects.toMatchObject({ code: '42P01' })
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})

test('openWireServer() sets what a client asks for at its start', async () => {
  await withClient(
    async (client) => {
      await insert(1)
      const { rows } = await client.query(`select current_setting('application_name') as name`)
      expect(rows).toEqual([{ name: 'a test' }])
    },
    { application_name: 'a test' },
  )
  const [inside] = await database.query({ text: `select current_setting('application_name') as name` })
  expect(inside?.name).not.toBe('a test')
})

test('openWireServer() mixes clients with inserts from inside: nothing acked is lost, nothing of a dead one stays', async () => {
  let insideAcked = 0
  let clientAcked = 0
  const inside = Array.from({ length: 4 }, async (_, lane) => {
    for (let i = 0; i < 60; i++) {
      await insert(lane * 1_000 + i)
      insideAcked += 1
      await pause(2)
    }
  })
  const clients = Array.from({ length: 3 }, () =>
    withClient(async (client) => {
      for (let i = 0; i < 20; i++) {
        await client.query('begin')
        await client.query(`insert into rows values ('client', $1)`, [i])
        await client.query(i % 4 === 3 ? 'rollback' : 'commit')
        if (i % 4 !== 3) clientAcked += 1
      }
    }),
  )
  const dying = (async () => {
    for (let round = 0; round < 8; round++) {
      await withClient(async (client) => {
        await client.query('begin')
        await client.query(`insert into rows values ('dead', 1)`)
        if (round % 2 === 0) client.query(`insert into rows values ('dead', 2)`).catch(() => {})
        socketOf(client).destroy()
      })
    }
  })()
  await Promise.all([...inside, ...clients, dying])
  expect(await countOf('inside')).toBe(insideAcked)
  expect(await countOf('client')).toBe(clientAcked)
  expect(await countOf('dead')).toBe(0)
})

test('openWireServer() ends a statement on a CancelRequest; the client and others go on', async () => {
  await withClient(async (client) => {
    const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
    const slow = client.query('select pg_sleep(60)').catch((error: pg.DatabaseError) => error)
    await pause(200)
    const cancel = (key: number) =>
      withSocket(async (socket) => {
        socket.write(Buffer.concat([int32Of(16), int32Of(80877102), int32Of(processID), int32Of(key)]))
        await once(socket, 'close')
      })
    await cancel(secretKey ^ 1)
    expect(await Promise.race([slow, pause(200).then(() => 'still running')])).toBe('still running')
    await cancel(secretKey)
    expect(await slow).toMatchObject({ code: '57014' })
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await insert(1)
    await cancel(secretKey) // Nothing of this client runs: nothing happens.
    await insert(2)
    expect(await countOf('inside')).toBe(2)
  })
})

test('openWireServer() ends a statement that runs too long', async () => {
  await withClient(async (client) => {
    await insert(1)
    await expect(client.query('select pg_sleep(60)')).rejects.toMatchObject({ code: '57014' })
    expect((await client.query('select count(*)::int as n from rows')).rows).toEqual([{ n: 1 }])
  })
})

test('openWireServer() refuses more clients than it serves with 53300', async () => {
  const clients = Array.from({ length: clientsMax }, () => new pg.Client({ connectionString: database.url }))
  await Promise.all(clients.map((client) => client.connect()))
  await expect(withClient(async () => {})).rejects.toMatchObject({ code: '53300' })
  await Promise.all(clients.map((client) => client.end()))
  // A place is free once the server has seen its client go.
  let answered = false
  for (let i = 0; i < 100 && !answered; i++) {
    const tried = await withClient((client) => client.query('select 1')).catch((error: pg.DatabaseError) => error)
    answered = !(tried instanceof Error)
    if (tried instanceof Error) expect(tried).toMatchObject({ code: '53300' })
    if (!answered) await pause(20)
  }
  expect(answered).toBe(true)
})

test('openWireServer() declines encryption with N and goes on', async () => {
  await withSocket(async (socket, received) => {
    socket.write(Buffer.concat([int32Of(8), int32Of(80877103), int32Of(8), int32Of(80877104)]))
    await eventually(() => received().length >= 2)
    expect(received().toString()).toBe('NN')
  })
})

const nonsense: readonly (readonly [string, Buffer])[] = [
  ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
  ['a startup of no length', int32Of(0)],
  ['a startup that is too long', Buffer.concat([int32Of(1_000_000), int32Of(196608)])],
  ['another protocol', Buffer.concat([int32Of(8), int32Of(2 << 16)])],
  ['no SCRAM', Buffer.concat([int32Of(15), int32Of(196608), Buffer.from('user\0a\0'), messageOf(0x70, 'guess')])],
]
for (const [what, bytes] of nonsense) {
  test(`openWireServer() closes a connection that sends ${what}`, async () => {
    await withSocket(async (socket) => {
      const closed = once(socket, 'close')
      socket.write(bytes)
      socket.end()
      await closed
    })
    await insert(1)
  })
}

const abuses: readonly (readonly [string, Buffer, string])[] = [
  ['an unknown message', messageOf(0x7e), 'invalid frontend message type 126'],
  ['a message shorter than its header', Buffer.concat([Buffer.from('Q'), int32Of(3)]), 'invalid message length'],
  [
    'a message that is too long',
    Buffer.concat([Buffer.from('Q'), int32Of(1_000_000_000)]),
    'message of 999999996 bytes',
  ],
  ['a Sync of 20 KB', messageOf(0x53, Buffer.alloc(20_000)), 'invalid message length'],
]
for (const [what, bytes, told] of abuses) {
  test(`openWireServer() sends a client away that sends ${what}`, async () => {
    await withClient(async (client) => {
      await client.query(`begin; insert into rows values ('abuser', 1)`)
      const ended = endOf(client)
      socketOf(client).write(bytes)
      expect(await ended).toContain(told)
    })
    await insert(1)
    expect(await countOf('abuser')).toBe(0)
  })
}

test('openWireServer() answers a query without its NUL, or a Bind of nothing, with an error', async () => {
  await withClient(async (client) => {
    for (const bytes of [
      messageOf(0x51, Buffer.from('select')),
      Buffer.concat([messageOf(0x42, Buffer.from([0])), messageOf(0x53)]),
    ]) {
      const replied = once(socketOf(client), 'data')
      socketOf(client).write(bytes)
      expect(String((await replied)[0])).toContain('08P01')
    }
  })
  await insert(1)
})

test('openWireServer() sends a client away that stops inside a message of its transaction', async () => {
  await withClient(async (client) => {
    await client.query(`begin; insert into rows values ('stopped', 1)`)
    const ended = endOf(client)
    socketOf(client).write(queryMessage('select 1').subarray(0, 7))
    await insert(1)
    expect(await ended).toContain('idle-in-transaction timeout')
  })
  expect(await countOf('stopped')).toBe(0)
})

test('openWireServer() ends a transaction that never rests, once others wait for it', async () => {
  await withClient(async (client) => {
    const ended = endOf(client)
    await client.query(`begin; insert into rows values ('restless', 1)`)
    let waiting: Promise<unknown> | null = null
    const startedAt = Date.now()
    const refused = (async () => {
      for (;;) {
        await client.query('select pg_sleep(0.05)')
        if (Date.now() - startedAt > 1_200) waiting ??= insert(1)
      }
    })()
    const refusal = await refused.catch((error: Error) => error.message) // It may arrive as the answer to the next one.
    expect(`${refusal}, ${await ended}`).toContain('transaction timeout')
    await waiting
  })
  expect(await countOf('restless')).toBe(0)
  expect(await countOf('inside')).toBe(1)
})

test('openWireServer() drops a client that reads nothing, and keeps no more of its result than a little', async () => {
  await withClient(async (client) => {
    socketOf(client).pause()
    const ended = endOf(client)
    client.query(`select repeat('x', 1000) from generate_series(1, 60000)`).catch(() => {})
    await pause(100)
    const before = process.memoryUsage.rss()
    await insert(1)
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024)
    socketOf(client).resume()
    await ended
  })
})
