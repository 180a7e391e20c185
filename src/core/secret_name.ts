// What secrets look like by the name they stand under.

const secretWords: ReadonlySet<string> = new Set([
  'password',
  'passwd',
  'passphrase',
  'pwd',
  'secret',
  'secrets',
  'authorization',
  'cookie',
  'cookies',
  'jwt',
  'apikey',
  'credential',
  'credentials',
  'bearer',
])
const keyKinds: ReadonlySet<string> = new Set([
  'api',
  'access',
  'private',
  'signing',
  'encryption',
  'role',
  'auth',
  'ingest',
])
/** After `token` these make a measure of it: token_count, token_usage. */
const measures: ReadonlySet<string> = new Set(['count', 'usage', 'limit', 'budget', 'type', 'rate', 'length', 'total'])

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
  return name
    .slice(0, 128)
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
}

function secretByWords(words: readonly string[]): boolean {
  return words.some((word, index) => {
    const next = words[index + 1]
    if (secretWords.has(word)) return true
    if (word === 'token') return next === undefined || !measures.has(next)
    return word === 'key' && keyKinds.has(words[index - 1] ?? '')
  })
}
