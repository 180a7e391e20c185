import { once } from 'node:events'
import { PassThrough, Readable, Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { relay, unchanged } from '../src/tap/relay.ts'

test('relay() keeps to the pace of a slow target and holds no more than its buffer and one chunk', async () => {
  const chunk = Buffer.alloc(10_000, 'z')
  const source = Readable.from(Array.from({ length: 200 }, () => chunk))
  let most = 0
  let bytes = 0
  const target = new Writable({
    highWaterMark: 16_384,
    write(part: Buffer, _encoding, done) {
      bytes += part.length
      most = Math.max(most, target.writableLength)
      setImmediate(done)
    },
  })
  await relay(source, target, unchanged(null), true)
  if (!target.writableFinished) await new Promise((resolve) => target.once('finish', resolve))
  expect(bytes).toBe(2_000_000)
  expect(most).toBeLessThanOrEqual(16_384 + chunk.length)
})

test('relay() writes a chunk before anyone is shown it, and goes on when the observer throws', async () => {
  const order: string[] = []
  const source = Readable.from([Buffer.from('a'), Buffer.from('b'), Buffer.from('c')])
  const target = new Writable({
    write(part: Buffer, _encoding, done) {
      order.push(`write ${part}`)
      done()
    },
  })
  const observe = (part: Uint8Array) => {
    order.push(`observe ${Buffer.from(part)}`)
    if (order.length > 2) throw new Error('ours')
  }
  await relay(source, target, unchanged(observe), true)
  expect(order).toEqual(['write a', 'observe a', 'write b', 'observe b', 'write c'])
})

test('relay() destroys its source when the target breaks, so that the writer learns of it', async () => {
  const source = new PassThrough()
  const target = new PassThrough()
  const over = relay(source, target, unchanged(null), true)
  target.destroy(new Error('EPIPE'))
  await over
  expect(source.destroyed).toBe(true)
})

test('relay() ends its target when the source breaks, so that a server does not wait for a client that is gone', async () => {
  const source = new PassThrough()
  const target = new PassThrough()
  const ended = once(target.resume(), 'end')
  const over = relay(source, target, unchanged(null), true)
  source.destroy(new Error('hung up'))
  await Promise.all([over, ended])
})
