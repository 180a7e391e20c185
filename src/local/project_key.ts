import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JSONWebKeySet, type JWK } from 'jose'
import { createIngestKey } from './ingest_key.ts'
import { writePrivateFile } from './private_file.ts'

/** What a Supabase project has as keys, made once for a data directory and kept in it. */
export type ProjectKeys = {
  /** `sb_publishable_...`: role anon. */
  readonly publishableKey: string
  /** `sb_secret_...`: role service_role, past every policy. */
  readonly secretKey: string
  /** Of the database's owner, for `psql`. */
  readonly databasePassword: string
  /** The private half of the ES256 key that signs the tokens of users, with its `kid`. */
  readonly signingKey: JWK
  /** The first ingest key as text. */
  readonly ingestKey: string
  /** Opens the embedded Redis: UPSTASH_REDIS_REST_TOKEN. */
  readonly redisToken: string
  /** With which the viewer was made. The operator may have changed it since; that one is not known here. */
  readonly viewerPassword: string
}

const fileName = 'project.json'

/**
 * Reads the project's keys, and makes them where there are none yet. Only the holder of the directory's lock may call it.
 * @throws when the file is there and is not understood: new keys in its place would lock every reporter out.
 */
export async function readProjectKeys(dir: string): Promise<ProjectKeys> {
  const path = join(dir, fileName)
  const text = readTextIfThere(path)
  if (text === null) {
    const keys = await createProjectKeys()
    writeProjectKeys(dir, keys)
    return keys
  }
  chmodSync(path, 0o600)
  const keys = parseProjectKeys(text, path)
  // A directory of an earlier version lacks the newer secrets; those that it has stay.
  const whole = { ...createSecrets(), ...keys }
  if (Object.keys(whole).length > Object.keys(keys).length) writeProjectKeys(dir, whole)
  return whole
}

export function writeProjectKeys(dir: string, keys: ProjectKeys): void {
  writePrivateFile(join(dir, fileName), `${JSON.stringify(keys, null, 2)}\n`)
}

/** What `/auth/v1/.well-known/jwks.json` serves: the public half alone (RFC 7517). */
export function publicJwksOf({ signingKey }: ProjectKeys): JSONWebKeySet {
  const { kty, crv, x, y, kid } = signingKey as Required<Pick<JWK, 'kty' | 'crv' | 'x' | 'y' | 'kid'>>
  return { keys: [{ kty, crv, x, y, kid, alg: 'ES256', use: 'sig', key_ops: ['verify'] }] }
}

async function createProjectKeys(): Promise<ProjectKeys> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(privateKey)
  return {
    publishableKey: apiKeyOf('publishable'),
    secretKey: apiKeyOf('secret'),
    databasePassword: randomBytes(24).toString('base64url'),
    signingKey: { ...jwk, alg: 'ES256', kid: await calculateJwkThumbprint(jwk) },
    ingestKey: createIngestKey().text,
    ...createSecrets(),
  }
}

function createSecrets(): Pick<ProjectKeys, 'redisToken' | 'viewerPassword'> {
  return { redisToken: randomBytes(24).toString('base64url'), viewerPassword: randomBytes(18).toString('base64url') }
}

/** The form of Supabase's: `sb_<kind>_<random>_<checksum>`. */
function apiKeyOf(kind: 'publishable' | 'secret'): string {
  const body = `sb_${kind}_${randomBytes(24).toString('base64url').replaceAll('_', '-')}`
  return `${body}_${createHash('sha256').update(body).digest('hex').slice(0, 8)}`
}

function parseProjectKeys(text: string, path: string): Omit<ProjectKeys, 'redisToken' | 'viewerPassword'> {
  const keys = jsonOf(text)
  const names = ['publishableKey', 'secretKey', 'databasePassword', 'ingestKey'] as const
  const newer = ['redisToken', 'viewerPassword'] as const
  const whole =
    keys !== null &&
    names.every((name) => typeof keys[name] === 'string') &&
    newer.every((name) => keys[name] === undefined || typeof keys[name] === 'string') &&
    typeof keys.signingKey === 'object' &&
    keys.signingKey !== null
  if (!whole)
    throw new Error(`Cannot read the project's keys: ${path} is damaged; restore it, or delete it for new keys`)
  return keys as ProjectKeys
}

function jsonOf(text: string): Partial<Record<keyof ProjectKeys, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : null
  } catch {
    return null
  }
}

function readTextIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
