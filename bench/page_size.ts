// What a browser loads until the first chart, and for it, in KB gzip: the scripts that the page of the embedded stack asks
// for, in the order in which it asks. Usage: node bench/page_size.ts
import { gzipSync } from 'node:zlib'
import { openBrowser, openPage } from '../test/e2e/browser_fixture.ts'
import { startTappedServer } from '../test/e2e/tapped_server_fixture.ts'
import { createDataDir, startTelltale } from '../test/stack_fixture.ts'

const aimKb = 120
const dataDir = createDataDir()
const stack = await startTelltale(dataDir.dir)
const browser = await openBrowser()
const server = await startTappedServer(stack.env)
try {
  // An empty store has nothing to draw.
  await server.call('work')
  const { page } = await openPage(browser)
  const scripts: string[] = []
  page.on('request', (request) => {
    if (request.resourceType() === 'script') scripts.push(request.url())
  })
  await page.goto(/open (\S+#code=\S+)/.exec(stack.printed())?.[1] ?? stack.url)
  await page.locator('canvas').first().waitFor()
  const sizes = await Promise.all(
    scripts.map(async (url) => {
      const body = Buffer.from(await (await fetch(url)).arrayBuffer())
      return { name: new URL(url).pathname.replace('/assets/', ''), kb: gzipSync(body, { level: 9 }).length / 1024 }
    }),
  )
  const isChart = ({ name }: { readonly name: string }) => name.startsWith('chart_library')
  const sum = (list: readonly { readonly kb: number }[]) => list.reduce((total, { kb }) => total + kb, 0)
  console.log(
    `JavaScript before the first chart: ${sum(sizes.filter((s) => !isChart(s))).toFixed(1)} KB gzip (aim ${aimKb})`,
  )
  console.log(`with it: ${sum(sizes).toFixed(1)} KB`)
  for (const { name, kb } of sizes) console.log(`  ${kb.toFixed(1).padStart(6)} KB  ${name}`)
} finally {
  await server.close()
  await browser.close()
  await stack.stop('SIGTERM')
  dataDir.remove()
}
