import { RealtimeClient } from '@supabase/realtime-js'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createHub, type Member } from '../src/local/realtime_hub.ts'
import {
  broadcastFrame,
  type Frame,
  isJson,
  jsonTextOf,
  parseClientMessage,
  pushFrame,
  replyFrame,
  type UserBroadcast,
  type Version,
  versions,
} from '../src/local/realtime_serializer.ts'
import { transport } from './realtime_fixture.ts'

// Cross-checked with the official client's own serializer: what it encodes is read here, what is encoded here it reads.

const { serializer } = new RealtimeClient('ws://127.0.0.1/realtime/v1', { params: { apikey: 'key' }, transport })

function encodedByClient(message: object): { data: Buffer; binary: boolean } {
  let encoded: ArrayBuffer | string = ''
  serializer.encode(message as Parameters<typeof serializer.encode>[0], (result) => {
    encoded = result
  })
  return typeof encoded === 'string'
    ? { data: Buffer.from(encoded), binary: false }
    : { data: Buffer.from(encoded), binary: true }
}

function decodedByClient({ data, binary }: Frame): unknown {
  let decoded: unknown
  const bytes = data.buffer.slice(data.byteOffset, data.byteOffset + data.length) as ArrayBuffer
  serializer.decode(binary ? bytes : data.toString(), (message: unknown) => {
    decoded = message
  })
  return decoded
}

// Text that survives UTF-8; a field of a binary frame has at most 255 bytes.
const text = fc.string({ unit: 'binary', maxLength: 60 }).filter((s) => Buffer.from(s).toString() === s)
const ref = fc.option(text.filter((s) => s !== ''))
const bytes = fc.uint8Array({ maxLength: 300 })
const envelope = fc.record({ join_ref: ref, ref, topic: text })
const object = fc.dictionary(text, fc.jsonValue(), { noNullPrototype: true })

test('parseClientMessage() reads every message that the official client encodes', () => {
  fc.assert(
    fc.property(envelope, text, object, ({ join_ref: joinRef, ref, topic }, event, payload) => {
      const { data, binary } = encodedByClient({ join_ref: joinRef, ref, topic, event, payload })
      fc.pre(!binary)
      const value = { kind: 'json', joinRef, ref, topic, event, payload: JSON.parse(JSON.stringify(payload)) }
      expect(parseClientMessage('2.0.0', data, false)).toEqual({ ok: true, value })
      const plain = Buffer.from(JSON.stringify({ join_ref: joinRef, ref, topic, event, payload }))
      expect(parseClientMessage('1.0.0', plain, false)).toEqual({ ok: true, value })
    }),
    { numRuns: 200 },
  )
})

test('parseClientMessage() reads every broadcast that the official client encodes as bytes', () => {
  fc.assert(
    fc.property(envelope, text, fc.oneof(object, bytes), ({ join_ref: joinRef, ref, topic }, event, payload) => {
      const isBytes = payload instanceof Uint8Array
      const sent = isBytes ? Uint8Array.from(payload).buffer : payload
      const frame = encodedByClient({
        join_ref: joinRef,
        ref,
        topic,
        event: 'broadcast',
        payload: { event, payload: sent },
      })
      expect(frame.binary).toBe(true)
      const data = isBytes ? Buffer.from(payload) : Buffer.from(JSON.stringify(payload))
      const broadcast = { kind: 'user', event, encoding: isBytes ? 'binary' : 'json', data }
      const value = { kind: 'user', joinRef, ref, topic, broadcast }
      expect(parseClientMessage('2.0.0', frame.data, true)).toEqual({ ok: true, value })
      expect(parseClientMessage('1.0.0', frame.data, true).ok).toBe(false)
    }),
    { numRuns: 200 },
  )
})

test('broadcastFrame() is read by the official client as it was sent, as bytes and as JSON', () => {
  fc.assert(
    fc.property(text, text, fc.oneof(object, bytes), (topic, event, payload) => {
      const isBytes = payload instanceof Uint8Array
      const data = isBytes ? Buffer.from(payload) : Buffer.from(JSON.stringify(payload))
      const broadcast: UserBroadcast = { kind: 'user', event, encoding: isBytes ? 'binary' : 'json', data }
      const heard = isBytes ? Uint8Array.from(payload).buffer : JSON.parse(data.toString())
      const expected = { join_ref: null, ref: null, topic, event: 'broadcast' }
      const message = { type: 'broadcast', event, payload: heard }
      const frame = broadcastFrame('2.0.0', topic, broadcast) as Frame
      expect(decodedByClient(frame)).toEqual({ ...expected, payload: message })
      const old = broadcastFrame('1.0.0', topic, broadcast)
      if (isBytes) expect(old).toBe(null)
      else expect(JSON.parse(String(old?.data))).toEqual({ topic, event: 'broadcast', payload: message, ref: null })
      if (isBytes) return
      const json = broadcastFrame('2.0.0', topic, { kind: 'json', text: JSON.stringify(message) }) as Frame
      expect(json.binary).toBe(false)
      expect(decodedByClient(json)).toEqual({ ...expected, payload: message })
    }),
    { numRuns: 200 },
  )
})

