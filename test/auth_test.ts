import { createRemoteJWKSet, jwtVerify } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AuthProject, addTestUser, type Client, clientOf, openAuthProject, type TestUser } from './auth_fixture.ts'

// A contract: it holds for the embedded Auth, and for a hosted project named by SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY,
// SUPABASE_SECRET_KEY and DATABASE_URL, to which the migrations were applied. Its users are deleted in the end.

let project: AuthProject
let service: Client
const made: TestUser[] = []

beforeAll(async () => {
  project = await openAuthProject()
  service = clientOf(project, project.secretKey)
})

afterAll(async () => {
  for (const { id } of made) {
    await service.auth.admin.deleteUser(id)
    await project.query('delete from telltale.members where user_id = $1::uuid', [id])
  }
  await project?.close()
})

async function user(options: { member?: boolean } = {}): Promise<TestUser> {
  const added = await addTestUser(project, options)
  made.push(added)
  return added
}

function anon(): Client {
  return clientOf(project, project.publishableKey)
}

async function signedIn(who: TestUser) {
  const client = anon()
  const { data, error } = await client.auth.signInWithPassword(who)
  expect(error).toBe(null)
  if (data.session === null) throw new Error('no session')
  return { client, session: data.session }
}

async function codeFor({ email }: TestUser): Promise<string> {
  const { data, error } = await service.auth.admin.generateLink({ type: 'magiclink', email })
  expect(error).toBe(null)
  return data.properties?.hashed_token ?? ''
}

test('signInWithPassword() gives a session of an hour, whose token the public keys verify', async () => {
  const who = await user()
  const { session } = await signedIn(who)
  const nowSeconds = Date.now() / 1_000
  expect(session).toMatchObject({ token_type: 'bearer', expires_in: 3_600, user: { id: who.id, email: who.email } })
  expect(Math.abs((session.expires_at ?? 0) - nowSeconds - 3_600)).toBeLessThan(60)
  const jwks = createRemoteJWKSet(new URL(`${project.url}/auth/v1/.well-known/jwks.json`))
  const { payload } = await jwtVerify(session.access_token, jwks, { issuer: `${project.url}/auth/v1` })
  expect(payload).toMatchObject({
    sub: who.id,
    aud: 'authenticated',
    email: who.email,
    role: 'authenticated',
    aal: 'aal1',
    amr: [{ method: 'password', timestamp: expect.any(Number) }],
    session_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    is_anonymous: false,
    app_metadata: { provider: 'email', providers: ['email'] },
    user_metadata: expect.any(Object),
  })
  expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(3_600)
})

test('signInWithPassword() refuses a wrong password and an address of nobody in the same words', async () => {
  const who = await user()
  for (const attempt of [
    { email: who.email, password: 'not this one' },
    { email: `nobody-${who.email}`, password: who.password },
  ]) {
    const { data, error } = await anon().auth.signInWithPassword(attempt)
    expect(data.session).toBe(null)
    expect(error).toMatchObject({ status: 400, code: 'invalid_credentials', message: 'Invalid login credentials' })
  }
})

test('signInWithPassword() takes an address in any case', async () => {
  const who = await user()
  await signedIn({ ...who, email: who.email.toUpperCase() })
})

test('getUser() answers whose token it is, and getClaims() verifies it with the public keys', async () => {
  const who = await user()
  const { client, session } = await signedIn(who)
  const { data } = await client.auth.getUser()
  expect(data.user).toMatchObject({ id: who.id, email: who.email, aud: 'authenticated', role: 'authenticated' })
  expect(data.user?.last_sign_in_at).toBeTypeOf('string')
  expect((await client.auth.getClaims(session.access_token)).data?.claims.sub).toBe(who.id)
  expect((await anon().auth.getUser('no.token.atall')).error).toMatchObject({ status: 403, code: 'bad_jwt' })
})

