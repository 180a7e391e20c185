import { spawn } from 'node:child_process'
import { isatty } from 'node:tty'

const windows = process.platform === 'win32'
const forwarded = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGBREAK']

/**
 * Runs a script on another Node in place of this process: the same arguments, standard streams, signals, and end.
 * The IPC channel carries nothing; that it closes tells the inner process that this one is gone (src/cli/main.ts).
 * @param {string} node path of the Node to run on
 * @param {string} script
 * @param {readonly string[]} args
 */
export function relaunch(node, script, args) {
  const child = spawn(node, ['--disable-warning=ExperimentalWarning', script, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  for (const signal of forwarded) {
    try {
      process.on(signal, () => forward(child, signal))
    } catch {
      // This platform has no such signal.
    }
  }
  child.on('error', (error) => {
    process.stderr.write(`Cannot start ${node}: ${error.message}. Node 22.18 or newer would do in its place.\n`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
    // Where the signal does not end this process at once (SIGQUIT while it writes a core), the code still tells.
    setTimeout(() => process.exit(1), 1000)
  })
}

function forward(child, signal) {
  // A terminal sends Ctrl-C to every process of its group, so the inner one has it already.
  if (signal === 'SIGINT' && isatty(0)) return
  // Windows can only kill; the closed channel lets the inner process stop in order.
  if (windows) child.connected && child.disconnect()
  else child.kill(signal)
}
