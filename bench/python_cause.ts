import { at, type Call, type Cause, says, type Tell } from './labelled_cause.ts'
import type { Draw } from './seeded_draw.ts'

// The daemon: Python.
const pyLoop = [
  at('_run', '#asyncio/events.py', 84),
  at('run', '#asyncio/runners.py', 190),
  at('<module>', 'server.py', 30),
]
const pyDoors = ['chat', 'analyze', 'codereview', 'debug'].map((tool, i) => [
  at('execute', `tools/${tool}.py`, 50 + i, 'return await self.call_provider(prompt)'),
  at('_call', 'src/daemon/ws_server.py', 210, 'result = await tool.execute(args)'),
  ...pyLoop,
])
const pyAround = [at('trace_middleware', 'src/daemon/middleware.py', 18, 'return await handler(request)')]
const kimi = at('generate', 'src/providers/kimi.py', 77, 'response = await self._post(body)')
const retry = at('with_retry', 'src/providers/retry.py', 31, 'return await call()')
const post = at('_post', 'src/providers/http.py', 44, 'reply = await self.client.post(url, json=body)')
const pyWalk = at('walk', 'src/files/walk.py', 21, 'walk(child)')
const httpx = [at('handle_async_request', '@httpx/_transports/default.py', 394), at('send', '@httpx/_client.py', 1629)]

const python = (
  family: string,
  type: string,
  message: Tell,
  calls: readonly Call[] | ((draw: Draw) => readonly Call[]),
  causedBy?: readonly { type: string; message: Tell; calls: readonly Call[] }[],
): Cause => ({
  family,
  type,
  message,
  stack: {
    language: 'python',
    calls: typeof calls === 'function' ? calls : () => calls,
    doors: pyDoors,
    around: pyAround,
    ...(causedBy === undefined ? {} : { causedBy }),
  },
})
const valueError = (where: string, file: string, line: number, code: string, message: Tell): Cause =>
  python('one type at many sites', 'ValueError', message, [at(where, file, line, code)])

export const pythonCauses: readonly Cause[] = [
  valueError(
    'parse_model',
    'src/config.py',
    12,
    'raise ValueError(f"unknown model {name}")',
    (d) => `unknown model ${d.word()}`,
  ),
  valueError(
    'parse_port',
    'src/config.py',
    40,
    'raise ValueError(f"bad port {port}")',
    (d) => `bad port ${d.int(1, 99_999)}`,
  ),
  valueError(
    'decode',
    'src/wire/frame.py',
    9,
    'raise ValueError(f"frame of {n} bytes")',
    (d) => `frame of ${d.int(1, 9e6)} bytes`,
  ),
  valueError(
    'decode',
    'src/storage/row.py',
    9,
    'raise ValueError(f"row {row} is cut")',
    (d) => `row ${d.hex(8)} is cut`,
  ),
  valueError('load', 'tools/registry.py', 90, 'raise ValueError(f"no tool {name}")', (d) => `no tool ${d.word()}`),
  // Two statements of one function.
  python('two statements of a function', 'RuntimeError', (d) => `session ${d.uuid()} is closed`, [
    at('send', 'src/daemon/session.py', 61, 'raise RuntimeError(f"session {self.id} is closed")'),
  ]),
  python('two statements of a function', 'RuntimeError', (d) => `no permit within ${d.int(5, 60)} s`, [
    at('send', 'src/daemon/session.py', 70, 'raise RuntimeError(f"no permit within {wait} s")'),
  ]),
  python('two statements of a function', 'KeyError', (d) => `'${d.word()}'`, [
    at('render', 'src/prompt.py', 20, 'system = templates[name]'),
  ]),
  python('two statements of a function', 'KeyError', (d) => `'${d.word()}'`, [
    at('render', 'src/prompt.py', 28, 'limit = limits[model]'),
  ]),
  // One wrapper, several causes.
  ...(
    [
      ['httpx.ReadTimeout', ''],
      ['httpx.ConnectError', 'All connection attempts failed'],
      ['json.decoder.JSONDecodeError', 'Expecting value: line 1 column 1 (char 0)'],
      [
        'ssl.SSLCertVerificationError',
        '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1000)',
      ],
    ] as const
  ).map(([type, message]) =>
    python(
      'wrapped errors',
      'ProviderError',
      (d) => `kimi did not answer request ${d.uuid()}`,
      [kimi, retry],
      [{ type, message: says(message), calls: [...httpx, post] }],
    ),
  ),
  // A helper that many call; whoever called it wrongly is the cause.
  ...(['chat', 'codereview', 'planner'] as const).map((tool, i) => ({
    ...python(
      'a helper that many call',
      'TypeError',
      (d: Draw) => `expected str, got ${d.pick(['int', 'list', 'NoneType'])}`,
      [
        at('require_text', 'src/check.py', 14, 'raise TypeError(f"expected str, got {type(value).__name__}")'),
        at(`build_${tool}`, `tools/${tool}.py`, 71 + i, 'text = require_text(args.get("prompt"))'),
      ],
    ),
  })),
  // The depth of a recursion.
  python('recursion', 'RecursionError', says('maximum recursion depth exceeded'), (d) => [
    ...Array<Call>(d.int(900, 990)).fill(pyWalk),
    at('expand', 'src/files/expand.py', 12, 'return walk(root)'),
  ]),
  python(
    'recursion',
    'PermissionError',
    (d) => `[Errno 13] Permission denied: '${d.path()}'`,
    (d) => [
      at('read_entry', 'src/files/walk.py', 30, 'with open(path) as file:'),
      ...Array<Call>(d.int(1, 12)).fill(pyWalk),
      at('expand', 'src/files/expand.py', 12, 'return walk(root)'),
    ],
  ),
  // Codes of a provider: one statement raises them all.
  ...(
    [
      '401 invalid_api_key',
      '429 rate_limit_reached_error',
      '400 context_length_exceeded',
      '503 engine_overloaded_error',
    ] as const
  ).map((text) => {
    const [status, code] = text.split(' ') as [string, string]
    return python(
      'codes of a provider',
      'openai.APIStatusError',
      (d) =>
        `Error code: ${status} - {'error': {'message': 'request ${d.uuid()} of ${d.int(1, 9e5)} tokens was refused', 'type': '${code}', 'param': None}}`,
      [
        at('_request', '@openai/_base_client.py', 1_549, 'raise self._make_status_error_from_response(err.response)'),
        kimi,
        retry,
      ],
    )
  }),
  python('plain', 'asyncio.exceptions.CancelledError', says(''), [
    at('acquire', '#asyncio/locks.py', 386),
    at('permit', 'src/daemon/permit.py', 22, 'await self.semaphore.acquire()'),
  ]),
  python('plain', 'AttributeError', says("'NoneType' object has no attribute 'choices'"), [
    at('read_answer', 'src/providers/glm.py', 101, 'return reply.choices[0].message'),
  ]),
  python(
    'plain',
    'pydantic_core._pydantic_core.ValidationError',
    (d) =>
      `1 validation error for ChatRequest\nprompt\n  Field required [type=missing, input_value={'text': '${d.word()}'}, input_type=dict]`,
    [at('parse', 'src/wire/request.py', 19, 'return ChatRequest.model_validate(args)')],
  ),
]
