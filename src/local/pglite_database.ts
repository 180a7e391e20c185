import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { statementMsMax, turnMsMax } from '../core/limit.ts'
import { type Database, DatabaseError, type Row, type Statement } from './database.ts'
import { openPgliteEngine, type PgliteEngine } from './pglite_engine.ts'
import { createPgliteSession, type PgliteSession } from './pglite_session.ts'
import { queryMessage } from './postgres_message.ts'
import { createSessionLock, TurnTimeout } from './session_lock.ts'
import { assertNoError, rollbackMessage, rowsOf, transactionOf } from './statement_answer.ts'

export type PgliteOptions = {
  /** Where the cluster lives; made when missing. One process at a time. */
  readonly dir: string
  /** For clients such as `psql`. Default: any free port of the loopback interface. */
  readonly host?: string
  readonly port?: number
  readonly user?: string
  readonly password: string
  /** Default: as in limit.ts. */
  readonly statementMsMax?: number
  readonly turnMsMax?: number
}

export type PgliteDatabase = Database & {
  /** VACUUM (ANALYZE) where it is due, and CHECKPOINT: PGlite does neither by itself. Others get turns in between. */
  maintain(): Promise<void>
}

const resultBytesMax = 256 * 1024 * 1024

/** An answer, collected. */
async function answerOf(
  session: PgliteSession,
  owner: object | null,
  bytes: Buffer,
  { msMax, turnMs, rollback }: { msMax: number; turnMs: number; rollback?: Uint8Array },
): Promise<Buffer> {
  const turn = await session.take(owner, turnMs).catch((error: unknown) => {
    if (!(error instanceof TurnTimeout)) throw error
    throw new DatabaseError(`Cannot run statement: the database was busy for ${turnMs} ms`, '53300')
  })
  const pieces: Buffer[] = []
  let size = 0
  try {
    await turn.run(bytes, {
      msMax,
      ...(rollback === undefined ? {} : { rollback }),
      onPiece(piece) {
        size += piece.length
        if (size > resultBytesMax) return false
        pieces.push(piece)
        return true
      },
    })
  } finally {
    turn.end()
  }
  if (size > resultBytesMax) throw new DatabaseError(`Cannot read result: it is over ${resultBytesMax} bytes`, '54000')
  return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)
}

/**
 * Opens PGlite, PostgreSQL as a library, in a worker thread. Committed rows survive a killed process, for they have
 * been handed to the operating system; it never fsyncs, so a power cut may lose the last seconds.
 */
export async function openPgliteDatabase(options: PgliteOptions): Promise<PgliteDatabase> {
  const msMax = options.statementMsMax ?? statementMsMax
  const turnMs = options.turnMsMax ?? turnMsMax
  const dir = join(options.dir, 'pgdata')
  await mkdir(dir, { recursive: true })
  const engine: PgliteEngine = await openPgliteEngine(dir)
  const session = createPgliteSession(engine, createSessionLock())

  const query = async (statement: Statement): Promise<readonly Row[]> =>
    rowsOf(await answerOf(session, null, transactionOf(statement), { msMax, turnMs, rollback: rollbackMessage }))

  const exec = async (text: string): Promise<void> => {
    const bytes = Buffer.from(Uint8Array.from(queryMessage(text)).buffer)
    assertNoError(await answerOf(session, {}, bytes, { msMax, turnMs: msMax, rollback: rollbackMessage }))
  }

  return {
    query,
    exec,
    url: '',
    async maintain() {
      const tables = await query({ text: tablesToVacuum, readOnly: true })
      for (const { name } of tables) await exec(`vacuum (analyze) ${name}`)
      await exec('checkpoint')
    },
    async close() {
      await engine.close()
    },
  }
}

const tablesToVacuum = `
  select pg_catalog.format('%I.%I', schemaname, relname) as name
  from pg_catalog.pg_stat_all_tables
  where schemaname not in ('pg_toast', 'information_schema') and n_dead_tup + n_ins_since_vacuum + n_mod_since_analyze > 0`
