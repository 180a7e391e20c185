import { type AuthError, createClient, type RealtimeChannel, type SupabaseClient } from '@supabase/supabase-js'
import type { AlertDocument, AlertPush } from '../src/core/alert/alert_document.ts'
import type { LiveSnapshot, Push } from '../src/core/live_snapshot.ts'
import type { WhyAnswer } from '../src/core/why/why_answer.ts'
import type {
  DeliveryRow,
  ErrorGroup,
  ErrorGroupDetail,
  ErrorRow,
  GapRow,
  GroupStateAnswer,
  Overview,
  Page,
  SeriesAnswer,
  SilenceRow,
  TraceDetail,
  TraceRow,
} from './view/answer.ts'
import type { GroupStateRequest } from './view/group_state_view.ts'
import type { Heatmap, Holders, SessionLens, SessionRow, SessionTimeline, TimeTree } from './view/lens_answer.ts'
import type { SignInRefusal } from './view/sign_in_text.ts'

// The only file that touches the network, and the only one that knows whose services answer.

/** What the SQL readers take; `filterOf(place, nowUs)` makes it. */
export type ReadFilter = { readonly [key: string]: unknown }

/** A request that got no good answer. `status` 0: there was no answer at all. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  /** Whether asking again later may help. */
  readonly retryable: boolean

  constructor(message: string, status: number) {
    super(message)
    this.status = status
    this.retryable = status === 0 || status === 408 || status === 429 || status >= 500
  }
}

/** What a subscription tells. `onDown` comes once, and then nothing more. */
export type ChannelListener = {
  readonly onUp: () => void
  readonly onPush: (push: Push) => void
  readonly onAlerts: (push: AlertPush) => void
  readonly onDown: (reason: string) => void
}

/** Each read answers what the SQL function of its name does, and throws an ApiError when it cannot. */
export type Api = {
  overview(filter: ReadFilter): Promise<Overview>
  /** `key` is `all`, `layer:X`, `tool:X`, ...; without a step the reader chooses one. */
  series(filter: ReadFilter, key?: string, stepS?: number | null): Promise<SeriesAnswer>
  traces(filter: ReadFilter, cursor?: string | null, n?: number): Promise<Page<TraceRow>>
  /** Null: there is no such trace. */
  trace(traceId: string): Promise<TraceDetail | null>
  errorGroups(filter: ReadFilter, cursor?: string | null, n?: number): Promise<Page<ErrorGroup>>
  /** Null: there is no such group. */
  errorGroup(fingerprint: string, filter: ReadFilter): Promise<ErrorGroupDetail | null>
  /** Says in the name of whoever is signed in what a group's state is. */
  setGroupState(fingerprint: string, request: GroupStateRequest): Promise<GroupStateAnswer>
  errors(filter: ReadFilter, cursor?: string | null, n?: number): Promise<Page<ErrorRow>>
  gaps(filter: ReadFilter, cursor?: string | null, n?: number): Promise<Page<GapRow>>
  /** The verdict about what the filter of `why_data` means. */
  why(filter: ReadFilter): Promise<WhyAnswer>
  sessionLens(filter: ReadFilter): Promise<SessionLens>
  sessions(filter: ReadFilter, cursor?: string | null, n?: number): Promise<Page<SessionRow>>
  sessionTimeline(session: string, cursor?: string | null, n?: number): Promise<SessionTimeline>
  timeTree(filter: ReadFilter): Promise<TimeTree>
  /** `x`: time, call_number, tool, provider or model; `y`: layer or latency. */
  heatmap(filter: ReadFilter, x: string, y: string): Promise<Heatmap>
  holders(filter: ReadFilter): Promise<Holders>
  /** What fires now, as it is also pushed. */
  openAlerts(): Promise<AlertPush>
  alerts(filter: ReadFilter, cursor?: string | null, n?: number): Promise<Page<AlertDocument>>
  acknowledgeAlert(alertId: string): Promise<void>
  silences(): Promise<readonly SilenceRow[]>
  /** `rule_id`, `service`, `environment`: of all where absent. */
  silence(wanted: SilenceWish): Promise<void>
  endSilence(silenceId: string): Promise<void>
  deliveries(filter: ReadFilter, cursor?: string | null, n?: number): Promise<Page<DeliveryRow>>
  /** The hot snapshot with so many of the last minutes; asking for it is also what says that somebody watches. */
  live(minutes: number): Promise<LiveSnapshot>
  /** Joins the private channel with the session's present token. The answer ends the subscription. */
  subscribe(listener: ChannelListener): () => Promise<void>
  /** Whether there is a session whose token is good or could be renewed. Throws when that cannot be found out now. */
  hasSession(): Promise<boolean>
  redeemCode(code: string): Promise<SignInRefusal | null>
  signIn(email: string, password: string): Promise<SignInRefusal | null>
  signOut(): Promise<void>
  /** Calls back when the session ends, by signing out here or in another tab, or because it was revoked. */
  onSignedOut(listener: () => void): void
}

