// How smooth the overview stays while a thousand requests a second come in: the times between its frames, tasks that
// block it, and what it keeps in memory; beside the same page over a stack that is idle, in one run. The stack, the load
// and the browser each have processes of their own on this machine. Usage: node bench/page_frames.ts [seconds]
import { loadavg } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import type { CDPSession, Page } from 'playwright-core'
import { openBrowser, openPage } from '../test/e2e/browser_fixture.ts'
import { createDataDir, startTelltale } from '../test/stack_fixture.ts'
import { type LoadChild, openChild, quantileOf } from './load_child.ts'
import type { LoadTaken } from './load_daemons.ts'

const seconds = Number(process.argv[2] ?? 20)
const settleMs = 5_000
const load = { daemons: 1, paceMs: 250, callsPerBatch: 250 }
const isQuiet = { daemons: 0 }

type Frames = {
  /** Between two frames in succession, ms. */
  readonly gaps: readonly number[]
  /** Tasks over 50 ms, ms each. */
  readonly longTasks: readonly number[]
}

const dataDir = createDataDir()
const stack = await startTelltale(dataDir.dir)
const daemons = openChild('load_daemons.ts', stack.env)
const browser = await openBrowser()
try {
  const { page } = await openPage(browser)
  // Some calls first, so that idle and busy show the same page.
  await daemons.ask({ ...load, callsPerBatch: 5 })
  await pause(1_000)
  await daemons.ask(isQuiet)
  await page.goto(/open (\S+#code=\S+)/.exec(stack.printed())?.[1] ?? stack.url)
  await page.locator('tt-page-header [data-status="live"]').waitFor()
  const devtools = await page.context().newCDPSession(page)
  await pause(settleMs)

  console.log(`load before: ${loadavg()[0]?.toFixed(1)} (below 3 is quiet); overview, ${seconds} s each`)
  console.log('       | calls/s | frames/s | gap p50     p95   worst | tasks over 50 ms | heap kept')
  await row('idle', page, devtools, daemons)
  await daemons.ask(load)
  await pause(settleMs)
  await row('busy', page, devtools, daemons)
} finally {
  await daemons.close()
  await browser.close()
  await stack.stop('SIGTERM')
  dataDir.remove()
}

async function row(name: string, page: Page, devtools: CDPSession, source: LoadChild): Promise<void> {
  await source.ask({})
  const heapBefore = await heapKept(devtools)
  const { gaps, longTasks } = await framesOf(page)
  const { calls } = await source.ask<LoadTaken>({})
  const grown = (await heapKept(devtools)) - heapBefore
  const rate = (gaps.length * 1_000) / gaps.reduce((sum, gap) => sum + gap, 0)
  const gap = (q: number) => `${quantileOf(gaps, q).toFixed(1)}`.padStart(7)
  const blocked = longTasks.reduce((sum, ms) => sum + ms, 0)
  console.log(
    `${name.padEnd(6)} | ${(calls / seconds).toFixed(0).padStart(7)} | ${rate.toFixed(1).padStart(8)} | ${gap(0.5)} ${gap(0.95)} ${gap(1)} | ${String(longTasks.length).padStart(4)}, ${blocked.toFixed(0).padStart(5)} ms | ${(grown / 1_024 / 1_024).toFixed(2).padStart(5)} MiB more`,
  )
}

/** In the page: notes every frame and every long task for so many seconds. */
function framesOf(page: Page): Promise<Frames> {
  return page.evaluate(async (ms) => {
    const gaps: number[] = []
    const longTasks: number[] = []
    const observer = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) longTasks.push(duration)
    })
    observer.observe({ type: 'longtask' })
    const end = performance.now() + ms
    let last = await new Promise<number>(requestAnimationFrame)
    while (last < end) {
      const at = await new Promise<number>(requestAnimationFrame)
      gaps.push(at - last)
      last = at
    }
    observer.disconnect()
    return { gaps, longTasks }
  }, seconds * 1_000)
}

/** Bytes of the JavaScript heap that are still referred to. */
async function heapKept(devtools: CDPSession): Promise<number> {
  await devtools.send('HeapProfiler.collectGarbage')
  const { usedSize } = await devtools.send('Runtime.getHeapUsage')
  return usedSize
}
