import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { argumentHashOf, saltOf } from '../src/reporter/mcp/argument_hash.ts'

type HashVectors = {
  readonly salts: readonly { readonly ingest_key: string; readonly salt: string }[]
  readonly hashes: readonly { readonly json: string; readonly salt: string; readonly hash: string }[]
}

const vectors = JSON.parse(readFileSync(new URL('./vector/hash.json', import.meta.url), 'utf8')) as HashVectors

test.each(vectors.salts)('saltOf($ingest_key) is what every recorder makes of it', ({ ingest_key, salt }) => {
  expect(saltOf(ingest_key)).toBe(salt)
})

test.each(vectors.hashes)('argumentHashOf($json) is what every recorder makes of it', ({ json, salt, hash }) => {
  expect(argumentHashOf(JSON.parse(json), salt)).toBe(hash)
})

test('argumentHashOf() does not depend on the order of members, at any depth', () => {
  const bag = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue())
  fc.assert(
    fc.property(bag, (args) => {
      const turned = Object.fromEntries(Object.entries(args).reverse())
      expect(argumentHashOf({ a: turned }, 's')).toBe(argumentHashOf({ a: args }, 's'))
    }),
    { numRuns: 100 },
  )
})

test('argumentHashOf() tells other arguments and another salt apart', () => {
  const hashes = [{ a: 1 }, { a: '1' }, { a: [1] }, { b: 1 }, [], {}, null, ''].map((args) => argumentHashOf(args, 's'))
  expect(new Set([...hashes, argumentHashOf({ a: 1 }, 't')]).size).toBe(hashes.length + 1)
})

test('argumentHashOf() throws for nothing that a host may pass', () => {
  const ring: { self?: unknown } = {}
  ring.self = ring
  const refusing = {
    toJSON: () => {
      throw new Error('no')
    },
  }
  const deep = JSON.parse('['.repeat(50_000) + ']'.repeat(50_000))
  for (const args of [undefined, ring, refusing, deep, 1n, () => 1, Symbol('x')]) {
    expect(argumentHashOf(args, 's')).toBe(argumentHashOf(null, 's'))
  }
})

test('argumentHashOf() sees what JSON would say of a value', () => {
  expect(argumentHashOf({ a: undefined, b: new Date(0), c: [undefined] }, 's')).toBe(
    argumentHashOf({ b: '1970-01-01T00:00:00.000Z', c: [null] }, 's'),
  )
})
