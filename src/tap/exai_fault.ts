import type { FaultTable } from '../reporter/mcp/protocol_fault.ts'

/** What can be wrong with the daemon's protocol itself: its error type, and what the error says. */
export const exaiFaults = {
  duplicate_id: ['DuplicateId', 'Cannot tell two calls apart: one with this request_id is in flight already'],
  unanswered: ['Unanswered', 'Cannot find the answer to a call: the connection ended before one came'],
  reply_to_nobody: ['ReplyToNobody', 'Cannot match an answer: no call of its connection waits for one'],
  malformed_frame: ['MalformedFrame', 'Cannot read a message: it is a frame of no protocol that is known'],
  foreign_inflight_answer: [
    'ForeignAnswer',
    "Cannot trust an answer: it is the output of another call that ran at the same time, taken for this one's because neither had a request_id",
  ],
  foreign_frame: [
    'ForeignFrame',
    'Cannot trust what the client reads: it went on before its last call was answered, and takes that answer for the next',
  ],
} as const satisfies FaultTable
