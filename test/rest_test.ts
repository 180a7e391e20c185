import { PostgrestClient } from '@supabase/postgrest-js'
import { createClient } from '@supabase/supabase-js'
import fc from 'fast-check'
import { generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { restDepthMax } from '../src/core/limit.ts'
import { argumentTextsOf } from '../src/local/argument_text.ts'
import { openRestProject, type RestProject } from './rest_fixture.ts'

// A contract: it holds for the embedded stack, and for a hosted project named by SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY,
// SUPABASE_SECRET_KEY and DATABASE_URL.

// biome-ignore lint/suspicious/noExplicitAny: the database has no generated types.
type Client = PostgrestClient<any, any, any, any>
let project: RestProject
let service: Client
let anon: Client

function clientOf(headers: Record<string, string>, schema = 'telltale'): Client {
  return new PostgrestClient(`${project.url}/rest/v1`, { headers, schema })
}

beforeAll(async () => {
  project = await openRestProject()
  service = clientOf({ apikey: project.secretKey })
  anon = clientOf({ apikey: project.publishableKey })
})

afterAll(() => project?.close())

test('rpc() answers one value, a json value as it is, null, and nothing for void', async () => {
  expect(await service.rpc('contract_add', { a: 1, b: 2 })).toMatchObject({ data: 3, error: null, status: 200 })
  expect((await service.rpc('contract_add', { a: 1 })).data).toBe(11)
  expect((await service.rpc('contract_text', { value: 'é "x" \\' })).data).toBe('é "x" \\')
  expect((await service.rpc('contract_text', { value: null })).data).toBe(null)
  expect((await service.rpc('contract_echo', { value: { a: [1, { b: null }] } })).data).toEqual({ a: [1, { b: null }] })
  expect(await service.rpc('contract_nothing')).toMatchObject({ data: null, error: null, status: 204 })
  expect((await service.rpc('contract_days', { days: ['2026-01-01', '2026-01-02'] })).data).toBe(2)
  expect((await service.rpc('contract_sum', { v: [1, 2, 3] })).data).toBe(6)
  expect((await service.rpc('contract_pair')).data).toEqual({ a: 1, b: 'one' })
})

test('rpc() carries any json unchanged', async () => {
  const text = fc.string({ unit: 'binary', maxLength: 40 }).map((s) => s.replaceAll('\0', ''))
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { maxDepth: 3 },
      text,
      fc.integer(),
      fc.boolean(),
      fc.array(tie('json'), { maxLength: 4 }),
      fc.dictionary(text, tie('json'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }))
  await fc.assert(
    fc.asyncProperty(json, async (value) => {
      const { data, error } = await service.rpc('contract_echo', { value })
      expect(error).toBe(null)
      expect(data).toEqual(value)
    }),
    { numRuns: 60 },
  )
})

test('argumentTextsOf() reads what JSON.parse reads, for any object in any layout', () => {
  const objects = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { noNullPrototype: true })
  fc.assert(
    fc.property(objects, fc.constantFrom(undefined, 1, '\t'), (object, space) => {
      const text = JSON.stringify(object, null, space)
      const read = [...(argumentTextsOf(text) ?? [])].map(([name, value]) => [name, JSON.parse(value)])
      expect(new Map(read as [string, unknown][])).toEqual(new Map(Object.entries(JSON.parse(text))))
      expect(argumentTextsOf(text.slice(0, -1))).toBe(null)
    }),
    { numRuns: 500 },
  )
  expect(argumentTextsOf('{"a":1,"a":[2]}')).toEqual(new Map([['a', '[2]']]))
  for (const text of ['[]', '1', '"a"', '{} x', '{"a"}', '{"a":1,}', '{"a":1]}', '{a:1}', '{"\\x":1}']) {
    expect(argumentTextsOf(text), text).toBe(null)
  }
})

test('rpc() answers rows, chosen, filtered, ordered and cut as the client asks', async () => {
  const all = await service.rpc('contract_people')
  expect(all.data).toHaveLength(5)
  expect((await service.rpc('contract_people', { from_id: 4 })).data).toHaveLength(2)
  expect((await service.rpc('contract_people').select('name').eq('id', 2)).data).toEqual([{ name: 'bob' }])
  expect(
    (await service.rpc('contract_people').select('who:name').gt('id', 3).order('id', { ascending: false }).limit(1))
      .data,
  ).toEqual([{ who: 'eve, the last' }])
  expect((await service.rpc('contract_people').in('name', ['ann', 'eve, the last']).select('id')).data).toEqual([
    { id: 1 },
    { id: 5 },
  ])
  expect((await service.rpc('contract_people').not('name', 'like', '%e%').select('id')).data).toEqual([
    { id: 1 },
    { id: 2 },
    { id: 3 },
  ])
  expect((await service.rpc('contract_people').is('name', null)).data).toEqual([])
  expect((await service.rpc('contract_people').range(1, 2).select('id')).data).toEqual([{ id: 2 }, { id: 3 }])
  expect((await service.rpc('contract_many', { n: 3 })).data).toEqual([1, 2, 3])
})

