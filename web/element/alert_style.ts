import { css } from 'lit'

/** The page of alerts: cards below each other, a line for each alert. */
export const alertStyle = css`
  :host {
    display: grid;
    grid-template-columns: minmax(0, 1fr);
    gap: var(--tt-gap);
  }
  h2 {
    margin-block-end: 8px;
  }
  ul {
    margin: 0;
    padding: 0;
    list-style: none;
  }
  li {
    padding-block: 8px;
    border-block-end: 1px solid var(--tt-border);
    overflow-wrap: anywhere;
  }
  li:last-child {
    border: 0;
  }
  summary {
    display: flex;
    flex-wrap: wrap;
    align-items: baseline;
    gap: 2px 12px;
    cursor: pointer;
  }
  .state {
    font-weight: 600;
  }
  .title {
    flex: 1 1 260px;
    min-width: 0;
    overflow-wrap: anywhere;
  }
  .when {
    font-size: 12.5px;
  }
  tt-fact-list {
    margin-block: 10px;
  }
  .links {
    display: flex;
    flex-wrap: wrap;
    gap: 6px 14px;
    margin-block-start: 8px;
  }
  .links a {
    text-decoration: underline;
  }
  .told {
    display: grid;
    gap: 2px;
  }
`
