import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseExaiClientFrame, parseExaiServerFrame } from '../src/wire/exai_frame.ts'

const call = { kind: 'call', tool: 'chat', arguments: null, requestId: null, id: null, context: null }
const answer = {
  kind: 'answer',
  requestId: null,
  texts: [],
  outputs: [],
  error: null,
  fromCache: false,
  fromInflight: false,
  latency: null,
}

test('parseExaiClientFrame() reads every frame that a client may send, and no secret of it', () => {
  const cases: [unknown, unknown][] = [
    [
      { op: 'hello', token: 'T', jwt: 'J', protocolVersion: '1', clientInfo: { name: 'shim', version: '2' } },
      { kind: 'hello', client: { name: 'shim', version: '2' }, protocolVersion: '1' },
    ],
    [{ op: 'hello' }, { kind: 'hello', client: null, protocolVersion: null }],
    [{ op: 'call_tool', name: 'chat' }, call],
    [{ op: 'tool_call', tool: { name: 'chat' } }, call],
    [{ op: 'tool_call', tool: 'chat' }, call],
    [{ op: 'tool_call', tool: 'other', name: 'chat' }, call],
    [{ op: 'call_tool' }, { ...call, tool: null }],
    [{ op: 'call_tool', name: 'chat', arguments: ['no'] }, call],
    [
      { op: 'call_tool', name: 'chat', arguments: { a: 1 } },
      { ...call, arguments: { a: 1 } },
    ],
    [
      { op: 'call_tool', name: 'chat', request_id: 'r', id: 7 },
      { ...call, requestId: 'r', id: '7' },
    ],
    [{ op: 'call_tool', name: 'chat', request_id: 'unknown' }, call],
    [
      { op: 'call_tool', name: 'chat', traceparent: 't' },
      { ...call, context: { traceparent: 't' } },
    ],
    [{ op: 'call_tool', name: 'chat', tracestate: 's' }, call],
    [
      { op: 'rotate_token', old: 'O', new: 'N' },
      { kind: 'ask', op: 'rotate_token' },
    ],
    [{ op: 'ping' }, { kind: 'ask', op: 'ping' }],
    [{ op: 'anything at all' }, { kind: 'ask', op: 'unknown' }],
    [{ jsonrpc: '2.0', id: 1, method: 'initialize' }, { kind: 'rpc' }],
    [[{ jsonrpc: '2.0', method: 'x' }], { kind: 'rpc' }],
    [{}, null],
    [{ op: 1 }, null],
    [[], null],
    [null, null],
    ['hello', null],
  ]
  for (const [value, frame] of cases) expect(parseExaiClientFrame(value), JSON.stringify(value)).toEqual(frame)
})

test('parseExaiClientFrame() takes the suffixes of clients off a name, and nothing else', () => {
  for (const suffix of ['_EXAI-WS', '-EXAI-WS', '_EXAI_WS', '-EXAI_WS']) {
    expect(parseExaiClientFrame({ op: 'call_tool', name: `kimi_chat${suffix}` })).toMatchObject({ tool: 'kimi_chat' })
  }
  for (const name of ['EXAI-WS', 'chat_EXAI-WS_2', 'chat_exai-ws']) {
    expect(parseExaiClientFrame({ op: 'call_tool', name })).toMatchObject({ tool: name })
  }
})

