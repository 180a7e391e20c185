import { css } from 'lit'

/** The grid of the overview: six columns on a wide screen, one on a phone. */
export const overviewStyle = css`
  .page {
    display: grid;
    grid-template-columns: repeat(6, minmax(0, 1fr));
    gap: var(--tt-gap);
  }
  .page[data-stale] {
    opacity: 0.75;
  }
  .page > * {
    grid-column: span 6;
    min-width: 0;
  }
  .charts {
    display: grid;
    grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr));
    gap: var(--tt-gap);
  }
  .chart {
    min-width: 0;
  }
  @media (min-width: 760px) and (max-width: 1120px) {
    .charts {
      grid-template-columns: repeat(2, minmax(0, 1fr));
    }
    .chart:nth-child(3) {
      grid-column: span 2;
    }
  }
  .half {
    grid-column: span 3;
  }
  tt-first-run[demo],
  .problem {
    margin-block-end: var(--tt-gap);
  }
  .problem {
    display: flex;
    align-items: center;
    justify-content: space-between;
    gap: 12px;
  }
  .tiles {
    display: grid;
    grid-template-columns: repeat(5, minmax(0, 1fr));
    gap: var(--tt-gap);
  }
  .health {
    display: flex;
    flex-wrap: wrap;
    justify-content: space-between;
    gap: 4px 24px;
  }
  .health h2 {
    display: inline-block;
    font-size: 16px;
  }
  .health ul {
    margin: 4px 0 0;
    padding: 0;
    list-style: none;
  }
  .dot {
    display: inline-block;
    width: 10px;
    height: 10px;
    margin-inline-end: 8px;
    border-radius: 50%;
    background: var(--tt-text-muted);
  }
  [data-status='ok'] .dot {
    background: var(--tt-ok);
  }
  [data-status='degraded'] .dot,
  [data-status='silent'] .dot {
    background: var(--tt-warn);
  }
  [data-status='failing'] .dot {
    background: var(--tt-error);
  }
  .stack {
    display: grid;
    align-content: start;
    gap: var(--tt-gap);
  }
  @media (max-width: 800px) {
    .half {
      grid-column: span 6;
    }
    .tiles {
      grid-template-columns: repeat(2, minmax(0, 1fr));
    }
    .tiles > :first-child {
      grid-column: span 2;
    }
  }
`
