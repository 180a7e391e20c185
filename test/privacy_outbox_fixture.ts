import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { readEntries } from '../src/reporter/delivery/spill_entry.ts'
import type { WayIn } from './privacy_way_fixture.ts'

/** What the way leaves on the disk while no edge is there. */
export async function outboxTextOf(way: WayIn, secrets: Parameters<WayIn>[0]): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'telltale-privacy-'))
  const down = { TELLTALE_INGEST_URL: 'http://127.0.0.1:9/', TELLTALE_INGEST_KEY: 'k', TELLTALE_OUTBOX_DIR: dir }
  await way(secrets, down)
  const texts: string[] = []
  for (const name of readdirSync(dir, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.outbox'))) {
    const file = readFileSync(join(dir, name))
    for (const found of readEntries(file)) {
      if (found.kind !== 'batch') continue
      const { body, encoding } = found.batch
      texts.push((encoding === 'gzip' ? gunzipSync(body) : Buffer.from(body)).toString())
    }
  }
  rmSync(dir, { recursive: true, force: true })
  return texts.join('\n')
}
