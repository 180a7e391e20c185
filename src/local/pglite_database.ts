import { existsSync } from 'node:fs'
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import {
  idleInTransactionMsMax,
  resultBytesMax,
  socketClientsMax,
  socketTransactionMsMax,
  statementMsMax,
  turnMsMax,
} from '../core/limit.ts'
import { lockDataDir } from './data_dir_lock.ts'
import { type Database, DatabaseError, type Row, type Statement } from './database.ts'
import { openPgliteEngine, type PgliteEngine } from './pglite_engine.ts'
import { createPgliteSession, type PgliteSession, type SessionOwner } from './pglite_session.ts'
import { ownedBytesOf, queryMessage } from './postgres_message.ts'
import { createSessionLock, TurnTimeout } from './session_lock.ts'
import {
  assertNoError,
  isSound,
  isTransactionSound,
  rollbackMessage,
  rowsOf,
  transactionOf,
} from './statement_answer.ts'
import { openWireServer } from './wire_server.ts'

export type PgliteOptions = {
  /** For the cluster (in `pgdata`) and the lock; made when missing. One process at a time. */
  readonly dir: string
  /** Where clients such as `psql` connect. Default: any free port of 127.0.0.1. */
  readonly host?: string
  readonly port?: number
  /** Default: postgres. Whatever the name, it is the owner of everything. */
  readonly user?: string
  readonly password: string
  /** Default: as in limit.ts. */
  readonly statementMsMax?: number
  readonly turnMsMax?: number
  readonly socketClientsMax?: number
  readonly socketTransactionMsMax?: number
  readonly idleInTransactionMsMax?: number
  /** As `openPgliteEngine()` says. */
  readonly stackSizeMb?: number
}

export type PgliteDatabase = Database & {
  /** VACUUM (ANALYZE) where it is due, and CHECKPOINT: PGlite does neither by itself. Others get turns in between. */
  maintain(): Promise<void>
}

type AnswerOptions = {
  readonly msMax: number
  readonly turnMs: number
  readonly rollback: Uint8Array
  /** Whether an answer, seen whole, comes of a session that works. */
  readonly sound: (answer: Buffer) => boolean
}

/**
 * An answer, collected. One that is not sound ends the session, whose next user finds a new one.
 * @throws DatabaseError 57P02 when it is not sound, 53300 without a turn, 54000 when it is too large.
 */
async function answerOf(
  session: PgliteSession,
  owner: SessionOwner | null,
  bytes: Buffer,
  { msMax, turnMs, rollback, sound }: AnswerOptions,
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
      rollback,
      onPiece(piece) {
        size += piece.length
        if (size > resultBytesMax) return false
        pieces.push(piece)
        return true
      },
    })
    if (size > resultBytesMax)
      throw new DatabaseError(`Cannot read result: it is over ${resultBytesMax} bytes`, '54000')
    const answer = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)
    if (!sound(answer)) {
      await turn.discard()
      throw new DatabaseError('Cannot run statement: the session broke and is being reopened', '57P02')
    }
    return answer
  } finally {
    turn.end()
  }
}

/** What a server tells each client about itself. */
async function readParameters(query: Database['query']): Promise<Readonly<Record<string, string>>> {
  const names = ['server_version', 'server_encoding', 'client_encoding', 'application_name', 'is_superuser']
  names.push('session_authorization', 'DateStyle', 'IntervalStyle', 'TimeZone', 'integer_datetimes')
  names.push('standard_conforming_strings', 'in_hot_standby', 'default_transaction_read_only', 'search_path')
  const columns = names.map((name) => `pg_catalog.current_setting('${name}') as "${name}"`)
  const [row] = await query({ text: `select ${columns.join(', ')}`, readOnly: true })
  return row as Readonly<Record<string, string>>
}

/**
 * Opens the cluster in `pgdata`, made when missing. A note beside it says that it is being made: PGlite copies it there
 * file by file, and one that was cut short has nothing yet that anybody was promised.
 */
