import type { HeatTable } from './heat_shade.ts'
import { shadeOf } from './heat_shade.ts'
import type { HeatCell, HeatFilter, Heatmap } from './lens_answer.ts'
import { nameText } from './name_text.ts'
import { countText, durationText, percentText, pluralText, timeText } from './number_text.ts'
import { type FilterKey, type Place, pathOf, withFilter, withPlace } from './place.ts'
import { callName } from './session_lens_view.ts'
import { layersInOrder } from './trace_layer_view.ts'
import type { WhyRegion } from './why_view.ts'

// A heatmap as values: a grid over time, of which a region may be chosen, or a table of names.

export const heatmaps = [
  { key: 'latency', x: 'time', y: 'latency', name: 'Latency over time' },
  { key: 'time', x: 'time', y: 'layer', name: 'Layers over time' },
  { key: 'call', x: 'call_number', y: 'layer', name: 'Layers by call number' },
  { key: 'tool', x: 'tool', y: 'layer', name: 'Layers by tool' },
  { key: 'provider', x: 'provider', y: 'layer', name: 'Layers by provider' },
  { key: 'model', x: 'model', y: 'layer', name: 'Layers by model' },
] as const
export type HeatKind = (typeof heatmaps)[number]

/** A grid: its rows from the top, its cells by column and by row from the top. */
export type HeatGrid = {
  readonly columns: number
  readonly rows: readonly { readonly name: string; readonly layer: string | null }[]
  readonly cells: readonly {
    readonly x: number
    readonly y: number
    readonly shade: number
    readonly failed: boolean
  }[]
  readonly ticks: readonly { readonly x: number; readonly text: string }[]
}

/** Part of a grid: columns and rows from the top, the last ones included. */
export type HeatRegion = { readonly x0: number; readonly x1: number; readonly y0: number; readonly y1: number }

/** Of a heatmap over time. Latencies rise, layers stand outermost first; each layer is shaded by its part of its column. */
export function heatGridOf(heat: Heatmap, nowUs: number): HeatGrid {
  const order = rowOrderOf(heat)
  const most = Math.max(0, ...heat.cells.map((cell) => weightOf(heat, cell)))
  return {
    columns: heat.columns.length,
    rows: order.map((y) => ({
      name: rowName(heat, y),
      layer: heat.y === 'layer' ? (heat.rows[y]?.key ?? null) : null,
    })),
    cells: heat.cells.map((cell) => ({
      x: cell.x,
      y: order.indexOf(cell.y),
      shade: shadeOf(weightOf(heat, cell), most),
      failed: (cell.errors ?? 0) * 2 >= cell.n,
    })),
    ticks: ticksOf(heat, nowUs),
  }
}

/** What a part of a grid says: when, which latencies or layers, and what is in it. */
export function regionText(heat: Heatmap, region: HeatRegion, nowUs: number): string {
  const { from, to } = timesOf(heat, region)
  const rows = rowsOf(heat, region)
  const cells = cellsIn(heat, region)
  const n = cells.reduce((sum, cell) => sum + cell.n, 0)
  const time = `${timeText(from, nowUs)} to ${timeText(to, nowUs)}`
  if (heat.y === 'latency') {
    const errors = cells.reduce((sum, cell) => sum + (cell.errors ?? 0), 0)
    const failed = errors === 0 ? '' : `, ${countText(errors)} failed`
    return `${time}, ${latencyText(heat, rows)}: ${pluralText(n, 'call', 'calls')}${failed}`
  }
  const ms = cells.reduce((sum, cell) => sum + (cell.self_ms ?? 0), 0)
  const whole = heat.columns.slice(region.x0, region.x1 + 1).reduce((sum, { total_ms }) => sum + total_ms, 0)
  const names = rows.map((y) => rowName(heat, y)).join(', ')
  const share = whole > 0 ? ` (${percentText(Math.min(1, ms / whole))})` : ''
  return `${time}, ${names}: ${durationText(ms)}${share}`
}

/** How many calls a part of a grid holds; of layers, those that spent time in any of them at the most. */
export function callsIn(heat: Heatmap, region: HeatRegion): number {
  return cellsIn(heat, region).reduce((sum, cell) => sum + cell.n, 0)
}

/** The place that shows a part of a grid alone: its time, and its latencies or, where it is one, its layer. */
export function placeOfRegion(heat: Heatmap, region: HeatRegion, place: Place): Place {
  const { from, to } = timesOf(heat, region)
  const narrowed = withPlace(place, { range: null, from_us: from, to_us: to })
  const rows = rowsOf(heat, region)
  if (heat.y === 'layer') {
    const only = rows.length === 1 ? heat.rows[rows[0] as number]?.key : undefined
    return only === undefined || only === null ? narrowed : withFilter(narrowed, 'layer', only)
  }
  const least = heat.rows[Math.min(...rows)]?.min_ms ?? null
  const most = heat.rows[Math.max(...rows)]?.max_ms ?? null
  const before = [place.filter.min_duration_ms, place.filter.max_duration_ms].map((text) =>
    text === undefined ? null : Number(text),
  )
  const min = least === null ? before[0] : Math.max(least, before[0] ?? 0)
  const max = most === null ? before[1] : Math.min(most, before[1] ?? most)
  const withMin = withFilter(narrowed, 'min_duration_ms', min ? String(min) : null)
  return withFilter(withMin, 'max_duration_ms', max === null || max === undefined ? null : String(max))
}

