import { randomUUID } from 'node:crypto'
import { hashPassword, isPassword } from './auth_password.ts'
import { readUserByEmail } from './auth_user.ts'
import type { Database } from './database.ts'
import type { ProjectKeys } from './project_key.ts'

const viewerEmail = 'viewer@telltale.local'

export type Viewer = {
  readonly email: string
  /** Empty when it is not known here any more: the operator has changed it, or another data directory made the viewer. */
  readonly password: string
}

/**
 * Makes the user who may look at a new stack's dashboard, and their membership with them. Once the user is there nothing
 * is changed: neither a password that the operator has set, nor a membership that the operator has taken away. Links of
 * `telltale open` work whatever the password is.
 * @throws DatabaseError
 */
export async function ensureViewer(database: Pick<Database, 'query'>, keys: ProjectKeys): Promise<Viewer> {
  const user = await readUserByEmail(database, viewerEmail)
  if (user === null) await createViewer(database, keys.viewerPassword)
  const known = user === null || (await isPassword(keys.viewerPassword, user.passwordHash))
  return { email: viewerEmail, password: known ? keys.viewerPassword : '' }
}

/** One statement: a viewer without membership would never get one. */
async function createViewer(database: Pick<Database, 'query'>, password: string): Promise<void> {
  await database.query({
    text: `with made as (
        insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at,
          raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
        values ('00000000-0000-0000-0000-000000000000', $1::uuid, 'authenticated', 'authenticated', $2::text, $3::text,
          now(), '{"provider": "email", "providers": ["email"]}', '{}', now(), now())
        on conflict do nothing returning id, email
      )
      insert into telltale.members (user_id, email) select id, email from made on conflict do nothing`,
    values: [randomUUID(), viewerEmail, await hashPassword(password)],
  })
}
