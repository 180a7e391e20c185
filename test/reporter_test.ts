import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { attributesBytesMax, messageBytesMax, nameBytesMax, sendMsMax, stackBytesMax } from '../src/core/limit.ts'
import type { Json } from '../src/core/record.ts'
import { CallCounter } from '../src/reporter/call_counter.ts'
import { createEpochClock, epochUsOf } from '../src/reporter/epoch_clock.ts'
import { failureOf } from '../src/reporter/failure.ts'
import { newUuidV7 } from '../src/reporter/identifier.ts'
import { createReporter, type Reporter, type ReporterOptions } from '../src/reporter/reporter.ts'
import { type OpenSpan, RunningList } from '../src/reporter/running_list.ts'
import { cutMiddle, cutText } from '../src/reporter/text_cut.ts'
import { parseBatch } from '../src/wire/parse_batch.ts'
import { eventually, type IngestFixture, startIngest } from './ingest_fixture.ts'

let far: IngestFixture
let reporter: Reporter

beforeEach(async () => {
  far = await startIngest()
  reporter = createReporter({ ingestUrl: far.url, ingestKey: far.key, service: 's', env: {}, flushOnExit: false })
})

afterEach(async () => {
  await reporter.close(100)
  await far.close()
})

test('startTrace(), span() and wait() record a tree with monotonic times in µs', async () => {
  const before = Date.now() * 1_000
  const root = reporter.startTrace({
    name: 'tools/call chat',
    layer: 'tool',
    tool: 'chat',
    requestId: 'r-1',
    session: 'conv',
  })
  const wait = reporter.wait(root, { name: 'permit', holder: 'provider_sem_KIMI' })
  wait.end()
  const api = reporter.span(root, { name: 'chat kimi', layer: 'api', provider: 'kimi', model: 'k2' })
  api.set({ tokensIn: 10, attributes: { a: 1 } })
  api.end('timeout', { tokensOut: 2, attributes: { b: 2 } })
  root.end('ok', { bytesIn: 5, bytesOut: 6 })
  root.end('timeout')
  await reporter.flush()
  const [first, second, third, ...rest] = far.spans()
  expect(rest).toEqual([])
  expect(first).toMatchObject({
    kind: 'wait',
    layer: 'tool',
    holder: 'provider_sem_KIMI',
    entry: false,
    parent_span_id: root.spanId,
  })
  expect(second).toMatchObject({
    layer: 'api',
    outcome: 'timeout',
    tokens_in: 10,
    tokens_out: 2,
    attributes: { a: 1, b: 2 },
  })
  expect(third).toMatchObject({
    trace_id: root.traceId,
    parent_span_id: null,
    entry: true,
    request_id: 'r-1',
    session: { key: 'conv', rule: 'explicit' },
    call_number: 1,
    outcome: 'ok',
    bytes_in: 5,
    bytes_out: 6,
  })
  for (const span of far.spans()) {
    expect(Number.isInteger(span.start_us) && Number.isInteger(span.end_us)).toBe(true)
    expect(span.end_us).toBeGreaterThanOrEqual(span.start_us)
  }
  expect(Math.abs((third?.start_us ?? 0) - before)).toBeLessThan(1_000_000)
  expect(third?.start_us).toBeLessThanOrEqual(first?.start_us ?? 0)
  expect(third?.end_us).toBeGreaterThanOrEqual(second?.end_us ?? 0)
})

test('a remote context is honoured as parent; the outermost recorder is the entry, an inner one is not', async () => {
  const outer = reporter.startTrace({
    name: 'outer',
    layer: 'shim',
    context: {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'congo=t61rcWkgMzE',
    },
  })
  const headers = outer.headers()
  expect(headers.traceparent).toBe(`00-0af7651916cd43dd8448eb211c80319c-${outer.spanId}-01`)
  expect(headers.tracestate).toBe(`telltale=${outer.spanId},congo=t61rcWkgMzE`)
  const inner = reporter.startTrace({ name: 'inner', layer: 'tool', context: headers })
  const broken = reporter.startTrace({ name: 'broken', layer: 'tool', context: { traceparent: '00-zz-1-01' } })
  for (const span of [inner, outer, broken]) span.end()
  await reporter.flush()
  const byName = new Map(far.spans().map((span) => [span.name, span]))
  expect(byName.get('outer')).toMatchObject({ parent_span_id: 'b7ad6b7169203331', entry: true })
  expect(byName.get('inner')).toMatchObject({ trace_id: outer.traceId, parent_span_id: outer.spanId, entry: false })
  expect(byName.get('broken')).toMatchObject({ parent_span_id: null, entry: true })
})

