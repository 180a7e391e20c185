import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openPgliteDatabase } from '../src/local/pglite_database.ts'
import { messageOf, messageType } from '../src/local/postgres_message.ts'
import { isTransactionSound } from '../src/local/statement_answer.ts'

let template = ''
let dir = ''
beforeAll(async () => {
  template = mkdtempSync(join(tmpdir(), 'telltale-pglite-'))
  await (await openPgliteDatabase({ dir: template, password: 'secret' })).close()
})
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'telltale-pglite-'))
  cpSync(template, dir, { recursive: true })
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))
afterAll(() => rmSync(template, { recursive: true, force: true }))

const modulePath = fileURLToPath(new URL('../src/local/pglite_database.ts', import.meta.url))
/** Inserts as fast as it can from four lanes and prints the number of each row that was acked. */
const writer = `
  const { openPgliteDatabase } = await import(require('node:url').pathToFileURL(process.argv[2]).href)
  const db = await openPgliteDatabase({ dir: process.argv[1], password: 'secret' })
  await db.exec('create table if not exists rows (i bigint primary key, filler text)')
  let i = Number(process.argv[3])
  const lane = async () => {
    for (;;) {
      const mine = i++
      await db.query({ text: "insert into rows values ($1::bigint, repeat('x', 500))", values: [String(mine)] })
      process.stdout.write(mine + '\\n')
    }
  }
  setInterval(() => db.maintain(), 150)
  await Promise.all([lane(), lane(), lane(), lane()])
`

