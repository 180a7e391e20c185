/** How the project's secret key travels. New keys are no JWTs and belong in `apikey` alone; legacy ones are read from Authorization too. */
export function secretHeaders(secretKey: string): Record<string, string> {
  const apikey = { apikey: secretKey }
  return secretKey.startsWith('sb_') ? apikey : { ...apikey, Authorization: `Bearer ${secretKey}` }
}
