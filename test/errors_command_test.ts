import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { blocksOf, type GroupDetail, type GroupRow, groupLinesOf } from '../src/cli/error_line.ts'
import { aBatch, anError, nowUs } from './rows_fixture.ts'
import { createDataDir, type RunningStack, runTelltale, startTelltale } from './stack_fixture.ts'

const folder = createDataDir()
let stack: RunningStack
let sent = 0
beforeAll(async () => {
  stack = await startTelltale(folder.dir)
  await failWith('1.0.0', [-50, -40])
})
afterAll(async () => {
  await stack?.stop('SIGTERM')
  folder.remove()
})

async function failWith(version: string, seconds: readonly number[]): Promise<void> {
  sent += 1
  const records = seconds.flatMap((s) => [
    anError({ at_us: nowUs + s * 1_000_000, message: 'Cannot read row 7\nof many' }),
    anError({ at_us: nowUs + s * 1_000_000 - 5, error_type: 'Timeout' }),
  ])
  const source = { service: 'exai', instance: 'a', environment: 'test', version }
  const answer = await fetch(stack.env.TELLTALE_INGEST_URL as string, {
    method: 'POST',
    headers: { authorization: `Bearer ${stack.env.TELLTALE_INGEST_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(aBatch(records, { source, seq: sent })),
  })
  expect(answer.status).toBe(200)
}

async function errors(...args: string[]): Promise<string> {
  const { code, printed, errors: complaint } = await runTelltale(['errors', ...args], { TELLTALE_DATA_DIR: folder.dir })
  expect([code, complaint]).toEqual([0, ''])
  return printed
}
const listed = async (...args: string[]) =>
  (await errors('list', '--json', ...args))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as GroupRow)

test('telltale errors lists, resolves, tells of the regression, ignores and reopens', async () => {
  const rows = await listed()
  expect(rows.map(({ error_type, count, state }) => [error_type, count, state])).toEqual([
    ['TypeError', 2, 'open'],
    ['Timeout', 2, 'open'],
  ])
  const short = rows[0]?.fingerprint.slice(0, 11) as string
  const resolved = JSON.parse(await errors('resolve', short, '--in', '1.1.0', '--json'))
  expect(resolved).toMatchObject({
    state: 'resolved',
    decision: { version: '1.1.0', set_by: expect.stringMatching(/./) },
  })
  expect((await listed()).map(({ error_type }) => error_type)).toEqual(['Timeout'])
  await failWith('1.0.0', [60])
  expect((await listed('--state', 'resolved')).map(({ error_type }) => error_type)).toEqual(['TypeError'])
  await failWith('1.1.0', [61])
  expect(await errors('list')).toMatch(/regressed +4 .+\| {2}TypeError\n +Cannot read row 7\n/)
  expect(await errors('show', short)).toMatch(
    /state +regressed \d+s ago of 1\.1\.0; was resolved by .+, in 1\.1\.0\n(?:.*\n)*first seen .+ of 1\.0\.0\n/,
  )
  expect(await errors('ignore', short, '--for', '2h')).toMatch(new RegExp(`^${short} is ignored by .+, until \\d{4}-`))
  expect(JSON.parse(await errors('show', short, '--json')) as GroupDetail).toMatchObject({ state: 'ignored', count: 4 })
  expect(await errors('ignore', short, '--count', '5')).toMatch(/until 5 more came \(0 so far\)/)
  expect(await errors('reopen', short)).toMatch(/ is open by /)
}, 60_000)

test.each([
  [['resolve', 'v1:'], 1, /Cannot find v1:: 2 errors begin so/],
  [['show', 'v1:zzz'], 1, /Cannot find v1:zzz: no error begins so/],
  [['show', `v1:${'0'.repeat(32)}`], 1, /there is no such error/],
  [['resolve', `v1:${'0'.repeat(32)}`], 1, /there is no error group/],
  [['ignore', 'v1:', '--count', '0'], 2, /whole number/],
  [['ignore', 'v1:', '--for', 'ever'], 2, /such as 12h/],
  [['ignore', 'v1:', '--for', '1h', '--count', '3'], 2, /cannot be used with/],
  [['list', '--state', 'closed'], 2, /Allowed choices/],
])('telltale errors %j is refused', async (args, code, message) => {
  const refused = await runTelltale(['errors', ...args], { TELLTALE_DATA_DIR: folder.dir })
  expect(refused).toMatchObject({ code, errors: expect.stringMatching(message) })
})

test('blocksOf() is one character a count, empty for none and full for the most', () => {
  expect(blocksOf([0, 1, 4, 8])).toBe(' ▁▄█')
  fc.assert(
    fc.property(fc.array(fc.nat(1e6), { minLength: 1, maxLength: 49 }), (values) => {
      const blocks = [...blocksOf(values)]
      expect(blocks.length).toBe(values.length)
      expect(blocks.map((block) => block === ' ')).toEqual(values.map((n) => n === 0))
      if (Math.max(...values) > 0) expect(blocks[values.indexOf(Math.max(...values))]).toBe('█')
    }),
  )
})

test('groupLinesOf() lets nothing of a stranger reach the terminal', () => {
  const row = {
    fingerprint: 'v1:00',
    error_type: 'E\u001b[2J',
    message: 'a\u202eb',
    culprit: 'f\r',
    count: 1,
    state: 'open',
    last_seen_at: new Date(0).toISOString(),
    decision: null,
    counts: { step_s: 1, values: [1] },
  } as unknown as GroupRow
  expect(groupLinesOf(row, new Date(1_000)).replace('\n', '')).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u)
})
