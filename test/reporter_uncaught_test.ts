import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'uncaught-'))
beforeAll(async () => {
  const entry = fileURLToPath(new URL('../src/reporter/reporter.ts', import.meta.url))
  await build({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: join(folder, 'reporter.mjs'),
  })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const watching = `
import { createReporter } from './reporter.mjs'
const reporter = process.env.TELLTALE_INGEST_URL ? createReporter({ service: 's', warn() {}, flushOnExit: false }) : null
const end = reporter?.captureUncaught()
reporter?.captureUncaught()
process.on('exit', () => reporter && console.log('recorded', reporter.status().recorded))
`

// What a host may do about it, and how it dies.
const listeners: { readonly [name: string]: string } = {
  'no listener': '',
  'a listener for exceptions': "process.on('uncaughtException', (error) => console.log('caught', String(error)))",
  'a listener for rejections': "process.on('unhandledRejection', (reason) => console.log('taken', String(reason)))",
  'a listener that ends the host': "process.on('unhandledRejection', () => process.exit(3))",
  'a listener that throws on': "process.on('unhandledRejection', (reason) => { throw reason })",
}
const deaths: { readonly [name: string]: string } = {
  'an error thrown': "setTimeout(() => { throw new TypeError('boom') }, 1)",
  'a text thrown': "setTimeout(() => { throw 'boom' }, 1)",
  'an error refused': "Promise.reject(new TypeError('boom'))",
  'a value refused': 'Promise.reject({ code: 7 })',
}
const settings = { TELLTALE_INGEST_URL: 'http://127.0.0.1:9/', TELLTALE_INGEST_KEY: 'k', TELLTALE_OUTBOX_DIR: 'none' }

type Ending = {
  readonly code: number | null
  readonly signal: string | null
  readonly out: string
  readonly err: string
}

async function end(mode: string, file: string, env: { readonly [name: string]: string }): Promise<Ending> {
  const options = [`--unhandled-rejections=${mode}`, file]
  const host = spawn(process.execPath, options, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  host.stdout.on('data', (chunk) => {
    out += chunk
  })
  host.stderr.on('data', (chunk) => {
    err += chunk
  })
  const [code, signal] = (await once(host, 'close')) as [number | null, string | null]
  // A warning names the process.
  return { code, signal, out, err: err.replaceAll(`(node:${host.pid})`, '(node)') }
}

for (const mode of ['throw', 'strict', 'warn', 'warn-with-error-code', 'none']) {
  test(`captureUncaught() records once, and changes neither exit code nor output with --unhandled-rejections=${mode}`, async () => {
    for (const [listener, listening] of Object.entries(listeners)) {
      for (const [death, dying] of Object.entries(deaths)) {
        const file = join(folder, `${death} ${listener}.mjs`.replaceAll(' ', '_'))
        writeFileSync(file, `${watching}${listening}\n${dying}\n`)
        const [without, within] = await Promise.all([end(mode, file, {}), end(mode, file, settings)])
        expect(within, `${death}, ${listener}`).toEqual({ ...without, out: `${without.out}recorded 1\n` })
      }
    }
  })
}

test('captureUncaught() leaves alone what somebody caught or took, and ends when told', async () => {
  const file = join(folder, 'caught.mjs')
  const dying =
    "try { throw new Error('x') } catch {}\nPromise.reject(1).catch(() => 1)\nend?.()\nend?.()\nsetTimeout(() => { throw new Error('after') }, 1)"
  writeFileSync(file, `${watching}\nif (Object.hasOwn(process, 'emit') && reporter) console.log('watched')\n${dying}\n`)
  const [without, within] = await Promise.all([end('throw', file, {}), end('throw', file, settings)])
  expect(within).toEqual({ ...without, out: 'watched\nrecorded 0\n' })
})
