// What secrets look like by the name they stand under.

/** Also as the end of a word: `dbpassword`. */
const secretEndings =
  /(?:passw(?:or)?d|passphrase|passcode|secrets?|apikeys?|privatekey|secretkey|accesskey|authkey|accesstoken|authtoken|refreshtoken|idtoken|bearertoken|csrftoken|xsrftoken|clientsecret)$/
const secretWords: ReadonlySet<string> = new Set([
  ...['pwd', 'authorization', 'cookie', 'cookies', 'jwt', 'credential', 'credentials', 'cred', 'creds', 'bearer'],
])
/** Before `key` or `keys` these make a secret of it. */
const keyKinds: ReadonlySet<string> = new Set([
  ...['api', 'access', 'private', 'signing', 'encryption', 'decryption', 'role', 'auth', 'ingest', 'secret', 'master'],
  ...['account', 'shared', 'service', 'subscription', 'license', 'webhook', 'hmac', 'ssh', 'deploy', 'admin', 'client'],
  ...['openai', 'anthropic', 'claude', 'kimi', 'moonshot', 'glm', 'zhipu', 'zhipuai', 'zai', 'groq', 'xai', 'gemini'],
  ...['google', 'azure', 'aws', 'stripe', 'sendgrid', 'twilio', 'supabase', 'upstash', 'openrouter', 'mistral', 'jwt'],
  ...['deepseek', 'cohere', 'replicate', 'huggingface', 'cloudflare', 'rsa', 'pgp', 'gpg', 'tls', 'ssl', 'pem', 'anon'],
])
/** After `token` these make a measure of it: token_count, token_usage. */
const measures: ReadonlySet<string> = new Set([
  ...['count', 'usage', 'limit', 'budget', 'type', 'rate', 'length', 'total', 'max', 'min', 'cost', 'ms', 'in', 'out'],
])
/** What a thing about a secret ends with: `password_length`, `secret_name`, `cookie_enabled`. */
const abouts: ReadonlySet<string> = new Set(['length', 'count', 'enabled', 'required', 'present', 'bytes', 'expires'])

const verdicts = new Map<string, boolean>()
const verdictsMax = 4_096

/** Whether what stands under this name is a secret: `api_key`, `X-Auth-Token`, `dbPassword`; not `max_tokens`. */
export function isSecretName(name: string): boolean {
  const before = verdicts.get(name)
  if (before !== undefined) return before
  if (verdicts.size >= verdictsMax) verdicts.clear()
  const verdict = secretByWords(wordsOf(name))
  verdicts.set(name, verdict)
  return verdict
}

function wordsOf(name: string): readonly string[] {
  // The end of a long name says what it is.
  return name
    .slice(-128)
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
}

function secretByWords(words: readonly string[]): boolean {
  if (abouts.has(words.at(-1) ?? '')) return false
  return words.some((word, index) => {
    const next = words[index + 1]
    if (secretWords.has(word) || secretEndings.test(word)) return true
    if (word === 'token') return next === undefined || !measures.has(next)
    return (word === 'key' || word === 'keys') && keyKinds.has(words[index - 1] ?? '')
  })
}
