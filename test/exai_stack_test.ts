import pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { startStack } from '../src/local/stack.ts'
import { connectExai } from './exai_client_fixture.ts'
import { startExaiDaemon } from './exai_daemon_fixture.ts'
import { pythonWith, telltalePy } from './python_fixture.ts'
import { createDataDir } from './stack_fixture.ts'

const { python, reason } = await pythonWith('sdk')

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (let next = cleanups.pop(); next !== undefined; next = cleanups.pop()) await next()
})

test.skipIf(reason !== null)(
  'install() stores what the unmodified daemon did, in the rows an operator reads',
  async () => {
    const { dir, remove } = createDataDir()
    cleanups.push(remove)
    const { env, close } = await startStack({ dataDir: dir, port: 0 })
    cleanups.push(close)
    const { TELLTALE_INGEST_URL = '', TELLTALE_INGEST_KEY = '', DATABASE_URL = '' } = env
    const daemon = await startExaiDaemon({
      python: python ?? '',
      under: [telltalePy, '--service', 'exai'],
      env: { TELLTALE_INGEST_URL, TELLTALE_INGEST_KEY, TELLTALE_OUTBOX_DIR: 'none', EXAI_API_MS: '5' },
    })
    cleanups.push(daemon.close)
    const client = await connectExai(daemon.url, { session_id: 'window-1' })
    await client.call('chat', { prompt: 'hello', thinking_mode: 'high' })
    await client.call('raising')
    await client.close()

    const database = new pg.Client({ connectionString: DATABASE_URL })
    await database.connect()
    cleanups.push(() => database.end())
    const rowsOf = async (text: string) => (await database.query({ text, rowMode: 'array' })).rows
    // The 2 s that the end of a host waits are not enough for a database that is new on a machine that is busy.
    const ended = () => rowsOf('select from telltale.traces where outcome is not null').then(({ length }) => length)
    await expect.poll(ended, { timeout: 60_000 }).toBe(2)
    expect(await daemon.close()).toBe(0)
    expect(
      await rowsOf('select tool, outcome, call_number::int, session_rule from telltale.traces order by started_at'),
    ).toEqual([
      ['chat', 'ok', 1, 'mcp'],
      ['raising', 'tool_error', 2, 'mcp'],
    ])
    const layers = await rowsOf(
      "select distinct s.layer from telltale.spans s join telltale.traces t using (trace_id) where t.tool = 'chat'",
    )
    expect(layers.flat().toSorted()).toEqual(['api', 'provider', 'storage', 'tool', 'websocket'])
    const errors = await rowsOf('select error_type, traceback from telltale.errors')
    expect(errors).toEqual([['KeyError', expect.stringContaining('in open_the_drawer')]])
    const messages = await rowsOf(
      'select role, model_used, provider_used, tool_name, thinking_mode, response_time_ms > 0, token_usage is null from telltale.messages order by at',
    )
    expect(messages).toEqual(
      ['user', 'assistant'].map((role) => [role, 'glm-4.5-flash', 'GLM', 'chat', 'high', true, false]),
    )
  },
  120_000,
)
