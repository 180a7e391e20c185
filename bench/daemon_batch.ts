import { randomBytes, randomUUID } from 'node:crypto'

const toolNames = ['chat', 'analyze', 'debug', 'thinkdeep', 'codereview', 'planner']
const layersOfCall = ['shim', 'websocket', 'tool', 'provider', 'api', 'storage'] as const

/** A process that sends: its batches differ in nothing but time, ids and what the seed draws. */
export type BenchProcess = { readonly id: string; readonly startedAtUs: number; seq: number; calls: number }

export function benchProcess(nowUs: number): BenchProcess {
  return { id: randomUUID(), startedAtUs: nowUs, seq: 0, calls: 0 }
}

/**
 * A batch as a busy daemon would send it: whole calls of nested spans, one of each of `layers`, as a JSON value of the
 * wire. `spans` is rounded down to whole calls.
 */
export function daemonBatch(
  process: BenchProcess,
  spans: number,
  nowUs: number,
  layers: readonly (typeof layersOfCall)[number][] = layersOfCall,
) {
  process.seq += 1
  const records = []
  for (let call = 0; call < Math.floor(spans / layers.length); call++) {
    process.calls += 1
    const trace_id = randomBytes(16).toString('hex')
    const tool = toolNames[process.calls % toolNames.length]
    const start = nowUs - 2_000_000 + call * 1_000
    const length = 400_000 + ((process.calls * 7919) % 500_000)
    let parent: string | null = null
    for (const [depth, layer] of layers.entries()) {
      const span_id: string = randomBytes(8).toString('hex')
      records.push({
        type: 'span',
        trace_id,
        span_id,
        parent_span_id: parent,
        layer,
        name: layer === 'tool' ? `tools/call ${tool}` : `${layer}.call`,
        start_us: start + depth * 900,
        end_us: start + length - depth * 900,
        outcome: 'ok',
        entry: depth === 0,
        ...(depth === 0
          ? {
              request_id: String(process.calls),
              session: { key: sessionOf(process), rule: 'connection' },
              call_number: (process.calls & 15) + 1,
            }
          : {}),
        tool,
        ...(layer === 'api' ? { provider: 'glm', model: 'glm-4.6', tokens_in: 812, tokens_out: 230 } : {}),
        bytes_in: 512 + call,
        bytes_out: 2_048 + call,
        attributes: depth === 2 ? { 'mcp.method.name': 'tools/call' } : {},
      })
      parent = span_id
    }
  }
  return {
    batch_id: randomUUID(),
    made_at_us: nowUs,
    source: { service: 'bench', instance: 'one', environment: 'bench', version: '1' },
    process: { id: process.id, started_at_us: process.startedAtUs, host: 'bench', pid: 1, sdk: 'bench/1' },
    seq: process.seq,
    counters: { recorded: process.calls * layers.length, dropped: {} },
    running: [],
    running_total: 0,
    records,
  }
}

/** Sixteen calls make a conversation. */
export function sessionOf({ id, calls }: BenchProcess): string {
  return `session-${id.slice(0, 8)}-${calls >> 4}`
}

export type DaemonBatch = ReturnType<typeof daemonBatch>
