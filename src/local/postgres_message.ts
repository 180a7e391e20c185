/**
 * Messages of the PostgreSQL protocol 3.0, as bytes.
 * Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
 */

import { assert } from '../core/result.ts'

const headerBytes = 5

/** The type byte of each message that this code tells apart. Frontend and backend share some letters. */
export const messageType = {
  bind: 0x42,
  close: 0x43,
  commandComplete: 0x43,
  copyData: 0x64,
  copyDone: 0x63,
  copyFail: 0x66,
  copyInResponse: 0x47,
  dataRow: 0x44,
  describe: 0x44,
  error: 0x45,
  execute: 0x45,
  flush: 0x48,
  functionCall: 0x46,
  parse: 0x50,
  parseComplete: 0x31,
  password: 0x70,
  query: 0x51,
  readyForQuery: 0x5a,
  rowDescription: 0x54,
  sync: 0x53,
  terminate: 0x58,
} as const

/** One message inside a larger buffer: its type, and where its body lies. */
export type Frame = { readonly type: number; readonly start: number; readonly end: number }

/** The complete messages in `bytes`, which begins with one; a cut last message is left out. */
export function* framesOf(bytes: Buffer): Generator<Frame> {
  let at = 0
  while (at + headerBytes <= bytes.length) {
    const length = bytes.readUInt32BE(at + 1)
    const end = at + 1 + length
    if (length < 4 || end > bytes.length) return
    yield { type: bytes[at] as number, start: at + headerBytes, end }
    at = end
  }
}

/** One message of the given type. Strings are written with their closing NUL; integers as they say. */
export function messageOf(type: number, ...parts: readonly (string | Uint8Array)[]): Buffer {
  let length = 4
  for (const part of parts) length += typeof part === 'string' ? Buffer.byteLength(part) + 1 : part.length
  const message = Buffer.allocUnsafe(1 + length)
  message[0] = type
  message.writeUInt32BE(length, 1)
  let at = headerBytes
  for (const part of parts) {
    if (typeof part === 'string') {
      assert(!part.includes('\0'), 'text in a message has no NUL')
      at += message.write(part, at)
      message[at++] = 0
    } else {
      message.set(part, at)
      at += part.length
    }
  }
  return message
}

export function int16Of(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2)
  bytes.writeUInt16BE(value)
  return bytes
}

export function int32Of(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}

const syncMessage = messageOf(messageType.sync)
const executeMessage = messageOf(messageType.execute, '', int32Of(0))
const describePortal = messageOf(messageType.describe, 'P')

/** The bytes in a buffer that owns its memory, so it can be transferred to another thread. */
export function ownedBytesOf(parts: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.allocUnsafeSlow(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** A simple query: one or more statements in one implicit transaction. */
export function queryMessage(text: string): Buffer {
  return messageOf(messageType.query, text)
}

/** What puts a session of unknown state back to how it began, whatever a client left in it. */
export const cleanMessages: readonly Buffer[] = [syncMessage, queryMessage('rollback'), queryMessage('discard all')]

export type Step = { readonly text: string; readonly values?: readonly (string | null)[]; readonly described?: boolean }

/**
 * The steps as one extended-protocol pipeline with a single Sync, in a buffer that owns its memory, so it can be
 * transferred to another thread. After an error the rest of the steps is skipped. Values are text, written once.
 */
export function pipelineOf(steps: readonly Step[]): Buffer {
  const parts: { head: Buffer; values: readonly (string | null)[]; lengths: number[]; tail: Buffer }[] = []
  let size = syncMessage.length
  for (const { text, values = [], described = false } of steps) {
    const lengths = values.map((value) => (value === null ? -1 : Buffer.byteLength(value)))
    const valueBytes = lengths.reduce((sum, length) => sum + 4 + Math.max(length, 0), 0)
    // Bind: portal "", statement "", no parameter formats (all text), the values, no result formats (all text).
    const bind = Buffer.alloc(headerBytes + 6)
    bind[0] = messageType.bind
    bind.writeUInt32BE(4 + 6 + valueBytes + 2, 1)
    bind.writeUInt16BE(values.length, headerBytes + 4)
    const head = Buffer.concat([messageOf(messageType.parse, '', text, int16Of(0)), bind])
    const tail = Buffer.concat([int16Of(0), ...(described ? [describePortal] : []), executeMessage])
    parts.push({ head, values, lengths, tail })
    size += head.length + valueBytes + tail.length
  }
  const bytes = Buffer.allocUnsafeSlow(size)
  let at = 0
  for (const { head, values, lengths, tail } of parts) {
    bytes.set(head, at)
    at += head.length
    for (const [i, value] of values.entries()) {
      at = bytes.writeInt32BE(lengths[i] as number, at)
      if (value !== null) at += bytes.write(value, at)
    }
    bytes.set(tail, at)
    at += tail.length
  }
  bytes.set(syncMessage, at)
  return bytes
}

/** The fields of an ErrorResponse or NoticeResponse by their letter: S severity, C SQLSTATE, M message, ... */
export function noticeFieldsOf(bytes: Buffer, frame: Frame): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {}
  let at = frame.start
  while (at < frame.end && bytes[at] !== 0) {
    const end = bytes.indexOf(0, at + 1)
    fields[String.fromCharCode(bytes[at] as number)] = bytes.toString('utf8', at + 1, end)
    at = end + 1
  }
  return fields
}

export type Field = { readonly name: string; readonly typeId: number }

export function fieldsOf(bytes: Buffer, frame: Frame): readonly Field[] {
  const fields: Field[] = []
  let at = frame.start + 2
  for (let i = bytes.readUInt16BE(frame.start); i > 0; i--) {
    const end = bytes.indexOf(0, at)
    fields.push({ name: bytes.toString('utf8', at, end), typeId: bytes.readUInt32BE(end + 7) })
    at = end + 19
  }
  return fields
}

/** The values of a DataRow, in text format. */
export function valuesOf(bytes: Buffer, frame: Frame): readonly (string | null)[] {
  const values: (string | null)[] = []
  let at = frame.start + 2
  for (let i = bytes.readUInt16BE(frame.start); i > 0; i--) {
    const length = bytes.readInt32BE(at)
    at += 4
    values.push(length < 0 ? null : bytes.toString('utf8', at, at + length))
    at += Math.max(length, 0)
  }
  return values
}

/** I: idle, T: in a transaction, E: in a transaction that failed. */
export type TransactionStatus = 'I' | 'T' | 'E'

/** The status in the ReadyForQuery that ends an answer, null when it ends otherwise, as inside a pipeline. */
export function statusOf(bytes: Uint8Array): TransactionStatus | null {
  const at = bytes.length - 6
  if (at < 0 || bytes[at] !== messageType.readyForQuery || bytes[at + 4] !== 5) return null
  const status = String.fromCharCode(bytes[at + 5] as number)
  return status === 'I' || status === 'T' || status === 'E' ? status : null
}
