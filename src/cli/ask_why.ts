import type { Command } from 'commander'
import { answerWhy } from '../../functions/action/answer_why.ts'
import { readSettings, stackClientOf } from './stack_client.ts'
import { colourWanted } from './tail_line.ts'
import { type WhyOptions, whyFilterOf, withWhyOptions } from './why_filter.ts'
import { whyText } from './why_text.ts'

type Options = WhyOptions & { readonly json?: boolean; readonly exitCode?: boolean }

/** What `--exit-code` answers where there is a verdict: neither a failure (1) nor a wrong command line (2). */
const verdictExitCode = 3

export function registerWhy(program: Command): void {
  const command = program
    .command('why')
    .description('say what makes slow calls slow, with the evidence; without an option that names them they are found')
  withWhyOptions(command)
    .option('--json', 'one JSON object')
    .option('--exit-code', `end with ${verdictExitCode} where a cause is found, for CI`)
    .action(async (options: Options) => {
      const client = stackClientOf(await readSettings())
      const answer = await answerWhy((name, args) => client.rpc(name, args), whyFilterOf(options))
      const style = { colour: colourWanted(process.env, process.stdout.isTTY === true) }
      process.stdout.write(options.json ? `${JSON.stringify(answer)}\n` : whyText(answer, style))
      if (options.exitCode && answer.verdict !== null) process.exitCode = verdictExitCode
    })
}
