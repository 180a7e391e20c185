import fc from 'fast-check'
import { generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  accessTokenSeconds,
  attemptsPerAddressMax,
  authBodyBytesMax,
  hashesAtOnceMax,
  sessionsPerUserMax,
  signInCodeSeconds,
} from '../src/core/limit.ts'
import { DatabaseError } from '../src/local/database.ts'
import { addTestUser, clientOf, openEmbeddedAuth } from './auth_fixture.ts'
import { signToken } from './rest_fixture.ts'

let project: Awaited<ReturnType<typeof openEmbeddedAuth>>

beforeAll(async () => {
  project = await openEmbeddedAuth()
})

afterAll(() => project?.close())

type Asking = { readonly method?: string; readonly headers?: Record<string, string>; readonly body?: unknown }

/** A request as no client of ours would send it. */
function ask(path: string, { method = 'POST', headers = {}, body }: Asking = {}): Promise<Response> {
  return fetch(`${project.url}/auth/v1${path}`, {
    method,
    headers: { apikey: project.publishableKey, ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
}

async function asked(path: string, asking: Asking = {}) {
  const response = await ask(path, asking)
  return { status: response.status, headers: response.headers, body: await response.json().catch(() => null) }
}

const asService = () => ({ apikey: project.secretKey })
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })

async function codeFor(email: string): Promise<string> {
  const link = { type: 'magiclink', email }
  return (await asked('/admin/generate_link', { headers: asService(), body: link })).body.hashed_token
}

type SessionAnswer = { access_token: string; refresh_token: string; user: { id: string } }

/** Signs in by a code, which hashes nothing. */
async function sessionFor(email: string): Promise<SessionAnswer> {
  const { status, body } = await asked('/verify', { body: { type: 'email', token_hash: await codeFor(email) } })
  expect(status).toBe(200)
  return body
}

const renew = (refresh_token: string) => asked('/token?grant_type=refresh_token', { body: { refresh_token } })
const whoIs = (token: string) => asked('/user', { method: 'GET', headers: bearer(token) })

test('every route wants the apikey, the public keys and the health do not', async () => {
  for (const path of [
    '/token?grant_type=password',
    '/verify',
    '/logout',
    '/admin/generate_link',
    '/admin/users',
    '/nowhere',
  ]) {
    const without = await fetch(`${project.url}/auth/v1${path}`, { method: 'POST', body: '{}' })
    expect(without.status, path).toBe(401)
    expect(await without.json()).toMatchObject({ message: 'No API key found in request' })
    const wrong = await asked(path, { headers: { apikey: 'sb_publishable_wrong' }, body: {} })
    expect(wrong).toMatchObject({ status: 401, body: { message: 'Invalid API key' } })
  }
  for (const path of ['/.well-known/jwks.json', '/health']) {
    expect((await fetch(`${project.url}/auth/v1${path}`)).status, path).toBe(200)
  }
  const { keys } = (await asked('/.well-known/jwks.json', { method: 'GET' })).body
  expect(keys).toMatchObject([{ kty: 'EC', alg: 'ES256' }])
  expect(keys[0].d).toBe(undefined)
  expect((await asked('/settings', { method: 'GET' })).body).toMatchObject({ disable_signup: true })
})

test('errors have the old shape, and the new one for a client that names its version', async () => {
  const body = { email: 'nobody@example.com', password: 'wrong' }
  const old = await asked('/token?grant_type=password', { body })
  expect(old.body).toEqual({ code: 400, error_code: 'invalid_credentials', msg: 'Invalid login credentials' })
  const headers = { 'X-Supabase-Api-Version': '2024-01-01' }
  const named = await asked('/token?grant_type=password', { headers, body })
  expect(named.body).toEqual({ code: 'invalid_credentials', message: 'Invalid login credentials' })
  expect(named.headers.get('x-supabase-api-version')).toBe('2024-01-01')
})

const bodies: readonly (readonly [string, string, unknown, string])[] = [
  ['no JSON', '/token?grant_type=password', '{"email":', 'bad_json'],
  ['nothing', '/token?grant_type=password', '', 'bad_json'],
  ['an array', '/verify', [], 'bad_json'],
  ['null', '/verify', 'null', 'bad_json'],
  ['brackets', '/verify', '['.repeat(20_000), 'bad_json'],
  ['no address', '/token?grant_type=password', { password: 'x' }, 'validation_failed'],
  ['a password that is no text', '/token?grant_type=password', { email: 'a@b.c', password: {} }, 'invalid_credentials'],
  [
    'a password without end',
    '/token?grant_type=password',
    { email: 'a@b.c', password: 'x'.repeat(9_999) },
    'invalid_credentials',
  ],
  ['NUL in the address', '/token?grant_type=password', { email: 'a\0@b.c', password: 'x' }, 'validation_failed'],
  ['an unknown grant', '/token?grant_type=magic', {}, 'invalid_credentials'],
  ['no refresh token', '/token?grant_type=refresh_token', { refresh_token: 7 }, 'validation_failed'],
  ['no code', '/verify', { type: 'email' }, 'validation_failed'],
  ['no type', '/verify', { token_hash: 'x' }, 'validation_failed'],
  ['another type', '/verify', { type: 'sms', token_hash: 'x' }, 'validation_failed'],
  ['six digits', '/verify', { type: 'email', email: 'a@b.c', token: '123456' }, 'otp_expired'],
  ['a sign-up', '/signup', { email: 'a@b.c', password: 'long enough' }, 'signup_disabled'],
  ['a wish for mail', '/otp', { email: 'a@b.c' }, 'otp_disabled'],
]

for (const [what, path, body, code] of bodies) {
  test(`${path} refuses ${what}`, async () => {
    const { status, body: answer } = await asked(path, { body })
    expect(status).toBeGreaterThanOrEqual(400)
    expect(status).toBeLessThan(500)
    expect(answer.error_code).toBe(code)
  })
}

const adminBodies: readonly (readonly [string, string, string, unknown, string])[] = [
  ['a role of its own', 'POST', '/admin/users', { email: 'r@example.com', role: 'service_role' }, 'validation_failed'],
  ['no address', 'POST', '/admin/users', { password: 'long enough' }, 'validation_failed'],
  ['an address in two lines', 'POST', '/admin/users', { email: 'a@b.c\nbcc: d@e.f' }, 'validation_failed'],
  ['a short password', 'POST', '/admin/users', { email: 's@example.com', password: 'short' }, 'weak_password'],
  [
    'NUL in metadata',
    'POST',
    '/admin/users',
    { email: 'n@example.com', user_metadata: { a: '\0' } },
    'validation_failed',
  ],
  [
    'much metadata',
    'POST',
    '/admin/users',
    { email: 'm@example.com', user_metadata: { a: 'x'.repeat(5_000) } },
    'validation_failed',
  ],
  ['deep metadata', 'POST', '/admin/users', `{"user_metadata":${'['.repeat(99)}${']'.repeat(99)}}`, 'bad_json'],
  [
    'a ban without end',
    'POST',
    '/admin/users',
    { email: 'b@example.com', ban_duration: 'forever' },
    'validation_failed',
  ],
  ['no uuid', 'GET', '/admin/users/7', undefined, 'validation_failed'],
  ['nobody', 'GET', '/admin/users/00000000-0000-4000-8000-000000000000', undefined, 'user_not_found'],
  ['page zero', 'GET', '/admin/users?page=0', undefined, 'validation_failed'],
  [
    'a link for nobody',
    'POST',
    '/admin/generate_link',
    { type: 'magiclink', email: 'no@example.com' },
    'user_not_found',
  ],
  [
    'a link of another kind',
    'POST',
    '/admin/generate_link',
    { type: 'signup', email: 'no@example.com' },
    'validation_failed',
  ],
]

for (const [what, method, path, body, code] of adminBodies) {
  test(`${method} ${path} refuses ${what}`, async () => {
    const { body: answer } = await asked(path, {
      method,
      headers: asService(),
      ...(body === undefined ? {} : { body }),
    })
    expect(answer.error_code).toBe(code)
  })
}

test('no body makes a route fail', async () => {
  const { email } = await addTestUser(project)
  const session = await sessionFor(email)
  const field = fc.constantFrom(
    'email',
    'password',
    'refresh_token',
    'token_hash',
    'type',
    'data',
    'user_metadata',
    'id',
  )
  const value = fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 3 }), fc.constantFrom('email', email))
  const route = fc.constantFrom(
    ['POST', '/token?grant_type=password'],
    ['POST', '/token?grant_type=refresh_token'],
    ['POST', '/verify'],
    ['PUT', '/user'],
    ['POST', '/admin/users'],
    ['POST', '/admin/generate_link'],
  )
  await fc.assert(
    fc.asyncProperty(route, fc.dictionary(field, value), async ([method = '', path = ''], body) => {
      const headers = path.startsWith('/admin') ? asService() : bearer(session.access_token)
      const { status } = await asked(path, { method, headers, body })
      expect([200, 400, 403, 404, 422, 429]).toContain(status)
    }),
    { numRuns: 100 },
  )
  project.embedded.passTime(301)
})

