import type { WhyAnswer } from '../core/why/why_answer.ts'
import { type ReportData, statsKinds } from './report_data.ts'
import { Markup, markup } from './report_markup.ts'
import { reportStyle } from './report_style.ts'
import { cohortTable, errorTable, lensTable, statsTable } from './report_table.ts'
import { instantText, waterfall } from './report_waterfall.ts'
import { textOfValue } from './why_text.ts'

const factorsShown = 6

/** One HTML file that needs nothing else: no script, no request. Everything that was recorded stands in it as text. */
export function reportPage(data: ReportData): string {
  const { answer, exemplars, errors, lens, stats } = data
  const page = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>Why calls are slow: a report by Telltale</title>
<style>${new Markup(reportStyle)}</style>
</head>
<body>
<main>
<p class="asked">${askedText(data)}</p>
<section class="verdict" aria-label="Verdict">
<h1><bdi>${headlineOf(answer)}</bdi></h1>
${answer.note === null ? '' : markup`<p class="muted">${answer.note}</p>`}
${facts(answer)}
<h3>Both kinds of calls</h3>
${cohortTable(answer)}
${considered(answer)}
</section>
<h2>Calls by their place in the session</h2>
<p class="muted">Median self time of each layer: what it did itself, or waited for.</p>
${lensTable(lens)}
<h2>Latency</h2>
<div class="columns">${statsKinds.map((kind) => statsTable(kind, stats[kind]))}</div>
<h2>Errors</h2>
${errorTable(errors)}
${exemplars.length === 0 ? '' : markup`<h2>Typical of the slow calls</h2>${exemplars.map(waterfall)}`}
</main>
</body>
</html>
`
  return page.html
}

const optionNames: { readonly [key: string]: string } = {
  call_number: 'call number',
  after: 'since',
  above_ms: 'longer than, in ms,',
  trace_id: 'trace',
  service: 'source',
}

function askedText({ filter, fromUs, toUs, matched, madeUs }: ReportData): Markup {
  const said = Object.entries(filter).filter(([key]) => key !== 'from' && key !== 'to')
  const asked = said.map(([key, value]) => markup`, ${optionNames[key] ?? key} <bdi>${String(value)}</bdi>`)
  return markup`Why are calls slow? ${matched} calls from ${instantText(fromUs)} to ${instantText(toUs)}${asked}. Telltale, ${instantText(madeUs)}.`
}

function headlineOf({ verdict, slow }: WhyAnswer): string {
  if (verdict !== null) return verdict.sentence
  return slow.n === 0 ? 'There is nothing to explain.' : 'There is no difference worth naming.'
}

function facts({ verdict }: WhyAnswer): Markup {
  if (verdict === null) return markup``
  const { cause, layer, attribute, value, since, share, confidence } = verdict
  const rows: [string, string | null][] = [
    ['Cause', cause.replaceAll('_', ' ')],
    ['Layer', layer],
    [cause === 'waiting' ? 'Waits for' : 'Attribute', textOfValue(attribute)],
    [cause === 'waiting' ? 'Held by' : 'Value', textOfValue(value)],
    ['Since', since === null ? null : instantText(since)],
    ['Explains', `${Math.round(100 * share)} % of the extra time`],
    ['Confidence', `${Math.round(100 * confidence)} %`],
  ]
  return markup`<dl>${rows.map(([name, text]) => (text === null ? '' : markup`<dt>${name}</dt><dd><bdi>${text}</bdi></dd>`))}</dl>`
}

function considered({ factors }: WhyAnswer): Markup {
  if (factors.length === 0) return markup``
  return markup`<h3>Also considered, with the share of the extra time that it would explain</h3>
    <ul class="considered">${factors.slice(0, factorsShown).map(({ share, sentence }) => markup`<li>${Math.round(100 * share)} %: <bdi>${sentence}</bdi></li>`)}</ul>`
}
