import { EventEmitter, once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
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

const named = (name: string) => far.spans().find((span) => span.name === name && span.end_us !== null)

test('run() keeps a span active through promises, timers and emitters, and requests apart from each other', async () => {
  const emitter = new EventEmitter()
  const request = (name: string) => {
    const root = reporter.startTrace({ name, layer: 'tool' })
    return reporter.run(root, async () => {
      await turn()
      await new Promise((resolve) => setTimeout(resolve, 1))
      expect(reporter.active()).toBe(root)
      const child = reporter.span({ name: `${name} child`, layer: 'api' })
      const deeper = reporter.run(child, () => reporter.wait({ name: `${name} wait` }))
      reporter.gauge('g', 1)
      deeper.end()
      child.end()
      emitter.emit('done')
      reporter.captureError(new Error(name))
      root.end()
      return root
    })
  }
  expect(reporter.active()).toBeNull()
  const [one, two] = await Promise.all([request('one'), request('two')])
  expect(reporter.active()).toBeNull()
  await reporter.flush()
  for (const root of [one, two]) {
    const name = root === one ? 'one' : 'two'
    const child = named(`${name} child`)
    expect(child).toMatchObject({ trace_id: root?.traceId, parent_span_id: root?.spanId, layer: 'api', entry: false })
    expect(named(`${name} wait`)).toMatchObject({ parent_span_id: child?.span_id, kind: 'wait', layer: 'api' })
    expect(far.errors().find((error) => error.message === name)).toMatchObject({ span_id: root?.spanId })
  }
})

test('run() answers and throws what its function does', async () => {
  const root = reporter.startTrace({ name: 'n', layer: 'tool' })
  const boom = new Error('boom')
  expect(reporter.run(root, () => 7)).toBe(7)
  expect(() =>
    reporter.run(root, () => {
      throw boom
    }),
  ).toThrow(boom)
  expect(reporter.run(null, () => reporter.active())).toBeNull()
  const emitter = new EventEmitter()
  const heard = once(emitter, 'x')
  reporter.run(root, () => emitter.emit('x', 1))
  expect(await heard).toEqual([1])
  root.end()
})

test('null in place of a span means none, and a span outside of any is a request of its own, a wait nothing', async () => {
  const root = reporter.startTrace({ name: 'root', layer: 'tool' })
  reporter.run(root, () => {
    reporter.span(null, { name: 'apart', layer: 'api' }).end()
    reporter.captureError('apart', { span: null })
    reporter.wait(null, { name: 'lost' }).end()
  })
  root.end()
  reporter.span({ name: 'alone' }).end()
  reporter.wait({ name: 'lost too' }).end()
  await reporter.flush()
  expect(named('apart')).toMatchObject({ parent_span_id: null, entry: true, layer: 'api' })
  expect(named('apart')?.trace_id).not.toBe(root.traceId)
  expect(named('alone')).toMatchObject({ parent_span_id: null, layer: 'tool' })
  expect(far.errors()[0]).toMatchObject({ trace_id: null, span_id: null })
  expect(far.spans().map((span) => span.name)).not.toContain('lost')
  expect(far.spans().map((span) => span.name)).not.toContain('lost too')
})
