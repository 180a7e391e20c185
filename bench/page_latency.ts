// From `throw` inside a server's process to the text on the screen: a real server behind the tap, the embedded stack, and a
// real browser, each in processes of their own on this machine, so that all clocks are one.
import { setTimeout as pause } from 'node:timers/promises'
import { openBrowser, openPage } from '../test/e2e/browser_fixture.ts'
import { startTappedServer } from '../test/e2e/tapped_server_fixture.ts'
import { createDataDir, startTelltale } from '../test/stack_fixture.ts'

const errorCount = Number(process.env.BENCH_ERRORS ?? 200)
const aimMs = { p50: 100, p99: 300 }

/** Notes when each text first stands in the page, shadow roots included. Runs in the browser before anything else. */
function noteTexts(): void {
  const seen = new Map<string, number>()
  Object.assign(globalThis, { seenTexts: seen })
  const read = (text: string | null) => {
    for (const [found] of text?.matchAll(/bench error \d+/g) ?? []) if (!seen.has(found)) seen.set(found, Date.now())
  }
  const watch = (root: Node) =>
    new MutationObserver((changes) => {
      for (const { target, addedNodes } of changes) {
        read(target.nodeType === Node.TEXT_NODE ? target.textContent : null)
        for (const node of addedNodes) read(node.textContent)
      }
    }).observe(root, { childList: true, subtree: true, characterData: true })
  watch(document)
  const attach = Element.prototype.attachShadow
  Element.prototype.attachShadow = function (options) {
    const root = attach.call(this, options)
    watch(root)
    return root
  }
}

const dataDir = createDataDir()
const stack = await startTelltale(dataDir.dir)
const browser = await openBrowser()
const server = await startTappedServer(stack.env)
try {
  const { page } = await openPage(browser)
  await page.addInitScript(noteTexts)
  await page.goto(/open (\S+#code=\S+)/.exec(stack.printed())?.[1] ?? stack.url)
  await page.getByText('Live', { exact: true }).first().waitFor()
  const taken: number[] = []
  let late = 0
  for (let n = 0; n < errorCount + 5; n += 1) {
    const message = `bench error ${n}`
    await server.call('fail', { message })
    const thrownAt = await server.thrownAt(message)
    const seenAt = await page
      .waitForFunction(
        (text) => (globalThis as never as { seenTexts: Map<string, number> }).seenTexts.get(text),
        message,
        {
          timeout: 5_000,
        },
      )
      .then((answer) => answer.jsonValue())
      .catch(() => null)
    if (seenAt === null || seenAt === undefined) late += 1
    // The first few find nothing warm.
    else if (n >= 5) taken.push(seenAt - thrownAt)
    await pause(400 + ((n * 137) % 900))
  }
  taken.sort((a, b) => a - b)
  const at = (q: number) => taken[Math.min(taken.length - 1, Math.ceil(q * taken.length) - 1)] ?? Number.NaN
  console.log(`from throw to the text in the page, watched, ${taken.length} errors (${late} not within 5 s)`)
  console.log(
    `  p50 ${at(0.5)} ms (aim ${aimMs.p50})   p90 ${at(0.9)} ms   p99 ${at(0.99)} ms (aim ${aimMs.p99})   max ${at(1)} ms`,
  )
} finally {
  await server.close()
  await browser.close()
  await stack.stop('SIGTERM')
  dataDir.remove()
}
