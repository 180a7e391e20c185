import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Outcome } from '../src/core/outcome.ts'
import { createReporter, type Reporter } from '../src/reporter/reporter.ts'
import { type IngestFixture, startIngest } from './ingest_fixture.ts'

let far: IngestFixture
let reporter: Reporter

beforeEach(async () => {
  far = await startIngest()
  reporter = createReporter({ ingestUrl: far.url, ingestKey: far.key, service: 's', env: {}, flushOnExit: false })
})

afterEach(async () => {
  await reporter.close(100)
  await far.close()
})

const ended = (name: string) => far.spans().filter((span) => span.name === name && span.end_us !== null)
const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

async function* chunks(count: number, fail?: Error) {
  for (let i = 0; i < count; i++) {
    await later(3)
    yield i
  }
  if (fail) throw fail
}

test('time() answers what its function does, plain or promised, and ends its span then', async () => {
  const answer = { a: 1 }
  expect(reporter.time({ name: 'plain' }, () => answer)).toBe(answer)
  const promise = reporter.time({ name: 'promised', layer: 'api' }, async (span) => {
    expect(reporter.active()).toBe(span)
    await later(5)
    return answer
  })
  expect(reporter.status().running).toBe(1)
  expect(await promise).toBe(answer)
  await reporter.flush()
  expect(ended('plain')).toMatchObject([{ outcome: 'ok', layer: 'tool', entry: true }])
  const [span] = ended('promised')
  expect((span?.end_us ?? 0) - (span?.start_us ?? 0)).toBeGreaterThanOrEqual(4_000)
})

test('trace() begins a request, time() a span of it, and an error that passes both is recorded once and thrown on', async () => {
  const boom = Object.freeze(new TypeError('boom'))
  const call = reporter.trace({ name: 'outer', layer: 'tool', tool: 'chat' }, () =>
    reporter.time({ name: 'middle', layer: 'provider' }, async () =>
      reporter.time({ name: 'inner', layer: 'api' }, () => {
        throw boom
      }),
    ),
  )
  await expect(call).rejects.toBe(boom)
  await reporter.flush()
  expect(far.errors()).toHaveLength(1)
  const [inner, middle, outer] = ['inner', 'middle', 'outer'].map((name) => ended(name)[0])
  expect(far.errors()[0]).toMatchObject({ error_type: 'TypeError', span_id: inner?.span_id })
  expect(inner).toMatchObject({ parent_span_id: middle?.span_id, outcome: 'tool_error' })
  expect(middle).toMatchObject({ parent_span_id: outer?.span_id, attributes: { 'error.type': 'TypeError' } })
  expect(outer).toMatchObject({ entry: true, outcome: 'tool_error' })
})

test('a text thrown through nested spans is recorded once, and again when it is thrown anew', async () => {
  const failing = () => reporter.time({ name: 'inner' }, () => Promise.reject('no'))
  await reporter.trace({ name: 'outer', layer: 'tool' }, async () => {
    await failing().catch(() => undefined)
    await reporter.time({ name: 'around' }, failing).catch(() => undefined)
  })
  const error = new Error('in two requests')
  for (let i = 0; i < 2; i++)
    expect(() =>
      reporter.trace({ name: 't', layer: 'tool' }, () => {
        throw error
      }),
    ).toThrow(error)
  const span = reporter.startTrace({ name: 'by hand', layer: 'tool' })
  expect(reporter.captureError(error, { span })).toBe(reporter.captureError(error, { span }))
  span.end()
  await reporter.flush()
  expect(far.errors().filter((one) => one.error_type === 'string')).toHaveLength(2)
  expect(far.errors().filter((one) => one.message === 'in two requests')).toHaveLength(3)
})

