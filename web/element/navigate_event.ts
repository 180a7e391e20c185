/** Asks the frame to show another place without loading the page again. `path` is what `pathOf(place)` gives. */
export class NavigateEvent extends Event {
  static readonly type = 'tt-navigate'
  readonly path: string
  /** Whether the place takes the seat of the present one in the history, so that Back skips it. */
  readonly replace: boolean

  constructor(path: string, { replace = false }: { readonly replace?: boolean } = {}) {
    super(NavigateEvent.type, { bubbles: true, composed: true })
    this.path = path
    this.replace = replace
  }
}

declare global {
  interface HTMLElementEventMap {
    'tt-navigate': NavigateEvent
  }
}
