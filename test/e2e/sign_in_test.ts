import { createClient } from '@supabase/supabase-js'
import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { createSignInLink } from '../../src/cli/open.ts'
import { liveBatch, postBatch } from '../stack_fixture.ts'
import { waitMsMax } from './browser_fixture.ts'
import { describeOnStage, signInByCode, signInByForm, stageMsMax, waitUntilLive } from './stage_fixture.ts'

const form = 'tt-sign-in'

describeOnStage('signing in', (stage) => {
  let traceId: string

  beforeAll(async () => {
    const batch = liveBatch()
    traceId = batch.traceId
    expect((await postBatch(stage().stack.env, batch))?.status).toBe(200)
  }, stageMsMax)

  test('the printed address signs in once, leaves no code behind, and says what to do when it is used again', async () => {
    const address = await stage().printedAddress()
    const { page } = await stage().openPage()
    await page.goto('/errors')
    await page.locator(form).waitFor()
    await signInByCode(page, address)
    expect(page.url()).toBe(`${stage().stack.url}/`)
    expect(await page.evaluate(() => location.hash)).toBe('')
    const history = await (await page.context().newCDPSession(page)).send('Page.getNavigationHistory')
    expect(history.entries.map(({ url }) => url).filter((url) => url.includes('code'))).toEqual([])

    const second = await stage().openPage({}, { failing: /\/auth\/v1\/verify/ })
    await second.page.goto(address)
    await second.page
      .getByRole('alert')
      .filter({ hasText: 'was used before' })
      .filter({ hasText: 'telltale open' })
      .waitFor()
    expect(second.page.url()).toBe(`${stage().stack.url}/`)
  })

  test('an address that is pasted into an open page signs in there, or, used before, takes nothing from who is signed in', async () => {
    const { page } = await stage().openPage({}, { failing: /\/auth\/v1\/verify/ })
    await page.goto('/')
    await page.locator(form).waitFor()
    const { url } = await createSignInLink(stage().stack.env)
    for (const tab of [page, page]) {
      await tab.evaluate((address) => location.assign(address), url)
      await tab.waitForURL(`${stage().stack.url}/`)
      await tab.locator('tt-page-header').waitFor()
    }
  })

  test('a wrong password is told as such, and the right one signs in after it', async () => {
    const { page } = await stage().openPage({}, { failing: /\/auth\/v1\/token/ })
    await page.goto('/')
    await page.getByLabel('Email').fill(stage().stack.env.TELLTALE_VIEWER_EMAIL ?? '')
    await page.getByLabel('Password').fill('not the password')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').filter({ hasText: 'do not match' }).waitFor()
    await signInByForm(page, stage().stack)
    expect(await page.getByRole('alert').count()).toBe(0)
  })

  test('signing out ends the session here and shows the form', async () => {
    const { page } = await stage().openSignedIn('/errors')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.locator(form).waitFor()
    await expect.poll(() => page.evaluate(() => localStorage.getItem('telltale-session'))).toBe(null)
    await page.reload()
    await page.locator(form).waitFor()
    expect(await page.locator('tt-page-header').count()).toBe(0)
  })

  test('a session that is ended on the server leads to the form, and from there back to the same place', async () => {
    // Who asks for the trace just then is told the same.
    const { page } = await stage().openPage({}, { failing: /\/auth\/v1\/token|\/rpc\/trace/ })
    await page.clock.install()
    await signInByCode(page, (await createSignInLink(stage().stack.env)).url)
    const place = `/traces/${traceId}?range=24h`
    await page.goto(place)
    await page.locator('tt-waterfall').waitFor()
    await waitUntilLive(page)

    await endSession(stage().stack.env, await accessTokenOf(page))
    // The token itself is good for an hour: the machine sleeps that long, and nobody may renew it then.
    await page.clock.fastForward('02:00:00')
    await page.getByRole('alert').filter({ hasText: 'session has ended' }).waitFor()
    expect(new URL(page.url()).pathname).toBe(`/traces/${traceId}`)
    await page.clock.setSystemTime(new Date())
    await signInByForm(page, stage().stack)
    await page.locator('tt-waterfall').waitFor()
    expect(page.url()).toBe(stage().stack.url + place)
  })

  test('an address of a trace that is opened while signed out is there after signing in', async () => {
    const { page } = await stage().openPage()
    await page.goto(`/traces/${traceId}`)
    await page.locator(form).waitFor()
    await signInByForm(page, stage().stack)
    await page.locator('tt-waterfall').waitFor()
    expect(page.url()).toBe(`${stage().stack.url}/traces/${traceId}`)
    expect(await page.title()).toContain(traceId.slice(0, 8))
  })

  test('the page is light or dark as the system is, until somebody chooses, and that is remembered', async () => {
    const { page } = await stage().openSignedIn('/', { colorScheme: 'dark' })
    const dark = await brightnessOf(page)
    await page.emulateMedia({ colorScheme: 'light' })
    const light = await brightnessOf(page)
    expect(dark).toBeLessThan(60)
    expect(light).toBeGreaterThan(200)

    const toggle = page.getByRole('button', { name: /^Theme: / })
    await choose(page, 'Dark')
    expect(await brightnessOf(page)).toBe(dark)
    await page.reload()
    await toggle.filter({ hasText: 'Dark' }).waitFor()
    expect(await brightnessOf(page)).toBe(dark)
    await choose(page, 'Light')
    await page.emulateMedia({ colorScheme: 'dark' })
    expect(await brightnessOf(page)).toBe(light)
    await choose(page, 'Auto')
    expect(await brightnessOf(page)).toBe(dark)
  })
})

async function accessTokenOf(page: Page): Promise<string> {
  const kept = await page.evaluate(() => localStorage.getItem('telltale-session'))
  return (JSON.parse(kept ?? '{}') as { access_token?: string }).access_token ?? ''
}

async function endSession(env: Readonly<Record<string, string>>, token: string): Promise<void> {
  const { auth } = createClient(env.SUPABASE_URL ?? '', env.SUPABASE_SECRET_KEY ?? '', {
    auth: { persistSession: false, autoRefreshToken: false },
  })
  const { error } = await auth.admin.signOut(token, 'global')
  if (error !== null) throw error
}

/** Turns the toggle until it says so. */
async function choose(page: Page, name: 'Auto' | 'Light' | 'Dark'): Promise<void> {
  const toggle = page.getByRole('button', { name: /^Theme: / })
  for (let turn = 0; turn < 3 && !(await toggle.textContent())?.includes(name); turn += 1) await toggle.click()
  await toggle.filter({ hasText: name }).waitFor({ timeout: waitMsMax })
}

/** 0 black to 255 white, of the page behind everything. */
async function brightnessOf(page: Page): Promise<number> {
  const colour = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
  const [red = 0, green = 0, blue = 0] = (colour.match(/\d+/g) ?? []).map(Number)
  return (red + green + blue) / 3
}
