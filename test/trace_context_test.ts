import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { headersOf, parseTraceContext } from '../src/wire/trace_context.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'

test('parseTraceContext() reads what headersOf() writes, and knows that Telltale was there', () => {
  const { traceparent, tracestate } = headersOf(traceId, spanId, ['congo=t61rcWkgMzE', 'rojo=00f067aa0ba902b7'])
  expect(parseTraceContext(traceparent, tracestate)).toEqual({
    ok: true,
    value: {
      traceId,
      parentSpanId: spanId,
      sampled: true,
      recorded: true,
      others: ['congo=t61rcWkgMzE', 'rojo=00f067aa0ba902b7'],
    },
  })
  expect(parseTraceContext(`00-${traceId}-${spanId}-00`, 'congo=1')).toMatchObject({
    ok: true,
    value: { sampled: false, recorded: false },
  })
})

test('parseTraceContext() refuses what the recommendation refuses, and takes later versions', () => {
  const refused = [
    undefined,
    7,
    '',
    'x',
    `00-${traceId}-${spanId}`,
    `00-${traceId.toUpperCase()}-${spanId}-01`,
    `ff-${traceId}-${spanId}-01`,
    `00-${'0'.repeat(32)}-${spanId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `00-${traceId}-${spanId}-01-more`,
  ]
  for (const value of refused) expect(parseTraceContext(value).ok).toBe(false)
  expect(parseTraceContext(`cc-${traceId}-${spanId}-01-more`).ok).toBe(true)
})

test('an invalid tracestate is ignored, and ours never grows beyond its limit', () => {
  expect(parseTraceContext(`00-${traceId}-${spanId}-01`, 'no equals sign')).toMatchObject({
    ok: true,
    value: { others: [] },
  })
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-z]{1,20}=[a-z0-9]{1,200}$/), { maxLength: 40 }), (others) => {
      const { tracestate } = headersOf(traceId, spanId, others)
      expect(tracestate.length).toBeLessThanOrEqual(512)
      expect(tracestate.split(',').length).toBeLessThanOrEqual(32)
      expect(tracestate.startsWith(`telltale=${spanId}`)).toBe(true)
    }),
  )
})
