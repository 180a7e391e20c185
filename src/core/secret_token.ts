// Keys and tokens that show by the prefix that their issuer gives them. Python's `re` takes every pattern as it is.

const run = '[A-Za-z0-9_-]'

/** The literal beginnings of a form, and what follows: 16 characters of a token or more with the beginning. */
const prefixed: readonly (readonly [prefixes: string, rest: string])[] = [
  // Model providers: OpenAI, Anthropic, OpenRouter, Moonshot, DeepSeek and others; Groq, xAI, Replicate, Hugging Face.
  ['sk-', `${run}{16,}`],
  ['gsk_ xai- r8_ pplx- nvapi- fw_ hf_ api_org_ tgp_v1_ jina_ tvly- pcsk_ lsv2_pt_ lsv2_sk_ csk- fc-', `${run}{20,}`],
  // Amazon, Google.
  ['AKIA ASIA ABIA ACCA', '[A-Z0-9]{16}(?![A-Za-z0-9])'],
  ['AIza', `${run}{30,}`],
  ['ya29. AQ.Ab GOCSPX- 1//0', `${run}{20,}`],
  // Supabase, Vercel, Cloudflare, DigitalOcean, Fly, Netlify, Neon, PlanetScale, Render, Heroku.
  ['sb_secret_', `${run}{8,}`],
  ['sbp_', '[A-Za-z0-9_]{16,}'],
  ['vca_ vci_ vck_ vcp_ vcr_ vercel_blob_rw_ cfat_ cfkt_ cfut_ dop_v1_ doo_v1_ dor_v1_ dot_v1_', `${run}{20,}`],
  ['fo1_ fm1_ fm2_ nfp_ napi_ rnd_ HRKU-', `${run}{20,}`],
  ['pscale_tkn_ pscale_pw_ pscale_oauth_', '[A-Za-z0-9_.-]{16,}'],
  ['v1.0-', '[0-9a-f]{24}-[0-9a-f]{64,}'],
  // Code and packages: GitHub, GitLab, npm, PyPI, Docker, RubyGems, crates.io, Artifactory.
  ['ghp_ gho_ ghu_ ghs_ ghr_ github_pat_', `${run}{20,}`],
  ['glpat- gldt- glptt- glrt- glsoat- glcbt- glft- glimt- glagent- gloas- GR1348941', '[A-Za-z0-9_.-]{20,}'],
  ['npm_', '[A-Za-z0-9]{36}'],
  ['pypi- dckr_pat_ dckr_oat_ rubygems_ cio AKCp', `${run}{26,}`],
  // Money and mail: Stripe, Square, Shopify; Twilio, SendGrid, Mailgun, Brevo, Resend.
  ['sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_', '[A-Za-z0-9]{16,}'],
  ['whsec_', '[A-Za-z0-9+/]{16,}'],
  ['sq0atp- sq0csp- shpat_ shpca_ shppa_ shpss_', `${run}{20,}`],
  ['SK key-', '[0-9a-f]{32}(?![A-Za-z0-9])'],
  ['SG.', `${run}{16,}\\.${run}{16,}`],
  ['xkeysib- xsmtpsib-', '[A-Za-z0-9-]{32,}'],
  ['re_', '[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}'],
  // Talk and work: Slack, Discord, Notion, Linear, Figma, Atlassian, Airtable, Dropbox, Postman.
  ['xoxa- xoxb- xoxc- xoxd- xoxe- xoxo- xoxp- xoxr- xoxs- xapp- xoxe.xoxb- xoxe.xoxp-', '[A-Za-z0-9-]{11,}'],
  ['hooks.slack.com/services/ hooks.slack.com/workflows/ hooks.slack.com/triggers/', '[A-Za-z0-9_/+-]{20,}'],
  ['discord.com/api/webhooks/ discordapp.com/api/webhooks/', '[0-9]{8,24}/[A-Za-z0-9_-]{20,}'],
  ['ntn_ secret_ lin_api_ lin_oauth_ figd_ figo_ ATATT3 ATCTT3 PMAK-', `${run}{26,}`],
  ['pat', '[A-Za-z0-9]{14}\\.[0-9a-f]{64}'],
  ['sl.', `${run}{60,}`],
  // Operations: Sentry, Grafana, Databricks, Doppler, Vault, New Relic, Buildkite, LaunchDarkly, Pulumi, age.
  ['sntrys_ sntryu_ glsa_ glc_ bkua_ pul- NRAK- NRJS-', '[A-Za-z0-9+/_-]{20,}'],
  ['dapi', '[0-9a-f]{32}'],
  ['dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.', '[A-Za-z0-9_.-]{20,}'],
  ['hvs. hvb. hvr.', `${run}{20,}`],
  ['sdk- mob- api-', '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![A-Za-z0-9])'],
  ['AGE-SECRET-KEY-1', '[A-Z0-9]{20,}'],
  // An ingest key of ours.
  ['tt_', '[a-z0-9]{12}_[A-Za-z0-9_-]{20,}'],
  // A JWT, signed or encrypted or cut short.
  ['eyJ', `${run}{12,}\\.${run}{0,}(?:\\.${run}{0,}){0,3}`],
]

/** Forms without a literal beginning: GLM (id, dot, secret), Azure, Terraform, Mailchimp, Discord. */
const shaped: readonly string[] = [
  '[0-9a-f]{32}\\.[A-Za-z0-9]{16}(?![A-Za-z0-9])',
  '[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}',
  '[A-Za-z0-9]{14}\\.atlasv1\\.[A-Za-z0-9_-]{32,}',
  '[0-9a-f]{32}-us[0-9]{1,2}(?![A-Za-z0-9])',
  `[MNO]${run}{23,25}\\.${run}{6}\\.${run}{27,}`,
]

/** Where a token may begin: not inside a word, but right after an escape (`\n`, `%3D`) or a terminal's colour. */
const begin =
  '(?:(?<![A-Za-z0-9_-])|(?<=\\\\[nrtbf])|(?<=\\\\u[0-9a-fA-F]{4})|(?<=%[0-9a-fA-F]{2})|(?<=\\[[0-9]m)|(?<=[0-9][0-9]m))'

/** Matches every token of these forms, from its first character to its last. */
export const tokenPattern = `${begin}(?:${[...prefixed.map(patternOf), ...shaped].join('|')})={0,2}`

/** A bot's token at Telegram stands after its number, so that its own part is no word. */
export const botTokenPattern = '[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}'

/** The literal beginnings of all forms. */
export const tokenPrefixes: readonly string[] = prefixed.flatMap(([prefixes]) => prefixes.split(' '))

function patternOf([prefixes, rest]: readonly [string, string]): string {
  return `(?:${prefixes.replaceAll('.', '\\.').replaceAll(' ', '|')})${rest}`
}

/** What no real token is: nothing but lower-case words. */
export function isWordy(token: string): boolean {
  return !/[A-Z0-9]/.test(token)
}
