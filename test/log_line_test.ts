import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseLogLine } from '../src/wire/log_line.ts'

const at = 1_763_300_000.25
const atUs = 1_763_300_000_250_000
const call = { tool: 'chat', requestId: null, provider: null, args: null, attributes: {} }

/** What each line says, as far as it is told here. */
const understood: readonly (readonly [string, string, unknown])[] = [
  [
    'a whole call',
    `{"provider":"kimi","tool_name":"chat","args":{"path":"x"},"start_ts":${at},"end_ts":${at + 2},"latency_ms":2000.1,"citations":[],"ok":true,"error":null}`,
    {
      kind: 'call',
      startUs: atUs,
      endUs: atUs + 2_000_000,
      error: null,
      call: { provider: 'kimi', args: { path: 'x' } },
    },
  ],
  [
    'a whole call without its end',
    `{"tool_name":"chat","start_ts":${at},"latency_ms":2.5,"ok":false,"error":"no"}`,
    { kind: 'call', endUs: atUs + 2_500, error: 'no' },
  ],
  [
    'a start',
    `{"event":"tool_start","timestamp":${at},"tool":"chat","request_id":"r1","params":{}}`,
    { kind: 'start', atUs, call: { requestId: 'r1' } },
  ],
  [
    'an end',
    `{"event":"tool_complete","timestamp":${at},"tool":"chat","duration_secs":0.5,"result":{"type":"text","text":"secret words"}}`,
    { kind: 'end', atUs, durationUs: 500_000, error: null, call },
  ],
  [
    'an error',
    `{"event":"tool_error","timestamp":${at},"tool":"chat","error":"Failure"}`,
    { kind: 'end', durationUs: null, error: 'Failure' },
  ],
  [
    'an error of the first writer',
    `{"timestamp":${at},"tool":"chat","request_id":null,"error":"Failure"}`,
    { kind: 'end', error: 'Failure' },
  ],
  [
    'an end of the first writer',
    `{"timestamp":${at},"tool":"chat","duration_s":0.061,"summary_words":5}`,
    { kind: 'end', durationUs: 61_000, call: { attributes: { 'log.summary_words': 5 } } },
  ],
  [
    'a whole call at the door, where arguments are counted',
    `{"provider":"boundary","tool_name":"chat","args":{"arg_count":8,"req_id":"r9"},"start_ts":${at},"end_ts":${at + 1},"ok":true,"error":null}`,
    {
      kind: 'call',
      call: { tool: 'chat', requestId: 'r9', provider: null, args: null, attributes: { 'log.arg_count': 8 } },
    },
  ],
  [
    'a note at the door, of a call that has a line of its own',
    `{"provider":"boundary","tool_name":"chat","args":{"event":"TOOL_COMPLETED","req_id":"r9"},"start_ts":${at},"end_ts":${at},"ok":true,"error":null}`,
    {
      kind: 'record',
      records: [
        {
          type: 'event',
          at_us: atUs,
          connection_type: 'tool',
          direction: 'tool_completed',
          function_name: 'chat',
          metadata: { request_id: 'r9' },
        },
      ],
    },
  ],
  [
    'a call whose tool takes an event',
    `{"provider":"kimi","tool_name":"calendar","args":{"event":"x"},"start_ts":${at},"end_ts":${at + 1}}`,
    { kind: 'call', call: { provider: 'kimi', args: { event: 'x' } } },
  ],
  ['progress', `{"event":"tool_progress","timestamp":${at},"tool":"chat"}`, { kind: 'progress' }],
  [
    'token usage',
    `{"event":"token_usage","provider":"glm","model":"glm-4.5","input_tokens":3,"output_tokens":4,"t":${at}}`,
    {
      kind: 'record',
      records: [{ type: 'message', model_used: 'glm-4.5', token_usage: { input_tokens: 3, output_tokens: 4 } }],
    },
  ],
  [
    'a provider error',
    `{"event":"provider_error","provider":"kimi","error_type":"upload_error","message":"gone","t":${at}}`,
    { records: [{ type: 'error', error_type: 'upload_error', message: 'gone' }] },
  ],
  [
    'a file count',
    `{"event":"file_count_delta","provider":"kimi","delta":-1,"t":${at}}`,
    { records: [{ type: 'gauge', value: -1, labels: { provider: 'kimi' } }] },
  ],
  [
    'a cache',
    `{"event":"file_cache","action":"miss","provider":"kimi","sha":"8","t":${at}}`,
    { records: [{ type: 'event', connection_type: 'file_cache', direction: 'miss' }] },
  ],
  [
    'a route plan',
    `{"event":"route_plan","ts":${at},"requested":"auto","chosen":"glm","meta":{"a":1}}`,
    { records: [{ type: 'event', connection_type: 'router', metadata: { chosen: 'glm', meta: 'object(1)' } }] },
  ],
  [
    'telemetry',
    `{"event":"anything","ts":${at},"prompt":"${'x'.repeat(300)}"}`,
    { records: [{ type: 'event', metadata: { prompt: 'string(300)' } }] },
  ],
  [
    'health',
    `{"t":${at},"pid":7,"sessions":2,"global_capacity":24,"global_inflight":3,"tool_count":29}`,
    {
      records: [
        { name: 'websocket_connections', value: 2 },
        { name: 'permits_in_use', value: 3 },
        { name: 'permits_max' },
        { name: 'tool_count' },
      ],
    },
  ],
  [
    'Claude Desktop',
    '2025-11-16T13:33:20.250Z [files] [info] Message from client: {"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"}{"}} { metadata: undefined }',
    {
      kind: 'frame',
      atUs,
      from: 'client',
      server: 'files',
      text: '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"}{"}}',
    },
  ],
  [
    'Claude Desktop, the other way round',
    '2025-11-16T13:33:20.250Z [info] [files] Message from server: {"id":1}',
    { kind: 'frame', from: 'server', server: 'files' },
  ],
  [
    'Claude Desktop on its way out',
    '2025-11-16T13:33:20.250Z [files] [info] Server transport closed unexpectedly',
    { kind: 'gone', server: 'files' },
  ],
  [
    'VS Code',
    '2025-11-16 13:33:20.250 [trace] [editor -> server] {"jsonrpc":"2.0","id":1,"method":"ping"}',
    { kind: 'frame', from: 'client', server: null },
  ],
  [
    'an older VS Code',
    '2025-11-16 13:33:20.250 [info] [Server Says] {"jsonrpc":"2.0","id":1,"result":{}}',
    { kind: 'frame', from: 'server' },
  ],
  ['VS Code for people', '2025-11-16 13:33:20.250 [info] Discovered 3 tools', { kind: 'prose' }],
  ['nothing', '   ', { kind: 'prose' }],
]

