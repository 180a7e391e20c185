import { isObject } from '../core/json_object.ts'
import { err, ok, type Result } from '../core/result.ts'

// Phoenix's channel protocol, as Supabase Realtime speaks it. 1.0.0: JSON objects. 2.0.0: JSON arrays, and two binary kinds
// of Supabase's for what users broadcast, each a header of lengths in bytes, then the texts, then the payload as it is:
//   3, from clients: kind, lengths of join_ref, ref, topic, event, metadata; encoding; then those five and the payload
//   4, to clients:   kind, lengths of topic, event, metadata; encoding; then those three and the payload

export const versions = ['1.0.0', '2.0.0'] as const
export type Version = (typeof versions)[number]

/** Chosen by the client, and sent back to it as it came. */
export type Ref = string | number | null

type Envelope = {
  readonly joinRef: Ref
  readonly ref: Ref
  /** With the prefix `realtime:`. */
  readonly topic: string
}

/** What a user broadcasts as bytes: JSON text, or anything. */
export type UserBroadcast = {
  readonly kind: 'user'
  readonly event: string
  readonly encoding: 'json' | 'binary'
  readonly data: Buffer
}

/** What a user broadcasts as JSON: `{type: 'broadcast', event, payload}` as text. */
export type JsonBroadcast = { readonly kind: 'json'; readonly text: string }

export type Broadcast = UserBroadcast | JsonBroadcast

export type ClientMessage = Envelope &
  (
    | { readonly kind: 'json'; readonly event: string; readonly payload: unknown }
    | { readonly kind: 'user'; readonly broadcast: UserBroadcast }
  )

/** A message for clients, encoded once for however many sockets of a version. */
export type Frame = { readonly data: Buffer; readonly binary: boolean }

const kinds = { userBroadcastPush: 3, userBroadcast: 4 } as const
const jsonEncoding = 1
/** A length in a binary header is one byte. */
export const fieldBytesMax = 255

/** Reads what a client sent, or says why it cannot. */
export function parseClientMessage(version: Version, data: Buffer, binary: boolean): Result<ClientMessage> {
  if (binary) return version === '2.0.0' ? parsePush(data) : err('a binary frame, which version 1.0.0 has not')
  const value = jsonOf(data.toString('utf8'))
  if (version === '1.0.0') {
    if (!isObject(value)) return err('not a JSON object')
    return messageOf(value.join_ref ?? null, value.ref ?? null, value.topic, value.event, value.payload)
  }
  if (!Array.isArray(value) || value.length < 5) return err('not a JSON array of five')
  return messageOf(value[0], value[1], value[2], value[3], value[4])
}

function messageOf(
  joinRef: unknown,
  ref: unknown,
  topic: unknown,
  event: unknown,
  payload: unknown,
): Result<ClientMessage> {
  if (!isRef(joinRef) || !isRef(ref)) return err('its ref is neither text nor null')
  if (typeof topic !== 'string' || typeof event !== 'string') return err('it has no topic or no event')
  return ok({ kind: 'json', joinRef, ref, topic, event, payload })
}

function isRef(value: unknown): value is Ref {
  return value === null || typeof value === 'string' || typeof value === 'number'
}

function parsePush(data: Buffer): Result<ClientMessage> {
  const headerBytes = 7
  if (data[0] !== kinds.userBroadcastPush) return err(`a binary frame of kind ${data[0] ?? 'none'}`)
  const lengths = [...data.subarray(1, 6)]
  if (data.length < headerBytes + lengths.reduce((sum, length) => sum + length, 0))
    return err('a binary frame cut short')
  let at = headerBytes
  const [joinRef = '', ref = '', topic = '', event = ''] = lengths.map((length) => {
    at += length
    return data.toString('utf8', at - length, at)
  })
  const encoding = data[6] === jsonEncoding ? 'json' : 'binary'
  return ok({
    kind: 'user',
    joinRef: joinRef === '' ? null : joinRef,
    ref: ref === '' ? null : ref,
    topic,
    broadcast: { kind: 'user', event, encoding, data: data.subarray(at) },
  })
}

/** The answer to one message. */
export function replyFrame(
  version: Version,
  { joinRef, ref, topic }: Envelope,
  status: 'ok' | 'error',
  response: object,
): Frame {
  return textFrame(version, { joinRef, ref, topic }, 'phx_reply', JSON.stringify({ status, response }))
}

/** A message of the server's own to one channel. */
export function pushFrame(version: Version, envelope: Envelope, event: string, payload: object): Frame {
  return textFrame(version, envelope, event, JSON.stringify(payload))
}

/**
 * A broadcast for the members of a topic; null where the version cannot carry it. A user's bytes go out in a binary frame
 * in 2.0.0, as text in 1.0.0, which has no place for bytes that are no JSON.
 */
export function broadcastFrame(version: Version, topic: string, broadcast: Broadcast): Frame | null {
  const envelope = { joinRef: null, ref: null, topic }
  if (broadcast.kind === 'json') return textFrame(version, envelope, 'broadcast', broadcast.text)
  if (version === '2.0.0') return userFrame(topic, broadcast)
  if (broadcast.encoding === 'binary') return null
  const text = `{"event":${JSON.stringify(broadcast.event)},"payload":${broadcast.data},"type":"broadcast"}`
  return textFrame(version, envelope, 'broadcast', text)
}

function userFrame(topic: string, { event, encoding, data }: UserBroadcast): Frame {
  const texts = [Buffer.from(topic), Buffer.from(event)]
  const header = [kinds.userBroadcast, ...texts.map(({ length }) => length), 0, encoding === 'json' ? jsonEncoding : 0]
  return { data: Buffer.concat([Buffer.from(header), ...texts, data]), binary: true }
}

/** `payload` is JSON text, so that what is large is written once. */
function textFrame(version: Version, { joinRef, ref, topic }: Envelope, event: string, payload: string): Frame {
  const name = JSON.stringify(topic)
  const text =
    version === '1.0.0'
      ? `{"topic":${name},"event":"${event}","payload":${payload},"ref":${JSON.stringify(ref)}}`
      : `[${JSON.stringify(joinRef)},${JSON.stringify(ref)},${name},"${event}",${payload}]`
  return { data: Buffer.from(text), binary: false }
}

/** Whether bytes are one JSON value. */
export function isJson(data: Buffer): boolean {
  return jsonOf(data.toString('utf8')) !== undefined
}

/** The value as JSON text, null for one that is too deep to be written. */
export function jsonTextOf(value: object): string | null {
  try {
    return JSON.stringify(value)
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

/** Undefined for what is no JSON, which no JSON is. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
