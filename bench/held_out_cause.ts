// Causes that no rule of the fingerprint was made after: messages of well-known programs, as they print them. Written after
// the rules, to say how far they carry (V 92.5 % at first; then four plain faults that it showed were mended: ids that begin
// with digits, names such as glm-4.6, 1m32s, host names). Nothing here is to be tuned to.
import type { Cause } from './labelled_cause.ts'
import type { Draw } from './seeded_draw.ts'

type Tell = (draw: Draw) => string

const bare = (type: string, message: Tell): Cause => ({ family: 'held out: messages', type, message })
const model = (d: Draw): string => d.pick(['glm-4.6', 'glm-4.5-flash', 'kimi-k2-0711-preview', 'moonshot-v1-128k'])
const tool = (d: Draw): string => d.pick(['chat', 'codereview', 'thinkdeep', 'analyze'])

const messages: readonly Cause[] = [
  bare(
    'psycopg.errors.UniqueViolation',
    (d) =>
      `duplicate key value violates unique constraint "messages_pkey"\nDETAIL:  Key (id)=(${d.uuid()}) already exists.`,
  ),
  bare(
    'psycopg.OperationalError',
    (d) =>
      `connection to server at "db.${d.word()}.example.org" (10.1.${d.int(0, 255)}.${d.int(0, 255)}), port 5432 failed: FATAL:  remaining connection slots are reserved`,
  ),
  bare(
    'psycopg.OperationalError',
    (d) =>
      `connection to server at "db.${d.word()}.example.org" (10.1.${d.int(0, 255)}.${d.int(0, 255)}), port 5432 failed: Connection refused`,
  ),
  bare(
    'redis.exceptions.TimeoutError',
    (d) => `Timeout reading from redis-${d.int(1_000, 19_999)}.c1.example.org:${d.int(10_000, 19_999)}`,
  ),
  bare(
    'redis.exceptions.ResponseError',
    (d) => `OOM command not allowed when used memory > 'maxmemory' (${d.int(1, 900)}MB).`,
  ),
  bare('McpError', (d) => `MCP error -32001: Request timed out after ${d.int(10, 300)}000ms`),
  bare('McpError', (d) => `MCP error -32602: Tool ${tool(d)} not found`),
  bare(
    'websockets.exceptions.ConnectionClosedError',
    () => 'sent 1011 (internal error) keepalive ping timeout; no close frame received',
  ),
  bare(
    'websockets.exceptions.ConnectionClosedError',
    () => 'received 1012 (service restart); then sent 1012 (service restart)',
  ),
  bare('AxiosError', (d) => `Request failed with status code ${d.pick([502, 503])}`),
  bare('AxiosError', () => 'Request failed with status code 404'),
  bare('AxiosError', (d) => `timeout of ${d.int(1, 60)}000ms exceeded`),
  bare('Error', (d) => `ENOENT: no such file or directory, open '${d.path()}'`),
  bare('Error', (d) => `EACCES: permission denied, open '${d.path()}'`),
  bare('Error', (d) => `getaddrinfo ENOTFOUND ${d.word().replace('ü', 'u')}.supabase.co`),
  bare('ZodError', (d) =>
    JSON.stringify(
      [{ code: 'invalid_type', expected: 'string', received: 'undefined', path: [d.word()], message: 'Required' }],
      null,
      2,
    ),
  ),
  bare('ZodError', (d) =>
    JSON.stringify(
      [{ code: 'too_big', maximum: d.int(1, 99), type: 'string', path: [d.word()], message: 'Too long' }],
      null,
      2,
    ),
  ),
  bare('net.OpError', (d) => `dial tcp 10.0.${d.int(0, 255)}.${d.int(1, 254)}:443: i/o timeout`),
  bare('net.OpError', (d) => `dial tcp 10.0.${d.int(0, 255)}.${d.int(1, 254)}:443: connect: connection refused`),
  bare(
    'net.OpError',
    (d) => `read tcp 172.17.0.2:${d.int(30_000, 60_000)}->34.1.${d.int(0, 255)}.9:443: read: connection reset by peer`,
  ),
  bare(
    'RateLimitError',
    (d) =>
      `Rate limit reached for ${model(d)} in organization org-${d.hex(24)} on requests per min (RPM): Limit ${d.int(3, 500)}, Used ${d.int(3, 500)}, Requested 1. Please try again in ${d.int(1, 59)}.${d.int(0, 9)}s.`,
  ),
  bare(
    'RateLimitError',
    (d) =>
      `Rate limit reached for ${model(d)} in organization org-${d.hex(24)} on tokens per min (TPM): Limit ${d.int(3, 500)}000, Used ${d.int(3, 500)}000, Requested ${d.int(1, 9_000)}. Please try again in ${d.int(1, 900)}ms.`,
  ),
  bare('NotFoundError', (d) => `The model ${model(d)} does not exist or you do not have access to it`),
  bare(
    'BadRequestError',
    (d) =>
      `This model's maximum context length is ${d.pick([8192, 131072])} tokens. However, your messages resulted in ${d.int(1e4, 9e5)} tokens.`,
  ),
  bare('StorageApiError', (d) => `The resource already exists: ${d.uuid()}/${d.word()}.md`),
  bare(
    'asyncio.TimeoutError',
    (d) =>
      `Semaphore ${d.pick(['glm', 'kimi', 'global'])} not acquired after ${d.int(1, 90)}.${d.int(0, 9)}s (${d.int(1, 9)} waiting)`,
  ),
  bare('LockError', (d) => `pid ${d.int(2, 99_999)} holds /run/exai/${d.word()}.lock since ${d.instant()}`),
  bare(
    'ImportError',
    (d) =>
      `cannot import name '${d.pick(['Optional', 'Self'])}' from 'typing' (${d.pick(['/usr/lib/python3.11/typing.py', 'C:\\Python313\\Lib\\typing.py'])})`,
  ),
  bare(
    'MissingFields',
    (d) => `missing ${d.int(2, 3)} fields: ${Array.from({ length: d.int(1, 4) }, () => d.word()).join(', ')}`,
  ),
  bare('ToolError', (d) => `User ${d.word()} may not use ${tool(d)}`),
]