test('refreshSession() gives new tokens of the same session', async () => {
  const { client, session } = await signedIn(await user())
  const { data, error } = await client.auth.refreshSession()
  expect(error).toBe(null)
  expect(data.session?.refresh_token).not.toBe(session.refresh_token)
  const [before, after] = [session.access_token, data.session?.access_token ?? ''].map(claimsOf)
  expect(after).toMatchObject({ session_id: before?.session_id, sub: before?.sub, amr: before?.amr })
  expect((await client.auth.getUser()).data.user?.id).toBe(session.user.id)
})

test('a refresh token that was used a moment ago answers the session as it is now', async () => {
  const { client, session } = await signedIn(await user())
  const first = (await client.auth.refreshSession()).data.session
  const again = await anon().auth.refreshSession(session)
  expect(again.error).toBe(null)
  expect(again.data.session?.refresh_token).toBe(first?.refresh_token)
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => anon().auth.refreshSession({ refresh_token: first?.refresh_token ?? '' })),
  )
  expect(answers.map(({ error }) => error)).toEqual([null, null, null, null, null])
  expect(new Set(answers.map(({ data }) => data.session?.refresh_token)).size).toBe(1)
})

test('an old refresh token that somebody brings again ends the session', { timeout: 30_000 }, async () => {
  const { client, session } = await signedIn(await user())
  await client.auth.refreshSession()
  await client.auth.refreshSession()
  if (project.embedded === null) await new Promise((resolve) => setTimeout(resolve, 11_000))
  else project.embedded.passTime(11)
  const thief = await anon().auth.refreshSession({ refresh_token: session.refresh_token })
  expect(thief.error).toMatchObject({ status: 400, code: 'refresh_token_already_used' })
  expect((await client.auth.refreshSession()).error).toMatchObject({ status: 400 })
  expect((await client.auth.getUser()).error?.name).toBe('AuthSessionMissingError')
})

test('a refresh token that nobody was given is refused', async () => {
  for (const refresh_token of ['x', 'AQ', `${'A'.repeat(62)}`]) {
    const { error } = await anon().auth.refreshSession({ refresh_token })
    expect(error).toMatchObject({ status: 400, code: 'refresh_token_not_found' })
  }
})

test('signOut() ends this session, the others, or all of them', async () => {
  const who = await user()
  const [a, b, c] = await Promise.all([signedIn(who), signedIn(who), signedIn(who)])
  const holds = async ({ client }: { client: Client }) => (await client.auth.getUser()).error === null

  expect((await a.client.auth.signOut({ scope: 'local' })).error).toBe(null)
  expect((await anon().auth.getUser(a.session.access_token)).error?.name).toBe('AuthSessionMissingError')
  expect((await anon().auth.refreshSession(a.session)).error).toMatchObject({ code: 'refresh_token_not_found' })
  expect([await holds(b), await holds(c)]).toEqual([true, true])

  expect((await b.client.auth.signOut({ scope: 'others' })).error).toBe(null)
  expect([await holds(b), await holds(c)]).toEqual([true, false])

  const d = await signedIn(who)
  expect((await d.client.auth.signOut()).error).toBe(null)
  expect(await holds(b)).toBe(false)
})

test('a code of generateLink() signs in once', async () => {
  const who = await user()
  const code = await codeFor(who)
  const client = anon()
  const { data, error } = await client.auth.verifyOtp({ token_hash: code, type: 'email' })
  expect(error).toBe(null)
  expect(data.session?.user.id).toBe(who.id)
  expect(claimsOf(data.session?.access_token ?? '').amr).toMatchObject([{ method: 'otp' }])
  expect((await client.auth.getUser()).data.user?.email).toBe(who.email)
  const twice = await anon().auth.verifyOtp({ token_hash: code, type: 'email' })
  expect(twice.error).toMatchObject({ status: 403, code: 'otp_expired' })
})

test('verifyOtp() takes a code as magiclink too, and the newest code alone', async () => {
  const who = await user()
  const [older, newer] = [await codeFor(who), await codeFor(who)]
  expect((await anon().auth.verifyOtp({ token_hash: older, type: 'magiclink' })).error?.code).toBe('otp_expired')
  expect((await anon().auth.verifyOtp({ token_hash: newer, type: 'magiclink' })).error).toBe(null)
  const unknown = await anon().auth.verifyOtp({ token_hash: 'f'.repeat(56), type: 'email' })
  expect(unknown.error).toMatchObject({ status: 403, code: 'otp_expired' })
})

