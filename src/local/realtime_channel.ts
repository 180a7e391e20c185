import { randomUUID } from 'node:crypto'
import { isObject } from '../core/json_object.ts'
import { broadcastBytesMax, presenceBytesMax } from '../core/limit.ts'
import { err, ok, type Result } from '../core/result.ts'
import type { ChannelName, Hub, Member } from './realtime_hub.ts'
import { expired, type Identity, type IdentityReader, isProjectKey } from './realtime_identity.ts'
import { allRights, type Rights, type RightsReader } from './realtime_rights.ts'
import { type Broadcast, fieldBytesMax, isJson, jsonTextOf, type UserBroadcast } from './realtime_serializer.ts'

/** What all channels share. */
export type ChannelContext = {
  readonly hub: Hub
  readonly readIdentity: IdentityReader
  readonly readRights: RightsReader
  /** ms since the epoch. */
  readonly clock: () => number
  /** How long a judgement of rights holds. */
  readonly rightsMs: number
}

/** What a client asks for in the payload of `phx_join`. */
export type JoinRequest = {
  readonly name: ChannelName
  /** Confirm each broadcast of this member. */
  readonly ack: boolean
  /** Send a member its own broadcasts too. */
  readonly self: boolean
  readonly presence: boolean
  /** Under which name others see the client; one is made for it where it has none. */
  readonly presenceKey: string
  readonly changes: boolean
  readonly token: string | null
}

/** What a client broadcasts on a channel. */
export type Sent = UserBroadcast | { readonly kind: 'json'; readonly payload: unknown }

/** Who takes a place on a channel. */
export type Seat = {
  /** Of the connection. */
  readonly apikey: string
  readonly member: Member
  /** Hears why the server has closed the channel. */
  readonly ended: (message: string) => void
}

const tooLarge = 'Payload size exceeds tenant limit'
const unreachable = 'Realtime was unable to connect to the project database'

/** A payload that leaves something out asks for what a hosted project takes as the default. */
export function parseJoin(topic: string, payload: unknown): JoinRequest {
  const { config, access_token, user_token } = objectOf(payload)
  const { broadcast, presence, private: isPrivate, postgres_changes: changes } = objectOf(config)
  const { ack, self } = objectOf(broadcast)
  const token = access_token ?? user_token
  return {
    name: { topic, private: isPrivate === true },
    ack: ack === true,
    self: self === true,
    presence: config !== undefined && objectOf(presence).enabled !== false,
    presenceKey: presenceKeyOf(objectOf(presence).key),
    changes: Array.isArray(changes) && changes.length > 0,
    token: typeof token === 'string' ? token : null,
  }
}

/**
 * Joins a channel, or answers the reason why not in a hosted project's words. A private channel asks the policies on
 * realtime.messages, now, at each new token, and every `rightsMs`: who is no longer let read is taken off.
 */
export async function joinChannel(
  context: ChannelContext,
  request: JoinRequest,
  seat: Seat,
): Promise<Channel | string> {
  const { name } = request
  const refused = refusalOf(request)
  if (refused !== null) return refused
  const read = await context.readIdentity(seat.apikey, request.token)
  if (!read.ok) return `${read.error.code}: ${read.error.message}`
  const judged = await judge(context, name, read.value)
  if (judged === null) return `UnableToConnectToProject: ${unreachable}`
  if (!judged.read) return `Unauthorized: ${unreadable(name)}`
  return new Channel(context, request, seat, read.value, judged)
}

function refusalOf({ name: { topic }, changes }: JoinRequest): string | null {
  if (topic === '') return 'TopicNameRequired: You must provide a topic name'
  if (Buffer.byteLength(`realtime:${topic}`) > fieldBytesMax) {
    return `InvalidTopicName: A topic has at most ${fieldBytesMax} bytes with its prefix`
  }
  return changes ? 'RealtimeDisabledForConfiguration: postgres_changes are not served here, broadcasts are' : null
}

/** Null where the database could not be asked. */
async function judge(context: ChannelContext, name: ChannelName, { caller }: Identity): Promise<Rights | null> {
  if (!name.private) return allRights
  const judged = await context.readRights(caller, name.topic)
  return judged.ok ? judged.value : null
}

/** One member's place on one channel, until it leaves, its token ends or its right is gone. */
export class Channel {
  /** Whether the client wants to know who is here, and may. */
  readonly presence: boolean
  readonly ack: boolean
  readonly #context: ChannelContext
  readonly #name: ChannelName
  readonly #seat: Seat
  readonly #self: boolean
  readonly #presenceKey: string
  #token: string | null
  #identity: Identity
  #rights: Rights
  #timer: NodeJS.Timeout | undefined
  #open = true

  constructor(context: ChannelContext, request: JoinRequest, seat: Seat, identity: Identity, rights: Rights) {
    this.presence = request.presence && rights.seePresence
    this.ack = request.ack
    this.#context = context
    this.#name = request.name
    this.#seat = seat
    this.#self = request.self
    this.#presenceKey = request.presenceKey
    this.#token = request.token
    this.#identity = identity
    this.#rights = rights
    context.hub.join(request.name, seat.member, this.presence)
    this.#arm()
  }

