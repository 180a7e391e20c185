// How strongly a cell is coloured: one scale for every heatmap.

/** How many shades there are; 0 is none. The styles have a class `shade-0` to `shade-10`. */
export const shadesMax = 10

/** The shade of a value among values up to `most`. Small ones are lifted: what is there can be seen. */
export function shadeOf(value: number, most: number): number {
  if (!(value > 0) || !(most > 0)) return 0
  return Math.max(1, Math.min(shadesMax, Math.round(shadesMax * (value / most) ** 0.6)))
}

/** A cell of a heatmap that is a table. `note` stands below the text; `hint` says all of it. */
export type HeatTableCell = {
  readonly text: string
  readonly note: string
  readonly hint: string
  readonly shade: number
  /** Where it leads, null where there is nowhere to go. */
  readonly path: string | null
}

/** A heatmap whose rows and columns are names. A cell is null where nothing is known. */
export type HeatTable = {
  readonly caption: string
  readonly noun: string
  /** A layer's name, or null for a column that is no layer. */
  readonly columns: readonly { readonly name: string; readonly layer: string | null }[]
  readonly rows: readonly {
    readonly name: string
    readonly note: string
    readonly path: string | null
    readonly cells: readonly (HeatTableCell | null)[]
  }[]
}

/** What a sample says of itself; empty where everything was read. */
export function sampleText({ matched, read }: { readonly matched: number; readonly read: number }): string {
  if (read >= matched) return ''
  const grouped = new Intl.NumberFormat('en-US')
  return `A sample: ${grouped.format(read)} of ${grouped.format(matched)} calls.`
}
