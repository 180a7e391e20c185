/** Why nobody was signed in: a code that was used or is too old, a wrong password, too many tries, no connection. */
export type SignInRefusal = 'code' | 'password' | 'limit' | 'unreachable'

const texts: { readonly [refusal in SignInRefusal | 'ended']: string } = {
  code: 'This sign-in address was used before or is older than ten minutes. Run telltale open for a new one.',
  password: 'Email and password do not match. For an address that signs you in, run telltale open.',
  limit: 'Too many attempts. Wait a minute, then try again.',
  unreachable: 'The sign-in service does not answer. Check that Telltale is running, then try again.',
  ended: 'Your session has ended. Sign in to go on where you were, or run telltale open.',
}

/** Why somebody is not signed in, and the way out. */
export function refusalText(refusal: SignInRefusal | 'ended'): string {
  return texts[refusal]
}
