import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { accessTokenSeconds, authBodyBytesMax, refreshReuseSeconds } from '../core/limit.ts'
import { adminApp } from './auth_admin.ts'
import { createAttemptLimit } from './auth_attempt.ts'
import { AuthError, answerOf, authErrorOf } from './auth_error.ts'
import { hashPassword, isPassword } from './auth_password.ts'
import {
  isUuid,
  mergedMetadata,
  parseBody,
  parseOwnChange,
  parsePasswordGrant,
  parseRefreshGrant,
  parseScope,
  parseVerification,
  wrongPassword,
} from './auth_request.ts'
import {
  type AuthSession,
  beginWithCode,
  beginWithPassword,
  endSessions,
  readSession,
  rotateSession,
} from './auth_session.ts'
import { createTokens, hashOfCode, type Tokens } from './auth_token.ts'
import { type AuthUser, isBanned, readUserByEmail, readUserById, updateUser, userAnswerOf } from './auth_user.ts'
import { createCallerReader } from './claims.ts'
import type { Database } from './database.ts'
import { type ProjectKeys, publicJwksOf } from './project_key.ts'
import { RestError } from './rest_error.ts'

export type AuthOptions = {
  readonly database: Pick<Database, 'query'>
  readonly keys: ProjectKeys
  /** The gateway's address, to which `/auth/v1` is added: the issuer of the tokens. */
  readonly url: string
  /** ms since the epoch. */
  readonly clock?: () => number
}

/** What the routes share. */
export type AuthScope = {
  readonly database: Pick<Database, 'query'>
  readonly tokens: Tokens
  readonly url: string
  readonly clock: () => number
}

/**
 * The part of Supabase Auth that supabase-js uses with addresses and passwords: sign-in, renewal, links that sign in
 * once, sign-out, and the operator's list of users. Nobody signs up by themselves and no mail is sent.
 * Every request carries the project's `apikey`, as Supabase's gateway wants it; the public keys and the health do not.
 * @see https://github.com/supabase/auth
 */
export function authApp({ database, keys, url, clock = Date.now }: AuthOptions): Hono {
  const scope: AuthScope = { database, tokens: createTokens(keys, `${url}/auth/v1`), url, clock }
  const app = new Hono()
  app.onError((error, context) => answerOf(context, authErrorOf(error)))
  app.notFound((context) => answerOf(context, new AuthError(404, 'validation_failed', 'Nothing is served there')))

  app.get('/.well-known/jwks.json', (context) =>
    context.json(publicJwksOf(keys), 200, { 'Cache-Control': 'public, max-age=600' }),
  )
  app.get('/health', (context) =>
    context.json({ name: 'Telltale Auth', description: 'The embedded stand-in for Supabase Auth' }),
  )
  app.use(requireKey(keys))
  app.use(
    bodyLimit({
      maxSize: authBodyBytesMax,
      onError: (context) =>
        answerOf(context, new AuthError(413, 'validation_failed', `Body is over ${authBodyBytesMax} bytes`)),
    }),
  )
  app.get('/settings', (context) => context.json(settings))
  app.post('/token', tokenRoute(scope))
  app.post('/verify', async (context) => {
    const hash = hashOfCode(parseVerification(parseBody(await context.req.text())))
    const session = await beginWithCode(database, hash, beginOf(context, clock))
    if (session === null) throw new AuthError(403, 'otp_expired', 'Email link is invalid or has expired')
    return sessionAnswer(context, scope, session)
  })
  app.get('/user', async (context) => context.json(userAnswerOf((await readCaller(context, scope)).user)))
  app.put('/user', (context) => changeOwnUser(context, scope))
  app.post('/logout', async (context) => {
    const { user, sessionId } = await readCaller(context, scope)
    await endSessions(database, { userId: user.id, sessionId, scope: parseScope(context.req.query('scope')) })
    return context.body(null, 204)
  })
  app.post('/signup', () => {
    throw new AuthError(422, 'signup_disabled', 'Signups not allowed for this instance')
  })
  for (const path of ['/otp', '/magiclink', '/recover']) {
    app.post(path, () => {
      throw new AuthError(422, 'otp_disabled', 'No mail is sent here; `telltale open` makes a link that signs in')
    })
  }
  app.route('/admin', adminApp(scope, keys))
  return app
}

/** Supabase's gateway refuses in its own shape, before Auth sees anything. */
function requireKey(keys: ProjectKeys) {
  const readCallerOfKey = createCallerReader(keys)
  return async (context: Context, next: () => Promise<void>) => {
    const apikey = context.req.header('apikey')
    try {
      await readCallerOfKey(new Headers(apikey === undefined ? {} : { apikey }))
    } catch (error) {
      if (!(error instanceof RestError)) throw error
      return context.json({ message: error.message, hint: error.hint ?? error.details }, 401)
    }
    return next()
  }
}

function tokenRoute(scope: AuthScope) {
  const attempts = createAttemptLimit(scope.clock)
  const { database, clock } = scope
  return async (context: Context): Promise<Response> => {
    const grant = context.req.query('grant_type')
    if (grant === 'refresh_token') {
      const text = parseRefreshGrant(parseBody(await context.req.text()))
      return sessionAnswer(context, scope, await renew(scope, text))
    }
    if (grant !== 'password') throw new AuthError(400, 'invalid_credentials', 'unsupported_grant_type')

    const { email, password } = parsePasswordGrant(parseBody(await context.req.text()))
    const user = await readUserByEmail(database, email)
    const right = await isPassword(password, user?.passwordHash ?? null, () => attempts.refusalOf(email))
    if (user === null || !right) {
      attempts.note(email)
      throw wrongPassword()
    }
    if (isBanned(user, clock())) throw new AuthError(400, 'user_banned', 'User is banned')
    if (user.confirmedAt === null) throw new AuthError(400, 'email_not_confirmed', 'Email not confirmed')
    const session = await beginWithPassword(database, user, beginOf(context, clock))
    if (session === null) throw wrongPassword()
    return sessionAnswer(context, scope, session)
  }
}

