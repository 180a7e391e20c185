import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { stackClientOf } from '../../src/cli/stack_client.ts'
import { startDemo } from '../../src/demo/run_demo.ts'
import { waitMsMax } from './browser_fixture.ts'
import { describeOnStage, stageMsMax, waitUntilLive } from './stage_fixture.ts'

const sizes = [
  { width: 1_440, height: 900 },
  { width: 390, height: 844 },
] as const
const colours = ['light', 'dark'] as const
const readyMs = 5_000

describeOnStage('every page looks right', (stage) => {
  let page: Page

  beforeAll(async () => {
    // The demo's own failures are told of, so that there is an alert to look at.
    const client = stackClientOf(stage().stack.env)
    await client.rpc('set_rule', { rule: { rule_id: 'new_error', filter: {} } })
    await client.rpc('add_destination', { wanted: { name: 'pager', kind: 'slack', url: 'https://127.0.0.1/' } })
    const demo = startDemo({ env: { ...stage().stack.env, TELLTALE_DEMO_PACE: '0.3' }, log: () => undefined })
    stage().keep(() => demo.stop())
    page = (await stage().openSignedIn('/')).page
    await waitUntilLive(page)
    // The third call of a conversation, which waits, and a first failure have been played by then.
    await page
      .locator('tt-recent-errors li')
      .first()
      .waitFor({ timeout: 3 * waitMsMax })
    await page.goto('/traces?call_number=3')
    // As many as a verdict needs.
    await page
      .locator('tt-trace-list tbody tr')
      .filter({ hasText: 'OK' })
      .nth(9)
      .waitFor({ timeout: 3 * waitMsMax })
    // What stands still can be held against itself.
    await demo.stop()
  }, stageMsMax)

  test('the form to sign in', async () => {
    const { page: signedOut } = await stage().openPage()
    await signedOut.goto('/traces')
    await signedOut.locator('tt-sign-in').waitFor()
    await looksRight(signedOut)
  })
  test('the overview', async () => {
    await page.goto('/')
    await page.locator('tt-line-chart canvas').first().waitFor()
    await looksRight(page)
  })
  test('the list of traces', async () => {
    await page.goto('/traces')
    await page.locator('tt-trace-list tbody tr').first().waitFor()
    await looksRight(page)
  })
  test('a trace that waited', async () => {
    await page.goto('/traces?call_number=3&service=exai-shim')
    await page.locator('tt-trace-list tbody tr a.open').first().click()
    await page.getByRole('treeitem').filter({ hasText: 'held by' }).first().click()
    await looksRight(page)
  })
  test('the session lens', async () => {
    await page.goto('/sessions')
    await page.locator('tt-heat-table tbody tr').first().waitFor()
    await page.locator('tt-session-list tbody tr').first().waitFor()
    await page.locator('tt-call-table summary').first().click()
    await looksRight(page)
  })
  test('a session', async () => {
    await page.goto('/sessions')
    await page.locator('tt-session-list tbody td:first-child a').first().click()
    await page.locator('tt-session-page tbody tr').first().waitFor()
    await looksRight(page)
  })
  test('where time goes, with a region chosen by the keys, and the calls in it', async () => {
    await page.goto('/where')
    await page.locator('tt-time-tree [role="treeitem"]').first().waitFor()
    await page.locator('tt-holder-table tbody tr').first().waitFor()
    await page.locator('tt-heat-grid .plot').focus()
    for (const key of ['ArrowLeft', 'Shift+ArrowLeft', 'Shift+ArrowUp', 'Shift+ArrowUp']) await page.keyboard.press(key)
    await page.getByRole('link', { name: 'Look at it alone' }).waitFor()
    await looksRight(page)
    await page.keyboard.press('Escape')
    await page.getByLabel('Heatmap of').selectOption('Layers by tool')
    await page.locator('tt-where-page tt-heat-table tbody tr').first().waitFor()
    await looksRight(page)
  })
  test('why calls are slow, with the sentence and the way to the calls that show it', async () => {
    await page.goto('/?call_number=3')
    const panel = page.locator('tt-why-panel')
    await panel.getByRole('button', { name: 'Find out' }).click()
    await panel.locator('.verdict').filter({ hasText: 'wait for permit session_sem, held by chat' }).waitFor()
    await looksRight(page)
    await panel.locator('li a.mono').first().click()
    await page.getByRole('treeitem').filter({ hasText: 'held by' }).first().waitFor()
  })
  test('why the calls of a region are slow, or that nothing sets them apart', async () => {
    await page.goto('/where')
    await page.locator('tt-heat-grid .plot').focus()
    for (const key of ['ArrowLeft', 'Shift+ArrowLeft', 'Shift+ArrowUp', 'Shift+ArrowUp']) await page.keyboard.press(key)
    const panel = page.locator('tt-why-panel')
    await panel.getByRole('button', { name: 'Find out' }).click()
    await panel.locator('.verdict').waitFor()
    await looksRight(page)
    await page.getByRole('button', { name: 'Let it go' }).click()
    await panel.waitFor({ state: 'detached' })
  })
  test('the list of errors', async () => {
    await page.goto('/errors')
    await page.locator('tt-error-list li').first().waitFor()
    await looksRight(page)
  })
  test('an error', async () => {
    await page.goto('/errors')
    await page.locator('tt-error-list li a').first().click()
    await page.locator('tt-error-occurrence').first().waitFor()
    await looksRight(page)
  })
  test('the alerts', async () => {
    await page.goto('/alerts')
    await page
      .locator('tt-alert-list details')
      .first()
      .waitFor({ timeout: 3 * waitMsMax })
    await page
      .locator('tt-alert-list .told')
      .first()
      .waitFor({ timeout: 3 * waitMsMax })
    await looksRight(page)
  })
})

