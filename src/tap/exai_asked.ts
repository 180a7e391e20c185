import type { Attributes, Session } from '../core/record.ts'
import type { SpanHandle } from '../reporter/reporter.ts'

/** One frame of a client that the daemon has not answered yet. */
export type Asked = {
  /** `call`, or the frame's `op`; `unread` may be a call, `malformed` is answered by an error. */
  readonly op: string
  readonly tool: string | null
  readonly requestId: string | null
  readonly id: string | null
  readonly startedAt: number
  /** Null for what is not recorded, such as a ping. */
  readonly span: SpanHandle | null
  readonly session: Session | null
  /** While another frame of the connection is before it. */
  wait: SpanHandle | null
  /** When its turn came; null until then. In ms of performance.now(). */
  turnAt: number | null
  frames: number
  bytesOut: number
  progressCount: number
  chunkCount: number
  firstChunkAt: number | null
  completed: boolean
  readonly faults: string[]
}

/** A frame that came just now. */
export function askedOf(known: Pick<Asked, 'op' | 'startedAt'> & Partial<Asked>): Asked {
  return {
    tool: null,
    requestId: null,
    id: null,
    span: null,
    session: null,
    wait: null,
    turnAt: null,
    frames: 0,
    bytesOut: 0,
    progressCount: 0,
    chunkCount: 0,
    firstChunkAt: null,
    completed: false,
    faults: [],
    ...known,
  }
}

/** What was counted on the way to its answer. */
export function endAttributesOf({ progressCount, chunkCount, firstChunkAt, startedAt, faults }: Asked): Attributes {
  const [fault, ...others] = faults
  return {
    ...(progressCount > 0 ? { 'telltale.progress_count': progressCount } : {}),
    ...(chunkCount > 0 ? { 'telltale.chunk_count': chunkCount } : {}),
    ...(firstChunkAt === null ? {} : { 'telltale.first_chunk_ms': Math.round(firstChunkAt - startedAt) }),
    ...(fault === undefined ? {} : { 'telltale.fault': others.length === 0 ? fault : [...faults] }),
  }
}
