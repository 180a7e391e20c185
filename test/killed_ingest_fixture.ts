// A process that accepts one batch and is killed on the way: node killed_ingest_fixture.ts FILE, where FILE holds a
// KilledIngest. Run only by convergence_test.ts.
import { readFileSync } from 'node:fs'
import { acceptBatch } from '../functions/action/accept_batch.ts'
import { PostgresStore } from '../functions/store/postgres.ts'
import { parseBatch } from '../src/wire/parse_batch.ts'

/** Where the process dies: at the nth request to Postgres, or once all is done but the answer. */
export type KillPoint =
  | { readonly call: number; readonly phase: 'before' | 'sent' | 'answered' }
  | { readonly phase: 'accepted' }

export type KilledIngest = {
  readonly url: string
  readonly secretKey: string
  readonly keyId: string
  readonly body: string
  readonly nowUs: number
  readonly kill: KillPoint
}

const file = process.argv[2]
if (file !== undefined) await acceptAndDie(JSON.parse(readFileSync(file, 'utf8')))

async function acceptAndDie({ url, secretKey, keyId, body, nowUs, kill }: KilledIngest): Promise<void> {
  let calls = 0
  const fatal: typeof fetch = async (...args) => {
    calls += 1
    if (kill.phase === 'accepted' || kill.call !== calls) return await fetch(...args)
    if (kill.phase === 'before') die()
    const answer = fetch(...args)
    // Long enough for the request to leave, short enough that Postgres is at work on it.
    if (kill.phase === 'sent') setTimeout(die, 4)
    await answer
    return die()
  }
  const parsed = parseBatch(body, nowUs)
  if (!parsed.ok) throw new Error(`Cannot accept batch: ${parsed.error.detail}`)
  const store = new PostgresStore({ url, secretKey, fetch: fatal })
  await acceptBatch(parsed.value, { keyId, sentAtUs: null, receivedAtUs: nowUs, flushMs: 250 }, store)
  die()
}

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  throw new Error('Cannot get here: this process is dead')
}
