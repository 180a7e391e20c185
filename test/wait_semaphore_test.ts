import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createReporter } from '../src/reporter/reporter.ts'
import { later, reportEachTest } from './wait_reporter_fixture.ts'

const reported = reportEachTest()

test('semaphore() records who waited, how long, and who had held a permit longest', async () => {
  const { reporter } = reported
  const permits = reporter.semaphore('provider_sem KIMI', 2)
  const call = (tool: string, ms: number) =>
    reporter.trace({ name: `tools/call ${tool}`, layer: 'tool', tool }, () =>
      permits.use(() => reporter.time({ name: `work ${tool}`, layer: 'api' }, () => later(ms))),
    )
  const calls = [call('chat', 20), call('debug', 40), call('analyze', 5)]
  expect([permits.inUse, permits.waiting]).toEqual([2, 1])
  await Promise.all(calls)
  expect([permits.inUse, permits.waiting]).toEqual([0, 0])
  const waits = await reported.spansNamed('permit provider_sem KIMI')
  expect(waits).toMatchObject([{ kind: 'wait', holder: 'chat', layer: 'tool', outcome: 'ok' }])
  const [analyze] = await reported.spansNamed('tools/call analyze')
  const [chat] = await reported.spansNamed('tools/call chat')
  expect(waits[0]).toMatchObject({ trace_id: analyze?.trace_id, parent_span_id: analyze?.span_id })
  expect(waits[0]?.attributes['telltale.holder_trace_id']).toBe(chat?.trace_id)
  expect((waits[0]?.end_us ?? 0) - (waits[0]?.start_us ?? 0)).toBeGreaterThanOrEqual(15_000)
  expect((await reported.gaugesNamed('permits_in_use'))[0]).toMatchObject({
    value: 1,
    labels: { name: 'provider_sem KIMI' },
  })
})

test('a wait that is called off ends as cancelled and takes no permit; releasing twice changes nothing', async () => {
  const { reporter } = reported
  const permits = reporter.semaphore('s', 1)
  const release = await permits.acquire({ holder: 'the first' })
  const stop = new AbortController()
  const why = new Error('no longer wanted')
  const root = reporter.startTrace({ name: 'n', layer: 'tool' })
  const waiting = reporter.run(root, () => permits.acquire({ signal: stop.signal }))
  stop.abort(why)
  await expect(waiting).rejects.toBe(why)
  await expect(permits.acquire({ signal: stop.signal })).rejects.toBe(why)
  release()
  release()
  expect([permits.inUse, permits.waiting]).toEqual([0, 0])
  root.end()
  expect(await reported.spansNamed('permit s')).toMatchObject([{ outcome: 'cancelled', holder: 'the first' }])
  expect([reporter.semaphore('odd', Number.NaN).limit, reporter.semaphore('odd', 0).limit]).toEqual([1, 1])
})

test('a semaphore never gives more permits than it has, in the order of asking, also when nothing is reported', async () => {
  const off = createReporter({ env: {} })
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 30 }),
      async (limit, works) => {
        const permits = off.semaphore('s', limit)
        const order: number[] = []
        let inUse = 0
        const uses = works.map((turns, i) =>
          permits.use(async () => {
            order.push(i)
            expect(++inUse).toBeLessThanOrEqual(limit)
            for (let turn = 0; turn < turns; turn++) await Promise.resolve()
            inUse--
            return i
          }),
        )
        expect(await Promise.all(uses)).toEqual(works.map((_, i) => i))
        expect(order).toEqual(works.map((_, i) => i))
        expect([permits.inUse, permits.waiting]).toEqual([0, 0])
      },
    ),
    { numRuns: 100 },
  )
})
