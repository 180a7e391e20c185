import { setTimeout as pause } from 'node:timers/promises'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { createSignInLink } from '../../src/cli/open.ts'
import { createDataDir, type RunningStack, startTelltale } from '../stack_fixture.ts'
import { type Expected, openBrowser, openPage, type Watched } from './browser_fixture.ts'
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
  close(): Promise<void>
}

export async function openStage(): Promise<Stage> {
  const closers: (() => unknown)[] = []
  const close = () => closeAll(closers)
  try {
    const { dir, remove } = createDataDir()
    closers.push(remove)
    const stack = await startTelltale(dir)
    closers.push(
      () => stack.killGroup(),
      () => stack.stop('SIGTERM'),
    )
    const browser = await openBrowser()
    closers.push(() => browser.close())
    return stageOf(stack, browser, closers, close)
  } catch (error) {
    await close()
    throw error
  }
}

function stageOf(stack: RunningStack, browser: Browser, closers: (() => unknown)[], close: Stage['close']): Stage {
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
      const server = await startTappedServer(stack.env, options)
      closers.push(() => server.close())
      return server
    },
    keep: (closer) => void closers.push(closer),
    takeFaults: () => faults.flatMap((list) => list.splice(0)),
    close,
  }
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