test('captureError() keeps type, message, stack and causes, and links them to the span', async () => {
  class ProviderTimeout extends Error {}
  const root = reporter.startTrace({ name: 'n', layer: 'tool' })
  const id = reporter.captureError(new ProviderTimeout('slow', { cause: new TypeError('socket') }), {
    span: root,
    context: { attempt: 2 },
  })
  root.end('timeout')
  await reporter.flush()
  const [error] = far.errors()
  expect(error).toMatchObject({
    error_id: id,
    trace_id: root.traceId,
    span_id: root.spanId,
    error_type: 'ProviderTimeout',
    message: 'slow',
    context: { attempt: 2 },
  })
  expect(error?.traceback).toMatch(/^Error: slow\n {4}at [\s\S]*\nCaused by: TypeError: socket\n {4}at /)
})

test('failureOf() describes anything that can be thrown and never throws', () => {
  const circular: { self?: unknown } = {}
  circular.self = circular
  const looped = new Error('loop')
  looped.cause = looped
  const hostile = new Proxy(new Error('x'), {
    get() {
      throw new Error('no')
    },
  })
  const cases: [unknown, string, string][] = [
    ['text', 'string', 'text'],
    [undefined, 'undefined', 'undefined'],
    [null, 'null', 'null'],
    [42n, 'bigint', '42'],
    [Symbol('s'), 'symbol', 'Symbol(s)'],
    [{ code: 7 }, 'Object', '{"code":7}'],
    [looped, 'Error', 'loop'],
  ]
  for (const [thrown, errorType, message] of cases) expect(failureOf(thrown)).toMatchObject({ errorType, message })
  expect(failureOf(circular).message).toBe('{"self":"[circular]"}')
  expect(() => failureOf(hostile)).not.toThrow()
  const group = failureOf(new AggregateError([new TypeError('a'), 'b'], 'all failed'))
  expect(group.traceback).toMatch(
    /^AggregateError: all failed[\s\S]*\n\[errors\]: TypeError: a[\s\S]*\n\[errors\]: string: b$/,
  )
  const huge = new Error('m'.repeat(20_000), { cause: new Error('innermost') })
  huge.stack = 's'.repeat(200_000)
  const cut = failureOf(huge)
  expect(Buffer.byteLength(cut.message)).toBeLessThanOrEqual(messageBytesMax)
  expect(Buffer.byteLength(cut.traceback ?? '')).toBeLessThanOrEqual(stackBytesMax)
  expect(cut.traceback).toContain('Error: innermost')
  fc.assert(
    fc.property(
      fc.anything({ withBigInt: true, withNullPrototype: true }),
      (thrown) => typeof failureOf(thrown).message === 'string',
    ),
  )
})

test('no call of a reporter throws, whatever it is given, and what it cannot record it declares', async () => {
  const circular: { [key: string]: unknown } = {}
  circular.self = circular
  const lines: string[] = []
  const guest = createReporter({
    ingestUrl: far.url,
    ingestKey: far.key,
    env: {},
    warn: (line) => void lines.push(line),
    flushOnExit: false,
  })
  const span = guest.startTrace({ name: 'n', layer: 'tool', attributes: circular as { [key: string]: Json } })
  span.end(undefined, { attributes: { big: 'x'.repeat(attributesBytesMax) }, bytesIn: Number.NaN })
  for (const rubbish of [undefined, null, 5, 'x', {}, [], Symbol('s')] as never[]) {
    guest.startTrace(rubbish).end(rubbish, rubbish, rubbish)
    guest.span(rubbish, rubbish).set(rubbish)
    guest.wait(rubbish, rubbish).headers()
    guest.captureError(rubbish, rubbish)
    guest.gauge(rubbish, rubbish, rubbish)
    guest.recordMessage(rubbish, rubbish)
    guest.recordEvent(rubbish, rubbish)
  }
  await guest.close(500)
  const { recorded, stored, dropped, waiting } = guest.status()
  expect(recorded).toBe(stored + waiting + Object.values(dropped).reduce((sum, count) => sum + count, 0))
  expect(far.spans()[0]?.attributes).toHaveProperty(['telltale.attributes_lost'])
  expect(lines.length).toBeLessThanOrEqual(1)
})