test('replyFrame() and pushFrame() are read by the official client, whatever the topic and the refs hold', () => {
  fc.assert(
    fc.property(envelope, object, ({ join_ref: joinRef, ref, topic }, payload) => {
      const at = { join_ref: joinRef, ref, topic }
      const response = JSON.parse(JSON.stringify(payload)) as object
      const reply = { ...at, event: 'phx_reply', payload: { status: 'ok', response } }
      expect(decodedByClient(replyFrame('2.0.0', { joinRef, ref, topic }, 'ok', payload))).toEqual(reply)
      const push = { ...at, event: 'system', payload: response }
      expect(decodedByClient(pushFrame('2.0.0', { joinRef, ref, topic }, 'system', payload))).toEqual(push)
      const { data } = pushFrame('1.0.0', { joinRef, ref, topic }, 'system', payload)
      expect(JSON.parse(data.toString())).toEqual({ topic, event: 'system', payload: response, ref })
    }),
    { numRuns: 200 },
  )
})

test('parseClientMessage() throws at nothing, and takes no frame that is cut short', () => {
  const anything = fc.oneof(
    bytes.map((array) => Buffer.from(array)),
    bytes.map((array) => Buffer.from([3, ...array])),
    fc.json().map((json) => Buffer.from(json)),
  )
  fc.assert(
    fc.property(fc.constantFrom<Version>(...versions), anything, fc.boolean(), (version, data, binary) => {
      expect(parseClientMessage(version, data, binary).ok).toBeTypeOf('boolean')
    }),
    { numRuns: 300 },
  )
  const { data } = encodedByClient({
    join_ref: '1',
    ref: '2',
    topic: 'tt',
    event: 'broadcast',
    payload: { event: 'ee' },
  })
  const headerBytes = 7 + 1 + 1 + 2 + 2
  for (let length = 0; length < data.length; length++) {
    expect(parseClientMessage('2.0.0', data.subarray(0, length), true).ok, String(length)).toBe(length >= headerBytes)
  }
})

test('isJson() and jsonTextOf() know what is no JSON and what is too deep', () => {
  expect(['{}', ' [1] ', '"x"', 'null'].map((value) => isJson(Buffer.from(value)))).toEqual([true, true, true, true])
  expect(['', '{', '{}{}', 'undefined', '\u0000'].map((value) => isJson(Buffer.from(value)))).not.toContain(true)
  const deep = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)) as object
  expect(jsonTextOf({ deep })).toBe(null)
  expect(jsonTextOf({ a: [1] })).toBe('{"a":[1]}')
})

test('broadcast() encodes once for each version, however many listen, and never to whom it is not for', () => {
  const hub = createHub()
  const heard: Frame[][] = []
  const memberOf = (version: Version): Member => {
    const frames: Frame[] = []
    heard.push(frames)
    return { version, send: (frame) => void frames.push(frame) }
  }
  const members = [...Array(50)].map((_, i) => memberOf(i % 2 === 0 ? '1.0.0' : '2.0.0'))
  for (const member of members) hub.join({ topic: 't', private: true }, member, false)
  const [sender] = members as [Member]
  hub.broadcast({ topic: 't', private: true }, { kind: 'json', text: '{}' }, sender)
  hub.broadcast({ topic: 't', private: false }, { kind: 'json', text: '{}' })
  hub.broadcast({ topic: 'other', private: true }, { kind: 'json', text: '{}' })
  expect(heard.map(({ length }) => length)).toEqual([0, ...Array(49).fill(1)])
  expect(new Set(heard.flat()).size).toBe(2)
  for (const member of members) hub.leave({ topic: 't', private: true }, member)
  hub.broadcast({ topic: 't', private: true }, { kind: 'json', text: '{}' })
  expect(heard.flat().length).toBe(49)
})
