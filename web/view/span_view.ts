import type { Json } from '../../src/core/record.ts'
import type { SpanRow } from './answer.ts'
import { bytesText, countText, durationText, pluralText, utcText } from './number_text.ts'
import type { SpanMark, WaterfallNode } from './waterfall_view.ts'

/** One line of a list of facts. `mono` is for ids and the like. */
export type Fact = { readonly term: string; readonly text: string; readonly mono?: boolean }

/** What a mark means, in words for people. */
export const markTexts: { readonly [mark in SpanMark]: string } = {
  running: 'still running',
  interrupted: 'interrupted: its process fell silent, nobody reported the end',
  moved: 'moved: its clock disagrees with that of its parent',
  outside: 'reaches outside its parent',
  unseen: 'its parent was never reported',
  circle: 'its parents go round in a circle',
  inferred: 'joined by inference: no trace context was passed on',
  derived: 'what its process said of itself: the spans that it recorded count in place of this one',
}

/** What a wait waited for and who held it: `waited for permit, held by call 7f3a`. Null for work. */
export function waitText(span: SpanRow, running: boolean): string | null {
  if (span.kind !== 'wait') return null
  const held = span.holder === undefined ? '' : `, held by ${span.holder}`
  return `${running ? 'waits' : 'waited'} for ${span.name}${held}`
}

/** Everything known of a span but its attributes and marks; what is not known is left out. */
export function factsOfSpan(span: SpanRow, node: WaterfallNode, axisStart: number): readonly Fact[] {
  const running = span.end_us === null
  const facts: (Fact | null)[] = [
    { term: 'Layer', text: span.layer },
    { term: 'Kind', text: span.kind },
    { term: 'Outcome', text: span.outcome ?? (running ? 'running' : 'not told') },
    { term: 'Duration', text: running ? `${durationOf(node)} so far` : durationOf(node) },
    { term: 'Self time', text: durationText(node.selfUs / 1_000) },
    { term: 'Began', text: `${durationText((node.start - axisStart) / 1_000)} after the trace began` },
    { term: 'Start', text: utcText(span.start_us) },
    node.movedUs === 0 ? null : { term: 'Moved by', text: durationText(node.movedUs / 1_000) },
    textFact('Held by', span.holder),
    textFact('Tool', span.tool),
    textFact('Provider', span.provider),
    textFact('Model', span.model),
    countFact('Tokens in', span.tokens_in),
    countFact('Tokens out', span.tokens_out),
    bytesFact('Bytes in', span.bytes_in),
    bytesFact('Bytes out', span.bytes_out),
    textFact('Request id', span.request_id, true),
    textFact('Session', span.session_key, true),
    textFact('Session by', span.session_rule),
    countFact('Call number', span.call_number),
    { term: 'Span id', text: span.span_id, mono: true },
    textFact('Parent', span.parent_span_id, true),
    textFact('Service', span.service),
    textFact('Instance', span.instance),
    { term: 'Process', text: span.process, mono: true },
    textFact('Joined by', span.inferred),
    clockFact(span.clock_offset_us),
  ]
  return facts.filter((fact) => fact !== null)
}

/** Any object of JSON as facts, by name; values that are no text are shown as JSON. */
export function factsOfObject(object: { readonly [key: string]: Json } | null | undefined): readonly Fact[] {
  return Object.entries(object ?? {}).map(([term, value]) => ({ term, text: jsonText(value), mono: true }))
}

/** Text as it is, all else as JSON. */
export function jsonText(value: Json | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null)
}

function durationOf(node: Pick<WaterfallNode, 'start' | 'end'>): string {
  return durationText((node.end - node.start) / 1_000)
}

function textFact(term: string, text: string | null | undefined, mono = false): Fact | null {
  return text === null || text === undefined ? null : { term, text, mono }
}

/** How the clock of a span's process stood to the server's. */
function clockFact(offsetUs: number | null): Fact | null {
  if (offsetUs === null) return null
  const side = offsetUs < 0 ? 'ahead of' : 'behind'
  return { term: 'Clock', text: `${durationText(Math.abs(offsetUs) / 1_000)} ${side} the server's` }
}

function countFact(term: string, count: number | undefined): Fact | null {
  return count === undefined ? null : { term, text: countText(count) }
}

function bytesFact(term: string, bytes: number | undefined): Fact | null {
  return bytes === undefined ? null : { term, text: bytesText(bytes) }
}

/** What a mark is called beside a span. */
export const markNames: { readonly [mark in SpanMark]: string } = {
  running: 'running',
  interrupted: 'interrupted',
  moved: 'clock',
  outside: 'outside',
  unseen: 'orphan',
  circle: 'circle',
  inferred: 'inferred',
  derived: 'derived',
}

/** What a line of the waterfall is called. */
export function nodeNameOf({ span, descendants }: WaterfallNode): string {
  if (span === null) return `Parent not seen (${pluralText(descendants, 'span', 'spans')})`
  return waitText(span, span.end_us === null) ?? span.name
}

/** What the drawing of a line shows, in words. */
export function unseenTextOf({ span, selfUs }: WaterfallNode, failed: boolean): string {
  if (span === null) return ''
  return `${failed ? 'failed, ' : ''}layer ${span.layer}, of it its own ${durationText(selfUs / 1_000)}`
}

/** How far a line is moved in, in px. Deep trees are not moved out of sight. */
export function indentOf(depth: number): number {
  return Math.min(depth, indentedDepthMax) * 12
}

const indentedDepthMax = 10
