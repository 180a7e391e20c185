import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { attemptsTotalMax } from '../src/core/limit.ts'
import { createAttemptLimit } from '../src/local/auth_attempt.ts'
import { hashPassword, isPassword } from '../src/local/auth_password.ts'
import { DatabaseError } from '../src/local/database.ts'
import { addTestUser, clientOf, openEmbeddedAuth } from './auth_fixture.ts'

let project: Awaited<ReturnType<typeof openEmbeddedAuth>>

beforeAll(async () => {
  project = await openEmbeddedAuth()
})

afterAll(() => project?.close())

const tables = ['users', 'sessions', 'refresh_tokens', 'mfa_amr_claims', 'one_time_tokens']

test('a copy of the database opens nothing: it has no password, no code and no token', async () => {
  const user = await addTestUser(project)
  const service = clientOf(project, project.secretKey)
  const { data: link } = await service.auth.admin.generateLink({ type: 'magiclink', email: user.email })
  const { data } = await clientOf(project, project.publishableKey).auth.signInWithPassword(user)
  const secrets = [
    user.password,
    link.properties?.hashed_token ?? '',
    data.session?.refresh_token ?? '',
    data.session?.access_token ?? '',
    project.embedded.keys.signingKey.d ?? '',
  ]
  const texts = await Promise.all(tables.map((table) => project.query(`select t::text as row from auth.${table} as t`)))
  const dump = texts.flat().map(({ row }) => String(row))
  expect(dump.length).toBeGreaterThan(3)
  for (const secret of secrets) {
    expect(secret.length).toBeGreaterThan(20)
    expect(dump.filter((row) => row.includes(secret))).toEqual([])
  }
})

test('no role but the owner reads or writes a table of Auth', async () => {
  for (const role of ['anon', 'authenticated', 'service_role']) {
    for (const table of tables) {
      for (const text of [`select * from auth.${table}`, `delete from auth.${table}`]) {
        await expect(project.embedded.database.query({ text, role })).rejects.toMatchObject({ code: '42501' })
      }
    }
  }
})

test('an error of ours is told without what was typed', async () => {
  const said: string[] = []
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0)
  try {
    for (const error of [new Error('hunter2 is not JSON'), new DatabaseError('no such table', '42P01')]) {
      project.embedded.breakDatabase(error)
      const { error: answer } = await clientOf(project, project.publishableKey).auth.signInWithPassword({
        email: 'a@example.com',
        password: 'hunter2',
      })
      expect(answer?.status).toBe(500)
      expect(answer?.message).not.toContain('hunter2')
    }
  } finally {
    write.mockRestore()
    project.embedded.breakDatabase(null)
  }
  expect(said.join('')).toMatch(/Cannot answer for Auth: Error\n\s+at [\s\S]*SQLSTATE 42P01/)
  expect(said.join('')).not.toContain('hunter2')
})

test('hashPassword() salts, and isPassword() takes the same text in any Unicode form', async () => {
  const [a, b] = await Promise.all([hashPassword('Größe 12!'), hashPassword('Größe 12!')])
  expect(a).toMatch(/^\$scrypt\$ln=14,r=8,p=5\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  expect(a).not.toBe(b)
  expect(await isPassword('Größe 12!'.normalize('NFD'), a)).toBe(true)
  expect(await isPassword('größe 12!', a)).toBe(false)
})

test('isPassword() says no to whatever is no hash of its kind', async () => {
  const bcrypt = '$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy'
  for (const stored of [null, '', bcrypt, '$scrypt$ln=14,r=8,p=5$$', '$scrypt$ln=99,r=8,p=5$c2FsdA$aGFzaA']) {
    expect(await isPassword('', stored), String(stored)).toBe(false)
  }
})

test('createAttemptLimit() counts all addresses together too, and forgets with the window', () => {
  let now = 1_000_000
  const attempts = createAttemptLimit(() => now)
  for (let i = 0; i < attemptsTotalMax; i += 1) {
    expect(attempts.refusalOf(`a${i}@example.com`)).toBe(null)
    attempts.note(`a${i}@example.com`)
  }
  expect(attempts.refusalOf('new@example.com')).toMatchObject({ status: 429, code: 'over_request_rate_limit' })
  now += 300_000
  expect(attempts.refusalOf('new@example.com')).toBe(null)
})
