import { withoutHomes } from './home_path.ts'
import { hintsAtSecret } from './secret_hint.ts'
import { withoutNamedSecrets } from './secret_pair.ts'
import { withoutRandom } from './secret_random.ts'
import { botTokenPattern, isWordy, tokenPattern } from './secret_token.ts'

// What secrets look like by their own form. Every pattern runs in linear time: no two unbounded parts touch, and a run
// of token characters is entered at its start only. Python's `re` takes each as it is.

export const redacted = '[redacted]'

const charactersMin = 8
const tokens = new RegExp(tokenPattern, 'g')

const forms: readonly (readonly [RegExp, string])[] = [
  [
    /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,8}-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,8}-----|(?![\s\S]))/g,
    redacted,
  ],
  // The end of one whose beginning was cut off.
  [/(?<![A-Za-z0-9+/=\\\s])[A-Za-z0-9+/=\\\s]{16,}-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,8}-----/g, redacted],
  [/(:\/\/[^\s:@/"'<>]{0,256}):[^\s/"'<>]{1,512}@/g, `$1:${redacted}@`],
  // A name alone, where it is long enough to be a token.
  [/(:\/\/)[^\s:@/"'<>[\]]{16,512}@/g, `$1${redacted}@`],
  [/(\bjdbc:oracle:[a-z]{1,16}:[^\s/:@"']{1,128}\/)[^\s@/"']{1,256}@/g, `$1${redacted}@`],
  [
    /([?&#;](?:amp;)?(?:sig|signature|x-amz-signature|x-amz-security-token|x-amz-credential|x-goog-signature|x-goog-credential|key|auth)=)[^&\s"'`#<>]{6,}/gi,
    `$1${redacted}`,
  ],
  // Of an authorization code, not of an error's.
  [/([?&#](?:amp;)?code=)(?=[^&\s"'`#<>]{0,64}\d)[^&\s"'`#<>]{12,}/gi, `$1${redacted}`],
  [/\b(AccountKey|SharedAccessKey|SharedAccessSignature)=[^;\s"'`]{4,}/gi, `$1=${redacted}`],
  [
    /\b(bearer(?:[ \t]{1,4}|%20))(?=[A-Za-z._~+/=-]{0,512}[0-9]|[A-Za-z0-9._~+/=-]{20})[A-Za-z0-9._~+/=-]{8,}/gi,
    `$1${redacted}`,
  ],
]

/** The text without the secrets in it; the same text when there are none. */
export function withoutSecrets(text: string): string {
  if (text.length < charactersMin || !hintsAtSecret(text)) return text
  let clean = text
  for (const [form, replacement] of forms) clean = clean.replace(form, replacement)
  clean = clean.replace(tokens, (token) => (isWordy(token) ? token : redacted))
  clean = clean.replace(botTokens, redacted)
  clean = withoutNamedSecrets(clean, redacted)
  return withoutHomes(withoutRandom(clean, redacted))
}

const botTokens = new RegExp(`(?<![A-Za-z0-9])${botTokenPattern}`, 'g')
