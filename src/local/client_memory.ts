import { preparedStatementBytesMax, preparedStatementsMax, statementMsMax } from '../core/limit.ts'
import type { Turn } from './pglite_session.ts'
import { type Frame, framesOf, messageType, pipelineOf } from './postgres_message.ts'
import { plainRowsOf } from './statement_answer.ts'

/** What a client may ask for in its startup message. */
const startupSettings = new Set(['application_name', 'datestyle', 'timezone', 'extra_float_digits', 'search_path'])
const maySet = /\b(set|reset|set_config|discard)\b/i

const changedSettings = `
  select name, setting from pg_catalog.pg_settings where source = 'session'
  union all select 'role', pg_catalog.current_setting('role') where pg_catalog.current_setting('role') <> 'none'`

/**
 * What one client had set and prepared, so that it finds it again after others had the session.
 * Temporary tables, advisory locks, LISTEN, SQL's own PREPARE and cursors are not kept.
 */
export type ClientMemory = {
  /** Notes what a batch prepares and closes, and whether it may change a setting. */
  note(batch: Buffer): void
  /** Reads the settings that differ, before the session is cleaned for somebody else. */
  keepSettings(run: Turn['run']): Promise<void>
  /** Sets them again in a session that is clean. */
  restoreSettings(run: Turn['run']): Promise<void>
  /** The Parse messages of the statements that `batch` uses and that are not in the session. Counts them as in it. */
  missingFor(batch: Buffer): readonly Buffer[]
  /** The session no longer has what was prepared. */
  forgetPrepared(): void
}

/** The statement that a Bind, Describe or Close names, else null. */
function statementNameOf(bytes: Buffer, { type, start }: Frame): string | null {
  let at = start
  if (type === messageType.bind) at = bytes.indexOf(0, start) + 1
  else if ((type === messageType.describe || type === messageType.close) && bytes[start] === 0x53) at = start + 1
  else return null
  const name = bytes.toString('utf8', at, bytes.indexOf(0, at))
  return name === '' ? null : name
}

export function createClientMemory(parameters: Readonly<Record<string, string>>): ClientMemory {
  const prepared = new Map<string, Buffer>()
  const live = new Set<string>()
  let preparedBytes = 0
  let touched = false
  let settings: readonly (readonly [string, string])[] = Object.entries(parameters).filter(([name]) =>
    startupSettings.has(name.toLowerCase()),
  )

  const forget = (name: string) => {
    preparedBytes -= prepared.get(name)?.length ?? 0
    prepared.delete(name)
    live.delete(name)
  }
  const remember = (name: string, message: Buffer) => {
    forget(name)
    live.add(name)
    if (prepared.size >= preparedStatementsMax || preparedBytes + message.length > preparedStatementBytesMax) return
    prepared.set(name, Buffer.from(message))
    preparedBytes += message.length
  }

  return {
    note(batch) {
      for (const frame of framesOf(batch)) {
        if (frame.type === messageType.parse) {
          const nameEnd = batch.indexOf(0, frame.start)
          const name = batch.toString('utf8', frame.start, nameEnd)
          if (name !== '') remember(name, batch.subarray(frame.start - 5, frame.end))
        } else if (frame.type === messageType.close) {
          const name = statementNameOf(batch, frame)
          if (name !== null) forget(name)
        }
        const mayHoldText = frame.type === messageType.parse || frame.type === messageType.query
        if (mayHoldText && !touched) touched = maySet.test(batch.toString('latin1', frame.start, frame.end))
      }
    },
    async keepSettings(run) {
      if (!touched) return
      const pieces: Buffer[] = []
      await run(pipelineOf([{ text: changedSettings, described: true }]), {
        msMax: statementMsMax,
        onPiece: (piece) => pieces.push(piece) > 0,
      })
      settings = plainRowsOf(Buffer.concat(pieces)).map(([name, value]) => [name ?? '', value ?? ''])
      touched = false
    },
    async restoreSettings(run) {
      if (settings.length === 0) return
      touched = true
      await run(
        pipelineOf(settings.map((pair) => ({ text: 'select pg_catalog.set_config($1, $2, false)', values: pair }))),
        { msMax: statementMsMax, onPiece: () => true },
      )
    },
    missingFor(batch) {
      const missing: Buffer[] = []
      for (const frame of framesOf(batch)) {
        const name = statementNameOf(batch, frame)
        const message = name === null ? undefined : prepared.get(name)
        if (name === null || message === undefined || live.has(name) || frame.type === messageType.close) continue
        live.add(name)
        missing.push(message)
      }
      return missing
    },
    forgetPrepared() {
      live.clear()
    },
  }
}
