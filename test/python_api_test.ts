import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Span } from '../src/core/record.ts'
import { type IngestFixture, startIngest } from './ingest_fixture.ts'
import { noPythonReason, pythonFolder, runPython, telltalePy } from './python_fixture.ts'

const skipped = noPythonReason !== null
let ingest: IngestFixture

beforeAll(async () => {
  ingest = await startIngest()
})
beforeEach(() => {
  ingest.batches.length = 0
})
afterAll(() => ingest.close())

const env = () => ({ TELLTALE_INGEST_URL: ingest.url, TELLTALE_INGEST_KEY: ingest.key })
const ended = () => ingest.spans().filter(({ end_us }) => end_us !== null)
const spanOf = (name: string) => ended().find((span) => span.name === name) as Span

test.skipIf(skipped)('telltale.py runs on Python 3.9: its grammar, and no name that came later', async () => {
  const later = [
    'TaskGroup',
    'pairwise',
    'bit_count',
    'UTC',
    'anext',
    'aiter',
    'tomllib',
    'batched',
    'add_note',
    'StrEnum',
    'get_annotations',
    'TypeAlias',
    'ParamSpec',
    'ExceptionGroup',
    'BaseExceptionGroup',
    'chdir',
    'timeout_at',
  ]
  const script = `
import ast, sys
source = open(sys.argv[1], encoding='utf-8').read()
tree = ast.parse(source, feature_version=(3, 9))
later = set(sys.argv[2].split(','))
found = [(node.lineno, name) for node in ast.walk(tree)
         for name in [getattr(node, 'attr', None) or getattr(node, 'id', None)] if name in later]
found += [(node.lineno, 'strict=') for node in ast.walk(tree) if isinstance(node, ast.Call)
          and getattr(node.func, 'id', '') == 'zip' and any(word.arg == 'strict' for word in node.keywords)]
known = set(getattr(sys, 'stdlib_module_names', ()))
modules = {alias.name.split('.')[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
top = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
print(found, sorted(name for name in top if known and name.split('.')[0] not in known), len(modules) > 10)
`
  const ran = await runPython(['-c', script, telltalePy, later.join(',')])
  expect(ran).toEqual({ code: 0, out: '[] [] True\n', err: '' })
})

test.skipIf(skipped)('switched off, or without a key, every call does nothing and costs next to nothing', async () => {
  const script = `
import telltale, threading, time
with telltale.start_trace('t') as span:
    telltale.span('s').end(); telltale.wait('w').end()
    assert telltale.active() is None and span.headers()['traceparent'] == ''
    assert telltale.capture_error(ValueError('x')) is None
telltale.gauge('a', 1); telltale.record_event('a', 'b'); telltale.record_message(role='user')
assert telltale.flush() is True and telltale.status()['enabled'] is False
@telltale.capture_errors
def f(): return 7
assert f() == 7 and telltale.watch_semaphore(threading.Lock(), 'x').acquire()
assert telltale.message_metadata(model_used='m')['model_used'] == 'm'
began = time.thread_time()
for _ in range(10000): telltale.start_trace('t').end()
assert (time.thread_time() - began) / 10000 < 20e-6
assert threading.active_count() == 1
telltale.close()
`
  for (const off of [
    { ...env(), TELLTALE_DISABLED: '1' },
    { TELLTALE_INGEST_URL: ingest.url, TELLTALE_INGEST_KEY: '' },
  ]) {
    expect(await runPython(script, { env: off })).toEqual({ code: 0, out: '', err: '' })
  }
  expect(ingest.attempts.length).toBe(0)
})

