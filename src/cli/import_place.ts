import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { writePrivateFile } from '../local/private_file.ts'
import type { ReaderState } from './import_reader.ts'
import type { SenderState } from './import_sender.ts'

/** How far a file has been imported, and what the rest of it needs to go on from there. */
export type ImportPlace = {
  readonly version: 2
  /** Bytes and lines that were read, and sent. */
  readonly offset: number
  readonly lines: number
  /** Hash of the bytes right before `offset`: another file of the same beginning is another file. */
  readonly seam: string
  readonly shiftUs: number
  readonly reader: ReaderState
  readonly sender: SenderState
}

const seamBytes = 4_096

/** The name under which the place in a file is kept: by its first bytes and the scope, wherever the file lies. */
export function placePathOf(dataDir: string, file: string, scope: string): string {
  const beginning = bytesOf(file, 0, seamBytes)
  const firstLine = beginning.subarray(0, beginning.indexOf(0x0a) >>> 0)
  const name = createHash('sha256').update(scope).update('\n').update(firstLine).digest('hex').slice(0, 32)
  return join(dataDir, 'imports', `${name}.json`)
}

/** Null where the file was never imported, or is not the one that was. */
export function readPlace(path: string, file: string): ImportPlace | null {
  try {
    const place = JSON.parse(readFileSync(path, 'utf8')) as ImportPlace
    return place.version === 2 && seamOf(file, place.offset) === place.seam ? place : null
  } catch {
    return null
  }
}

export function writePlace(path: string, place: ImportPlace): void {
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 })
  writePrivateFile(path, JSON.stringify(place))
}

export function seamOf(file: string, offset: number): string {
  const from = Math.max(0, offset - seamBytes)
  return createHash('sha256')
    .update(bytesOf(file, from, offset - from))
    .digest('hex')
    .slice(0, 32)
}

function bytesOf(file: string, from: number, length: number): Buffer {
  const descriptor = openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(length)
    return bytes.subarray(0, readSync(descriptor, bytes, 0, length, from))
  } finally {
    closeSync(descriptor)
  }
}