/** By both sizes and colours: whole within 5 s, no wider than the window, nothing over anything, for every eye and hand. */
async function looksRight(page: Page): Promise<void> {
  for (const size of sizes) {
    await page.setViewportSize(size)
    // Only there does the head of the page lie over nothing.
    await page.evaluate(() => window.probe.rest())
    await expect.poll(() => unfinishedIn(page), { timeout: readyMs }).toEqual([])
    // A chart takes its new width a moment after the window has it.
    await expect.poll(() => page.evaluate(() => window.probe.overflow()), { timeout: readyMs }).toEqual([])
    expect(await page.evaluate(() => window.probe.overlaps()), `overlaps at ${size.width}`).toEqual([])
    for (const colorScheme of colours) {
      await page.emulateMedia({ colorScheme })
      if (process.env.TELLTALE_SHOTS) {
        const name = `${new URL(page.url()).pathname.replaceAll('/', '_')}_${size.width}_${colorScheme}.png`
        await page.screenshot({ path: `${process.env.TELLTALE_SHOTS}/${name}`, fullPage: true })
      }
      // Of what is looked for, only contrast depends on the colours.
      const rules = colorScheme === 'light' ? null : ['color-contrast']
      expect(await violationsIn(page, rules), `${colorScheme} at ${size.width}`).toEqual([])
    }
    await reachesAll(page)
  }
}

/** What still says that it is being read. */
async function unfinishedIn(page: Page): Promise<string[]> {
  return page.evaluate(() => [
    ...window.probe
      .find('.sketch, [aria-busy="true"], [role="progressbar"]')
      .map((element) => element.outerHTML.slice(0, 80)),
    ...(window.probe.text().match(/\b(?:Loading|Opening|Reading|Waiting for)\b.*/g) ?? []),
  ])
}

async function violationsIn(page: Page, rules: string[] | null): Promise<string[]> {
  const axe = new AxeBuilder({ page }).setLegacyMode()
  const { violations } = await (rules === null ? axe : axe.withRules(rules)).analyze()
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.slice(0, 5).map((node) => `${id}: ${node.target.join(' ')}: ${node.failureSummary ?? ''}`),
    )
}

/** Tab alone comes by every link, button and field. */
async function reachesAll(page: Page): Promise<void> {
  await page.evaluate(() => window.probe.rest())
  const left = () => page.evaluate(() => window.probe.unfocused())
  const total = (await left()).length
  for (let press = 0; press < 2 * total + 20; press += 1) {
    await page.keyboard.press('Tab')
    if (press % 20 === 19 && (await left()).length === 0) break
  }
  expect(await left(), `not reached by Tab of ${total}`).toEqual([])
}
