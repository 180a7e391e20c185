import { expect, test } from 'vitest'
import { createReporter } from '../src/reporter/reporter.ts'
import { reportEachTest } from './wait_reporter_fixture.ts'

const reported = reportEachTest()

const failing = (times: number, error: Error) => {
  let calls = 0
  return async (attempt: number) => {
    expect(attempt).toBe(++calls)
    if (calls <= times) throw error
    return calls
  }
}

test('retry() records attempts and backoffs, and the error of each attempt that is another', async () => {
  const { reporter, far } = reported
  const answer = await reporter.trace({ name: 'call', layer: 'provider' }, () =>
    reporter.retry(
      async (attempt) => {
        if (attempt < 3) throw new Error(`failure ${attempt}`)
        return 'done'
      },
      { name: 'chat kimi', layer: 'api', baseMs: 4, random: () => 0 },
    ),
  )
  expect(answer).toBe('done')
  const attempts = await reported.spansNamed('chat kimi')
  expect(attempts.map((span) => [span.attributes['telltale.attempt'], span.outcome, span.layer])).toEqual([
    [1, 'tool_error', 'api'],
    [2, 'tool_error', 'api'],
    [3, 'ok', 'api'],
  ])
  const waits = await reported.spansNamed('backoff')
  expect(waits.map((span) => span.kind)).toEqual(['wait', 'wait'])
  const [first, second] = waits.map((span) => ((span.end_us ?? 0) - span.start_us) / 1_000)
  expect(first).toBeGreaterThanOrEqual(3)
  expect(second).toBeGreaterThanOrEqual(7)
  const [call] = await reported.spansNamed('call')
  expect(call?.attributes['telltale.retry_count']).toBe(2)
  for (const span of [...attempts, ...waits]) expect(span.parent_span_id).toBe(call?.span_id)
  expect(far.errors().map((error) => error.message)).toEqual(['failure 1', 'failure 2'])
})

test('retry() throws what the last attempt threw, at once where another is not worth it, and outside of any request too', async () => {
  const { reporter } = reported
  const boom = new Error('boom')
  await expect(reporter.retry(failing(9, boom), { attempts: 2, baseMs: 1, name: 'twice' })).rejects.toBe(boom)
  await expect(reporter.retry(failing(9, boom), { retryable: () => false, name: 'once' })).rejects.toBe(boom)
  expect(await reporter.retry(failing(1, boom), { waitMs: () => 0, name: 'asked' })).toBe(2)
  const stop = new AbortController()
  const waiting = reporter.retry(failing(9, boom), { waitMs: () => 60_000, signal: stop.signal, name: 'stopped' })
  await Promise.resolve()
  setTimeout(() => stop.abort(new Error('stop')), 5)
  await expect(waiting).rejects.toThrow('stop')
  const spans = await reported.spansNamed('twice')
  expect(spans.filter((span) => span.entry)).toMatchObject([{ attributes: { 'telltale.retry_count': 1 } }])
  expect(spans).toHaveLength(3)
  expect(await reported.spansNamed('once')).toHaveLength(2)
})

test('retry() of a disabled reporter tries again all the same', async () => {
  const off = createReporter({ env: {} })
  const boom = new Error('boom')
  expect(await off.retry(failing(2, boom), { baseMs: 1 })).toBe(3)
  await expect(off.retry(failing(9, boom), { baseMs: 1 })).rejects.toBe(boom)
})
