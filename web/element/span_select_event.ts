/** Somebody chose a line of the waterfall: a span's id, or null for none. */
export class SpanSelectEvent extends Event {
  static readonly type = 'tt-span-select'
  readonly spanId: string | null

  constructor(spanId: string | null) {
    super(SpanSelectEvent.type, { bubbles: true, composed: true })
    this.spanId = spanId
  }
}

declare global {
  interface HTMLElementEventMap {
    'tt-span-select': SpanSelectEvent
  }
}
