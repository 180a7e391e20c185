import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stackClientOf } from '../src/cli/stack_client.ts'
import { type Stack, startStack } from '../src/local/stack.ts'
import { pythonWith, runPython } from './python_fixture.ts'
import { createDataDir } from './stack_fixture.ts'

// OpenTelemetry's own SDK, set up by its environment variables alone, against a real stack.

let stack: Stack
const data = createDataDir()

beforeAll(async () => {
  stack = await startStack({ dataDir: data.dir, port: 0, log: () => {} })
})
afterAll(async () => {
  await stack?.close()
  data.remove()
})

function start(file: string, env: Record<string, string>): ChildProcess {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url))], {
    env: { PATH, HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  process.once('exit', () => child.kill('SIGKILL'))
  return child
}

async function endOf(child: ChildProcess): Promise<string> {
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text) => (printed += text))
  await once(child, 'close')
  return printed
}

type Row = { readonly trace_id: string; readonly service: string; readonly name: string }
type SpanRow = {
  readonly name: string
  readonly layer: string
  readonly kind: string
  readonly entry?: true
  readonly attributes: Record<string, unknown>
}

test.each(['http/protobuf', 'http/json'])(
  'OpenTelemetry JS sends its auto-instrumented spans, metrics and errors (%s)',
  async (protocol) => {
    const { TELLTALE_INGEST_URL: endpoint = '', TELLTALE_INGEST_KEY: key = '', DATABASE_URL = '' } = stack.env
    const service = `shop-${protocol.replace('/', '-')}`
    const printed = await endOf(
      start('./otel_app_fixture.mjs', {
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${key}`,
        OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
        OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
        OTEL_METRICS_EXPORTER: 'otlp',
        OTEL_LOGS_EXPORTER: 'otlp',
        OTEL_SERVICE_NAME: service,
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test,service.instance.id=one',
        APP_DATABASE_URL: DATABASE_URL,
      }),
    )
    expect(printed).toBe('shut down\n')
    const client = stackClientOf(stack.env)
    const { rows } = (await client.rpc('traces', { filter: { service } })) as { rows: Row[] }
    // One for the request; to the one that asked, this is another process's call.
    expect(rows).toHaveLength(1)
    const found = (await client.rpc('trace', { trace_id: rows[0]?.trace_id })) as {
      trace: {
        spans: SpanRow[]
        tokens_in: number
        tokens_out: number
        provider: string
        model: string
        environment: string
        instance: string
      }
      errors: { error_type: string; message: string; traceback: string }[]
    }
    expect(found.trace).toMatchObject({
      environment: 'test',
      instance: 'one',
      provider: 'kimi',
      model: 'k2',
      tokens_in: 11,
      tokens_out: 7,
    })
    const layersBy = (name: RegExp) =>
      [
        ...new Set(
          found.trace.spans.filter((span) => name.test(span.name)).map(({ layer, kind }) => `${layer} ${kind}`),
        ),
      ].sort()
    expect(layersBy(/^pg\.query/)).toEqual(['storage work'])
    expect(layersBy(/^pg(-pool)?\.connect/)).toEqual(['storage wait'])
    expect(layersBy(/^chat/)).toEqual(['api work'])
    expect(layersBy(/^GET$/)).toEqual(['api work', 'tool work'])
    expect(found.trace.spans.filter(({ entry }) => entry === true)).toHaveLength(1)
    expect(found.errors.map(({ error_type }) => error_type)).toContain('TypeError')
    const failure = found.errors.find(({ error_type }) => error_type === 'TypeError')
    expect(failure).toMatchObject({ message: 'Cannot answer: the model is away' })
    expect(failure?.traceback).toContain('otel_app_fixture.mjs')
    expect(found.errors.some(({ message }) => message.includes('42P01'))).toBe(true)
    expect(JSON.stringify(found)).not.toMatch(/s3cret-value|what was said/)
    const gauges = (await client.rpc('export_page', { kind: 'gauges', filter: { service }, n: 1000 })) as {
      rows: { name: string }[]
    }
    expect(gauges.rows.map(({ name }) => name)).toContain('db.client.connection.count')
    const { rows: gaps } = (await client.rpc('gaps', { filter: { service } })) as { rows: unknown[] }
    expect(gaps).toEqual([])
  },
  60_000,
)

const python = await pythonWith('sdk')

test.skipIf(python.python === null)(
  'OpenTelemetry Python sends its spans, exceptions and metrics',
  async () => {
    const { TELLTALE_INGEST_URL: endpoint = '', TELLTALE_INGEST_KEY: key = '' } = stack.env
    const file = fileURLToPath(new URL('./otel_app_fixture.py', import.meta.url))
    const run = await runPython([file], {
      python: python.python ?? '',
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${key}`,
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
        OTEL_SERVICE_NAME: 'shop-python',
      },
    })
    expect([run.code, run.err]).toEqual([0, ''])
    const client = stackClientOf(stack.env)
    const { rows } = (await client.rpc('traces', { filter: { service: 'shop-python' } })) as { rows: Row[] }
    expect(rows).toMatchObject([{ name: 'tools/call add', tool: 'add', session_key: 's1', session_rule: 'mcp' }])
    const found = (await client.rpc('trace', { trace_id: rows[0]?.trace_id })) as {
      trace: { spans: SpanRow[] }
      errors: { error_type: string; message: string; traceback: string }[]
    }
    expect(found.trace.spans.map(({ name, layer }) => `${name} ${layer}`)).toEqual([
      'tools/call add tool',
      'SELECT storage',
    ])
    expect(found.errors).toMatchObject([{ error_type: 'ValueError', message: 'no such sum' }])
    expect(found.errors[0]?.traceback).toContain('otel_app_fixture.py')
    const gauges = (await client.rpc('export_page', { kind: 'gauges', filter: { service: 'shop-python' } })) as {
      rows: { name: string }[]
    }
    expect(gauges.rows.map(({ name }) => name).sort()).toEqual(['calls', 'took.count', 'took.sum'])
  },
  60_000,
)
