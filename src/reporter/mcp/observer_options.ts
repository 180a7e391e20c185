import type { SpanHandle } from '../recorded_span.ts'
import type { Reporter } from '../wait/wait_surface.ts'
import type { ContentRules } from './content_rule.ts'
import type { CallTransport } from './observed_call.ts'
import type { ProtocolFaults } from './protocol_fault.ts'

/** What a connection's observer is told of it. */
export type ObserverOptions = {
  readonly reporter: Reporter
  /** The layer that the server is; `tool` by default. */
  readonly layer?: string | undefined
  /** An explicit session handle for every call without a more specific one. */
  readonly session?: string | undefined
  /** Another tap or recorder further out has already recorded each request. */
  readonly inner?: boolean | undefined
  /** Null where what is known as the connection is one exchange: its calls are of no session of its own. */
  readonly connectionId: string | null
  /** `pipe` by default. */
  readonly transport?: CallTransport | undefined
  /** Whether requests are sent on with the trace context of their span. False by default. */
  readonly context?: boolean | undefined
  /** Of which tools arguments and results are recorded; of none by default. */
  readonly content?: ContentRules | undefined
  /** Key of the argument hash (`saltOf`); without it there is no hash. */
  readonly salt?: string | undefined
  /** Shared by observers whose faults are told of together; by default each has its own. */
  readonly faults?: ProtocolFaults | undefined
  /** Whether the failure of this span's call is recorded already, better than its answer tells it. */
  readonly explained?: ((span: SpanHandle) => boolean) | undefined
}
