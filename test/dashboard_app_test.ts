import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { dashboardApp } from '../src/local/dashboard_app.ts'

const dirs: string[] = []
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true })
})

function builtPage() {
  const dir = mkdtempSync(join(tmpdir(), 'telltale-page-'))
  dirs.push(dir)
  mkdirSync(join(dir, 'assets'))
  writeFileSync(join(dir, 'index.html'), '<!doctype html><title>page</title>')
  writeFileSync(join(dir, 'assets', 'page-abc.js'), 'export {}')
  writeFileSync(join(dir, '..', 'outside.txt'), 'secret')
  dirs.push(join(dir, '..', 'outside.txt'))
  return dashboardApp({ dir, reason: null, config: { supabaseUrl: null, publishableKey: 'sb_publishable_x' } })
}

test.each(['/', '/traces', '/traces/0af7651916cd43dd8448eb211c80319c', '/errors/v1:00ff', '/unknown'])(
  'dashboardApp() answers %s with the page, under a policy that allows nothing inline',
  async (path) => {
    const answer = await builtPage().request(path)
    expect(answer.status).toBe(200)
    expect(await answer.text()).toContain('<title>page</title>')
    expect(answer.headers.get('content-type')).toContain('text/html')
    const policy = answer.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("script-src 'self'")
    expect(policy).not.toContain('unsafe')
    expect(answer.headers.get('cache-control')).toBe('no-cache')
  },
)

test('dashboardApp() lets files with a hash in their name be kept for good, and finds no file that is not there', async () => {
  const app = builtPage()
  const script = await app.request('/assets/page-abc.js')
  expect([script.status, script.headers.get('content-type')]).toEqual([200, expect.stringContaining('javascript')])
  expect(script.headers.get('cache-control')).toContain('immutable')
  const missing = await app.request('/assets/page-old.js')
  expect([missing.status, missing.headers.get('cache-control')]).toEqual([404, 'no-cache'])
})

test.each(['/../outside.txt', '/..%2foutside.txt', '/%2e%2e/outside.txt', '/assets/..%5c..%5coutside.txt'])(
  'dashboardApp() serves nothing outside of its directory for %s',
  async (path) => {
    const answer = await builtPage().request(path)
    expect(await answer.text()).not.toContain('secret')
  },
)

test('dashboardApp() tells the page where its services are and with which public key', async () => {
  const answer = await builtPage().request('/config.json')
  expect(await answer.json()).toEqual({ supabase_url: null, publishable_key: 'sb_publishable_x' })
  expect(answer.headers.get('cache-control')).toBe('no-cache')
})

test('dashboardApp() says why there is no page', async () => {
  const config = { supabaseUrl: null, publishableKey: 'k' }
  const answer = await dashboardApp({ dir: null, reason: 'the build failed', config }).request('/')
  expect([answer.status, await answer.text()]).toEqual([503, 'The dashboard is not there: the build failed\n'])
})

test.each([
  ['sb_secret_x', 500],
  [`e30.${Buffer.from('{"ref":"?>", "role" : "service_role"}').toString('base64url')}.x`, 500],
  [`e30.${Buffer.from('{"ref":"?>","role":"anon"}').toString('base64url')}.x`, 200],
  ['no.key.%', 200],
])(
  'dashboardApp() never tells a secret key that was set as the publishable one: %s',
  async (publishableKey, status) => {
    const app = dashboardApp({ dir: null, reason: null, config: { supabaseUrl: null, publishableKey } })
    app.onError((_, context) => context.text('', 500))
    const answer = await app.request('/config.json')
    expect(answer.status).toBe(status)
    expect((await answer.text()).includes(publishableKey)).toBe(status === 200)
  },
)
