import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

// What belongs to one hop, or is negotiated anew on each side (RFC 9110 section 7.6.1, RFC 6455 section 11.3).
const ofOneHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'host',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
  'sec-websocket-protocol',
  'sec-websocket-accept',
])

/** Where a request for this path goes: the target's own path, if it has one, comes before it. */
export function targetUrlOf(target: URL, path: string | undefined): URL {
  const asked = new URL(path ?? '/', target)
  const url = new URL(target)
  if (target.pathname === '/') url.pathname = asked.pathname
  else if (asked.pathname !== '/') url.pathname = `${target.pathname.replace(/\/$/, '')}${asked.pathname}`
  if (asked.search !== '') url.search = asked.search
  return url
}

/** The headers of a client that the target is to see: cookies, authorisation, origin and all the rest. */
export function endToEndHeadersOf(headers: IncomingHttpHeaders): { [name: string]: string | string[] } {
  const kept: { [name: string]: string | string[] } = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !ofOneHop.has(name)) kept[name] = value
  }
  return kept
}

/** The same of an answer, as lines, in the order and spelling in which they came. */
export function endToEndLinesOf({ rawHeaders }: IncomingMessage): readonly string[] {
  const lines: string[] = []
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (!ofOneHop.has(name.toLowerCase())) lines.push(`${name}: ${rawHeaders[index + 1]}`)
  }
  return lines
}

/** The subprotocols that a client offers, in its order. */
export function protocolsOf(headers: IncomingHttpHeaders): readonly string[] {
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  return [...new Set(offered.filter((name) => name !== ''))]
}

/** Whether a client offers to compress its messages. */
export function offersDeflate(headers: IncomingHttpHeaders): boolean {
  return /\bpermessage-deflate\b/.test(headers['sec-websocket-extensions'] ?? '')
}

/** Passes on to the client that the target answered its upgrade with something else, and ends its connection. */
export function passRefusal(answer: IncomingMessage, client: Duplex): void {
  const status = `HTTP/1.1 ${answer.statusCode ?? 502} ${answer.statusMessage ?? ''}`
  client.write(`${[status, ...endToEndLinesOf(answer), 'Connection: close'].join('\r\n')}\r\n\r\n`)
  answer.on('error', () => client.destroy())
  answer.pipe(client)
}
