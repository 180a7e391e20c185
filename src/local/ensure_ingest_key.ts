import type { Database } from './database.ts'
import { createIngestKey, type IngestKey, ingestKeyOf } from './ingest_key.ts'
import { type ProjectKeys, writeProjectKeys } from './project_key.ts'

const role = 'service_role'

/**
 * Makes the project's own ingest key known to the database, or, where an operator has revoked it, another in its place.
 * @returns its text.
 */
export async function ensureIngestKey(database: Database, dataDir: string, keys: ProjectKeys): Promise<string> {
  const own = ingestKeyOf(keys.ingestKey)
  const [row] = await database.query({
    text: 'select telltale.read_key($1::text) as key',
    values: [own.id],
    role,
    readOnly: true,
  })
  const known = typeof row?.key === 'string' ? (JSON.parse(row.key) as { revoked?: boolean } | null) : null
  if (known === null) return keep(database, own)
  if (known.revoked !== true) return own.text
  const next = createIngestKey()
  writeProjectKeys(dataDir, { ...keys, ingestKey: next.text })
  return keep(database, next)
}

async function keep(database: Database, { id, hash, text }: IngestKey): Promise<string> {
  const values = [id, hash, 'local']
  await database.query({ text: 'select telltale.create_key($1::text, $2::text, $3::text)', values, role })
  return text
}
