import type { Chart } from 'chart.js'
import { css, html, LitElement, type PropertyValues } from 'lit'
import type { Dot, Palette, SeriesChart } from '../view/series_chart.ts'
import { sharedStyle } from './shared_style.ts'

/** Draws a value with the colours of the theme, and says the same in words. The library comes with the first one. */
export class LineChart extends LitElement {
  static override styles = [
    sharedStyle,
    css`
      .plot {
        position: relative;
        height: var(--tt-chart-height, 200px);
      }
      canvas {
        display: block;
      }
      p {
        display: grid;
        place-items: center;
        height: var(--tt-chart-height, 200px);
      }
    `,
  ]
  static override properties = {
    chart: { attribute: false },
    failed: { state: true },
  }
  /** What to draw, once the colours are known. */
  declare chart: ((palette: Palette) => SeriesChart) | null
  declare failed: boolean
  #drawn: Chart<'line', Dot[]> | null = null
  #text = ''
  #waiting = false
  #watch: MutationObserver | null = null
  readonly #dark = matchMedia('(prefers-color-scheme: dark)')
  readonly #recolour = (): void => this.requestUpdate('chart')

  constructor() {
    super()
    this.chart = null
    this.failed = false
  }

  override connectedCallback(): void {
    super.connectedCallback()
    this.#watch = new MutationObserver(this.#recolour)
    this.#watch.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    this.#dark.addEventListener('change', this.#recolour)
    if (this.hasUpdated) this.#recolour()
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback()
    this.#watch?.disconnect()
    this.#dark.removeEventListener('change', this.#recolour)
    this.#drawn?.destroy()
    this.#drawn = null
  }

  override render() {
    if (this.failed) return html`<p class="muted">The chart could not be loaded. Reload the page to try again.</p>`
    return html`<div class="plot"><canvas role="img"></canvas></div>`
  }

  override updated(changed: PropertyValues<this>): void {
    if (changed.has('chart')) this.#drawSoon()
  }

  /** After the next paint: what a push says is in the texts beside it, and charts would keep them waiting. */
  #drawSoon(): void {
    if (this.#waiting) return
    this.#waiting = true
    requestAnimationFrame(() =>
      setTimeout(() => {
        this.#waiting = false
        if (this.isConnected) void this.#draw()
      }),
    )
  }

  async #draw(): Promise<void> {
    if (this.chart === null) return
    const drawing = this.chart(paletteOf(getComputedStyle(this)))
    const canvas = this.renderRoot.querySelector('canvas')
    if (canvas === null) return
    if (drawing.text !== this.#text) {
      this.#text = drawing.text
      canvas.setAttribute('aria-label', drawing.text)
    }
    if (this.#drawn !== null) {
      // In place, so that a line that was switched off in the legend stays off.
      drawing.config.data.datasets.forEach((dataset, i) => {
        Object.assign(this.#drawn?.data.datasets[i] ?? {}, dataset)
      })
      if (drawing.config.options !== undefined) this.#drawn.options = drawing.config.options
      this.#drawn.update('none')
      return
    }
    try {
      const { Chart } = await import('../chart_library.ts')
      if (!this.isConnected || this.#drawn !== null) return
      this.#drawn = new Chart(canvas, drawing.config)
    } catch {
      this.failed = true
    }
  }
}

function paletteOf(style: CSSStyleDeclaration): Palette {
  const read = (name: string): string => style.getPropertyValue(name).trim()
  return {
    text: read('--tt-text-muted'),
    grid: read('--tt-border'),
    throughput: read('--tt-accent'),
    fill: read('--tt-fill'),
    error: read('--tt-error'),
    p50: read('--tt-p50'),
    p95: read('--tt-p95'),
    p99: read('--tt-p99'),
    font: read('--tt-font'),
  }
}

customElements.define('tt-line-chart', LineChart)

declare global {
  interface HTMLElementTagNameMap {
    'tt-line-chart': LineChart
  }
}
