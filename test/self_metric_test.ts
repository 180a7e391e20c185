import { expect, test } from 'vitest'
import { selfMetricMs } from '../src/core/limit.ts'
import type { Gauge } from '../src/core/record.ts'
import { Outbox } from '../src/reporter/delivery/outbox.ts'
import { createReporter } from '../src/reporter/reporter.ts'
import { createSelfMetrics } from '../src/reporter/self_metric.ts'
import { startIngest } from './ingest_fixture.ts'

/** What is loose, as gauges, taken out and settled. */
function takenOf(outbox: Outbox): Gauge[] {
  const taken: Gauge[] = []
  while (outbox.loose > 0) {
    taken.push(JSON.parse(outbox.clean() ?? '{}') as Gauge)
    outbox.take(1)
    outbox.settle(1, 1)
  }
  return taken
}

const host = '{"type":"gauge","name":"host","at_us":1,"value":1,"labels":{}}'

test('createSelfMetrics() adds its gauges once a minute, only to other records, and they count as recorded', () => {
  const outbox = new Outbox()
  let now = 0
  const tell = createSelfMetrics({
    outbox,
    instant: () => now,
    nowUs: () => 7,
    started: () => 5,
    live: () => 2,
    exporter: () => ({ stored: 40, rejected: 3, lastSeconds: 0.25 }),
  })
  outbox.put(host)
  tell()
  expect(outbox.loose).toBe(1)
  takenOf(outbox)

  // An idle process has nothing to send, and gets nothing.
  now = selfMetricMs
  tell()
  expect(outbox.loose).toBe(0)

  outbox.drop('overflow', 9)
  outbox.put(host)
  const before = outbox.recorded
  tell()
  const gauges = takenOf(outbox).slice(1)
  expect(outbox.recorded).toBe(before + gauges.length)
  const processor = { 'otel.component.name': 'telltale/0', 'otel.component.type': 'telltale_outbox' }
  const exporter = { 'otel.component.name': 'telltale/0', 'otel.component.type': 'telltale_http_json_exporter' }
  expect(gauges.map(({ name, value, labels }) => [name, value, labels])).toEqual([
    ['otel.sdk.span.started', 5, {}],
    ['otel.sdk.span.live', 2, {}],
    ['otel.sdk.processor.span.queue.size', 1, processor],
    ['otel.sdk.processor.span.queue.capacity', outbox.capacity, processor],
    ['otel.sdk.processor.span.processed', 9, { ...processor, 'error.type': 'overflow' }],
    ['otel.sdk.exporter.span.inflight', 1, exporter],
    ['otel.sdk.exporter.span.exported', 40, exporter],
    ['otel.sdk.exporter.span.exported', 3, { ...exporter, 'error.type': 'rejected' }],
    ['otel.sdk.exporter.operation.duration', 0.25, exporter],
  ])
  expect(gauges.every(({ type, at_us }) => type === 'gauge' && at_us === 7)).toBe(true)

  now += selfMetricMs - 1
  outbox.put(host)
  tell()
  expect(outbox.loose).toBe(1)
  now += 1
  tell()
  expect(outbox.loose).toBeGreaterThan(1)
})

test('a reporter sends its own gauges with its records after a minute, the edge stores them, and the law holds', async () => {
  const far = await startIngest()
  const clock = performance.now.bind(performance)
  let ahead = 0
  performance.now = () => clock() + ahead
  const reporter = createReporter({ ingestUrl: far.url, ingestKey: far.key, service: 's', env: {}, flushOnExit: false })
  try {
    reporter.startTrace({ name: 'a', layer: 'tool' }).end()
    await reporter.flush(5_000)
    ahead = selfMetricMs
    reporter.startTrace({ name: 'b', layer: 'tool' }).end()
    await reporter.flush(5_000)
    const names = far.batches.flatMap(({ records }) => records.map((record) => ('name' in record ? record.name : '')))
    expect(names).toEqual(
      expect.arrayContaining(['a', 'b', 'otel.sdk.span.started', 'otel.sdk.exporter.span.exported']),
    )
    expect(names.filter((name) => name === 'otel.sdk.span.started')).toHaveLength(1)
    const { recorded, stored, waiting } = reporter.status()
    expect({ stored, waiting }).toEqual({ stored: recorded, waiting: 0 })
    expect(recorded).toBe(names.length)
  } finally {
    performance.now = clock
    await reporter.close(50)
    await far.close()
  }
})
