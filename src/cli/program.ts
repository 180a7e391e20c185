import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'

type CommandEntry = {
  readonly description: string
  readonly register: () => Promise<(program: Command) => void>
}

/** Every command, and where it is written. A command's file is loaded only when it is called. */
const commands: { readonly [name: string]: CommandEntry } = {
  start: {
    description: 'start the embedded stack and say where it listens',
    register: async () => (await import('./start.ts')).registerStart,
  },
  open: {
    description: 'print a link to the dashboard that signs in, once',
    register: async () => (await import('./open.ts')).registerOpen,
  },
  wrap: {
    description: 'run an MCP server (stdio) and record every request to it',
    register: async () => (await import('./wrap.ts')).registerWrap,
  },
  tap: {
    description: 'stand in front of a server that listens and record every request to it',
    register: async () => (await import('./tap.ts')).registerTap,
  },
  tail: {
    description: 'follow the calls as they end',
    register: async () => (await import('./tail.ts')).registerTail,
  },
  why: {
    description: 'say what makes slow calls slow, with the evidence',
    register: async () => (await import('./ask_why.ts')).registerWhy,
  },
  report: {
    description: 'write what makes slow calls slow as one HTML file to send to a colleague',
    register: async () => (await import('./report.ts')).registerReport,
  },
  mcp: {
    description: 'serve what is stored to an agent, as an MCP server on stdio',
    register: async () => (await import('./serve_mcp.ts')).registerMcp,
  },
  errors: {
    description: 'list kinds of errors, and resolve or ignore them',
    register: async () => (await import('./errors.ts')).registerErrors,
  },
  import: {
    description: 'take in log files',
    register: async () => (await import('./import.ts')).registerImport,
  },
  export: {
    description: 'write what is stored as lines of JSON, or send it on as OpenTelemetry',
    register: async () => (await import('./export.ts')).registerExport,
  },
  alerts: {
    description: 'what fires, whom it is told, and the rules',
    register: async () => (await import('./alerts.ts')).registerAlerts,
  },
  keys: {
    description: 'list, create and revoke ingest keys',
    register: async () => (await import('./keys.ts')).registerKeys,
  },
  sampling: {
    description: 'say or set whose spans are kept',
    register: async () => (await import('./sampling.ts')).registerSampling,
  },
  members: {
    description: 'list, add and remove who may see the dashboard',
    register: async () => (await import('./members.ts')).registerMembers,
  },
  doctor: {
    description: 'check what telltale needs, and say what is wrong',
    register: async () => (await import('./doctor.ts')).registerDoctor,
  },
}

/** A command line that cannot be understood, as opposed to a command that failed (1). */
const usageExitCode = 2

/**
 * Runs one command line.
 * @param args without the Node and the script
 * @returns the exit code for when everything that the command left open has ended
 */
export async function runProgram(args: readonly string[]): Promise<number> {
  try {
    const program = await buildProgram(args)
    await program.parseAsync(args, { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExitCode
    report(error, args)
    return 1
  }
}

/** The program with the one command that is called, or, to print help or to refuse, with all of them by name. */
async function buildProgram(args: readonly string[]): Promise<Command> {
  const program = new Command('telltale')
    .description('Shows everything an MCP server does, live, and says why the slow call is slow.')
    .version(readVersion(), '-V, --version')
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`telltale: ${text.replace(/^error: /, '')}`) })
  const words = args.filter((arg) => !arg.startsWith('-'))
  const name = words[0] === 'help' ? words[1] : words[0]
  const entry = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined
  if (entry) (await entry.register())(program)
  else for (const [name, { description }] of Object.entries(commands)) program.command(name).description(description)
  return program
}

function readVersion(): string {
  const url = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version
}

/** One line, or with --json one JSON object, on stderr. TELLTALE_DEBUG adds the stack. */
function report(error: unknown, args: readonly string[]): void {
  const message = messageOf(error)
  const asJson = args.slice(0, args.indexOf('--') >>> 0).includes('--json')
  process.stderr.write(asJson ? `${JSON.stringify({ error: message })}\n` : `telltale: ${message}\n`)
  if (process.env.TELLTALE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`)
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error && error.cause.message !== '' ? ` (${error.cause.message})` : ''
  return `${error.message}${cause}`.replaceAll(/\s*\n\s*/g, ' ')
}
