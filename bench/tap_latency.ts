// What the tap adds to an echo call: the same client and server over bare pipes and through `telltale wrap`, in turns,
// with a far end that takes every batch. Usage: node bench/tap_latency.ts
import { fileURLToPath } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { startIngest } from '../test/ingest_fixture.ts'

const warmUp = 300
const calls = 2_000
const root = fileURLToPath(new URL('..', import.meta.url))
const server = [`${root}node_modules/@modelcontextprotocol/server-everything/dist/index.js`]
const wrap = [`${root}test/wrap_fixture.ts`, 'wrap', '--', process.execPath]

const far = await startIngest()
far.flushAfterMs = 250

async function connect(args: readonly string[]): Promise<Client> {
  const client = new Client({ name: 'bench', version: '1' })
  const env = { TELLTALE_INGEST_URL: far.url, TELLTALE_INGEST_KEY: far.key }
  await client.connect(new StdioClientTransport({ command: process.execPath, args: [...args], env, stderr: 'ignore' }))
  return client
}

async function msOf(client: Client): Promise<number> {
  const began = performance.now()
  await client.callTool({ name: 'echo', arguments: { message: 'hello' } })
  return performance.now() - began
}

const bare = await connect(server)
const tapped = await connect([...wrap, ...server])
const times: { readonly bare: number[]; readonly tapped: number[] } = { bare: [], tapped: [] }
for (let call = 0; call < warmUp + calls; call++) {
  const pair = [await msOf(bare), await msOf(tapped)] as const
  if (call < warmUp) continue
  times.bare.push(pair[0])
  times.tapped.push(pair[1])
}
await Promise.all([bare.close(), tapped.close()])
await far.close()

const quantile = (values: readonly number[], q: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] ?? 0
for (const q of [0.5, 0.99]) {
  const [without, with_] = [quantile(times.bare, q), quantile(times.tapped, q)]
  console.log(
    `p${q * 100}  bare ${without.toFixed(3)} ms  tapped ${with_.toFixed(3)} ms  added ${(with_ - without).toFixed(3)} ms`,
  )
}
