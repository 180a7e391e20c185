import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TelltaleRecord } from '../src/core/record.ts'
import { recut } from '../src/reporter/delivery/frozen_batch.ts'
import { createReporter, type SpanHandle } from '../src/reporter/reporter.ts'
import { headersOf, parseTraceContext } from '../src/wire/trace_context.ts'
import { type IngestFixture, startIngest } from './ingest_fixture.ts'
import { noPythonReason, runPython } from './python_fixture.ts'

// Both reporters are held to test/vector: the same calls make the same records, whichever language they are made in.

type Bag = { readonly [name: string]: unknown }
type Case = {
  readonly name: string
  readonly call: string
  readonly start?: Bag
  readonly end?: Bag
  readonly args?: unknown
  readonly record: Bag
  readonly trace_id?: string
  readonly parent_span_id?: string | null
}

const folder = fileURLToPath(new URL('./vector', import.meta.url))
const read = (name: string) => expanded(JSON.parse(readFileSync(join(folder, name), 'utf8')))
const { cases } = read('record.json') as { cases: Case[] }
const spanCases = cases.filter(({ call }) => ['trace', 'span', 'wait'].includes(call))
const unstable = [
  'trace_id',
  'span_id',
  'parent_span_id',
  'error_id',
  'message_id',
  'event_id',
  'at_us',
  'start_us',
  'end_us',
]

let ingest: IngestFixture
beforeAll(async () => {
  ingest = await startIngest()
})
afterAll(() => ingest.close())

test('the reporter for TypeScript makes the records of test/vector/record.json', async () => {
  ingest.batches.length = 0
  const reporter = createReporter({ ingestUrl: ingest.url, ingestKey: ingest.key, env: {}, flushOnExit: false })
  const calls: Bag = {
    error: (args: Bag) => {
      const { message, traceback, error_type, context } = args
      reporter.captureError(new Error(String(message)), camel({ traceback, error_type, context }))
    },
    gauge: (args: [string, number, Record<string, string>]) => reporter.gauge(...args),
    event: (args: never) => reporter.recordEvent(args),
    message: (args: never) => reporter.recordMessage(args),
  }
  for (const { call, start = {}, end = {}, args } of cases) {
    if (!start.name) {
      ;(calls[call] as (given: unknown) => void)(args)
      continue
    }
    const parent = call === 'trace' ? null : reporter.startTrace({ name: 'parent', layer: 'tool' })
    const span = parent
      ? reporter[call as 'span' | 'wait'](parent, camel(start) as never)
      : reporter.startTrace(camel(start) as never)
    const { outcome, ...fields } = end
    span.end(outcome as never, camel(fields) as Parameters<SpanHandle['end']>[1])
    parent?.end()
  }
  await reporter.close()
  check(ingest.batches.flatMap(({ records }) => records))
})

test.skipIf(noPythonReason !== null)('the reporter for Python makes the same', async () => {
  ingest.batches.length = 0
  const script = `
import json, sys, telltale
def expanded(v):
    if isinstance(v, dict):
        if '$repeat' in v: return v['$repeat'][0] * v['$repeat'][1]
        if '$concat' in v: return ''.join(expanded(part) for part in v['$concat'])
        return {k: expanded(i) for k, i in v.items()}
    return [expanded(i) for i in v] if isinstance(v, list) else v
for case in expanded(json.load(open(sys.argv[1], encoding='utf-8')))['cases']:
    call, start, end, args = case['call'], case.get('start'), case.get('end'), case.get('args')
    if call == 'gauge': telltale.gauge(*args)
    elif call == 'event': telltale.record_event(**args)
    elif call == 'message': telltale.record_message(**args)
    elif call == 'error':
        message = args.pop('message')
        telltale.capture_error(Exception(message), **args)
    elif call == 'trace': telltale.start_trace(**start).end(**end)
    else:
        with telltale.start_trace('parent', layer='tool') as parent:
            (telltale.span if call == 'span' else telltale.wait)(**start).end(**end)
telltale.close()
sys.exit(0 if telltale.status()['waiting'] == 0 else 1)
`
  const env = { TELLTALE_INGEST_URL: ingest.url, TELLTALE_INGEST_KEY: ingest.key }
  const ran = await runPython(['-c', script, join(folder, 'record.json')], { env })
  expect(ran).toEqual({ code: 0, out: '', err: '' })
  check(ingest.batches.flatMap(({ records }) => records))
})

