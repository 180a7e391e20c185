import { createServer, type Socket } from 'node:net'
import { Pool } from 'pg'
import { expect, test } from 'vitest'
import { later, reportEachTest } from './wait_reporter_fixture.ts'

const reported = reportEachTest()

const request = <T>(tool: string, work: () => Promise<T>) =>
  reported.reporter.trace({ name: `tools/call ${tool}`, layer: 'tool', tool }, work)

/** One at a time; how what was acquired looks and is given back is the test's. */
class Turnstile {
  readonly #waiting: (() => void)[] = []
  busy = false
  async enter(): Promise<void> {
    if (this.busy) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.busy = true
  }
  leave(): void {
    this.busy = false
    this.#waiting.shift()?.()
  }
}

type Make = () => { readonly watched: object; readonly use: (work: () => Promise<void>) => Promise<void> }

const makes: { readonly [make: string]: Make } = {
  'a mutex that answers a function (async-mutex)': () => {
    const gate = new Turnstile()
    const watched = {
      async acquire() {
        await gate.enter()
        return () => watched.release()
      },
      release: () => gate.leave(),
    }
    return {
      watched,
      async use(work) {
        const release = await watched.acquire()
        await work()
        release()
      },
    }
  },
  'a semaphore that answers a value and a function': () => {
    const gate = new Turnstile()
    const watched = {
      async acquire() {
        await gate.enter()
        return [1, () => gate.leave()] as const
      },
    }
    return {
      watched,
      async use(work) {
        const [value, release] = await watched.acquire()
        expect(value).toBe(1)
        await work()
        release()
      },
    }
  },
  'a semaphore that answers nothing': () => {
    const gate = new Turnstile()
    const watched = { acquire: () => gate.enter(), release: () => gate.leave() }
    return {
      watched,
      async use(work) {
        await watched.acquire()
        await work()
        watched.release()
      },
    }
  },
  'a pool that is given back what it gave (generic-pool)': () => {
    const gate = new Turnstile()
    const resource = Object.freeze({ id: 1 })
    const watched = {
      max: 1,
      async acquire() {
        await gate.enter()
        return resource
      },
      release: (_: object) => gate.leave(),
      destroy: (_: object) => gate.leave(),
    }
    return {
      watched,
      async use(work) {
        const got = await watched.acquire()
        expect(got).toBe(resource)
        await work()
        watched.destroy(got)
      },
    }
  },
  'a pool that calls back (mysql2)': () => {
    const gate = new Turnstile()
    const connection = { release: () => gate.leave() }
    const watched = {
      getConnection(done: (error: Error | null, got: typeof connection) => void) {
        void gate.enter().then(() => done(null, connection))
      },
    }
    return {
      watched,
      use: (work) =>
        new Promise<void>((resolve) => {
          const before = reported.reporter.active()
          watched.getConnection((_, got) => {
            expect(reported.reporter.active()).toBe(before)
            void work().then(() => {
              got.release()
              resolve()
            })
          })
        }),
    }
  },
}

test('watchAcquire() tells who waited for whom, whatever the make of what is waited for, and when all is given back', async () => {
  await Promise.all(
    Object.entries(makes).map(async ([make, of]) => {
      const { watched, use } = of()
      expect(reported.reporter.watchAcquire(watched, { name: make, limit: 1 }), make).toBe(watched)
      await Promise.all([
        request(`first of ${make}`, () => use(() => later(15))),
        request(`second of ${make}`, () => use(() => later(1))),
      ])
    }),
  )
  // The last of a quick series of values comes a second after the first.
  await later(1_050)
  const gauges = await reported.gaugesNamed('permits_in_use')
  for (const make of Object.keys(makes)) {
    const waits = [...(await reported.spansNamed(`permit ${make}`)), ...(await reported.spansNamed(`pool ${make}`))]
    const [second] = await reported.spansNamed(`tools/call second of ${make}`)
    const blamed = waits.filter((wait) => wait.trace_id === second?.trace_id)
    expect(blamed, make).toMatchObject([{ kind: 'wait', holder: `first of ${make}`, outcome: 'ok' }])
    expect(gauges.filter((gauge) => gauge.labels.name === make).at(-1)?.value, make).toBe(0)
  }
})

test('watchAcquire() counts one permit given back where the function that gives it back calls the method for it', async () => {
  const watched = { acquire: async () => () => watched.release(), release: () => undefined }
  reported.reporter.watchAcquire(watched, { name: 'two', limit: 2 })
  const [first, second] = [await watched.acquire(), await watched.acquire()]
  first()
  await later(1_050)
  expect((await reported.gaugesNamed('permits_in_use')).at(-1)?.value).toBe(1)
  second()
})

test('watchAcquire() leaves what is thrown, what is refused and what cannot be watched as it is', async () => {
  const { reporter } = reported
  const full = new Error('full')
  const refusing = reporter.watchAcquire({ acquire: () => Promise.reject(full) }, { name: 'refusing' })
  const throwing = reporter.watchAcquire(
    {
      take: () => {
        throw full
      },
    },
    { name: 'throwing' },
  )
  await request('chat', async () => {
    await expect(refusing.acquire()).rejects.toBe(full)
    expect(() => throwing.take()).toThrow(full)
  })
  const frozen = Object.freeze({ acquire: () => 5 })
  expect(reporter.watchAcquire(frozen, { name: 'frozen' }).acquire()).toBe(5)
  const { dropped } = reporter.status()
  expect(dropped).toEqual({ internal: 1 })
})

/** Speaks just enough of the protocol of PostgreSQL that `pg` connects and may ask `select 1`. */
async function startPostgres(): Promise<{ port: number; close: () => void }> {
  const sockets = new Set<Socket>()
  const ready = Buffer.from('5a0000000549', 'hex')
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      if (data[0] === 0) socket.write(Buffer.concat([Buffer.from('520000000800000000', 'hex'), ready]))
      if (data[0] === 0x51)
        setTimeout(() => socket.write(Buffer.concat([Buffer.from('430000000d53454c454354203000', 'hex'), ready])), 15)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    port,
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

test('watchAcquire() tells who waits for a connection of a real pg.Pool, asked by promise, by callback and by query', async () => {
  const server = await startPostgres()
  const pool = reported.reporter.watchAcquire(
    new Pool({ host: '127.0.0.1', port: server.port, user: 'u', database: 'd', max: 1 }),
    { name: 'supabase' },
  )
  const query = () => pool.query('select 1').then(() => undefined)
  const held = async () => {
    const client = await pool.connect()
    await later(10)
    client.release()
  }
  await Promise.all([request('chat', query), request('debug', held), request('analyze', query)])
  const waits = await reported.spansNamed('pool supabase')
  const holders = waits.map((wait) => wait.holder).filter((holder) => holder !== null)
  expect(holders).toEqual(['chat', 'chat'])
  expect(pool.idleCount).toBe(1)
  await pool.end()
  server.close()
})
