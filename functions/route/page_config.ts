/** What a page must know before it can ask for anything. Nothing here is secret. */
export type PageConfig = {
  /** The address of Auth, Realtime and REST, without a path; null where it is the page's own. */
  readonly supabaseUrl: string | null
  /** `sb_publishable_...`, or the legacy anon JWT. */
  readonly publishableKey: string
}

/** The body of `/config.json`. The functions have no address in it: they answer where the page does. */
export function pageConfigOf({ supabaseUrl, publishableKey }: PageConfig) {
  return { supabase_url: supabaseUrl?.replace(/\/+$/, '') ?? null, publishable_key: publishableKey }
}
