// Viewers: the official clients on the private channel, and the snapshot that a visible page asks for now and then. They
// share one session, for a page's own sign-in is no part of what is measured. Asked by push_load.ts.
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { RealtimeClient, type WebSocketLikeConstructor } from '@supabase/realtime-js'
import { createClient } from '@supabase/supabase-js'
import { WebSocket } from 'ws'
import { liveBeatMs, liveMinutesMax } from '../src/core/limit.ts'
import type { Push } from '../src/core/live_snapshot.ts'
import { answerAsks } from './load_child.ts'

export type ViewersWanted = { readonly viewers: number }

/** Since the question before. */
export type Delivered = {
  /** Those of the viewers wanted that could not join. */
  readonly missing: number
  readonly deliveries: number
  /** Of the first viewer alone: payloads as JSON. */
  readonly bytes: readonly number[]
  /** Each viewer's deliveries: when, in ms since the epoch, and the greatest revision so far. */
  readonly seen: readonly (readonly (readonly [number, string])[])[]
}

type Viewer = { seen: [number, string][]; close(): Promise<unknown> }

const transport = WebSocket as unknown as WebSocketLikeConstructor
const env = (name: string) => process.env[name] ?? ''
const url = env('SUPABASE_URL')
const apikey = env('SUPABASE_PUBLISHABLE_KEY')
const triesMax = 3
const viewers: Viewer[] = []
let bytes: number[] = []

const session = signIn()

answerAsks<ViewersWanted>(async ({ viewers: wanted }): Promise<Delivered> => {
  await Promise.all(viewers.splice(wanted).map((viewer) => viewer.close()))
  let missing = 0
  while (viewers.length < wanted && missing === 0) {
    const opening = Array.from({ length: Math.min(10, wanted - viewers.length) }, () => openViewer())
    const opened = (await Promise.all(opening)).filter((viewer) => viewer !== null)
    viewers.push(...opened)
    if (opened.length < opening.length) missing = wanted - viewers.length
  }
  const seen = viewers.map((viewer) => viewer.seen)
  for (const viewer of viewers) viewer.seen = []
  const answer = { missing, deliveries: seen.reduce((sum, list) => sum + list.length, 0), bytes, seen }
  bytes = []
  return answer
})

async function signIn(): Promise<string> {
  const client = createClient(url, apikey, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport },
  })
  const { data, error } = await client.auth.signInWithPassword({
    email: env('TELLTALE_VIEWER_EMAIL'),
    password: env('TELLTALE_VIEWER_PASSWORD'),
  })
  if (error !== null) throw new Error(`Cannot sign in: ${error.message}`)
  return data.session.access_token
}

/** One try; a channel that failed is left. */
async function isJoined(client: RealtimeClient, hear: (push: Push) => void): Promise<boolean> {
  const channel = client.channel('telltale:live', { config: { private: true } })
  channel.on('broadcast', { event: 'live' }, ({ payload }) => hear(payload as Push))
  const joined = await new Promise<boolean>((resolve) =>
    channel.subscribe((status) => resolve(status === 'SUBSCRIBED')),
  )
  if (!joined) await client.removeChannel(channel)
  return joined
}

async function openViewer(): Promise<Viewer | null> {
  const token = await session
  const client = new RealtimeClient(`${url}/realtime/v1`, {
    params: { apikey },
    transport,
    accessToken: async () => token,
  })
  await client.setAuth()
  const isFirst = viewers.length === 0
  const viewerId = randomUUID()
  const headers = { apikey, authorization: `Bearer ${token}` }
  // The first asks for the whole hour, as a page does, and the others for what is new.
  const look = async (minutes: number) => {
    const address = `${url}/functions/v1/live?viewer=${viewerId}&minutes=${minutes}`
    const answer = await fetch(address, { headers }).catch(() => null)
    await answer?.arrayBuffer()
  }
  let beat: ReturnType<typeof setInterval> | undefined
  const viewer: Viewer = {
    seen: [],
    close() {
      clearInterval(beat)
      return client.disconnect()
    },
  }
  const hear = (push: Push) => {
    const before = viewer.seen.at(-1)?.[1] ?? '0-0'
    viewer.seen.push([Date.now(), Number.parseInt(push.rev, 10) < Number.parseInt(before, 10) ? before : push.rev])
    if (isFirst) bytes.push(Buffer.byteLength(JSON.stringify(push)))
  }
  // What was sent before may still be waited for, and a join waits no longer than a page's would.
  for (let tries = 1; !(await isJoined(client, hear)); tries += 1) {
    if (tries === triesMax) {
      await client.disconnect()
      return null
    }
    await pause(1_000)
  }
  await look(liveMinutesMax)
  void pause(Math.random() * liveBeatMs).then(() => {
    beat = setInterval(() => void look(2), liveBeatMs)
  })
  return viewer
}