test.skipIf(skipped)('no call raises, whatever it is given, and what is refused is counted', async () => {
  const script = `
import telltale
class Hostile:
    def __str__(self): raise RuntimeError('no')
    __repr__ = __str__
    def __eq__(self, other): raise RuntimeError('no')
    __hash__ = object.__hash__
class Angry(Exception):
    def __str__(self): raise RuntimeError('no')
    def __getattribute__(self, name): raise RuntimeError('no')
loop = {}; loop['self'] = loop
deep = []
for _ in range(5000): deep = [deep]
bad = [None, 7, -1, float('nan'), float('inf'), '', ' ', 'x' * 100000, '\\ud800', b'bytes', Hostile(), loop, deep, [1], {'a': {1, 2}}, object]
for value in bad:
    with telltale.start_trace(value, value, session=value, context=value, at=value, kind=value, entry=value, tool=value, attributes=value, odd=value) as span:
        span.set(attributes={'a': value, 'b': Hostile()}, tokens_in=value, holder=value)
        telltale.span(value, value, parent=value, at=value).end(value)
        telltale.wait(value, holder=value).end(outcome=value, at=value)
        telltale.record_event(value, value, value, value, value, value, value, value, value, value, value)
        telltale.record_message(role=value, token_usage=value, metadata=value, timestamp=value, response=value, response_time_ms=value)
        telltale.gauge(value, value, value); telltale.gauge('g', value, {'a': value})
        telltale.capture_error(value, context=value, error_type=value, traceback=value, message=value)
        telltale.message_metadata(response=value, timestamp=value)
        span.end(value, call_number=value)
try:
    with telltale.span('angry'): raise Angry()
except Angry: pass
tracer = telltale.RequestTracer()
for value in bad:
    try: tracer.start_trace(value, value, tool=value)
    except TypeError: raise
    tracer.add_span(value, value, value, value, value, value); tracer.complete_trace(value, value, value)
telltale.flush(5)
status = telltale.status()
assert status['waiting'] == 0, status
assert status['recorded'] == status['stored'] + sum(status['dropped'].values()), status
`
  const ran = await runPython(script, { env: env() })
  expect(ran).toMatchObject({ code: 0, out: '' })
  expect(ran.err.split('\n').filter((line) => !line.startsWith('telltale: Cannot'))).toEqual([''])
})

test.skipIf(skipped)(
  'capture_errors records what leaves functions, coroutines, generators and blocks, and lets it pass',
  async () => {
    const script = `
import asyncio, telltale
@telltale.capture_errors
def plain(x): raise ValueError('plain %s' % x)
@telltale.capture_errors(name='lookup', layer='storage')
async def lookup(): raise KeyError('lookup')
@telltale.capture_errors
def items():
    got = yield 1
    assert got == 'sent'
    raise IndexError('items')
@telltale.capture_errors()
async def chunks():
    yield 1
    raise OSError('chunks')
seen = []
try: plain(1)
except ValueError as e: seen.append(str(e))
async def main():
    try: await lookup()
    except KeyError: seen.append('lookup')
    try:
        async for chunk in chunks(): seen.append(chunk)
    except OSError: seen.append('chunks')
    try:
        async with telltale.capture_errors(): raise EOFError('block')
    except EOFError: seen.append('block')
asyncio.run(main())
it = items(); next(it)
try: it.send('sent')
except IndexError: seen.append('items')
with telltale.start_trace('request') as request:
    try:
        with telltale.span('a'):
            with telltale.span('b'): raise TimeoutError('once')
    except TimeoutError as e: assert telltale.capture_error(e) is not None
assert plain.__name__ == 'plain' and seen == ['plain 1', 'lookup', 1, 'chunks', 'block', 'items'], seen
telltale.close()
`
    expect(await runPython(script, { env: env() })).toEqual({ code: 0, out: '', err: '' })
    const messages = ingest.errors().map(({ error_type, message }) => `${error_type} ${message}`)
    expect(messages.sort()).toEqual([
      'EOFError block',
      'IndexError items',
      "KeyError 'lookup'",
      'OSError chunks',
      'TimeoutError once',
      'ValueError plain 1',
    ])
    expect([spanOf('lookup').outcome, spanOf('lookup').layer]).toEqual(['tool_error', 'storage'])
    expect([spanOf('a').outcome, spanOf('b').outcome, spanOf('request').outcome]).toEqual(['timeout', 'timeout', 'ok'])
  },
)

