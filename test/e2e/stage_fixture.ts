import { setTimeout as pause } from 'node:timers/promises'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest'
import { createSignInLink } from '../../src/cli/open.ts'
import { createDataDir, type RunningStack, startTelltale } from '../stack_fixture.ts'
import { type Expected, noChromiumReason, openBrowser, openPage, type Watched } from './browser_fixture.ts'
import { startTappedServer, type TappedServer } from './tapped_server_fixture.ts'

/** Everything between a throwing server and the eye: the embedded stack, servers behind taps, a browser with pages. */
export type Stage = {
  readonly stack: RunningStack
  readonly browser: Browser
  /** The address that `telltale start` printed, which signs in once. */
  printedAddress(): Promise<string>
  openPage(options?: BrowserContextOptions, expected?: Expected): Promise<Watched>
  /** A page that a new sign-in address has signed in, then sent to `path`. */
  openSignedIn(path?: string, options?: BrowserContextOptions, expected?: Expected): Promise<Watched>
  startServer(options?: Parameters<typeof startTappedServer>[1]): Promise<TappedServer>
  /** Closed before the stack is, the last first. */
  keep(close: () => unknown): void
  /** What went wrong in any page since this was last asked. */
  takeFaults(): string[]
}

/** For all that comes before the tests, on a machine that does much else. */
export const stageMsMax = 150_000
const testMsMax = 120_000
const stopMsMax = 15_000

/**
 * Tests with a stage of their own, skipped where there is no Chromium. Whatever goes wrong in a page that it opened fails
 * the test, and in the end everything is closed.
 */
export function describeOnStage(name: string, body: (stage: () => Stage) => void): void {
  const reason = noChromiumReason()
  const title = reason === null ? name : `${name}, skipped: ${reason}`
  describe.skipIf(reason !== null)(title, { timeout: testMsMax }, () => {
    let opening: Opening | undefined
    let stage: Stage | undefined
    const opened = () => {
      if (stage === undefined) throw new Error('Cannot use the stage: it is not open')
      return stage
    }
    beforeAll(async () => {
      opening = openStage()
      stage = await opening.ready
    }, stageMsMax)
    afterEach(() => expect(stage?.takeFaults()).toEqual([]))
    afterAll(() => opening?.close(), stageMsMax)
    body(opened)
  })
}

/** What is opened is closed even where its opening was not awaited to its end. */
function openStage(): Opening {
  const closers: (() => unknown)[] = []
  const ready = openAll(closers)
  ready.catch(() => undefined)
  return {
    ready,
    async close() {
      await ready.catch(() => undefined)
      await closeAll(closers)
    },
  }
}

/** A stage that opens: `close` is good at any time. */
type Opening = { readonly ready: Promise<Stage>; close(): Promise<void> }

async function openAll(closers: (() => unknown)[]): Promise<Stage> {
  const { dir, remove } = createDataDir()
  closers.push(remove)
  const stack = await startTelltale(dir)
  closers.push(() => stopWithin(stack, stopMsMax))
  const browser = await openBrowser()
  closers.push(() => browser.close())
  return stageOf(stack, browser, closers)
}

function stageOf(stack: RunningStack, browser: Browser, closers: (() => unknown)[]): Stage {
  const faults: string[][] = []
  const open: Stage['openPage'] = async (options = {}, expected = {}) => {
    const watched = await openPage(browser, { baseURL: stack.url, ...options }, expected)
    faults.push(watched.faults)
    return watched
  }
  return {
    stack,
    browser,
    async printedAddress() {
      for (;;) {
        const address = /open (\S+#code=\S+)/.exec(stack.printed())?.[1]
        if (address !== undefined) return address
        await pause(20)
      }
    },
    openPage: open,
    async openSignedIn(path = '/', options, expected) {
      const watched = await open(options, expected)
      await signInByCode(watched.page, (await createSignInLink(stack.env)).url)
      if (path !== '/') await watched.page.goto(path)
      return watched
    },
    async startServer(options) {
      const starting = startTappedServer(stack.env, options)
      closers.push(() => starting.then((server) => server.close()))
      return starting
    },
    keep: (closer) => void closers.push(closer),
    takeFaults: () => faults.flatMap((list) => list.splice(0)),
  }
}

/** As an operator stops it; what does not end by that is killed, and is a failure. */
async function stopWithin(stack: RunningStack, ms: number): Promise<void> {
  let late = false
  const timer = setTimeout(() => {
    late = true
    void stack.killGroup()
  }, ms)
  await stack.stop('SIGTERM')
  clearTimeout(timer)
  if (late) throw new Error(`Cannot stop the stack: it still ran ${ms} ms after SIGTERM`)
}

export async function signInByCode(page: Page, address: string): Promise<void> {
  await page.goto(address)
  await page.locator('tt-page-header').waitFor()
}

export async function signInByForm(page: Page, { env }: RunningStack): Promise<void> {
  await page.getByLabel('Email').fill(env.TELLTALE_VIEWER_EMAIL ?? '')
  await page.getByLabel('Password').fill(env.TELLTALE_VIEWER_PASSWORD ?? '')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.locator('tt-page-header').waitFor()
}

/** The badge says `live`: from here on whatever is pushed is seen. */
export async function waitUntilLive(page: Page): Promise<void> {
  await page.locator('tt-page-header [data-status="live"]').waitFor()
}

/** The last first, and each whatever became of the others. */
async function closeAll(closers: (() => unknown)[]): Promise<void> {
  const errors: unknown[] = []
  for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) {
    try {
      await closer()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, `Cannot close the stage: ${errors.map(String).join('; ')}`)
}
