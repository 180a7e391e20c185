import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addTestUser, clientOf, openEmbeddedAuth } from './auth_fixture.ts'
import { startPostgres } from './postgres_cluster_fixture.ts'
import { noPostgresReason } from './postgres_fixture.ts'

// PGlite runs one statement at a time; a PostgreSQL server runs them beside each other.
describe.skipIf(noPostgresReason() !== null)('on PostgreSQL', () => {
  let server: Awaited<ReturnType<typeof startPostgres>>
  let project: Awaited<ReturnType<typeof openEmbeddedAuth>>

  beforeAll(async () => {
    server = await startPostgres()
    project = await openEmbeddedAuth(server.url)
  })

  afterAll(async () => {
    await project?.close()
    await server?.stop()
  })

  const anon = () => clientOf(project, project.publishableKey)

  test('renewals at once take one step each time, and one code begins one session', async () => {
    const { email } = await addTestUser(project)
    const { admin } = clientOf(project, project.secretKey).auth
    const { data } = await admin.generateLink({ type: 'magiclink', email })
    const code = { token_hash: data.properties?.hashed_token ?? '', type: 'email' as const }
    const entries = await Promise.all(Array.from({ length: 10 }, () => anon().auth.verifyOtp(code)))
    const sessions = entries.flatMap(({ data }) => data.session ?? [])
    expect(sessions).toHaveLength(1)
    let token = sessions[0]?.refresh_token ?? ''
    for (let round = 0; round < 10; round += 1) {
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => anon().auth.refreshSession({ refresh_token: token })),
      )
      expect(answers.map(({ error }) => error)).toEqual(answers.map(() => null))
      const next = new Set(answers.map(({ data }) => data.session?.refresh_token ?? ''))
      expect(next.size).toBe(1)
      expect(next.has(token)).toBe(false)
      token = [...next][0] ?? ''
    }
    const [row] = await project.query('select refresh_token_counter as n from auth.sessions')
    expect(Number(row?.n)).toBe(10)
  })

  test('one address that is asked for many times at once becomes one user', async () => {
    const { admin } = clientOf(project, project.secretKey).auth
    const email = 'many@example.com'
    const answers = await Promise.all(Array.from({ length: 8 }, () => admin.createUser({ email })))
    expect(answers.filter(({ error }) => error === null)).toHaveLength(1)
    expect(new Set(answers.map(({ error }) => error?.code))).toEqual(new Set([undefined, 'email_exists']))
  })
})
