import { setTimeout as pause } from 'node:timers/promises'
import type { Browser, Page } from 'playwright-core'
import { expect } from 'vitest'
import { createSignInLink } from '../../src/cli/open.ts'
import { stackClientOf } from '../../src/cli/stack_client.ts'
import { createDataDir, type RunningStack, startTelltale } from '../stack_fixture.ts'
import { openBrowser, openPage, type Watched } from './browser_fixture.ts'
import { type Line, openLine } from './line_fixture.ts'
import { signInByCode, waitUntilLive } from './stage_fixture.ts'
import { startTappedServer, type TappedServer } from './tapped_server_fixture.ts'

const closeMsMax = 8_000
/** What was sent while nobody answered is sent again after as much as 30 s. */
export const catchUpMsMax = 45_000

/** An embedded stack that can die, a tapped server that works all the while, and pages whose way to the stack can break. */
export type OutageStage = {
  /** From the pages to the stack. */
  readonly line: Line
  readonly env: RunningStack['env']
  /** A page that is signed in and says that it is live; what goes wrong in it is kept for `takeFaults`. */
  openLive(path: string, prepare?: (page: Page) => Promise<void>): Promise<Page>
  /** The same of a page that is open. */
  enter(watched: Watched, path: string): Promise<Page>
  /** Two calls that end well and between them one that fails, in a session of this name: at most 12 letters. */
  work(name: string): Promise<void>
  /** How often each tool was called so far. */
  made(): Calls
  /** The same as `telltale.overview` says it of the last hour. */
  counted(): Promise<Calls>
  /** Ends the stack with no chance to tidy up, and what it held in memory with it. */
  kill(): Promise<void>
  /** On the same port and data directory. */
  start(): Promise<void>
  /** What went wrong in any page since this was last asked and is not as expected. */
  takeFaults(expected?: readonly RegExp[]): string[]
  /** Closed before the stage is, the last first. */
  keep(closer: () => unknown): void
  close(): Promise<void>
}

type Calls = { readonly work: number; readonly fail: number }

export async function openOutageStage(env: Record<string, string> = {}): Promise<OutageStage> {
  const closers: (() => unknown)[] = []
  const close = () => closeAll(closers)
  try {
    const { dir, remove } = createDataDir()
    closers.push(remove)
    const stack = await createMortalStack(dir, env)
    closers.push(stack.kill)
    const line = await openLine(stack.running().url)
    closers.push(line.close)
    const browser = await openBrowser()
    closers.push(() => browser.close())
    const server = await startTappedServer(stack.running().env)
    closers.push(() => server.close())
    return stageOf({ stack, line, browser, server, closers, close })
  } catch (error) {
    await close()
    throw error
  }
}

type Parts = Pick<OutageStage, 'line' | 'close'> & {
  readonly stack: Pick<OutageStage, 'kill' | 'start'> & { running(): RunningStack }
  readonly browser: Browser
  readonly server: TappedServer
  readonly closers: (() => unknown)[]
}

function stageOf({ stack, line, browser, server, closers, close }: Parts): OutageStage {
  const faults: string[][] = []
  const calls = { work: 0, fail: 0 }
  const enter: OutageStage['enter'] = async (watched, path) => {
    faults.push(watched.faults)
    const { env } = stack.running()
    await signInByCode(watched.page, (await createSignInLink({ ...env, TELLTALE_URL: line.url })).url)
    if (path !== '/') await watched.page.goto(line.url + path)
    await waitUntilLive(watched.page)
    return watched.page
  }
  return {
    line,
    env: stack.running().env,
    openLive: async (path, prepare) => {
      const watched = await openPage(browser)
      await prepare?.(watched.page)
      return enter(watched, path)
    },
    enter,
    async work(name) {
      const session = { session: name }
      await server.call('work', session)
      await server.call('fail', { ...session, message: `Cannot see this: ${name}` })
      await server.call('work', session)
      calls.work += 2
      calls.fail += 1
    },
    made: () => calls,
    counted: () => countedBy(stack.running()),
    kill: stack.kill,
    start: stack.start,
    takeFaults: (expected = []) =>
      faults.flatMap((list) => list.splice(0)).filter((fault) => !expected.some((words) => words.test(fault))),
    keep: (closer) => void closers.push(closer),
    close,
  }
}

async function createMortalStack(dir: string, env: Record<string, string>): Promise<Parts['stack']> {
  let stack = await startTelltale(dir, { env })
  let alive = true
  return {
    running: () => stack,
    async kill() {
      if (alive) await stack.killGroup()
      alive = false
    },
    async start() {
      stack = await startTelltale(dir, { port: Number(new URL(stack.url).port), env })
      alive = true
    },
  }
}

