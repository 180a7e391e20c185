import { expect, test } from 'vitest'
import { runTick } from '../functions/action/run_tick.ts'
import { tickApp } from '../functions/route/tick.ts'
import { StoreError, type TickStep, type TickStore, tickSteps } from '../functions/store/port.ts'
import { tickLeaseSeconds, tickMsMax } from '../src/core/limit.ts'

/** A store that follows a script, on a clock that each step moves by `stepMs`. */
function setUp(
  script: { answer?: (step: TickStep, time: number) => number | Error; stepMs?: number; free?: boolean } = {},
) {
  const world = { nowUs: 0, calls: [] as string[], holders: new Set<string>() }
  const times = new Map<TickStep, number>()
  const store: TickStore = {
    claimTick: async (holder, seconds) => {
      world.calls.push(`claim ${seconds}`)
      world.holders.add(holder)
      return script.free ?? true
    },
    runStep: async (step) => {
      const time = (times.get(step) ?? 0) + 1
      times.set(step, time)
      world.calls.push(step)
      world.nowUs += (script.stepMs ?? 1) * 1_000
      const left = script.answer?.(step, time) ?? 0
      if (left instanceof Error) throw left
      return { done: 1, more: left > 0 }
    },
    releaseTick: async (holder) => {
      world.calls.push('release')
      world.holders.add(holder)
    },
  }
  return { world, store, run: () => runTick(store, {}, 'me', () => world.nowUs) }
}

test('runTick() runs every step in order under the lease', async () => {
  const { world, run } = setUp()
  const report = await run()
  expect(world.calls).toEqual([`claim ${tickLeaseSeconds}`, ...tickSteps, 'release'])
  expect([...world.holders]).toEqual(['me'])
  expect(report).toEqual({
    claimed: true,
    steps: Object.fromEntries(tickSteps.map((step) => [step, { done: 1, more: false, failed: null }])),
  })
})

test('runTick() does nothing where another has the lease', async () => {
  const { world, run } = setUp({ free: false })
  expect(await run()).toEqual({ claimed: false, steps: {} })
  expect(world.calls).toEqual([`claim ${tickLeaseSeconds}`])
})

test('runTick() repeats a step while more of it waits', async () => {
  const { run } = setUp({ answer: (step, time) => (step === 'compact_minutes' ? 5 - time : 0) })
  expect((await run()).steps).toMatchObject({ compact_minutes: { done: 5, more: false }, prune: { done: 1 } })
})

test('runTick() lets no step without end take the time of the others', async () => {
  const { world, run } = setUp({ answer: () => 1, stepMs: 100 })
  const { steps } = await run()
  for (const step of tickSteps) {
    expect(steps[step]?.more).toBe(true)
    expect(steps[step]?.done).toBeGreaterThan(10)
  }
  expect(world.nowUs).toBeLessThan((tickMsMax + 1_000) * 1_000)
})

test('runTick() begins no step that could outlast the lease, and gives it back', async () => {
  const { world, run } = setUp({ answer: () => 1, stepMs: 30_000 })
  const { steps } = await run()
  expect(Object.keys(steps)).toEqual(tickSteps.slice(0, 3))
  expect(world.nowUs).toBeLessThan(tickLeaseSeconds * 1_000_000)
  expect(world.calls.at(-1)).toBe('release')
})

test('runTick() goes on after a step that fails, and tells why without its data', async () => {
  const failures: Partial<Record<TickStep, Error>> = {
    make_partitions: new StoreError('unavailable', 'Cannot call tick_make_partitions: it answers 500'),
    prune: new Error('quotes a row'),
  }
  const { world, run } = setUp({ answer: (step) => failures[step] ?? 0 })
  const { steps } = await run()
  expect(steps.make_partitions?.failed).toBe('Cannot call tick_make_partitions: it answers 500')
  expect(steps.prune?.failed).toBe('Cannot run step: it threw')
  expect(steps.drop_partitions).toEqual({ done: 1, more: false, failed: null })
  expect(world.calls.at(-1)).toBe('release')
})

test('runTick() reports what it did though the lease cannot be given back', async () => {
  const { store, world } = setUp()
  const releaseTick = async () => {
    throw new StoreError('unavailable', 'Cannot call release_tick: Postgres is not reached')
  }
  const report = await runTick({ ...store, releaseTick }, {}, 'me', () => world.nowUs)
  expect(Object.keys(report.steps)).toEqual([...tickSteps])
})

const secret = 'sb_secret_tick'
function tickOf(store: TickStore) {
  const log: string[] = []
  const app = tickApp({ store, actions: {}, secret, clock: () => 0, log: (entry) => log.push(JSON.stringify(entry)) })
  return { log, ask: (headers: Record<string, string>, method = 'POST') => app.request('/tick', { method, headers }) }
}

test('tickApp() runs a pass for whoever has the secret', async () => {
  for (const headers of [{ apikey: secret }, { authorization: `Bearer ${secret}` }]) {
    const { world, store } = setUp()
    const answer = await tickOf(store).ask(headers)
    expect([answer.status, world.calls.length]).toEqual([200, tickSteps.length + 2])
    expect(await answer.json()).toMatchObject({ claimed: true, steps: { prune: { done: 1 } } })
  }
})

test('tickApp() answers 401 to anyone else, 405 to another method', async () => {
  const { world, store } = setUp()
  const { ask } = tickOf(store)
  for (const headers of [{}, { apikey: '' }, { apikey: `${secret}x` }, { authorization: secret }]) {
    const answer = await ask(headers as Record<string, string>)
    expect(answer.status).toBe(401)
    expect(await answer.json()).toMatchObject({ type: 'urn:telltale:problem:unknown-key', title: 'Unknown key' })
  }
  expect((await ask({ apikey: secret }, 'GET')).status).toBe(405)
  expect(world.calls).toEqual([])
})

test('tickApp() logs the steps that failed and answers 503 when the store is away', async () => {
  const failing = setUp({ answer: (step) => (step === 'prune' ? new StoreError('unavailable', 'Cannot call') : 0) })
  const { ask, log } = tickOf(failing.store)
  expect((await ask({ apikey: secret })).status).toBe(200)
  expect(log).toEqual([expect.stringContaining('tick prune')])
  const away = async () => {
    throw new StoreError('unavailable', 'Cannot call claim_tick: Postgres is not reached')
  }
  const answer = await tickOf({ ...failing.store, claimTick: away }).ask({ apikey: secret })
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2'])
})