export type SilenceWish = {
  readonly rule_id?: string
  readonly service?: string
  readonly environment?: string
  readonly seconds: number
  readonly reason?: string
}

type Config = {
  readonly projectUrl: string
  readonly publishableKey: string
}

const liveTopic = 'telltale:live'
const requestMsMax = 30_000

/** Reads where everything is, from beside the page, and opens the services there. Throws an ApiError. */
export async function openApi(): Promise<Api> {
  const config = await readConfig()
  const client = createClient(config.projectUrl, config.publishableKey, {
    db: { schema: 'telltale' },
    auth: { detectSessionInUrl: false, storageKey: 'telltale-session' },
  }) as unknown as SupabaseClient
  const viewer = crypto.randomUUID()
  let present = 0

  const rpc = async (name: string, args: Record<string, unknown>): Promise<unknown> => {
    const answer = await client.rpc(name, args).abortSignal(AbortSignal.timeout(requestMsMax))
    if (answer.error === null) return answer.data
    throw new ApiError(problemOf(name, answer.status, answer.error), answer.status)
  }
  const list = async (name: string, filter: ReadFilter, cursor: string | null, n: number): Promise<unknown> =>
    asPage(name, await rpc(name, { filter, cursor, n }))

  return {
    overview: async (filter) => asObject('overview', await rpc('overview', { filter })) as Overview,
    series: async (filter, key = 'all', stepS = null) =>
      asObject('series', await rpc('series', { filter, key, step_s: stepS })) as SeriesAnswer,
    traces: async (filter, cursor = null, n = 100) => (await list('traces', filter, cursor, n)) as Page<TraceRow>,
    trace: async (traceId) => (await rpc('trace', { trace_id: traceId })) as TraceDetail | null,
    errorGroups: async (filter, cursor = null, n = 100) =>
      (await list('error_groups', filter, cursor, n)) as Page<ErrorGroup>,
    errorGroup: async (fingerprint, filter) =>
      (await rpc('error_group', { fingerprint, filter })) as ErrorGroupDetail | null,
    setGroupState: async (fingerprint, request) =>
      asObject('error group', await rpc('set_error_group_state', { fingerprint, ...request })) as GroupStateAnswer,
    errors: async (filter, cursor = null, n = 100) => (await list('errors', filter, cursor, n)) as Page<ErrorRow>,
    gaps: async (filter, cursor = null, n = 100) => (await list('gaps', filter, cursor, n)) as Page<GapRow>,
    ...alertsOf(rpc, list),
    why: async (filter) => {
      const body = JSON.stringify(filter)
      const answer = await callFunction('/functions/v1/why', await headersOf(client, config), { method: 'POST', body })
      return asObject('why', answer) as WhyAnswer
    },
    sessionLens: async (filter) => asObject('session_lens', await rpc('session_lens', { filter })) as SessionLens,
    sessions: async (filter, cursor = null, n = 100) => (await list('sessions', filter, cursor, n)) as Page<SessionRow>,
    sessionTimeline: async (session, cursor = null, n = 100) => {
      const answer = asObject('session_timeline', await rpc('session_timeline', { session, cursor, n }))
      return { ...answer, ...asPage('session_timeline', answer) } as SessionTimeline
    },
    timeTree: async (filter) => asObject('time_tree', await rpc('time_tree', { filter })) as TimeTree,
    heatmap: async (filter, x, y) => asObject('heatmap', await rpc('heatmap', { filter, x, y })) as Heatmap,
    holders: async (filter) => asObject('holders', await rpc('holders', { filter })) as Holders,
    live: async (minutes) => {
      const path = `/functions/v1/live?viewer=${viewer}&minutes=${minutes}&present=${present}`
      return asObject('live', await callFunction(path, await headersOf(client, config))) as LiveSnapshot
    },
    subscribe: subscriberOf(client, (count) => {
      present = count
    }),
    hasSession: async () => (await tokenOf(client)) !== null,
    redeemCode: async (code) =>
      refusalOf((await client.auth.verifyOtp({ token_hash: code, type: 'email' })).error, 'code'),
    signIn: async (email, password) =>
      refusalOf((await client.auth.signInWithPassword({ email, password })).error, 'password'),
    signOut: async () => {
      // The session goes first, and from here at once: what follows may have to wait for the network.
      await client.auth.signOut({ scope: 'local' })
      await client.removeAllChannels()
    },
    onSignedOut: (listener) => {
      client.auth.onAuthStateChange((event) => {
        if (event === 'SIGNED_OUT') listener()
      })
    },
  }
}

