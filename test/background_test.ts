import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { createBackground } from '../functions/route/background.ts'
import { ingestApp } from '../functions/route/ingest.ts'
import { type HotStore, StoreError } from '../functions/store/port.ts'
import { nowUs, wireBatch, wireSpan } from './batch_fixture.ts'

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

test('createBackground() settles when all is done, what began meanwhile and what failed included', async () => {
  const { run, settled } = createBackground()
  await settled()
  const done: string[] = []
  run(
    pause(5).then(() => {
      done.push('first')
      run(pause(5).then(() => done.push('second')))
    }),
  )
  run(Promise.reject(new Error('boom')))
  await settled()
  expect(done).toEqual(['first', 'second'])
})

const key = `tt_abc123def456_${'S3cr3t_'.repeat(7).slice(0, 43)}`

/** An edge whose Postgres takes everything; `begun` says when the hot tier is asked first. */
function edgeOf(background: (work: Promise<unknown>) => void) {
  const seen = { begun: 0, log: [] as string[] }
  const hot = {
    add: async () => {
      seen.begun += 1
      throw new StoreError('unavailable', 'Cannot add batch: Redis is not reached')
    },
  } as unknown as HotStore
  const key_hash = createHash('sha256').update(key).digest('hex')
  const app = ingestApp({
    store: {
      readKey: async () => ({ key_id: 'abc123def456', key_hash, revoked: false }),
      ingestBatch: async ({ accepted, rejected }) => ({
        ...{ status: 'stored', accepted, rejected, renamed: {}, watched: true, tick_due: false },
      }),
      endedSpans: async () => ({}),
      makePartitions: async () => {},
    },
    clock: () => nowUs,
    flushMs: 250,
    hot,
    background,
    log: ({ what, detail }) => seen.log.push(`${what}: ${detail}`),
  })
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const post = () => app.request('/ingest', { method: 'POST', headers, body: JSON.stringify(wireBatch([wireSpan])) })
  return { seen, post }
}

test('ingestApp() begins what is hot after its answer, and in the background', async () => {
  const work: Promise<unknown>[] = []
  const { seen, post } = edgeOf((begun) => work.push(begun))
  expect((await post()).status).toBe(200)
  expect([work.length, seen.begun, seen.log]).toEqual([1, 0, []])
  await Promise.all(work)
  expect([seen.begun, seen.log]).toEqual([1, ['hot tier: Cannot add batch: Redis is not reached']])
})

test('ingestApp() acks what is stored even where the platform lets nothing go on in the background', async () => {
  const { seen, post } = edgeOf(() => {
    throw new ReferenceError('EdgeRuntime is not defined')
  })
  const answer = await post()
  expect([answer.status, await answer.json()]).toMatchObject([200, { status: 'stored', watched: true }])
  expect(seen.log.join()).toMatch(/^background: ReferenceError/)
})