test('an abort is cancelled and no error, a timeout is a timeout, a JSON-RPC code is what it means', async () => {
  const thrown: [unknown, Outcome][] = [
    [AbortSignal.abort().reason, 'cancelled'],
    [new DOMException('too long', 'TimeoutError'), 'timeout'],
    [Object.assign(new Error('socket'), { code: 'ETIMEDOUT' }), 'timeout'],
    [Object.assign(new Error('params'), { code: -32602 }), 'caller_fault'],
    [Object.assign(new Error('internal'), { code: -32603 }), 'server_fault'],
    [Object.assign(new Error('sql'), { code: '23505' }), 'tool_error'],
    [undefined, 'tool_error'],
  ]
  for (const [reason, outcome] of thrown) {
    await reporter
      .time({ name: outcome }, () => Promise.reject(reason))
      .then(expect.unreachable, (got) => expect(got).toBe(reason))
  }
  await reporter.flush()
  for (const [, outcome] of thrown)
    expect(new Set(ended(outcome).map((span) => span.outcome))).toEqual(new Set([outcome]))
  expect(far.errors()).toHaveLength(thrown.length - 1)
})

test('time() follows an async generator: its span ends with it, apart from the wait for its first chunk', async () => {
  const stream = reporter.time({ name: 'stream', layer: 'api' }, () => chunks(4))
  const got: number[] = []
  for await (const chunk of stream) got.push(chunk)
  expect(got).toEqual([0, 1, 2, 3])
  await reporter.flush()
  const [span] = ended('stream')
  const [wait] = ended('first chunk')
  expect(span?.attributes).toMatchObject({ 'telltale.chunk_count': 4 })
  expect(span?.attributes['telltale.first_chunk_ms']).toBeGreaterThanOrEqual(2)
  expect(wait).toMatchObject({ kind: 'wait', parent_span_id: span?.span_id })
  expect(wait?.end_us).toBeLessThan((span?.end_us ?? 0) - 6_000)
})

test('a stream that is left, that fails, or that is empty ends its span, with what it was', async () => {
  const left = reporter.time({ name: 'left' }, () => chunks(100))
  for await (const chunk of left) if (chunk === 1) break
  const boom = new Error('broken stream')
  const failing = reporter.time({ name: 'failing' }, async () => chunks(2, boom))
  await expect(
    (async () => {
      for await (const _ of await failing);
    })(),
  ).rejects.toBe(boom)
  for await (const _ of reporter.time({ name: 'empty' }, () => chunks(0)));
  const thrown = reporter.time({ name: 'thrown' }, () => chunks(3))
  await thrown.next()
  await expect(thrown.throw(boom)).rejects.toBe(boom)
  await reporter.flush()
  expect(ended('left')).toMatchObject([{ outcome: 'ok', attributes: { 'telltale.chunk_count': 2 } }])
  expect(ended('failing')).toMatchObject([{ outcome: 'tool_error', attributes: { 'telltale.chunk_count': 2 } }])
  expect(ended('empty')[0]?.attributes).toEqual({ 'telltale.chunk_count': 0 })
  expect(ended('thrown')).toMatchObject([{ outcome: 'tool_error' }])
  expect(reporter.status().running).toBe(0)
})

