import { PostgrestClient } from '@supabase/postgrest-js'
import { isObject } from '../../src/core/json_object.ts'
import { statementMsMax, storeSlackMs, viewerTurnMsMax } from '../../src/core/limit.ts'
import type { LiveData } from '../../src/core/live_snapshot.ts'
import { type Caller, CallerError, type LiveCaller } from './caller_port.ts'

export type CallerAccess = {
  /** SUPABASE_URL, without a path. */
  readonly url: string
  readonly fetch?: typeof fetch
}

type Asked = { readonly name: string; readonly args: { readonly [name: string]: unknown }; readonly msMax: number }

/**
 * A function of the schema telltale, asked with the caller's own key and token, so that Postgres decides what they open. One
 * request, tried once: whoever asks may ask again.
 * @throws CallerError
 */
export async function readAs(
  access: CallerAccess,
  caller: Caller,
  name: string,
  args: { readonly [name: string]: unknown },
): Promise<unknown> {
  return await ask(access, caller, { name, args, msMax: statementMsMax + storeSlackMs })
}

/**
 * `telltale.live_data`, as the caller. The page asks again by its own rules.
 * @throws CallerError
 */
export async function readLiveData(access: CallerAccess, caller: LiveCaller): Promise<LiveData> {
  const args = { viewer_id: caller.viewer, minutes: caller.minutes, present: caller.present }
  const data = await ask(access, caller, { name: 'live_data', args, msMax: viewerTurnMsMax + storeSlackMs })
  if (!isLiveData(data)) throw new CallerError('unavailable', 'Cannot read live data: its answer is not understood')
  return data
}

async function ask({ url, fetch }: CallerAccess, caller: Caller, { name, args, msMax }: Asked): Promise<unknown> {
  const client = new PostgrestClient(`${url.replace(/\/+$/, '')}/rest/v1`, {
    headers: { apikey: caller.apikey, Authorization: caller.authorization },
    schema: 'telltale',
    timeout: msMax,
    retry: false,
    ...(fetch === undefined ? {} : { fetch }),
  })
  const { data, error, status } = await client.rpc(name, args)
  if (error === null) return data
  throw callerErrorOf(name, status, error)
}

/**
 * Postgres's own texts are left out: they say more than a caller without rights should know. 22023 is ours: it repeats what
 * the caller asked, and says what may be asked.
 */
function callerErrorOf(
  name: string,
  status: number,
  { code, message, hint }: { readonly code: string; readonly message: string; readonly hint: string | null },
): CallerError {
  if (status === 401) return new CallerError('unauthenticated', `Cannot call ${name}: the key or token opens nothing`)
  if (status === 403) return new CallerError('forbidden', `Cannot call ${name}: the caller is not a member`)
  if (code === '22023') return new CallerError('refused', hint === null ? message : `${message}. ${hint}`)
  const now = status === 0 ? 'Postgres is not reached' : `Postgres answers ${status}`
  return new CallerError('unavailable', `Cannot call ${name}: ${now}`)
}

const lists = ['minutes', 'running', 'sessions', 'gauges', 'ended', 'errors', 'batches'] as const

function isLiveData(value: unknown): value is LiveData {
  return isObject(value) && typeof value.at_us === 'number' && lists.every((key) => Array.isArray(value[key]))
}
