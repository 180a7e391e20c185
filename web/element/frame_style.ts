import { css } from 'lit'

/** The frame's own measures. */
export const frameStyle = css`
  :host {
    min-height: 100vh;
  }
  main,
  tt-range-bar {
    max-width: 1680px;
    margin: 0 auto;
    padding: 0 20px;
  }
  tt-range-bar {
    padding-block: 12px;
  }
  main {
    padding-bottom: 32px;
    outline: none;
  }
  tt-page-header + main {
    padding-top: 16px;
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
    main,
    tt-range-bar {
      padding-inline: 12px;
    }
  }
`
