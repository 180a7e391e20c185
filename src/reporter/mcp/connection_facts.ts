import type { Attributes, Session } from '../../core/record.ts'
import type { McpParams, McpParty, McpResult } from '../../wire/mcp_frame.ts'

/** What a connection has told of itself so far, under the names that OpenTelemetry has for it. */
export class ConnectionFacts {
  readonly #connectionId: string | null
  readonly #explicitSession: string | null
  #protocolVersion: string | null = null
  /** The header `Mcp-Session-Id` of HTTP. */
  #sessionId: string | null = null
  #client: McpParty | null = null
  #server: McpParty | null = null

  constructor(connectionId: string | null, explicitSession: string | null) {
    this.#connectionId = connectionId
    this.#explicitSession = explicitSession
  }

  /** Older revisions say it once, in `initialize`; since 2026-07-28 every request does. */
  learn(params: McpParams): void {
    this.#protocolVersion = params.protocolVersion ?? this.#protocolVersion
    this.#client = params.client ?? this.#client
  }

  /** The answer to `initialize` settles the version and names the server; since 2026-07-28 every answer names it. */
  learnFrom(method: string, result: McpResult): void {
    this.#server = result.server ?? this.#server
    if (method === 'initialize') this.#protocolVersion = result.protocolVersion ?? this.#protocolVersion
  }

  /** What headers of HTTP tell; null: nothing. */
  learnHeaders(sessionId: string | null, protocolVersion: string | null): void {
    this.#sessionId = sessionId ?? this.#sessionId
    this.#protocolVersion = protocolVersion ?? this.#protocolVersion
  }

  attributes(): Attributes {
    return {
      ...(this.#connectionId === null ? {} : { 'telltale.connection_id': this.#connectionId }),
      ...(this.#sessionId === null ? {} : { 'mcp.session.id': this.#sessionId }),
      ...(this.#protocolVersion === null ? {} : { 'mcp.protocol.version': this.#protocolVersion }),
      ...partyAttributes('mcp.client', this.#client),
      ...partyAttributes('mcp.server', this.#server),
    }
  }

  /** The session of a call, by the first rule that finds a key; null where none does. */
  sessionOf(params: McpParams): Session | null {
    const continuation = params.arguments?.continuation_id
    if (typeof continuation === 'string' && continuation !== '') return { key: continuation, rule: 'continuation' }
    if (params.conversationId !== null) return { key: params.conversationId, rule: 'conversation' }
    if (this.#explicitSession !== null) return { key: this.#explicitSession, rule: 'explicit' }
    const mcpSessionId = params.mcpSessionId ?? this.#sessionId
    if (mcpSessionId !== null) return { key: mcpSessionId, rule: 'mcp' }
    return this.#connectionId === null ? null : { key: this.#connectionId, rule: 'connection' }
  }

  /** The session that an answer tells of, for the call that it answers; null when it tells of none that goes before. */
  sessionFrom(result: McpResult, before: Session | null): Session | null {
    if (before?.rule === 'continuation') return null
    if (result.continuationId !== null) return { key: result.continuationId, rule: 'continuation' }
    if (before?.rule === 'conversation' || result.conversationId === null) return null
    return { key: result.conversationId, rule: 'conversation' }
  }
}

function partyAttributes(prefix: string, party: McpParty | null): Attributes {
  if (party === null) return {}
  const name = { [`${prefix}.name`]: party.name }
  return party.version === null ? name : { ...name, [`${prefix}.version`]: party.version }
}
