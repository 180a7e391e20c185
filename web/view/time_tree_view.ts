import type { TimeTree, TreeNode } from './lens_answer.ts'
import { nameText } from './name_text.ts'
import { countText, durationText, percentText, pluralText } from './number_text.ts'
import { unexplainedLayer } from './trace_layer_view.ts'

// The tree of where time goes: one line a path, the longest first below each, and what no span explains as a line of its own.

export type TreeLine = {
  readonly id: string
  readonly parent: string | null
  /** From 0. */
  readonly depth: number
  /** How many lines hang below this one, at any depth. */
  readonly descendants: number
  readonly place: number
  readonly siblings: number
  readonly name: string
  readonly layer: string
  readonly kind: 'work' | 'wait' | 'unexplained' | 'rest'
  readonly share: number
  readonly shareText: string
  readonly total: string
  readonly self: string
  readonly wait: string
  readonly p50: string
  readonly p95: string
  readonly count: string
  /** The bar and in it what the path itself took: percent of the axis, which is all time. */
  readonly bar: { readonly x: number; readonly width: number }
  readonly own: number
  /** Everything, in words. */
  readonly hint: string
}

/** All lines in the order of the tree. */
export function treeLinesOf(tree: TimeTree): readonly TreeLine[] {
  const children = new Map<string, TreeNode[]>()
  for (const node of tree.nodes) {
    const parent = JSON.stringify(node.path.slice(0, -1))
    const siblings = children.get(parent)
    if (siblings === undefined) children.set(parent, [node])
    else siblings.push(node)
  }
  const lines: TreeLine[] = []
  const grow = (parent: readonly unknown[], parentId: string | null, from: number): void => {
    const nodes = (children.get(JSON.stringify(parent)) ?? []).toSorted(
      (a, b) => b.total_ms - a.total_ms || (idOf(a) < idOf(b) ? -1 : 1),
    )
    const extra = extraOf(tree, parent)
    const siblings = nodes.length + (extra === null ? 0 : 1)
    let x = from
    for (const [i, node] of nodes.entries()) {
      const at = lines.length
      lines.push({ ...lineOf(node, parentId, x), place: i + 1, siblings })
      grow(node.path, idOf(node), x)
      lines[at] = { ...(lines[at] as TreeLine), descendants: lines.length - at - 1 }
      x += node.share
    }
    if (extra !== null) lines.push({ ...extraLine(extra, parentId, parent.length, x), place: siblings, siblings })
  }
  grow([], null, 0)
  return lines
}

function idOf(node: TreeNode): string {
  return JSON.stringify(node.path)
}

function lineOf(node: TreeNode, parent: string | null, x: number): Omit<TreeLine, 'place' | 'siblings'> {
  const [kind, layer, name] = node.path.at(-1) ?? ['work', '', '']
  const folded = node.folded === 0 ? '' : `, ${pluralText(node.folded, 'span', 'spans')} of deeper levels in it`
  const shown = kind === 'wait' ? `waited for ${nameText(name)}` : nameText(name)
  return {
    ...{ id: idOf(node), parent, depth: node.path.length - 1, descendants: 0, name: shown, layer, kind },
    share: node.share,
    shareText: percentText(node.share),
    total: durationText(node.total_ms),
    self: durationText(node.self_ms),
    wait: node.wait_ms > 0 ? durationText(node.wait_ms) : '',
    p50: durationText(node.p50_ms),
    p95: durationText(node.p95_ms),
    count: countText(node.n),
    bar: barOf(x, node.share),
    own: node.total_ms > 0 ? round((100 * node.share * node.self_ms) / node.total_ms) : 0,
    hint: `${shown}, layer ${layer}: ${percentText(node.share)} of all time, ${durationText(node.self_ms)} its own, ${durationText(node.wait_ms)} waiting; median ${durationText(node.p50_ms)}, p95 ${durationText(node.p95_ms)} in ${pluralText(node.n, 'call', 'calls')}${folded}`,
  }
}

type Extra = {
  readonly kind: 'unexplained' | 'rest'
  readonly ms: number
  readonly share: number
  readonly n: number | null
}

/** What stands last below a path: at the top what no span explains, elsewhere what is not listed; null where there is none. */
function extraOf(tree: TimeTree, path: readonly unknown[]): Extra | null {
  if (path.length === 0) {
    const { total_ms, share, n } = tree.unexplained
    return total_ms > 0 ? { kind: 'unexplained', ms: total_ms, share, n } : null
  }
  const rest = tree.nodes.find((node) => idOf(node) === JSON.stringify(path))?.rest_ms ?? 0
  return rest > 0.0005 ? { kind: 'rest', ms: rest, share: rest / tree.total_ms, n: null } : null
}

function extraLine(
  extra: Extra,
  parent: string | null,
  depth: number,
  x: number,
): Omit<TreeLine, 'place' | 'siblings'> {
  const name = extra.kind === 'unexplained' ? 'unexplained' : 'shorter ones, not listed'
  const means = extra.kind === 'unexplained' ? 'no span says what happened' : 'spans that took least'
  return {
    ...{ id: `${extra.kind} ${parent ?? ''}`, parent, depth, descendants: 0, name, kind: extra.kind },
    layer: unexplainedLayer,
    share: extra.share,
    shareText: percentText(extra.share),
    total: durationText(extra.ms),
    ...{ self: durationText(extra.ms), wait: '', p50: '', p95: '' },
    count: extra.n === null ? '' : countText(extra.n),
    bar: barOf(x, extra.share),
    own: round(100 * extra.share),
    hint: `${name}: ${percentText(extra.share)} of all time, ${durationText(extra.ms)}; ${means}`,
  }
}

/** Which lines are folded at first: those that matter little. */
export function foldedAtFirst(lines: readonly TreeLine[]): ReadonlySet<string> {
  return new Set(lines.filter(({ descendants, share }) => descendants > 0 && share < shareShownMin).map(({ id }) => id))
}

const shareShownMin = 0.02

/** The lines that are seen when those of `folded` hide what hangs below them. */
export function seenLinesOf(lines: readonly TreeLine[], folded: ReadonlySet<string>): readonly TreeLine[] {
  const seen: TreeLine[] = []
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i] as TreeLine
    seen.push(line)
    if (folded.has(line.id)) i += line.descendants
  }
  return seen
}

function barOf(x: number, share: number): { readonly x: number; readonly width: number } {
  const width = Math.min(100, Math.max(0.2, 100 * share))
  return { x: round(Math.min(100 - width, 100 * x)), width: round(width) }
}

function round(percent: number): number {
  return Math.floor(percent * 100) / 100
}