test('a body over the limit is 413 before it is read whole', async () => {
  const body = `{"email":"${'x'.repeat(authBodyBytesMax)}"}`
  expect((await asked('/token?grant_type=password', { body })).status).toBe(413)
})

test('a token that is foreign, changed, unsigned or run out opens nothing', async () => {
  const { id, email } = await addTestUser(project)
  const { access_token: good } = await sessionFor(email)
  const [head = '', payload = '', signature = ''] = good.split('.')
  const changed = Buffer.from(
    JSON.stringify({
      ...JSON.parse(Buffer.from(payload, 'base64url').toString()),
      sub: id.replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
    }),
  )
  const { keys } = project.embedded
  const foreign = await new SignJWT({ sub: id, role: 'service_role' })
    .setProtectedHeader({ alg: 'ES256', kid: keys.signingKey.kid ?? '' })
    .setExpirationTime('1h')
    .sign((await generateKeyPair('ES256')).privateKey)
  const symmetric = await new SignJWT({ sub: id })
    .setProtectedHeader({ alg: 'HS256', kid: keys.signingKey.kid ?? '' })
    .setExpirationTime('1h')
    .sign(Buffer.from(JSON.stringify({ ...keys.signingKey, d: undefined })))
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`
  const bad = [`${head}.${changed.toString('base64url')}.${signature}`, foreign, symmetric, unsigned, `${good}x`, 'x']
  for (const token of [...bad, project.publishableKey]) {
    expect(await whoIs(token)).toMatchObject({ status: 403, body: { error_code: 'bad_jwt' } })
    const list = await asked('/admin/users', { method: 'GET', headers: { ...bearer(token) } })
    expect(list.status).toBe(403)
  }
  expect((await asked('/user', { method: 'GET' })).body.error_code).toBe('no_authorization')
  const nobody = await signToken(keys, { role: 'authenticated' })
  expect((await whoIs(nobody)).body.error_code).toBe('bad_jwt')
  const gone = await signToken(keys, { role: 'authenticated', sub: '00000000-0000-4000-8000-000000000000' })
  expect((await whoIs(gone)).body.error_code).toBe('user_not_found')

  expect((await whoIs(good)).status).toBe(200)
  // The user's own token beside the secret key is still the user's.
  const beside = await asked('/admin/users', { method: 'GET', headers: { ...asService(), ...bearer(good) } })
  expect(beside).toMatchObject({ status: 403, body: { error_code: 'not_admin' } })
  project.embedded.passTime(accessTokenSeconds)
  expect(await whoIs(good)).toMatchObject({ status: 403, body: { msg: expect.stringMatching(/expired/) } })
})

test('a code is good for ten minutes, and a session until it ends', async () => {
  const { email } = await addTestUser(project)
  const early = { type: 'email', token_hash: await codeFor(email) }
  project.embedded.passTime(signInCodeSeconds - 5)
  const begun = await asked('/verify', { body: early })
  expect(begun.status).toBe(200)
  const late = { type: 'email', token_hash: await codeFor(email) }
  project.embedded.passTime(signInCodeSeconds + 1)
  expect(await asked('/verify', { body: late })).toMatchObject({ status: 403, body: { error_code: 'otp_expired' } })
  project.embedded.passTime(30 * 86_400)
  expect((await renew(begun.body.refresh_token)).status).toBe(200)
})

test('twenty renewals at once take one step, and ten who bring one code get one session', async () => {
  const { email } = await addTestUser(project)
  const { refresh_token: token } = await sessionFor(email)
  const answers = await Promise.all(Array.from({ length: 20 }, () => renew(token)))
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
  expect(new Set(answers.map(({ body }) => body.refresh_token)).size).toBe(1)
  expect(answers[0]?.body.refresh_token).not.toBe(token)

  const code = { type: 'email', token_hash: await codeFor(email) }
  const entries = await Promise.all(Array.from({ length: 10 }, () => asked('/verify', { body: code })))
  expect(entries.map(({ status }) => status).sort()).toEqual([200, ...entries.slice(1).map(() => 403)])
})

test('the last token before the newest is taken at any time, an older one ends the session', async () => {
  const { email } = await addTestUser(project)
  const { refresh_token: first } = await sessionFor(email)
  const { refresh_token: second } = (await renew(first)).body
  project.embedded.passTime(3_600)
  // The answer with the second was lost: the client has the first alone.
  expect((await renew(first)).body.refresh_token).toBe(second)
  const { refresh_token: third } = (await renew(second)).body
  expect((await renew(first)).body.refresh_token).toBe(third)
  project.embedded.passTime(10)
  expect((await renew(first)).body.error_code).toBe('refresh_token_already_used')
  expect((await renew(third)).body.error_code).toBe('refresh_token_not_found')
})

test('a refresh token of another spelling or of another project is none', async () => {
  const { email } = await addTestUser(project)
  const { refresh_token: token } = await sessionFor(email)
  const bytes = Buffer.from(token, 'base64url')
  const later = Buffer.from(bytes)
  later[22] = 9
  for (const other of [`${token}=`, ` ${token}`, `${token}A`, token.slice(0, -2), later.toString('base64url')]) {
    expect((await renew(other)).body.error_code).toBe('refresh_token_not_found')
  }
  expect((await renew(token)).status).toBe(200)
})

test('guesses are counted for an address, and the right password waits with them', async () => {
  const { email, password } = await addTestUser(project)
  const guess = (word: string) => asked('/token?grant_type=password', { body: { email, password: word } })
  const guesses = await Promise.all(
    Array.from({ length: attemptsPerAddressMax + hashesAtOnceMax }, (_, i) => guess(`guess ${i}`)),
  )
  const statuses = guesses.map(({ status }) => status)
  // Those that were being hashed when the last one counted are answered yet.
  expect(statuses.filter((status) => status === 400).length).toBeGreaterThanOrEqual(attemptsPerAddressMax)
  const refused = await guess(password)
  expect(refused).toMatchObject({ status: 429, body: { error_code: 'over_request_rate_limit' } })
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  const another = await addTestUser(project)
  expect((await clientOf(project, project.publishableKey).auth.signInWithPassword(another)).error).toBe(null)
  project.embedded.passTime(300)
  expect((await guess(password)).status).toBe(200)
})

test('an address of nobody takes as long to refuse as a wrong password', async () => {
  const { email } = await addTestUser(project)
  const cost = async (address: string) => {
    const before = performance.now()
    await asked('/token?grant_type=password', { body: { email: address, password: 'not right' } })
    return performance.now() - before
  }
  const [known, unknown]: [number[], number[]] = [[], []]
  for (let i = 0; i < 3; i += 1) {
    known.push(await cost(email))
    unknown.push(await cost(`nobody-${i}@example.com`))
  }
  // The hash is nearly all of it; without it the answer would come in a twentieth.
  expect(Math.min(...unknown)).toBeGreaterThan(Math.min(...known) / 3)
})

test('a database that is away is 503 and loses nobody their session', async () => {
  const { email } = await addTestUser(project)
  const session = await sessionFor(email)
  const code = { type: 'email', token_hash: await codeFor(email) }
  for (const state of ['53300', '08006', '57P02']) {
    project.embedded.breakDatabase(new DatabaseError('away', state))
    const answers = [
      await renew(session.refresh_token),
      await whoIs(session.access_token),
      await asked('/verify', { body: code }),
    ]
    for (const { status, headers } of answers) {
      expect(status).toBe(503)
      expect(headers.get('retry-after')).toBe('2')
    }
  }
  const { error } = await clientOf(project, project.publishableKey).auth.getUser(session.access_token)
  expect(error?.name).toBe('AuthRetryableFetchError')
  project.embedded.breakDatabase(null)
  expect((await renew(session.refresh_token)).status).toBe(200)
  expect((await asked('/verify', { body: code })).status).toBe(200)
})

test('a user has a hundred sessions at most, and those that nobody uses go', async () => {
  const { id, email } = await addTestUser(project)
  await project.query(
    `insert into auth.sessions (id, user_id, created_at, refresh_token_counter)
      select gen_random_uuid(), $1::uuid, now() - n * interval '1 minute', 0 from generate_series(1, 150) as n`,
    [id],
  )
  const count = async () =>
    Number((await project.query('select count(*) as n from auth.sessions where user_id = $1::uuid', [id]))[0]?.n)
  await sessionFor(email)
  expect(await count()).toBe(sessionsPerUserMax)
  project.embedded.passTime(91 * 86_400)
  await sessionFor(email)
  expect(await count()).toBe(1)
})
