import type { Tap, TapExit } from './stdio_tap.ts'
import { heardFromTerminal } from './terminal_signal.ts'

// On Windows a console's Ctrl-C reaches every process of the console by itself, and no other signal can be passed on.
const forwarded: readonly NodeJS.Signals[] =
  process.platform === 'win32' ? [] : ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']
const swallowed: readonly NodeJS.Signals[] = process.platform === 'win32' ? ['SIGINT', 'SIGBREAK', 'SIGHUP'] : []

/**
 * Passes the signals that this process receives on to the server, except those that a terminal sends to both. One that comes when there is no server any more ends
 * this process at once. Answers how to stop.
 */
export function forwardSignals(tap: Tap): () => void {
  const listeners = [...forwarded, ...swallowed].map((signal) => {
    const listener = () => {
      const heard = swallowed.includes(signal) || heardFromTerminal(signal)
      if (!tap.signal(signal, heard) && !swallowed.includes(signal)) dieBy(signal)
    }
    process.on(signal, listener)
    return () => process.removeListener(signal, listener)
  })
  return () => {
    for (const stop of listeners) stop()
  }
}

/** Ends this process as the server ended. Does not return. */
export function exitLike(exit: TapExit): void {
  if (exit.kind === 'killed') dieBy(exit.signal)
  else process.exit(exit.code)
}

function dieBy(signal: NodeJS.Signals): void {
  if (process.platform === 'win32') process.exit(1)
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  // A signal that does not end a process: then the code that shells give for it.
  setTimeout(() => process.exit(128 + (signalNumbers[signal] ?? 0)), 100)
}

const signalNumbers: { readonly [signal: string]: number } = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGKILL: 9,
  SIGTERM: 15,
}
