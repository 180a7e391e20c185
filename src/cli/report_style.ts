/** The looks of a report: no font, picture or script from anywhere; light and dark as the reader has it; on paper too. */
export const reportStyle = `
:root {
  color-scheme: light dark;
  --bg: light-dark(#ffffff, #0e1319);
  --surface: light-dark(#f4f6f8, #161d26);
  --text: light-dark(#17202b, #e6ebf1);
  --muted: light-dark(#52606f, #9dabba);
  --border: light-dark(#d5dce4, #2c3845);
  --slow: light-dark(#b3261e, #ff8a80);
  --others: light-dark(#176f3d, #5fd08f);
  --shim: light-dark(#6b5bd2, #a99cff);
  --websocket: light-dark(#1b7fb8, #62b8ec);
  --tool: light-dark(#0f8a6d, #4cc9a7);
  --provider: light-dark(#a76a00, #e4ac4a);
  --api: light-dark(#c2410c, #ff935e);
  --storage: light-dark(#b0347f, #ec7fbd);
  --other: light-dark(#64748b, #94a3b8);
}
* { box-sizing: border-box; }
body {
  max-width: 1080px;
  margin: 0 auto;
  padding: 24px 16px 48px;
  background: var(--bg);
  color: var(--text);
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  print-color-adjust: exact;
  -webkit-print-color-adjust: exact;
}
h1 { margin: 0; font-size: 22px; line-height: 1.25; }
h2 { margin: 32px 0 8px; font-size: 17px; }
h3 { margin: 16px 0 4px; font-size: 14px; }
p { margin: 4px 0; }
h1, h3, p, li, dd, th { overflow-wrap: anywhere; }
code { font: 12px ui-monospace, Consolas, monospace; }
.muted, small, .layer { color: var(--muted); font-weight: 400; }
small { display: block; font-size: 11px; }
.asked { margin: 0 0 20px; color: var(--muted); }
.verdict { padding: 16px; border: 1px solid var(--border); border-radius: 8px; background: var(--surface); }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 2px 16px; margin: 12px 0 0; }
dt { color: var(--muted); }
dd { margin: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 10px; border-bottom: 1px solid var(--border); text-align: end; vertical-align: top; }
td { white-space: nowrap; }
th { font-weight: 500; }
thead th { color: var(--muted); white-space: nowrap; }
th:first-child { min-width: 110px; padding-inline-start: 0; text-align: start; }
.plot { width: 40%; min-width: 120px; }
.shaded { background: color-mix(in srgb, var(--slow) calc(var(--shade) * 38%), transparent); }
svg { display: block; width: 100%; height: 12px; }
.slow { fill: var(--slow); }
.others { fill: var(--others); }
.thin { opacity: 0.45; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 0 32px; }
.columns table, .verdict table { width: 100%; }
ul, ol { margin: 0; padding: 0; list-style: none; }
.errors li, .considered li { padding: 6px 0; border-bottom: 1px solid var(--border); }
.waterfall li { display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 3fr) 70px; gap: 10px; align-items: center; border-bottom: 1px solid var(--border); }
.waterfall .name { font-size: 12px; }
.failed { color: var(--slow); }
.number { font-variant-numeric: tabular-nums; text-align: end; }
rect.layer-shim { fill: var(--shim); stroke: var(--shim); }
rect.layer-websocket { fill: var(--websocket); stroke: var(--websocket); }
rect.layer-tool { fill: var(--tool); stroke: var(--tool); }
rect.layer-provider { fill: var(--provider); stroke: var(--provider); }
rect.layer-api { fill: var(--api); stroke: var(--api); }
rect.layer-storage { fill: var(--storage); stroke: var(--storage); }
rect.layer-other { fill: var(--other); stroke: var(--other); }
rect.work { stroke: none; }
rect.wait { fill-opacity: 0.3; stroke-width: 1px; vector-effect: non-scaling-stroke; }
@media (max-width: 620px) {
  th, td { padding-inline: 6px; }
  .plot { display: none; }
  .waterfall li { grid-template-columns: minmax(0, 1fr) max-content; gap: 2px 10px; padding: 4px 0; }
  .waterfall svg { grid-row: 2; grid-column: 1 / -1; }
}
@media print {
  :root { color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 11px; }
  article, .verdict, tr, li { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; }
}
`
