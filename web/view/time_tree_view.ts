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

/** What the sampling leaves of the truth; empty where every call kept its spans. */
export function emptiedText({ emptied }: Pick<TimeTree, 'emptied'>): string {
  if (emptied === 0) return ''
  return `${pluralText(emptied, 'call', 'calls')} kept no spans: those that failed or were slow weigh more here.`
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
  const grow = (parent: readonly unknown[], parentId: string | null, from: number, more: number): void => {
    const nodes = (children.get(JSON.stringify(parent)) ?? []).toSorted(
      (a, b) => b.total_ms - a.total_ms || (idOf(a) < idOf(b) ? -1 : 1),
    )
    const extra = extraOf(tree, parent)
    const small = nodes.filter(({ share }) => share < shareAloneMin)
    const alone = small.length < smallMin ? nodes : nodes.slice(0, nodes.length - small.length)
    const siblings = alone.length + (alone === nodes ? 0 : 1) + (extra === null ? 0 : 1)
    let x = from
    const put = (line: TreeLine, below: () => void): void => {
      const at = lines.push(line) - 1
      below()
      lines[at] = { ...line, descendants: lines.length - at - 1 }
    }
    const putNode = (node: TreeNode, parentOf: string | null, place: number, of: number, deeper: number): void => {
      const line = { ...lineOf(node, parentOf, x), place, siblings: of }
      put({ ...line, depth: line.depth + deeper }, () => grow(node.path, idOf(node), x, deeper))
      x += node.share
    }
    for (const [i, node] of alone.entries()) putNode(node, parentId, i + 1, siblings, more)
    if (alone !== nodes) {
      const group = { ...groupLine(small, parentId, parent.length + more, x, tree), place: alone.length + 1, siblings }
      put(group, () => {
        for (const [i, node] of small.entries()) putNode(node, group.id, i + 1, small.length, more + 1)
      })
    }
    if (extra !== null)
      lines.push({ ...extraLine(extra, parentId, parent.length + more, x), place: siblings, siblings })
  }
  grow([], null, 0, 0)
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

/** Many small siblings as one line, folded at first. */
function groupLine(
  nodes: readonly TreeNode[],
  parent: string | null,
  depth: number,
  x: number,
  tree: TimeTree,
): Omit<TreeLine, 'place' | 'siblings'> {
  const ms = nodes.reduce((sum, node) => sum + node.total_ms, 0)
  const share = nodes.reduce((sum, node) => sum + node.share, 0)
  const name = `${countText(nodes.length)} shorter ones`
  return {
    ...{ id: `few ${parent ?? ''}`, parent, depth, descendants: 0, name, layer: '', kind: 'rest' as const },
    share,
    shareText: percentText(share),
    total: durationText(ms),
    ...{ self: '', wait: '', p50: '', p95: '', count: '' },
    bar: barOf(x, share),
    own: 0,
    hint: `${name}: ${percentText(share)} of all time, ${durationText(ms)} of ${durationText(tree.total_ms)}`,
  }
}

/** From so many siblings that each take less than this on, these are one line. */
const smallMin = 3
const shareAloneMin = 0.005

/** Which lines are folded at first: those that matter little. */
export function foldedAtFirst(lines: readonly TreeLine[]): ReadonlySet<string> {
  const isSmall = ({ share, kind }: TreeLine) => share < shareShownMin || kind === 'rest'
  return new Set(lines.filter((line) => line.descendants > 0 && isSmall(line)).map(({ id }) => id))
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
