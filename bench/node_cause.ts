import { at, type Call, type Cause, says, type Tell } from './labelled_cause.ts'
import type { Draw } from './seeded_draw.ts'

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

export const nodeCauses: readonly Cause[] = [
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