type Rpc = (name: string, args: Record<string, unknown>) => Promise<unknown>
type List = (name: string, filter: ReadFilter, cursor: string | null, n: number) => Promise<unknown>
type AlertApi = Pick<
  Api,
  'openAlerts' | 'alerts' | 'acknowledgeAlert' | 'silences' | 'silence' | 'endSilence' | 'deliveries'
>

function alertsOf(rpc: Rpc, list: List): AlertApi {
  return {
    openAlerts: async () => asObject('open_alerts', await rpc('open_alerts', {})) as AlertPush,
    alerts: async (filter, cursor = null, n = 100) => (await list('alerts', filter, cursor, n)) as Page<AlertDocument>,
    acknowledgeAlert: async (alertId) => void (await rpc('acknowledge_alert', { alert_id: alertId })),
    silences: async () => (await rpc('silences', {})) as readonly SilenceRow[],
    silence: async (wanted) => void (await rpc('silence', { wanted })),
    endSilence: async (silenceId) => void (await rpc('end_silence', { silence_id: silenceId })),
    deliveries: async (filter, cursor = null, n = 100) =>
      (await list('deliveries', filter, cursor, n)) as Page<DeliveryRow>,
  }
}

async function readConfig(): Promise<Config> {
  const response = await fetchJson('/config.json', { cache: 'no-store' })
  const { supabase_url, publishable_key } = asObject('config', response) as {
    readonly supabase_url?: string | null
    readonly publishable_key?: string
  }
  if (!publishable_key) throw new ApiError('Cannot read /config.json: it lacks the key', 500)
  // Under whatever name the page was opened: its own services are asked under the same.
  return { projectUrl: supabase_url ?? location.origin, publishableKey: publishable_key }
}

type Headers = { readonly [name: string]: string }

/** The viewer's own key and token. Throws an ApiError when nobody is signed in. */
async function headersOf(client: SupabaseClient, { publishableKey }: Config): Promise<Headers> {
  const token = await tokenOf(client)
  if (token === null) throw new ApiError('Cannot ask: nobody is signed in', 401)
  return { apikey: publishableKey, Authorization: `Bearer ${token}` }
}

function callFunction(path: string, headers: Headers, init: RequestInit = {}): Promise<unknown> {
  const type = init.body === undefined ? {} : { 'Content-Type': 'application/json' }
  return fetchJson(path, { ...init, headers: { ...headers, ...type }, cache: 'no-store' })
}

async function fetchJson(url: string, init: RequestInit): Promise<unknown> {
  const path = new URL(url, location.href).pathname
  let response: Response
  try {
    response = await fetch(url, { ...init, signal: AbortSignal.timeout(requestMsMax) })
  } catch {
    throw new ApiError(`Cannot read ${path}: no answer`, 0)
  }
  if (!response.ok) throw new ApiError(await problemIn(response, path), response.status)
  try {
    return await response.json()
  } catch {
    throw new ApiError(`Cannot read ${path}: the answer is not JSON`, 502)
  }
}

