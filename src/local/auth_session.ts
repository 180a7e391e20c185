import { randomUUID } from 'node:crypto'
import { sessionDaysUnused, sessionsPerUserMax, signInCodeSeconds, userAgentCharactersMax } from '../core/limit.ts'
import { type AuthUser, userColumns, userOf } from './auth_user.ts'
import type { Database, Row } from './database.ts'

/** How the user of a session proved who they are, and when, in seconds since the epoch. */
export type Proof = { readonly method: string; readonly timestamp: number }

/** A sign-in that holds. */
export type AuthSession = {
  readonly id: string
  readonly aal: string
  readonly amr: readonly Proof[]
  /** Which of its refresh tokens is good. */
  readonly counter: number
  /** When its tokens were last renewed, in ms; null: never. */
  readonly refreshedAt: number | null
  readonly user: AuthUser
}

type Queries = Pick<Database, 'query'>
type Begin = { /** In ms. */ readonly now: number; readonly userAgent: string | null }

/** Begins a session for a user whose password was right; null when the user or the password changed since. */
export function beginWithPassword(database: Queries, user: AuthUser, begin: Begin): Promise<AuthSession | null> {
  const signed = `signed as (
      update auth.users as u set last_sign_in_at = $2::timestamptz, updated_at = $2::timestamptz
      where u.id = $5::uuid and u.encrypted_password = $6::text and u.deleted_at is null returning u.*)`
  return beginSession(database, { signed, method: 'password', values: [user.id, user.passwordHash], begin })
}

/**
 * Begins a session for whoever brings a code, by its hash, and uses the code up: once, within `signInCodeSeconds`. It
 * also confirms the address, to which the code was given. Null when there is no such code any more.
 */
export function beginWithCode(database: Queries, hash: string, begin: Begin): Promise<AuthSession | null> {
  const signed = `used as (
      delete from auth.one_time_tokens where token_hash = $5::text and token_type = 'recovery_token'
        and created_at > $2::timestamptz at time zone 'UTC' - ${signInCodeSeconds} * interval '1 second'
      returning user_id
    ), signed as (
      update auth.users as u set last_sign_in_at = $2::timestamptz, updated_at = $2::timestamptz,
        email_confirmed_at = coalesce(u.email_confirmed_at, $2::timestamptz)
      from used where u.id = used.user_id and u.deleted_at is null
        and (u.banned_until is null or u.banned_until <= $2::timestamptz) returning u.*)`
  return beginSession(database, { signed, method: 'otp', values: [hash], begin })
}

type Entry = {
  /** Common table expressions, the last `signed`: the user who signs in. */
  readonly signed: string
  readonly method: string
  /** From $5 on. */
  readonly values: readonly (string | null)[]
  readonly begin: Begin
}

/** One statement, so that a code is used up and a password counts exactly when there is a session. */
async function beginSession(database: Queries, { signed, method, values, begin }: Entry): Promise<AuthSession | null> {
  const id = randomUUID()
  const { now, userAgent } = begin
  const [row] = await database.query({
    text: `with ${signed}, begun as (
        insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, refresh_token_counter)
        select $1::uuid, id, $2::timestamptz, $2::timestamptz, 'aal1', $3::text, 0 from signed returning id
      ), proved as (
        insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
        select pg_catalog.gen_random_uuid(), id, $2::timestamptz, $2::timestamptz, $4::text from begun
      ), ended as (
        delete from auth.sessions where id in (
          select o.id from (
            select s.id, coalesce(s.refreshed_at, s.created_at at time zone 'UTC') as used_at,
              row_number() over (order by coalesce(s.refreshed_at, s.created_at at time zone 'UTC') desc) as place
            from auth.sessions as s join signed on s.user_id = signed.id) as o
          where o.place >= ${sessionsPerUserMax}
            or o.used_at < $2::timestamptz at time zone 'UTC' - ${sessionDaysUnused} * interval '1 day')
      )
      select ${userColumns} from signed as u`,
    values: [id, new Date(now).toISOString(), userAgent?.slice(0, userAgentCharactersMax) ?? null, method, ...values],
  })
  if (row === undefined) return null
  const amr = [{ method, timestamp: Math.floor(now / 1_000) }]
  return { id, aal: 'aal1', amr, counter: 0, refreshedAt: null, user: userOf(row) }
}

/** @param now in ms */
export async function readSession(database: Queries, id: string, now: number): Promise<AuthSession | null> {
  const [row] = await database.query({
    text: `select s.id as session_id, s.aal, s.refresh_token_counter, ${userColumns},
        extract(epoch from s.refreshed_at) * 1000 as refreshed_ms,
        (select jsonb_agg(jsonb_build_object('method', c.authentication_method,
            'timestamp', floor(extract(epoch from c.updated_at))) order by c.updated_at desc)
          from auth.mfa_amr_claims as c where c.session_id = s.id) as amr
      from auth.sessions as s join auth.users as u on u.id = s.user_id
      where s.id = $1::uuid and (s.not_after is null or s.not_after > $2::timestamptz) and u.deleted_at is null`,
    values: [id, new Date(now).toISOString()],
    readOnly: true,
  })
  return row === undefined ? null : sessionOf(row)
}

function sessionOf(row: Row): AuthSession {
  return {
    id: String(row.session_id),
    aal: String(row.aal ?? 'aal1'),
    amr: typeof row.amr === 'string' ? (JSON.parse(row.amr) as Proof[]) : [],
    counter: Number(row.refresh_token_counter ?? 0),
    refreshedAt: row.refreshed_ms === null ? null : Number(row.refreshed_ms),
    user: userOf(row),
  }
}

/** Takes the step from one refresh token to the next; false when somebody else took it, or the session ended. */
export async function rotateSession(database: Queries, { id, counter }: AuthSession, now: number): Promise<boolean> {
  const rows = await database.query({
    text: `update auth.sessions set refresh_token_counter = refresh_token_counter + 1,
        refreshed_at = $3::timestamptz at time zone 'UTC', updated_at = $3::timestamptz
      where id = $1::uuid and refresh_token_counter = $2::bigint returning id`,
    values: [id, String(counter), new Date(now).toISOString()],
  })
  return rows.length > 0
}

/** `global`: all of the user's sessions, `others`: all but this one, `local`: this one. */
export type LogoutScope = 'global' | 'local' | 'others'

export async function endSessions(
  database: Queries,
  { userId, sessionId, scope }: { readonly userId: string; readonly sessionId: string | null; scope: LogoutScope },
): Promise<void> {
  const condition = { global: 'true', local: 'id = $2::uuid', others: 'id is distinct from $2::uuid' }[scope]
  await database.query({
    text: `delete from auth.sessions where user_id = $1::uuid and ($2::uuid is null or ${condition})`,
    values: [userId, sessionId],
  })
}

/** Keeps the hash of a user's code; the code before it is good no more. */
export async function keepCode(database: Queries, user: AuthUser, hash: string, now: number): Promise<void> {
  await database.query({
    text: `insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to, created_at, updated_at)
      values (pg_catalog.gen_random_uuid(), $1::uuid, 'recovery_token', $2::text, $3::text,
        $4::timestamptz at time zone 'UTC', $4::timestamptz at time zone 'UTC')
      on conflict (user_id, token_type) do update set token_hash = excluded.token_hash,
        relates_to = excluded.relates_to, created_at = excluded.created_at, updated_at = excluded.updated_at`,
    values: [user.id, hash, user.email, new Date(now).toISOString()],
  })
}
