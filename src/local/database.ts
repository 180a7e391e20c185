/** One statement, run in a transaction of its own. */
export type Statement = {
  readonly text: string
  /** For $1, $2 ...; every value is text or null and is cast in the statement. */
  readonly values?: readonly (string | null)[]
  /** `set local role` to this first. Default: the owner. */
  readonly role?: string
  /** `set_config(name, value, true)` each, before the statement. */
  readonly settings?: Readonly<Record<string, string>>
  readonly readOnly?: boolean
  /** How long to wait for a turn in ms, where turns are taken. Default: `turnMsMax`. */
  readonly turnMsMax?: number
}

export type Row = Readonly<Record<string, unknown>>

/** A statement that PostgreSQL refused. The fields are PostgreSQL's own. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError'
  /** SQLSTATE, five characters. */
  readonly code: string
  readonly detail: string | null
  readonly hint: string | null

  constructor(message: string, code: string, detail: string | null = null, hint: string | null = null) {
    super(message)
    this.code = code
    this.detail = detail
    this.hint = hint
  }
}

/** PostgreSQL as the embedded stack uses it: PGlite in a worker thread, or a server that the operator runs. */
export interface Database {
  /**
   * Runs one statement in its own transaction. jsonb and json come as text, every other type as `pg` gives it.
   * @throws DatabaseError when PostgreSQL refuses; SQLSTATE 53300 when there was no turn within `turnMsMax`.
   */
  query(statement: Statement): Promise<readonly Row[]>
  /**
   * Runs several statements as the owner, together in one transaction unless the text says begin and commit itself.
   * A transaction or a setting that it leaves is undone. For statements such as VACUUM, one at a time.
   * @throws DatabaseError as `query` does.
   */
  exec(text: string): Promise<void>
  /** For `psql` and any other PostgreSQL client. Holds a password. */
  readonly url: string
  close(): Promise<void>
}
