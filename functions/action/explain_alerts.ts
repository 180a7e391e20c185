import { verdictGapSeconds, verdictTracesMax, verdictTriesMax } from '../../src/core/limit.ts'
import { whyOf } from '../../src/core/why/why.ts'
import type { AlertWhyStore, StepAnswer } from '../store/port.ts'

/**
 * Asks why, of one alert of latency: the calls since it began against those before, of its own service and subject. A cause
 * is kept with the alert at once; that there is none is kept when it was tried often enough, for at first there are few calls.
 * @throws StoreError
 */
export async function explainAlerts(store: AlertWhyStore): Promise<StepAnswer> {
  const question = await store.claimAlertQuestion(verdictTriesMax, verdictGapSeconds)
  if (question === null) return { done: 0, more: false }
  const answer = whyOf(await store.readWhyData(question.filter, verdictTracesMax))
  if (answer.verdict === null && !question.last) return { done: 0, more: true }
  return { done: Number(await store.storeAlertVerdict(question.alert_id, answer)), more: true }
}