/** The last first, and each whatever became of the others, also of one that hangs. */
async function closeAll(closers: (() => unknown)[]): Promise<void> {
  const failures: unknown[] = []
  for (const closer of closers.splice(0).reverse()) {
    try {
      await inTime(closer)
    } catch (error) {
      failures.push(error)
    }
  }
  expect(failures).toEqual([])
}

async function inTime(closer: () => unknown): Promise<void> {
  const done = new AbortController()
  const late = pause(closeMsMax, undefined, { signal: done.signal }).then(() => {
    throw new Error(`Cannot close the stage: ${closer} does not end`)
  })
  late.catch(() => undefined)
  await Promise.race([closer(), late]).finally(() => done.abort())
}

async function countedBy({ env }: RunningStack): Promise<Calls> {
  const from = new Date(Date.now() - 3_600_000).toISOString()
  const { tools } = (await stackClientOf(env).rpc('overview', { filter: { from } })) as {
    readonly tools: readonly { readonly key: string; readonly count: number }[]
  }
  const countOf = (tool: string) => tools.find(({ key }) => key === tool)?.count ?? 0
  return { work: countOf('work'), fail: countOf('fail') }
}

/** Waits until the badge does not say live, and answers how long that took, in ms. */
export async function msUntilNotLive(page: Page): Promise<number> {
  const at = Date.now()
  await page.locator('tt-page-header [data-status]:not([data-status="live"])').waitFor()
  return Date.now() - at
}

/** Nothing that stands in the page calls itself live, or of now. */
export async function expectNothingLive(page: Page): Promise<void> {
  const said = (await page.evaluate(() => window.probe.text())).split('\n').map((line) => line.trim())
  expect(said.filter((line) => /\blive\b(?! view degraded)|^last minute/i.test(line))).toEqual([])
  const lists = /^(?:Running now|Layer now|Requests that run now)$/
  expect(said.filter((line) => /(?<!just )\bnow\b/i.test(line) && !lists.test(line))).toEqual([])
  const running = page.locator('tt-running-list')
  if ((await running.count()) > 0) await running.filter({ hasText: 'may be out of date' }).waitFor()
}

/** Until the page has what `work` did under this name, and is live, or degraded. */
export async function expectShown(page: Page, name: string, status: 'live' | 'degraded' = 'live'): Promise<void> {
  const timeout = catchUpMsMax
  await page.locator(`tt-page-header [data-status="${status}"]`).waitFor({ timeout })
  if (new URL(page.url()).pathname === '/traces') {
    const rows = page.locator('tt-trace-list tbody tr').filter({ hasText: name })
    await expect.poll(() => rows.count(), { timeout }).toBe(3)
    expect(await rows.filter({ hasText: 'Tool error' }).count()).toBe(1)
  } else {
    const error = page.locator('tt-recent-errors li').filter({ hasText: `Cannot see this: ${name}` })
    await error.filter({ hasText: 'ToolExecutionError' }).waitFor({ timeout })
  }
}

/** Until the overview has as many calls as were made, which are those that SQL counts. */
export async function expectCounted(stage: OutageStage, page: Page): Promise<void> {
  const countOf = async (tool: string) => {
    const row = page.locator('tt-stats-table tr').filter({ has: page.getByRole('link', { name: tool, exact: true }) })
    return Number(await row.locator('td').first().textContent())
  }
  const shown = async (): Promise<Calls> => ({ work: await countOf('work'), fail: await countOf('fail') })
  await expect.poll(shown, { timeout: catchUpMsMax }).toEqual(stage.made())
  expect(await stage.counted()).toEqual(stage.made())
}

/** Answers a check that the page is the same document still, and asked for no other. */
export async function watchDocument(page: Page): Promise<() => Promise<void>> {
  const asked: string[] = []
  page.on('request', (request) => {
    if (request.isNavigationRequest()) asked.push(request.url())
  })
  await page.evaluate(() => Object.assign(window, { sameDocument: true }))
  return async () => {
    expect(asked).toEqual([])
    expect(await page.evaluate(() => 'sameDocument' in window)).toBe(true)
  }
}

type StoredSession = { readonly access_token: string; readonly expires_at: number }

export async function sessionOf(page: Page): Promise<StoredSession> {
  return JSON.parse(await page.evaluate(() => localStorage.getItem('telltale-session') ?? '{}'))
}

/** To the page, its access token is as old as one can be. */
export async function expireSession(page: Page): Promise<void> {
  const expired = JSON.stringify({ ...(await sessionOf(page)), expires_at: 1 })
  await page.evaluate((session) => localStorage.setItem('telltale-session', session), expired)
}
