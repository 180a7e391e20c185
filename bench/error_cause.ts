import { at, type Call, type Cause, says, type Tell } from './labelled_cause.ts'
import { nodeCauses } from './node_cause.ts'
import { pythonCauses } from './python_cause.ts'

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
