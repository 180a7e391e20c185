import { assert } from '../../src/core/result.ts'

/** What a page must know before it can ask for anything. Nothing here is secret. */
export type PageConfig = {
  /** The address of Auth, Realtime and REST, without a path; null where it is the page's own. */
  readonly supabaseUrl: string | null
  /** `sb_publishable_...`, or the legacy anon JWT. */
  readonly publishableKey: string
}

/**
 * The body of `/config.json`. The functions have no address in it: they answer where the page does. Throws for a key that
 * opens everything: it was set in the place of the other.
 */
export function pageConfigOf({ supabaseUrl, publishableKey }: PageConfig) {
  assert(!isSecret(publishableKey), 'the publishable key is no secret one')
  return { supabase_url: supabaseUrl?.replace(/\/+$/, '') ?? null, publishable_key: publishableKey }
}

/** `sb_secret_...`, or a legacy JWT whose claims say so. */
function isSecret(key: string): boolean {
  const claims = key.split('.')[1]?.replaceAll('-', '+').replaceAll('_', '/') ?? ''
  try {
    return key.startsWith('sb_secret_') || /"role"\s*:\s*"service_role"/.test(atob(claims))
  } catch {
    return false
  }
}
