import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createSessionLock, TurnTimeout } from '../src/local/session_lock.ts'

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('createSessionLock() gives turns one at a time, in the order asked for, whatever each does', async () => {
  const step = fc.record({ holdMs: fc.constantFrom(0, 0, 1), releases: fc.integer({ min: 1, max: 3 }) })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const lock = createSessionLock()
      const order: number[] = []
      let holders = 0
      await Promise.all(
        steps.map(async ({ holdMs, releases }, i) => {
          const release = await lock.take()
          holders += 1
          expect(holders).toBe(1)
          order.push(i)
          if (holdMs > 0) await pause(holdMs)
          holders -= 1
          for (let n = 0; n < releases; n++) release()
        }),
      )
      expect(order).toEqual(steps.map((_, i) => i))
      expect(lock.waiting).toBe(0)
    }),
    { numRuns: 100 },
  )
})

test('createSessionLock() refuses a turn that does not come in time, and skips it later', async () => {
  const lock = createSessionLock()
  const release = await lock.take()
  const impatient = lock.take(20)
  const patient = lock.take()
  expect(lock.waiting).toBe(2)
  await expect(impatient).rejects.toThrow(TurnTimeout)
  expect(lock.waiting).toBe(1)
  release()
  const releasePatient = await patient
  releasePatient()
  const releaseLast = await lock.take(0)
  releaseLast()
})

test('createSessionLock() lets one who asks once through a flood after those before it only', async () => {
  const lock = createSessionLock()
  let served = 0
  let stopped = false
  const flood = Array.from({ length: 10 }, async () => {
    while (!stopped) {
      const release = await lock.take()
      served += 1
      await pause(0)
      release()
    }
  })
  await pause(20)
  for (let i = 0; i < 5; i++) {
    const before = served
    const release = await lock.take()
    expect(served - before).toBeLessThanOrEqual(10)
    release()
  }
  stopped = true
  await Promise.all(flood)
})
