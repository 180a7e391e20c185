import { PostgrestClient } from '@supabase/postgrest-js'
import { isObject } from '../../src/core/json_object.ts'
import { storeSlackMs, viewerTurnMsMax } from '../../src/core/limit.ts'
import type { LiveData } from '../../src/core/live_snapshot.ts'
import { CallerError, type LiveCaller } from './caller_port.ts'

export type CallerAccess = {
  /** SUPABASE_URL, without a path. */
  readonly url: string
  readonly fetch?: typeof fetch
}

/**
 * `telltale.live_data` with the caller's own key and token, so that Postgres decides what they open. One request, tried
 * once: the page asks again by its own rules.
 * @throws CallerError
 */
export async function readLiveData({ url, fetch }: CallerAccess, caller: LiveCaller): Promise<LiveData> {
  const client = new PostgrestClient(`${url.replace(/\/+$/, '')}/rest/v1`, {
    headers: { apikey: caller.apikey, Authorization: caller.authorization },
    schema: 'telltale',
    timeout: viewerTurnMsMax + storeSlackMs,
    retry: false,
    ...(fetch === undefined ? {} : { fetch }),
  })
  const { viewer, minutes, present } = caller
  const { data, error, status } = await client.rpc('live_data', { viewer_id: viewer, minutes, present })
  if (error !== null) throw callerErrorOf(status)
  if (!isLiveData(data)) throw new CallerError('unavailable', 'Cannot read live data: its answer is not understood')
  return data
}

/** Postgres's own texts are left out: they say more than a caller without rights should know. */
function callerErrorOf(status: number): CallerError {
  if (status === 401) return new CallerError('unauthenticated', 'Cannot read live data: the key or token opens nothing')
  if (status === 403) return new CallerError('forbidden', 'Cannot read live data: the caller is not a member')
  const now = status === 0 ? 'Postgres is not reached' : `Postgres answers ${status}`
  return new CallerError('unavailable', `Cannot read live data: ${now}`)
}

const lists = ['minutes', 'running', 'sessions', 'gauges', 'ended', 'errors', 'batches'] as const

function isLiveData(value: unknown): value is LiveData {
  return isObject(value) && typeof value.at_us === 'number' && lists.every((key) => Array.isArray(value[key]))
}
