import type { RawData, WebSocket } from 'ws'
import { isObject } from '../core/json_object.ts'
import {
  broadcastsPerSecondMax,
  connectionChannelsMax,
  framesPerSecondMax,
  unreadFramesBytesMax,
} from '../core/limit.ts'
import { type Channel, type ChannelContext, joinChannel, parseJoin } from './realtime_channel.ts'
import type { Member } from './realtime_hub.ts'
import {
  type ClientMessage,
  type Frame,
  parseClientMessage,
  pushFrame,
  type Ref,
  replyFrame,
  type Version,
} from './realtime_serializer.ts'

export type SocketContext = ChannelContext & {
  /** What may wait for a client that does not read. */
  readonly unsentBytesMax: number
  readonly log: (line: string) => void
}

type Joined = { readonly channel: Channel; readonly joinRef: Ref }

const prefix = 'realtime:'
/** How long a client may take to say goodbye. */
const goodbyeMs = 1_000

/**
 * One client's connection, served until it closes. What comes for one topic is taken in order, since a join asks the
 * database; the other topics and the heartbeat do not wait for it.
 */
export class RealtimeSocket implements Member {
  readonly version: Version
  readonly #context: SocketContext
  readonly #ws: WebSocket
  readonly #apikey: string
  readonly #channels = new Map<string, Joined>()
  /** Topics that wait for the database, each with all that came for it. */
  readonly #chains = new Map<string, Promise<void>>()
  readonly #frameRate: () => number
  readonly #broadcastRate: () => number
  #seenAtMs: number
  #joining = 0
  #waitingBytes = 0
  #open = true

