import { createClient } from '@supabase/supabase-js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import ws from 'ws'
import { createDataDir, type RunningStack, runTelltale, startTelltale } from './stack_fixture.ts'

const data = createDataDir()
const here = { TELLTALE_DATA_DIR: data.dir }
let stack: RunningStack

beforeAll(async () => {
  stack = await startTelltale(data.dir)
})

afterAll(async () => {
  await stack?.stop('SIGTERM')
  data.remove()
})

function client() {
  return createClient(stack.url, stack.env.SUPABASE_PUBLISHABLE_KEY ?? '', {
    db: { schema: 'telltale' as never },
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: ws as never },
  })
}

/** Signs in as the page does with the fragment of a link. */
async function redeem(url: string) {
  const { origin, hash } = new URL(url)
  expect(origin).toBe(stack.url)
  const page = client()
  const code = new URLSearchParams(hash.slice(1)).get('code') ?? ''
  return { page, ...(await page.auth.verifyOtp({ token_hash: code, type: 'email' })) }
}

test('telltale start says a link that signs in once, beside the line that says where it is', async () => {
  const line = /^telltale: open (\S+) {2}\(signs in once, within ten minutes; `telltale open` makes another\)$/m
  await expect.poll(() => line.test(stack.printed())).toBe(true)
  const url = line.exec(stack.printed())?.[1] ?? ''
  expect(stack.printed()).toMatch(/^telltale ready http:\/\/127\.0\.0\.1:\d+$/m)
  const { page, data: signed } = await redeem(url)
  expect(signed.user?.email).toBe(stack.env.TELLTALE_VIEWER_EMAIL)
  expect((await page.rpc('store_status')).error).toBe(null)
  expect((await redeem(url)).error?.code).toBe('otp_expired')
})

test('telltale open prints a link and nothing else on standard output', async () => {
  const { code, printed, errors } = await runTelltale(['open'], here)
  expect(code, errors).toBe(0)
  expect(printed.trim().split('\n')).toHaveLength(1)
  expect((await redeem(printed.trim())).error).toBe(null)
  expect(errors).toContain('once, within 10 minutes')
})

test('telltale open --json says until when, for any address of the dashboard', async () => {
  const { printed } = await runTelltale(['open', '--json', '--url', 'https://board.example/'], here)
  const link = JSON.parse(printed)
  expect(link.url).toMatch(/^https:\/\/board\.example\/#code=[0-9a-f]{56}$/)
  const minutes = (Date.parse(link.expires_at) - Date.now()) / 60_000
  expect(minutes).toBeGreaterThan(9)
  expect(minutes).toBeLessThanOrEqual(10)
})

test('telltale open says what is missing', async () => {
  const nobody = await runTelltale(['open', '--email', 'nobody@example.com'], here)
  expect(nobody).toMatchObject({ code: 1, printed: '', errors: expect.stringContaining('telltale members add') })
  const elsewhere = await runTelltale(['open', '--json'], { TELLTALE_DATA_DIR: `${data.dir}-none` })
  expect(elsewhere.code).toBe(1)
  expect(JSON.parse(elsewhere.errors).error).toMatch(/^Cannot make link: TELLTALE_URL is not set/)
  const wrong = await runTelltale(['open'], {
    TELLTALE_URL: stack.url,
    TELLTALE_VIEWER_EMAIL: 'a@example.com',
    SUPABASE_URL: stack.url,
    SUPABASE_SECRET_KEY: stack.env.SUPABASE_PUBLISHABLE_KEY ?? '',
  })
  expect(wrong).toMatchObject({ code: 1, printed: '', errors: expect.stringContaining('User not allowed') })
})

test('the viewer of local.env signs in with the password there', async () => {
  const { error } = await client().auth.signInWithPassword({
    email: stack.env.TELLTALE_VIEWER_EMAIL ?? '',
    password: stack.env.TELLTALE_VIEWER_PASSWORD ?? '',
  })
  expect(error).toBe(null)
})

test('telltale members adds somebody who then looks, lists them, and takes the right away at once', async () => {
  const added = await runTelltale(['members', 'add', 'Ann@example.com'], here)
  expect(added, added.errors).toMatchObject({ code: 0, errors: expect.stringContaining('is a member now') })
  const { page } = await redeem(added.printed.trim())
  expect((await page.rpc('store_status')).error).toBe(null)
  const again = JSON.parse((await runTelltale(['members', 'add', 'ann@example.com', '--json'], here)).printed)
  expect(again).toMatchObject({ email: 'ann@example.com', added: false, url: expect.stringContaining('/#code=') })

  const listed = JSON.parse((await runTelltale(['members', 'list', '--json'], here)).printed)
  expect(listed.map(({ email }: { email: string }) => email)).toEqual([
    stack.env.TELLTALE_VIEWER_EMAIL,
    'ann@example.com',
  ])
  expect((await runTelltale(['members', 'list'], here)).printed).toMatch(/ann@example\.com$/m)

  expect((await runTelltale(['members', 'remove', 'ann@example.com'], here)).code).toBe(0)
  expect((await page.rpc('store_status')).error?.code).toBe('42501')
  const twice = await runTelltale(['members', 'remove', 'ann@example.com'], here)
  expect(twice).toMatchObject({ code: 1, errors: expect.stringContaining('it is no member') })
})

test('telltale start --json says the link too', async () => {
  const other = createDataDir()
  const second = await startTelltale(other.dir, { json: true })
  try {
    const line =
      second
        .printed()
        .split('\n')
        .find((text) => text.startsWith('{')) ?? '{}'
    expect(JSON.parse(line)).toMatchObject({
      url: second.url,
      open_url: expect.stringMatching(/\/#code=[0-9a-f]{56}$/),
    })
  } finally {
    await second.stop('SIGTERM')
    other.remove()
  }
})
