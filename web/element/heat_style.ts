import { css } from 'lit'

/** The shades of heatmaps: cells and shapes say theirs by class. Behind text they stay pale enough to read it. */
export const heatStyle = css`
  .shade-1 {
    --tt-shade: 8%;
  }
  .shade-2 {
    --tt-shade: 18%;
  }
  .shade-3 {
    --tt-shade: 28%;
  }
  .shade-4 {
    --tt-shade: 38%;
  }
  .shade-5 {
    --tt-shade: 49%;
  }
  .shade-6 {
    --tt-shade: 60%;
  }
  .shade-7 {
    --tt-shade: 70%;
  }
  .shade-8 {
    --tt-shade: 80%;
  }
  .shade-9 {
    --tt-shade: 90%;
  }
  .shade-10 {
    --tt-shade: 100%;
  }
  td[class*='shade-'] {
    background: color-mix(in srgb, var(--tt-accent) calc(var(--tt-shade, 0%) * 0.42), var(--tt-surface));
  }
  rect[class*='shade-'] {
    fill: color-mix(in srgb, var(--tt-accent) var(--tt-shade, 0%), var(--tt-surface-2));
  }
  rect.failed[class*='shade-'] {
    fill: color-mix(in srgb, var(--tt-error) calc(30% + var(--tt-shade, 0%) * 0.7), var(--tt-surface-2));
  }
`
