import { expect, test } from 'vitest'
import type { ConnectionEvent, ErrorRecord, Message } from '../src/core/record.ts'
import { parseAck } from '../src/wire/ack.ts'
import { later, reportEachTest } from './wait_reporter_fixture.ts'

const reported = reportEachTest()

async function recordsOf<T>(type: string): Promise<readonly T[]> {
  await reported.reporter.flush()
  return reported.far.batches.flatMap((batch) => batch.records).filter((record) => record.type === type) as T[]
}

test('recordMessage() is completed from its span, the spans around it and the last provider call of its trace', async () => {
  const { reporter } = reported
  await reporter.trace({ name: 'call', layer: 'tool', tool: 'chat', session: 'conv-1' }, async () => {
    reporter.recordMessage({ role: 'user' })
    await reporter.time({ name: 'route', layer: 'provider', provider: 'kimi' }, () =>
      reporter.time(
        { name: 'api', layer: 'api', model: 'kimi-k2', attributes: { thinking_mode: 'high' } },
        async (span) => {
          await later(5)
          span.set({ tokensIn: 10, tokensOut: 5, provider: 'kimi' })
        },
      ),
    )
    await later(20)
    reporter.time({ name: 'save_message', layer: 'storage' }, () => {
      reporter.recordMessage({ role: 'assistant', model_used: null, metadata: { note: 'kept' } })
      reporter.recordMessage({ role: 'assistant', model_used: 'said', token_usage: { total: 1 }, response_time_ms: 7 })
    })
  })
  const [asked, answered, said] = await recordsOf<Message>('message')
  const [save] = await reported.spansNamed('save_message')
  expect(asked).toMatchObject({ conversation_id: 'conv-1', tool_name: 'chat', response_time_ms: null })
  expect(asked?.metadata).toEqual({ missing: ['model_used', 'provider_used', 'token_usage'] })
  expect(answered).toMatchObject({
    trace_id: save?.trace_id,
    span_id: save?.span_id,
    conversation_id: 'conv-1',
    tool_name: 'chat',
    provider_used: 'kimi',
    model_used: 'kimi-k2',
    thinking_mode: 'high',
    token_usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
    metadata: { note: 'kept' },
  })
  expect(answered?.metadata).not.toHaveProperty('missing')
  const [api] = await reported.spansNamed('api')
  expect(answered?.response_time_ms).toBe(((api?.end_us ?? 0) - (api?.start_us ?? 0)) / 1_000)
  expect(said).toMatchObject({ model_used: 'said', token_usage: { total: 1 }, response_time_ms: 7 })
})

test('recordMessage() outside of any request names all that is missing', async () => {
  reported.reporter.recordMessage({ role: 'assistant', provider_used: 'glm' })
  const [message] = await recordsOf<Message>('message')
  expect(message?.metadata.missing).toEqual([
    'conversation_id',
    'model_used',
    'response_time_ms',
    'tool_name',
    'thinking_mode',
    'token_usage',
  ])
})

test('recordEvent() keeps all that an event says, in the active span, and sends one with an error at once', async () => {
  const { reporter } = reported
  const whole = {
    connection_type: 'supabase',
    direction: 'error',
    script_name: 'storage.ts',
    function_name: 'save',
    data_size_bytes: 512,
    response_time_ms: 12.5,
    error: 'duplicate key',
    error_type: 'APIError',
    error_traceback: 'APIError: duplicate key\n    at save',
    metadata: { table: 'messages' },
    at_us: Date.now() * 1_000,
  }
  const root = reporter.startTrace({ name: 'n', layer: 'tool' })
  reporter.run(root, () => {
    reporter.recordEvent(whole)
    reporter.recordEvent({ connection_type: 'redis', direction: 'send' }, null)
  })
  root.end()
  const [full, bare] = await recordsOf<ConnectionEvent>('event')
  expect(full).toMatchObject({ ...whole, trace_id: root.traceId, span_id: root.spanId })
  expect(bare).toMatchObject({
    connection_type: 'redis',
    trace_id: null,
    error: null,
    metadata: {},
    data_size_bytes: null,
  })
})

