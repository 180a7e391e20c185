import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { waitMsMax } from './browser_fixture.ts'
import { describeOnStage, stageMsMax, waitUntilLive } from './stage_fixture.ts'

/** What nobody should call a tool, a model, an error or a session, and somebody will. The overview lists the last ones' errors. */
const names = {
  control: 'nul\u0000 bell\u0007 escape\u001b[31m del\u007f next\u0085 line\u2028 end',
  long: 'w'.repeat(5_000),
  emoji: '👩‍👩‍👧‍👦🏳️‍🌈🇳🇴'.repeat(12),
  stacked: `z${'\u0300\u0334\u0489'.repeat(60)}`,
  surrogate: 'half \ud83d of a pair',
  quotes: `"'\`\\%00&lt;&amp;../../etc/passwd?a=b#c`,
  blank: '',
  space: ' \t\n ',
  markup: '<img src=x onerror="window.hacked=1"><tt-hostile></tt-hostile>',
  script: '</bdi></script><script>window.hacked=1</script>',
  template: `\${window.hacked=1}{{window.hacked=1}}javascript:window.hacked=1`,
  embedded: 'a \u202b b \u2066 c \u2067',
  override: '\u202egnp.exe evil',
  rightToLeft: '\u200fשלום עולם\u200f abc \u2067',
} as const
type Name = keyof typeof names

const widths = [1_440, 390] as const
/** What the errors say. Two are far longer than what is kept of them. */
const messages: Readonly<Partial<Record<Name, string>>> = {
  ...names,
  markup: `${names.markup} ${'<b onclick=window.hacked=1>'.repeat(4_000)}`,
  long: 'w'.repeat(100_000),
}

describeOnStage('hostile names and messages', (stage) => {
  let page: Page

  beforeAll(async () => {
    const [server, watched] = await Promise.all([
      stage().startServer({ tools: Object.values(names) }),
      stage().openSignedIn(),
    ])
    page = watched.page
    await waitUntilLive(page)
    for (const name of Object.keys(names) as Name[]) {
      const word = names[name]
      await server.call(word, { label: word, session: word, type: word, message: messages[name] ?? '' })
      await server.call(word, { label: word, session: word })
    }
    await server.call('work', { session: 'last' })
  }, stageMsMax)

  test('the overview shows them as text, harmless, pushed and read', async () => {
    // What came meanwhile was pushed into the open page.
    await isHarmless(page)
    await page.goto('/')
    await page.locator('tt-stats-table').filter({ hasText: 'Models' }).getByRole('row').nth(1).waitFor()
    await pressAll(page, /^Show \d+ more/)
    await says(page, [names.markup, names.script, names.template])
    await isHarmless(page)
  })

  test('the list of traces does', async () => {
    await page.goto('/traces')
    await page.locator('tt-trace-list tbody tr').filter({ hasText: 'last' }).waitFor()
    await says(page, [names.markup, names.script, names.template, names.override.slice(0, 8)])
    await isHarmless(page)
  })

  test('the list of errors does', async () => {
    await page.goto('/errors')
    await page.locator('tt-error-list li').first().waitFor()
    await says(page, [names.markup, names.script, names.template])
    await isHarmless(page)
  })

  for (const name of ['markup', 'script', 'override', 'rightToLeft', 'control', 'long', 'quotes'] as const) {
    test(`the pages of a trace and of an error whose words are ${name} do`, async () => {
      await page.goto('/errors')
      // What comes after the first control character may be shown otherwise.
      const shown = names[name].split(/\p{Cc}/u, 1)[0]?.slice(0, 12) ?? ''
      const type = page.locator('.what bdi').getByText(shown)
      const row = page.locator('tt-error-list li').filter({ has: type })
      await row.first().getByRole('link').first().click()
      await page.locator('tt-error-occurrence').first().waitFor()
      await pressAll(page, 'Show all')
      await says(page, [shown])
      await isHarmless(page)

      await page.locator('tt-error-occurrence').getByRole('link', { name: 'Open trace' }).first().click()
      await page.getByRole('treeitem').last().click()
      await page.locator('tt-span-detail dl').first().waitFor()
      await says(page, [shown])
      await isHarmless(page)
    })
  }
})

async function pressAll(page: Page, name: string | RegExp): Promise<void> {
  const button = page.getByRole('button', { name })
  while ((await button.count()) > 0) await button.first().click()
}

async function says(page: Page, words: readonly string[]): Promise<void> {
  for (const word of words) {
    await expect
      .poll(async () => (await page.evaluate(() => window.probe.text())).includes(word), {
        timeout: waitMsMax,
        message: word,
      })
      .toBe(true)
  }
}

/** Nothing ran, nothing became an element, nothing is wider than the page, and what stands beside it reads as before. */
async function isHarmless(page: Page): Promise<void> {
  for (const width of widths) {
    await page.setViewportSize({ width, height: 844 })
    await expect.poll(() => page.evaluate(() => window.probe.overflow()), { timeout: waitMsMax }).toEqual([])
    const seen = await page.evaluate(() => ({
      ran: 'hacked' in window,
      made: window.probe.find('img, iframe, object, embed, base, b, tt-hostile, script:not([src])').length,
      mirrored: window.probe.mirrored(),
      unpressable: window.probe.unpressable(),
      violations: window.probe.violations,
    }))
    const nothing = { mirrored: [], unpressable: [], violations: [] }
    expect({ width, ...seen }).toEqual({ width, ran: false, made: 0, ...nothing })
  }
}
