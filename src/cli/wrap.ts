import type { Command } from 'commander'
import { readTapSetting, type TapOptions, type TapSetting, warn } from './tap_setting.ts'

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
    .action(async (words: readonly string[], options: TapOptions) => {
      const [command, ...args] = words
      if (command !== undefined) await wrap(command, args, options)
    })
}

/** Runs the tap until the server ends, then ends this process as the server ended. */
async function wrap(command: string, args: readonly string[], options: TapOptions): Promise<void> {
  // Loaded here, so that no other command pays for it.
  const [{ startTap }, { forwardSignals, exitLike }, { tapExitFlushMsMax }] = await Promise.all([
    import('../tap/stdio_tap.ts'),
    import('../tap/exit_mirror.ts'),
    import('../core/limit.ts'),
  ])
  const setting = await readSetting(command, args, options)
  const listener = setting && (await listenerOf(setting))
  const { stdin: input, stdout: output, stderr: errors } = process
  const tap = startTap({ command, args, input, output, errors, listener, context: options.context, warn })
  const stopForwarding = forwardSignals(tap)
  const exit = await tap.ended
  if (exit.kind === 'not_started') warn(exit.message)
  await setting?.reporter.close(tapExitFlushMsMax)
  stopForwarding()
  exitLike(exit)
}

async function readSetting(command: string, args: readonly string[], options: TapOptions): Promise<TapSetting | null> {
  const { serviceOf } = await import('../tap/service_name.ts')
  return await readTapSetting(options, serviceOf(command, args))
}

async function listenerOf(setting: TapSetting) {
  const [{ CallObserver }, { randomUUID }] = await Promise.all([
    import('../reporter/mcp/call_observer.ts'),
    import('node:crypto'),
  ])
  return new CallObserver({ ...setting, connectionId: randomUUID() })
}