test.skipIf(skipped)("capture_errors has the operator's own shape, and keeps what is said out of it", async () => {
  const script = `
import asyncio, telltale
def told(*args, **kwargs): return {'model': kwargs.get('model'), 'arguments': kwargs, 'prompt': 'x' * 300}
@telltale.capture_errors('glm', record_success=True, context_extractor=told)
def generate(model, fail=False):
    if fail: raise ConnectionError('no route')
    return 'words'
@telltale.capture_errors(connection_type='supabase', script_name='storage.py', context_extractor=lambda: 1 / 0)
async def save(): raise OSError('full')
assert generate(model='glm-4.5') == 'words'
for call in (lambda: generate(model='glm-4.5', fail=True), lambda: asyncio.run(save())):
    try: call()
    except (ConnectionError, OSError): pass
    else: raise SystemExit('it did not pass')
assert telltale.capture_errors('kimi')(7) == 7
telltale.close()
`
  const ran = await runPython(script, { env: env() })
  expect(ran).toMatchObject({ code: 0, out: '' })
  expect(ran.err).toBe('telltale: Cannot ask the context extractor: division by zero\n')
  const extracted = { model: 'glm-4.5', arguments: expect.stringMatching(/^object/), prompt: 'string(300)' }
  const [failed, unsaved] = ingest.errors()
  expect(failed?.context).toMatchObject({ ...extracted, connection_type: 'glm', function_name: 'generate' })
  expect(failed?.context.response_time_ms).toBeGreaterThanOrEqual(0)
  expect(unsaved?.context).toMatchObject({ connection_type: 'supabase', script_name: 'storage.py' })
  for (const error of [failed, unsaved]) {
    expect(error?.traceback).toMatch(/^Traceback/)
    expect(error?.traceback).not.toContain('telltale.py')
  }
  const [event, ...more] = ingest.batches.flatMap(({ records }) => records.filter(({ type }) => type === 'event'))
  expect(more).toEqual([])
  expect(event).toMatchObject({ connection_type: 'glm', direction: 'success', function_name: 'generate' })
  expect(event).toMatchObject({ metadata: extracted, error: null })
})

test.skipIf(skipped)('RequestTracer, message_metadata and what waits have the shapes that operators know', async () => {
  const script = `
import asyncio, queue, threading, time, telltale
tracer = telltale.RequestTracer()
assert tracer.start_trace('req-1', tool='chat', session='c') == 'req-1'
now = time.time()
assert len(tracer.add_span('req-1', 'Supabase', 'insert', start_time=now - 0.5, end_time=now - 0.2, metadata={'rows': 1})) == 16
tracer.add_span('req-1', 'AI API Layer', 'generate', duration_ms=100, error=TimeoutError('slow'), provider='GLM', model='glm-4', tokens_in=5)
assert tracer.add_span('unknown', 'api') is None
with telltale.activated(tracer.span_of('req-1')):
    filled = telltale.message_metadata(response={'usage': {'input_tokens': 1, 'output_tokens': 2}, 'metadata': {'ai_response_time_ms': 9, 'thinking_mode': 'low'}})
assert {k: filled[k] for k in filled if k != 'timestamp'} == {'conversation_id': 'c', 'role': 'assistant', 'model_used': 'glm-4', 'provider_used': 'GLM',
  'response_time_ms': 9, 'tool_name': 'chat', 'thinking_mode': 'low', 'token_usage': {'prompt_tokens': 1, 'completion_tokens': 2, 'total_tokens': 3}}, filled
assert tracer.complete_trace('req-1') and not tracer.complete_trace('req-1')
async def held():
    permits = telltale.watch_semaphore(asyncio.Semaphore(1), 'global_sem')
    line = telltale.watch_queue(asyncio.Queue(), 'work')
    async def call(name, begin):
        await begin.wait()
        with telltale.start_trace('tools/call', tool=name):
            async with permits: await done.wait()
    first, second, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(call('one', first)), asyncio.create_task(call('two', second))]
    first.set()
    while not permits.permits_in_use(): await asyncio.sleep(0)
    second.set(); await asyncio.sleep(0.01); done.set()
    await asyncio.gather(*tasks)
    assert permits.permits_in_use() == 0
    with telltale.start_trace('queued'): await line.put(7)
    await asyncio.sleep(0.01)
    assert await line.get() == 7 and line.empty()
asyncio.run(held())
lock = telltale.watch_semaphore(threading.Lock(), 'lock')
def hold():
    with telltale.start_trace('holder', tool='holder'):
        with lock: taken.set(); asked.wait(); time.sleep(0.2)
taken, asked = threading.Event(), threading.Event()
thread = threading.Thread(target=hold); thread.start(); taken.wait()
with telltale.start_trace('waiter'):
    asked.set()
    with lock: pass
thread.join()
inner = telltale.watch_queue(queue.Queue(), 'threads')
inner.put('x'); assert inner.get(timeout=1) == 'x'
metrics = telltale.PerformanceMetrics()
metrics.update(redis_memory_mb=3.5); metrics.watch('redis_key_count', lambda: 4); metrics.watch('gone', lambda: 1 / 0); metrics.sample()
telltale.close()
`
  expect(await runPython(script, { env: env() })).toEqual({ code: 0, out: '', err: '' })
  const insert = spanOf('insert')
  expect([insert.layer, Math.round(((insert.end_us ?? 0) - insert.start_us) / 1_000), insert.attributes]).toEqual([
    'storage',
    300,
    { rows: 1 },
  ])
  expect([spanOf('generate').layer, spanOf('generate').outcome]).toEqual(['api', 'timeout'])
  const waits = ended()
    .filter(({ kind }) => kind === 'wait')
    .map(({ name, holder }) => `${name}: ${holder}`)
  expect(waits.sort()).toEqual(['permit global_sem: one', 'permit lock: holder', 'queue work: null'])
  const gauges = ingest.batches.flatMap(({ records }) => records.filter(({ type }) => type === 'gauge')) as {
    name: string
  }[]
  expect(new Set(gauges.map(({ name }) => name))).toEqual(
    new Set(['redis_memory_mb', 'redis_key_count', 'process_memory_mb']),
  )
})

