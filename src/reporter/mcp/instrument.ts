import { createReporter } from '../create_reporter.ts'
import type { Reporter } from '../wait/wait_surface.ts'
import { textOf, warnOnce, writeWarning } from '../warning.ts'
import { saltOf } from './argument_hash.ts'
import { parseContentRules } from './content_rule.ts'
import { isExplained, watchHandlers } from './handler_failure.ts'
import { mcpFaults, ProtocolFaults } from './protocol_fault.ts'
import type { SdkTransport } from './sdk_transport.ts'
import { type WatchOptions, watchTransport } from './watched_transport.ts'

/** Everything may be left out. */
export type InstrumentOptions = {
  /** By default one of the settings in TELLTALE_*, shared by all servers of the process and named after the first. */
  readonly reporter?: Reporter | undefined
  /** The layer that the server is; `tool` by default. */
  readonly layer?: string | undefined
  /** An explicit session handle for calls without a more specific one. */
  readonly session?: string | undefined
  /** Of which tools arguments and results are recorded, such as `['tool=chat']`; TELLTALE_CONTENT by default. */
  readonly content?: readonly string[] | undefined
}

/** The low-level server, which the high-level one has in `server`. */
type Protocol = {
  connect(transport: SdkTransport, ...args: unknown[]): unknown
  readonly transport?: SdkTransport | undefined
  readonly _serverInfo?: { readonly name?: unknown }
  readonly _requestHandlers?: unknown
  readonly fallbackRequestHandler?: unknown
}

const warn = warnOnce(writeWarning)
const instrumented = new WeakSet<object>()
const faultsOf = new WeakMap<Reporter, ProtocolFaults>()
let shared: Reporter | null = null

/**
 * Records every request to a server of the official MCP SDK (`@modelcontextprotocol/sdk` 1, `@modelcontextprotocol/server`
 * 2; `McpServer` or `Server`), on any transport: tools, resources, prompts, what the server asks the client, progress,
 * cancellation. A request's span is active while its handler runs; what a handler throws is recorded with its stack. Call
 * it before or after `connect`, once or often; in a factory of stateless servers, on each of them. Answers the server.
 * Never throws, and never changes what the server answers.
 */
export function instrument<S extends object>(server: S, options: InstrumentOptions = {}): S {
  try {
    watchServer(server, options)
  } catch (error) {
    warn('instrument', `Cannot instrument the server: ${textOf(error)}`)
  }
  return server
}

function watchServer(server: object, options: InstrumentOptions): void {
  const protocol = protocolOf(server)
  if (protocol === null) throw new TypeError('it has no connect()')
  if (instrumented.has(protocol)) return
  const reporter = options.reporter ?? sharedReporter(protocol)
  if (!reporter.enabled) return
  instrumented.add(protocol)
  watchHandlers(server, protocol, reporter)
  const watchOptions = watchOptionsOf(reporter, options)
  const connect = protocol.connect
  protocol.connect = function (this: Protocol, transport, ...args) {
    try {
      watchTransport(transport, watchOptions, false)
    } catch (error) {
      warn('connect', `Cannot instrument a connection: ${textOf(error)}`)
    }
    return connect.call(this, transport, ...args)
  }
  if (protocol.transport) watchTransport(protocol.transport, watchOptions, true)
}

function protocolOf(server: object): Protocol | null {
  const inner = (server as { readonly server?: unknown }).server
  for (const candidate of [inner, server]) {
    if (typeof candidate !== 'object' || candidate === null) continue
    if (typeof (candidate as Protocol).connect === 'function') return candidate as Protocol
  }
  return null
}

function sharedReporter(protocol: Protocol): Reporter {
  if (shared) return shared
  const name = protocol._serverInfo?.name
  const named = process.env.TELLTALE_SERVICE?.trim() || typeof name !== 'string' ? {} : { service: name }
  shared = createReporter(named)
  return shared
}

function watchOptionsOf(reporter: Reporter, { layer, session, content }: InstrumentOptions): WatchOptions {
  const rules = parseContentRules(content ?? [process.env.TELLTALE_CONTENT ?? ''])
  if (!rules.ok) warn('content', rules.error)
  const faults = faultsOf.get(reporter) ?? new ProtocolFaults(reporter, mcpFaults)
  faultsOf.set(reporter, faults)
  const key = process.env.TELLTALE_INGEST_KEY
  const salt = key ? saltOf(key) : undefined
  const kept = rules.ok ? rules.value : undefined
  return { reporter, layer, session, content: kept, salt, faults, explained: isExplained, warn }
}
