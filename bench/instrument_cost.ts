// What instrument() adds to a call: the same server in memory, plain, instrumented, and instrumented with a far end that is
// down, in turns, for both majors of the SDK. Usage: node bench/instrument_cost.ts
import { createReporter, instrument, type Reporter } from '../src/reporter/reporter.ts'
import { startIngest } from '../test/ingest_fixture.ts'
import { linked, majors, serverOf } from '../test/sdk_server_fixture.ts'

const warmUp = 500
const rounds = 40
const callsARound = 100

const far = await startIngest()
far.flushAfterMs = 250
const shared = { ingestKey: far.key, env: { TELLTALE_OUTBOX_DIR: 'none' }, flushOnExit: false, warn: () => undefined }
const up = createReporter({ ...shared, ingestUrl: far.url })
const down = createReporter({ ...shared, ingestUrl: 'http://127.0.0.1:9/' })
const ways: readonly (readonly [string, Reporter | null])[] = [
  ['plain', null],
  ['instrumented', up],
  ['far end down', down],
]

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0
}

for (const major of majors) {
  const clients = await Promise.all(
    ways.map(async ([name, reporter]) => {
      const server = serverOf(major)
      const { client, said } = await linked(major, reporter ? instrument(server, { reporter }) : server)
      return { name, client, said, times: [] as number[] }
    }),
  )
  const params = { name: 'echo', arguments: { path: 'a/file.txt', limit: 20, message: 'x'.repeat(500) } }
  for (let round = -warmUp / callsARound; round < rounds; round++) {
    for (const { client, said, times } of clients) {
      for (let n = 0; n < callsARound; n++) {
        const startedAt = performance.now()
        await client.callTool(params)
        if (round >= 0) times.push(performance.now() - startedAt)
      }
      said.length = 0
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const plain = clients[0]?.times.sort((a, b) => a - b) ?? []
  for (const { name, times } of clients) {
    times.sort((a, b) => a - b)
    const [p50, p99] = [0.5, 0.99].map((part) => {
      const ms = quantile(times, part)
      return `${(ms * 1000).toFixed(0)} µs (+${((ms - quantile(plain, part)) * 1000).toFixed(0)})`
    })
    console.log(`${major} major, ${name}: p50 ${p50}, p99 ${p99} of ${times.length} calls`)
  }
  await Promise.all(clients.map(({ client }) => client.close()))
}
await Promise.all([up.close(500), down.close(0)])
console.log(`spans stored: ${far.spans().filter((span) => span.end_us !== null).length}`)
await far.close()
