import type { Database, Row } from './database.ts'

export type Metadata = { readonly [key: string]: unknown }

/** A row of auth.users, as far as it is used. Instants are ISO 8601. */
export type AuthUser = {
  readonly id: string
  readonly email: string
  readonly passwordHash: string | null
  readonly confirmedAt: string | null
  readonly lastSignInAt: string | null
  readonly bannedUntil: string | null
  readonly appMetadata: Metadata
  readonly userMetadata: Metadata
  readonly createdAt: string | null
  readonly updatedAt: string | null
}

/** What becomes different; what is undefined stays. A new password or address ends the user's codes. */
export type UserChange = {
  readonly email?: string | undefined
  readonly passwordHash?: string | undefined
  /** Once confirmed, an address stays so. */
  readonly confirmed?: true | undefined
  readonly bannedUntil?: string | null | undefined
  readonly appMetadata?: Metadata | undefined
  readonly userMetadata?: Metadata | undefined
}

type Queries = Pick<Database, 'query'>

/** For a query over auth.users `as u`. */
export const userColumns = `u.id, u.email, u.encrypted_password, u.email_confirmed_at, u.last_sign_in_at, u.banned_until,
  u.raw_app_meta_data, u.raw_user_meta_data, u.created_at, u.updated_at`

export function userOf(row: Row): AuthUser {
  return {
    id: String(row.id),
    email: String(row.email ?? ''),
    passwordHash: typeof row.encrypted_password === 'string' ? row.encrypted_password : null,
    confirmedAt: instantOf(row.email_confirmed_at),
    lastSignInAt: instantOf(row.last_sign_in_at),
    bannedUntil: instantOf(row.banned_until),
    appMetadata: metadataOf(row.raw_app_meta_data),
    userMetadata: metadataOf(row.raw_user_meta_data),
    createdAt: instantOf(row.created_at),
    updatedAt: instantOf(row.updated_at),
  }
}

/** A user as Supabase Auth shows one: to that user, and to whoever has the secret key. */
export function userAnswerOf(user: AuthUser) {
  return {
    id: user.id,
    aud: 'authenticated',
    role: 'authenticated',
    email: user.email,
    ...(user.confirmedAt === null ? {} : { email_confirmed_at: user.confirmedAt, confirmed_at: user.confirmedAt }),
    phone: '',
    ...(user.lastSignInAt === null ? {} : { last_sign_in_at: user.lastSignInAt }),
    ...(user.bannedUntil === null ? {} : { banned_until: user.bannedUntil }),
    app_metadata: user.appMetadata,
    user_metadata: user.userMetadata,
    created_at: user.createdAt,
    updated_at: user.updatedAt,
    is_anonymous: false,
  }
}

/** @param now in ms */
export function isBanned({ bannedUntil }: AuthUser, now: number): boolean {
  return bannedUntil !== null && Date.parse(bannedUntil) > now
}

export function readUserById(database: Queries, id: string): Promise<AuthUser | null> {
  return readUser(database, 'u.id = $1::uuid', id)
}

/** @param email in lower case */
export function readUserByEmail(database: Queries, email: string): Promise<AuthUser | null> {
  return readUser(database, 'u.email = $1::text and not u.is_sso_user', email)
}

async function readUser(database: Queries, condition: string, value: string): Promise<AuthUser | null> {
  const text = `select ${userColumns} from auth.users as u where ${condition} and u.deleted_at is null`
  const [row] = await database.query({ text, values: [value], readOnly: true })
  return row === undefined ? null : userOf(row)
}

/** A page of users, newest first, and how many there are. */
export async function readUsers(
  database: Queries,
  { page, perPage }: { readonly page: number; readonly perPage: number },
): Promise<{ readonly users: readonly AuthUser[]; readonly total: number }> {
  const rows = await database.query({
    text: `select c.total, ${userColumns}
      from (select count(*) as total from auth.users where deleted_at is null) as c
      left join (select * from auth.users where deleted_at is null
        order by created_at desc, id limit $1::bigint offset $2::bigint) as u on true
      order by u.created_at desc, u.id`,
    values: [String(perPage), String((page - 1) * perPage)],
    readOnly: true,
  })
  return { users: rows.filter(({ id }) => id !== null).map(userOf), total: Number(rows[0]?.total ?? 0) }
}