for (const [what, line, wanted] of understood) {
  test(`parseLogLine() understands ${what}`, () =>
    expect(parseLogLine(line)).toMatchObject({ ok: true, value: wanted }))
}

const refused: readonly (readonly [string, string])[] = [
  ['{"tool":"chat","timestamp":17', 'it is damaged: no JSON'],
  ['Traceback (most recent call last):', 'it is neither JSON nor a line of an MCP client'],
  ['[1]', 'it is neither JSON nor a line of an MCP client'],
  ['{"what":1}', 'its shape is unknown'],
  ['{"tool":"chat","duration_s":1}', 'its timestamp is no time'],
  ['{"tool_name":"chat","start_ts":"now","end_ts":1}', 'its start_ts is no time'],
  [`{"tool_name":"chat","start_ts":${at}}`, 'it says neither when it ended nor how long it took'],
  [`{"tool":"chat","timestamp":${at}}`, 'it says neither how long the call took nor how it failed'],
  ['{"event":"token_usage","t":true}', 'its time is none'],
  [`{"event":"file_count_delta","t":${at}}`, 'it has no value'],
  ['{"telltale":2,"record":{}}', 'it was exported by a version that is unknown here'],
  ['{"telltale":1,"source":{},"process":{}}', 'it is damaged: source, process or record is missing'],
  ['{"telltale":1,"source":{},"process":{},"record":{"type":"x"}}', 'its record is of an unknown type'],
]

for (const [line, reason] of refused) {
  test(`parseLogLine() says of ${line.slice(0, 60)}: ${reason}`, () => {
    expect(parseLogLine(line)).toEqual({ ok: false, error: reason })
  })
}

test('parseLogLine() takes any line without throwing', () => {
  const lines = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc
      .tuple(
        fc.constantFrom(
          '2025-11-16T13:33:20.250Z [a] [info] Message from client: ',
          '2025-11-16 13:33:20.250 [trace] [editor -> server] ',
        ),
        fc.json(),
      )
      .map((parts) => parts.join('')),
    fc
      .record(
        Object.fromEntries(
          [
            'event',
            'tool',
            'tool_name',
            'timestamp',
            't',
            'start_ts',
            'end_ts',
            'error',
            'args',
            'telltale',
            'record',
          ].map((name) => [name, fc.jsonValue()]),
        ),
        { requiredKeys: [] },
      )
      .map((line) => JSON.stringify(line)),
  )
  fc.assert(fc.property(lines, (line) => typeof parseLogLine(line).ok === 'boolean'))
})