test('the operator alone makes links and lists users', async () => {
  const who = await user()
  const { client } = await signedIn(who)
  for (const other of [anon(), client]) {
    const link = await other.auth.admin.generateLink({ type: 'magiclink', email: who.email })
    expect(link.error?.status).toBeGreaterThanOrEqual(401)
    expect(link.data.properties).toBe(null)
    expect((await other.auth.admin.listUsers()).data.users).toEqual([])
    expect((await other.auth.admin.createUser({ email: `x${who.email}` })).data.user).toBe(null)
    expect((await other.auth.admin.deleteUser(who.id)).error?.status).toBeGreaterThanOrEqual(401)
  }
  expect((await service.auth.admin.listUsers({ perPage: 1_000 })).data.users.map(({ id }) => id)).toContain(who.id)
})

test('updateUser() changes the password and ends the other sessions', async () => {
  const who = await user()
  const [here, there] = [await signedIn(who), await signedIn(who)]
  expect((await here.client.auth.updateUser({ password: 'short' })).error).toMatchObject({ code: 'weak_password' })
  expect((await here.client.auth.updateUser({ password: who.password })).error?.code).toBe('same_password')
  const { data, error } = await here.client.auth.updateUser({ password: 'a better one 17', data: { theme: 'dark' } })
  expect(error).toBe(null)
  expect(data.user?.user_metadata).toMatchObject({ theme: 'dark' })
  expect((await here.client.auth.getUser()).error).toBe(null)
  expect((await there.client.auth.getUser()).error?.name).toBe('AuthSessionMissingError')
  expect((await anon().auth.signInWithPassword(who)).error?.code).toBe('invalid_credentials')
  await signedIn({ ...who, password: 'a better one 17' })
})

test('the operator makes, finds, changes and deletes a user', async () => {
  const who = await user()
  const { client } = await signedIn(who)
  const { admin } = service.auth
  expect((await admin.createUser({ email: who.email })).error).toMatchObject({ status: 422, code: 'email_exists' })
  expect((await admin.getUserById(who.id)).data.user?.email).toBe(who.email)
  const changed = await admin.updateUserById(who.id, { password: 'set by somebody else', app_metadata: { team: 7 } })
  expect(changed.data.user?.app_metadata).toEqual({ provider: 'email', providers: ['email'], team: 7 })
  await signedIn({ ...who, password: 'set by somebody else' })
  await admin.updateUserById(who.id, { ban_duration: '24h' })
  expect((await client.auth.signInWithPassword({ ...who, password: 'set by somebody else' })).error?.code).toBe(
    'user_banned',
  )
  expect((await admin.deleteUser(who.id)).error).toBe(null)
  expect((await admin.getUserById(who.id)).error).toMatchObject({ status: 404, code: 'user_not_found' })
  expect((await anon().auth.signInWithPassword(who)).error?.code).toBe('invalid_credentials')
})

test('an address that is not confirmed does not sign in with a password', async () => {
  const email = `later-${crypto.randomUUID()}@example.com`
  const { data } = await service.auth.admin.createUser({ email, password: 'to be confirmed' })
  made.push({ id: data.user?.id ?? '', email, password: '' })
  const { error } = await anon().auth.signInWithPassword({ email, password: 'to be confirmed' })
  expect(error).toMatchObject({ status: 400, code: 'email_not_confirmed' })
})

test('rpc() asks as whoever signed in: a member reads, a stranger and nobody do not', async () => {
  const member = await signedIn(await user({ member: true }))
  const stranger = await signedIn(await user())
  expect(await member.client.rpc('store_status' as never)).toMatchObject({ error: null, data: expect.any(Object) })
  expect((await stranger.client.rpc('store_status' as never)).error?.code).toBe('42501')
  expect((await anon().rpc('store_status' as never)).error?.code).toBe('42501')
  await member.client.auth.signOut()
  expect((await member.client.rpc('store_status' as never)).error?.code).toBe('42501')
})

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}