test('rpc() counts, and cuts at 1,000 rows', async () => {
  const counted = await service.rpc('contract_people', {}, { count: 'exact' }).limit(2)
  expect(counted).toMatchObject({ count: 5, status: 206 })
  expect(await service.rpc('contract_people', {}, { head: true, count: 'exact' })).toMatchObject({
    count: 5,
    data: null,
  })
  const cut = await service.rpc('contract_many', { n: 1_500 }, { count: 'exact' })
  expect(cut.data).toHaveLength(1_000)
  expect(cut.count).toBe(1_500)
  const beyond = await service.rpc('contract_people', {}, { count: 'exact' }).range(10, 20)
  expect(beyond).toMatchObject({ status: 416, error: { code: 'PGRST103' } })
})

test('single() takes one row and refuses others, undoing what the call wrote', async () => {
  expect((await service.rpc('contract_people').eq('id', 1).single()).data).toEqual({ id: 1, name: 'ann' })
  expect(await service.rpc('contract_people').single()).toMatchObject({
    status: 406,
    error: { code: 'PGRST116', details: 'The result contains 5 rows' },
  })
  expect(await service.rpc('contract_people').eq('id', 9).maybeSingle()).toMatchObject({ data: null, error: null })
  const before = (await service.rpc('contract_notes_written')).data
  expect((await service.rpc('contract_write_all', { note: 'twice' }).single()).error?.code).toBe('PGRST116')
  expect((await service.rpc('contract_notes_written')).data).toBe(before)
})

test('GET calls a function that only reads, with arguments and filters in the address', async () => {
  expect((await service.rpc('contract_add', { a: 4, b: 5 }, { get: true })).data).toBe(9)
  expect((await service.rpc('contract_days', { days: ['2026-01-01'] }, { get: true })).data).toBe(1)
  expect((await service.rpc('contract_people', { from_id: 2 }, { get: true }).eq('name', 'cy')).data).toEqual([
    { id: 3, name: 'cy' },
  ])
  expect(await service.rpc('contract_write', { note: 'by get' }, { get: true })).toMatchObject({
    status: 405,
    error: { code: '25006' },
  })
  expect((await service.rpc('contract_sneak', { note: 'by a stable function' })).error?.code).toBe('25006')
})

test('rpc() writes once, in a transaction that an error undoes', async () => {
  expect((await service.rpc('contract_write', { note: 'kept' })).error).toBe(null)
  expect(await service.rpc('contract_write', { note: 'kept' })).toMatchObject({ status: 409, error: { code: '23505' } })
})

test('functions are found by the names of their arguments', async () => {
  expect((await service.rpc('contract_over', { a: 1 })).data).toBe('one')
  expect((await service.rpc('contract_over', { a: 1, b: 2 })).data).toBe('two')
  expect(await service.rpc('contract_either', { a: 1 })).toMatchObject({ status: 300, error: { code: 'PGRST203' } })
  expect(await service.rpc('contract_ad', { a: 1 })).toMatchObject({
    status: 404,
    error: {
      code: 'PGRST202',
      message: 'Could not find the function telltale.contract_ad(a) in the schema cache',
      hint: 'Perhaps you meant to call the function telltale.contract_add',
    },
  })
  expect(await service.rpc('contract_add', { a: 1, c: 2 })).toMatchObject({
    error: { code: 'PGRST202', hint: 'Perhaps you meant to call the function telltale.contract_add(a, b)' },
  })
  expect((await service.rpc('contract_add', {})).error?.code).toBe('PGRST202')
})

test('a function made or changed meanwhile is found', async () => {
  await project.exec(`create function telltale.contract_later() returns int language sql as 'select 1';
    grant execute on function telltale.contract_later() to service_role; notify pgrst, 'reload schema'`)
  await expect.poll(async () => (await service.rpc('contract_later')).data, { timeout: 10_000, interval: 300 }).toBe(1)
})

test.each([
  ['P0001', 400],
  ['22023', 400],
  ['23503', 409],
  ['23505', 409],
  ['42883', 404],
  ['42P01', 404],
  ['42501', 403],
  ['40001', 500],
  ['53300', 503],
  ['57014', 500],
  ['55P03', 500],
  ['P0002', 500],
  ['PT418', 418],
  ['TT001', 400],
])('an error with SQLSTATE %s keeps message, detail and hint, and is %i', async (code, status) => {
  const args = { code, message: 'what', detail: '2026-01-01', hint: 'do that' }
  const answer = await service.rpc('contract_raise', args)
  expect(answer.status).toBe(status)
  expect(answer.error).toMatchObject({ code, message: 'what', details: '2026-01-01', hint: 'do that' })
})

test("raise sqlstate 'PGRST' says the whole answer", async () => {
  const answer = await service.rpc('contract_raise', {
    code: 'PGRST',
    message: JSON.stringify({ code: '123', message: 'Payment Required', details: 'Quota', hint: 'Upgrade' }),
    detail: JSON.stringify({ status: 402, headers: { 'X-Powered-By': 'Nerd Rage' } }),
  })
  expect(answer).toMatchObject({ status: 402, error: { code: '123', message: 'Payment Required', hint: 'Upgrade' } })
})

