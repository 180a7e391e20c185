import type { Json } from '../src/core/record.ts'
import { type CallNode, nodeOf, waitOf, withoutLayers, workOf } from './incident_tree.ts'
import type { Call, World } from './incident_world.ts'

/** What a call does and how long each part takes by nature: shim, websocket, tool, provider, api and storage. */
export function treeOf(world: World, call: Call): CallNode {
  const { dice, hidden } = world
  const { tool, server } = call
  // A busy moment slows all that a call does; each part has its own luck beside.
  const luck = dice.around(1, world.sigma * 0.4)
  const msOf = (layer: string, part = 1) => {
    const ms = (tool.ms[layer] ?? 0) * part * luck * dice.around(1, world.sigma)
    return dice.is(world.tailShare) ? ms * dice.logBetween(3, 20) : ms
  }
  const toolNode = nodeOf('tool', toolNameOf(world, tool.name), server.id, msOf('tool'), {
    fields: { tool: tool.name },
  })
  const storage = (n: number) =>
    Array.from({ length: n }, (_, index) => {
      const name = world.book.storage[(tool.name.length + index) % world.book.storage.length] as string
      return nodeOf('storage', name, server.id, msOf('storage', 1 / tool.storageCalls))
    })
  const reads = Math.ceil(tool.storageCalls / 2)
  toolNode.children.push(...storage(reads))
  if (world.ownLayer !== null && !hidden.has('storage')) {
    const ms = (tool.ms.storage ?? 1) * 0.15 * dice.around(1, world.sigma)
    toolNode.children.push(nodeOf(world.ownLayer, `${world.ownLayer} ${tool.name}`, server.id, ms))
  }
  if (call.provider !== null) {
    const turns = dice.whole(1, world.turnsMax)
    const part = (layer: string) => msOf(layer, 1 / turns)
    for (let turn = 0; turn < turns; turn++) toolNode.children.push(providerOf(world, call, part))
  }
  toolNode.children.push(...storage(tool.storageCalls - reads))
  // Now and then there is a moment to wait, as ever.
  if (world.style === 'exai' && dice.is(0.2)) {
    toolNode.children.unshift(waitOf(toolNode, 'permit global_sem', dice.between(1, 5)))
  }
  toolNode.parallel = dice.is(world.parallelShare) && call.provider === null
  if (world.steps) stepInto(world, toolNode)
  let root = withoutLayers(toolNode, hidden)
  for (const layer of ['websocket', 'shim']) {
    const process = layer === 'shim' ? call.client.process : server.id
    if (hidden.has(layer)) root.ms += msOf(layer)
    else root = nodeOf(layer, outerNameOf(world, layer, tool.name), process, msOf(layer), { children: [root] })
  }
  dressHead(world, call, root)
  return root
}

/** A tool tells its steps: they share what it did by itself. */
function stepInto({ dice }: World, toolNode: CallNode): void {
  const names = dice.some(['parse arguments', 'validate', 'render', 'plan', 'rank'], dice.whole(1, 3))
  const part = (toolNode.ms * 0.8) / names.length
  toolNode.ms *= 0.2
  const steps = names.map((name) => nodeOf('tool', name, toolNode.process, part))
  toolNode.children.unshift(...steps.slice(0, 1))
  toolNode.children.push(...steps.slice(1))
}

function providerOf(world: World, call: Call, msOf: (layer: string, part?: number) => number): CallNode {
  const { provider, model, server } = call
  const apiMs = msOf('api')
  const chunkPart = world.streams === 'none' ? 0 : world.dice.between(0.25, 0.45)
  const fields = { provider, model, tokens_in: call.tokensIn, tokens_out: call.tokensOut }
  const api = nodeOf('api', apiNameOf(world, call), server.id, apiMs * (1 - chunkPart), { fields: { ...fields } })
  if (chunkPart > 0) api.children.push(waitOf(api, 'first chunk', apiMs * chunkPart))
  const name = world.style === 'otlp' ? `chat ${model}` : `${provider} generate`
  const node = nodeOf('provider', name, server.id, msOf('provider'), { fields: { provider, model }, children: [api] })
  // Where the API itself is not seen, its client tells of it.
  if (world.hidden.has('api')) node.fields = { ...fields }
  return node
}

/** Tells the time to the first chunk as its world tells it: as a wait span, or as an attribute alone. */
export function tellFirstChunk(world: World, root: CallNode): void {
  if (world.streams === 'none') return
  for (const api of workOf(root, 'api')) {
    const wait = api.children.find(({ name }) => name === 'first chunk')
    if (wait === undefined) continue
    api.attributes['telltale.first_chunk_ms'] = Math.round(wait.ms * 1_000) / 1_000
    api.attributes['telltale.chunk_count'] = world.dice.whole(5, 300)
    if (world.streams === 'span') continue
    api.ms += wait.ms
    api.children = api.children.filter((child) => child !== wait)
  }
}

function dressHead(world: World, call: Call, root: CallNode): void {
  const { session, callNumber, client } = call
  root.fields = {
    ...root.fields,
    entry: true,
    ...(world.dice.is(world.namelessShare) ? {} : { tool: call.tool.name }),
    bytes_in: call.bytesIn,
    bytes_out: call.bytesOut,
    request_id: world.style === 'exai' ? 'unknown' : String(call.index),
    session,
    call_number: world.recordsNumbers ? callNumber : null,
  }
  const transport: { [key: string]: Json } =
    root.layer === 'tool' && world.style === 'plain'
      ? { 'network.transport': 'pipe' }
      : { 'network.transport': 'tcp', 'network.protocol.name': world.style === 'otlp' ? 'http' : 'websocket' }
  root.attributes = {
    'mcp.method.name': 'tools/call',
    ...transport,
    'mcp.client.name': client.name,
    'mcp.client.version': client.version,
    ...(world.style === 'otlp'
      ? {}
      : { 'telltale.argument_shape': { prompt: `string(${Math.ceil(call.bytesIn * 0.8)})` } }),
  }
}

function toolNameOf(world: World, tool: string): string {
  if (world.style === 'otlp') return `execute_tool ${tool}`
  return world.style === 'exai' ? `run ${tool}` : `tools/call ${tool}`
}

function outerNameOf(world: World, layer: string, tool: string): string {
  if (world.style === 'otlp') return 'POST /mcp'
  return layer === 'websocket' && world.style === 'exai' ? `call_tool ${tool}` : `tools/call ${tool}`
}

function apiNameOf(world: World, call: Call): string {
  return world.style === 'exai' ? `POST /${call.provider?.toLowerCase()}/chat/completions` : 'POST /v1/chat/completions'
}
