const stopMsMax = 10_000
const sameSignalMs = 1_000

/**
 * Ties this process to the launcher that started it (bin/relaunch.mjs), where there is one: what it passes on counts as
 * a signal received here, unless the same came by itself; and when it is killed outright we stop as if told to.
 */
export function obeyLauncher(): void {
  if (!process.channel) return
  const heardAt = new Map<NodeJS.Signals, number>()
  // Only beside a listener of the command's: one of ours alone would keep a signal from ending the process.
  process.on('newListener', (name: string | symbol) => {
    if (typeof name !== 'string' || !name.startsWith('SIG') || heardAt.has(name as NodeJS.Signals)) return
    const signal = name as NodeJS.Signals
    heardAt.set(signal, Number.NEGATIVE_INFINITY)
    process.on(signal, () => heardAt.set(signal, performance.now()))
  })
  process.on('message', (message) => {
    const { signal } = message as { readonly signal: NodeJS.Signals }
    const before = heardAt.get(signal) ?? Number.NEGATIVE_INFINITY
    if (performance.now() - before > sameSignalMs) receive(signal)
  })
  process.once('disconnect', () => {
    receive('SIGTERM')
    setTimeout(() => process.exit(143), stopMsMax).unref()
  })
  process.channel.unref()
}

function receive(signal: NodeJS.Signals): void {
  if (process.emit(signal, signal)) return
  // Nobody listens: the signal does what it does by default, where there are signals.
  if (process.platform === 'win32') process.exit(1)
  process.kill(process.pid, signal)
}
