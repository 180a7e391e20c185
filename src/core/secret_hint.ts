const hint = new RegExp(
  [
    // Forms (secret_form.ts), whatever JSON has escaped around them.
    /sk-|tt_|eyJ|A[KS]IA|gh[opusr]_|github_pat_|glpat-|npm_|AIza|xox|PRIVATE KEY|:\/\/[^\s/@]+@|[0-9a-f]{32}\./,
    // Names (secret_name.ts), and the forms that begin with one.
    /passw(?:or)?d|passphrase|pwd|secret|authorization|cookie|jwt|credential|bearer|apikey/,
    // Each span has a `tokens_in` and a `tokens_out`, and `input_tokens` is a measure too.
    /token(?!s_(?:in|out)":|s")/,
    /(?:api|access|private|signing|encryption|role|auth|ingest)(?:[^a-z0-9]|\\[bfnrt]|\\u[0-9a-f]{4}){0,128}?key/,
  ]
    .map((part) => part.source)
    .join('|'),
  'i',
)

/**
 * Whether the JSON of a record could hold a secret, by form or by name; false positives cost a redaction, and there is
 * no false negative. Linear in the text; reads it once, unparsed.
 */
export function hintsAtSecret(json: string): boolean {
  return hint.test(json)
}
