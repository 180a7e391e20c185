import { expect, test } from 'vitest'
import { createReporter, type Reporter } from '../src/reporter/reporter.ts'

const live = { TELLTALE_INGEST_URL: 'http://127.0.0.1:9/', TELLTALE_INGEST_KEY: 'k' }
const ways: { readonly [way: string]: { readonly [name: string]: string } } = {
  'TELLTALE_DISABLED=1': { ...live, TELLTALE_DISABLED: '1' },
  'no ingest key': { ...live, TELLTALE_INGEST_KEY: '' },
  'no ingest address': { TELLTALE_INGEST_KEY: 'k' },
}

function facts() {
  return [process.eventNames().map((name) => [name, process.listenerCount(name)]), Object.hasOwn(process, 'emit')]
}

for (const [way, env] of Object.entries(ways)) {
  test(`with ${way} every call does nothing, answers what was there before, and passes functions through`, async () => {
    const before = facts()
    const off = createReporter({ env })
    const again = createReporter({ env })
    expect(off).toBe(again)
    expect(Object.isFrozen(off)).toBe(true)
    const span = off.startTrace({ name: 'n', layer: 'tool' })
    for (const other of [
      off.span({ name: 'n' }),
      off.span(span, { name: 'n' }),
      off.wait({ name: 'n' }),
      off.wait(span, { name: 'n' }),
      off.trace({ name: 'n', layer: 'tool' }, (given) => given),
      off.time({ name: 'n' }, (given) => given),
    ]) {
      expect(other).toBe(span)
    }
    expect(span.headers()).toBe(off.span({ name: 'm' }).headers())
    expect(off.run(span, () => off.active())).toBeNull()
    expect(off.captureError(new Error('x'))).toBeNull()
    const promise = Promise.resolve(1)
    expect(off.time({ name: 'n' }, () => promise)).toBe(promise)
    const boom = new Error('boom')
    const failing = () => {
      throw boom
    }
    expect(() => off.time({ name: 'n' }, failing)).toThrow(boom)
    for (const given of [failing, { connect: failing }, Object.freeze({ add: failing })]) {
      expect(off.wrap(given as typeof failing, { name: 'n' })).toBe(given)
      expect(off.watchAcquire(given, { name: 'n' })).toBe(given)
      expect(off.watchQueue(given, { name: 'n' })).toBe(given)
      expect(Object.getOwnPropertyDescriptors(given)).toEqual(Object.getOwnPropertyDescriptors(given))
    }
    off.captureUncaught()()
    off.watchEventLoop()()
    off.gauge('g', 1)
    off.recordMessage({ role: 'user' })
    off.recordEvent({ connection_type: 'redis', direction: 'send' })
    expect(off.flush()).toBe(off.close())
    await off.close()
    expect(off.status()).toMatchObject({ recorded: 0, waiting: 0, running: 0 })
    expect(facts()).toEqual(before)
  })
}

test('a disabled reporter has every call that a live one has', async () => {
  const on = createReporter({ env: live, warn: () => undefined, flushOnExit: false })
  const off: Reporter = createReporter({ env: {} })
  expect(Object.keys(off).sort()).toEqual(Object.keys(on).sort())
  await on.close(1)
})
