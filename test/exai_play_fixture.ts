import type { ExaiObserver } from '../src/tap/exai_observer.ts'
import type { SocketEnd } from '../src/tap/ws_observer.ts'

/** A frame from the client (`>`) or the daemon (`<`), or an end (`x`), so many ms after the one before; 10 by default. */
export type Step =
  | readonly ['>', unknown, number?]
  | readonly ['<', unknown, number?]
  | readonly ['x', SocketEnd, number?]

/** Plays recorded frames; answers what the client's were sent on as (null: as they were). */
export function playInto(observer: ExaiObserver, steps: readonly Step[]): readonly (string | null)[] {
  let at = performance.now()
  const sent: (string | null)[] = []
  for (const step of steps) {
    at += step[2] ?? 10
    if (step[0] === '>') sent.push(observer.clientMessage(messageOf(step[1]), at))
    else if (step[0] === '<') observer.serverMessage(messageOf(step[1]), at)
    else observer.close(step[1] as SocketEnd, at)
  }
  return sent
}

function messageOf(frame: unknown) {
  if (Buffer.isBuffer(frame)) return { data: frame, binary: true }
  return { data: Buffer.from(typeof frame === 'string' ? frame : JSON.stringify(frame)), binary: false }
}

export const hello: Step = ['>', { op: 'hello', token: 'tok-secret', jwt: 'jwt-secret', clientInfo: { name: 'shim' } }]
export const welcome: Step = ['<', { op: 'hello_ack', ok: true, session_id: 'S1' }]
export const complete = { op: 'stream_complete', request_id: 'unknown' }

/** A call as the shim sends it: one id for all calls of a socket, and none that the daemon reads. */
export function ask(name: string, args: object = {}) {
  return { op: 'call_tool', id: 'call_1', name, arguments: args }
}

/** An answer as the daemon gives it. */
export function say(text: string, more: object = {}, metadata?: object) {
  const outputs = [{ type: 'text', text, ...(metadata ? { metadata } : {}) }]
  return { op: 'call_tool_res', request_id: 'unknown', outputs, ...more }
}
