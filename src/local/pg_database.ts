import pg from 'pg'
import { statementMsMax, turnMsMax } from '../core/limit.ts'
import { type Database, DatabaseError, type Row, type Statement } from './database.ts'
import { parserOf, settingStepsOf } from './statement_answer.ts'

const poolSize = 10

export type PgOptions = {
  /** Default: as in limit.ts. */
  readonly statementMsMax?: number
  readonly turnMsMax?: number
  readonly connectionsMax?: number
}

/** Fields that `pg` puts on an error which PostgreSQL sent, and on none of its own. */
function databaseErrorOf(error: unknown): unknown {
  if (!(error instanceof pg.DatabaseError)) return error
  return new DatabaseError(error.message, error.code ?? 'XX000', error.detail ?? null, error.hint ?? null)
}

/**
 * A PostgreSQL server that the operator runs (TELLTALE_DATABASE_URL), behind the port that PGlite is behind too.
 * @throws DatabaseError 08006 when the server cannot be reached.
 */
export async function openPgDatabase(url: string, options: PgOptions = {}): Promise<Database> {
  const turnMs = options.turnMsMax ?? turnMsMax
  const pool = new pg.Pool({
    connectionString: url,
    max: options.connectionsMax ?? poolSize,
    connectionTimeoutMillis: turnMs,
    statement_timeout: options.statementMsMax ?? statementMsMax,
    application_name: 'telltale',
    types: { getTypeParser: (typeId: number) => parserOf(typeId) } as unknown as pg.CustomTypesConfig,
  })
  pool.on('error', () => {}) // An idle connection broke; the pool opens another when one is wanted.
  pool.on('connect', (client) => client.on('error', () => {})) // One in use broke; its statement rejects.

  /** `pg` gives one error for a full pool and for a server that does not answer, told apart by their text only. */
  const connect = async (): Promise<pg.PoolClient> => {
    try {
      return await pool.connect()
    } catch (error) {
      const refusal = databaseErrorOf(error)
      if (refusal instanceof DatabaseError) throw refusal
      const why = error instanceof Error ? error.message : String(error)
      if (pool.totalCount >= pool.options.max) {
        throw new DatabaseError(`Cannot run statement: the database was busy for ${turnMs} ms`, '53300')
      }
      throw new DatabaseError(`Cannot reach database: ${why}`, '08006')
    }
  }

  /** A connection that fails in the middle is not used again. */
  const withClient = async <T>(
    run: (client: pg.PoolClient) => Promise<T>,
    clean: (client: pg.PoolClient) => unknown,
  ) => {
    const client = await connect()
    try {
      return await run(client)
    } catch (error) {
      const refusal = databaseErrorOf(error)
      throw refusal instanceof DatabaseError
        ? refusal
        : new DatabaseError(`Cannot run statement: ${error instanceof Error ? error.message : error}`, '08006')
    } finally {
      try {
        await clean(client)
        client.release()
      } catch (error) {
        client.release(error instanceof Error ? error : true)
      }
    }
  }

  const query = (statement: Statement): Promise<readonly Row[]> => {
    let open = false
    return withClient(
      async (client) => {
        await client.query(statement.readOnly === true ? 'begin read only' : 'begin')
        open = true
        for (const { text, values = [] } of settingStepsOf(statement)) await client.query(text, [...values])
        const { rows } = await client.query<Record<string, unknown>>({
          text: statement.text,
          values: [...(statement.values ?? [])],
        })
        await client.query('commit')
        open = false
        return rows
      },
      (client) => (open ? client.query('rollback') : undefined),
    )
  }

  const exec = (text: string): Promise<void> =>
    withClient(
      async (client) => {
        await client.query(text)
      },
      async (client) => {
        await client.query('rollback')
        await client.query('discard all')
      },
    )

  const database: Database = { query, exec, url, close: () => pool.end() }
  try {
    await query({ text: 'select' })
    return database
  } catch (error) {
    await pool.end()
    throw error
  }
}
