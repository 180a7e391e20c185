import { expect, test } from 'vitest'
import { parseMcpFrames } from '../src/wire/mcp_frame.ts'

const answered = (text: string) => {
  const parsed = parseMcpFrames({ jsonrpc: '2.0', id: 1, result: { content: [{ type: 'text', text }] } })
  const frame = parsed.ok ? parsed.value[0] : null
  return frame?.kind === 'result' ? frame.result : null
}

test.each([
  ["a shim's text", 'Error executing tool chat: no permit', 'Error executing tool chat: no permit'],
  ["a tool's envelope", '{"status":"error","content":"File not found"}', 'File not found'],
  ['an envelope that says nothing', '{"status":"error"}', 'Cannot say why the tool failed: its output has no text'],
])('parseMcpFrames() takes %s for a failure without isError', (_, text, message) => {
  expect(answered(text)).toMatchObject({ isError: true, firstText: message })
})

test.each([
  ['an envelope that went well', '{"status":"success","content":"no error"}'],
  ['JSON without an envelope', '{"error":"of the user\'s own"}'],
  ['a text about a failure', 'It said: Error executing tool'],
  ['half an envelope', '{"status":"error"'],
])('parseMcpFrames() takes %s for an answer', (_, text) => {
  expect(answered(text)).toMatchObject({ isError: false, firstText: text })
})

test('parseMcpFrames() learns the conversation from an envelope', () => {
  const text = '{"status":"continuation_available","content":"x","continuation_offer":{"continuation_id":"thread-1"}}'
  expect(answered(text)?.continuationId).toBe('thread-1')
})
