import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { waitMsMax } from './browser_fixture.ts'
import { describeOnStage, stageMsMax, waitUntilLive } from './stage_fixture.ts'
import type { TappedServer } from './tapped_server_fixture.ts'

describeOnStage('errors that come back', (stage) => {
  let server: TappedServer
  let page: Page

  beforeAll(async () => {
    const [started, opened] = await Promise.all([stage().startServer(), stage().openSignedIn('/errors')])
    server = started
    page = opened.page
    await waitUntilLive(page)
  }, stageMsMax)

  const lineOf = (type: string) => page.locator('tt-error-list li').filter({ hasText: type })
  const show = (state: string) =>
    page.getByRole('group', { name: 'State of the errors' }).getByRole('button', { name: state, exact: true }).click()

  test('an error that was resolved leaves the list, and is back as a regression when it happens again', async () => {
    await server.call('fail', { type: 'QuotaError', message: 'Cannot ask: the quota is used up' })
    await server.call('fail', { type: 'StreamError', message: 'Cannot read: the stream broke' })
    await lineOf('StreamError').waitFor()
    // A line that only the push told of has no history yet.
    await lineOf('QuotaError').locator('tt-error-spark rect').first().waitFor()
    await lineOf('QuotaError').getByRole('button', { name: 'Resolve QuotaError' }).click()
    await lineOf('QuotaError').waitFor({ state: 'detached' })
    await show('Resolved')
    await lineOf('QuotaError')
      .filter({ hasText: /Resolved by .+@/ })
      .waitFor()
    expect(await lineOf('StreamError').count()).toBe(0)

    await server.call('fail', { type: 'QuotaError', message: 'Cannot ask: the quota is used up' })
    await show('Open')
    await lineOf('QuotaError')
      .filter({ hasText: 'Regressed' })
      .filter({ hasText: /was resolved by/ })
      .waitFor()
    expect(await lineOf('StreamError').count()).toBe(1)
  })

  test('an error that is ignored stays away however often it happens, until somebody reopens it on its page', async () => {
    await show('All')
    await lineOf('StreamError').getByRole('link', { name: 'StreamError' }).click()
    const state = page.locator('tt-group-state')
    await page.locator('tt-group-touched').getByRole('link', { name: 'fail' }).waitFor()
    await state.getByText('Ignore', { exact: true }).click()
    await state.getByRole('button', { name: 'Ignore for a day' }).click()
    await state.filter({ hasText: /Ignored by .+, until/ }).waitFor()

    await page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link', { name: 'Errors' }).click()
    await show('Open')
    await lineOf('QuotaError').waitFor()
    await server.call('fail', { type: 'StreamError', message: 'Cannot read: the stream broke' })
    await server.call('fail', { type: 'LaterError', message: 'Cannot go on' })
    await lineOf('LaterError').waitFor()
    await expect.poll(() => lineOf('StreamError').count(), { timeout: waitMsMax }).toBe(0)

    await show('Ignored')
    await lineOf('StreamError').getByRole('link', { name: 'StreamError' }).click()
    await state.getByRole('button', { name: 'Reopen' }).click()
    await state.filter({ hasText: /Reopened by/ }).waitFor()
    await state.getByText('Resolve in a version').click()
    await state.getByLabel(/older versions/).fill('2.0.0')
    await state.getByRole('button', { name: 'Resolve', exact: true }).last().click()
    await state.filter({ hasText: /Resolved by .+, in 2\.0\.0/ }).waitFor()
  })
})
