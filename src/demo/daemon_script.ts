import { setTimeout as wait } from 'node:timers/promises'
import type { Client } from '@modelcontextprotocol/sdk/client/index.js'
import type { Reporter } from '../reporter/reporter.ts'
import { type Chance, labelOf, pick } from './chance.ts'
import { passCall, type ShimCall } from './shim_session.ts'

export type Stage = {
  readonly reporter: Reporter
  readonly client: Client
  readonly chance: Chance
  readonly signal: AbortSignal
}

const prompts = [
  'Why does the nightly import stop after the third file?',
  'Explain the retry policy of the courier.',
  'Which of these two indexes would serve the query better, and why?',
  'Summarise what changed in the storage layer since last week.',
]

const pauseMs = 350

/** What goes wrong in a conversation, one a conversation, in turn. */
const mishaps: readonly Omit<ShimCall, 'conversationId'>[] = [
  { tool: 'chat', arguments: { prompt: 'And now?', incident: 'unavailable' } },
  { tool: 'chat', arguments: { prompt: 'Still there?', incident: 'hanging' } },
  { tool: 'codereview', arguments: { prompt: 'Review the diff.' }, cancelAfterMs: 120 },
  { tool: 'analyze', arguments: {} },
  { tool: 'codereview', arguments: { prompt: 'Again.', incident: 'busy_once' } },
  { tool: 'summon', arguments: { prompt: 'A tool that nobody wrote.' } },
]

/**
 * Two conversations side by side. The third call of the first is slow: it waits for the one permit of its provider,
 * which `thinkdeep` of the second holds. Then something goes wrong. `round` counts from 0.
 */
export async function playConversations(stage: Stage, round: number): Promise<void> {
  const { chance, signal } = stage
  const first = labelOf('conv', chance)
  const second = labelOf('conv', chance)
  await say(stage, { tool: 'chat', conversationId: first, arguments: ask(chance, false) })
  await say(stage, { tool: 'analyze', conversationId: first, arguments: ask(chance, true) })
  if (signal.aborted) return
  const thinking = passCall(stage.reporter, stage.client, {
    tool: 'thinkdeep',
    conversationId: second,
    arguments: ask(chance, false),
  })
  await pause(100, signal)
  await say(stage, { tool: 'debug', conversationId: first, arguments: ask(chance, true) })
  await thinking
  await say(stage, { tool: 'chat', conversationId: second, arguments: ask(chance, true) })
  const mishap = mishaps[round % mishaps.length]
  if (mishap) await say(stage, { ...mishap, conversationId: first })
  // Whoever continues a conversation that was never stored is told so.
  if (round % 3 === 1)
    await say(stage, { tool: 'chat', conversationId: labelOf('lost', chance), arguments: ask(chance, true) })
  await say(stage, { tool: 'codereview', conversationId: first, arguments: ask(chance, true) })
}

function ask(chance: Chance, continues: boolean): ShimCall['arguments'] {
  return { prompt: pick(prompts, chance), continues }
}

async function say(stage: Stage, call: ShimCall): Promise<void> {
  if (stage.signal.aborted) return
  await passCall(stage.reporter, stage.client, call)
  await pause(pauseMs * (0.5 + stage.chance()), stage.signal)
}

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => undefined)
}
