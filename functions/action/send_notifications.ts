import { retryMsOf } from '../../src/core/alert/retry_pause.ts'
import { notificationsAtOnce } from '../../src/core/limit.ts'
import type { AlertStore, Delivery, Notification, Notifier, StepAnswer } from '../store/port.ts'

/**
 * Sends the notifications that are due, side by side, and notes how that went. What was sent is sent again where it could
 * not be noted: at least once, each time under the same key.
 * @param chance 0..1, to spread the attempts
 * @throws StoreError
 */
export async function sendNotifications(
  store: AlertStore,
  notifier: Notifier,
  chance: () => number,
): Promise<StepAnswer> {
  const due = await store.claimNotifications(notificationsAtOnce)
  if (due.length === 0) return { done: 0, more: false }
  const deliveries = await Promise.all(due.map((notification) => attempted(notifier, notification, chance())))
  await store.noteDeliveries(deliveries)
  // What tells that it is over waits for what tells that it began.
  return { done: due.length, more: deliveries.some(({ ok }) => ok) }
}

async function attempted(notifier: Notifier, notification: Notification, chance: number): Promise<Delivery> {
  const { notification_id, attempt } = notification
  const { retry_after_s, ...went } = await notifier.send(notification)
  return { notification_id, attempt, ...went, retry_ms: went.ok ? 0 : retryMsOf(attempt, retry_after_s, chance) }
}
