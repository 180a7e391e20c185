import { type Outcome, outcomeOfCode } from '../core/outcome.ts'
import { fieldOf } from './failure.ts'
import type { SpanHandle } from './recorded_span.ts'
import { parentOf } from './span_kin.ts'

type Sighting = { readonly traceId: string; readonly id: string }

/**
 * Which errors are recorded already, so that one that rises through several spans is one record. An object is known by
 * itself within a trace; a text or a number only while it rises from a span to the one around it, as equal ones may be
 * thrown anywhere. Grows with what the host itself keeps.
 */
export class SeenFailures {
  readonly #objects = new WeakMap<object, Sighting>()
  readonly #risen = new WeakMap<SpanHandle, { readonly thrown: unknown; readonly id: string }>()

  /** The id under which it was recorded in the span's trace; null when it was not. */
  idOf(thrown: unknown, span: SpanHandle | null): string | null {
    if (!span) return null
    if (isObject(thrown)) {
      const sighting = this.#objects.get(thrown)
      return sighting?.traceId === span.traceId ? sighting.id : null
    }
    const risen = this.#risen.get(span)
    return risen && Object.is(risen.thrown, thrown) ? risen.id : null
  }

  /** Whether it was recorded at all. A text never counts: it may be another's. */
  has(thrown: unknown): boolean {
    return isObject(thrown) && this.#objects.has(thrown)
  }

  note(thrown: unknown, id: string, span: SpanHandle | null): void {
    if (isObject(thrown)) this.#objects.set(thrown, { traceId: span?.traceId ?? '', id })
    const parent = span && parentOf(span)
    if (parent && !isObject(thrown)) this.#risen.set(parent, { thrown, id })
  }
}

/** How a call ended that threw: JSON-RPC codes and the names of aborts and timeouts are known, the rest is `tool_error`. */
export function outcomeOfThrown(thrown: unknown): Outcome {
  const name = fieldOf(thrown, 'name')
  const code = fieldOf(thrown, 'code')
  if (name === 'AbortError' || code === 'ABORT_ERR') return 'cancelled'
  for (const text of [name, code]) if (typeof text === 'string' && /timeout|ETIMEDOUT/i.test(text)) return 'timeout'
  if (typeof code === 'number' && code <= -32_000 && code >= -32_768) return outcomeOfCode(code)
  return 'tool_error'
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}
