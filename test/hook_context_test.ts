import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type IngestFixture, startIngest } from './ingest_fixture.ts'
import { noPythonReason, pythonWith, runPython, telltalePy } from './python_fixture.ts'

// Who is called by HTTP from within a span is told of its trace; strangers, and whoever the host told itself, are not.

const { python, reason } = await pythonWith('sdk')
const hooked = test.skipIf(noPythonReason !== null)

let far: IngestFixture
let storage: Server
let port: number
let folder: string
const seen: { readonly path: string; readonly headers: IncomingHttpHeaders }[] = []

beforeEach(async () => {
  far = await startIngest()
  folder = mkdtempSync(join(tmpdir(), 'telltale-context-'))
  seen.length = 0
  storage = createServer((request, response) => {
    seen.push({ path: request.url ?? '', headers: request.headers })
    const leads = /^\/to\/(.+)/.exec(request.url ?? '')?.[1]
    request.resume().once('end', () => {
      if (leads) response.writeHead(307, { location: `http://${leads}:${port}/arrived` }).end()
      else response.end('{}')
    })
  })
  await new Promise<void>((resolve) => storage.listen(0, '127.0.0.1', resolve))
  port = (storage.address() as AddressInfo).port
})

afterEach(async () => {
  storage.closeAllConnections()
  storage.close()
  await far.close()
  rmSync(folder, { recursive: true })
})

/** Runs these lines of Python within an active span, hooked; `at` is the address of the server. */
async function within(lines: readonly string[], env: { readonly [name: string]: string } = {}, own?: string) {
  const block = lines.map((line) => `    ${line}`)
  const head = ['import asyncio, http.client, json, urllib.request, telltale', `at = "http://127.0.0.1:${port}"`]
  writeFileSync(join(folder, 'calls.py'), [...head, 'with telltale.start_trace("t") as span:', ...block].join('\n'))
  const reporting = { TELLTALE_INGEST_URL: far.url, TELLTALE_INGEST_KEY: far.key, no_proxy: '*' }
  const options = { cwd: folder, env: { PYTHONPATH: '', ...reporting, ...env }, ...(own ? { python: own } : {}) }
  expect(await runPython([telltalePy, 'calls.py'], options)).toEqual({ code: 0, out: '', err: '' })
  const span = far.spans().find(({ end_us }) => end_us !== null)
  const told = { traceparent: `00-${span?.trace_id}-${span?.span_id}-01`, tracestate: `telltale=${span?.span_id}` }
  return { told, contexts: seen.map(({ path, headers }) => [path, headers.traceparent, headers.tracestate]) }
}

hooked('install() sends the context of the active span along with requests of http.client and urllib', async () => {
  const { told, contexts } = await within([
    'urllib.request.urlopen(at + "/urllib", b"row").read()',
    `connection = http.client.HTTPConnection("localhost", ${port})`,
    'connection.request("GET", "/plain"); connection.getresponse().read()',
    'connection.request("GET", "/own", headers={"Traceparent": "mine"}); connection.getresponse().read()',
    'telltale._Transport(at + "/ingest", "key", 5).post(b"{}", None, 1)',
  ])
  expect(contexts).toEqual([
    ['/urllib', told.traceparent, told.tracestate],
    ['/plain', told.traceparent, told.tracestate],
    ['/own', 'mine', undefined],
    ['/ingest', undefined, undefined],
  ])
})

hooked('install() tells no context to strangers, nor outside of a span, nor along a redirection', async () => {
  const calls = [
    'urllib.request.urlopen(at + "/first").read()',
    'urllib.request.urlopen(at.replace("127.0.0.1", "localhost") + "/named").read()',
    'urllib.request.urlopen(at.replace("127.0.0.1", "localhost") + "/to/127.0.0.1").read()',
    'token = telltale._active.set(None)',
    'urllib.request.urlopen(at.replace("127.0.0.1", "localhost") + "/outside").read()',
    'telltale._active.reset(token)',
  ]
  const { told, contexts } = await within(calls, { TELLTALE_PROPAGATE: 'local*, example.com' })
  expect(contexts.map(([path, parent]) => [path, parent])).toEqual([
    ['/first', undefined],
    ['/named', told.traceparent],
    ['/to/127.0.0.1', told.traceparent],
    ['/arrived', undefined],
    ['/outside', undefined],
  ])
})

hooked(
  'a host is told of the context when TELLTALE_PROPAGATE names it, else on this machine or as SUPABASE_URL',
  async () => {
    const hosts = ['localhost', 'a.localhost', '127.1.2.3', '::1', 'x.supabase.co', 'localhost.evil.com', '128.0.0.1']
    const script = `
import telltale
def of(**env): return [host for host in ${JSON.stringify(hosts)} if telltale._host_rule(env)(host)]
print(of(), of(SUPABASE_URL='https://X.supabase.co/'), of(TELLTALE_PROPAGATE=''), of(TELLTALE_PROPAGATE='*.supabase.co, [::1]'))
`
    const machine = "'localhost', 'a.localhost', '127.1.2.3', '::1'"
    const wanted = `[${machine}] [${machine}, 'x.supabase.co'] [] ['::1', 'x.supabase.co']\n`
    expect(await runPython(script)).toEqual({ code: 0, out: wanted, err: '' })
  },
)

test.skipIf(reason !== null)(
  'install() does the same for requests and httpx, and leaves their requests as they were',
  async () => {
    const { told, contexts } = await within(
      [
        'import httpx2, requests',
        'requests.post(at + "/requests", json={})',
        'requests.get(at + "/own", headers={"traceparent": "mine"})',
        'with httpx2.Client(follow_redirects=True) as client:',
        '    assert "traceparent" not in client.post(at + "/sync", json={}).request.headers',
        '    client.get(at + "/own", headers={"traceparent": "mine"})',
        '    client.get(at + "/to/localhost")',
        'async def later():',
        '    async with httpx2.AsyncClient() as client: await client.get(at + "/async")',
        'asyncio.run(later())',
      ],
      { TELLTALE_PROPAGATE: '127.0.0.1' },
      python ?? '',
    )
    const tells = told.traceparent
    expect(contexts.map(([path, parent]) => [path, parent])).toEqual([
      ['/requests', tells],
      ['/own', 'mine'],
      ['/sync', tells],
      ['/own', 'mine'],
      ['/to/localhost', tells],
      ['/arrived', undefined],
      ['/async', tells],
    ])
  },
)
