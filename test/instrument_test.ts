import { expect, test } from 'vitest'
import type { Span } from '../src/core/record.ts'
import { messageBytesOf } from '../src/reporter/mcp/message_size.ts'
import { createReporter, instrument } from '../src/reporter/reporter.ts'
import { type AnyClient, linked, type Major, majors, serverOf } from './sdk_server_fixture.ts'
import { reportEachTest } from './wait_reporter_fixture.ts'

const reported = reportEachTest()

async function instrumented(major: Major): Promise<AnyClient> {
  const { client } = await linked(
    major,
    instrument(serverOf(major, reported.reporter), { reporter: reported.reporter }),
  )
  return client
}

async function ended(): Promise<readonly Span[]> {
  await reported.reporter.flush()
  return reported.far.spans().filter((span) => span.end_us !== null)
}

async function one(name: string): Promise<Span> {
  const [span, ...more] = await reported.spansNamed(name)
  if (!span || more.length > 0)
    throw new Error(`Cannot find the one span ${name}: there are ${more.length + (span ? 1 : 0)}`)
  return span
}

for (const major of majors) {
  test(`instrument() records what a server of the ${major} major is asked, and how it ends`, async () => {
    const client = await instrumented(major)
    await client.listTools()
    await client.callTool({ name: 'echo', arguments: { message: 'secret', n: 1 } })
    await client.callTool({ name: 'blank' })
    await client.callTool({ name: 'refuse' })
    await client.readResource({ uri: 'note://one' })
    await client.getPrompt({ name: 'greet' })
    await client.callTool({ name: 'nobody' }).catch(() => undefined)
    await client.close()
    const echo = await one('tools/call echo')
    expect(echo).toMatchObject({
      layer: 'tool',
      kind: 'work',
      tool: 'echo',
      outcome: 'ok',
      entry: true,
      call_number: 1,
    })
    expect(echo.session?.rule).toBe('connection')
    expect(echo.attributes).toMatchObject({
      'mcp.method.name': 'tools/call',
      'network.transport': 'pipe',
      'mcp.client.name': major === 'first' ? 'one' : 'two',
      'mcp.server.name': major,
      'telltale.argument_shape': { message: 'string(6)', n: 'number' },
    })
    expect(echo.bytes_in).toBeGreaterThan(60)
    expect(echo.bytes_out).toBeGreaterThan(60)
    expect(await one('tools/call blank')).toMatchObject({ outcome: 'empty', call_number: 2, session: echo.session })
    expect(await one('tools/call refuse')).toMatchObject({ outcome: 'tool_error', call_number: 3 })
    expect(await one('resources/read')).toMatchObject({ attributes: { 'mcp.resource.uri': 'note://one' }, tool: null })
    expect((await ended()).map((span) => span.name)).toEqual(
      expect.arrayContaining(['initialize', 'tools/list', 'prompts/get greet', 'tools/call nobody']),
    )
    expect(JSON.stringify(reported.far.batches)).not.toContain('secret')
    const events = reported.far.batches.flatMap(({ records }) => records.filter((record) => record.type === 'event'))
    expect(events).toMatchObject([{ connection_type: 'stdio', direction: 'disconnect' }])
  })

  test(`instrument() records what a handler throws once, with the stack of the ${major} major's own code`, async () => {
    const client = await instrumented(major)
    expect((await client.callTool({ name: 'fail' })).isError).toBe(true)
    await expect(client.readResource({ uri: 'note://broken' })).rejects.toThrow('the disk is full')
    await client.callTool({ name: 'refuse' })
    const [call, read] = [await one('tools/call fail'), await one('resources/read')]
    expect([call.outcome, read.outcome]).toEqual(['tool_error', 'server_fault'])
    const errors = reported.far.errors()
    expect(errors.map((error) => [error.error_type, error.message, error.trace_id])).toEqual([
      ['RangeError', 'the disk is full', call.trace_id],
      ['RangeError', 'the disk is full', read.trace_id],
      ['ToolError', 'no such file', (await one('tools/call refuse')).trace_id],
    ])
    expect(errors[0]?.traceback).toMatch(/^RangeError: the disk is full\n\s+at burstIntoFlames \(/)
    expect(errors[1]?.context).toMatchObject({ method: 'resources/read' })
  })

  test(`instrument() tells what the ${major} major's server asks of its client as a wait of the call that asks`, async () => {
    const client = await instrumented(major)
    const [asked] = await Promise.all([client.callTool({ name: 'ask' }), client.callTool({ name: 'slow' })])
    expect(asked.content[0]?.text).toBe('small')
    const call = await one('tools/call ask')
    expect(await one('sampling/createMessage')).toMatchObject({
      kind: 'wait',
      holder: 'client',
      outcome: 'ok',
      trace_id: call.trace_id,
      parent_span_id: call.span_id,
    })
  })

  test(`instrument() counts progress and knows when the first came, and that a call was cancelled, in the ${major} major`, async () => {
    const client = await instrumented(major)
    let seen = 0
    await client.callTool({ name: 'slow' }, { onprogress: () => void seen++ })
    expect(seen).toBe(3)
    const slow = await one('tools/call slow')
    expect(slow.attributes).toMatchObject({ 'telltale.progress_count': 3 })
    const first = Number(slow.attributes['telltale.first_chunk_ms'])
    expect(first).toBeGreaterThanOrEqual(15)
    expect(first).toBeLessThan(((slow.end_us ?? 0) - slow.start_us) / 1000 - 15)
    const abort = new AbortController()
    const hangs = client.callTool({ name: 'hang' }, { signal: abort.signal })
    await client.listTools()
    abort.abort('enough')
    await expect(hangs).rejects.toThrow()
    await client.listTools()
    expect(await one('tools/call hang')).toMatchObject({ outcome: 'cancelled' })
    expect(reported.far.errors()).toEqual([])
  })

  test(`instrument() goes on with the context in _meta, and has a request's span active in its handler, in the ${major} major`, async () => {
    const client = await instrumented(major)
    const [trace, outer] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']
    const _meta = { traceparent: `00-${trace}-${outer}-01`, tracestate: `telltale=${outer}` }
    await Promise.all([client.callTool({ name: 'work', _meta }), client.callTool({ name: 'slow' })])
    const call = await one('tools/call work')
    expect(call).toMatchObject({ trace_id: trace, parent_span_id: outer, entry: false })
    expect(await one('query')).toMatchObject({ trace_id: trace, parent_span_id: call.span_id, layer: 'storage' })
    await client.callTool({ name: 'echo', _meta: { traceparent: _meta.traceparent } })
    expect(await one('tools/call echo')).toMatchObject({ trace_id: trace, entry: true })
  })

  test(`an instrumented server of the ${major} major says what the plain one does, byte for byte, far end or none`, async () => {
    const nowhere = { ingestUrl: 'http://127.0.0.1:9/', ingestKey: 'tt_x_y', env: {}, flushOnExit: false }
    const down = createReporter({ ...nowhere, warn: () => undefined, retryMs: 5 })
    const sayings = [null, reported.reporter, down].map(async (reporter) => {
      const server = serverOf(major)
      const { client, said } = await linked(major, reporter ? instrument(server, { reporter }) : server)
      for (const name of ['echo', 'fail', 'refuse', 'blank', 'ask', 'slow', 'nobody']) {
        await client.callTool({ name, arguments: { a: 1 } }, { onprogress: () => undefined }).catch(() => undefined)
      }
      for (const uri of ['note://one', 'note://broken', 'note://none']) {
        await client.readResource({ uri }).catch(() => undefined)
      }
      await client.getPrompt({ name: 'greet' })
      await client.close()
      return said
    })
    const [plain, recorded, lost] = await Promise.all(sayings)
    expect(plain?.length).toBeGreaterThan(25)
    expect(recorded).toEqual(plain)
    expect(lost).toEqual(plain)
    await down.close(0)
  })
}

test('instrument() begins with a server that is connected already, and once however often it is called', async () => {
  const server = serverOf('first')
  const { client } = await linked('first', server)
  expect(instrument(server, { reporter: reported.reporter })).toBe(server)
  const { connect } = server.server
  expect(instrument(server, { reporter: reported.reporter })).toBe(server)
  expect(instrument(server.server, { reporter: reported.reporter })).toBe(server.server)
  expect(server.server.connect).toBe(connect)
  await client.callTool({ name: 'fail' })
  expect(await one('tools/call fail')).toMatchObject({ outcome: 'tool_error' })
  expect(reported.far.errors()).toHaveLength(1)
})

test('instrument() leaves a server as it is where nothing is reported, and what is no server too', async () => {
  const server = serverOf('second')
  const before = [Object.keys(server), Object.keys(server.server), server.server.connect]
  expect(instrument(server, { reporter: createReporter({ env: {} }) })).toBe(server)
  expect([Object.keys(server), Object.keys(server.server), server.server.connect]).toEqual(before)
  const strange = Object.freeze({ connect: () => 'connected' })
  expect(instrument(strange, { reporter: reported.reporter }).connect()).toBe('connected')
  expect(instrument({} as object, { reporter: reported.reporter })).toEqual({})
})

test('instrument() records what was said only of the tools that were named', async () => {
  const { reporter } = reported
  const { client } = await linked('second', instrument(serverOf('second'), { reporter, content: ['tool=ec*'] }))
  await client.callTool({ name: 'echo', arguments: { message: 'said' } })
  await client.callTool({ name: 'blank', arguments: { message: 'unsaid' } })
  expect((await one('tools/call echo')).attributes['telltale.arguments']).toBe('{"message":"said"}')
  await one('tools/call blank')
  expect(JSON.stringify(reported.far.batches)).not.toContain('unsaid')
})

test('messageBytesOf() tells the size of JSON without making it, and gives up on what is too large', () => {
  for (const value of [null, 7, 'größe', [], {}, { a: [1, 'b', null], ä: { b: true, c: undefined } }, [[], [{}]]]) {
    expect(messageBytesOf(value), JSON.stringify(value)).toBe(Buffer.byteLength(JSON.stringify(value)))
  }
  const round: { self?: unknown } = {}
  round.self = round
  expect(messageBytesOf(round)).toBe(null)
  expect(messageBytesOf(new Array(20_000).fill(0))).toBe(null)
})
