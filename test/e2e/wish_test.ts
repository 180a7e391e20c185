import type { Locator, Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { waitMsMax } from './browser_fixture.ts'
import { describeOnStage, signInByCode, signInByForm, stageMsMax, waitUntilLive } from './stage_fixture.ts'
import type { TappedServer } from './tapped_server_fixture.ts'
import { expectText, textSeenAt } from './text_watch_fixture.ts'

const withinMs = 1_000
const failures = [
  ['QuotaError', 'the quota is used up'],
  ['ModelRefusedError', 'it refuses the prompt'],
  ['StreamBrokenError', 'the stream broke off'],
] as const

describeOnStage('the dashboard in Chromium', (stage) => {
  let server: TappedServer
  let overview: Page
  /** A second page, signed in by the form, at the lists. */
  let list: Page

  beforeAll(async () => {
    const [started, first, second] = await Promise.all([
      stage().startServer(),
      stage().openPage(),
      stage().openPage({ viewport: { width: 1280, height: 800 } }),
    ])
    server = started
    overview = first.page
    list = second.page
    await server.call('work', { ms: 20 })
    await signInByCode(overview, await stage().printedAddress())
    await list.goto('/errors')
    await signInByForm(list, stage().stack)
    await Promise.all([waitUntilLive(overview), waitUntilLive(list)])
  }, stageMsMax)

  test('errors are visible: every error on the dashboard with type, message, stack trace, request, within a second', async () => {
    await Promise.all([openByLink(overview, 'Overview'), openByLink(list, 'Errors')])
    const stayed = await Promise.all([overview, list].map(watchReloads))
    const delays: number[] = []
    for (const [type, told] of failures) {
      const message = `Cannot reach the model: ${told}`
      await Promise.all([overview, list].map((page) => expectText(page, message)))
      await server.call('fail', { type, message })
      const thrownAt = await server.thrownAt(message)
      const seenAt = await Promise.all([overview, list].map((page) => textSeenAt(page, message)))
      delays.push(Math.max(...seenAt) - thrownAt)
      for (const row of [overview.locator('tt-recent-errors li'), list.locator('tt-error-list li')]) {
        await isToldWhole(row.filter({ hasText: type }), type, message)
      }
    }
    // A machine that does much else may hold one of them up; it does not hold up all three.
    expect(Math.min(...delays), `the delays were ${delays.join(', ')} ms`).toBeLessThan(withinMs)

    await requestOf(overview.locator('tt-recent-errors li').filter({ hasText: 'QuotaError' })).click()
    await overview.locator('tt-trace-head h1').filter({ hasText: 'fail' }).waitFor()
    const stack = overview.locator('tt-error-occurrence').filter({ hasText: 'QuotaError' }).locator('tt-stack-trace')
    await stack.locator('.own').filter({ hasText: 'failHere' }).waitFor()
    for (const check of stayed) await check()
  })

  test("request flow is visible: each request's path through the layers, live while it runs and as a waterfall after", async () => {
    await openByLink(overview, 'Overview')
    const check = await watchReloads(overview)
    const called = server.call('work', { held: true, session: 'flow' })
    try {
      const row = overview.locator('tt-running-list tbody tr')
      await row.filter({ hasText: 'provider permit' }).filter({ hasText: 'tool' }).waitFor()
      await server.call('release')
      const asking = row.filter({ hasText: 'POST /chat/completions' }).filter({ hasText: 'api' })
      await asking.waitFor()
      const age = await ageOf(asking)
      await expect.poll(() => ageOf(asking), { timeout: waitMsMax }).toBeGreaterThan(age)

      await asking.getByRole('link').click()
      const head = overview.locator('tt-trace-head')
      await head.filter({ hasText: /so far/ }).waitFor()
      await overview.getByRole('treeitem').filter({ hasText: 'POST /chat/completions' }).waitFor()
      await head.filter({ hasText: /in\s+api/ }).waitFor()
      await server.call('release')
      await called
      await head.filter({ hasNotText: /so far/ }).waitFor()
    } finally {
      await server.call('release')
      await server.call('release')
    }
    await isWaterfall(overview)
    await check()
  })

  test('real-time updates: no refresh; the screen follows the daemon', async () => {
    await Promise.all([openByLink(overview, 'Overview'), openByLink(list, 'Traces')])
    const stayed = await Promise.all([overview, list].map(watchReloads))
    const rows = list.locator('tt-trace-list tbody tr')
    await rows.first().waitFor()
    const failedBefore = await countIn(overview.locator('tt-page-header .count'))
    const calls = overview
      .locator('tt-stats-table tr')
      .filter({ has: overview.getByRole('link', { name: 'work', exact: true }) })
    const callsBefore = await countIn(calls.locator('td').first())
    const listedBefore = await rows.count()

    await server.call('work', { ms: 30, session: 'newest' })
    await rows.first().filter({ hasText: 'newest' }).waitFor()
    await server.call('fail', { message: 'Cannot go on: it was told to fail', session: 'failed' })
    await rows.first().filter({ hasText: 'failed' }).filter({ hasText: 'Tool error' }).waitFor()
    await server.call('work', { ms: 30 })

    await expect.poll(() => rows.count(), { timeout: waitMsMax }).toBeGreaterThanOrEqual(listedBefore + 3)
    await expect
      .poll(() => countIn(overview.locator('tt-page-header .count')), { timeout: waitMsMax })
      .toBe(failedBefore + 1)
    await expect.poll(() => countIn(calls.locator('td').first()), { timeout: waitMsMax }).toBe(callsBefore + 2)
    for (const check of stayed) await check()
  })
})

/** A row of a list of errors has all that the wish names: its frame of the server's own code, and a way to its request. */
async function isToldWhole(row: Locator, type: string, message: string): Promise<void> {
  await row.waitFor()
  const text = (await row.textContent()) ?? ''
  expect(text).toContain(type)
  expect(text).toContain(message)
  expect(text).toMatch(/failHere \(.*throwing_server_fixture\.ts/)
  expect(await requestOf(row).getAttribute('href')).toMatch(/^\/traces\/[0-9a-f]{32}/)
}

function requestOf(row: Locator): Locator {
  return row.locator('a[href^="/traces/"]')
}

/** The trace that ended is there as a waterfall: who called whom, self time, and the wait with who held it. */
async function isWaterfall(page: Page): Promise<void> {
  const line = page.getByRole('treeitem')
  await expect.poll(() => line.count(), { timeout: waitMsMax }).toBe(5)
  // The tap and the server stand beside each other in the order of their clocks, which are not one.
  expect((await callsIn(line)).sort()).toEqual([
    'tools/call work',
    'tools/call work > tools/call work',
    'tools/call work > work',
    'work > POST /chat/completions',
    'work > waited for provider permit, held by another call',
  ])
  const wait = line.filter({ hasText: 'provider permit' })
  await line.filter({ hasText: 'POST /chat/completions' }).click()
  const detail = page.locator('tt-span-detail')
  await detail.filter({ hasText: /Self time\s*[\d.]+\s*s/ }).waitFor()
  await wait.click()
  await detail.filter({ hasText: /Held by\s*another call/ }).waitFor()
  for (const layer of ['shim', 'tool', 'api']) {
    await page.locator('tt-trace-layers').getByRole('row').filter({ hasText: layer }).waitFor()
  }
}

/** `caller > called`, by the lines of a waterfall from above. */
async function callsIn(line: Locator): Promise<string[]> {
  const shown = await line.evaluateAll((lines) =>
    lines.map((each) => ({
      level: Number(each.getAttribute('aria-level')),
      name: each.querySelector('bdi')?.textContent?.trim() ?? '',
    })),
  )
  return shown.map(({ level, name }, at) => {
    const caller = shown.slice(0, at).findLast((other) => other.level === level - 1)
    return caller === undefined ? name : `${caller.name} > ${name}`
  })
}

async function openByLink(page: Page, name: string): Promise<void> {
  await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name }).click()
}

/** Answers a check that the page has not been loaded anew since. */
async function watchReloads(page: Page): Promise<() => Promise<void>> {
  const loads: string[] = []
  page.on('request', (request) => {
    if (request.isNavigationRequest()) loads.push(request.url())
  })
  await page.evaluate(() => Object.assign(window, { sameDocument: true }))
  return async () => {
    expect(loads).toEqual([])
    expect(await page.evaluate(() => 'sameDocument' in window)).toBe(true)
  }
}

/** Seconds. */
async function ageOf(row: Locator): Promise<number> {
  return countIn(row.locator('.elapsed'))
}

/** The first number of a text, 0 when there is none. */
async function countIn(place: Locator): Promise<number> {
  const text = (await place.count()) === 0 ? '' : ((await place.first().textContent()) ?? '')
  return Number(/\d+/.exec(text)?.[0] ?? 0)
}
