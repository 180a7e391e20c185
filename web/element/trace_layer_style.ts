import { css } from 'lit'

/** The colours of layers in drawings: shapes say their layer in `data-layer`; any other than these has one colour. */
export const traceLayerStyle = css`
  [data-layer] {
    fill: var(--tt-layer-other);
  }
  [data-layer='shim'] {
    fill: var(--tt-layer-shim);
  }
  [data-layer='websocket'] {
    fill: var(--tt-layer-websocket);
  }
  [data-layer='tool'] {
    fill: var(--tt-layer-tool);
  }
  [data-layer='provider'] {
    fill: var(--tt-layer-provider);
  }
  [data-layer='api'] {
    fill: var(--tt-layer-api);
  }
  [data-layer='storage'] {
    fill: var(--tt-layer-storage);
  }
  [data-layer='unexplained'] {
    fill: var(--tt-layer-unexplained);
  }
`
