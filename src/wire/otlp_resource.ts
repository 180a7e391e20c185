import type { Attributes, ProcessInfo, Source } from '../core/record.ts'
import { contentIdOf, uuidForm } from './otlp_id.ts'
import { createPicker } from './otlp_picker.ts'

/** Where a resource's records come from. A process starts, as far as anybody knows, with its first record. */
export type OtlpOrigin = {
  readonly source: Source
  readonly process: Omit<ProcessInfo, 'started_at_us'> & { readonly started_at_us: number | null }
}

const int32Max = 2_147_483_647

/**
 * The source and the process of a resource (https://opentelemetry.io/docs/specs/semconv/resource/). The process's id is
 * made of what tells processes apart, so that each request of a process names the same one; what `telltale export`
 * wrote says it outright.
 */
export function originOf(resource: Attributes): OtlpOrigin {
  const picker = createPicker(resource)
  const service = picker.text('service.name') ?? 'unknown_service'
  const environment =
    picker.text('telltale.environment', 'deployment.environment.name', 'deployment.environment') ?? 'default'
  const host = picker.text('host.name')
  const named = picker.text('telltale.instance', 'service.instance.id')
  const pod = picker.text('k8s.pod.name')
  const container = picker.text('container.id')
  const pid = picker.count('process.pid')
  const id = picker.text('telltale.process.id')
  const instance = named ?? pod ?? host ?? container?.slice(0, 12) ?? 'default'
  const sdk = sdkOf(
    picker.text('telemetry.sdk.name'),
    picker.text('telemetry.sdk.language'),
    picker.text('telemetry.sdk.version'),
  )
  const namespace = picker.text('service.namespace')
  return {
    source: { service, environment, instance, version: picker.text('service.version') },
    process: {
      id:
        id !== null && uuidForm.test(id)
          ? id.toLowerCase()
          : contentIdOf('process', [namespace, service, environment, named, host, pod, container, pid]),
      started_at_us: picker.count('telltale.process.started_at_us'),
      host,
      pid: pid !== null && pid <= int32Max ? pid : null,
      sdk: picker.text('telltale.sdk') ?? sdk,
    },
  }
}

function sdkOf(name: string | null, language: string | null, version: string | null): string {
  const who = [name ?? 'opentelemetry', language].filter((part) => part !== null).join('-')
  return version === null ? who : `${who}/${version}`
}
