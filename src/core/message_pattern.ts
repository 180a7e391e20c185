import { fingerprintCodesMax, fingerprintMessageCharactersMax } from './limit.ts'

/**
 * A message without what differs from one occurrence to the next: numbers with their units, instants, ids, quoted values,
 * paths and addresses.
 */
export function messagePatternOf(message: string): string {
  return message
    .slice(0, fingerprintMessageCharactersMax)
    .replace(/"[^"]*"|`[^`]*`|(?<!\w)'[^'\n]*'(?!\w)/g, '<text>')
    .replace(instant, '<n>')
    .replace(internetAddress, '<n>')
    .replace(host, '<n>')
    .replace(quantity, '<n>')
    .split(/\s+/)
    .map(wordPatternOf)
    .join(' ')
    .replace(/<path>(?: <path>)+/g, '<path>')
    .trim()
}

/**
 * What of a message is not data but says which failure it is: names of system errors, an HTTP status, the code or type in
 * a provider's answer. Sorted, each once, a few at most; every status from 500 on is one, for the other side failed.
 */
export function messageCodesOf(message: string): readonly string[] {
  const text = message.slice(0, fingerprintMessageCharactersMax)
  const found = [...text.matchAll(systemError), ...text.matchAll(status), ...text.matchAll(field)].flatMap((match) => {
    const code = match.slice(1).find((group) => group !== undefined) ?? match[0]
    return /^(?:true|false|null|none|object|string|error)$/i.test(code) || /\d{6}/.test(code) ? [] : [code]
  })
  const codes = found.map((code) => (/^5\d\d$/.test(code) ? '5xx' : code))
  return [...new Set(codes)].sort().slice(0, fingerprintCodesMax)
}

/** `ECONNREFUSED`, `ERR_INVALID_URL`, `SQLITE_BUSY`, `[Errno 13]`, `SQLSTATE[23505]`. */
const systemError =
  /\bE[A-Z]{3,24}\d?\b|\b[A-Z]{2,24}(?:_[A-Z]{2,24}){1,6}\b|\[Errno (\d{1,5})\]|\bSQLSTATE\W{1,2}([\dA-Z]{5})\b/g
const status =
  /\b(?:HTTP(?:\/[\d.]{1,3})?|status(?: code)?|code|answered|returned|responded|respond(?:ed)? with)[: =]{1,3}([45]\d\d)\b/gi
/** `"code": "1302"`, `'type': 'rate_limit'`, `type=missing`, `code: 2`. */
const field = /(?<![\w.])["']?(?:code|type|reason|kind|errno)["']? ?[:=] ?["']?([\w.-]{1,64})/g

const instant = /\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)?/g
/** With its port: `10.0.0.7:6379`, `[2001:db8::1]:443`, `::1`. */
const internetAddress =
  /(?<![\w.])(?:\d{1,3}(?:\.\d{1,3}){3}|\[?(?=[\da-f:]{0,40}\d)(?:[\da-f]{0,4}:){2,7}[\da-f]{0,4}\]?)(?::\d{1,5})?(?![\w.])/gi
/** `-3`, `1.5 s`, `1m32s`, `350ms`, `12 KiB`. */
const unit = '(?:ns|[µu]s|ms|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?|[kmgt]?i?b|bytes)'
const number = '\\d{1,20}(?:[.,]\\d{1,20}){0,4}'
const quantity = new RegExp(
  `(?<![\\w.#:/-])[-+]?${number}(?: ?${unit}(?![a-z_/])(?: ?${number} ?${unit}(?![a-z_/])){0,3})?(?![\\w:-])`,
  'gi',
)
/** `db.example.org`, with its port. */
const host =
  /(?<![\w.@/-])(?:[\w-]{1,63}\.){1,6}(?:com|net|org|io|co|ai|dev|app|cloud|cn|local|internal|lan)(?::\d{1,5})?(?![\w.-])/gi

function wordPatternOf(word: string): string {
  if (word.includes('://')) return '<url>'
  if (word.includes('\\') || /^[("[]?(?:~|\.{1,2})?\//.test(word) || word.split('/').length > 2) return '<path>'
  if (/^[^@\s]{1,64}@[^@\s]{1,255}\.[a-z]{2,}/i.test(word)) return '<n>'
  return word
    .replace(/0x[\da-f]+/gi, '<n>')
    .replace(/[\w-]+(?:\.[\w-]+)*/g, (name) => (isId(name) ? '<n>' : name))
    .replace(/[-+]?\d+(?:\.\d+)*/g, '<n>')
    .replace(/^(\W*)<n>\/(?!<n>).*$/, '$1<path>')
}

/**
 * Nothing but hex digits and hyphens, eight or more, with a decimal one and another; two decimal digits and a letter
 * among eight or more; or letters and a digit with a hyphen or underscore between: `glm-4.6`, `job_17`.
 */
function isId(name: string): boolean {
  const digits = name.match(/\d/g)?.length ?? 0
  if (digits > 0 && /[-_]/.test(name) && /[a-z]/i.test(name)) return true
  if (name.length < 8) return false
  return /^[\da-f-]+$/i.test(name) ? digits > 0 && /[a-f-]/i.test(name) : digits > 1 && /[a-z]/i.test(name)
}
