import { spawn } from 'node:child_process'

const forwarded = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGBREAK']
const forwardDelayMs = 100

/**
 * Runs a script on another Node in place of this process: the same arguments, standard streams, signals, and end.
 * Signals go through an IPC channel, which Windows has too, and a moment late: a terminal or a supervisor sends one to
 * both processes, and src/cli/launcher_leash.ts drops what it has heard itself. That the channel closes tells the inner
 * process that this one is gone.
 * @param {string} node path of the Node to run on
 * @param {string} script
 * @param {readonly string[]} args
 */
export function relaunch(node, script, args) {
  const child = spawn(node, ['--disable-warning=ExperimentalWarning', script, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  for (const signal of forwarded) {
    process.on(signal, () => {
      setTimeout(() => child.connected && child.send({ signal }, () => undefined), forwardDelayMs)
    })
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
