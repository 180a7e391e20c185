import { setTimeout as wait } from 'node:timers/promises'
import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { type Chance, labelOf, pick } from './chance.ts'
import { paced } from './pace.ts'

export type Stage = {
  readonly client: Client
  readonly chance: Chance
  readonly signal: AbortSignal
}

type Call = {
  readonly tool: string
  readonly conversationId: string
  readonly arguments: { readonly [name: string]: unknown }
  /** The caller gives up after this many ms. */
  readonly cancelAfterMs?: number
}

const tools = ['chat', 'analyze', 'debug', 'codereview', 'thinkdeep']
const prompts = [
  'Why does the nightly import stop after the third file?',
  'Explain the retry policy of the courier.',
  'Which of these two indexes would serve the query better, and why?',
  'Summarise what changed in the storage layer since last week.',
]

const pauseMs = 350
const pastedLinesMax = 120
const answerMsMax = 20_000

/** What goes wrong, once a round, in turn. */
const mishaps: readonly Omit<Call, 'conversationId'>[] = [
  { tool: 'chat', arguments: { prompt: 'And now?', incident: 'unavailable' } },
  { tool: 'chat', arguments: { prompt: 'Still there?', incident: 'hanging' } },
  { tool: 'codereview', arguments: { prompt: 'Review the diff.' }, cancelAfterMs: 120 },
  { tool: 'analyze', arguments: {} },
  { tool: 'codereview', arguments: { prompt: 'Again.', incident: 'busy_once' } },
  { tool: 'summon', arguments: { prompt: 'A tool that nobody wrote.' } },
]

/**
 * Two conversations side by side, of three calls each. The third is slow: the two before it never gave back the permits of
 * their conversation. In the first something else goes wrong then. `round` counts from 0.
 */
export async function playConversations(stage: Stage, round: number): Promise<void> {
  const { chance } = stage
  await Promise.all([converse(stage, mishaps[round % mishaps.length]), converse(stage)])
  // Whoever continues a conversation that was never stored is told so.
  if (round % 3 === 1) {
    await say(stage, { tool: 'chat', conversationId: labelOf('lost', chance), arguments: ask(chance, true) })
  }
}

async function converse(stage: Stage, mishap?: Omit<Call, 'conversationId'>): Promise<void> {
  const { chance } = stage
  const conversationId = labelOf('conv', chance)
  await say(stage, { tool: 'chat', conversationId, arguments: ask(chance, false) })
  for (let more = 0; more < 2; more++) {
    await say(stage, { tool: pick(tools, chance), conversationId, arguments: ask(chance, true) })
  }
  if (mishap) await say(stage, { ...mishap, conversationId })
}

/** A question, with as much of a log pasted below it as somebody thought fit. */
function ask(chance: Chance, continues: boolean): Call['arguments'] {
  const pasted = Array.from(
    { length: Math.floor(pastedLinesMax * chance() ** 2) },
    (_, at) => `${at}: import of a file`,
  )
  return { prompt: [pick(prompts, chance), ...pasted].join('\n'), continues }
}

async function say({ client, chance, signal }: Stage, call: Call): Promise<void> {
  if (signal.aborted) return
  const { tool, conversationId, cancelAfterMs } = call
  const options = {
    timeout: answerMsMax,
    ...(cancelAfterMs === undefined ? {} : { signal: AbortSignal.timeout(paced(cancelAfterMs)) }),
  }
  const asked = { name: tool, arguments: { ...call.arguments, continuation_id: conversationId } }
  // What fails is recorded by the tap and the daemon: that is what this is for.
  await client.callTool(asked, undefined, options).catch(() => undefined)
  await pause(pauseMs * (0.5 + chance()), signal)
}

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(paced(ms), undefined, { signal }).catch(() => undefined)
}