test('parseExaiServerFrame() reads every frame that the daemon may send', () => {
  const metrics = {
    latency_ms: 9,
    global_sem_wait_ms: 1,
    provider_sem_wait_ms: 2,
    processing_ms: 6,
    provider_name: 'KIMI',
  }
  const latency = { totalMs: 9, globalWaitMs: 1, providerWaitMs: 2, processingMs: 6, provider: 'KIMI' }
  const timed = [{ type: 'text', text: 'a', metadata: { latency_metrics: metrics } }]
  const error = { code: 'TIMEOUT', message: 'm', details: { a: 1 } }
  const cases: [unknown, unknown][] = [
    [
      { op: 'hello_ack', ok: true, session_id: 's' },
      { kind: 'hello_ack', accepted: true, sessionId: 's', error: null },
    ],
    [
      { op: 'hello_ack', ok: false, error: 'unauthorized' },
      { kind: 'hello_ack', accepted: false, sessionId: null, error: 'unauthorized' },
    ],
    [
      { op: 'progress', request_id: 'unknown', message: 'x' },
      { kind: 'progress', requestId: null },
    ],
    [
      { op: 'stream_chunk', request_id: 'r', chunk: 'x' },
      { kind: 'chunk', requestId: 'r' },
    ],
    [{ op: 'stream_complete' }, { kind: 'complete', requestId: null }],
    [
      { op: 'call_tool_res', request_id: 'unknown', outputs: timed },
      { ...answer, texts: ['a'], outputs: timed, latency },
    ],
    [{ op: 'call_tool_res' }, answer],
    [{ op: 'call_tool_res', outputs: null }, answer],
    [
      { op: 'call_tool_res', outputs: 'x' },
      { ...answer, texts: ['x'], outputs: 'x' },
    ],
    [
      { op: 'call_tool_res', result: { content: [{ type: 'text', text: 'b' }] } },
      { ...answer, texts: ['b'], outputs: [{ type: 'text', text: 'b' }] },
    ],
    [
      { op: 'call_tool_res', outputs: [{ type: 'image' }, 3] },
      { ...answer, texts: [null, null], outputs: [{ type: 'image' }, 3] },
    ],
    [
      { op: 'call_tool_res', from_cache: true, from_inflight: 1 },
      { ...answer, fromCache: true },
    ],
    [
      { op: 'call_tool_res', error },
      { ...answer, error },
    ],
    [{ error }, { kind: 'error', requestId: null, bare: true, error }],
    [
      { error: 'text' },
      { kind: 'error', requestId: null, bare: true, error: { code: null, message: 'text', details: null } },
    ],
    [
      { op: 'error', error },
      { kind: 'error', requestId: null, bare: false, error },
    ],
    [
      { op: 'error', message: 'm' },
      { kind: 'error', requestId: null, bare: false, error: { code: null, message: 'm', details: null } },
    ],
    [{ op: 'pong' }, { kind: 'reply', asked: 'ping' }],
    [{ op: 'cancelled' }, { kind: 'reply', asked: 'cancel' }],
    [{ op: 'list_tools_res' }, { kind: 'reply', asked: 'list_tools' }],
    [{ op: 'rotate_token_ack' }, { kind: 'reply', asked: 'rotate_token' }],
    [{ op: 'news' }, { kind: 'reply', asked: null }],
    [{ jsonrpc: '2.0', id: 1, error }, { kind: 'rpc' }],
    [{ id: 1, result: {} }, { kind: 'rpc' }],
    [{}, null],
    [[], null],
    [7, null],
  ]
  for (const [value, frame] of cases) expect(parseExaiServerFrame(value), JSON.stringify(value)).toEqual(frame)
})

test('parseExaiServerFrame() takes no number for a time that is none', () => {
  for (const wrong of [null, 'x', -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    const metadata = { latency_metrics: { latency_ms: wrong, processing_ms: wrong } }
    const frame = parseExaiServerFrame({ op: 'call_tool_res', outputs: [{ text: 'a', metadata }] })
    expect(frame).toMatchObject({ latency: null })
  }
})

test('both parsers take any JSON and never throw', () => {
  const keys = [
    'op',
    'name',
    'tool',
    'arguments',
    'request_id',
    'error',
    'outputs',
    'result',
    'metadata',
    'latency_metrics',
    'content',
  ]
  const ops = ['hello', 'call_tool', 'tool_call', 'hello_ack', 'call_tool_res', 'error', 'progress', '_ack']
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof({ depthSize: 'small' }, fc.jsonValue(), fc.constantFrom(...ops), tie('list'), tie('bag')),
    list: fc.array(tie('value'), { maxLength: 3 }),
    bag: fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 6 }),
  }))
  fc.assert(
    fc.property(value, (any) => {
      for (const frame of [parseExaiClientFrame(any), parseExaiServerFrame(any)]) {
        expect(frame === null || typeof frame.kind === 'string').toBe(true)
      }
    }),
    { numRuns: 500 },
  )
})
