import { InvalidArgumentError } from 'commander'
import { readSettings, type StackClient, stackClientOf } from './stack_client.ts'

export type JsonOption = { readonly json?: boolean }

export async function connect(): Promise<StackClient> {
  return stackClientOf(await readSettings())
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** An instant of µs since the epoch, in UTC to the second. */
export function when(us: number): string {
  return new Date(us / 1_000).toISOString().replace(/\.\d+Z$/, 'Z')
}

const secondsOf = { s: 1, m: 60, h: 3_600, d: 86_400 } as const

/** How many seconds a text such as 90s, 30m, 2h or 7d is. @throws Error when it is none */
export function asSeconds(text: string): number {
  const match = /^(\d{1,7})([smhd])$/.exec(text.trim())
  if (match === null) throw new Error(`Cannot read time: it is ${text}, wanted such as 90s, 30m, 2h or 7d`)
  return Number(match[1]) * secondsOf[match[2] as keyof typeof secondsOf]
}

/** @throws InvalidArgumentError when the text is no number */
export function parseNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It is no number.')
  return value
}

/** An instant as ISO 8601, or as so long ago, such as 2h. µs since the epoch. @throws Error when it is neither */
export function asInstant(text: string, nowUs: number): number {
  if (/^\d{1,7}[smhd]$/.test(text)) return nowUs - asSeconds(text) * 1_000_000
  const ms = Date.parse(text)
  if (!Number.isFinite(ms))
    throw new Error(`Cannot read instant: it is ${text}, wanted ISO 8601, or such as 2h for two hours ago`)
  return ms * 1_000
}
