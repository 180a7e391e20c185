import { css } from 'lit'

/** The frame's own measures. */
export const frameStyle = css`
  :host {
    min-height: 100vh;
  }
  main {
    max-width: 1680px;
    margin: 0 auto;
    padding: 12px 20px 32px;
    outline: none;
  }
  tt-range-bar {
    margin-block-end: 12px;
  }
  .notice {
    max-width: 520px;
    margin: 18vh auto 0;
    padding: 20px;
    text-align: center;
  }
  .notice.card {
    display: grid;
    gap: 12px;
    justify-items: center;
  }
  @media (max-width: 640px) {
    main {
      padding-inline: 12px;
    }
  }
`
