// The names of people in paths: `/home/ada/x.ts` is `/home/[user]/x.ts`, on every system.

const someone = '[user]'

/** Each pattern keeps its first group and drops the name behind it. Python's `re` takes them as they are. */
const homes: readonly RegExp[] = [
  /((?<![A-Za-z0-9_.~-])(?:\/mnt)?(?:\/[a-z])?\/(?:home|Users)\/)[^/\\\s:"'`<>|*?,;()[\]{}]{1,64}(?=\/)/g,
  /((?:HOME|PWD|USERPROFILE|cwd)\\{0,4}["']?[=:][ \t]{0,4}\\{0,4}["']?\/(?:home|Users)\/)[^/\\\s:"'`<>|*?,;()[\]{}]{1,64}/g,
  /(\b[A-Za-z]:[\\/]{1,4}Users[\\/]{1,4})[^/\\\r\n:"<>|*?,;[\]{}]{1,64}(?=[\\/"']|$)/g,
]

/** The text with the names of home directories replaced, so that paths stay readable and say no one's name. */
export function withoutHomes(text: string): string {
  let clean = text
  for (const home of homes) clean = clean.replace(home, `$1${someone}`)
  return clean
}
