import { writeSync } from 'node:fs'

/** Tells of one kind of trouble, once. */
export type Warn = (kind: string, text: string) => void

/** Not by process.stderr: where its far end is gone it fails later, as an `error` event that would end the host. */
export function writeWarning(line: string): void {
  writeSync(2, `${line}\n`)
}

/** One short line a kind, ever. Never throws, even where stderr is closed. */
export function warnOnce(write: (line: string) => void): Warn {
  const told = new Set<string>()
  return (kind, text) => {
    if (told.has(kind)) return
    told.add(kind)
    try {
      write(`telltale: ${text}`)
    } catch {
      // A host without stderr loses the warning, nothing else.
    }
  }
}

/** What an exception of our own says. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