/** Null when the address, or the id, is somebody's already. `now` is ISO 8601. */
export async function createUser(
  database: Queries,
  user: Pick<AuthUser, 'id' | 'email' | 'passwordHash' | 'bannedUntil' | 'appMetadata' | 'userMetadata'>,
  { now, confirmed }: { readonly now: string; readonly confirmed: boolean },
): Promise<AuthUser | null> {
  const [row] = await database.query({
    text: `insert into auth.users as u (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at,
        banned_until, raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
      values ('00000000-0000-0000-0000-000000000000', $1::uuid, 'authenticated', 'authenticated', $2::text, $3::text,
        $4::timestamptz, $5::timestamptz, $6::jsonb, $7::jsonb, $8::timestamptz, $8::timestamptz)
      on conflict do nothing returning ${userColumns}`,
    values: [
      user.id,
      user.email,
      user.passwordHash,
      confirmed ? now : null,
      user.bannedUntil,
      JSON.stringify(user.appMetadata),
      JSON.stringify(user.userMetadata),
      now,
    ],
  })
  return row === undefined ? null : userOf(row)
}

/**
 * Changes a user; with the password go the user's sessions, all but `keptSession`. Null when there is no such user.
 * @throws DatabaseError 23505 when the address is somebody else's
 */
export async function updateUser(
  database: Queries,
  id: string,
  change: UserChange,
  { now, keptSession }: { readonly now: string; readonly keptSession: string | null },
): Promise<AuthUser | null> {
  const [row] = await database.query({
    text: `with ended as (
        delete from auth.sessions where user_id = $1::uuid and $2::text is not null and id is distinct from $3::uuid
      ), forgotten as (
        delete from auth.one_time_tokens where user_id = $1::uuid and coalesce($2::text, $4::text) is not null
      )
      update auth.users as u set encrypted_password = coalesce($2::text, u.encrypted_password),
        email = coalesce($4::text, u.email),
        email_confirmed_at = case when $5::boolean then coalesce(u.email_confirmed_at, $6::timestamptz)
          else u.email_confirmed_at end,
        banned_until = case when $7::boolean then $8::timestamptz else u.banned_until end,
        raw_app_meta_data = coalesce($9::jsonb, u.raw_app_meta_data),
        raw_user_meta_data = coalesce($10::jsonb, u.raw_user_meta_data),
        updated_at = $6::timestamptz
      where u.id = $1::uuid and u.deleted_at is null
      returning ${userColumns}`,
    values: [
      id,
      change.passwordHash ?? null,
      keptSession,
      change.email ?? null,
      String(change.confirmed === true),
      now,
      String(change.bannedUntil !== undefined),
      change.bannedUntil ?? null,
      change.appMetadata === undefined ? null : JSON.stringify(change.appMetadata),
      change.userMetadata === undefined ? null : JSON.stringify(change.userMetadata),
    ],
  })
  return row === undefined ? null : userOf(row)
}

/** With everything that is the user's; false when there is none. */
export async function deleteUser(database: Queries, id: string): Promise<boolean> {
  const rows = await database.query({
    text: 'delete from auth.users where id = $1::uuid returning id',
    values: [id],
  })
  return rows.length > 0
}

function instantOf(value: unknown): string | null {
  if (!(value instanceof Date)) return null
  return Number.isNaN(value.getTime()) ? null : value.toISOString()
}

/** jsonb comes as text. */
function metadataOf(value: unknown): Metadata {
  return typeof value === 'string' ? (JSON.parse(value) as Metadata) : {}
}
