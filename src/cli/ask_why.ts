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
      const told = tellOfWaiting()
      const answer = await answerWhy(async (name, args) => {
        told('reading the calls')
        const data = await client.rpc(name, args)
        told('comparing them')
        return data
      }, whyFilterOf(options)).finally(() => told(null))
      const style = { colour: colourWanted(process.env, process.stdout.isTTY === true) }
      process.stdout.write(options.json ? `${JSON.stringify(answer)}\n` : whyText(answer, style))
      if (options.exitCode && answer.verdict !== null) process.exitCode = verdictExitCode
    })
}

/** On a terminal, where it takes longer than a second, what it is at; null takes it away again. */
function tellOfWaiting(): (what: string | null) => void {
  if (process.stderr.isTTY !== true) return () => {}
  let now = ''
  let shown = false
  const timer = setTimeout(() => show(), 1_000)
  const show = () => {
    shown = true
    process.stderr.write(`\r\x1b[K${now} …`)
  }
  return (what) => {
    now = what ?? ''
    if (what === null) clearTimeout(timer)
    if (shown) what === null ? process.stderr.write('\r\x1b[K') : show()
  }
}
