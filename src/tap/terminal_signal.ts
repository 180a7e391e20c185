import { readFileSync } from 'node:fs'

// What a terminal sends for Ctrl-C and Ctrl-\.
const typed: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT']

/**
 * Whether the terminal sends this signal to every process that this one has started, too: it does so to the process
 * group in its foreground. To pass it on would tell them twice, and many take the second for "at once".
 */
export function heardFromTerminal(signal: NodeJS.Signals): boolean {
  return typed.includes(signal) && inForeground()
}

/** A client on pipes may stand in a terminal all the same; where the system does not tell, its streams have to. */
function inForeground(): boolean {
  try {
    return foregroundOf(readFileSync('/proc/self/stat', 'utf8'))
  } catch {
    return [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY)
  }
}

/** From the text of /proc/PID/stat (proc_pid_stat(5)): whether its group is in the foreground of its terminal. */
export function foregroundOf(stat: string): boolean {
  // The command, in brackets, may hold blanks and brackets itself.
  const [, , group, , terminal, foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return terminal !== '0' && group !== undefined && group === foreground
}
