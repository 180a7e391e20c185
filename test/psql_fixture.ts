import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

const required = (process.env.TELLTALE_REQUIRE ?? '').split(',').includes('postgres')

/** Why tests with `psql` cannot run here; null when they can or must. */
export function noPsqlReason(): string | null {
  return required || spawnSync('psql', ['--version']).status === 0 ? null : 'psql is not installed'
}

export type Psql = {
  /** Sends a line and waits until psql has run it; answers what it printed on either stream since the last call. */
  say(line: string): Promise<string>
  kill(): Promise<void>
  /** Closes its input and answers the rest of what it printed. */
  quit(): Promise<string>
}

/** A real psql whose input stays open, as that of a person at a terminal. */
export function startPsql(url: string): Psql {
  const child = spawn('psql', [url, '-X', '-w', '-q', '-A', '-t'], { stdio: ['pipe', 'pipe', 'pipe'] })
  const exit = once(child, 'exit')
  let printed = ''
  let wake = () => {}
  let count = 0
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed += text
      wake()
    })
  }
  child.stdin.on('error', () => {}) // psql has gone.
  exit.then(() => wake())
  const taken = () => {
    const text = printed
    printed = ''
    return text
  }
  return {
    async say(line) {
      const marker = `said ${++count}`
      child.stdin.write(`${line}\n\\echo ${marker}\n`)
      while (!printed.includes(`${marker}\n`) && child.exitCode === null && child.signalCode === null) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      await new Promise((resolve) => setTimeout(resolve, 20)) // stderr may come a moment later.
      return taken().replace(`${marker}\n`, '')
    },
    async kill() {
      child.kill('SIGKILL')
      await exit
    },
    async quit() {
      child.stdin.end()
      await exit
      return taken()
    },
  }
}
