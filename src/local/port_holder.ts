import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { promisify } from 'node:util'

export type PortHolder = { readonly pid: number; readonly command: string | null }

const commandLengthMax = 200
const askMsMax = 2_000
const run = promisify(execFile)

/** Who listens on a TCP port of this machine, null where it cannot be found out (another user's, or no tool for it). */
export async function readPortHolder(port: number): Promise<PortHolder | null> {
  try {
    if (process.platform === 'linux') return readProc(port)
    return process.platform === 'win32' ? await askNetstat(port) : await askLsof(port)
  } catch {
    return null
  }
}

/** Linux: the socket's inode from /proc/net/tcp, then the process that has it open. */
function readProc(port: number): PortHolder | null {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const inodes = new Set<string>()
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of textOf(table).split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      const listens = fields[3] === '0A'
      if (listens && fields[1]?.endsWith(local) && fields[9] !== undefined) inodes.add(`socket:[${fields[9]}]`)
    }
  }
  if (inodes.size === 0) return null
  for (const pid of readdirSync('/proc')) {
    if (/^\d+$/.test(pid) && openFilesOf(pid).some((file) => inodes.has(file))) {
      const command = textOf(`/proc/${pid}/cmdline`).split('\0').join(' ').trim()
      return { pid: Number(pid), command: command === '' ? null : command.slice(0, commandLengthMax) }
    }
  }
  return null
}

function openFilesOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`)
      } catch {
        return '' // Closed meanwhile.
      }
    })
  } catch {
    return [] // Gone, or another user's.
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

async function askLsof(port: number): Promise<PortHolder | null> {
  const { stdout } = await run('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc'], { timeout: askMsMax })
  const pid = /^p(\d+)$/m.exec(stdout)?.[1]
  return pid === undefined ? null : { pid: Number(pid), command: /^c(.+)$/m.exec(stdout)?.[1] ?? null }
}

async function askNetstat(port: number): Promise<PortHolder | null> {
  const { stdout } = await run('netstat', ['-ano', '-p', 'TCP'], { timeout: askMsMax, windowsHide: true })
  const line = new RegExp(`^\\s*TCP\\s+\\S+:${port}\\s+\\S+:0\\s.*?(\\d+)\\s*$`, 'm').exec(stdout)
  return line?.[1] === undefined ? null : { pid: Number(line[1]), command: null }
}