test('a reporter without settings, or disabled, records nothing and its calls do nothing', async () => {
  const { url: ingestUrl, key: ingestKey } = far
  const off = [
    createReporter({ env: {} }),
    createReporter({ env: {}, ingestUrl }),
    createReporter({ ingestUrl, ingestKey, env: { TELLTALE_DISABLED: '1' } }),
  ]
  for (const silent of off) {
    const span = silent.startTrace({ name: 'n', layer: 'tool' })
    silent.span(span, { name: 'm' }).end()
    expect(silent.captureError(new Error('x'), { span })).toBeNull()
    span.end()
    await silent.close()
    expect([silent.enabled, silent.status().recorded]).toEqual([false, 0])
  }
  const live = createReporter({
    env: { TELLTALE_INGEST_URL: ingestUrl, TELLTALE_INGEST_KEY: ingestKey, TELLTALE_SERVICE: 'from-env' },
    flushOnExit: false,
  })
  live.gauge('g', 1)
  await live.close()
  expect(far.batches.map((batch) => batch.source.service)).toEqual(['from-env'])
  const invalid = createReporter({ ingestUrl: 'not a url', ingestKey, env: {}, warn: () => undefined })
  expect(invalid.enabled).toBe(false)
})

test('a reporter neither keeps its host alive nor writes to stdout, and sends what waits when the host ends', async () => {
  const module = fileURLToPath(new URL('../src/reporter/reporter.ts', import.meta.url))
  const script = `
    import { createReporter } from ${JSON.stringify(module)}
    const reporter = createReporter({ service: 's' })
    reporter.startTrace({ name: 'left open', layer: 'tool' })
    reporter.startTrace({ name: 'done', layer: 'tool' }).end()
  `
  const hosted = (url: string) =>
    promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      env: { TELLTALE_INGEST_URL: url, TELLTALE_INGEST_KEY: far.key },
    })
  expect(await hosted(far.url)).toEqual({ stdout: '', stderr: '' })
  expect(far.spans().map((span) => span.name)).toContain('done')
  far.fault = () => ({ kind: 'hang', stored: false })
  const began = performance.now()
  expect((await hosted(far.url)).stdout).toBe('')
  expect(performance.now() - began).toBeLessThan(0.9 * sendMsMax)
})

test('a reporter does not end a host whose stderr is gone, nor one that gives it nonsense', async () => {
  const module = new URL('../src/reporter/reporter.ts', import.meta.url).href
  const script = `import { createReporter } from '${module}'
    process.stdin.once('data', () => {
      createReporter({ ingestUrl: 'no address', ingestKey: 'k', env: {} }).startTrace({ name: 'n', layer: 'tool' }).end()
      setTimeout(() => { console.log('alive'); process.exit(0) }, 100)
    })`
  const host = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'pipe' })
  host.stderr.destroy()
  let out = ''
  host.stdout.on('data', (chunk) => {
    out += chunk
  })
  host.stdin.write('go')
  expect((await once(host, 'close'))[0]).toBe(0)
  expect(out).toBe('alive\n')
  const warn = () => undefined
  for (const nonsense of [null, 7, { ingestUrl: far.url, ingestKey: 'k', service: 1, env: {}, warn }]) {
    expect(createReporter(nonsense as unknown as ReporterOptions).enabled).toBe(false)
  }
})

test('createEpochClock() follows a wall clock that steps, and a trace that runs keeps its own anchor', () => {
  let wall = 1_000_000
  let now = 0
  const clock = createEpochClock({ wall: () => wall, monotonic: () => now, origin: 1_000_000 })
  const anchored = clock.offsetUs()
  now += 2_000
  wall += 2_000 + 3_600_000
  expect(epochUsOf(now, anchored)).toBe(1_002_000_000)
  expect(epochUsOf(now, clock.offsetUs())).toBe(wall * 1_000)
  now += 2_000
  wall += 2_004
  expect(epochUsOf(now, clock.offsetUs())).toBe(wall * 1_000 - 4_000)
})

