import type { HeatRegion } from '../view/heatmap_view.ts'

/** Somebody chose a part of a heatmap, or, with null, let it go. */
export class RegionEvent extends Event {
  static readonly type = 'tt-region'
  readonly region: HeatRegion | null

  constructor(region: HeatRegion | null) {
    super(RegionEvent.type, { bubbles: true, composed: true })
    this.region = region
  }
}

declare global {
  interface HTMLElementEventMap {
    'tt-region': RegionEvent
  }
}