/**
 * The session of a refresh token, one step on. A token that was used already is taken, for the session's newest, when it
 * is the last one (its answer may have been lost) or within `refreshReuseSeconds` of the last step (several tabs); any
 * older one was copied, and ends the session.
 * @see https://supabase.com/docs/guides/auth/sessions#what-is-refresh-token-reuse-detection-and-what-does-it-protect-from
 */
async function renew({ database, tokens, clock }: AuthScope, text: string): Promise<AuthSession> {
  const token = tokens.parseRefresh(text)
  const unknown = new AuthError(400, 'refresh_token_not_found', 'Invalid Refresh Token: Refresh Token Not Found')
  if (token === null) throw unknown
  for (;;) {
    const now = clock()
    const session = await readSession(database, token.sessionId, now)
    if (session === null || session.counter < token.counter) throw unknown
    if (isBanned(session.user, now)) throw new AuthError(400, 'user_banned', 'Invalid Refresh Token: User Banned')
    const behind = session.counter - token.counter
    const fresh = session.refreshedAt !== null && now - session.refreshedAt < refreshReuseSeconds * 1_000
    if (behind === 1 || (behind > 1 && fresh)) return session
    if (behind > 1) {
      await endSessions(database, { userId: session.user.id, sessionId: session.id, scope: 'local' })
      throw new AuthError(400, 'refresh_token_already_used', 'Invalid Refresh Token: Already Used')
    }
    if (await rotateSession(database, session, now)) return { ...session, counter: session.counter + 1 }
    // Another took this step at the same moment: read again what came of it.
  }
}

async function sessionAnswer(context: Context, { tokens, clock }: AuthScope, session: AuthSession): Promise<Response> {
  const now = clock()
  const body = {
    access_token: await tokens.signAccess(session, now),
    token_type: 'bearer',
    expires_in: accessTokenSeconds,
    expires_at: Math.floor(now / 1_000) + accessTokenSeconds,
    refresh_token: tokens.refreshTextOf({ sessionId: session.id, counter: session.counter }),
    user: userAnswerOf(session.user),
  }
  return context.json(body, 200, { 'Cache-Control': 'no-store' })
}

type SignedInCaller = { readonly user: AuthUser; readonly sessionId: string | null }

/** Who asks, by the bearer token, whose session must still be there. */
async function readCaller(context: Context, { database, tokens, clock }: AuthScope): Promise<SignedInCaller> {
  const token = /^bearer +(\S+)\s*$/i.exec(context.req.header('authorization') ?? '')?.[1]
  if (token === undefined) throw new AuthError(401, 'no_authorization', 'This endpoint requires a valid Bearer token')
  // A key in the place of a token is nobody in particular.
  if (token === context.req.header('apikey')) throw new AuthError(403, 'bad_jwt', 'invalid claim: missing sub claim')
  const now = clock()
  const { sub, session_id: sessionId } = await tokens.readClaims(token, now)
  if (!isUuid(sub)) throw new AuthError(403, 'bad_jwt', 'invalid claim: sub claim must be a UUID')
  const session = isUuid(sessionId) ? await readSession(database, sessionId, now) : null
  const user = session?.user ?? (await readUserById(database, sub))
  if (user === null) throw new AuthError(403, 'user_not_found', 'User from sub claim in JWT does not exist')
  if (user.id !== sub || (session === null && sessionId !== undefined)) {
    throw new AuthError(403, 'session_not_found', 'Session from session_id claim in JWT does not exist')
  }
  if (isBanned(user, now)) throw new AuthError(403, 'user_banned', 'User is banned')
  return { user, sessionId: session?.id ?? null }
}

async function changeOwnUser(context: Context, scope: AuthScope): Promise<Response> {
  const { database, clock } = scope
  const { user, sessionId } = await readCaller(context, scope)
  const { password, userMetadata } = parseOwnChange(parseBody(await context.req.text()))
  if (password !== undefined && (await isPassword(password, user.passwordHash))) {
    throw new AuthError(422, 'same_password', 'New password should be different from the old password.')
  }
  const change = {
    passwordHash: password === undefined ? undefined : await hashPassword(password),
    userMetadata: mergedMetadata(user.userMetadata, userMetadata),
  }
  const now = new Date(clock()).toISOString()
  const changed = await updateUser(database, user.id, change, { now, keptSession: sessionId })
  if (changed === null) throw new AuthError(403, 'user_not_found', 'User from sub claim in JWT does not exist')
  return context.json(userAnswerOf(changed))
}

function beginOf(context: Context, clock: () => number) {
  const userAgent = context.req.header('user-agent')
  return { now: clock(), userAgent: userAgent ?? null }
}

const settings = {
  external: { email: true, phone: false, anonymous_users: false },
  disable_signup: true,
  mailer_autoconfirm: false,
  phone_autoconfirm: false,
  sms_provider: '',
  saml_enabled: false,
}