test.skipIf(skipped)(
  'span() without an active span is a request of its own, or a part of the one it is told of',
  async () => {
    const parent = '0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331'
    const script = `
import telltale
with telltale.span('alone') as alone: telltale.span('inside', layer='api').end()
telltale.span('called', context={'traceparent': '00-${parent}-01'}).end()
telltale.span('passed on', context={'traceparent': '00-${parent}-01', 'tracestate': 'telltale=b7ad6b7169203331'}).end()
telltale.span('told', entry=False, session='s').end()
telltale.close()
`
    expect(await runPython(script, { env: env() })).toEqual({ code: 0, out: '', err: '' })
    const facts = ['alone', 'inside', 'called', 'passed on', 'told'].map((name) => {
      const { entry, parent_span_id, layer, call_number } = spanOf(name)
      return [entry, parent_span_id, layer, call_number]
    })
    expect(facts).toEqual([
      [true, null, 'tool', null],
      [false, spanOf('alone').span_id, 'api', null],
      [true, 'b7ad6b7169203331', 'tool', null],
      [false, 'b7ad6b7169203331', 'tool', null],
      [false, null, 'tool', null],
    ])
  },
)

test.skipIf(skipped)('a reporter holds its bounds of memory, and counts what it had no room for', async () => {
  const script = `
import telltale
reporter = telltale.configure(ingest_url='http://127.0.0.1:9/', records_max=100, bytes_max=1 << 20, retry_ms=60000, flush_at_exit=False, warn=lambda line: None)
for i in range(1000): telltale.start_trace('t', attributes={'text': 'x' * 5000}).end()
held = [telltale.start_trace('open') for _ in range(12000)]
status = telltale.status()
assert status['waiting'] <= 100 and status['recorded'] == status['waiting'] + status['dropped']['overflow'], status
assert len(reporter._running) == 10000 and reporter._outbox.bytes + reporter._outbox.frozen_bytes <= 1 << 20
for i in range(20000): telltale.start_trace('t', session='s%d' % i)
assert len(reporter._calls) == 10000
`
  const ran = await runPython(script, { env: { ...env(), PYTHONPATH: pythonFolder } })
  expect(ran).toEqual({ code: 0, out: '', err: '' })
})

test.skipIf(skipped)(
  'the reporter measures itself under the names of OpenTelemetry, beside what it sends anyway',
  async () => {
    const script = `
import telltale
telltale.start_trace('t').end(); telltale.flush(5)
telltale.reporter()._told_self_at = float('-inf')
telltale.start_trace('t').end(); telltale.flush(5)
assert telltale.status()['waiting'] == 0
`
    expect(await runPython(script, { env: env() })).toEqual({ code: 0, out: '', err: '' })
    const names = ingest.batches
      .flatMap(({ records }) => records.filter(({ type }) => type === 'gauge'))
      .map((gauge) => (gauge as { name: string }).name)
    expect(names).toEqual(
      expect.arrayContaining([
        'otel.sdk.span.started',
        'otel.sdk.processor.span.queue.size',
        'otel.sdk.exporter.span.exported',
        'otel.sdk.exporter.operation.duration',
      ]),
    )
  },
)
