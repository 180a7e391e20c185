import type {
  AlertStore,
  AlertWhyStore,
  DetectorStore,
  MemoryMeter,
  Notifier,
  PushChannel,
  ResourceStore,
  TickActions,
} from '../store/port.ts'
import { detectAnomalies } from './detect_anomalies.ts'
import { evaluateAlerts } from './evaluate_alerts.ts'
import { explainAlerts } from './explain_alerts.ts'
import { measureResources } from './measure_resources.ts'
import { sendNotifications } from './send_notifications.ts'

/** What the steps of the tick that are more than one rpc work with. */
export type TickParts = {
  readonly store: DetectorStore & ResourceStore & AlertStore & AlertWhyStore
  /** Where Postgres is. */
  readonly instance: string
  /** Null where there is no hot tier. */
  readonly redis: MemoryMeter | null
  /** Null where nobody listens. */
  readonly channel: PushChannel | null
  readonly notifier: Notifier
  /** Between 0 and 1. */
  readonly chance: () => number
}

export function tickActionsOf({ store, instance, redis, channel, notifier, chance }: TickParts): TickActions {
  return {
    measure_resources: () => measureResources({ store, instance, redis }),
    detect_anomalies: () => detectAnomalies(store),
    evaluate_alerts: () => evaluateAlerts(store, channel),
    explain_alerts: () => explainAlerts(store),
    send_notifications: () => sendNotifications(store, notifier, chance),
  }
}
