/** What a page must know before it can ask for anything. Nothing here is secret. */
export type PageConfig = {
  /** The project's address, without a path; null where it is the page's own. */
  readonly supabaseUrl: string | null
  /** `sb_publishable_...`, or the legacy anon JWT. */
  readonly publishableKey: string
  /** Whose `/functions/v1/` answers; null, the default, where it is the page's own. */
  readonly functionsUrl?: string | null
}

/** The body of `/config.json`: addresses without a path, null for the page's own origin. */
export function pageConfigOf({ supabaseUrl, publishableKey, functionsUrl = null }: PageConfig) {
  return {
    supabase_url: withoutSlash(supabaseUrl),
    publishable_key: publishableKey,
    functions_url: withoutSlash(functionsUrl),
  }
}

function withoutSlash(address: string | null): string | null {
  return address === null ? null : address.replace(/\/+$/, '')
}