const at = (fn: string, file: string, line: number, code?: string) =>
  code === undefined ? { fn, file, line } : { fn, file, line, code }
const stacked = (
  language: 'python' | 'node',
  type: string,
  message: Tell,
  ...calls: ReturnType<typeof at>[]
): Cause => ({
  family: `held out: stacks`,
  type,
  message,
  stack: {
    language,
    calls: () => calls,
    doors: [
      [at('handle', 'src/door/http.ts', 4)],
      [at('consume', 'src/door/queue.ts', 9), at('loop', 'src/door/loop.ts', 3)],
    ],
    around: [at('span', 'src/door/span.ts', 2)],
  },
})

const stacks: readonly Cause[] = [
  // Two statements of one function, without a line of source to tell them apart.
  stacked(
    'node',
    'TypeError',
    (d) => `${d.pick(['items', 'rows'])} is not iterable`,
    at('merge', 'src/list/merge.ts', 8),
  ),
  stacked(
    'node',
    'TypeError',
    (d) => `Cannot read properties of null (reading '${d.word()}')`,
    at('merge', 'src/list/merge.ts', 19),
  ),
  // A transport that two providers share.
  stacked(
    'node',
    'HttpError',
    (d) => `request ${d.uuid()} failed`,
    at('send', 'src/http/send.ts', 30),
    at('askGlm', 'src/provider/glm.ts', 7),
  ),
  stacked(
    'node',
    'HttpError',
    (d) => `request ${d.uuid()} failed`,
    at('send', 'src/http/send.ts', 30),
    at('askKimi', 'src/provider/kimi.ts', 7),
  ),
  // A helper whose name does not say that it is one.
  stacked(
    'python',
    'ValueError',
    (d) => `not a number: ${d.word()}`,
    at('to_number', 'src/text.py', 5, 'raise ValueError(f"not a number: {text}")'),
    at('read_limit', 'src/setting.py', 9, 'return to_number(raw)'),
  ),
  stacked(
    'python',
    'ValueError',
    (d) => `not a number: ${d.word()}`,
    at('to_number', 'src/text.py', 5, 'raise ValueError(f"not a number: {text}")'),
    at('read_age', 'src/profile.py', 30, 'age = to_number(row[2])'),
  ),
  stacked(
    'python',
    'sqlite3.OperationalError',
    () => 'database is locked',
    at('execute', 'src/db.py', 44, 'cursor = self.connection.execute(sql, values)'),
  ),
  stacked(
    'python',
    'sqlite3.OperationalError',
    (d) => `no such table: ${d.pick(['messages', 'sessions'])}`,
    at('execute', 'src/db.py', 44, 'cursor = self.connection.execute(sql, values)'),
  ),
  stacked(
    'python',
    'asyncpg.exceptions.ConnectionDoesNotExistError',
    () => 'connection was closed in the middle of operation',
    at('release', '@asyncpg/pool.py', 219),
    at('save', 'src/storage/message.py', 51, 'async with pool.acquire() as connection:'),
  ),
]

export const heldOutCauses: readonly Cause[] = [...messages, ...stacks]
