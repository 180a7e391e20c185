import { type McpFrame, parseMcpFrames } from '../../wire/mcp_frame.ts'

/** A line without its newline; null for one that was too long to keep. */
export type Line = { readonly text: string | null; readonly bytes: number }

/** The messages in a line's text, null for what is none in an array of them: none where it is blank. Null: it is no JSON-RPC. */
export function framesOfText(text: string): readonly (McpFrame | null)[] | null {
  if (text.trim() === '') return []
  const parsed = parseMcpFrames(jsonOf(text))
  return parsed.ok ? parsed.value : null
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
