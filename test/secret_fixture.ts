const jwt = `eyJ${'hbGciOiJIUzI1NiJ9'}.${'eyJzdWIiOiIxMjM0In0'}.${'c2lnbmF0dXJl'}`
/** A secret of each known form, by name. Put together here, so that no scanner takes this file for a leak. */
export const secrets: readonly (readonly [string, string])[] = [
  ['an OpenAI key', `sk-${'proj-Ab12'.repeat(4)}`],
  ['a Kimi key', `sk-${'a1B2c3D4'.repeat(6)}`],
  ['a GLM key', `${'0123456789abcdef'.repeat(2)}.${'Ab1'.repeat(5)}x`],
  ['a Supabase secret key', `sb_${'secret'}_${'Zx9_'.repeat(6)}`],
  ['an ingest key', `tt_${'abc123def456'}_${'A-b_'.repeat(10)}xyz`],
  ['a JWT', jwt],
  ['a JWT without signature', jwt.split('.').slice(0, 2).join('.')],
  ['an AWS key id', `AKIA${'ABCDEFGH12345678'}`],
  ['a GitHub token', `ghp_${'aB3'.repeat(12)}`],
  ['a fine-grained GitHub token', `github_pat_${'aB3_'.repeat(10)}`],
  ['a Google key', `AIza${'SyA1b2C3d4'.repeat(4)}`.slice(0, 39)],
  ['a Slack token', `xoxb-${'1234567890'}-abcdef`],
  ['a private key', `-----BEGIN RSA PRIVATE ${'KEY'}-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE ${'KEY'}-----`],
  ['half a private key', `-----BEGIN PRIVATE ${'KEY'}-----\nMIIEowIBAAK`],
]

/** A secret that shows by what stands before it, in place of by its own form. */
export const quotedSecrets: readonly (readonly [string, string, string])[] = [
  ['a bearer token', 'authorization: Bearer ', 'abcdefgh12345678'],
  ['basic credentials', 'Authorization: Basic ', 'dXNlcjpwYXNz'],
  ['a password in an address', 'postgres://app:', 'hunter2hunter2@db:5432/x'],
  ['a password in JSON', '{"password": "', 'hunter2hunter2'],
  ['an api key in a query', 'GET /?api_key=', 'a1b2c3d4e5f6'],
]
