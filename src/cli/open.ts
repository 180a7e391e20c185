import type { GoTrueAdminApi } from '@supabase/supabase-js'
import type { Command } from 'commander'
import { signInCodeSeconds } from '../core/limit.ts'
import { readSettings, type StackSettings } from './stack_client.ts'

type OpenOptions = { readonly url?: string; readonly email?: string; readonly json?: boolean }

/** A link to the dashboard that signs a member in, once. */
export type SignInLink = {
  readonly url: string
  /** ISO 8601. At a hosted project the setting of its Auth decides, which may be later. */
  readonly expiresAt: string
}

/** `telltale open`: a link that signs in, for the embedded stack or a hosted one. */
export function registerOpen(program: Command): void {
  program
    .command('open')
    .description('print a link to the dashboard that signs in, once')
    .option('--email <address>', 'whom it signs in (default: TELLTALE_VIEWER_EMAIL)')
    .option('--url <address>', 'where the dashboard is (default: TELLTALE_URL)')
    .option('--json', 'as one JSON object: url, expires_at')
    .action((options: OpenOptions) => openCommand(options))
}

async function openCommand({ url, email, json }: OpenOptions): Promise<void> {
  const settings = await readSettings()
  const link = await createSignInLink({
    ...settings,
    ...(url === undefined ? {} : { TELLTALE_URL: url }),
    ...(email === undefined ? {} : { TELLTALE_VIEWER_EMAIL: email }),
  })
  process.stdout.write(`${json === true ? JSON.stringify({ url: link.url, expires_at: link.expiresAt }) : link.url}\n`)
  process.stderr.write(`telltale: it signs in once, within ${signInCodeSeconds / 60} minutes\n`)
}

/**
 * Makes a link that signs TELLTALE_VIEWER_EMAIL in at TELLTALE_URL; the link before it works no more.
 * @throws Error when a setting is missing, when nobody has the address, or when Auth cannot be reached
 */
export async function createSignInLink(settings: StackSettings): Promise<SignInLink> {
  const { TELLTALE_URL: url, TELLTALE_VIEWER_EMAIL: email } = settings
  if (!url || !/^https?:\/\//.test(url)) {
    throw new Error(`Cannot make link: TELLTALE_URL is ${url ? `no http address: ${url}` : 'not set'}`)
  }
  if (!email) throw new Error('Cannot make link: TELLTALE_VIEWER_EMAIL is not set')
  const { code, expiresAt } = await createCode(await authAdminOf(settings), email)
  return { url: `${url.replace(/\/+$/, '')}/#code=${code}`, expiresAt }
}

export type SignInCode = { readonly code: string; readonly expiresAt: string; readonly userId: string }

/** A code that signs a user in, once. @throws Error when nobody has the address, or when Auth cannot be reached */
export async function createCode(admin: GoTrueAdminApi, email: string): Promise<SignInCode> {
  const expiresAt = new Date(Date.now() + signInCodeSeconds * 1_000).toISOString()
  const { data, error } = await admin.generateLink({ type: 'magiclink', email })
  if (error?.code === 'user_not_found') {
    throw new Error(`Cannot make link: ${email} is no user; \`telltale members add ${email}\` makes them one`)
  }
  if (error) throw new Error(`Cannot make link for ${email}: ${error.message}`)
  return { code: data.properties.hashed_token, expiresAt, userId: data.user.id }
}

/** The operator's side of Auth. @throws Error when the settings name no stack */
export async function authAdminOf(settings: StackSettings): Promise<GoTrueAdminApi> {
  const url = settings.SUPABASE_URL
  const key = settings.SUPABASE_SECRET_KEY ?? settings.SUPABASE_SERVICE_ROLE_KEY
  if (!url || !key) {
    throw new Error('Cannot reach Auth: SUPABASE_URL and SUPABASE_SECRET_KEY are not set, and no local.env is there')
  }
  const { createClient } = await import('@supabase/supabase-js')
  return createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false } })
    .auth.admin
}
