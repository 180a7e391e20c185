// The causes of the labelled errors: what fails, where, and what its message says.
import type { Language } from './error_stack.ts'
import type { Draw } from './seeded_draw.ts'

/** A frame. A file that begins with `@` is a package's, with `#` the language's. `code` is its line of source (Python). */
export type Call = { readonly fn: string; readonly file: string; readonly line: number; readonly code?: string }

type Tell = (draw: Draw) => string

export type Cause = {
  /** What the cause is there to try. */
  readonly family: string
  readonly type: string
  readonly message: Tell
  readonly stack?: {
    readonly language: Language
    /** Innermost first, as far as the cause reaches. */
    readonly calls: (draw: Draw) => readonly Call[]
    /** Who may have called it, one of these each time. */
    readonly doors?: readonly (readonly Call[])[]
    /** What a later release puts around everything. */
    readonly around?: readonly Call[]
    readonly causedBy?: readonly { readonly type: string; readonly message: Tell; readonly calls: readonly Call[] }[]
  }
}

const at = (fn: string, file: string, line: number, code?: string): Call =>
  code === undefined ? { fn, file, line } : { fn, file, line, code }

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
const says =
  (text: string): Tell =>
  () =>
    text
const valueError = (where: string, file: string, line: number, code: string, message: Tell): Cause =>
  python('one type at many sites', 'ValueError', message, [at(where, file, line, code)])

const pythonCauses: readonly Cause[] = [
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

// A server in TypeScript: Node.
const jsDoors = ['callTool', 'resumeTool', 'replayTool'].map((door, i) => [
  at(`async Server.${door}`, 'src/server/dispatch.ts', 30 + 9 * i),
  at('async next', '@hono/dist/hono-base.js', 12),
  at('async main', 'server.ts', 60),
])
const jsAround = [at('async withTrace', 'src/server/trace.ts', 8)]
const node = (
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
    language: 'node',
    calls: typeof calls === 'function' ? calls : () => calls,
    doors: jsDoors,
    around: jsAround,
    ...(causedBy === undefined ? {} : { causedBy }),
  },
})
const readRow = at('readRow', 'src/store/row.ts', 40)
const visitA = at('visitBranch', 'src/tree/visit.ts', 20)
const visitB = at('visitLeaf', 'src/tree/visit.ts', 33)

const nodeCauses: readonly Cause[] = [
  ...(['askModel', 'countTokens', 'listModels'] as const).map((fn, i) =>
    node(
      'one type at many sites',
      'TypeError',
      (d) => `Cannot read properties of undefined (reading '${d.pick(['id', 'name'])}')`,
      [at(fn, `src/model/${['ask', 'count', 'list'][i]}.ts`, 12)],
    ),
  ),
  node('one type at many sites', 'TypeError', says("Cannot read properties of undefined (reading 'id')"), [
    at('handler', 'functions/ask/index.ts', 12),
  ]),
  node('one type at many sites', 'TypeError', says("Cannot read properties of undefined (reading 'id')"), [
    at('handler', 'functions/list/index.ts', 12),
  ]),
  ...(['ECONNREFUSED', 'ETIMEDOUT', 'ECONNRESET'] as const).map((code) =>
    node(
      'codes of the system',
      'Error',
      (d) => `connect ${code} 10.${d.int(0, 255)}.${d.int(0, 255)}.7:${d.pick([5432, 6379, 41_234])}`,
      [at('TCPConnectWrap.afterConnect', '#net.js', 1_611), at('async Pool.connect', 'src/store/pool.ts', 25)],
    ),
  ),
  ...(['fetch failed', 'The operation was aborted due to timeout'] as const).map((message, i) =>
    node(
      'wrapped errors',
      'ProviderError',
      (d) => `glm did not answer ${d.uuid()}`,
      [at('async ask', 'src/provider/glm.ts', 31)],
      [
        {
          type: i === 0 ? 'TypeError' : 'TimeoutError',
          message: says(message),
          calls: [at('async post', 'src/provider/http.ts', 18)],
        },
      ],
    ),
  ),
  node('recursion', 'RangeError', says('Maximum call stack size exceeded'), (d) => alternating(d, 30)),
  node(
    'recursion',
    'StoreError',
    (d) => `Cannot read row ${d.int(1, 1e6)}`,
    (d) => [readRow, ...alternating(d, d.int(1, 9))],
  ),
  node(
    'frames of the runtime',
    'SyntaxError',
    (d) => `Unexpected token ${d.pick(['<', 'o', '}'])} in JSON at position ${d.int(0, 400)}`,
    (d) => [at('JSON.parse', '#json.js', 1), at(d.pick(['async Store.load', 'Store.load']), 'src/store/load.ts', 14)],
  ),
  node('plain', 'StoreError', (d) => `Cannot write ${d.path()}`, [at('new Store', 'src/store/store.ts', 5)]),
  {
    ...node('plain', 'DOMException', says('The quota is used up'), []),
    stack: { language: 'firefox', calls: () => [at('keep', 'src/keep.js', 4), at('onMessage', 'src/feed.js', 40)] },
  },
  ...(['Cannot draw the chart: it has no canvas', 'Cannot read the page: the answer is no object'] as const).map(
    (text, i): Cause => ({
      family: 'bundles',
      type: 'Error',
      message: says(text),
      stack: { language: 'bundle', calls: () => [at('x', 'x', 3 + i), at('y', 'x', 5), at('z', 'x', 9)] },
    }),
  ),
]

