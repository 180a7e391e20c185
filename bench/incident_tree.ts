import type { Json, Span } from '../src/core/record.ts'
import type { Dice } from './incident_chance.ts'

// A call before it has happened: what calls what, and how long each is busy by itself. What is planted changes this;
// then it is laid out on the clocks of its processes.

export type CallNode = {
  readonly layer: string
  name: string
  readonly kind: 'work' | 'wait'
  /** Id of the process that records it. */
  process: string
  /** What it takes beside its children, in ms. */
  ms: number
  /** The children run beside one another. */
  parallel: boolean
  children: CallNode[]
  fields: Partial<
    Pick<
      Span,
      | 'outcome'
      | 'entry'
      | 'request_id'
      | 'session'
      | 'call_number'
      | 'tool'
      | 'provider'
      | 'model'
      | 'bytes_in'
      | 'bytes_out'
      | 'tokens_in'
      | 'tokens_out'
      | 'holder'
    >
  >
  attributes: { [key: string]: Json }
}

export function nodeOf(
  layer: string,
  name: string,
  process: string,
  ms: number,
  more: Partial<CallNode> = {},
): CallNode {
  return {
    layer,
    name,
    kind: 'work',
    process,
    ms: Math.max(0.01, ms),
    parallel: false,
    children: [],
    fields: {},
    attributes: {},
    ...more,
  }
}

export function waitOf(parent: CallNode, name: string, ms: number, holder: string | null = null): CallNode {
  const fields = holder === null ? {} : { holder }
  return nodeOf(parent.layer, name, parent.process, ms, { kind: 'wait', fields })
}

/** In ms. */
export function durationOf(node: CallNode): number {
  const parts = node.children.map(durationOf)
  const inner = node.parallel ? Math.max(0, ...parts) : parts.reduce((sum, part) => sum + part, 0)
  return node.ms + inner
}

export function nodesOf(root: CallNode, fits: (node: CallNode) => boolean = () => true): CallNode[] {
  return [...(fits(root) ? [root] : []), ...root.children.flatMap((child) => nodesOf(child, fits))]
}

/** The work spans of a layer, outermost first. */
export function workOf(root: CallNode, layer: string): CallNode[] {
  return nodesOf(root, (node) => node.layer === layer && node.kind === 'work')
}

/** Self time by layer, in ms, where children that run side by side count as the longest of them. */
export function layerTimesOf(root: CallNode, times = new Map<string, number>()): Map<string, number> {
  times.set(root.layer, (times.get(root.layer) ?? 0) + root.ms)
  const longest = root.parallel ? root.children.toSorted((a, b) => durationOf(b) - durationOf(a)).slice(0, 1) : null
  for (const child of longest ?? root.children) layerTimesOf(child, times)
  return times
}

/** What nobody records is part of what called it. */
export function withoutLayers(node: CallNode, hidden: ReadonlySet<string>): CallNode {
  const children: CallNode[] = []
  let ms = node.ms
  for (const child of node.children.map((below) => withoutLayers(below, hidden))) {
    if (hidden.has(child.layer)) {
      ms += child.kind === 'wait' ? durationOf(child) : child.ms
      children.push(...(child.kind === 'wait' ? [] : child.children))
    } else children.push(child)
  }
  return { ...node, ms, children }
}

export type Clock = {
  /** How far a process's clock is ahead, in µs. */
  offsetUs(process: string): number
  /** To what a process rounds its times, in µs. */
  grainUs(process: string): number
}

/** A span, and the process that records it. */
export type Recorded = { readonly process: string; readonly span: Span }

/** The spans of a call that begins at `startUs`, the root first. */
export function spansOf(root: CallNode, traceId: string, startUs: number, clock: Clock, dice: Dice): Recorded[] {
  const spans: Recorded[] = []
  const lay = (node: CallNode, from: number, parent: string | null): void => {
    const span_id = dice.hex(15) + ((spans.length % 15) + 1).toString(16)
    const to = from + durationOf(node) * 1_000
    const at = (us: number) => {
      const grain = clock.grainUs(node.process)
      return Math.round((us + clock.offsetUs(node.process)) / grain) * grain
    }
    const span: Span = {
      ...blank,
      trace_id: traceId,
      span_id,
      parent_span_id: parent,
      layer: node.layer,
      kind: node.kind,
      name: node.name,
      start_us: at(from),
      end_us: Math.max(at(from), at(to)),
      outcome: 'ok',
      ...node.fields,
      attributes: node.attributes,
    }
    spans.push({ process: node.process, span })
    // Most of what a span does by itself it does before it calls anything, some between, the rest after.
    const gap = (node.ms * 1_000) / (node.children.length + 2)
    let cursor = from + gap * 1.5
    const between = node.children.length > 1 && !node.parallel ? (gap * 0.5) / (node.children.length - 1) : 0
    for (const child of node.children) {
      lay(child, cursor, span_id)
      if (!node.parallel) cursor += durationOf(child) * 1_000 + between
    }
  }
  lay(root, startUs, null)
  return spans
}

const blank = {
  type: 'span',
  entry: false,
  request_id: null,
  session: null,
  call_number: null,
  tool: null,
  provider: null,
  model: null,
  bytes_in: null,
  bytes_out: null,
  tokens_in: null,
  tokens_out: null,
  holder: null,
} as const
