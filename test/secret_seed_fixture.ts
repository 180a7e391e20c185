import { type Chance, chanceOf } from '../src/demo/chance.ts'

// Secrets that never were: of every form and under every name, as many as wanted, the same for the same seed.

/** `text` as it would stand in a log line; or, where only its name betrays it, a member of an object. */
export type SeededSecret = { readonly text: string; readonly name: string; readonly value: string }

type Draw = (characters: string, length: number) => string

const base62 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
const base64 = `${base62}+/`
const base64url = `${base62}-_`
const base36 = 'abcdefghijklmnopqrstuvwxyz0123456789'
const hex = '0123456789abcdef'
const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** What stands in the middle of every secret, by the characters it is made of, so that a part of it is known too. */
const marks: { readonly [characters: string]: string } = {
  [base62]: 'zQ7xK',
  [base64]: 'zQ7xK',
  [base64url]: 'zQ7xK',
  [base36]: 'zq7x0kz',
  [hex]: '7c0ffee57c',
  [base32]: 'ZQ7XK2Z',
}
const middles = [...new Set(Object.values(marks))]
const marked = new RegExp(middles.join('|'), 'gi')
const encoded = new RegExp(middles.flatMap(base64Of).join('|'), 'g')

/** What of a mark stays the same in base64, whatever is around it: one text for each place that it can begin at. */
function base64Of(mark: string): readonly string[] {
  return [0, 1, 2].map((before) => {
    const digits = Buffer.from('-'.repeat(before) + mark).toString('base64')
    return digits.slice(Math.ceil((before * 8) / 6), Math.floor(((before + mark.length) * 8) / 6))
  })
}

/** Where a seeded secret, or the middle of one, still stands in a text, in base64 too: each with what surrounds it. */
export function leaksIn(text: string): readonly string[] {
  return [...text.matchAll(marked), ...text.matchAll(encoded)].map(({ index }) =>
    text.slice(Math.max(0, index - 60), index + 60),
  )
}

function drawOf(chance: Chance): Draw {
  return (characters, length) => {
    const letters = Array.from({ length }, () => characters[Math.floor(chance() * characters.length)])
    const mark = marks[characters] as string
    letters.splice(Math.floor((length - mark.length) / 2), mark.length, ...mark)
    return letters.join('')
  }
}

const pem = (draw: Draw, kind: string) =>
  `-----BEGIN ${kind}PRIVATE ${'KEY'}-----\n${draw(base64, 64)}\n${draw(base64, 40)}\n-----END ${kind}PRIVATE ${'KEY'}-----`
const jwtOf = (draw: Draw) => `eyJ${draw(base64url, 33)}.eyJ${draw(base64url, 60)}.${draw(base64url, 43)}`

/** Tokens that are known wherever they stand. */
const tokens: readonly ((draw: Draw) => string)[] = [
  ...['sk-', 'sk-proj-', 'sk-ant-api03-', 'sk-or-v1-', 'gsk_', 'xai-', 'r8_', 'hf_', 'ghp_', 'gho_', 'github_pat_'],
  ...['glpat-', 'sk_live_', 'rk_live_', 'whsec_', 'sb_secret_', 'sbp_', 'ya29.', 'GOCSPX-', 'vcp_', 'cfut_', 'nfp_'],
  ...['dckr_pat_', 'hvs.', 'dp.pt.', 'ntn_', 'lin_api_', 'figd_', 'glsa_', 'xoxb-', 'pypi-', 'nvapi-', 'pplx-'],
].map((prefix) => (draw: Draw) => prefix + draw(base62, 40))
const shapes: readonly ((draw: Draw) => string)[] = [
  (draw) => `AKIA${draw(base32, 16)}`,
  (draw) => `AIza${draw(base64url, 35)}`,
  (draw) => `${draw(hex, 32)}.${draw(base62, 16)}`,
  (draw) => `npm_${draw(base62, 36)}`,
  (draw) => `SG.${draw(base62, 22)}.${draw(base62, 43)}`,
  (draw) => `dop_v1_${draw(hex, 64)}`,
  (draw) => `SK${draw(hex, 32)}`,
  (draw) => `tt_${draw(base36, 12)}_${draw(base64url, 43)}`,
  jwtOf,
  (draw) => pem(draw, 'RSA '),
  (draw) => pem(draw, ''),
  (draw) => pem(draw, 'OPENSSH ').replaceAll('\n', '\\n'),
  // No form but their randomness.
  (draw) => draw(base62, 48),
  (draw) => draw(base64url, 64),
]

/** What stands before and behind a secret of no form. */
const places: readonly ((draw: Draw) => string)[] = [
  (draw) => `authorization: Bearer ${draw(base36, 32)}`,
  (draw) => `Authorization: Basic ${draw(base62, 20)}`,
  (draw) => `Cookie: sid=${draw(base36, 24)}; theme=dark`,
  (draw) => `postgres://app:${draw(base36, 12)}@db:5432/x`,
  (draw) => `rediss://default:${draw(base62, 30)}@eu1.example.com:6379`,
  (draw) => `https://ann:${draw(base36, 14)}@example.com/a?b=c`,
  (draw) => `GET /v1/x?api_key=${draw(base36, 20)}&q=1`,
  (draw) => `https://app.example.com/#access_token=${draw(base62, 30)}&state=1`,
  (draw) => `https://x.blob.core.windows.net/c/b?sv=2022&sig=${draw(base62, 40)}&se=2026`,
  (draw) => `DB_PASSWORD=${draw(base36, 12)}`,
  (draw) => `export OPENAI_API_KEY="${draw(base36, 30)}"`,
  (draw) => `{"client_secret": "${draw(base36, 24)}", "n": 1}`,
  (draw) => `{"body": "{\\"password\\": \\"${draw(base36, 12)}\\"}"}`,
  (draw) => `Server=db;User Id=sa;Password=${draw(base36, 12)};Encrypt=true`,
  (draw) => `jdbc:postgresql://h/db?user=a&password=${draw(base36, 12)}`,
  (draw) => `AccountName=x;AccountKey=${draw(base64, 86)}==;EndpointSuffix=x`,
  (draw) => `aws_secret_access_key = ${draw(base64, 40)}`,
]

const names: readonly string[] = [
  ...['password', 'dbPassword', 'api_key', 'X-Api-Key', 'authorization', 'set-cookie', 'client_secret', 'accessToken'],
  ...['refresh_token', 'private_key', 'aws_secret_access_key', 'SUPABASE_SERVICE_ROLE_KEY', 'jwt', 'credentials'],
]

/** So many secrets, each another; forms, places and names in turn. */
export function seedSecrets(count: number, seed: number): readonly SeededSecret[] {
  const chance = chanceOf(seed)
  const draw = drawOf(chance)
  const kinds = [...tokens, ...shapes, ...places]
  return Array.from({ length: count }, (_, i) => ({
    text: (kinds[i % kinds.length] as (draw: Draw) => string)(draw),
    name: names[i % names.length] as string,
    value: draw(base36, 14),
  }))
}
