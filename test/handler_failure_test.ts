import { expect, test } from 'vitest'
import { isExplained, watchHandlers } from '../src/reporter/mcp/handler_failure.ts'
import { reportEachTest } from './wait_reporter_fixture.ts'

const reported = reportEachTest()
const thrown = new Error('thrown')
type Handlers = Map<string, (...args: unknown[]) => unknown>

/** What the handler for `method` is once it is watched. */
function watched(method: string, handler: (...args: unknown[]) => unknown, fallback?: () => unknown) {
  const handlers: Handlers = new Map([['known', handler]])
  watchHandlers({}, { _requestHandlers: handlers, fallbackRequestHandler: fallback }, reported.reporter)
  return handlers.get(method)
}

test('watchHandlers() has handlers answer and throw what they do, at once or later', async () => {
  const answer = { some: 'thing' }
  expect(watched('known', (...args) => [answer, ...args])?.(1, 2)).toEqual([answer, 1, 2])
  expect(await watched('known', async () => answer)?.()).toBe(answer)
  expect(watched('known', () => answer)?.()).toBe(answer)
  const failing = watched('known', () => {
    throw thrown
  })
  expect(failing).toThrow(thrown)
  await expect(watched('known', () => Promise.reject(thrown))?.()).rejects.toBe(thrown)
  // A promise that nobody takes is told of by the host's own means: the followed one rejects too, not the given alone.
  const given = Promise.reject(thrown)
  const followed = watched('known', () => given)?.()
  expect(followed).not.toBe(given)
  await expect(followed).rejects.toBe(thrown)
  expect(watched('other', () => 1)).toBe(undefined)
  expect(
    watched(
      'other',
      () => 1,
      () => 2,
    )?.(),
  ).toBe(2)
})

test('watchHandlers() explains the span that a handler failed in, and no abort', async () => {
  const { reporter, far } = reported
  const fail = async (error: unknown) => {
    const span = reporter.startTrace({ name: 'request', layer: 'tool' })
    const handler = watched('known', async () => {
      await Promise.resolve()
      throw error
    })
    await expect(reporter.run(span, () => handler?.())).rejects.toBe(error)
    span.end('tool_error')
    return span
  }
  const span = await fail(thrown)
  expect(isExplained(span)).toBe(true)
  expect(isExplained(await fail(new DOMException('enough', 'AbortError')))).toBe(false)
  expect(isExplained(await fail('only a text'))).toBe(true)
  await expect(watched('known', () => Promise.reject(thrown))?.()).rejects.toBe(thrown)
  await reporter.flush()
  expect(far.errors().map((error) => [error.message, error.context.method])).toEqual([
    ['thrown', 'known'],
    ['only a text', 'known'],
  ])
  expect(far.errors()[0]?.trace_id).toBe(span.traceId)
})
