import type { Command } from 'commander'
import { type AlertHistory, replayReachOf, replayRule, type WouldFire } from '../core/alert/alert_replay.ts'
import type { AlertRule } from '../core/alert/alert_rule.ts'
import { alertChunkHoursMax, alertReplayHoursMax } from '../core/limit.ts'
import { asInstant, connect, type JsonOption, print, when } from './alert_words.ts'
import type { StackClient } from './stack_client.ts'
import { safeText } from './tail_line.ts'

type TestOptions = JsonOption & { readonly from: string; readonly to?: string }

const hourUs = 3_600_000_000

/** `telltale alerts test`: a rule against what is stored, by the same states as the tick's pass. */
export function registerRuleTest(alerts: Command): void {
  alerts
    .command('test')
    .description('say when a rule would have fired, by what is stored')
    .argument('<rule>', 'its id, enabled or not')
    .option('--from <instant>', 'from when on: ISO 8601, or how long ago, such as 6h', '24h')
    .option('--to <instant>', 'until when; now without it')
    .option('--json', 'as one JSON object')
    .action(async (rule: string, options: TestOptions) => testRule(await connect(), rule, options, Date.now() * 1_000))
}

async function testRule(
  stack: StackClient,
  rule_id: string,
  { from, to, json }: TestOptions,
  nowUs: number,
): Promise<void> {
  const [fromUs, toUs] = [asInstant(from, nowUs), to === undefined ? nowUs : asInstant(to, nowUs)]
  if (fromUs >= toUs) throw new Error('Cannot test rule: from is not before to')
  if (toUs - fromUs > alertReplayHoursMax * hourUs)
    throw new Error(`Cannot test rule: more than ${alertReplayHoursMax} hours are asked for`)
  const rule = ((await stack.rpc('rules', {})) as readonly AlertRule[]).find((each) => each.rule_id === rule_id)
  if (rule === undefined) throw new Error(`Cannot test rule ${rule_id}: there is none of that id`)
  if (rule.kind === 'gap') throw new Error(`Cannot test rule ${rule_id}: when something was lost is not kept`)
  const history = await readHistory(stack, rule, fromUs - replayReachOf(rule) * 1_000_000, toUs)
  const fired = replayRule(history, fromUs, toUs)
  if (json === true) return print(JSON.stringify({ rule_id, from_us: fromUs, to_us: toUs, fired }))
  const times = fired.length === 1 ? 'once' : `${fired.length} times`
  print(`${rule_id} would have fired ${fired.length === 0 ? 'never' : times} from ${when(fromUs)} to ${when(toUs)}`)
  for (const each of fired) print(lineOf(each))
}

function lineOf({ fired_us, resolved_us, title }: WouldFire): string {
  return `${when(fired_us)} to ${resolved_us === null ? 'the end' : when(resolved_us)}  ${safeText(title)}`
}

/** Asked for in parts, for each is one answer. */
async function readHistory(stack: StackClient, rule: AlertRule, fromUs: number, toUs: number): Promise<AlertHistory> {
  const parts: AlertHistory[] = []
  const wholeUs = Math.floor(fromUs / 60_000_000) * 60_000_000
  for (let us = wholeUs; us < toUs; us += alertChunkHoursMax * hourUs) {
    const since = new Date(us / 1_000).toISOString()
    const till = new Date(Math.min(toUs, us + alertChunkHoursMax * hourUs) / 1_000).toISOString()
    parts.push((await stack.rpc('alert_history', { rule_id: rule.rule_id, since, till })) as AlertHistory)
  }
  const all = <K extends Exclude<keyof AlertHistory, 'rule'>>(key: K) =>
    parts.flatMap((part) => [...part[key]]) as unknown as AlertHistory[K]
  const anomalies = new Map(all('anomalies').map((each) => [each.anomaly_id, each]))
  return {
    rule: parts[0]?.rule ?? rule,
    minutes: all('minutes'),
    errors: all('errors'),
    waits: all('waits'),
    calls: all('calls'),
    heard: all('heard'),
    gauges: all('gauges'),
    anomalies: [...anomalies.values()],
  }
}
