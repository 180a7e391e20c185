import { expect, test } from 'vitest'
import { murmurHashOf } from '../src/core/murmur_hash.ts'

test('murmurHashOf() is MurmurHash3 x86_128 with seed 0', () => {
  expect(murmurHashOf('')).toBe('0'.repeat(32))
  // The vector that the JavaScript port at https://github.com/karanlyons/murmurHash3.js publishes.
  expect(murmurHashOf("I will not buy this tobacconist's, it is scratched.")).toBe('9b5b7ba2ef3f7866889adeaf00f3f98e')
})

test('murmurHashOf() tells texts apart at every length of the last block', () => {
  const hashes = new Set(Array.from({ length: 70 }, (_, length) => murmurHashOf('a'.repeat(length))))
  hashes.add(murmurHashOf('é')).add(murmurHashOf('\u{1f600}')).add(murmurHashOf('\uffee'))
  expect(hashes.size).toBe(73)
  for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{32}$/)
})

test('murmurHashOf() takes an unpaired surrogate as U+FFFD', () => {
  expect(murmurHashOf('a\ud800')).toBe(murmurHashOf('a\ufffd'))
})
