import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { hashesAtOnceMax, hashesWaitingMax } from '../core/limit.ts'
import { AuthError } from './auth_error.ts'

type Parameters = { readonly ln: number; readonly r: number; readonly p: number }

/**
 * 16 MiB and about 0.1 s a hash, one of the settings that OWASP calls equal.
 * @see https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#scrypt
 */
const parameters: Parameters = { ln: 14, r: 8, p: 5 }
const saltBytes = 16
const hashBytes = 32
const form = /^\$scrypt\$ln=([1-9]|1[0-7]),r=([1-9]|1\d),p=([1-9]|1\d)\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/
const derive = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt)

let running = 0
const waiting: (() => void)[] = []

/** A password's hash with its own salt and parameters, in PHC form. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltBytes)
  const hash = await turn(() => hashOf(password, salt, hashBytes, parameters))
  const { ln, r, p } = parameters
  return `$scrypt$ln=${ln},r=${r},p=${p}$${textOf(salt)}$${textOf(hash)}`
}

/**
 * Whether a password has this hash. Without a hash, or with one of another kind, the answer is no, and takes as long.
 * `isRefused` is asked when the turn comes, before anything is computed: many that wait are not many that guess.
 */
export async function isPassword(
  password: string,
  stored: string | null,
  isRefused: () => AuthError | null = () => null,
): Promise<boolean> {
  const match = form.exec(stored ?? '')
  const [, ln, r, p, salt, hash] = match ?? []
  const expected = Buffer.from(hash ?? '', 'base64')
  const settings = match === null ? parameters : { ln: Number(ln), r: Number(r), p: Number(p) }
  const found = await turn(() => {
    const refusal = isRefused()
    if (refusal !== null) throw refusal
    return hashOf(password, Buffer.from(salt ?? '', 'base64'), expected.length || hashBytes, settings)
  })
  return match !== null && timingSafeEqual(found, expected)
}

function hashOf(password: string, salt: Buffer, length: number, { ln, r, p }: Parameters): Promise<Buffer> {
  const N = 2 ** ln
  return derive(password.normalize('NFC'), salt, length, { N, r, p, maxmem: 2 * 128 * N * r })
}

/** Few at once: hashing shares its threads with everything else that this process does in the background. */
async function turn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= hashesAtOnceMax) {
    if (waiting.length >= hashesWaitingMax) {
      throw new AuthError(429, 'over_request_rate_limit', 'Too many sign-ins at once', { 'Retry-After': '1' })
    }
    await new Promise<void>((resolve) => waiting.push(resolve))
  } else running += 1
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    if (next === undefined) running -= 1
    else next()
  }
}

function textOf(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}
