import { css } from 'lit'

/** The waterfall: names beside bars, and on a phone names above bars. */
export const waterfallStyle = css`
  :host {
    min-width: 0;
  }
  .tools {
    padding-block-end: 8px;
  }
  .tools button {
    min-height: 28px;
    padding: 2px 10px;
  }
  .scroller {
    position: relative;
    max-height: 68vh;
    overflow: hidden auto;
    overflow-anchor: none;
    border: 1px solid var(--tt-border);
    border-radius: var(--tt-radius);
    background: var(--tt-surface);
  }
  .axis,
  .line {
    display: grid;
    grid-template-columns: minmax(150px, 34%) minmax(0, 1fr) 74px 84px;
    align-items: center;
    column-gap: 10px;
    padding-inline: 10px;
  }
  .axis {
    position: sticky;
    z-index: 2;
    inset-block-start: 0;
    height: 26px;
    border-block-end: 1px solid var(--tt-border);
    background: var(--tt-surface-2);
    color: var(--tt-text-muted);
    font-size: 12px;
  }
  .axis svg {
    width: 100%;
    height: 26px;
    overflow: visible;
  }
  .axis text {
    fill: var(--tt-text-muted);
    font: 11px var(--tt-font);
  }
  [role='tree'] {
    outline-offset: -2px;
  }
  .line {
    position: relative;
    height: 28px;
    cursor: pointer;
  }
  .line:hover {
    background: var(--tt-surface-2);
  }
  .line.selected {
    background: color-mix(in srgb, var(--tt-accent) 14%, transparent);
    box-shadow: inset 3px 0 var(--tt-accent);
  }
  .name {
    display: flex;
    align-items: center;
    min-width: 0;
    gap: 5px;
  }
  .indent {
    flex: none;
  }
  .name bdi {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .name .wait {
    font-style: italic;
  }
  .toggle {
    flex: none;
    width: 18px;
    min-height: 22px;
    padding: 0;
    border: 0;
    background: transparent;
    color: var(--tt-text-muted);
  }
  .toggle svg {
    display: block;
    margin: auto;
    fill: currentColor;
  }
  .swatch {
    flex: none;
  }
  .mark {
    flex: none;
    padding: 0 5px;
    border: 1px solid currentColor;
    border-radius: 3px;
    color: var(--tt-text-muted);
    font-size: 11px;
    line-height: 15px;
  }
  .mark.running {
    color: var(--tt-accent);
  }
  .mark.interrupted {
    color: var(--tt-error);
  }
  .mark.moved,
  .mark.outside,
  .mark.circle {
    color: var(--tt-warn);
  }
  .failed {
    flex: none;
    fill: var(--tt-error);
  }
  .bar {
    width: 100%;
    height: 18px;
  }
  .grid {
    stroke: var(--tt-border);
  }
  .critical {
    fill: var(--tt-text);
  }
  .covered {
    opacity: 0.38;
  }
  .open {
    stroke: var(--tt-accent);
    stroke-width: 1.5px;
    stroke-dasharray: 4 3;
    fill: none;
  }
  .cut-off {
    stroke: var(--tt-error);
    stroke-width: 3px;
  }
  .line .number {
    color: var(--tt-text-muted);
  }
  .hatching {
    position: absolute;
  }
  .hatching path {
    stroke: var(--tt-surface);
    stroke-width: 2.5px;
  }
  .compact .axis,
  .compact .line {
    grid-template-columns: minmax(0, 1fr) auto;
    column-gap: 8px;
  }
  .compact .axis {
    grid-template-columns: minmax(0, 1fr);
  }
  .compact .axis > :not(svg) {
    display: none;
  }
  .compact .line {
    grid-template-rows: 24px 16px;
    align-content: center;
    height: 48px;
    border-block-end: 1px solid var(--tt-border);
  }
  .compact .name {
    grid-area: 1 / 1;
  }
  .compact .own {
    display: none;
  }
  .compact .number {
    grid-area: 1 / 2;
  }
  .compact .bar {
    grid-area: 2 / 1 / 3 / 3;
    height: 14px;
  }
`
