import { writeSync } from 'node:fs'
import type { Command } from 'commander'

type WrapOptions = {
  readonly service?: string
  readonly layer?: string
  readonly environment?: string
  readonly instance?: string
  readonly session?: string
  readonly inner?: boolean
  readonly context: boolean
  readonly content: readonly string[]
}

/** `telltale wrap [options] -- CMD ARGS...`: a server on the stdio transport, recorded on its way past. */
export function registerWrap(program: Command): void {
  program
    .command('wrap')
    .description('run an MCP server (stdio) and record every request to it')
    .usage('[options] -- CMD [ARGS...]')
    .argument('<command...>', 'the command that starts the server, after --')
    .option('--service <name>', 'name of the server (default: from the command)')
    .option('--layer <name>', 'the layer that the server is', 'tool')
    .option('--environment <name>', 'such as production or staging')
    .option('--instance <name>', 'which copy of the server (default: the host name)')
    .option('--session <key>', 'session of calls that name none')
    .option('--inner', 'another Telltale recorder further out has recorded each request already')
    .option(
      '--no-context',
      'leave every byte alone: by default requests are sent on with a trace context in params._meta',
    )
    .option(
      '--content <rule>',
      'record arguments and results too, of tool=NAME (* stands for anything); may be repeated',
      (rule: string, before: readonly string[]) => [...before, rule],
      [],
    )
    .action(async (words: readonly string[], options: WrapOptions) => {
      const [command, ...args] = words
      if (command !== undefined) await wrap(command, args, options)
    })
}

/** Runs the tap until the server ends, then ends this process as the server ended. */
async function wrap(command: string, args: readonly string[], options: WrapOptions): Promise<void> {
  // Loaded here, so that no other command pays for it.
  const [{ startTap }, { forwardSignals, exitLike }, { tapExitFlushMsMax }] = await Promise.all([
    import('../tap/stdio_tap.ts'),
    import('../tap/exit_mirror.ts'),
    import('../core/limit.ts'),
  ])
  const { reporter, listener } = await listenerOf(command, args, options).catch((error: unknown) => {
    warn(`Cannot record, traffic passes unread: ${error instanceof Error ? error.message : String(error)}`)
    return { reporter: null, listener: null }
  })
  const { stdin: input, stdout: output, stderr: errors } = process
  const tap = startTap({ command, args, input, output, errors, listener, context: options.context, warn })
  const stopForwarding = forwardSignals(tap)
  const exit = await tap.ended
  if (exit.kind === 'not_started') warn(exit.message)
  await reporter?.close(tapExitFlushMsMax)
  stopForwarding()
  exitLike(exit)
}

async function listenerOf(command: string, args: readonly string[], options: WrapOptions) {
  const [
    { createReporter, isTurnedOff },
    { CallObserver },
    { serviceOf },
    { randomUUID },
    { parseContentRules },
    { saltOf },
  ] = await Promise.all([
    import('../reporter/reporter.ts'),
    import('../tap/call_observer.ts'),
    import('../tap/service_name.ts'),
    import('node:crypto'),
    import('../tap/content_rule.ts'),
    import('../tap/argument_hash.ts'),
  ])
  const env = await settings()
  const reporter = createReporter({
    env,
    service: options.service ?? env.TELLTALE_SERVICE ?? serviceOf(command, args),
    environment: options.environment,
    instance: options.instance,
    flushOnExit: false,
  })
  if (!reporter.enabled) {
    // What is set and wrong, the reporter has said already.
    const missing = !env.TELLTALE_INGEST_URL || !env.TELLTALE_INGEST_KEY
    if (missing && !isTurnedOff(env))
      warn('Cannot record: TELLTALE_INGEST_URL and TELLTALE_INGEST_KEY are not set; traffic passes unread')
    return { reporter: null, listener: null }
  }
  const rules = parseContentRules([env.TELLTALE_CONTENT ?? '', ...options.content])
  if (!rules.ok) warn(`${rules.error}; no content is recorded`)
  const { layer, session, inner, context } = options
  const content = rules.ok ? rules.value : undefined
  const salt = saltOf(env.TELLTALE_INGEST_KEY ?? '')
  const connectionId = randomUUID()
  return {
    reporter,
    listener: new CallObserver({ reporter, layer, session, inner, context, content, salt, connectionId }),
  }
}

/** The environment, and what it lacks from the local.env that `telltale start` has written. */
async function settings(): Promise<{ readonly [name: string]: string | undefined }> {
  const { env } = process
  if (env.TELLTALE_INGEST_URL && env.TELLTALE_INGEST_KEY) return env
  try {
    const { readLocalEnv } = await import('../local/local_env.ts')
    return { ...readLocalEnv(), ...env }
  } catch {
    return env
  }
}

function warn(text: string): void {
  try {
    // A write to a stderr whose far end is gone would fail by process.stderr later, and end the tap.
    writeSync(2, `telltale: ${text}\n`)
  } catch {
    // Without a stderr there is nobody to tell.
  }
}