/** Part of a grid of latency over time as `why_data` takes it; null of another grid. Bounds that are none are absent. */
export function whyRegionOf(heat: Heatmap, region: HeatRegion): WhyRegion | null {
  if (heat.x !== 'time' || heat.y !== 'latency') return null
  const rows = rowsOf(heat, region)
  const min_ms = heat.rows[Math.min(...rows)]?.min_ms ?? null
  const max_ms = heat.rows[Math.max(...rows)]?.max_ms ?? null
  return { ...timesOf(heat, region), ...(min_ms === null ? {} : { min_ms }), ...(max_ms === null ? {} : { max_ms }) }
}

/** A heatmap of names: one row a name, one column a layer, p95 below the median. */
export function heatTableOf(heat: Heatmap, kind: HeatKind, place: Place): HeatTable {
  const layers = layersInOrder(heat.rows.flatMap(({ key }) => key ?? []))
  const yOf = new Map(heat.rows.map(({ key }, y) => [key, y]))
  const byPlace = new Map(heat.cells.map((cell) => [`${cell.x} ${cell.y}`, cell]))
  const most = Math.max(0, ...heat.cells.map((cell) => meanOf(heat, cell)))
  return {
    caption: `${kind.name}: mean self time of a call`,
    noun:
      kind.x === 'call_number'
        ? 'Call number'
        : kind.name.replace('Layers by ', '').replace(/^./, (first) => first.toUpperCase()),
    columns: layers.map((layer) => ({ name: layer, layer })),
    rows: heat.columns.map((column, x) => {
      const own = column.filter === null ? null : withHeatFilter(place, column.filter)
      const name = columnName(heat, column.key, column.filter)
      return {
        name,
        note: pluralText(column.n, 'call', 'calls'),
        path: own === null ? null : pathOf(withPlace(own, { page: 'traces' })),
        cells: layers.map((layer) => {
          const y = yOf.get(layer) ?? -1
          const cell = byPlace.get(`${x} ${y}`)
          if (cell === undefined) return null
          const at = own === null ? null : pathOf(withPlace(withFilter(own, 'layer', layer), { page: 'traces' }))
          return {
            text: durationText(meanOf(heat, cell)),
            note: `p95 ${durationText(cell.p95_ms)}`,
            hint: `${layer}, ${name}: in ${countText(cell.n)} of ${pluralText(column.n, 'call', 'calls')}; median ${durationText(cell.p50_ms)}, p95 ${durationText(cell.p95_ms)}, ${durationText(cell.self_ms)} in all`,
            shade: shadeOf(meanOf(heat, cell), most),
            path: at,
          }
        }),
      }
    }),
  }
}

function withHeatFilter(place: Place, filter: HeatFilter): Place {
  let found = place
  for (const [key, value] of Object.entries(filter)) found = withFilter(found, key as FilterKey, String(value))
  return found
}

function columnName(heat: Heatmap, key: string | null, filter: HeatFilter | null): string {
  if (heat.x === 'call_number') return callName(key ?? 'unknown')
  if (filter === null) return key === 'other' ? 'All others' : 'None named'
  return nameText(key ?? '')
}

function meanOf(heat: Heatmap, cell: HeatCell): number {
  return (cell.self_ms ?? 0) / Math.max(1, heat.columns[cell.x]?.n ?? 1)
}

/** What a cell is shaded by: calls, or the mean time of a call of its column. */
function weightOf(heat: Heatmap, cell: HeatCell): number {
  return heat.y === 'latency' ? cell.n : meanOf(heat, cell)
}

/** Which row of the answer stands in which row of the grid. */
function rowOrderOf(heat: Heatmap): readonly number[] {
  const all = heat.rows.map((_, y) => y)
  if (heat.y === 'latency') return all.reverse()
  const layers = layersInOrder(heat.rows.flatMap(({ key }) => key ?? []))
  return all.sort((a, b) => layers.indexOf(String(heat.rows[a]?.key)) - layers.indexOf(String(heat.rows[b]?.key)))
}

function rowsOf(heat: Heatmap, { y0, y1 }: HeatRegion): readonly number[] {
  return rowOrderOf(heat).slice(y0, y1 + 1)
}

function cellsIn(heat: Heatmap, region: HeatRegion): readonly HeatCell[] {
  const rows = new Set(rowsOf(heat, region))
  return heat.cells.filter(({ x, y }) => x >= region.x0 && x <= region.x1 && rows.has(y))
}

function timesOf(heat: Heatmap, { x0, x1 }: HeatRegion): { readonly from: number; readonly to: number } {
  const from = heat.columns[x0]?.filter?.from
  const to = heat.columns[x1]?.filter?.to
  return { from: Number(from ?? heat.from_us), to: Number(to ?? heat.to_us) }
}

function rowName(heat: Heatmap, y: number): string {
  const row = heat.rows[y]
  if (row === undefined) return ''
  return row.key ?? durationText(row.min_ms ?? 0)
}

function latencyText(heat: Heatmap, rows: readonly number[]): string {
  const least = heat.rows[Math.min(...rows)]?.min_ms ?? null
  const most = heat.rows[Math.max(...rows)]?.max_ms ?? null
  if (most === null) return `at least ${durationText(least)}`
  return least === null ? `below ${durationText(most)}` : `${durationText(least)} to ${durationText(most)}`
}

function ticksOf(heat: Heatmap, nowUs: number): HeatGrid['ticks'] {
  const every = Math.max(1, Math.ceil(heat.columns.length / 5))
  return heat.columns.flatMap(({ filter }, x) =>
    x % every === 0
      ? [{ x: Math.floor((10_000 * x) / heat.columns.length) / 100, text: timeText(Number(filter?.from), nowUs) }]
      : [],
  )
}
