import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ReportData, type ReportSpan, reportDataOf } from '../src/cli/report_data.ts'
import { markup } from '../src/cli/report_markup.ts'
import { reportPage } from '../src/cli/report_page.ts'
import { waterfall } from '../src/cli/report_waterfall.ts'
import { openPglite, type TestDatabase } from './postgres_fixture.ts'
import { aBatch, anError, aSpan, noonUs, nowUs, processId, rowsOf, traceId } from './rows_fixture.ts'

const hostile = `</td><script>alert(1)</script><img src=x onerror=alert(1)>"'&\u202e\u001b[2J`
const secondUs = 1_000_000

let database: TestDatabase
beforeAll(async () => {
  database = await openPglite()
  await database.rpc('make_partitions', { days: [new Date(noonUs / 1_000).toISOString().slice(0, 10)] })
  const spans = Array.from({ length: 40 }, (_, n) => {
    const late = n % 4 === 2
    const start = noonUs + n * secondUs
    const id = (place: number) => (n * 10 + place + 1).toString(16).padStart(16, '0')
    const one = { trace_id: traceId(n + 1), start_us: start, tool: hostile, provider: hostile, layer: 'tool' }
    const end = start + (late ? 900_000 : 50_000) + (n % 5) * 1_000
    return [
      aSpan({
        ...one,
        span_id: id(0),
        end_us: end,
        session: { key: `${hostile}${n >> 2}`, rule: 'mcp' },
        name: hostile,
      }),
      ...(late
        ? [
            aSpan({
              ...one,
              span_id: id(1),
              parent_span_id: id(0),
              entry: false,
              kind: 'wait',
              name: `permit ${hostile}`,
              holder: hostile,
              end_us: end - 40_000,
            }),
          ]
        : []),
    ]
  }).flat()
  const error = anError({ error_type: hostile, message: hostile, trace_id: traceId(3) })
  await database.rpc('ingest_batch', { batch: rowsOf(aBatch([...spans, error])) })
})
afterAll(() => database.close())

const gather = (filter: Record<string, unknown>) =>
  reportDataOf((name, args) => database.rpc(name, args), filter, nowUs)

/** What a browser would ask for or run. */
const actives = /<(?:script|img|link|iframe|object|embed|base|form|a)\b|\bon\w+\s*=|url\(|https?:|javascript:|@import/i

test('reportPage() shows the verdict and its evidence of what is stored, every hostile name as text', async () => {
  const data = await gather({ call_number: 3 })
  expect(data.answer.verdict).toMatchObject({ cause: 'waiting', layer: 'tool' })
  const page = reportPage(data)
  // Names stand as text and never as markup; `onerror=` is there as text.
  const withoutText = page.replaceAll(/<bdi>[^<]*<\/bdi>|<code>[^<]*<\/code>/g, '')
  expect(withoutText).not.toMatch(actives)
  expect(page.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u)
  expect(page).toContain('&#60;script&#62;alert(1)&#60;/script&#62;')
  expect(page).toContain("default-src 'none'")
  for (const heading of ['Calls by their place in the session', 'By tool', 'By layer', 'Errors']) {
    expect(page.includes(heading), heading).toBe(true)
  }
  expect(page.match(/<ol class="waterfall">/g)).toHaveLength(3)
  expect(page).toContain('class="layer-tool wait"')
  expect(page).toContain('call number <bdi>3</bdi>')
})

test('reportPage() says that there is nothing to say where nothing is', async () => {
  const page = reportPage(await gather({ service: 'nobody' }))
  expect(page).toContain('There is nothing to explain.')
  expect(page).toContain('None in this time.')
  expect(page).not.toMatch(/NaN|Infinity|undefined|\[object/)
})

test('markup never lets text become a tag, an attribute or a line of its own', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'<>&"\'`=\n\r\u0000\u2028\u202e ax') }), (text) => {
      const { html } = markup`<p title="${text}">${text}</p>`
      expect(html.match(/</g)).toHaveLength(2)
      expect(html.match(/"/g)).toHaveLength(2)
      expect(html).not.toContain('\n')
    }),
  )
})

test('waterfall() has a line for every span up to its bound, whatever hangs on what, each bar within the axis', () => {
  const ids = ['a', 'b', 'c', 'd', 'e']
  const arbitrarySpan = fc.record({
    parent_span_id: fc.option(fc.constantFrom(...ids, 'gone')),
    start_us: fc.integer({ min: 0, max: 1_000 }),
    end_us: fc.option(fc.integer({ min: 0, max: 2_000 })),
    kind: fc.constantFrom('work' as const, 'wait' as const),
    layer: fc.constantFrom('tool', 'own'),
    name: fc.string(),
  })
  fc.assert(
    fc.property(fc.array(arbitrarySpan, { maxLength: 5 }), (drawn) => {
      const spans = drawn.map((span, at): ReportSpan => ({ ...span, span_id: ids[at] as string }))
      const { html } = waterfall({ ...aTrace, spans })
      expect(html.match(/<li>/g)?.length ?? 0).toBe(spans.length)
      for (const [, x, width] of html.matchAll(/ x="([^"]*)".*? width="([^"]*)"/g)) {
        expect(Number(x)).toBeGreaterThanOrEqual(0)
        expect(Number(x) + Number(width)).toBeLessThanOrEqual(100.01)
        expect(Number(width)).toBeGreaterThanOrEqual(0)
      }
    }),
  )
  const many = Array.from({ length: 50 }, (_, at): ReportSpan => {
    return {
      span_id: `${at}`,
      parent_span_id: null,
      layer: 'tool',
      kind: 'work',
      name: 'n',
      start_us: at,
      end_us: at + 1,
    }
  })
  expect(waterfall({ ...aTrace, spans: many }).html).toContain('10 more spans are left out.')
})

const aTrace: ReportData['exemplars'][number] = {
  trace_id: traceId(1),
  started_at_us: noonUs,
  duration_ms: 5,
  name: processId,
  outcome: 'ok',
  session_key: null,
  call_number: null,
  spans: [],
}