async function openCluster(parent: string, stackSizeMb: number | undefined): Promise<PgliteEngine> {
  const dir = join(parent, 'pgdata')
  const note = join(parent, 'pgdata.unfinished')
  if (existsSync(note)) await rm(dir, { recursive: true, force: true })
  if (!existsSync(dir)) await writeFile(note, '')
  await mkdir(dir, { recursive: true })
  // PGlite leaves its files writable by everyone, whoever may enter the directories above.
  await chmod(dir, 0o700)
  const engine = await openPgliteEngine(dir, stackSizeMb)
  await rm(note, { force: true })
  return engine
}

/**
 * Opens PGlite, PostgreSQL as a library, in a worker thread. Committed rows survive a killed process, for they have
 * been handed to the operating system; it never fsyncs, so a power cut may lose the last seconds.
 * Its one session is shared with the clients of `url`: see `createWireClient()` for what they lose between statements.
 * @throws DataDirInUse when another process has the directory, DatabaseError 57P03 when it cannot be opened.
 */
export async function openPgliteDatabase(options: PgliteOptions): Promise<PgliteDatabase> {
  const { host = '127.0.0.1', port = 0, user = 'postgres', password } = options
  const msMax = options.statementMsMax ?? statementMsMax
  const turnMs = options.turnMsMax ?? turnMsMax
  const unlock = lockDataDir(options.dir)
  const closers: (() => unknown)[] = [unlock]
  const closeAll = async () => {
    for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close()
  }
  try {
    const engine = await openCluster(options.dir, options.stackSizeMb)
    closers.push(engine.close)
    const session = createPgliteSession(engine, createSessionLock())

    const query = async (statement: Statement): Promise<readonly Row[]> => {
      const limits = {
        msMax,
        turnMs: statement.turnMsMax ?? turnMs,
        rollback: rollbackMessage,
        sound: isTransactionSound,
      }
      return rowsOf(await answerOf(session, null, transactionOf(statement), limits))
    }
    const exec = async (text: string): Promise<void> => {
      const bytes = ownedBytesOf([queryMessage(text)])
      const limits = { msMax, turnMs: msMax, rollback: rollbackMessage, sound: isSound }
      assertNoError(await answerOf(session, {}, bytes, limits))
    }

    const server = await openWireServer({
      session,
      host,
      port,
      user,
      password,
      parameters: await readParameters(query),
      interrupt: engine.interrupt,
      clientsMax: options.socketClientsMax ?? socketClientsMax,
      limits: {
        statementMsMax: msMax,
        transactionMsMax: options.socketTransactionMsMax ?? socketTransactionMsMax,
        idleInTransactionMsMax: options.idleInTransactionMsMax ?? idleInTransactionMsMax,
      },
    })
    closers.push(server.close)
    const authority = `${encodeURIComponent(user)}:${encodeURIComponent(password)}@${isIPv6(host) ? `[${host}]` : host}`
    return {
      query,
      exec,
      url: `postgres://${authority}:${server.port}/postgres`,
      async maintain() {
        await query({ text: 'select pg_catalog.pg_stat_force_next_flush()' })
        const tables = await query({ text: tablesToVacuum, readOnly: true })
        for (const { name } of tables) {
          await exec(`vacuum (analyze) ${name}`).catch((error: unknown) => {
            if (!(error instanceof DatabaseError) || error.code !== undefinedTable) throw error // Else just dropped.
          })
        }
        await exec('checkpoint')
      },
      close: closeAll,
    }
  } catch (error) {
    await closeAll()
    throw error
  }
}

const undefinedTable = '42P01'

/** As autovacuum decides, with its default thresholds. */
const tablesToVacuum = `
  select pg_catalog.format('%I.%I', schemaname, relname) as name
  from pg_catalog.pg_stat_all_tables
  where schemaname not like 'pg_toast%' and (
    n_dead_tup > 50 + 0.2 * n_live_tup
    or n_mod_since_analyze > 50 + 0.1 * n_live_tup
    or n_ins_since_vacuum > 1000 + 0.2 * n_live_tup)`
