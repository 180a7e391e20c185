import { Server as FirstServer } from '@modelcontextprotocol/sdk/server/index.js'
import { CallToolRequestSchema, ReadResourceRequestSchema } from '@modelcontextprotocol/sdk/types.js'
import { Server as SecondServer } from '@modelcontextprotocol/server'
import { createReporter, instrument } from '../src/reporter/reporter.ts'
import { type Supply, supplyOf, type WayIn } from './privacy_way_fixture.ts'
import { linked, type Major, majors } from './sdk_server_fixture.ts'

type Asked = { readonly params: { readonly arguments?: { readonly [name: string]: unknown } | undefined } }

/** Servers of both majors under `instrument`, with the content of all tools. */
export const byInstrument: WayIn = async (secrets, env) => {
  const supply = supplyOf(secrets)
  const said: string[] = []
  const reporter = createReporter({
    ingestUrl: env.TELLTALE_INGEST_URL,
    ingestKey: env.TELLTALE_INGEST_KEY,
    service: supply.text(),
    env: {},
    flushOnExit: false,
    warn: (text) => said.push(text),
  })
  const session = supply.text()
  const clients = await Promise.all(
    majors.map(async (major) => {
      const server = instrument(echoServer(major, supply), { reporter, content: ['tool=*'], session })
      return (await linked(major, server as never)).client
    }),
  )
  for (let n = 0; supply.left > 0; n += 1) {
    const client = clients[n % clients.length]
    const args = { ...supply.bag(), prompt: supply.text(), continuation_id: supply.text() }
    const meta = { progressToken: supply.text(), [supply.text()]: supply.text() }
    await client?.callTool({ name: supply.text(), arguments: args, _meta: meta }).catch(() => undefined)
    const uri = `https://x.io/?key=${encodeURIComponent(supply.text())}`
    if (n % 5 === 0) await client?.readResource({ uri }).catch(() => undefined)
  }
  await Promise.all(clients.map((client) => client.close()))
  await reporter.flush()
  await reporter.close(10_000)
  return said.join('\n')
}

/** Answers each call with what it was asked: in turn as content, as an error of the tool, and by throwing it. */
function echoServer(major: Major, supply: Supply): FirstServer | SecondServer {
  const info = { name: supply.text(), version: supply.text() }
  const capabilities = { capabilities: { tools: {}, resources: {} } }
  let n = 0
  const answer = ({ params }: Asked) => {
    const text = JSON.stringify(params.arguments)
    n += 1
    if (n % 3 === 0) throw new RangeError(`Cannot answer ${text}`, { cause: new Error(supply.text()) })
    return {
      content: [{ type: 'text' as const, text }],
      structuredContent: params.arguments ?? {},
      isError: n % 2 === 0,
    }
  }
  const fail = () => {
    throw new Error(supply.text())
  }
  if (major === 'first') {
    const server = new FirstServer(info, capabilities)
    server.setRequestHandler(CallToolRequestSchema, answer)
    server.setRequestHandler(ReadResourceRequestSchema, fail)
    return server
  }
  const server = new SecondServer(info, capabilities)
  server.setRequestHandler('tools/call', answer)
  server.setRequestHandler('resources/read', fail)
  return server
}