test('a stream stays the object it is, its methods as they were once it is read', async () => {
  class Stream {
    #left = 3
    controller = new AbortController()
    async *[Symbol.asyncIterator]() {
      while (this.#left-- > 0) yield this.#left
    }
  }
  const stream = new Stream()
  const answer = await reporter.time({ name: 'object' }, async () => stream)
  expect(answer).toBe(stream)
  for await (const _ of answer);
  expect(Object.getOwnPropertyNames(stream)).toEqual(['controller'])
  expect(Object.getOwnPropertySymbols(stream)).toEqual([])
  const read = reporter.time({ name: 'read' }, () => chunks(1))
  for await (const _ of read);
  expect(Reflect.ownKeys(read)).toEqual([])
  const readable = reporter.time({ name: 'readable' }, () => Readable.from(['a', 'b']))
  readable.resume()
  await new Promise((resolve) => readable.on('close', resolve))
  const web = reporter.time({ name: 'web' }, () => new Blob(['x']).stream())
  await web.getReader().read()
  for (const value of reporter.time({ name: 'generator' }, function* () {
    yield 1
    yield 2
  }))
    expect(value).toBeGreaterThan(0)
  await reporter.flush()
  for (const name of ['object', 'readable', 'web', 'generator']) expect(ended(name)).toHaveLength(1)
  expect(ended('generator')[0]?.attributes['telltale.chunk_count']).toBe(2)
})

test('what is awaited but no plain promise stays itself, and begins in the span', async () => {
  let begun = 0
  const query = {
    limit: () => query,
    // biome-ignore lint/suspicious/noThenProperty: a query builder is just this
    then(took: (rows: string[]) => unknown) {
      begun++
      reporter.span({ name: 'inside the query' }).end()
      return Promise.resolve(['row']).then(took)
    },
  }
  const answer = reporter.time({ name: 'query', layer: 'storage' }, () => query)
  expect(answer).toBe(query)
  expect(begun).toBe(0)
  expect(await (answer as unknown as Promise<string[]>)).toEqual(['row'])
  class Special extends Promise<number> {
    extra = 'kept'
  }
  const special = reporter.time({ name: 'special' }, () => new Special((resolve) => resolve(1)))
  expect([special.extra, await special]).toEqual(['kept', 1])
  const decorated = reporter.time({ name: 'decorated' }, () => Object.assign(Promise.resolve(2), { pid: 9 }))
  expect([decorated.pid, await decorated]).toEqual([9, 2])
  const hostile = new Proxy(
    {},
    {
      get() {
        throw new Error('no')
      },
    },
  )
  expect(reporter.time({ name: 'hostile' }, () => hostile)).toBe(hostile)
  const frozen = Object.freeze(chunks(1))
  expect(reporter.time({ name: 'frozen' }, () => frozen)).toBe(frozen)
  await reporter.flush()
  for (const name of ['query', 'special', 'decorated', 'hostile', 'frozen']) expect(ended(name)).toHaveLength(1)
  expect(ended('inside the query')[0]?.parent_span_id).toBe(ended('query')[0]?.span_id)
})

test('wrap() keeps name, length, properties, this and new, and may name the span after its arguments', async () => {
  class Counter {
    total = 0
    add(this: Counter, by: number, _why?: string) {
      this.total += by
      return this.total
    }
  }
  const add = Object.assign(Counter.prototype.add, { note: 'kept' })
  const timed = reporter.wrap(add, (by) => ({ name: `add ${by}` }))
  expect([timed.name, timed.length, timed.note]).toEqual(['add', 2, 'kept'])
  const counter = new Counter()
  expect(timed.call(counter, 5)).toBe(5)
  const Timed = reporter.wrap(Counter as unknown as (...args: never[]) => unknown, {
    name: 'construct',
  }) as unknown as typeof Counter
  expect(new Timed()).toBeInstanceOf(Counter)
  const plain = reporter.wrap(function itsOwn() {
    return 1
  })
  expect(plain()).toBe(1)
  const broken = reporter.wrap(
    () => 'still answered',
    () => {
      throw new Error('no start')
    },
  )
  expect(broken()).toBe('still answered')
  await reporter.flush()
  expect(ended('add 5')).toHaveLength(1)
  expect(ended('construct')).toHaveLength(1)
  expect(ended('itsOwn')).toHaveLength(1)
})

test('a span that its function ended stays as it ended it, and a closed reporter only calls', async () => {
  reporter.time({ name: 'own end' }, (span) => span.end('empty', { bytesOut: 0 }))
  await reporter.close(1_000)
  expect(ended('own end')).toMatchObject([{ outcome: 'empty', bytes_out: 0 }])
  expect(reporter.time({ name: 'late' }, () => 3)).toBe(3)
  expect(reporter.run(null, () => 4)).toBe(4)
})

test('a rejection that nobody takes stays one', async () => {
  const seen: unknown[] = []
  const listeners = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.once('unhandledRejection', (reason) => seen.push(reason))
  const boom = new Error('nobody listens')
  void reporter.time({ name: 'n' }, () => Promise.reject(boom))
  await later(5)
  for (const listener of listeners) process.on('unhandledRejection', listener)
  expect(seen).toEqual([boom])
})
