import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { stackClientOf } from '../../src/cli/stack_client.ts'
import { waitMsMax } from './browser_fixture.ts'
import { describeOnStage, stageMsMax, waitUntilLive } from './stage_fixture.ts'
import type { TappedServer } from './tapped_server_fixture.ts'

describeOnStage('alerts in the browser', (stage) => {
  let server: TappedServer
  let page: Page

  beforeAll(async () => {
    const [started, opened] = await Promise.all([stage().startServer(), stage().openSignedIn('/')])
    server = started
    page = opened.page
    await server.call('work', { ms: 10 })
    await waitUntilLive(page)
  }, stageMsMax)

  test('what fires shows up on an open page by itself, can be acknowledged by the keyboard, and is silenced', async () => {
    const loads: string[] = []
    page.on('request', (request) => {
      if (request.isNavigationRequest()) loads.push(request.url())
    })
    const badge = page.locator('tt-page-header nav a[href^="/alerts"] .count')
    expect(await badge.count()).toBe(0)
    await server.call('fail', { type: 'QuotaError', message: 'the quota is used up' })
    const banner = page.locator('tt-alert-banner a').filter({ hasText: 'the quota is used up' })
    await banner.waitFor({ timeout: 3 * waitMsMax })
    expect(await badge.first().textContent()).toMatch(/^[12] /)

    await banner.click()
    // The tap and the server, which are two services, have each seen it.
    const lines = page.locator('tt-alert-list li').filter({ hasText: 'the quota is used up' })
    await lines.first().filter({ hasText: 'A new error, or one that came back' }).waitFor()
    expect(await lines.first().getByRole('link', { name: 'The error' }).getAttribute('href')).toMatch(/^\/errors\/v1/)
    const acknowledge = lines.getByRole('button', { name: /^Acknowledge/ })
    await expect
      .poll(
        async () => {
          if ((await acknowledge.count()) === 0) return 0
          await acknowledge.first().focus()
          await page.keyboard.press('Enter')
          return acknowledge.count()
        },
        { timeout: 3 * waitMsMax, interval: 1_000 },
      )
      .toBe(0)
    const line = lines.filter({ hasText: 'Acknowledged' }).first()
    await line.locator('summary').click()
    await line.filter({ hasText: `by ${stage().stack.env.TELLTALE_VIEWER_EMAIL}` }).waitFor()
    // The header hears of it by the next push.
    await expect.poll(() => badge.count(), { timeout: 3 * waitMsMax }).toBe(0)

    await line.getByRole('button', { name: /^Silence/ }).click()
    const silenced = page.locator('tt-alert-list section').filter({ hasText: 'Silenced' })
    await silenced.getByText(/new_error of .* until /).waitFor()
    await silenced.getByRole('button', { name: /^End/ }).click()
    await silenced.waitFor({ state: 'detached' })
    expect(loads).toEqual([])
  })

  test('the log of what was told to whom is there to be read, without what opens a destination', async () => {
    const client = stackClientOf(stage().stack.env)
    const wanted = { name: 'pager', kind: 'slack', url: 'https://127.0.0.1/services/verysecretpath' }
    await page.goto('/alerts')
    await client.rpc('add_destination', { wanted })
    await client.rpc('test_destination', { name: 'pager' })
    await expect
      .poll(
        async () => {
          await page.reload()
          await page.locator('tt-alert-list').waitFor()
          return page.locator('tt-alert-list .told').allTextContents()
        },
        { timeout: 3 * waitMsMax, interval: 1_000 },
      )
      .toEqual([
        expect.stringMatching(/pager \(slack\), test: .*Given up after 1\s+attempt: Refused: its address is private/s),
      ])
    expect(await page.content()).not.toContain('verysecretpath')
  })
})
