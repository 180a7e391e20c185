import { expect, test } from 'vitest'
import { later, reportEachTest } from './wait_reporter_fixture.ts'

const reported = reportEachTest()

/** One at a time, by a method (as p-queue) or as a function (as p-limit). */
function oneByOne() {
  let last: Promise<unknown> = Promise.resolve()
  const add = <T>(task: () => T | Promise<T>, options?: { readonly refuse?: Error }): Promise<T> => {
    const turn = last.then(() => {
      if (options?.refuse) throw options.refuse
      return task()
    })
    last = turn.catch(() => undefined)
    return turn
  }
  return { add, concurrency: 1 }
}

const request = <T>(tool: string, work: () => Promise<T>) =>
  reported.reporter.trace({ name: `tools/call ${tool}`, layer: 'tool', tool }, work)

test('watchQueue() tells how long a function waited for its turn and behind whom, and calls it in its own request', async () => {
  const queue = oneByOne()
  expect(reported.reporter.watchQueue(queue, { name: 'embeddings' })).toBe(queue)
  const limit = reported.reporter.watchQueue(Object.assign(oneByOne().add, { activeCount: 0 }), {
    name: 'files',
    limit: 1,
  })
  expect(limit.activeCount).toBe(0)
  for (const [name, add] of [
    ['embeddings', queue.add],
    ['files', limit],
  ] as const) {
    const call = (tool: string, work: Promise<void>) =>
      request(tool, () => {
        const own = reported.reporter.active()
        return add(async () => {
          expect(reported.reporter.active()).toBe(own)
          await work
          return tool
        })
      })
    let finish: () => void = () => undefined
    const first = call(
      'chat',
      new Promise<void>((resolve) => {
        finish = resolve
      }),
    )
    await later(2)
    const second = call('debug', later(0))
    await later(5)
    finish()
    expect(await Promise.all([first, second])).toEqual(['chat', 'debug'])
    const waits = (await reported.spansNamed(`queue ${name}`)).filter((wait) => wait.holder !== null)
    expect(waits).toMatchObject([{ kind: 'wait', holder: 'chat', outcome: 'ok' }])
  }
})

test('a queue whose function throws, or that refuses it, throws the same; its place is free again', async () => {
  const queue = reported.reporter.watchQueue(oneByOne(), { name: 'q' })
  const boom = new Error('boom')
  await request('chat', async () => {
    const slow = queue.add(() => later(10))
    const failing = queue.add(() => Promise.reject(boom))
    const refused = queue.add(() => 1, { refuse: boom })
    const threw = queue.add(() => {
      throw boom
    })
    await slow
    for (const call of [failing, refused, threw]) await expect(call).rejects.toBe(boom)
    expect(await queue.add(() => 7)).toBe(7)
  })
  const outcomes = (await reported.spansNamed('queue q')).map((wait) => wait.outcome)
  expect(outcomes.filter((outcome) => outcome !== 'ok')).toEqual(['cancelled'])
  await later(1_050)
  expect((await reported.gaugesNamed('permits_in_use')).at(-1)?.value).toBe(0)
})