test('RunningList lists the innermost open span of each trace and stays bounded', () => {
  const open = (traceId: string, spanId: string): OpenSpan => ({
    traceId,
    spanId,
    layer: 'tool',
    name: spanId,
    tool: null,
    sessionKey: null,
    startUs: 1,
  })
  const list = new RunningList(5)
  const [a, b, c] = [open('t1', 'a'), open('t1', 'b'), open('t2', 'c')] as const
  for (const span of [a, b, c]) list.add(span)
  expect(list.entries().map((entry) => entry.span_id)).toEqual(['b', 'c'])
  expect([list.entries(1).length, list.total]).toEqual([1, 2])
  list.remove(b)
  list.remove(b)
  expect(list.entries().map((entry) => entry.span_id)).toEqual(['a', 'c'])
  for (let i = 0; i < 50; i++) list.add(open(`more${i}`, `s${i}`))
  expect([...list.spans()].length).toBe(5)
  list.remove(a)
  expect(list.total).toBe(5)
})

test('CallCounter counts each session and forgets only the one used longest ago', () => {
  const counter = new CallCounter(2)
  expect(['a', 'a', 'b', 'a', 'c', 'a', 'b'].map((key) => counter.next(key))).toEqual([1, 2, 1, 3, 1, 4, 1])
})

test('newUuidV7() is a version 7 UUID whose order is that of time', () => {
  expect(newUuidV7(0x0123456789ab)).toMatch(/^01234567-89ab-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(newUuidV7(1_000) < newUuidV7(1_001)).toBe(true)
})

test('cutText() and cutMiddle() keep within bytes, between characters', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 300 }),
      fc.integer({ min: 60, max: 200 }),
      (text, bytesMax) => {
        for (const cut of [cutText(text, bytesMax), cutMiddle(text, bytesMax)]) {
          expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(bytesMax)
          if (Buffer.byteLength(text) <= bytesMax) expect(cut).toBe(text)
          if (!text.includes('\uFFFD')) expect(cut).not.toContain('\uFFFD')
        }
      },
    ),
    { numRuns: 300 },
  )
})

test('long names are cut before they are sent', async () => {
  reporter
    .startTrace({ name: 'n'.repeat(5_000), layer: 'tool', tool: 'é'.repeat(5_000), session: 's'.repeat(5_000) })
    .end()
  await eventually(() => far.spans().length > 0)
  const [span] = far.spans()
  for (const text of [span?.name, span?.tool, span?.session?.key])
    expect(Buffer.byteLength(text ?? '')).toBeLessThanOrEqual(nameBytesMax)
})

test('every batch that a reporter makes is taken whole by the edge, whatever the host records', async () => {
  const text = fc.string({ unit: 'binary', maxLength: 400 })
  const maybe = fc.option(text, { nil: null })
  const count = fc.oneof(fc.nat(), fc.constantFrom(Number.NaN, -1, 0.5, null))
  const fields = fc.record({
    tool: maybe,
    provider: maybe,
    model: maybe,
    requestId: maybe,
    bytesIn: count,
    tokensOut: count,
  })
  const attributes = fc.dictionary(text, fc.jsonValue({ maxDepth: 4 })) as fc.Arbitrary<{ [key: string]: Json }>
  const labels = fc.dictionary(fc.stringMatching(/^[a-z]{1,9}$/), text, { maxKeys: 5 })
  await fc.assert(
    fc.asyncProperty(
      text,
      text,
      fields,
      attributes,
      labels,
      fc.anything(),
      async (name, session, given, more, tags, thrown) => {
        const root = reporter.startTrace({ name, layer: 'tool', session, attributes: more, ...given })
        reporter.captureError(thrown, { span: root, context: more })
        reporter.wait(root, { name, holder: session }).end('timeout')
        reporter.gauge(name || 'g', 1.5, tags)
        reporter.recordEvent({ connection_type: 'stdio', direction: 'receive', data_size_bytes: 5 }, root)
        reporter.recordMessage({ role: 'user', token_usage: { total: 3 } }, root)
        root.end('ok', given)
      },
    ),
    { numRuns: 150 },
  )
  reporter.startTrace({ name: 'still open', layer: 'tool' })
  await reporter.flush()
  expect(far.batches.length).toBeGreaterThan(1)
  for (const { bytes } of far.attempts) {
    const raw = Buffer.from(bytes, 'base64')
    const body = raw[0] === 0x1f ? gunzipSync(raw) : raw
    const parsed = parseBatch(body, Date.now() * 1_000)
    expect(parsed.ok && [...new Set(parsed.value.rejected.map((refused) => refused.reason))]).toEqual([])
    expect(parsed.ok && parsed.value.running_refused).toBe(0)
  }
})
