import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type BrowserContext, type CDPSession, chromium, type Page } from 'playwright-core'
import { chromiumPath } from './browser_fixture.ts'

const closeMsMax = 5_000

/**
 * A Chromium as it stands on a desk: of its tabs the front one is visible, and the others are hidden. Playwright keeps
 * every page of a browser that it starts itself visible.
 */
export type DesktopBrowser = {
  readonly context: BrowserContext
  close(): Promise<void>
}

export async function openDesktopBrowser(): Promise<DesktopBrowser> {
  const path = chromiumPath()
  if (path === null) throw new Error('Cannot start Chromium: none is installed')
  const profile = mkdtempSync(join(tmpdir(), 'telltale-desktop-'))
  const quiet = ['--no-first-run', '--disable-background-networking', '--disable-component-update']
  const own = ['--headless=new', '--no-sandbox', '--disable-gpu', '--window-size=1440,900']
  const args = [...own, ...quiet, '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank']
  const child = spawn(path, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  const address = new Promise<string>((resolve, reject) => {
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
      const found = /DevTools listening on (ws:\S+)/.exec(said)?.[1]
      if (found !== undefined) resolve(found)
    })
    exited.then(() => reject(new Error(`Cannot start Chromium: it ended: ${said}`)), reject)
  })
  const end = async () => {
    child.kill('SIGKILL')
    await exited
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    const browser = await chromium.connectOverCDP(await address, { noDefaults: true })
    const [context] = browser.contexts()
    if (context === undefined) throw new Error('Cannot use Chromium: it has no profile')
    return {
      context,
      async close() {
        // Asked to, it ends its helpers too.
        const session = await browser.newBrowserCDPSession()
        const asked = session.send('Browser.close').catch(() => undefined)
        await Promise.race([Promise.all([asked, exited]), pause(closeMsMax, undefined, { ref: false })])
        await end()
      },
    }
  } catch (error) {
    await end()
    throw error
  }
}

/** Stops all that the page does by itself, as Chromium does to tabs that nobody looks at; the answer lets it go on. */
export async function freeze(page: Page): Promise<() => Promise<void>> {
  const session: CDPSession = await page.context().newCDPSession(page)
  await session.send('Page.setWebLifecycleState', { state: 'frozen' })
  return async () => {
    await session.send('Page.setWebLifecycleState', { state: 'active' })
    await session.detach()
  }
}
