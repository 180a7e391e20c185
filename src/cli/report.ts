import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { reportDataOf } from './report_data.ts'
import { reportPage } from './report_page.ts'
import { readSettings, stackClientOf } from './stack_client.ts'
import { type WhyOptions, whyFilterOf, withWhyOptions } from './why_filter.ts'

type Options = WhyOptions & { readonly out: string; readonly json?: boolean }

export function registerReport(program: Command): void {
  const command = program
    .command('report')
    .description('write what makes slow calls slow, with all its evidence, as one HTML file to send to a colleague')
  withWhyOptions(command)
    .requiredOption('--out <file>', 'where to write it; - is stdout')
    .option('--json', 'what was written as one JSON object')
    .action(async (options: Options) => {
      const client = stackClientOf(await readSettings())
      const data = await reportDataOf((name, args) => client.rpc(name, args), whyFilterOf(options), Date.now() * 1_000)
      const page = reportPage(data)
      if (options.out === '-') {
        process.stdout.write(page)
        return
      }
      await writeFile(options.out, page)
      const said = { file: options.out, bytes: Buffer.byteLength(page), verdict: data.answer.verdict?.sentence ?? null }
      process.stdout.write(
        options.json ? `${JSON.stringify(said)}\n` : `telltale: ${said.bytes} bytes are in ${said.file}\n`,
      )
    })
}
