/**
 * The least CPU time of this thread that `run` takes, in ms, of `times` runs. Whatever else the machine does takes no
 * part in it, as it does in the time on the wall.
 */
export function cpuMsOf(run: () => unknown, times = 3): number {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < times; i++) {
    const before = process.threadCpuUsage()
    run()
    const { user, system } = process.threadCpuUsage(before)
    least = Math.min(least, (user + system) / 1_000)
  }
  return least
}