function startWriter(from: number): { child: ChildProcess; acked: () => readonly number[] } {
  const child = spawn(
    process.execPath,
    ['--no-warnings', '-e', `(async () => {${writer}})()`, dir, modulePath, `${from}`],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  let text = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const acked = () =>
    text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .slice(0, -1)
      .map(Number)
  return { child, acked }
}

test('openPgliteDatabase() loses no acked row when its process is killed, five times over', async () => {
  const acked = new Set<number>()
  for (let round = 0; round < 5; round++) {
    const writing = startWriter(round * 1_000_000)
    await once(writing.child.stdout as NodeJS.ReadableStream, 'data')
    while (writing.acked().length < 40) await new Promise((resolve) => setTimeout(resolve, 5))
    await new Promise((resolve) => setTimeout(resolve, round * 90))
    const closed = once(writing.child, 'close')
    writing.child.kill('SIGKILL')
    await closed
    for (const i of writing.acked()) acked.add(i)
  }
  expect(acked.size).toBeGreaterThan(100)
  const database = await openPgliteDatabase({ dir, password: 'secret' })
  const stored = new Set((await database.query({ text: 'select i::int from rows' })).map((row) => row.i))
  await database.close()
  expect([...acked].filter((i) => !stored.has(i))).toEqual([])
}, 60_000)

test.skipIf(process.platform === 'win32')(
  'openPgliteDatabase() keeps its files to their owner in a directory that all may enter',
  async () => {
    chmodSync(dir, 0o755)
    chmodSync(join(dir, 'pgdata'), 0o755)
    const db = await openPgliteDatabase({ dir, password: 'secret' })
    try {
      expect(statSync(join(dir, 'pgdata')).mode & 0o777).toBe(0o700)
    } finally {
      await db.close()
    }
  },
)

test('openPgliteDatabase() refuses a second process and names the first', async () => {
  const { child } = startWriter(0)
  await once(child.stdout as NodeJS.ReadableStream, 'data')
  const refusal = `Cannot open data directory: it is in use by process ${child.pid} (`
  await expect(openPgliteDatabase({ dir, password: 'secret' })).rejects.toThrow(refusal)
  const closed = once(child, 'close')
  child.kill('SIGKILL')
  await closed
})

test('openPgliteDatabase() begins again where making the cluster was cut short', async () => {
  rmSync(join(dir, 'pgdata'), { recursive: true })
  const { child } = startWriter(0)
  while (!existsSync(join(dir, 'pgdata', 'base'))) await new Promise((resolve) => setTimeout(resolve, 5))
  const closed = once(child, 'close')
  child.kill('SIGKILL')
  await closed
  expect(existsSync(join(dir, 'pgdata.unfinished'))).toBe(true)
  const database = await openPgliteDatabase({ dir, password: 'secret' })
  expect(await database.query({ text: 'select 1 as one' })).toEqual([{ one: 1 }])
  await database.close()
})

test('openPgliteDatabase() lets go of the directory when closed while it reopens', async () => {
  const database = await openPgliteDatabase({ dir, password: 'secret', statementMsMax: 200 })
  const slow = database.query({ text: 'select pg_sleep(60)' }).catch((error: unknown) => error)
  const next = database.query({ text: 'select 1' }).catch((error: unknown) => error)
  expect(await slow).toMatchObject({ code: '57014' })
  await new Promise((resolve) => setTimeout(resolve, 30))
  await database.close()
  expect(await next).toMatchObject({ code: '57P01' })
  const again = await openPgliteDatabase({ dir, password: 'secret' })
  await again.close()
})

test('openPgliteDatabase() keeps acked rows and serves on when a statement is ended again and again', async () => {
  const database = await openPgliteDatabase({ dir, password: 'secret', statementMsMax: 300, turnMsMax: 20_000 })
  await database.exec('create table rows (i int)')
  let acked = 0
  const endless = 'with recursive r(i) as (select 1 union all select i from r) insert into rows select i from r'
  for (let round = 0; round < 3; round++) {
    const inserts = Array.from({ length: 20 }, (_, i) =>
      database.query({ text: 'insert into rows values ($1::int)', values: [`${i}`] }).then(() => {
        acked += 1
      }),
    )
    await expect(database.query({ text: endless })).rejects.toMatchObject({ code: '57014' })
    await Promise.all(inserts)
  }
  expect(await database.query({ text: 'select count(*)::int as n from rows' })).toEqual([{ n: acked }])
  await database.close()
  const again = await openPgliteDatabase({ dir, password: 'secret' })
  expect(await again.query({ text: 'select count(*)::int as n from rows' })).toEqual([{ n: 60 }])
  await again.close()
}, 60_000)

test('openPgliteDatabase() begins anew when PostgreSQL ends its thread, and loses nothing', async () => {
  const database = await openPgliteDatabase({ dir, password: 'secret' })
  await database.exec('create table rows (i int); insert into rows values (1)')
  // COPY without data to read ends PGlite, which nothing of ours sends; it stands for every such death.
  await expect(database.query({ text: 'copy rows from stdin' })).rejects.toMatchObject({ code: '57P02' })
  expect(await database.query({ text: 'select i from rows' })).toEqual([{ i: 1 }])
  await database.close()
})

test('openPgliteDatabase() leaves the event loop free while a statement runs', async () => {
  const database = await openPgliteDatabase({ dir, password: 'secret' })
  await database.query({ text: 'select 1' })
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const startedAt = performance.now()
  await database.query({
    text: 'select count(*) from generate_series(1, 3000000) i where md5(i::text) = $1',
    values: [''],
  })
  delay.disable()
  // Had the loop stood still, it would have been for the whole of it.
  expect(delay.max / 1e6).toBeLessThan((performance.now() - startedAt) / 4)
  await database.close()
})

test('openPgliteDatabase() refuses what is nested too deep, and serves on', async () => {
  const database = await openPgliteDatabase({ dir, password: 'secret' })
  const depth = 200_000
  const tooDeep: readonly (readonly [string, string[]])[] = [
    ['select $1::jsonb', ['['.repeat(depth) + ']'.repeat(depth)]],
    [`select ${'('.repeat(depth)}1${')'.repeat(depth)}`, []],
    [`select ${'- '.repeat(depth)}1`, []],
    ['select public.f(1)', []],
  ]
  try {
    await database.exec(
      'create function public.f(n int) returns int language plpgsql as $$ begin return public.f(n); end $$',
    )
    for (const [text, values] of tooDeep) {
      const name = text.slice(0, 20)
      const refused = database.query({ text, values, readOnly: true })
      await expect(refused, name).rejects.toMatchObject({ code: expect.stringMatching(/^54001|^42601/) })
      expect(await database.query({ text: 'select 1 as n', readOnly: true }), name).toEqual([{ n: 1 }])
    }
  } finally {
    await database.close()
  }
})

test('openPgliteDatabase() begins anew where a session broke, for callers and for clients, and loses nothing', async () => {
  // As small as a thread's stack usually is, PostgreSQL is unwound before it looks at how deep it has gone.
  const database = await openPgliteDatabase({ dir, password: 'secret', stackSizeMb: 4, turnMsMax: 20_000 })
  const client = new pg.Client({ connectionString: database.url })
  client.on('error', () => {})
  const tooDeep = '['.repeat(200_000) + ']'.repeat(200_000)
  try {
    await client.connect()
    await database.exec('create table rows (i int)')
    for (let round = 0; round < 3; round++) {
      const insert = (i: number) => database.query({ text: 'insert into rows values ($1::int)', values: [`${i}`] })
      const around = [insert(2 * round)]
      // The commit after it would be acked, with nothing to commit.
      const refused = database.query({ text: 'insert into rows select 0 where $1::jsonb is null', values: [tooDeep] })
      around.push(insert(2 * round + 1))
      await expect(refused).rejects.toMatchObject({ code: '57P02' })
      await Promise.all(around)
    }
    await expect(client.query('select $1::jsonb', [tooDeep])).rejects.toThrow()
    await expect(database.exec(`select '${tooDeep}'::jsonb`)).rejects.toMatchObject({ code: '57P02' })
    const rows = [0, 1, 2, 3, 4, 5].map((i) => ({ i }))
    expect(await database.query({ text: 'select i from rows order by i', readOnly: true })).toEqual(rows)
    const next = new pg.Client({ connectionString: database.url })
    await next.connect()
    expect((await next.query('select i from rows order by i')).rows).toEqual(rows)
    await next.end()
  } finally {
    await client.end().catch(() => {})
    await database.close()
  }
}, 60_000)

test('isTransactionSound() knows an answer that no working session gives', () => {
  const tag = (text: string) => messageOf(messageType.commandComplete, text)
  const error = (severity: string, code: string) =>
    messageOf(messageType.error, `S${severity}`, `V${severity}`, `C${code}`, 'Mmessage', Buffer.of(0))
  const [begin, commit, done] = [tag('BEGIN'), tag('COMMIT'), tag('INSERT 0 1')]
  const sound = [
    [begin, done, commit],
    [begin, error('ERROR', '23505')],
    [begin, error('ERROR', 'XX000')],
    [begin, done, error('ERROR', '23514')],
  ]
  const broken = [
    [],
    [begin],
    [begin, done],
    [begin, done, tag('ROLLBACK')],
    [commit],
    [error('ERROR', '24000')],
    [error('ERROR', '25P02'), begin],
    [begin, error('FATAL', 'XX000')],
    [begin, error('PANIC', '24000'), commit],
  ]
  for (const parts of sound) expect(isTransactionSound(Buffer.concat(parts)), `${Buffer.concat(parts)}`).toBe(true)
  for (const parts of broken) expect(isTransactionSound(Buffer.concat(parts)), `${Buffer.concat(parts)}`).toBe(false)
})

test('maintain() takes back what updates left behind', async () => {
  const database = await openPgliteDatabase({ dir, password: 'secret' })
  const sizeOf = async () => Number((await database.query({ text: `select pg_table_size('rows') as size` }))[0]?.size)
  await database.exec('create table rows (i int, filler text)')
  await database.exec(`insert into rows select i, repeat('x', 500) from generate_series(1, 2000) i`)
  const before = await sizeOf()
  for (let round = 0; round < 10; round++) {
    await database.exec('update rows set i = i + 1')
    await database.maintain()
  }
  expect(await sizeOf()).toBeLessThan(4 * before)
  expect(statSync(join(dir, 'pgdata')).isDirectory()).toBe(true)
  const [row] = await database.query({ text: `select reltuples::int as n from pg_class where oid = 'rows'::regclass` })
  expect(row?.n).toBe(2_000)
  await database.close()
})

test('query() waits for its turn as long as its own statement says, and no longer than the others otherwise', async () => {
  const database = await openPgliteDatabase({ dir, password: 'secret', turnMsMax: 50 })
  try {
    const slow = database.query({ text: 'select pg_sleep(0.5)' })
    const hasty = database.query({ text: 'select 1' }).catch((error: unknown) => error)
    const patient = database.query({ text: 'select 1 as one', turnMsMax: 20_000 })
    expect(await hasty).toMatchObject({ code: '53300' })
    expect(await patient).toEqual([{ one: 1 }])
    await slow
  } finally {
    await database.close()
  }
})
