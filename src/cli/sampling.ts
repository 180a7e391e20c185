import { type Command, InvalidArgumentError, Option } from 'commander'
import { readSettings, stackClientOf } from './stack_client.ts'

type SamplingOptions = {
  readonly baseline?: number
  readonly errors?: boolean
  readonly slow?: boolean
  readonly anomalous?: boolean
  readonly json?: boolean
}

/** As `telltale.sampling_rules()` answers. */
type SamplingRules = {
  readonly baseline_share: number
  readonly keep_errors: boolean
  readonly keep_slow: boolean
  readonly keep_anomalous: boolean
  readonly kept: number
  readonly emptied: number
  readonly pinned: number
}

/** `telltale sampling`: whose spans are kept. Metrics count every request, whatever is set here. */
export function registerSampling(program: Command): void {
  program
    .command('sampling')
    .description('say whose spans are kept, and set it; metrics count every request all the same')
    .addOption(new Option('--baseline <share>', 'share of all traces that keep their spans, 0 to 1').argParser(shareOf))
    .addOption(onOff('--errors', 'keep those of requests that failed'))
    .addOption(onOff('--slow', 'keep those of requests slower than 99 of 100 of their tool'))
    .addOption(onOff('--anomalous', 'keep those of requests that lie in an anomaly'))
    .option('--json', 'as one JSON object')
    .action((options: SamplingOptions) => sample(options))
}

async function sample({ baseline, errors, slow, anomalous, json }: SamplingOptions): Promise<void> {
  const stack = stackClientOf(await readSettings())
  const given = { baseline_share: baseline, keep_errors: errors, keep_slow: slow, keep_anomalous: anomalous }
  const rules = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const isSet = Object.keys(rules).length > 0
  const answer = (await (isSet
    ? stack.rpc('set_sampling', { rules })
    : stack.rpc('sampling_rules', {}))) as SamplingRules
  process.stdout.write(`${json === true ? JSON.stringify(answer) : textOf(answer)}\n`)
}

function textOf(rules: SamplingRules): string {
  if (rules.baseline_share === 1) return 'Every trace keeps its spans.'
  const kinds = [
    rules.keep_errors ? 'failed' : null,
    rules.keep_slow ? 'was slower than 99 of 100 of its tool' : null,
    rules.keep_anomalous ? 'lies in an anomaly' : null,
    'is pinned',
  ].filter((kind) => kind !== null)
  const percent = Math.round(rules.baseline_share * 10_000) / 100
  return [
    `A trace keeps its spans where it ${kinds.join(', or ')}; of the others ${percent} % do.`,
    `So far ${rules.kept} kept them and ${rules.emptied} did not; ${rules.pinned} pinned.`,
  ].join('\n')
}

function onOff(flag: string, description: string): Option {
  return new Option(`${flag} <on|off>`, description).argParser((text: string) => {
    if (text === 'on' || text === 'off') return text === 'on'
    throw new InvalidArgumentError('It is on or off.')
  })
}

function shareOf(text: string): number {
  const share = Number(text)
  if (text.trim() !== '' && share >= 0 && share <= 1) return share
  throw new InvalidArgumentError('It is a number from 0 to 1.')
}
