import { instantOf, type TailRow } from './tail_line.ts'

const rememberedMax = 5_000

/**
 * Decides what is shown of the rows that pages bring. Pages overlap, and a trace comes again with every change: a row
 * waits until its trace has been quiet for `settleMs`, so that spans of another process can still arrive, and is shown
 * again only where its text differs.
 */
export class TailFeed {
  readonly #textOf: (row: TailRow) => string
  readonly #settleMs: number
  readonly #waiting = new Map<string, { readonly row: TailRow; readonly since: number }>()
  readonly #shown = new Map<string, string>()

  constructor(textOf: (row: TailRow) => string, settleMs: number) {
    this.#textOf = textOf
    this.#settleMs = settleMs
  }

  add(rows: readonly TailRow[], nowMs: number): void {
    for (const row of rows) {
      const known = this.#waiting.get(row.trace_id)
      if (known && known.row.revision === row.revision) continue
      this.#waiting.set(row.trace_id, { row, since: nowMs })
    }
  }

  /** The texts that are due, by the end of their calls: a batch brings its rows in no order that means anything. */
  due(nowMs: number): readonly string[] {
    const texts: string[] = []
    const due = [...this.#waiting].filter(([, { since }]) => nowMs - since >= this.#settleMs)
    due.sort(([, a], [, b]) => instantOf(a.row.at).getTime() - instantOf(b.row.at).getTime() || 0)
    for (const [id, { row }] of due) {
      this.#waiting.delete(id)
      const text = this.#textOf(row)
      if (this.#shown.get(id) !== text) texts.push(text)
      this.#shown.delete(id)
      this.#shown.set(id, text)
    }
    for (const id of this.#shown.keys()) {
      if (this.#shown.size <= rememberedMax) break
      this.#shown.delete(id)
    }
    return texts
  }
}
