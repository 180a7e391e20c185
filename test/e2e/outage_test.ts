import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { liveFreshMsMax } from '../../src/core/limit.ts'
import { noChromiumReason } from './browser_fixture.ts'
import {
  expectCounted,
  expectNothingLive,
  expectShown,
  expireSession,
  msUntilNotLive,
  type OutageStage,
  openOutageStage,
  sessionOf,
  watchDocument,
} from './outage_fixture.ts'
import { expectText, textSeenAt } from './text_watch_fixture.ts'

const reason = noChromiumReason()
// The page looks at its clock once a second; the rest is for a machine that does much else.
const notLiveMsMax = liveFreshMsMax + 1_000 + 2_000

// What a broken way sounds like in a browser: what a page reads over and over, its socket, and nothing else.
const read = String.raw`http://127\.0\.0\.1:\d+/(?:functions/v1/live\?\S+|rest/v1/rpc/(?:overview|series|errors|gaps|traces|open_alerts))`
const lost = 'net::ERR_(?:CONNECTION_RESET|CONNECTION_CLOSED|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED)'
const unreached = [
  new RegExp(`^${lost} ${read}$`),
  new RegExp(String.raw`^error: Failed to load resource: ${lost} \(${read}\)$`),
  new RegExp(
    String.raw`^error: WebSocket connection to 'ws://127\.0\.0\.1:\d+/realtime/v1/websocket\?\S+' failed: .*${lost}`,
  ),
]
const starting = [
  new RegExp(`^503 ${read}(?:: .*telltale is starting.*)?$`),
  new RegExp(String.raw`^error: Failed to load resource: the server responded with a status of 503 .*\(${read}\)$`),
  /^error: WebSocket connection to \S+ failed: Error during WebSocket handshake: Unexpected response code: 503/,
  // It was killed between taking the connection and answering.
  /^error: WebSocket connection to \S+ failed: Connection closed before receiving a handshake response/,
]

const title = `the page through outages${reason === null ? '' : `, skipped: ${reason}`}`

describe.skipIf(reason !== null)(title, { timeout: 120_000 }, () => {
  let stage: OutageStage
  let overview: Page
  let list: Page
  let pages: readonly Page[]
  let checks: (() => Promise<void>)[]
  const frames: string[] = []

  beforeAll(async () => {
    stage = await openOutageStage()
    await stage.work('at-first')
    overview = await stage.openLive('/', async (page) => writeFrames(page, frames))
    list = await stage.openLive('/traces')
    pages = [overview, list]
    checks = await Promise.all(pages.map(watchDocument))
  })
  afterEach(async () => {
    stage.line.mend()
    expect(stage.takeFaults()).toEqual([])
    for (const check of checks) await check()
  })
  afterAll(() => stage?.close())

  async function expectSoonNotLive(): Promise<void> {
    const ms = await Promise.all(pages.map(msUntilNotLive))
    expect(Math.max(...ms)).toBeLessThan(notLiveMsMax)
  }

  test('a connection that breaks: nothing is called live, and what was missed is there once it is back', async () => {
    const tried = Promise.all(pages.map(failedSnapshot))
    stage.line.cut()
    await expectSoonNotLive()
    await stage.work('at-break')
    await tried
    for (const page of pages) await expectNothingLive(page)
    expect(await list.locator('tt-trace-list').filter({ hasText: 'at-break' }).count()).toBe(0)
    stage.line.mend()
    for (const page of pages) await expectShown(page, 'at-break')
    await expectCounted(stage, overview)
    expect(stage.takeFaults(unreached)).toEqual([])
  })

  test('a connection that holds everything back and tells nobody: after five seconds nothing is called live', async () => {
    stage.line.stall()
    await expectSoonNotLive()
    await stage.work('at-stall')
    for (const page of pages) await expectNothingLive(page)
    stage.line.mend()
    for (const page of pages) await expectShown(page, 'at-stall')
  })

  test('a WebSocket that breaks by itself: another takes its place, and pushes come through it', async () => {
    for (const page of pages) await expectText(page, 'Reconnecting')
    const opened = stage.line.socketsOpened()
    stage.line.cutSockets()
    for (const page of pages) await textSeenAt(page, 'Reconnecting')
    await stage.work('at-cut')
    for (const page of pages) await expectShown(page, 'at-cut')
    expect(stage.line.socketsOpened()).toBeGreaterThanOrEqual(opened + pages.length)
  })

  test("a channel that Realtime closes, because it judges the member's token anew: a new one is made", async () => {
    for (const page of pages) await expectText(page, 'Reconnecting')
    frames.splice(0)
    const payload = { access_token: 'no.good.token' }
    stage.line.say(JSON.stringify([null, '1', 'realtime:telltale:live', 'access_token', payload]))
    for (const page of pages) await textSeenAt(page, 'Reconnecting')
    await stage.work('at-closed')
    for (const page of pages) await expectShown(page, 'at-closed')
    const closed = frames.findIndex((frame) => frame.startsWith('<') && frame.includes('"phx_close"'))
    const joined = frames.findIndex((frame) => frame.startsWith('>') && frame.includes('"phx_join"'))
    expect([closed >= 0, joined > closed], frames.join('\n')).toEqual([true, true])
  })

  test('an access token that has expired: it is renewed, and the page stays live', async () => {
    const before = await sessionOf(list)
    await expectText(list, 'Reconnecting')
    await expireSession(list)
    await expect
      .poll(async () => (await sessionOf(list)).access_token, { timeout: 20_000 })
      .not.toBe(before.access_token)
    await stage.work('at-renewal')
    await expectShown(list, 'at-renewal')
    expect(await list.evaluate(() => Promise.race([window.textWatch.seenAt('Reconnecting'), 'never']))).toBe('never')
  })

  test('a stack that is killed and started again: the session lasts, and the page catches up by what it missed', async () => {
    const tried = Promise.all(pages.map(failedSnapshot))
    await stage.kill()
    await expectSoonNotLive()
    await stage.work('at-death')
    await tried
    for (const page of pages) await expectNothingLive(page)
    await stage.start()
    for (const page of pages) await expectShown(page, 'at-death')
    await expectCounted(stage, overview)
    expect(stage.takeFaults([...unreached, ...starting])).toEqual([])
  })
})

function writeFrames(page: Page, frames: string[]): void {
  page.on('websocket', (socket) => {
    socket.on('framesent', ({ payload }) => frames.push(`> ${payload}`))
    socket.on('framereceived', ({ payload }) => frames.push(`< ${payload}`))
  })
}

/** Until the page has asked for a snapshot in vain. */
async function failedSnapshot(page: Page): Promise<void> {
  await page.waitForEvent('requestfailed', (request) => request.url().includes('/functions/v1/live'))
}
