import type { LogEntry } from './log_entry.ts'

// The logs that MCP clients keep of their servers. Claude Desktop (`mcp-server-<name>.log`, `mcp.log`):
//   2025-10-12T11:22:49.293Z [files] [info] Message from client: {"jsonrpc":"2.0",...} { metadata: undefined }
// with name and level in either order. VS Code (Output > MCP, level debug or trace), in the time of its machine:
//   2026-07-24 02:03:14.089 [debug] [editor -> server] {"jsonrpc":"2.0",...}
// and before 2025-05 `[Client Says]`, `[Server Says]`.

const desktop = /^(\d{4}-\d\d-\d\dT[\d:.]+Z) ((?:\[[^\]]*\] ){1,2})(.*)$/s
const code = /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) \[(\w+)\] (.*)$/s
const levels: ReadonlySet<string> = new Set(['info', 'warn', 'warning', 'error', 'debug', 'trace'])

/** One line of a client's log; null when it has not the form of one. */
export function parseClientLine(text: string): LogEntry | null {
  return desktopEntryOf(text) ?? codeEntryOf(text)
}

function desktopEntryOf(text: string): LogEntry | null {
  const parts = desktop.exec(text)
  if (!parts) return null
  const atUs = Date.parse(parts[1] ?? '') * 1_000
  if (!Number.isFinite(atUs)) return null
  const words = [...(parts[2] ?? '').matchAll(/\[([^\]]*)\]/g)].map((match) => match[1] ?? '')
  const server = words.find((word) => !levels.has(word)) ?? null
  const said = parts[3] ?? ''
  const message = /^Message from (client|server): /.exec(said)
  if (message)
    return frameOf(atUs, message[1] === 'client' ? 'client' : 'server', server, said.slice(message[0].length))
  return /transport closed|Server disconnected|process exited/i.test(said)
    ? { kind: 'gone', atUs, server }
    : { kind: 'prose' }
}

function codeEntryOf(text: string): LogEntry | null {
  const parts = code.exec(text)
  if (!parts) return null
  const atUs = Date.parse((parts[1] ?? '').replace(' ', 'T')) * 1_000
  if (!Number.isFinite(atUs)) return null
  const said = parts[3] ?? ''
  const way = /^\[(editor -> server|Client Says|server -> editor|Server Says)\] /.exec(said)
  if (!way)
    return /^Connection state: (?:Stopped|Error)/.test(said) ? { kind: 'gone', atUs, server: null } : { kind: 'prose' }
  return frameOf(atUs, /^(?:editor|Client)/.test(way[1] ?? '') ? 'client' : 'server', null, said.slice(way[0].length))
}

function frameOf(atUs: number, from: 'client' | 'server', server: string | null, text: string): LogEntry {
  return { kind: 'frame', atUs, from, server, text: text.slice(0, endOfJson(text)) }
}

/** Where the object at the start of a text ends; its whole length when it does not. Linear. */
function endOfJson(text: string): number {
  let depth = 0
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (quoted) {
      if (char === 0x5c) i++
      else if (char === 0x22) quoted = false
    } else if (char === 0x22) quoted = true
    else if (char === 0x7b || char === 0x5b) depth++
    else if (char === 0x7d || char === 0x5d) {
      depth--
      if (depth === 0) return i + 1
    }
  }
  return text.length
}
