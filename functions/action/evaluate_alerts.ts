import { passOver } from '../../src/core/alert/alert_pass.ts'
import type { AlertStore, PushChannel, StepAnswer } from '../store/port.ts'

/**
 * One pass over the alert rules: what they are judged from, the judgement, and what it came to, stored unless something
 * changed meanwhile; then it is judged again. The open pages are told at once of what changed, and again by the next pass
 * where that failed.
 * @throws StoreError
 */
export async function evaluateAlerts(store: AlertStore, channel: PushChannel | null): Promise<StepAnswer> {
  const inputs = await store.readAlertInputs()
  const outcome = passOver(inputs)
  const { changes, marks } = outcome
  const isNews = changes.length > 0 || marks.length > 0
  if (isNews && !(await store.storeAlertOutcome(outcome))) return { done: 0, more: true }
  const isUntold = inputs.watched && (isNews || inputs.pushed_revision < inputs.revision)
  if (channel !== null && isUntold) await pushAlerts(store, channel)
  return { done: changes.length, more: false }
}

async function pushAlerts(store: AlertStore, channel: PushChannel): Promise<void> {
  const push = await store.claimAlertPush()
  if (push === null) return
  await channel.push('alert', push)
  await store.noteAlertPush(push.rev)
}
