import { css } from 'lit'

/** The list of traces: a table, and on a phone a card for each row. */
export const traceListStyle = css`
  .card {
    padding: 0;
    overflow: hidden;
  }
  .stale {
    opacity: 0.55;
  }
  .empty a {
    text-decoration: underline;
  }
  .foot {
    padding: 10px 12px;
  }
  tt-read-state {
    padding: 0 14px;
  }
  table {
    table-layout: fixed;
  }
  thead th {
    padding-block: 8px;
    background: var(--tt-surface-2);
  }
  .w-time {
    width: 92px;
  }
  .w-outcome {
    width: 132px;
  }
  .w-duration {
    width: 88px;
  }
  .w-layers {
    width: 17%;
  }
  .w-session {
    width: 138px;
  }
  .w-model {
    width: 13%;
  }
  .w-tokens {
    width: 104px;
  }
  .w-source {
    width: 12%;
  }
  tr {
    position: relative;
  }
  td {
    overflow: hidden;
    text-overflow: ellipsis;
    white-space: nowrap;
    vertical-align: middle;
  }
  td a.only {
    position: relative;
    z-index: 1;
    color: inherit;
  }
  td a.only:hover {
    color: var(--tt-accent);
  }
  a.open {
    font-weight: 600;
  }
  /* The whole row opens the trace; what filters lies above. */
  a.open::after {
    content: '';
    position: absolute;
    inset: 0;
  }
  a.open:focus-visible {
    outline-offset: -2px;
  }
  .name div {
    display: flex;
    align-items: center;
    min-width: 0;
  }
  a.open {
    overflow: hidden;
    text-overflow: ellipsis;
  }
  a.funnel {
    position: relative;
    z-index: 1;
    display: inline-flex;
    flex: none;
    padding: 6px;
    color: var(--tt-text-muted);
    opacity: 0.55;
  }
  tr:hover a.funnel,
  a.funnel:focus-visible {
    color: var(--tt-accent);
    opacity: 1;
  }
  .sub {
    display: block;
    overflow: hidden;
    text-overflow: ellipsis;
    color: var(--tt-text-muted);
    font-size: 12px;
  }
  .partial {
    opacity: 0.4;
  }
  tr.running {
    background: color-mix(in srgb, var(--tt-accent) 7%, transparent);
  }
  tr.fresh {
    animation: arrive 1.6s ease-out;
  }
  @keyframes arrive {
    from {
      background: color-mix(in srgb, var(--tt-accent) 22%, transparent);
    }
  }
  @media (max-width: 1100px) {
    .w-tokens,
    .tokens,
    .w-source,
    .source {
      display: none;
    }
    .w-model {
      width: 15%;
    }
  }
  @media (max-width: 900px) {
    thead {
      position: absolute;
      width: 1px;
      height: 1px;
      overflow: hidden;
      clip-path: inset(50%);
    }
    table,
    tbody {
      display: block;
    }
    tbody tr {
      display: grid;
      grid-template-columns: minmax(0, 1fr) fit-content(45%);
      gap: 3px 12px;
      padding: 10px 12px;
      border-bottom: 1px solid var(--tt-border);
    }
    td {
      display: block;
      min-width: 0;
      padding: 0;
      border: 0;
    }
    td.name {
      order: 1;
    }
    td.duration {
      order: 2;
    }
    td.outcome {
      order: 3;
    }
    td.time {
      order: 4;
      text-align: end;
      color: var(--tt-text-muted);
    }
    td.layers {
      order: 5;
      grid-column: 1 / -1;
      padding-block: 3px;
    }
    td.session {
      order: 6;
    }
    td.model {
      order: 7;
      text-align: end;
    }
    td.model .sub,
    td.session .sub {
      display: inline;
    }
  }
`
