import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { isSameHash, keyChecker, sha256Hex } from '../functions/action/check_key.ts'
import { type KeyRow, StoreError } from '../functions/store/port.ts'
import { keyCacheEntriesMax, keyCacheMs } from '../src/core/limit.ts'

const keyOf = (keyId: string, letter = 'A') => `tt_${keyId}_${letter.repeat(43)}`
const rowOf = (keyId: string, revoked = false): KeyRow => ({
  key_id: keyId,
  key_hash: createHash('sha256').update(keyOf(keyId)).digest('hex'),
  revoked,
})
const good = 'abc123def456'

/** Keys in a table that can be changed, unplugged, and that counts its reads. */
function setUp(rows: readonly KeyRow[] = [rowOf(good)]) {
  const world = { rows: new Map(rows.map((row) => [row.key_id, row])), reads: 0, reached: true, nowUs: 1_000_000 }
  const check = keyChecker(
    {
      readKey: async (keyId) => {
        world.reads += 1
        if (!world.reached) throw new StoreError('unavailable', 'Cannot call read_key: Postgres is not reached')
        return world.rows.get(keyId) ?? null
      },
    },
    () => world.nowUs,
  )
  return { world, check }
}

test('keyChecker() knows a right key by its id', async () => {
  expect(await setUp().check(`Bearer ${keyOf(good)}`)).toEqual({ ok: true, value: good })
  expect(await setUp().check(`bearer  ${keyOf(good)} `)).toEqual({ ok: true, value: good })
})

test.each<[string, string | null]>([
  ['no header', null],
  ['an empty header', ''],
  ['another scheme', `Basic ${keyOf(good)}`],
  ['no scheme', keyOf(good)],
  ['another prefix', `Bearer sb_${good}_${'A'.repeat(43)}`],
  ['an upper-case prefix', `Bearer TT_${good}_${'A'.repeat(43)}`],
  ['an upper-case id', `Bearer tt_${good.toUpperCase()}_${'A'.repeat(43)}`],
  ['a short id', `Bearer ${keyOf('abc')}`],
  ['a short secret', `Bearer ${keyOf(good).slice(0, -1)}`],
  ['a long secret', `Bearer ${keyOf(good)}A`],
  ['a megabyte', `Bearer ${'tt_'.repeat(350_000)}`],
])('keyChecker() refuses %s without asking the store', async (_, header) => {
  const { world, check } = setUp()
  expect(await check(header)).toEqual({ ok: false, error: 'unknown' })
  expect(world.reads).toBe(0)
})

test('keyChecker() refuses a wrong secret and an id that is not there', async () => {
  const { check } = setUp()
  expect(await check(`Bearer ${keyOf(good, 'B')}`)).toEqual({ ok: false, error: 'unknown' })
  expect(await check(`Bearer ${keyOf('000000000000')}`)).toEqual({ ok: false, error: 'unknown' })
})

test('keyChecker() takes no other secret for one that it has seen, and no old one for long', async () => {
  const { world, check } = setUp()
  expect((await check(`Bearer ${keyOf(good)}`)).ok).toBe(true)
  expect(await check(`Bearer ${keyOf(good, 'B')}`)).toEqual({ ok: false, error: 'unknown' })
  const replaced = { ...rowOf(good), key_hash: createHash('sha256').update(keyOf(good, 'B')).digest('hex') }
  world.rows = new Map([[good, replaced]])
  world.nowUs += keyCacheMs * 1_000
  expect(await check(`Bearer ${keyOf(good)}`)).toEqual({ ok: false, error: 'unknown' })
  expect((await check(`Bearer ${keyOf(good, 'B')}`)).ok).toBe(true)
})

test('keyChecker() tells a revoked key so, but not somebody who only knows its id', async () => {
  const { check } = setUp([rowOf(good, true)])
  expect(await check(`Bearer ${keyOf(good)}`)).toEqual({ ok: false, error: 'revoked' })
  expect(await check(`Bearer ${keyOf(good, 'B')}`)).toEqual({ ok: false, error: 'unknown' })
})

test('keyChecker() keeps what the store said for keyCacheMs, good or not', async () => {
  const { world, check } = setUp()
  const ask = async () => [
    (await check(`Bearer ${keyOf(good)}`)).ok,
    (await check(`Bearer ${keyOf('0'.repeat(12))}`)).ok,
  ]
  expect([await ask(), await ask(), world.reads]).toEqual([[true, false], [true, false], 2])
  world.rows = new Map([[good, rowOf(good, true)]])
  world.nowUs += keyCacheMs * 1_000 - 1
  expect([await ask(), world.reads]).toEqual([[true, false], 2])
  world.nowUs += 1
  expect([await ask(), world.reads]).toEqual([[false, false], 4])
})

test('keyChecker() takes up a new key that was asked for before it was there', async () => {
  const { world, check } = setUp([])
  expect((await check(`Bearer ${keyOf(good)}`)).ok).toBe(false)
  world.rows.set(good, rowOf(good))
  world.nowUs += keyCacheMs * 1_000
  expect((await check(`Bearer ${keyOf(good)}`)).ok).toBe(true)
  world.rows.clear()
  world.nowUs += keyCacheMs * 1_000
  expect((await check(`Bearer ${keyOf(good)}`)).ok).toBe(false)
})

test('keyChecker() throws while the store is away, except for keys that it still knows', async () => {
  const { world, check } = setUp([rowOf(good), rowOf('other0000000')])
  await check(`Bearer ${keyOf(good)}`)
  world.reached = false
  expect((await check(`Bearer ${keyOf(good)}`)).ok).toBe(true)
  expect((await check(`Bearer ${keyOf(good, 'B')}`)).ok).toBe(false)
  await expect(check(`Bearer ${keyOf('other0000000')}`)).rejects.toThrow(StoreError)
  world.nowUs += keyCacheMs * 1_000
  await expect(check(`Bearer ${keyOf(good)}`)).rejects.toThrow(StoreError)
  world.reached = true
  expect((await check(`Bearer ${keyOf(good)}`)).ok).toBe(true)
})

test('keyChecker() asks once for requests that come at once', async () => {
  const { world, check } = setUp()
  const answers = await Promise.all(Array.from({ length: 20 }, () => check(`Bearer ${keyOf(good)}`)))
  expect([answers.every((answer) => answer.ok), world.reads]).toEqual([true, 1])
})

test('keyChecker() lets no number of guesses push out a key that is there', async () => {
  const { world, check } = setUp()
  await check(`Bearer ${keyOf(good)}`)
  for (let i = 0; i < keyCacheEntriesMax + 10; i += 1) await check(`Bearer ${keyOf(String(i).padStart(12, '0'))}`)
  const reads = world.reads
  await check(`Bearer ${keyOf(good)}`)
  expect(world.reads).toBe(reads)
  await check(`Bearer ${keyOf('0'.repeat(12))}`)
  expect(world.reads).toBe(reads + 1)
})

test('sha256Hex() is sha256, isSameHash() equality', async () => {
  expect(await sha256Hex('abc')).toBe(createHash('sha256').update('abc').digest('hex'))
  expect([isSameHash('ab', 'AB'), isSameHash('ab', 'ac'), isSameHash('ab', 'abc'), isSameHash('', '')]).toEqual([
    true,
    false,
    false,
    true,
  ])
})