test('the transaction has the role, the claims, the method and the path of its request', async () => {
  expect((await service.rpc('contract_caller')).data).toMatchObject({
    user: 'service_role',
    claims: { role: 'service_role' },
    method: 'POST',
  })
  const { data } = await anon.rpc('contract_caller', {}, { get: true })
  expect(data).toMatchObject({ user: 'anon', claims: { role: 'anon' }, method: 'GET' })
  expect(data.path).toMatch(/\/rpc\/contract_caller$/)
})

test('what a role may not do is 401 to anon and 403 to others', async () => {
  expect((await service.rpc('contract_secret')).data).toBe(42)
  expect(await anon.rpc('contract_secret')).toMatchObject({ status: 401, error: { code: '42501' } })
})

test('a request without a right API key is 401', async () => {
  expect((await clientOf({}).rpc('contract_add', { a: 1 })).status).toBe(401)
  expect((await clientOf({ apikey: `${project.secretKey}x` }).rpc('contract_add', { a: 1 })).status).toBe(401)
  expect((await clientOf({ Authorization: `Bearer ${project.secretKey}` }).rpc('contract_add', { a: 1 })).status).toBe(
    401,
  )
})

test('only the schema telltale is exposed here', async () => {
  const answer = await clientOf({ apikey: project.secretKey }, 'pg_catalog').rpc('version')
  expect(answer).toMatchObject({ status: 406, error: { code: 'PGRST106' } })
})

test('a malformed body, an unknown media type and a wrong method are refused', async () => {
  const url = `${project.url}/rest/v1/rpc/contract_echo`
  const headers = { apikey: project.secretKey, 'Content-Profile': 'telltale', 'Content-Type': 'application/json' }
  for (const body of ['{', '{"value":}', '{"value": [1,}']) {
    const answer = await fetch(url, { method: 'POST', headers, body })
    expect([answer.status, ((await answer.json()) as { code: string }).code], body).toEqual([400, 'PGRST102'])
  }
  const csv = await fetch(url, { method: 'POST', headers: { ...headers, Accept: 'text/x-none' }, body: '{"value":1}' })
  expect(csv.status).toBe(406)
  expect((await fetch(url, { method: 'PATCH', headers, body: '{}' })).status).toBe(405)
})

test('supabase-js works as it does with a hosted project', async () => {
  const supabase = createClient(project.url, project.secretKey, {
    db: { schema: 'telltale' as never },
    auth: { persistSession: false, autoRefreshToken: false },
  })
  // biome-ignore lint/suspicious/noExplicitAny: the database has no generated types.
  const { data, error } = await (supabase as any).rpc('contract_add', { a: 20, b: 22 })
  expect({ data, error }).toEqual({ data: 42, error: null })
})

test("a user's token, signed by the project, brings its role and claims", async ({ skip }) => {
  if (project.signToken === null) return skip()
  const asUser = async (token: string) =>
    clientOf({ apikey: project.publishableKey, Authorization: `Bearer ${token}` }).rpc('contract_caller')
  const sub = '00000000-0000-4000-8000-000000000001'
  expect((await asUser(await project.signToken({ sub, role: 'authenticated' }))).data).toMatchObject({
    user: 'authenticated',
    claims: { sub, role: 'authenticated' },
  })
  expect((await asUser(await project.signToken({ sub }))).data).toMatchObject({ user: 'anon' })
  expect((await asUser(await project.signToken({ sub, role: 'postgres' }))).status).toBe(403)
  expect(await asUser(await project.signToken({ sub, role: 'authenticated' }, '-1h'))).toMatchObject({
    status: 401,
    error: { code: 'PGRST303', message: 'JWT expired' },
  })
})

test('a token that the project has not signed opens nothing', async ({ skip }) => {
  if (project.signToken === null) return skip()
  const { privateKey } = await generateKeyPair('ES256')
  const forged = await new SignJWT({ role: 'service_role' }).setProtectedHeader({ alg: 'ES256' }).sign(privateKey)
  const unsigned = `${btoa('{"alg":"none"}')}.${btoa('{"role":"service_role"}')}.`
  const shared = await new SignJWT({ role: 'service_role' })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(project.secretKey))
  for (const token of [forged, unsigned, shared, 'abc']) {
    const headers = { apikey: project.publishableKey, Authorization: `Bearer ${token}` }
    const answer = await clientOf(headers).rpc('contract_caller')
    expect(answer).toMatchObject({ status: 401, error: { code: 'PGRST301' } })
  }
})

test('argumentTextsOf() refuses what nests deeper than PostgreSQL should recurse', () => {
  const nested = (depth: number) => `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`
  expect(argumentTextsOf(nested(restDepthMax))?.get('a')).toHaveLength(2 * restDepthMax)
  expect(argumentTextsOf(nested(restDepthMax + 1))).toBe(null)
  expect(argumentTextsOf(`{"a":${'['.repeat(8_000_000)}`)).toBe(null)
})
