#!/usr/bin/env node
// Plain JavaScript that any Node from 18 on can start: installs what is missing, then runs src/cli/main.ts on a Node
// that runs TypeScript as it is.
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { installOnce } from './install.mjs'
import { relaunch } from './relaunch.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const main = join(root, 'src', 'cli', 'main.ts')

/**
 * npm starts us through a shell, and a signal sent to npm ends that shell but does not reach us. That our parent is
 * another one then tells.
 */
function stopWhenOrphaned() {
  if (!process.env.npm_lifecycle_event || process.platform === 'win32') return
  const parent = process.ppid
  const watch = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(watch)
    if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(143)
  }, 250)
  watch.unref()
}

try {
  stopWhenOrphaned()
  const node = await installOnce(root, { dev: false })
  if (node === null) await import(pathToFileURL(main).href)
  else relaunch(node, main, process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
}