  /** Takes the member off the channel and tells nobody. */
  leave(): void {
    this.#open = false
    clearTimeout(this.#timer)
    this.#context.hub.leave(this.#name, this.#seat.member)
  }

  /** Null when it was sent on; else why it was not. */
  broadcast(sent: Sent): string | null {
    if (!this.#rights.write) return `You do not have permissions to write to this Channel topic: ${this.#name.topic}`
    const broadcast = parseBroadcast(sent)
    if (!broadcast.ok) return broadcast.error
    this.#context.hub.broadcast(this.#name, broadcast.value, this.#self ? undefined : this.#seat.member)
    return null
  }

  /** Who is here, by key, as `presence_state` has it. */
  presenceState(): object {
    return this.#context.hub.presenceState(this.#name)
  }

  /** `track` tells the others what the client says of itself, `untrack` that it is gone. Null, or why not. */
  tellPresence(payload: unknown): string | null {
    const { event, payload: said = {} } = objectOf(payload)
    if (!this.#rights.tellPresence)
      return `You do not have permissions to write to this Channel topic: ${this.#name.topic}`
    if (event === 'untrack') {
      this.#context.hub.untrack(this.#name, this.#seat.member)
      return null
    }
    if (event !== 'track') return 'UnknownPresenceEvent'
    const text = isObject(said) ? jsonTextOf(said) : null
    if (text === null) return 'Payload must be a map'
    if (Buffer.byteLength(text) > presenceBytesMax) return tooLarge
    this.#context.hub.track(this.#name, this.#seat.member, this.#presenceKey, said as object)
    return null
  }

  /** A new token is judged as at a join; one that gives no right closes the channel. */
  async renew(token: unknown): Promise<void> {
    if (typeof token !== 'string' || isProjectKey(token) || token === this.#token) return
    this.#token = token
    const read = await this.#context.readIdentity(this.#seat.apikey, token)
    if (!read.ok) return this.shutdown(read.error.message)
    const judged = await judge(this.#context, this.#name, read.value)
    if (judged === null) return this.shutdown(unreachable)
    if (!judged.read) return this.shutdown(revoked(this.#name))
    if (!this.#open) return
    this.#identity = read.value
    this.#rights = judged
    this.#arm()
  }

  /** Tells the client why, and closes the channel. */
  shutdown(message: string): void {
    if (!this.#open) return
    this.leave()
    this.#seat.ended(message)
  }

  /** Until the token ends or its rights are asked for again, whichever is first. */
  #arm(): void {
    clearTimeout(this.#timer)
    const { expiresAtMs } = this.#identity
    const leftMs = expiresAtMs === null ? Number.POSITIVE_INFINITY : expiresAtMs - this.#context.clock()
    const waitMs = Math.max(0, Math.min(this.#context.rightsMs, leftMs))
    // Rights that nobody can judge any more are none, and end a channel, not the process.
    const recheck = () => this.#recheck().catch(() => this.shutdown(unreachable))
    this.#timer = setTimeout(recheck, waitMs).unref()
  }

  async #recheck(): Promise<void> {
    const identity = this.#identity
    const nowMs = this.#context.clock()
    if (identity.expiresAtMs !== null && identity.expiresAtMs <= nowMs) {
      return this.shutdown(expired(identity.expiresAtMs, nowMs).message)
    }
    const judged = await judge(this.#context, this.#name, identity)
    // A token that came meanwhile was judged by itself.
    if (!this.#open || this.#identity !== identity) return
    if (judged?.read === false) return this.shutdown(revoked(this.#name))
    // A database that is away for a moment takes nobody's right.
    this.#rights = judged ?? this.#rights
    this.#arm()
  }
}

function parseBroadcast(sent: Sent): Result<Broadcast> {
  if (sent.kind === 'user') {
    // What is no UTF-8 has become longer, and the length goes out as one byte.
    if (Buffer.byteLength(sent.event) > fieldBytesMax) return err(`Event has over ${fieldBytesMax} bytes`)
    if (sent.data.length > broadcastBytesMax) return err(tooLarge)
    return sent.encoding === 'binary' || isJson(sent.data) ? ok(sent) : err('Payload is not valid JSON')
  }
  const text = isObject(sent.payload) ? jsonTextOf(sent.payload) : null
  if (text === null) return err('Payload must be a map')
  return Buffer.byteLength(text) > broadcastBytesMax ? err(tooLarge) : ok({ kind: 'json', text })
}

function presenceKeyOf(key: unknown): string {
  return typeof key === 'string' && key !== '' && Buffer.byteLength(key) <= fieldBytesMax ? key : randomUUID()
}

function unreadable({ topic }: ChannelName): string {
  return `You do not have permissions to read from this Channel topic: ${topic}`
}

function revoked({ topic }: ChannelName): string {
  return `You no longer have permission to read from this Channel topic: ${topic}`
}

function objectOf(value: unknown): { readonly [key: string]: unknown } {
  return isObject(value) ? value : {}
}
