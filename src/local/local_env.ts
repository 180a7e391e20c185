import { readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { assert } from '../core/result.ts'
import { writePrivateFile } from './private_file.ts'

type Env = { readonly [name: string]: string | undefined }

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Settings of one group go together: a hosted project's address is never used with the embedded one's key. */
const groups = [
  [
    'SUPABASE_URL',
    'SUPABASE_PUBLISHABLE_KEY',
    'SUPABASE_SECRET_KEY',
    'TELLTALE_URL',
    'TELLTALE_VIEWER_EMAIL',
    'TELLTALE_VIEWER_PASSWORD',
  ],
  ['UPSTASH_REDIS_REST_URL', 'UPSTASH_REDIS_REST_TOKEN'],
  ['TELLTALE_INGEST_URL', 'TELLTALE_INGEST_KEY'],
]

/** TELLTALE_DATA_DIR, or `.telltale` beside package.json. */
export function dataDirOf(env: Env): string {
  return env.TELLTALE_DATA_DIR ? resolve(env.TELLTALE_DATA_DIR) : join(root, '.telltale')
}

export function localEnvPathOf(dataDir: string): string {
  return join(dataDir, 'local.env')
}

/**
 * What `telltale start` has written to local.env, for whoever lacks a setting; nothing where it never ran, and nothing of
 * a group of which the environment has a part.
 */
export function readLocalEnv(env: Env = process.env): Record<string, string> {
  const settings = readLocalEnvFile(dataDirOf(env))
  for (const group of groups) if (group.some((name) => env[name])) for (const name of group) delete settings[name]
  return settings
}

/** All of a local.env, empty where there is none. */
export function readLocalEnvFile(dataDir: string): Record<string, string> {
  let text: string
  try {
    text = readFileSync(localEnvPathOf(dataDir), 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
    throw error
  }
  const settings: Record<string, string> = {}
  for (const line of text.split(/\r?\n/)) {
    const match = /^([A-Z][A-Z0-9_]*)='([^']*)'$/.exec(line)
    if (match?.[1] !== undefined && match[2] !== undefined) settings[match[1]] = match[2]
  }
  return settings
}

/**
 * Writes local.env whole or not at all. Values stand in single quotes, which `source` of every shell and every dotenv
 * parser take literally.
 */
export function writeLocalEnv(dataDir: string, settings: Readonly<Record<string, string>>): void {
  const lines = Object.entries(settings).map(([name, value]) => {
    assert(/^[^'\\\r\n]*$/.test(value), `${name} can be quoted for every reader`)
    return `${name}='${value}'\n`
  })
  const head = '# Written by `telltale start`. It opens everything in this data directory: keep it to yourself.\n'
  writePrivateFile(localEnvPathOf(dataDir), head + lines.join(''))
}
