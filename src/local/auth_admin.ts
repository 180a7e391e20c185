import { randomUUID } from 'node:crypto'
import { type Context, Hono } from 'hono'
import type { AuthScope } from './auth.ts'
import { AuthError } from './auth_error.ts'
import { hashPassword } from './auth_password.ts'
import {
  isUuid,
  mergedMetadata,
  parseBody,
  parseEmail,
  parsePage,
  parseUserId,
  parseUserRequest,
  type UserRequest,
} from './auth_request.ts'
import { keepCode } from './auth_session.ts'
import { createSignInCode } from './auth_token.ts'
import {
  createUser,
  deleteUser,
  readUserByEmail,
  readUserById,
  readUsers,
  updateUser,
  userAnswerOf,
} from './auth_user.ts'
import { createCallerReader } from './claims.ts'
import { DatabaseError } from './database.ts'
import type { ProjectKeys } from './project_key.ts'
import { RestError } from './rest_error.ts'

/** What only the project's secret key opens: the list of users, and links that sign them in. */
export function adminApp(scope: AuthScope, keys: ProjectKeys): Hono {
  const { database } = scope
  const app = new Hono()
  app.use(requireSecretKey(keys))
  app.post('/generate_link', (context) => createLink(context, scope))
  app.get('/users', async (context) => {
    const page = parsePage(context.req.query())
    const { users, total } = await readUsers(database, page)
    return context.json({ users: users.map(userAnswerOf), aud: 'authenticated' }, 200, {
      'X-Total-Count': String(total),
      Link: linksOf(`${scope.url}/auth/v1/admin/users`, page, total),
    })
  })
  app.post('/users', (context) => addUser(context, scope))
  app.get('/users/:id', async (context) => {
    const user = await readUserById(database, parseUserId(context.req.param('id')))
    if (user === null) throw noUser()
    return context.json(userAnswerOf(user))
  })
  app.put('/users/:id', (context) => changeUser(context, scope))
  app.delete('/users/:id', async (context) => {
    const id = parseUserId(context.req.param('id'))
    const text = await context.req.text()
    if (text !== '' && parseBody(text).should_soft_delete === true) {
      throw new AuthError(400, 'validation_failed', 'Cannot delete user softly: a user goes whole')
    }
    if (!(await deleteUser(database, id))) throw noUser()
    return context.json({})
  })
  return app
}

/** The secret key itself, or with it a token that has its role: not a user's token beside it. */
function requireSecretKey(keys: ProjectKeys) {
  const readCaller = createCallerReader(keys)
  return async (context: Context, next: () => Promise<void>) => {
    const caller = await readCaller(context.req.raw.headers).catch((error: unknown) => {
      if (!(error instanceof RestError)) throw error
      throw new AuthError(403, 'bad_jwt', `invalid JWT: unable to parse or verify signature, ${error.message}`)
    })
    if (caller.role !== 'service_role') throw new AuthError(403, 'not_admin', 'User not allowed')
    return next()
  }
}

/**
 * A link that signs a user in once: its code as `hashed_token`, for verifyOtp, and the link to the dashboard that brings
 * it. Nobody is made by it.
 */
async function createLink(context: Context, { database, url, clock }: AuthScope): Promise<Response> {
  const body = parseBody(await context.req.text())
  const { type } = body
  if (type !== 'magiclink' && type !== 'recovery') {
    throw new AuthError(400, 'validation_failed', 'Invalid email action link type requested')
  }
  const user = await readUserByEmail(database, parseEmail(body.email))
  if (user === null) throw new AuthError(404, 'user_not_found', 'User with this email not found')
  const { code, hash } = createSignInCode()
  await keepCode(database, user, hash, clock())
  const link = {
    action_link: `${url}/#code=${code}`,
    // Six digits would have to be guarded like a password; nothing here asks for them.
    email_otp: '',
    hashed_token: code,
    redirect_to: url,
    verification_type: type,
  }
  return context.json({ ...userAnswerOf(user), ...link }, 200, { 'Cache-Control': 'no-store' })
}

async function addUser(context: Context, { database, clock }: AuthScope): Promise<Response> {
  const body = parseBody(await context.req.text())
  const request = parseUserRequest(body)
  if (request.email === undefined) {
    throw new AuthError(400, 'validation_failed', 'Cannot create a user without either an email or phone')
  }
  if (body.id !== undefined && !isUuid(body.id)) throw new AuthError(400, 'validation_failed', 'ID must be an UUID')
  const user = {
    id: body.id ?? randomUUID(),
    email: request.email,
    passwordHash: request.password === undefined ? null : await hashPassword(request.password),
    bannedUntil: bannedUntilOf(request, clock()) ?? null,
    appMetadata: mergedMetadata({ provider: 'email', providers: ['email'] }, request.appMetadata ?? {}) ?? {},
    userMetadata: mergedMetadata({}, request.userMetadata ?? {}) ?? {},
  }
  const now = new Date(clock()).toISOString()
  const created = await createUser(database, user, { now, confirmed: request.confirmed === true })
  if (created === null) throw emailTaken()
  return context.json(userAnswerOf(created))
}

async function changeUser(context: Context, { database, clock }: AuthScope): Promise<Response> {
  const id = parseUserId(context.req.param('id'))
  const request = parseUserRequest(parseBody(await context.req.text()))
  const user = await readUserById(database, id)
  if (user === null) throw noUser()
  const change = {
    email: request.email,
    passwordHash: request.password === undefined ? undefined : await hashPassword(request.password),
    confirmed: request.confirmed,
    bannedUntil: bannedUntilOf(request, clock()),
    appMetadata: mergedMetadata(user.appMetadata, request.appMetadata),
    userMetadata: mergedMetadata(user.userMetadata, request.userMetadata),
  }
  const now = new Date(clock()).toISOString()
  const changed = await updateUser(database, id, change, { now, keptSession: null }).catch((error: unknown) => {
    throw error instanceof DatabaseError && error.code === '23505' ? emailTaken() : error
  })
  if (changed === null) throw noUser()
  return context.json(userAnswerOf(changed))
}

function bannedUntilOf({ banMs }: UserRequest, now: number): string | null | undefined {
  return banMs === undefined || banMs === null ? banMs : new Date(now + banMs).toISOString()
}

/** RFC 8288, as auth-js reads it: `page` is the first parameter. */
function linksOf(address: string, { page, perPage }: { page: number; perPage: number }, total: number): string {
  const last = Math.max(1, Math.ceil(total / perPage))
  const linkTo = (n: number, rel: string) => `<${address}?page=${n}&per_page=${perPage}>; rel="${rel}"`
  return [...(page < last ? [linkTo(page + 1, 'next')] : []), linkTo(last, 'last')].join(', ')
}

function noUser(): AuthError {
  return new AuthError(404, 'user_not_found', 'User not found')
}

function emailTaken(): AuthError {
  return new AuthError(422, 'email_exists', 'A user with this email address has already been registered')
}
