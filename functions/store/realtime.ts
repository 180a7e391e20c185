import type { AlertPush } from '../../src/core/alert/alert_document.ts'
import { broadcastMsMax } from '../../src/core/limit.ts'
import type { Push } from '../../src/core/live_snapshot.ts'
import { type PushChannel, StoreError } from './port.ts'
import { secretHeaders } from './secret_header.ts'

/** The topic that the pages of one project listen to. */
const topic = 'telltale:live'

export type ChannelAccess = {
  /** SUPABASE_URL, without a path. */
  readonly url: string
  /** `sb_secret_...`, or the legacy service_role JWT. */
  readonly secretKey: string
  readonly fetch?: typeof fetch
}

/** Supabase Realtime's broadcast over REST: an isolate that lives for a request keeps no socket open. */
export class RealtimeChannel implements PushChannel {
  readonly #access: ChannelAccess

  constructor(access: ChannelAccess) {
    this.#access = access
  }

  /** Answered 202 once Realtime has it; whether anybody listens is not said. */
  async push(event: 'live' | 'alert', payload: Push | AlertPush): Promise<void> {
    const { url, secretKey, fetch = globalThis.fetch } = this.#access
    const send = async () => {
      const answer = await fetch(`${url.replace(/\/+$/, '')}/realtime/v1/api/broadcast`, {
        method: 'POST',
        headers: { ...secretHeaders(secretKey), 'Content-Type': 'application/json' },
        body: JSON.stringify({ messages: [{ topic, event, payload, private: true }] }),
        signal: AbortSignal.timeout(broadcastMsMax),
        // The key goes nowhere else: a redirect is no success.
        redirect: 'manual',
      })
      await answer.body?.cancel()
      return answer.status
    }
    const status = await send().catch(() => 0)
    if (status === 202) return
    const now = status === 0 ? 'Realtime is not reached' : `it answers ${status}`
    throw new StoreError('unavailable', `Cannot push to ${topic}: ${now}`)
  }
}