test('both read and write trace contexts as test/vector/context.json says', async () => {
  type Parsed = {
    trace_id: string
    parent_span_id: string
    sampled: boolean
    recorded: boolean
    others: string[]
  } | null
  type Written = { trace_id: string; span_id: string; others: string[]; headers: Bag }
  const vector = read('context.json') as {
    parse: { traceparent: unknown; tracestate: unknown; parsed: Parsed }[]
    write: Written[]
  }
  for (const { traceparent, tracestate, parsed } of vector.parse) {
    const { trace_id, parent_span_id, ...rest } = parsed ?? { trace_id: '', parent_span_id: '' }
    const result = parseTraceContext(traceparent, tracestate)
    const wanted = { ok: true, value: { traceId: trace_id, parentSpanId: parent_span_id, ...rest } }
    expect(parsed === null ? result.ok : result).toEqual(parsed === null ? false : wanted)
  }
  for (const { trace_id, span_id, others, headers } of vector.write) {
    expect(headersOf(trace_id, span_id, others)).toEqual(headers)
  }
  if (noPythonReason) return
  const script = `
import json, sys, telltale
vector = json.load(open(sys.argv[1], encoding='utf-8'))
parsed = [telltale.parse_trace_context(case['traceparent'], case['tracestate']) for case in vector['parse']]
written = [telltale.headers_of(case['trace_id'], case['span_id'], case['others']) for case in vector['write']]
print(json.dumps([[one and one._asdict() for one in parsed], written]))
`
  const { out, err } = await runPython(['-c', script, join(folder, 'context.json')])
  expect(err).toBe('')
  expect(JSON.parse(out)).toEqual([
    vector.parse.map(({ parsed }) => parsed),
    vector.write.map(({ headers }) => headers),
  ])
})

test.skipIf(noPythonReason !== null)(
  'Python reads and writes outbox files as test/vector/outbox.json says',
  async () => {
    const script = `
import json, os, sys, tempfile, telltale
vector = json.load(open(sys.argv[1], encoding='utf-8'))
for case in vector['names']:
    disk = telltale._DiskOutbox('x', case['ingest_url'], case['process_id'])
    disk._number = case['n'] - 1
    assert os.path.basename(disk._new_path()) == case['name'], case
for case in vector['write']:
    given = case.get('batch')
    if given is None:
        assert telltale.entry_of(telltale.answered_payload(case['answered'])).hex() == case['entry'], case
        continue
    encoding = None if given['encoding'] == 'plain' else 'gzip'
    batch = telltale._Batch(given['batch_id'], given['made_at_us'], given['records'], bytes.fromhex(given['body']), encoding)
    assert telltale.entry_of(telltale.batch_payload(batch)).hex() == case['entry'], case
for case in vector['files']:
    entries, damaged = telltale.parse_segment(bytes.fromhex(case['file']))
    batches = [telltale.batch_of(payload) for offset, payload in entries if payload[:1] == b'\\x01']
    said = [{'batch_id': b.batch_id, 'encoding': b.encoding or 'plain', 'records': b.count, 'made_at_us': b.made_at_us,
             'body': b.body.hex()} for b in batches if b]
    assert said == case['batches'], (case['name'], said)
    answered = [telltale._uuid_of(int.from_bytes(p[1:17], 'big')) for _, p in entries if p[:1] == b'\\x02' and len(p) >= 17]
    assert answered == case['answered'], (case['name'], answered)
    assert damaged == case['damaged'], (case['name'], damaged)
for case in vector['pieces']:
    assert [telltale.piece_id_of(case['batch_id'], part) for part in (1, 2)] == case['pieces'], case
print('good')
`
    expect(await runPython(['-c', script, join(folder, 'outbox.json')])).toEqual({ code: 0, out: 'good\n', err: '' })
  },
)

