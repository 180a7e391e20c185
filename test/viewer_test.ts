import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readProjectKeys } from '../src/local/project_key.ts'
import { ensureViewer } from '../src/local/viewer.ts'
import { clientOf, openEmbeddedAuth } from './auth_fixture.ts'
import { createDataDir } from './stack_fixture.ts'

let project: Awaited<ReturnType<typeof openEmbeddedAuth>>

beforeAll(async () => {
  project = await openEmbeddedAuth()
})

afterAll(() => project?.close())

const ensure = () => ensureViewer(project.embedded.database, project.embedded.keys)
const users = () => project.query('select * from auth.users order by id')
const members = () => project.query('select * from telltale.members order by user_id')

test('ensureViewer() makes a member who signs in, and the second time changes nothing', async () => {
  const viewer = await ensure()
  const client = clientOf(project, project.publishableKey)
  expect((await client.auth.signInWithPassword(viewer)).error).toBe(null)
  expect((await client.rpc('store_status' as never)).error).toBe(null)
  const before = [await users(), await members()]
  expect(await ensure()).toEqual(viewer)
  expect([await users(), await members()]).toEqual(before)
  expect(await members()).toMatchObject([{ email: viewer.email }])
})

test('ensureViewer() keeps the password that the operator set, and does not say one that is stale', async () => {
  const viewer = await ensure()
  const client = clientOf(project, project.publishableKey)
  await client.auth.signInWithPassword(viewer)
  expect((await client.auth.updateUser({ password: 'my own password' })).error).toBe(null)
  expect(await ensure()).toEqual({ email: viewer.email, password: '' })
  expect((await client.auth.signInWithPassword({ ...viewer, password: 'my own password' })).error).toBe(null)
})

test('ensureViewer() leaves a viewer out whom the operator has taken out', async () => {
  await project.query('delete from telltale.members')
  await ensure()
  expect(await members()).toEqual([])
})

test('the operator alone says who is a member', async () => {
  const viewer = await ensure()
  const [user] = await users()
  const service = clientOf(project, project.secretKey)
  const args = { user_id: user?.id, email: viewer.email }
  expect((await service.rpc('add_member' as never, args as never)).data).toBe(true)
  expect((await service.rpc('add_member' as never, args as never)).data).toBe(false)
  expect((await service.rpc('list_members' as never)).data).toMatchObject([args])

  const client = clientOf(project, project.publishableKey)
  await client.auth.signInWithPassword({ ...viewer, password: 'my own password' })
  expect((await client.rpc('store_status' as never)).error).toBe(null)
  for (const other of [client, clientOf(project, project.publishableKey)]) {
    for (const [name, given] of [
      ['add_member', args],
      ['remove_member', { user_id: user?.id }],
      ['list_members', {}],
    ] as const) {
      expect((await other.rpc(name as never, given as never)).error?.code, name).toBe('42501')
    }
  }
  expect((await service.rpc('remove_member' as never, { user_id: user?.id } as never)).data).toBe(true)
  expect((await client.rpc('store_status' as never)).error?.code).toBe('42501')
})

test('readProjectKeys() adds the secrets that an older directory lacks, and keeps the others', async () => {
  const data = createDataDir()
  try {
    const whole = await readProjectKeys(data.dir)
    const path = join(data.dir, 'project.json')
    const { viewerPassword, redisToken, ...older } = JSON.parse(readFileSync(path, 'utf8'))
    expect([viewerPassword.length, redisToken.length]).toEqual([24, 32])
    writeFileSync(path, JSON.stringify({ ...older, redisToken }))
    const migrated = await readProjectKeys(data.dir)
    expect(migrated).toEqual({ ...whole, viewerPassword: expect.any(String) })
    expect(migrated.viewerPassword).not.toBe(viewerPassword)
    expect(await readProjectKeys(data.dir)).toEqual(migrated)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    writeFileSync(path, JSON.stringify({ ...older, redisToken: 7 }))
    await expect(readProjectKeys(data.dir)).rejects.toThrow(/damaged/)
  } finally {
    data.remove()
  }
})
