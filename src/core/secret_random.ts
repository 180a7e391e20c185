// High-entropy text that no prefix and no name betrays: base64 and base62 of random bytes.

/** Letters that often follow each letter in the words that names are made of: 95 of 100 pairs in source code are here. */
const followers =
  'bcdgilmnprstuwy aeijlou aehiklortu adeilorsu acdefglmnopqrstvwxy aefioru eirst aeiot abcdefglmnoprstvz es e ' +
  'adefilostuy abeiops acdefgiknostuv bcdfgiklmnoprstuvw aeiloprtu u acdegilmnorstuvy acehiopstuy acehioprstuy ' +
  'abefilmnprst aei aehi pt p e'
const common = commonPairs()

/** Identifiers of these kinds are random and no secrets: hashes with their algorithm, what APIs give their objects. */
const publicPrefix =
  /^(?:(?:sha(?:1|224|256|384|512)|md5|blake[23][bs]?)[-_:/]|(?:chatcmpl|cmpl|call|toolu|srvtoolu|msg|req|resp|conv|asst|thread|run|step|file|batch|gen|org|proj|fp|vs|ft|evt|cus|pi|pm|ch|in|sub|prod|price|acct|txn|seti|cs_test|cs_live|dpl|prj|team|iter|sb_publishable|pk_live|pk_test|rs|ws|fc|ig|mcp)[-_])/

const windowLength = 24
/** In half points. Random text has 30 on average; a name of words about 6. */
const randomPointsMin = 20
const run = /[A-Za-z0-9+/_-]{24,}/g

/** Whether a part of this run of token characters looks random. Linear. */
export function looksRandom(text: string): boolean {
  run.lastIndex = 0
  for (let found = run.exec(text); found !== null; found = run.exec(text)) {
    const [token] = found
    if (firstRandomAt(token) >= 0 && !publicPrefix.test(token)) return true
  }
  return false
}

/**
 * The text with each random run replaced: at least 24 characters of base64, base64url or base62, upper and lower case
 * mixed, in which what follows what is not as in words. Hex digits, UUIDs, identifiers, paths and package names stay.
 * Of a path only the parts that are random go. Linear.
 */
export function withoutRandom(text: string, replacement: string): string {
  return text.replace(run, (token) => {
    const first = firstRandomAt(token)
    if (first < 0 || publicPrefix.test(token)) return token
    const start = partStart(token, first + windowLength / 2)
    const end = partEnd(token, Math.max(lastRandomEnd(token), first + windowLength) - windowLength / 2)
    return token.slice(0, start) + replacement + token.slice(end)
  })
}

/** Where the part between slashes begins that `at` is in; base64 has slashes too, and upper case around them. */
function partStart(token: string, at: number): number {
  let start = token.lastIndexOf('/', at) + 1
  while (start > 0) {
    const before = start < 2 ? 0 : token.lastIndexOf('/', start - 2) + 1
    if (!/[A-Z]/.test(token.slice(before, start))) break
    start = before
  }
  return start
}

function partEnd(token: string, at: number): number {
  let end = slashFrom(token, at)
  while (end < token.length) {
    const next = slashFrom(token, end + 1)
    if (!/[A-Z]/.test(token.slice(end, next))) break
    end = next
  }
  return end
}

function slashFrom(token: string, at: number): number {
  const slash = token.indexOf('/', at)
  return slash < 0 ? token.length : slash
}

/** Where the first window that looks random begins; -1 without one. */
function firstRandomAt(token: string): number {
  return scan(token, true)
}

/** Where the last such window ends. */
function lastRandomEnd(token: string): number {
  return scan(token, false)
}

/** Points are given to what words seldom do: a letter after one that it seldom follows, digits among letters. */
function scan(token: string, first: boolean): number {
  let points = 0
  let lower = 0
  let upper = 0
  let at = -1
  for (let i = 0; i < token.length; i += 1) {
    const code = token.charCodeAt(i)
    points += pointsOf(i === 0 ? 0 : token.charCodeAt(i - 1), code)
    if (isLower(code)) lower += 1
    else if (isUpper(code)) upper += 1
    const left = i - windowLength
    if (left >= 0) {
      const gone = token.charCodeAt(left)
      points -= pointsOf(left === 0 ? 0 : token.charCodeAt(left - 1), gone)
      if (isLower(gone)) lower -= 1
      else if (isUpper(gone)) upper -= 1
    }
    if (left < -1 || points < randomPointsMin || lower < 3 || upper < 3) continue
    if (first) return left + 1
    at = i + 1
  }
  return at
}

function pointsOf(before: number, code: number): number {
  const digit = isDigit(code)
  const wasDigit = isDigit(before)
  if (digit !== wasDigit) return isLetter(digit ? before : code) ? 2 : 0
  if (digit || !isLetter(code) || !isLetter(before)) return 0
  if (isLower(before) && isUpper(code)) return 1
  return common[((before & 31) - 1) * 26 + (code & 31) - 1] === 1 ? 0 : 2
}

function isLower(code: number): boolean {
  return code >= 97 && code <= 122
}

function isUpper(code: number): boolean {
  return code >= 65 && code <= 90
}

function isLetter(code: number): boolean {
  return isLower(code) || isUpper(code)
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57
}

function commonPairs(): Uint8Array {
  const pairs = new Uint8Array(26 * 26)
  for (const [first, letters] of followers.split(' ').entries()) {
    for (const letter of letters) pairs[first * 26 + letter.charCodeAt(0) - 97] = 1
  }
  return pairs
}
