import type { CallTransport } from './observed_call.ts'

export type SdkMessage = { readonly id?: unknown; readonly method?: unknown }

/** What every transport of the official MCP SDK is, in both of its majors. */
export type SdkTransport = {
  start(...args: unknown[]): unknown
  send(message: unknown, ...args: unknown[]): unknown
  onmessage?: ((message: SdkMessage, extra?: unknown) => unknown) | undefined
  onclose?: (() => unknown) | undefined
  readonly sessionId?: string | undefined
}

/** By the methods that only those of HTTP have; else by the transport's own name, all that it tells of itself. */
export function kindOf(transport: SdkTransport): CallTransport {
  for (const method of ['handleRequest', 'handleMessage', 'handlePostMessage']) {
    if (typeof Reflect.get(transport, method) === 'function') return 'http'
  }
  return /websocket/i.test(transport.constructor?.name ?? '') ? 'websocket' : 'pipe'
}

/** The headers of the HTTP request that a message came in: `requestInfo.headers` in the first major, `request` in the second. */
export function headersOf(extra: unknown): (name: string) => string | null {
  const { requestInfo, request } = (extra ?? {}) as {
    readonly requestInfo?: { readonly headers?: unknown }
    readonly request?: { readonly headers?: unknown }
  }
  const headers = request?.headers ?? requestInfo?.headers
  if (typeof headers !== 'object' || headers === null) return () => null
  if (headers instanceof Headers) return (name) => headers.get(name)
  return (name) => {
    const value: unknown = Reflect.get(headers, name)
    return typeof value === 'string' ? value : null
  }
}
