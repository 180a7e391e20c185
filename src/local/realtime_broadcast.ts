import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { isObject } from '../core/json_object.ts'
import { broadcastBatchMax, broadcastBodyBytesMax, broadcastBytesMax } from '../core/limit.ts'
import type { Caller, CallerReader } from './claims.ts'
import type { Hub } from './realtime_hub.ts'
import type { RightsReader } from './realtime_rights.ts'
import { fieldBytesMax, isJson, jsonTextOf } from './realtime_serializer.ts'
import { RestError } from './rest_error.ts'

export type BroadcastOptions = {
  readonly hub: Hub
  readonly readCaller: CallerReader
  readonly readRights: RightsReader
  /** Told what went wrong and is our fault. */
  readonly log: (line: string) => void
}

type Env = { Variables: { caller: Caller } }
type Message = { readonly topic: string; readonly event: string; readonly payload: string; readonly private: boolean }
/** Field by field, what is wrong, in a hosted project's words. */
type Faults = Readonly<Record<string, readonly string[]>>

const blank = ["can't be blank"]
const tooLarge = ['Payload size exceeds tenant limit']
const away = 'Realtime was unable to connect to the project database'

/**
 * Broadcasts over HTTP as Supabase Realtime takes them: `POST /api/broadcast` with `{messages: [{topic, event, payload,
 * private}]}`, where a private message without the right to write is dropped in silence, and `POST
 * /api/broadcast/<topic>/events/<event>[?private=true]` with one payload as the body, where it is refused with 403.
 * Answers 202 without a body.
 */
export function broadcastApp({ hub, readCaller, readRights, log }: BroadcastOptions): Hono<Env> {
  const app = new Hono<Env>()
  const limit = bodyLimit({
    maxSize: broadcastBodyBytesMax,
    onError: (context) => context.json({ message: `Cannot read body: it is over ${broadcastBodyBytesMax} bytes` }, 413),
  })
  app.onError((error, context) => {
    if (!(error instanceof RestError)) {
      log(`Cannot answer a broadcast: ${error.stack ?? error.message}`)
      return context.json(
        { message: 'Cannot answer: an unexpected error, told on the standard error of telltale' },
        500,
      )
    }
    return context.json({ message: error.message, hint: error.hint }, error.status === 403 ? 403 : 401)
  })
  app.notFound((context) => context.json({ message: 'Not found' }, 404))
  app.get('/api/ping', (context) => context.json({ message: 'Success' }))

  // Before the limit, which keeps what comes in pieces: nothing is kept for whoever has no key.
  app.use('/api/broadcast/*', async (context, next) => {
    context.set('caller', await readCaller(context.req.raw.headers))
    await next()
  })

  app.post('/api/broadcast', limit, async (context) => {
    const caller = context.get('caller')
    const body: unknown = await context.req.json().catch(() => undefined)
    if (!isObject(body)) return context.json({ message: 'Cannot read body: it is not a JSON object' }, 400)
    const messages = parseMessages(body.messages)
    if (!Array.isArray(messages)) return context.json({ errors: messages }, 422)
    if (messages.length > broadcastBatchMax) {
      return context.json({ message: 'Too many messages to broadcast, please reduce the batch size' }, 429)
    }
    const writable = new Map<string, boolean>()
    for (const topic of new Set(messages.filter((message) => message.private).map(({ topic }) => topic))) {
      const rights = await readRights(caller, topic)
      if (!rights.ok) return context.json({ message: away }, 503)
      writable.set(topic, rights.value.write)
    }
    for (const { topic, event, payload, private: isPrivate } of messages) {
      if (isPrivate && writable.get(topic) !== true) continue
      const text = `{"event":${JSON.stringify(event)},"payload":${payload},"type":"broadcast"}`
      hub.broadcast({ topic, private: isPrivate }, { kind: 'json', text })
    }
    return context.body(null, 202)
  })

  app.post('/api/broadcast/:topic/events/:event', limit, async (context) => {
    const caller = context.get('caller')
    const encoding = encodingOf(context)
    if (encoding === null) {
      return context.json({ error: 'Unsupported Media Type. Use application/json or application/octet-stream' }, 415)
    }
    const { topic, event } = context.req.param()
    const data = Buffer.from(await context.req.arrayBuffer())
    if (encoding === 'json' && !isJson(data)) return context.json({ message: 'Cannot read body: it is not JSON' }, 400)
    const faults = faultsOf({ topic, event, payloadBytes: data.length })
    if (faults !== null) return context.json({ errors: faults }, 422)
    const isPrivate = context.req.query('private') === 'true'
    if (isPrivate) {
      const rights = await readRights(caller, topic)
      if (!rights.ok) return context.json({ message: away }, 503)
      if (!rights.value.write) return context.json({ message: 'Unauthorized' }, 403)
    }
    hub.broadcast({ topic, private: isPrivate }, { kind: 'user', event, encoding, data })
    return context.body(null, 202)
  })
  return app
}

/** Without a type: JSON, as those sent it who came before the binary ones. */
function encodingOf(context: Context<Env>): 'json' | 'binary' | null {
  const type = context.req.header('content-type') ?? 'application/json'
  if (type.startsWith('application/json')) return 'json'
  return type.startsWith('application/octet-stream') ? 'binary' : null
}

/** Each message with its payload as JSON text, or what is wrong with which. */
function parseMessages(value: unknown): Message[] | { readonly messages: readonly (Faults | string)[] } {
  if (value === undefined || value === null) return { messages: blank }
  if (!Array.isArray(value)) return { messages: ['is invalid'] }
  const messages: Message[] = []
  const faults = value.map((item: unknown): Faults => {
    if (!isObject(item)) return { message: ['is invalid'] }
    const { topic, event, payload } = item
    const text = isObject(payload) ? jsonTextOf(payload) : null
    if (text === null) return { payload: payload === undefined || payload === null ? blank : ['is invalid'] }
    const found = faultsOf({ topic, event, payloadBytes: Buffer.byteLength(text) })
    if (found !== null) return found
    messages.push({ topic: String(topic), event: String(event), payload: text, private: item.private === true })
    return {}
  })
  return messages.length === value.length ? messages : { messages: faults }
}

function faultsOf({ topic, event, payloadBytes }: { topic: unknown; event: unknown; payloadBytes: number }) {
  const faults: Record<string, readonly string[]> = {}
  const topicFault = textFaultOf(topic, 'realtime:')
  const eventFault = textFaultOf(event, '')
  if (topicFault !== null) faults.topic = topicFault
  if (eventFault !== null) faults.event = eventFault
  if (payloadBytes > broadcastBytesMax) faults.payload = tooLarge
  return Object.keys(faults).length === 0 ? null : faults
}

function textFaultOf(value: unknown, prefix: string): readonly string[] | null {
  if (value === undefined || value === null || value === '') return blank
  if (typeof value !== 'string') return ['is invalid']
  const bytesMax = fieldBytesMax - Buffer.byteLength(prefix)
  return Buffer.byteLength(value) > bytesMax ? [`should be at most ${bytesMax} byte(s)`] : null
}
