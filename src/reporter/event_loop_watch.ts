import { monitorEventLoopDelay } from 'node:perf_hooks'
import { gaugePaceMs } from '../core/limit.ts'

const resolutionMs = 20
const MiB = 1024 * 1024

/**
 * Samples two gauges every `everyMs` (ms): `event_loop_lag_ms`, the longest that the event loop was late in that time,
 * and `process_memory_mb`, the resident memory in MiB. Keeps nothing alive. Answers how to end it.
 */
export function watchEventLoop(
  gauge: (name: string, value: number) => void,
  everyMs: number = gaugePaceMs,
): () => void {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  delay.enable()
  const sample = () => {
    // The histogram has the time between two ticks, of which the resolution was asked for.
    gauge('event_loop_lag_ms', Math.max(0, delay.max / 1e6 - resolutionMs))
    gauge('process_memory_mb', process.memoryUsage.rss() / MiB)
    delay.reset()
  }
  // After all timers that are due: a reset forgets the last tick, and with it a delay whose end was not seen yet.
  const timer = setInterval(() => setImmediate(sample).unref(), everyMs)
  timer.unref()
  return () => {
    clearInterval(timer)
    delay.disable()
  }
}