  /** `apikey`: of the project, already known to be right. */
  constructor(context: SocketContext, ws: WebSocket, version: Version, apikey: string) {
    this.version = version
    this.#seenAtMs = context.clock()
    this.#context = context
    this.#ws = ws
    this.#apikey = apikey
    this.#frameRate = createRate(context.clock)
    this.#broadcastRate = createRate(context.clock)
    ws.on('message', (data, binary) => this.#receive(data, binary))
    ws.on('ping', () => this.#seen())
    ws.on('pong', () => this.#seen())
    ws.on('error', () => {}) // A frame that is none, or too large: ws closes the connection and says why.
    ws.on('close', () => this.#forget())
  }

  /** When anything last came from it, ms since the epoch. */
  get seenAtMs(): number {
    return this.#seenAtMs
  }

  send({ data, binary }: Frame): void {
    if (!this.#open) return
    // Whoever does not read is cut off: what waits for one client must not grow in the memory of all.
    if (this.#ws.bufferedAmount > this.#context.unsentBytesMax) this.end(1013, 'Too slow', 0)
    else this.#ws.send(data, { binary })
  }

  /** Says goodbye and goes, whether the client answers or not. */
  end(code: number, reason: string, withinMs = goodbyeMs): void {
    this.#forget()
    this.#ws.close(code, reason)
    if (withinMs === 0) this.#ws.terminate()
    else setTimeout(() => this.#ws.terminate(), withinMs).unref()
  }

  #forget(): void {
    this.#open = false
    for (const { channel } of this.#channels.values()) channel.leave()
    this.#channels.clear()
  }

  #seen(): void {
    this.#seenAtMs = this.#context.clock()
  }

  #receive(data: RawData, binary: boolean): void {
    this.#seen()
    if (!this.#open) return
    if (this.#frameRate() > framesPerSecondMax) {
      this.end(1008, 'Too many messages per second')
      return
    }
    const frame = data as Buffer // As binaryType says.
    const parsed = parseClientMessage(this.version, frame, binary)
    if (!parsed.ok) {
      this.end(1003, `Cannot read frame: ${parsed.error}`)
      return
    }
    try {
      this.#inOrder(parsed.value, frame.length)
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    if (!this.#open) return
    this.#context.log(`Cannot serve a realtime connection: ${error instanceof Error ? error.stack : error}`)
    this.end(1011, 'Cannot serve: an unexpected error')
  }

  #inOrder(message: ClientMessage, bytes: number): void {
    const before = this.#chains.get(message.topic)
    const taken = before === undefined ? this.#take(message) : before.then(() => this.#take(message))
    if (taken === undefined) return
    this.#wait(bytes)
    const chain = taken
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#wait(-bytes)
        if (this.#chains.get(message.topic) === chain) this.#chains.delete(message.topic)
      })
    this.#chains.set(message.topic, chain)
  }

  /** Stops reading while much waits, so that it waits at the client. */
  #wait(bytes: number): void {
    this.#waitingBytes += bytes
    if (this.#waitingBytes > unreadFramesBytesMax) this.#ws.pause()
    else if (this.#ws.isPaused) this.#ws.resume()
  }

  #take(message: ClientMessage): Promise<void> | undefined {
    if (!this.#open) return
    const { topic } = message
    if (message.kind === 'user') return this.#broadcast(message)
    const { event, payload } = message
    if (topic === 'phoenix' && event === 'heartbeat') return this.#reply(message, 'ok')
    if (event === 'phx_join') return this.#join(message, payload)
    if (event === 'phx_leave') return this.#leave(message)
    if (event === 'broadcast') return this.#broadcast(message)
    const joined = this.#channels.get(topic)
    if (joined === undefined) return this.#reply(message, 'error', { reason: 'unmatched topic' })
    if (event === 'access_token') return joined.channel.renew(isObject(payload) ? payload.access_token : null)
    if (event === 'presence') return this.#presence(message, joined.channel, payload)
    // What else there is, a hosted project passes over too.
    return undefined
  }

  async #join(message: ClientMessage, payload: unknown): Promise<void> {
    const { topic, ref } = message
    const joinRef = message.joinRef ?? ref
    if (!topic.startsWith(prefix)) return this.#reply(message, 'error', { reason: 'unmatched topic' })
    // A client that joins again has given the first join up.
    this.#close(topic)
    if (this.#channels.size + this.#joining >= connectionChannelsMax) {
      return this.#reply(message, 'error', { reason: 'ChannelRateLimitReached: Too many channels' })
    }
    this.#joining += 1
    const channel = await joinChannel(this.#context, parseJoin(topic.slice(prefix.length), payload), {
      apikey: this.#apikey,
      member: this,
      ended: (why) => this.#ended(topic, joinRef, why),
    }).finally(() => {
      this.#joining -= 1
    })
    if (typeof channel === 'string') return this.#reply(message, 'error', { reason: channel })
    if (!this.#open) return channel.leave()
    this.#channels.set(topic, { channel, joinRef })
    this.#reply(message, 'ok', { postgres_changes: [] })
    if (!channel.presence) return
    this.send(pushFrame(this.version, { joinRef, ref: null, topic }, 'presence_state', channel.presenceState()))
  }

  #leave(message: ClientMessage): undefined {
    this.#reply(message, 'ok')
    this.#close(message.topic)
  }

  #close(topic: string): void {
    const joined = this.#channels.get(topic)
    if (joined === undefined) return
    joined.channel.leave()
    this.#channels.delete(topic)
    this.send(pushFrame(this.version, { joinRef: joined.joinRef, ref: joined.joinRef, topic }, 'phx_close', {}))
  }

  /** The server's own end of a channel, told before it is closed. */
  #ended(topic: string, joinRef: Ref, message: string): void {
    const payload = { extension: 'system', status: 'error', message, channel: topic.slice(prefix.length) }
    this.send(pushFrame(this.version, { joinRef, ref: null, topic }, 'system', payload))
    this.#close(topic)
  }

  #broadcast(message: ClientMessage): undefined {
    const joined = this.#channels.get(message.topic)
    if (joined === undefined) return this.#reply(message, 'error', { reason: 'unmatched topic' })
    const { channel } = joined
    if (this.#broadcastRate() > broadcastsPerSecondMax) {
      channel.shutdown('Too many messages per second')
      return undefined
    }
    const refused = channel.broadcast(message.kind === 'user' ? message.broadcast : message)
    if (!channel.ack) return undefined
    return refused === null ? this.#reply(message, 'ok') : this.#reply(message, 'error', { reason: refused })
  }

  #presence(message: ClientMessage, channel: Channel, payload: unknown): undefined {
    if (this.#broadcastRate() > broadcastsPerSecondMax) {
      channel.shutdown('Too many messages per second')
      return undefined
    }
    const refused = channel.tellPresence(payload)
    return refused === null ? this.#reply(message, 'ok') : this.#reply(message, 'error', { reason: refused })
  }

  #reply(message: ClientMessage, status: 'ok' | 'error', response: object = {}): undefined {
    this.send(replyFrame(this.version, message, status, response))
  }
}

/** Counts what comes within the second that runs. */
function createRate(clock: () => number): () => number {
  let second = 0
  let count = 0
  return () => {
    const now = Math.floor(clock() / 1_000)
    if (now !== second) {
      second = now
      count = 0
    }
    return ++count
  }
}
