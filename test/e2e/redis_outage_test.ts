import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openEmbeddedRedis } from '../redis_rest_fixture.ts'
import { liveBatch, postBatch } from '../stack_fixture.ts'
import { noChromiumReason } from './browser_fixture.ts'
import { type Line, openLine } from './line_fixture.ts'
import {
  catchUpMsMax,
  expectCounted,
  expectNothingLive,
  expectShown,
  type OutageStage,
  openOutageStage,
  watchDocument,
} from './outage_fixture.ts'

const reason = noChromiumReason()

const title = `the page without Redis${reason === null ? '' : `, skipped: ${reason}`}`

describe.skipIf(reason !== null)(title, { timeout: 120_000 }, () => {
  const closers: (() => unknown)[] = []
  let redisLine: Line
  let stage: OutageStage
  let overview: Page
  let check: () => Promise<void>

  beforeAll(async () => {
    const redis = await openEmbeddedRedis()
    closers.push(redis.close)
    redisLine = await openLine(redis.url)
    closers.push(redisLine.close)
    stage = await openOutageStage({
      TELLTALE_REDIS_REST_URL: redisLine.url,
      TELLTALE_REDIS_REST_TOKEN: redis.token,
    })
    closers.push(stage.close)
    await stage.work('at-first')
    overview = await stage.openLive('/')
    check = await watchDocument(overview)
  })
  afterEach(async () => {
    // The page asks what is there, and none of it fails.
    expect(stage.takeFaults()).toEqual([])
    await check()
  })
  afterAll(async () => {
    for (const close of closers.reverse()) await close()
  })

  test('the stack uses the Redis that it is given, and serves none itself', async () => {
    expect(stage.env.UPSTASH_REDIS_REST_URL).toBe(redisLine.url)
    const own = await fetch(`${stage.env.TELLTALE_URL}/redis/get/telltale:state`, {
      headers: { Authorization: `Bearer ${stage.env.UPSTASH_REDIS_REST_TOKEN}` },
    })
    expect(own.status).toBe(404)
  })

  test('Redis is gone, then hangs: the page is degraded, its numbers move, batches are acked, and it comes back', async () => {
    const seconds = overview.getByRole('heading', { name: /by the second/i })
    await seconds.waitFor()
    redisLine.cut()
    await expectDegraded(overview)
    expect(await seconds.count()).toBe(0)
    await expectAcked(stage)
    await stage.work('at-gone')
    await expectShown(overview, 'at-gone', 'degraded')
    await expectCounted(stage, overview)

    redisLine.stall()
    await stage.work('at-hang')
    await expectAcked(stage)
    await expectShown(overview, 'at-hang', 'degraded')
    await expectDegraded(overview)

    redisLine.mend()
    await expectShown(overview, 'at-hang')
    await seconds.waitFor()
    await stage.work('at-return')
    await expectShown(overview, 'at-return')
    await expectCounted(stage, overview)
  })
})

async function expectDegraded(page: Page): Promise<void> {
  const badge = page.locator('tt-page-header [data-status="degraded"]')
  await badge.filter({ hasText: 'Live view degraded' }).waitFor({ timeout: catchUpMsMax })
  await expectNothingLive(page)
}

async function expectAcked({ env }: OutageStage): Promise<void> {
  const acked = await postBatch(env, liveBatch())
  expect(acked?.status).toBe(200)
  expect(await acked?.json()).toMatchObject({ status: 'stored', watched: true })
}
