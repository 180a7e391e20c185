// Keys and tokens that show by the prefix that their issuer gives them. Python's `re` takes every pattern as it is.

/** Of each form what it looks like from its first character on; each has 16 characters of a token or more. */
const tokenForms: readonly string[] = [
  // Model providers: OpenAI, Anthropic, OpenRouter, Moonshot, DeepSeek and others; Groq, xAI, Replicate, Hugging Face.
  'sk-[A-Za-z0-9_-]{16,}',
  '(?:gsk_|xai-|r8_|pplx-|nvapi-|fw_|hf_|api_org_|tgp_v1_|jina_|tvly-|pcsk_|lsv2_[ps][tk]_|csk-|fc-)[A-Za-z0-9_-]{20,}',
  // The key of a GLM account: id, dot, secret.
  '[0-9a-f]{32}\\.[A-Za-z0-9]{16}(?![A-Za-z0-9])',
  // Amazon, Google, Microsoft.
  '(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])',
  'AIza[A-Za-z0-9_-]{30,}',
  '(?:ya29\\.|AQ\\.Ab|GOCSPX-|1//0)[A-Za-z0-9_-]{20,}',
  '[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}',
  // Supabase, Vercel, Cloudflare, DigitalOcean, Fly, Netlify, Neon, PlanetScale, Render, Heroku, Terraform.
  'sb_secret_[A-Za-z0-9_-]{8,}',
  'sbp_[A-Za-z0-9_]{16,}',
  '(?:vc[aikpr]_|vercel_blob_rw_|cf[aku]t_|do[oprt]_v1_|fo1_|fm[12]_|nfp_|napi_|rnd_|HRKU-)[A-Za-z0-9_-]{20,}',
  'pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.-]{16,}',
  'v1\\.0-[0-9a-f]{24}-[0-9a-f]{64,}',
  '[A-Za-z0-9]{14}\\.atlasv1\\.[A-Za-z0-9_-]{32,}',
  // Code and packages: GitHub, GitLab, npm, PyPI, Docker, RubyGems, crates.io, Artifactory.
  '(?:gh[opusr]_|github_pat_|gl(?:pat|dt|ptt|rt|soat|cbt|ft|imt|agent|oas)-|GR1348941)[A-Za-z0-9_.-]{20,}',
  'npm_[A-Za-z0-9]{36}',
  '(?:pypi-|dckr_pat_|dckr_oat_|rubygems_|cio|AKCp)[A-Za-z0-9_-]{26,}',
  // Money and mail: Stripe, Square, Shopify, PayPal; Twilio, SendGrid, Mailgun, Mailchimp, Brevo, Resend.
  '(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{16,}',
  'whsec_[A-Za-z0-9+/]{16,}',
  '(?:sq0(?:atp|csp)-|shp(?:at|ca|pa|ss)_)[A-Za-z0-9_-]{20,}',
  'SK[0-9a-f]{32}(?![A-Za-z0-9])',
  'SG\\.[A-Za-z0-9_-]{16,}\\.[A-Za-z0-9_-]{16,}',
  'key-[0-9a-f]{32}(?![A-Za-z0-9])',
  '[0-9a-f]{32}-us[0-9]{1,2}(?![A-Za-z0-9])',
  '(?:xkeysib-|xsmtpsib-)[A-Za-z0-9-]{32,}',
  're_[A-Za-z0-9]{8}_[A-Za-z0-9]{20,}',
  // Talk and work: Slack, Discord, Telegram, Notion, Linear, Figma, Atlassian, Airtable, Dropbox, Postman.
  '(?:xox[a-z]|xapp|xoxe\\.xox[bp])-[A-Za-z0-9-]{11,}',
  'hooks\\.slack\\.com/(?:services|workflows|triggers)/[A-Za-z0-9_/+-]{20,}',
  'discord(?:app)?\\.com/api/webhooks/[0-9]{8,24}/[A-Za-z0-9_-]{20,}',
  '[MNO][A-Za-z0-9_-]{23,25}\\.[A-Za-z0-9_-]{6}\\.[A-Za-z0-9_-]{27,}',
  '(?:ntn_|secret_|lin_api_|lin_oauth_|figd_|figo_|ATATT3|ATCTT3|PMAK-)[A-Za-z0-9_-]{26,}',
  'pat[A-Za-z0-9]{14}\\.[0-9a-f]{64}',
  'sl\\.[A-Za-z0-9_-]{60,}',
  // Operations: Sentry, Grafana, Databricks, Doppler, Vault, New Relic, Buildkite, LaunchDarkly, Pulumi, age.
  'sntry[su]_[A-Za-z0-9+/_-]{20,}',
  '(?:glsa_|glc_|bkua_|pul-|NRAK-|NRJS-)[A-Za-z0-9_+/-]{20,}',
  'dapi[0-9a-f]{32}',
  'dp\\.(?:pt|st|ct|sa|scim|audit)\\.[A-Za-z0-9_.-]{20,}',
  'hv[sbr]\\.[A-Za-z0-9_-]{20,}',
  '(?:sdk|mob|api)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![A-Za-z0-9])',
  'AGE-SECRET-KEY-1[A-Z0-9]{20,}',
  // An ingest key of ours.
  'tt_[a-z0-9]{12}_[A-Za-z0-9_-]{20,}',
  // A JWT, signed or encrypted or cut short.
  'eyJ[A-Za-z0-9_-]{12,}\\.[A-Za-z0-9_-]{0,}(?:\\.[A-Za-z0-9_-]{0,}){0,3}',
]

/** Where a token may begin: not inside a word, but right after an escape (`\n`, `%3D`) or a terminal's colour. */
const begin =
  '(?:(?<![A-Za-z0-9_-])|(?<=\\\\[nrtbf])|(?<=\\\\u[0-9a-fA-F]{4})|(?<=%[0-9a-fA-F]{2})|(?<=\\[[0-9]m)|(?<=[0-9][0-9]m))'

/** Matches every token of these forms, from its prefix to its end. */
export const tokenPattern = `${begin}(?:${tokenForms.join('|')})={0,2}`

/** A bot's token at Telegram stands after its number, so that its own part is no word. */
export const botTokenPattern = '[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}'

/** What no real token is: nothing but lower-case words. */
export function isWordy(token: string): boolean {
  return !/[A-Z0-9]/.test(token)
}
