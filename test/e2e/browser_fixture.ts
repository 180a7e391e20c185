import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { probePage } from './page_probe_fixture.ts'
import { watchTexts } from './text_watch_fixture.ts'

/** How long a page may need for anything on a machine that does much else. */
export const waitMsMax = 20_000

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** TELLTALE_CHROMIUM, or the first Chromium on the path. */
export function chromiumPath(): string | null {
  const named = process.env.TELLTALE_CHROMIUM
  if (named) return named
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders.flatMap((folder) => names.map((name) => join(folder, name))).find(existsSync) ?? null
}

/** Why no browser can be started here; null when one can, or must. */
export function noChromiumReason(): string | null {
  const required = (process.env.TELLTALE_REQUIRE ?? '').split(',').includes('chromium')
  return required || chromiumPath() !== null ? null : 'no Chromium is installed'
}

export async function openBrowser(): Promise<Browser> {
  const executablePath = chromiumPath()
  if (executablePath === null) throw new Error('Cannot start Chromium: none is installed')
  return chromium.launch({
    executablePath,
    // It has no sandbox to give to root, and has nothing to say to anybody but us.
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update'],
  })
}

export type Watched = {
  readonly page: Page
  /** What an operator would be embarrassed by: console errors, exceptions, answers of 400 or more, lost requests. */
  readonly faults: string[]
}

export type Expected = {
  /** Addresses whose failures are part of the test. */
  readonly failing?: RegExp
  /** Words of console errors that are. */
  readonly saying?: RegExp
}

/** A page that keeps a list of everything that went wrong in it. */
export async function openPage(
  browser: Browser,
  options: BrowserContextOptions = {},
  expected: Expected = {},
): Promise<Watched> {
  return openPageIn(await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options }), expected)
}

/** The same, in a context that is there already. */
export async function openPageIn(context: BrowserContext, expected: Expected = {}): Promise<Watched> {
  context.setDefaultTimeout(waitMsMax)
  const page = await context.newPage()
  await watchTexts(page)
  await probePage(page)
  const faults: string[] = []
  const isExpected = (address: string) => expected.failing?.test(address) === true
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return
    const text = `${message.type()}: ${message.text()} (${message.location().url})`
    if (!isExpected(message.location().url) && expected.saying?.test(text) !== true) faults.push(text)
  })
  page.on('pageerror', (error) => faults.push(`exception: ${error.stack ?? error.message}`))
  page.on('response', (answer) => {
    if (answer.status() < 400 || isExpected(answer.url())) return
    const at = faults.push(`${answer.status()} ${answer.url()}`) - 1
    const note = (body: string) => {
      if (faults[at] !== undefined) faults[at] += `: ${body.slice(0, 300)}`
    }
    answer.text().then(note, () => undefined)
  })
  page.on('requestfailed', (request) => {
    const why = request.failure()?.errorText ?? ''
    // A page that is left, or a newer question, gives up the older one.
    if (why !== 'net::ERR_ABORTED' && !isExpected(request.url())) faults.push(`${why} ${request.url()}`)
  })
  return { page, faults }
}
