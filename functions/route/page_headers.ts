/** Where the page's data comes from: the project's address without a path, null where it is the page's own. */
export type PageSource = { readonly supabaseUrl: string | null }

/**
 * What every answer to a page carries. The policy lets a page run its own files and nothing else: no inline script or
 * style, no frame around it, and no connection but to itself and to its project (Content Security Policy Level 3).
 */
export function pageHeaders({ supabaseUrl }: PageSource): Record<string, string> {
  return {
    'Content-Security-Policy': [
      "default-src 'self'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data:",
      ["connect-src 'self'", ...connectionsOf(supabaseUrl)].join(' '),
      "object-src 'none'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "form-action 'self'",
      // Lit makes a policy of its own for its templates; nothing else writes markup.
      "require-trusted-types-for 'script'",
    ].join('; '),
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    'Cross-Origin-Opener-Policy': 'same-origin',
  }
}

/** Files under `/assets/` have the hash of their content in their name; all else may change with the next build. */
export function cacheControlOf(path: string, status = 200): string {
  return path.startsWith('/assets/') && (status === 200 || status === 304)
    ? 'public, max-age=31536000, immutable'
    : 'no-cache'
}

/** Over HTTP, and over WebSocket, which older browsers do not count as the same origin. */
function connectionsOf(supabaseUrl: string | null): string[] {
  if (supabaseUrl === null) return []
  const { origin } = new URL(supabaseUrl)
  return [origin, origin.replace(/^http/, 'ws')]
}
