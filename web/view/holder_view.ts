import type { Holders } from './lens_answer.ts'
import { nameText } from './name_text.ts'
import { countText, durationText, percentText, pluralText } from './number_text.ts'
import { type Place, pathOf, withFilter, withPlace } from './place.ts'

// Who held what was waited for, as rows of texts.

export type HolderLine = {
  readonly wait: string
  readonly layer: string
  /** Whoever held it; empty where nobody was named. */
  readonly holder: string
  readonly share: string
  /** The share as percent of a bar. */
  readonly width: number
  readonly total: string
  readonly count: string
  readonly p50: string
  readonly p95: string
  readonly longest: string
  readonly longestPath: string
  /** The tools that waited, the longest first. */
  readonly tools: readonly { readonly text: string; readonly path: string | null }[]
}

export function holderLinesOf(holders: Holders, place: Place): readonly HolderLine[] {
  return holders.rows.map((row) => ({
    wait: nameText(row.name),
    layer: row.layer,
    holder: row.holder === null ? '' : nameText(row.holder),
    share: percentText(row.share),
    width: Math.max(0.5, Math.floor(10_000 * row.share) / 100),
    total: durationText(row.total_ms),
    count: countText(row.n),
    p50: durationText(row.p50_ms),
    p95: durationText(row.p95_ms),
    longest: durationText(row.max_ms),
    longestPath: pathOf(withPlace(place, { page: 'trace', id: row.longest_trace_id })),
    tools: row.tools.map(({ tool, total_ms }) => ({
      text: `${nameText(tool ?? 'no tool')} ${durationText(total_ms)}`,
      path: tool === null ? null : pathOf(withPlace(withFilter(place, 'tool', tool), { page: 'traces' })),
    })),
  }))
}

/** How much of the calls' time was waiting, as a sentence. */
export function holdersText({ wait_ms, total_ms, rest }: Holders): string {
  const share = total_ms > 0 ? ` (${percentText(Math.min(1, wait_ms / total_ms))} of the calls' time)` : ''
  const more =
    rest.n > 0
      ? ` ${pluralText(rest.n, 'more wait', 'more waits')} of ${durationText(rest.total_ms)} are not listed.`
      : ''
  return `${durationText(wait_ms)} of waiting in all${share}.${more}`
}
