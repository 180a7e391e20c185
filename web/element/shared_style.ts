import { css } from 'lit'

/** What every element looks like: type, focus, buttons, fields, cards, tables. */
export const sharedStyle = css`
  :host {
    display: block;
    color: var(--tt-text);
    font: 14px / 1.45 var(--tt-font);
    font-variant-numeric: tabular-nums;
  }
  :host([hidden]) {
    display: none;
  }
  * {
    box-sizing: border-box;
  }
  h1,
  h2,
  h3 {
    margin: 0;
    font-weight: 600;
    line-height: 1.25;
  }
  h1 {
    font-size: 18px;
  }
  h2 {
    font-size: 14px;
  }
  h3 {
    font-size: 13px;
  }
  p {
    margin: 0;
  }
  a {
    color: var(--tt-accent);
    text-decoration: none;
  }
  a:hover {
    text-decoration: underline;
  }
  :focus-visible {
    outline: 2px solid var(--tt-accent);
    outline-offset: 2px;
    border-radius: 3px;
  }
  code,
  pre,
  .mono {
    font-family: var(--tt-mono);
    font-size: 12.5px;
  }
  code {
    padding: 1px 5px;
    border-radius: 4px;
    background: var(--tt-surface-2);
  }
  bdi {
    unicode-bidi: isolate;
  }
  .card {
    padding: 14px 16px;
    border: 1px solid var(--tt-border);
    border-radius: var(--tt-radius);
    background: var(--tt-surface);
    box-shadow: var(--tt-shadow);
  }
  .muted {
    color: var(--tt-text-muted);
  }
  .ok {
    color: var(--tt-ok);
  }
  .warn {
    color: var(--tt-warn);
  }
  .error {
    color: var(--tt-error);
  }
  .number {
    text-align: end;
    white-space: nowrap;
    font-variant-numeric: tabular-nums;
  }
  .cut {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 8px;
  }
  .spread {
    justify-content: space-between;
  }
  .scroll {
    overflow-x: auto;
  }
  .visually-hidden {
    position: absolute;
    width: 1px;
    height: 1px;
    margin: -1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
  button,
  .button,
  select,
  input {
    min-height: 32px;
    padding: 4px 10px;
    border: 1px solid var(--tt-border);
    border-radius: var(--tt-radius);
    background: var(--tt-surface);
    color: var(--tt-text);
    font: inherit;
  }
  button,
  .button {
    cursor: pointer;
    white-space: nowrap;
  }
  button:hover:not(:disabled),
  .button:hover {
    background: var(--tt-surface-2);
    text-decoration: none;
  }
  button:disabled {
    opacity: 0.6;
    cursor: default;
  }
  button.primary {
    border-color: var(--tt-accent);
    background: var(--tt-accent);
    color: var(--tt-accent-text);
  }
  button.primary:hover:not(:disabled) {
    background: var(--tt-accent);
    filter: brightness(1.08);
  }
  button[aria-pressed='true'],
  button[aria-current='true'] {
    border-color: var(--tt-accent);
    color: var(--tt-accent);
  }
  button.plain {
    min-height: 28px;
    border-color: transparent;
    background: transparent;
  }
  label {
    color: var(--tt-text-muted);
  }
  table {
    width: 100%;
    border-collapse: collapse;
  }
  caption {
    padding-bottom: 6px;
    text-align: start;
    font-weight: 600;
  }
  th,
  td {
    padding: 5px 8px;
    border-bottom: 1px solid var(--tt-border);
    text-align: start;
    vertical-align: baseline;
  }
  th {
    color: var(--tt-text-muted);
    font-size: 12px;
    font-weight: 500;
    white-space: nowrap;
  }
  th.number,
  td.number {
    text-align: end;
  }
  tbody tr:last-child > * {
    border-bottom: 0;
  }
  tbody tr:hover {
    background: var(--tt-surface-2);
  }
  .empty {
    padding: 20px 8px;
    color: var(--tt-text-muted);
    text-align: center;
  }
  .chip {
    display: inline-flex;
    align-items: center;
    gap: 4px;
    padding: 1px 8px;
    border: 1px solid var(--tt-border);
    border-radius: 999px;
    background: var(--tt-surface-2);
    font-size: 12px;
    white-space: nowrap;
  }
  .layer::before {
    content: '';
    display: inline-block;
    width: 9px;
    height: 9px;
    margin-inline-end: 6px;
    border-radius: 2px;
    background: var(--tt-layer-other);
  }
  .layer[data-layer='shim']::before {
    background: var(--tt-layer-shim);
  }
  .layer[data-layer='websocket']::before {
    background: var(--tt-layer-websocket);
  }
  .layer[data-layer='tool']::before {
    background: var(--tt-layer-tool);
  }
  .layer[data-layer='provider']::before {
    background: var(--tt-layer-provider);
  }
  .layer[data-layer='api']::before {
    background: var(--tt-layer-api);
  }
  .layer[data-layer='storage']::before {
    background: var(--tt-layer-storage);
  }
  .layer[data-layer='unexplained']::before {
    background: var(--tt-layer-unexplained);
  }
  @media (max-width: 640px) {
    .card {
      padding: 12px;
    }
    th,
    td {
      padding: 5px 6px;
    }
  }
  @media (prefers-reduced-motion: reduce) {
    * {
      transition: none !important;
      animation: none !important;
    }
  }
`
