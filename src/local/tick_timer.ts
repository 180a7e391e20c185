import { setTimeout as wait } from 'node:timers/promises'
import { closeMsMax, embeddedTickMs, maintenanceMs, requestMsMax } from '../core/limit.ts'

export type TickTimerOptions = {
  /** Where a tick is asked for, as a cron would. */
  readonly url: string
  readonly secretKey: string
  /** VACUUM and CHECKPOINT, where nobody else does them. */
  readonly maintain: () => Promise<void>
  /** Told of a failure; the timer goes on. */
  readonly log: (line: string) => void
  readonly tickMs?: number
  readonly maintenanceMs?: number
}

export type TickTimer = {
  /** Asks for a tick now, in the background. */
  nudge(): void
  /** Ends the timer, and waits for what runs, though no longer than a third of `closeMsMax`: it is resumable. */
  close(): Promise<void>
}

/** What pg_cron is to a hosted project. One tick at a time, the next one a pause after the last. */
export function startTickTimer(options: TickTimerOptions): TickTimer {
  const stop = new AbortController()
  const tickMs = options.tickMs ?? embeddedTickMs
  let maintainAt = performance.now() + (options.maintenanceMs ?? maintenanceMs)
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | null = null
  let closed = false

  const turn = async () => {
    await tick(options, stop.signal)
    if (closed || performance.now() < maintainAt) return
    await options.maintain().catch((error: unknown) => options.log(`Cannot maintain the database: ${textOf(error)}`))
    maintainAt = performance.now() + (options.maintenanceMs ?? maintenanceMs)
  }
  const begin = () => {
    if (running !== null || closed) return
    clearTimeout(timer)
    running = turn().finally(() => {
      running = null
      if (!closed) timer = setTimeout(begin, tickMs)
    })
  }
  timer = setTimeout(begin, tickMs)
  return {
    nudge: begin,
    async close() {
      closed = true
      clearTimeout(timer)
      if (running !== null) await Promise.race([running, wait(closeMsMax / 3, undefined, { ref: false })])
      stop.abort()
    },
  }
}

async function tick({ url, secretKey, log }: TickTimerOptions, stopped: AbortSignal): Promise<void> {
  try {
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(requestMsMax)])
    const answer = await fetch(url, { method: 'POST', headers: { apikey: secretKey }, signal })
    const text = await answer.text()
    if (!answer.ok) log(`Cannot tick: ${answer.status} ${text}`)
  } catch (error) {
    if (!stopped.aborted) log(`Cannot tick: ${textOf(error)}`)
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
