// What secrets look like by their own form. Every pattern runs in linear time: no two unbounded parts touch, and a run
// of token characters is entered at its start only.

export const redacted = '[redacted]'

/** One cheap test that says whether any of `forms` could match. */
const suspicious =
  /earer|uthorization|sk-|sb_secret_|tt_|eyJ|A[KS]IA|gh[opusr]_|github_pat_|glpat-|npm_|AIza|xox|PRIVATE KEY|:\/\/[^\s/@]+@|[0-9a-f]\.[0-9a-z]{16}|(?:passw(?:or)?d|passphrase|secret|token|pwd|api[_-]?key|jwt|cookie)\\{0,4}["']?[ \t]{0,4}[:=]/i

const forms: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|$)/g, redacted],
  [/\b(bearer)[ \t]{1,4}[A-Za-z0-9._~+/=-]{8,}/gi, `$1 ${redacted}`],
  [
    /\b(authorization["']?[ \t]{0,4}[:=][ \t]{0,4}["']?(?:basic|digest|token))[ \t]{1,4}[^\s"',;]{4,}/gi,
    `$1 ${redacted}`,
  ],
  [/(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?/g, redacted],
  [/\bsk-[A-Za-z0-9_-]{16,}/g, redacted],
  [/\bsb_secret_[A-Za-z0-9_-]{8,}/g, redacted],
  [/\btt_[a-z0-9]{12}_[A-Za-z0-9_-]{20,}/g, redacted],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, redacted],
  [
    /\b(?:gh[opusr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{36})/g,
    redacted,
  ],
  [/\bAIza[A-Za-z0-9_-]{30,}/g, redacted],
  [/\bxox[a-z]-[A-Za-z0-9-]{8,}/g, redacted],
  // The key of a GLM account: id, dot, secret.
  [/\b[0-9a-f]{32}\.[A-Za-z0-9]{16}\b/g, redacted],
  [/(:\/\/[^\s:@/]{0,256}):[^\s@/]{1,512}@/g, `$1:${redacted}@`],
  // Quotes may be escaped: JSON is often quoted in JSON.
  [
    /(\b(?:[a-z_]{0,32}_)?(?:password|passwd|passphrase|pwd|secret)\\{0,4}["']?[ \t]{0,4}[:=][ \t]{0,4}\\{0,4}["']?)[^\s"',;&]{4,}/gi,
    `$1${redacted}`,
  ],
  // A value without a digit is a word: "Unexpected token: identifier" stays.
  [
    /(\b(?:[a-z_]{0,32}_)?(?:token|api[_-]?key|jwt|cookie)\\{0,4}["']?[ \t]{0,4}[:=][ \t]{0,4}\\{0,4}["']?)(?=[^\s"',;&]{0,64}\d)[^\s"',;&]{8,}/gi,
    `$1${redacted}`,
  ],
]

/** The text without the secrets in it; the same text when there are none. */
export function withoutSecrets(text: string): string {
  if (text.length < 8 || !suspicious.test(text)) return text
  let clean = text
  for (const [form, replacement] of forms) clean = clean.replace(form, replacement)
  return clean
}
