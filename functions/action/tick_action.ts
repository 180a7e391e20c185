import type { DetectorStore, ResourceStore, TickActions } from '../store/port.ts'
import { detectAnomalies } from './detect_anomalies.ts'
import { measureResources, type ResourceMeters } from './measure_resources.ts'

/** What the steps of the tick that are more than one rpc work with. */
export type TickParts = {
  readonly store: DetectorStore & ResourceStore
  /** Where Postgres is, and the hot tier. */
  readonly instance: ResourceMeters['instance']
  readonly redis: ResourceMeters['redis']
}

export function tickActionsOf({ store, instance, redis }: TickParts): TickActions {
  return {
    measure_resources: () => measureResources({ store, instance, redis }),
    detect_anomalies: () => detectAnomalies(store),
  }
}