function alternating(draw: Draw, depth: number): readonly Call[] {
  const first = draw.int(0, 1)
  return Array.from({ length: depth }, (_, i) => ((i + first) % 2 === 0 ? visitA : visitB))
}

// A proxy in Go, a tool server in Java, a tokenizer in Rust.
const go = (family: string, message: Tell, calls: readonly Call[], type = 'panic'): Cause => ({
  family,
  type,
  message,
  stack: {
    language: 'go',
    calls: () => calls,
    doors: [
      [at('main.(*Proxy).ServeHTTP', 'cmd/proxy/main.go', 88)],
      [at('main.(*Proxy).Replay', 'cmd/proxy/main.go', 120)],
    ],
    around: [at('main.withTrace.func1', 'cmd/proxy/trace.go', 17)],
  },
})
const java = (
  family: string,
  type: string,
  message: Tell,
  calls: readonly Call[],
  causedBy?: readonly { type: string; message: Tell; calls: readonly Call[] }[],
): Cause => ({
  family,
  type,
  message,
  stack: {
    language: 'java',
    calls: () => calls,
    ...(causedBy === undefined ? {} : { causedBy }),
    doors: [
      [
        at('org.exai.tool.ToolController$$SpringCGLIB$$PROXY.call', '<generated>', 1),
        at(
          'org.springframework.web.method.support.InvocableHandlerMethod.invoke',
          '@spring/InvocableHandlerMethod.java',
          205,
        ),
      ],
    ],
    around: [
      at('org.exai.web.TraceFilter.doFilter', 'TraceFilter.java', 31),
      at('java.lang.Thread.run', '#java/lang/Thread.java', 840),
    ],
  },
})
const rust = (family: string, message: Tell, calls: readonly Call[]): Cause => ({
  family,
  type: 'panic',
  message,
  stack: {
    language: 'rust',
    calls: () => calls,
    doors: [[at('tokenizer::server::serve', 'src/server.rs', 50)], [at('tokenizer::bench::run', 'src/bench.rs', 9)]],
    around: [at('core::ops::function::FnOnce::call_once', '#core/src/ops/function.rs', 250)],
  },
})
const nil = says('runtime error: invalid memory address or nil pointer dereference')