/** What a problem document (RFC 9457) says of the question; of a service that fails, that it does. */
async function problemIn(response: Response, path: string): Promise<string> {
  const document: unknown = response.status < 500 ? await response.json().catch(() => null) : null
  const detail = (document as { readonly detail?: unknown } | null)?.detail
  return typeof detail === 'string' ? detail : `Cannot read ${path}: the answer is ${response.status}`
}

/** The session's token, renewed when it is about to expire; null when nobody is signed in. */
async function tokenOf(client: SupabaseClient): Promise<string | null> {
  const { data, error } = await client.auth.getSession()
  if (error !== null && isTemporary(error)) throw new ApiError('Cannot renew the session: no answer', 0)
  return data.session?.access_token ?? null
}

function isTemporary(error: AuthError): boolean {
  return error.status === undefined || error.status === 0 || error.status === 429 || error.status >= 500
}

function refusalOf(error: AuthError | null, what: 'code' | 'password'): SignInRefusal | null {
  if (error === null) return null
  if (error.status === 429) return 'limit'
  return isTemporary(error) ? 'unreachable' : what
}

/**
 * Answers `subscribe` of one client. Each subscription has a socket of its own, and ends with it. While it is up the page
 * tells that it is there, and `onPresent` how many are: what the edge cannot see without a secret key in an address.
 */
function subscriberOf(client: SupabaseClient, onPresent: (count: number) => void): Api['subscribe'] {
  // While it closes its socket the client opens none, and says nothing.
  let closing: Promise<unknown> = Promise.resolve()
  return ({ onUp, onPush, onAlerts, onDown }) => {
    let over = false
    let channel: RealtimeChannel | null = null
    const end = (reason: string): void => {
      if (over) return
      over = true
      onPresent(0)
      // By itself the client would go on connecting, beside whoever subscribes next.
      closing = client.realtime.disconnect()
      onDown(reason)
    }
    const join = async (): Promise<void> => {
      await closing
      // What is left of an earlier subscription would be given back in place of a new one. The socket goes first:
      // leaving a channel over one that is dead takes ten seconds to give up.
      await client.realtime.disconnect()
      await client.removeAllChannels()
      await client.realtime.setAuth()
      if (over) return
      channel = client.channel(liveTopic, { config: { private: true } })
      channel.on('broadcast', { event: 'live' }, ({ payload }) => {
        if (!over) onPush(payload as Push)
      })
      channel.on('presence', { event: 'sync' }, () => {
        const pages = Object.values(channel?.presenceState() ?? {}).flat()
        if (!over) onPresent(pages.length)
      })
      channel.on('broadcast', { event: 'alert' }, ({ payload }) => {
        if (!over) onAlerts(payload as AlertPush)
      })
      channel.subscribe((status, error) => {
        if (over) return
        if (status === 'SUBSCRIBED') {
          onUp()
          // Again after every join: presence ends with the socket. Nobody waits for it, and the view does without.
          channel?.track({}).catch(() => {})
        } else end(error === undefined ? status : `${status}: ${error.message}`)
      })
    }
    join().catch((error: unknown) => end(String(error)))
    return async () => {
      over = true
      onPresent(0)
      if (channel !== null) await client.removeChannel(channel)
    }
  }
}

/** What went wrong: the database says it of what was asked, nobody says it of a service that is away. */
function problemOf(name: string, status: number, error: { readonly message: string; readonly hint?: string }): string {
  if (status === 0) return `Cannot read ${name}: no answer`
  if (status >= 500 || error.message === '') return `Cannot read ${name}: the answer is ${status}`
  return error.hint ? `${error.message}. ${error.hint}` : error.message
}

function asPage(name: string, value: unknown): Page<unknown> {
  const { rows, next } = asObject(name, value) as Partial<Page<unknown>>
  if (!Array.isArray(rows)) throw new ApiError(`Cannot read ${name}: its rows are no list`, 502)
  return { rows, next: next ?? null }
}

function asObject(name: string, value: unknown): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new ApiError(`Cannot read ${name}: the answer is no object`, 502)
}