test('recut() gives the pieces of a batch the ids that test/vector/outbox.json says', async () => {
  const { pieces } = read('outbox.json') as { pieces: { batch_id: string; pieces: string[] }[] }
  for (const { batch_id: batchId, pieces: wanted } of pieces) {
    const body = Buffer.from(JSON.stringify({ batch_id: batchId, piece: [1, 1], records: [{}, {}] }))
    const cut = await recut({ batchId, body, madeAtUs: 1, declared: 0, records: 2, encoding: null })
    expect(cut.map((piece) => piece.batchId)).toEqual(wanted)
  }
})

test.skipIf(noPythonReason !== null)('Python hashes arguments as test/vector/hash.json says', async () => {
  const script = `
import json, sys, telltale
vector = json.load(open(sys.argv[1], encoding='utf-8'))
for case in vector['salts']:
    assert telltale.Reporter(env={}, ingest_key=case['ingest_key']).salt == case['salt'], case
for case in vector['hashes']:
    arguments = json.loads(case['json']) if 'json' in case else case['arguments']
    assert telltale.argument_hash_of(arguments, case['salt']) == case['hash'], case
print('good')
`
  expect(await runPython(['-c', script, join(folder, 'hash.json')])).toEqual({ code: 0, out: 'good\n', err: '' })
})

test.skipIf(noPythonReason !== null)(
  'Python knows the secrets of test/vector/secret.json and secret_name.json',
  async () => {
    const script = `
import json, sys, telltale
for case in json.load(open(sys.argv[1], encoding='utf-8')):
    assert telltale.without_secrets(case['text']) == case['clean'], case
    assert case['text'] == case['clean'] or telltale.hints_at_secret(json.dumps(case['text'], ensure_ascii=False)), case
for case in json.load(open(sys.argv[2], encoding='utf-8')):
    assert telltale.is_secret_name(case['name']) == case['secret'], case
print('good')
`
    const files = [join(folder, 'secret.json'), join(folder, 'secret_name.json')]
    expect(await runPython(['-c', script, ...files])).toEqual({ code: 0, out: 'good\n', err: '' })
  },
)

function check(records: readonly TelltaleRecord[]): void {
  const arrived = records.filter((record) => !('name' in record && record.name === 'parent'))
  const spans = arrived.filter(({ type }) => type === 'span')
  expect(spans.length).toBe(spanCases.length)
  spans.forEach((span, index) => {
    const { name, record, trace_id, parent_span_id } = spanCases[index] as Case
    expect(JSON.stringify(stableOf(span)), name).toBe(JSON.stringify(record))
    if (trace_id !== undefined) expect(span).toMatchObject({ trace_id })
    if (parent_span_id !== undefined) expect(span).toMatchObject({ parent_span_id })
  })
  for (const { name, call, record } of cases) {
    if (call === 'trace' || call === 'span' || call === 'wait') continue
    const kept = Object.keys(record).filter((key) => unstable.includes(key))
    const wanted = arrived.map((found) => stableOf(found, kept))
    expect(wanted, name).toContainEqual(record)
  }
}

function stableOf(record: object, kept: readonly string[] = []): Bag {
  return Object.fromEntries(Object.entries(record).filter(([key]) => kept.includes(key) || !unstable.includes(key)))
}

function camel(bag: Bag): Bag {
  return Object.fromEntries(
    Object.entries(bag).map(([key, value]) => [
      key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  )
}

function expanded(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(expanded)
  if (typeof value !== 'object' || value === null) return value
  const bag = value as { $repeat?: [string, number]; $concat?: unknown[] }
  if (bag.$repeat) return bag.$repeat[0].repeat(bag.$repeat[1])
  if (bag.$concat) return bag.$concat.map(expanded).join('')
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, expanded(item)]))
}