const otherCauses: readonly Cause[] = [
  go('Go', nil, [at('github.com/exai/proxy/route.(*Table).Find', 'route/table.go', 41)]),
  go('Go', nil, [at('github.com/exai/proxy/route.(*Table).Add', 'route/table.go', 60)]),
  go('Go', nil, [at('github.com/exai/proxy/pool.(*Conn).Close.func1', 'pool/conn.go', 12)]),
  go('Go', (d) => `runtime error: index out of range [${d.int(3, 90)}] with length ${d.int(0, 3)}`, [
    at('github.com/exai/proxy/wire.Parse', 'wire/parse.go', 19),
  ]),
  go('Go', (d) => `runtime error: slice bounds out of range [:${d.int(3, 90)}] with capacity 2`, [
    at('github.com/exai/proxy/wire.Cut', 'wire/cut.go', 19),
  ]),
  java(
    'Java',
    'java.lang.NullPointerException',
    says('Cannot invoke "org.exai.Session.id()" because "session" is null'),
    [at('org.exai.tool.ChatTool.run', 'org/exai/tool/ChatTool.java', 33)],
  ),
  java(
    'Java',
    'java.lang.NullPointerException',
    says('Cannot invoke "org.exai.Session.id()" because "session" is null'),
    [at('org.exai.tool.SearchTool.run', 'org/exai/tool/SearchTool.java', 33)],
  ),
  java('Java', 'java.lang.IllegalStateException', (d) => `queue ${d.word()} is full at ${d.int(1, 9_999)}`, [
    at('org.exai.queue.Queue.lambda$offer$LAMBDA', 'org/exai/queue/Queue.java', 71),
    at('java.util.Optional.ifPresent', '#java/util/Optional.java', 178),
    at('org.exai.queue.Queue.offer', 'org/exai/queue/Queue.java', 70),
  ]),
  ...(['java.net.SocketTimeoutException', 'java.net.ConnectException'] as const).map((type) =>
    java(
      'wrapped errors',
      'org.exai.ProviderException',
      (d) => `kimi failed after ${d.int(1, 30_000)} ms`,
      [at('org.exai.provider.Kimi.ask', 'org/exai/provider/Kimi.java', 44)],
      [
        {
          type,
          message: says('failed'),
          calls: [
            at('sun.nio.ch.NioSocketImpl.timedRead', '#sun/nio/ch/NioSocketImpl.java', 288),
            at('org.exai.provider.Http.send', 'org/exai/provider/Http.java', 21),
          ],
        },
      ],
    ),
  ),
  rust(
    'Rust',
    (d) => `called \`Result::unwrap()\` on an \`Err\` value: Os { code: 2, kind: NotFound, message: "${d.path()}" }`,
    [at('core::result::unwrap_failed', '#core/src/result.rs', 1_654), at('tokenizer::vocab::load', 'src/vocab.rs', 12)],
  ),
  rust(
    'Rust',
    (d) => `called \`Result::unwrap()\` on an \`Err\` value: Os { code: 2, kind: NotFound, message: "${d.path()}" }`,
    [at('core::result::unwrap_failed', '#core/src/result.rs', 1_654), at('tokenizer::merge::load', 'src/merge.rs', 12)],
  ),
  rust('Rust', (d) => `index out of bounds: the len is ${d.int(1, 9)} but the index is ${d.int(10, 99)}`, [
    at('core::panicking::panic_bounds_check', '#core/src/panicking.rs', 208),
    at('tokenizer::encode::{{closure}}', 'src/encode.rs', 44),
    at('tokenio::run', '@tokio-1.38.0/src/runtime.rs', 90),
  ]),
]