test('captureError() takes what others cannot even print', async () => {
  const { reporter } = reported
  const cyclic: { [key: string]: unknown } = { code: 7, big: 10n }
  cyclic.self = cyclic
  const first = new Error('first')
  first.cause = new Error('second', { cause: first })
  const members = new AggregateError([new TypeError('a'), new AggregateError([first], 'inner'), 'text'], 'all failed')
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  const throwing = new Proxy(new Error('x'), {
    get() {
      throw new Error('no')
    },
    getPrototypeOf() {
      throw new Error('no')
    },
  })
  const suppressed = Object.assign(new Error('disposing'), {
    error: new Error('later'),
    suppressed: new Error('earlier'),
  })
  const things = [
    cyclic,
    members,
    proxy,
    throwing,
    Object.freeze(new Error('frozen')),
    function named() {},
    suppressed,
    Object.create(null),
  ]
  for (const thrown of things) expect(reporter.captureError(thrown)).toMatch(/^[0-9a-f-]{36}$/)
  const errors = await recordsOf<ErrorRecord>('error')
  expect(errors).toHaveLength(things.length)
  expect(errors[0]).toMatchObject({ error_type: 'Object', message: '{"code":7,"big":"10","self":"[circular]"}' })
  expect(errors[1]?.traceback).toMatch(
    /all failed[\s\S]*\[errors\]: TypeError: a[\s\S]*AggregateError: inner[\s\S]*Error: first[\s\S]*Caused by: Error: second[\s\S]*\[errors\]: string: text$/,
  )
  expect(errors[4]).toMatchObject({ message: 'frozen' })
  expect(errors[5]).toMatchObject({ error_type: 'function', message: 'function named' })
  expect(errors[6]?.traceback).toMatch(/disposing[\s\S]*Caused by: Error: later[\s\S]*Suppressed: Error: earlier/)
  expect(reporter.status().dropped).toEqual({})
})

test('parseAck() reads which fields were missing, and nothing that is no count of a field', () => {
  const ack = { batch_id: 'b', status: 'stored', missing: { model_used: 2, role: 0, other: 4, tool_name: 'x' } }
  const parsed = parseAck(ack, 'b')
  expect(parsed.ok && parsed.value.missing).toEqual({ model_used: 2 })
  const without = parseAck({ ...ack, missing: undefined }, 'b')
  expect(without.ok && 'missing' in without.value).toBe(false)
})

test('watchEventLoop() samples lag and memory, once however often it is asked for, until it is told to end', async () => {
  const { reporter } = reported
  const end = reporter.watchEventLoop(150)
  reporter.watchEventLoop(1)
  // A delay is the time between two ticks, so there has to be one before.
  await later(60)
  const until = performance.now() + 80
  while (performance.now() < until);
  await later(100)
  end()
  const lags = await reported.gaugesNamed('event_loop_lag_ms')
  const memory = await reported.gaugesNamed('process_memory_mb')
  expect(Math.max(...lags.map((gauge) => gauge.value))).toBeGreaterThan(30)
  expect(lags.length).toBeLessThanOrEqual(3)
  expect(memory[0]?.value).toBeGreaterThan(10)
  await later(160)
  expect(await reported.gaugesNamed('event_loop_lag_ms')).toHaveLength(lags.length)
})

test('close() ends what watches the process', async () => {
  const { reporter } = reported
  const before = [process.emit, process.listenerCount('uncaughtExceptionMonitor')]
  reporter.captureUncaught()
  reporter.watchEventLoop(1)
  expect(process.emit).not.toBe(before[0])
  await reporter.close(1_000)
  expect([process.emit, process.listenerCount('uncaughtExceptionMonitor')]).toEqual(before)
})
