import pg from 'pg'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { liveBeatMs } from '../../src/core/limit.ts'
import { noChromiumReason, openPageIn, waitMsMax } from './browser_fixture.ts'
import { type DesktopBrowser, freeze, openDesktopBrowser } from './desktop_browser_fixture.ts'
import {
  expectCounted,
  expectNothingLive,
  expectShown,
  expireSession,
  type OutageStage,
  openOutageStage,
  sessionOf,
  watchDocument,
} from './outage_fixture.ts'
import { waitUntilLive } from './stage_fixture.ts'

const reason = noChromiumReason()
const hourMs = 3_600_000
// Chromium closes the socket of a page that it freezes. The client opens another when it sees the page shown, before it
// has heard of that, and the page one more.
const frozen = [
  /^error: WebSocket connection to \S+ failed: Page entered Back-Forward Cache/,
  /^warning: WebSocket connection to \S+ failed: WebSocket is closed before the connection is established/,
]

const title = `a page that nobody looks at${reason === null ? '' : `, skipped: ${reason}`}`

describe.skipIf(reason !== null)(title, { timeout: 120_000 }, () => {
  let stage: OutageStage
  let desktop: DesktopBrowser
  const open: Page[] = []

  beforeAll(async () => {
    stage = await openOutageStage()
    desktop = await openDesktopBrowser()
    stage.keep(desktop.close)
    await stage.work('at-first')
  })
  afterEach(async () => {
    stage.line.mend()
    // A page that is left would go on watching.
    for (const page of open.splice(0)) await page.close()
    expect(stage.takeFaults()).toEqual([])
  })
  afterAll(() => stage?.close())

  test('an hour asleep: what was shown before is not called live, and what happened meanwhile is there', async () => {
    // Its clock is an hour behind, and then as far on as everybody else's: only for the page an hour goes by.
    const page = await stage.openLive('/?range=6h', (opened) => opened.clock.install({ time: Date.now() - hourMs }))
    open.push(page)
    const check = await watchDocument(page)
    await page.clock.pauseAt(Date.now() - hourMs + 2_000)
    stage.line.stall()
    await stage.work('at-sleep')
    const { access_token } = await sessionOf(page)
    await expireSession(page)

    await page.clock.fastForward(hourMs)
    await page.clock.resume()
    await page.locator('tt-page-header [data-status="reconnecting"]').waitFor()
    await expectNothingLive(page)
    stage.line.mend()
    await expectShown(page, 'at-sleep')
    const renewed = async () => (await sessionOf(page)).access_token
    await expect.poll(renewed, { timeout: waitMsMax }).not.toBe(access_token)
    await check()
  })

  test('a hidden page that Chromium froze is live again when it is shown, with what happened meanwhile', async () => {
    const page = await stage.enter(await openPageIn(desktop.context), '/')
    open.push(page, await desktop.context.newPage())
    await expectStatus(page, 'paused')
    const thaw = await freeze(page)
    await stage.work('at-freezing')
    await thaw()
    await expectNothingLive(page)
    await page.bringToFront()
    await expectShown(page, 'at-freezing')
    expect(stage.takeFaults(frozen)).toEqual([])
  })

  test('a hidden page does not say that somebody watches, and takes a fresh snapshot when it is shown', async () => {
    const watched = await openPageIn(desktop.context)
    await watched.page.clock.install()
    const page = await stage.enter(watched, '/')
    const asked: string[] = []
    page.on('request', (request) => {
      if (request.url().includes('/functions/v1/live')) asked.push(request.url())
    })
    await page.clock.runFor(2 * liveBeatMs)
    await expect.poll(() => asked.length, { timeout: waitMsMax }).toBeGreaterThan(0)
    await waitUntilLive(page)

    open.push(page, await desktop.context.newPage())
    await expectStatus(page, 'paused')
    await expectNothingLive(page)
    await expectUnwatched(stage)
    asked.splice(0)
    await page.clock.runFor(4 * liveBeatMs)
    await stage.work('at-hiding')
    await page.clock.runFor(4 * liveBeatMs)
    expect(asked).toEqual([])
    expect(await isWatched(stage)).toBe(false)

    await page.bringToFront()
    await expectShown(page, 'at-hiding')
    await expectCounted(stage, page)
    expect(asked.length).toBeGreaterThan(0)
    expect(await isWatched(stage)).toBe(true)
  })
})

/** Playwright's own waiting for what is seen stands still while a page is hidden. */
async function expectStatus(page: Page, status: string): Promise<void> {
  const shown = () => page.evaluate(() => window.probe.find('[data-status].badge')[0]?.getAttribute('data-status'))
  await expect.poll(shown, { timeout: waitMsMax }).toBe(status)
}

/** As if the last page had looked two minutes ago. */
async function expectUnwatched(stage: OutageStage): Promise<void> {
  await ask(stage, "update telltale.viewers set seen_at = now() - interval '2 minutes'")
  expect(await isWatched(stage)).toBe(false)
}

async function isWatched(stage: OutageStage): Promise<boolean> {
  const [row] = await ask(stage, 'select telltale.is_watched() as watched')
  return row?.watched === true
}

async function ask({ env }: OutageStage, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: env.DATABASE_URL })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}