// What came without a stack: from logs, from connections, from a server behind a tap.
const bare = (family: string, type: string, message: Tell): Cause => ({ family, type, message })
const bareCauses: readonly Cause[] = [
  bare(
    'data in messages',
    'TimeoutError',
    (d) =>
      `Tool chat timed out after ${d.pick([`${d.int(1, 90)}s`, `${d.int(1, 9)}m${d.int(1, 59)}s`, `${d.int(100, 90_000)}ms`, `${d.int(1, 90)}.${d.int(0, 9)} s`])}`,
  ),
  bare('data in messages', 'StoreError', (d) => `Cannot open ${d.path()}: it is locked`),
  bare('data in messages', 'StoreError', (d) => `Cannot close ${d.path()}: it is locked`),
  bare('data in messages', 'SessionError', (d) => `Session ${d.uuid()} expired at ${d.instant()}`),
  bare('data in messages', 'SessionError', (d) => `Session ${d.uuid()} was taken over by ${d.uuid()}`),
  bare(
    'data in messages',
    'ConnectionError',
    (d) =>
      `Peer ${d.pick([`10.0.${d.int(0, 255)}.${d.int(1, 254)}:${d.int(1_024, 65_535)}`, `[2001:db8::${d.hex(4)}]:${d.int(1_024, 65_535)}`, `[::1]:${d.int(1_024, 65_535)}`])} closed the connection`,
  ),
  bare(
    'data in messages',
    'MemoryError',
    (d) => `Cannot map ${d.pick(['-', ''])}${d.int(1, 9e5)} bytes at 0x${d.hex(12)}`,
  ),
  bare(
    'data in messages',
    'MailError',
    (d) => `No mailbox ${d.word().replace('ü', 'u')}${d.int(1, 99)}@${d.word().replace('ü', 'u')}.example.org`,
  ),
  bare(
    'data in messages',
    'HttpError',
    (d) =>
      `GET https://api.moonshot.ai/v1/files/${d.hex(12)}?page=${d.int(1, 9)} answered nothing within ${d.int(1, 60)} s`,
  ),
  bare(
    'data in messages',
    'JobError',
    (d) => `Job ${d.pick([`job_${d.hex(16)}`, `job-${d.int(1, 9_999)}`])} failed (attempt ${d.int(1, 5)}/5)`,
  ),
  bare(
    'data in messages',
    'JobError',
    (d) => `Job ${d.pick([`job_${d.hex(16)}`, `job-${d.int(1, 9_999)}`])} was cancelled`,
  ),
  bare(
    'data in messages',
    'CacheError',
    (d) => `Key "session:${d.uuid()}" has ${d.int(0, 9)} entries, wanted ${d.int(10, 99)}`,
  ),
  bare(
    'data in messages',
    'ClockError',
    (d) => `[${d.instant()}] clock is ${d.pick(['-', '+', ''])}${d.int(1, 900)} s off`,
  ),
  ...(
    [
      '1113 Insufficient balance',
      '1302 Rate limit reached for requests',
      '1301 Content was filtered',
      '1261 Prompt exceeds max length',
    ] as const
  ).map((text) =>
    bare('bodies of a provider', 'GlmError', (d) =>
      JSON.stringify({
        error: { code: text.slice(0, 4), message: text.slice(5) },
        request_id: `${d.int(2e13, 3e13)}${d.hex(16)}`,
      }),
    ),
  ),
  ...(['invalid_authentication_error', 'rate_limit_reached_error', 'exceeded_current_quota_error'] as const).map(
    (type) =>
      bare(
        'bodies of a provider',
        'KimiError',
        (d) =>
          `HTTP ${type.startsWith('inv') ? 401 : 429}: {"error":{"message":"Your account org-${d.hex(20)}<ak-${d.hex(12)}> cannot go on","type":"${type}"}}`,
      ),
  ),
  bare(
    'bodies of a provider',
    'UpstreamError',
    (d) => `upstream answered ${d.pick([500, 502, 503, 504])} to request ${d.uuid()}`,
  ),
  bare('bodies of a provider', 'UpstreamError', (d) => `upstream answered 404 to request ${d.uuid()}`),
  bare('one message, two types', 'ToolError', says('Cannot go on')),
  bare('one message, two types', 'ProviderError', says('Cannot go on')),
]

export const causes: readonly Cause[] = [...pythonCauses, ...nodeCauses, ...otherCauses, ...bareCauses]
