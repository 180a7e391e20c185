import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startIngest } from './ingest_fixture.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const out = mkdtempSync(join(tmpdir(), 'reporter-'))
const run = promisify(execFile)

/** A Node 20 on the path that is not the project's own. */
function olderNode(): string | null {
  const name = process.platform === 'win32' ? 'node.exe' : 'node'
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'))
  const found = folders.map((folder) => join(folder, name)).filter((path) => existsSync(path))
  return found.find((path) => execFileSync(path, ['--version'], { encoding: 'utf8' }).startsWith('v20.')) ?? null
}

const older = olderNode()
const host = `
async function main({ createReporter }) {
  const reporter = createReporter({ service: 'built' })
  const trace = reporter.startTrace({ name: 'work', layer: 'tool' })
  reporter.captureError(new Error('outer', { cause: new TypeError('inner') }), { span: trace })
  trace.end('tool_error')
  reporter.captureUncaught()
  reporter.watchEventLoop()
  const permits = reporter.watchAcquire(reporter.semaphore('s', 1), { name: 'w' })
  const answer = await reporter.trace({ name: 'request', layer: 'tool' }, async () => {
    const stream = reporter.time({ name: 'stream', layer: 'api' }, async function* () {
      yield await permits.use(() => reporter.retry(() => reporter.active().layer))
    })
    for await (const chunk of stream) return chunk
  })
  if (answer !== 'api') throw new Error('Cannot carry the active span: it is ' + answer)
}
`

beforeAll(async () => {
  await run(process.execPath, [join(root, 'src/reporter/build.mjs'), out], { cwd: root })
  writeFileSync(join(out, 'host.mjs'), `import * as reporter from './reporter.js'\n${host}\nmain(reporter)\n`)
  writeFileSync(join(out, 'host.cjs'), `${host}\nmain(require('./reporter.cjs'))\n`)
})

afterAll(() => rmSync(out, { recursive: true, force: true }))

for (const file of ['host.mjs', 'host.cjs']) {
  const reason = older ? '' : ' (skipped: no Node 20 on the path)'
  test.skipIf(older === null)(
    `the built reporter runs on Node 20 as ${file} and flushes when its host ends${reason}`,
    async () => {
      const far = await startIngest()
      const env = { TELLTALE_INGEST_URL: far.url, TELLTALE_INGEST_KEY: far.key }
      const { stdout, stderr } = await run(older as string, [join(out, file)], { env })
      await far.close()
      expect([stdout, stderr]).toEqual(['', ''])
      const ended = far.spans().filter((span) => span.end_us !== null)
      expect(new Set(ended.map((span) => span.name))).toEqual(
        new Set(['work', 'request', 'stream', 'first chunk', 'attempt']),
      )
      expect(ended.find((span) => span.name === 'work')).toMatchObject({ outcome: 'tool_error' })
      expect(far.errors()[0]?.traceback).toMatch(/^Error: outer\n[\s\S]*Caused by: TypeError: inner\n/)
      expect(far.batches[0]?.source.service).toBe('built')
    },
  )
}

test('the built reporter carries types that a strict host compiles against', async () => {
  writeFileSync(
    join(out, 'host.ts'),
    `import { createReporter, type Reporter } from './types/reporter/reporter.js'\nconst reporter: Reporter = createReporter({ service: 's' })\nreporter.startTrace({ name: 'n', layer: 'tool' }).end('ok')\nconst add = reporter.wrap((a: number, b: number) => a + b, (a) => ({ name: String(a.toFixed()) }))\nexport const sum: Promise<number> = reporter.semaphore('s', 1).use(() => reporter.retry(async () => add(1, 2)))\n`,
  )
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  const typeRoots = join(root, 'node_modules/@types')
  const options = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--types',
    'node',
    '--typeRoots',
    typeRoots,
  ]
  await run(process.execPath, [compiler, ...options, join(out, 'host.ts')], { cwd: out }).catch(
    (error: { stdout: string }) => {
      throw new Error(error.stdout)
    },
  )
})
