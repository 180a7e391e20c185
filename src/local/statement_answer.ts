import pg from 'pg'
import { assert } from '../core/result.ts'
import { DatabaseError, type Row, type Statement } from './database.ts'
import {
  type Field,
  fieldsOf,
  framesOf,
  messageType,
  noticeFieldsOf,
  pipelineOf,
  queryMessage,
  type Step,
  valuesOf,
} from './postgres_message.ts'

const jsonTypeId = 114
const jsonbTypeId = 3802

/** What `pg` makes of a value in text format, except that json and jsonb stay text. */
export function parserOf(typeId: number): (text: string) => unknown {
  if (typeId === jsonTypeId || typeId === jsonbTypeId) return (text) => text
  return pg.types.getTypeParser(typeId, 'text')
}

/** `set_config` for the role and the settings: one step, none when there is nothing to set. */
export function settingStepsOf({ role, settings = {} }: Statement): readonly Step[] {
  const pairs = [...(role === undefined ? [] : [['role', role] as const]), ...Object.entries(settings)]
  if (pairs.length === 0) return []
  const calls = pairs.map((_, i) => `pg_catalog.set_config($${2 * i + 1}, $${2 * i + 2}, true)`)
  return [{ text: `select ${calls.join(', ')}`, values: pairs.flat() }]
}

export const rollbackMessage = queryMessage('rollback')

/** A statement in its own transaction, as one pipeline: after an error in it nothing further runs, and no commit. */
export function transactionOf(statement: Statement): Buffer {
  return pipelineOf([
    { text: statement.readOnly === true ? 'begin read only' : 'begin' },
    ...settingStepsOf(statement),
    { text: statement.text, ...(statement.values === undefined ? {} : { values: statement.values }), described: true },
    { text: 'commit' },
  ])
}

/**
 * The rows of the described statement in an answer.
 * @throws DatabaseError when the answer has an ErrorResponse.
 */
export function rowsOf(answer: Buffer): readonly Row[] {
  let fields: readonly Field[] | null = null
  let parsers: readonly ((text: string) => unknown)[] = []
  let lastTag = ''
  const rows: Row[] = []
  for (const frame of framesOf(answer)) {
    if (frame.type === messageType.error) throw databaseErrorOf(noticeFieldsOf(answer, frame))
    if (frame.type === messageType.commandComplete) lastTag = answer.toString('utf8', frame.start, frame.end - 1)
    if (frame.type === messageType.rowDescription) {
      fields = fieldsOf(answer, frame)
      parsers = fields.map((field) => parserOf(field.typeId))
    } else if (frame.type === messageType.dataRow && fields !== null) {
      const row: Record<string, unknown> = {}
      for (const [i, value] of valuesOf(answer, frame).entries()) {
        const { name } = fields[i] as Field
        row[name] = value === null ? null : parsers[i]?.(value)
      }
      rows.push(row)
    }
  }
  assert(lastTag === 'COMMIT', `a transaction without an error commits, it said ${lastTag}`)
  return rows
}

/** False when PostgreSQL says FATAL, which it says only to a session that ends: PGlite keeps it, and it fails for good. */
export function isSound(answer: Buffer): boolean {
  for (const frame of framesOf(answer)) {
    if (frame.type !== messageType.error) continue
    if (/^(FATAL|PANIC)$/.test(noticeFieldsOf(answer, frame).V ?? '')) return false
  }
  return true
}

/** Whether an answer to `transactionOf()` can be one: it is sound, it began, and it either failed or committed. */
export function isTransactionSound(answer: Buffer): boolean {
  const tags: string[] = []
  let failed = false
  for (const frame of framesOf(answer)) {
    if (frame.type === messageType.error) {
      if (tags.length === 0) return false
      failed = true
    }
    if (frame.type === messageType.commandComplete) tags.push(answer.toString('utf8', frame.start, frame.end - 1))
  }
  return isSound(answer) && tags[0] === 'BEGIN' && (failed || (tags.length > 1 && tags.at(-1) === 'COMMIT'))
}

/** The rows of an answer as text, for statements of our own that cannot fail in a way worth telling. */
export function plainRowsOf(answer: Buffer): readonly (readonly (string | null)[])[] {
  const rows: (readonly (string | null)[])[] = []
  for (const frame of framesOf(answer)) if (frame.type === messageType.dataRow) rows.push(valuesOf(answer, frame))
  return rows
}

/** @throws DatabaseError for the first ErrorResponse in an answer. */
export function assertNoError(answer: Buffer): void {
  for (const frame of framesOf(answer)) {
    if (frame.type === messageType.error) throw databaseErrorOf(noticeFieldsOf(answer, frame))
  }
}

function databaseErrorOf(fields: Readonly<Record<string, string>>): DatabaseError {
  return new DatabaseError(fields.M ?? 'unknown error', fields.C ?? 'XX000', fields.D ?? null, fields.H ?? null)
}
