import { otlpBytesOf } from '../src/wire/otlp_encode.ts'
import type { OtlpEncoding, OtlpSignal } from '../src/wire/otlp_request.ts'
import { type Env, hex, post, type Supply, supplyOf, type WayIn } from './privacy_way_fixture.ts'

type Bag = { readonly [name: string]: unknown }

/** OpenTelemetry's traces, logs and metrics. */
export function byOtlp(encoding: OtlpEncoding): WayIn {
  return async (secrets, env) => {
    const supply = supplyOf(secrets)
    while (supply.left > 0) {
      const resource = resourceOf(supply)
      const scope = { name: supply.text(), version: supply.text(), attributes: attributesOf(supply) }
      const spans = Array.from({ length: 20 }, () => spanOf(supply))
      await send(env, encoding, 'traces', { resourceSpans: [{ resource, scopeSpans: [{ scope, spans }] }] })
      const logRecords = Array.from({ length: 5 }, () => logOf(supply))
      await send(env, encoding, 'logs', { resourceLogs: [{ resource, scopeLogs: [{ scope, logRecords }] }] })
      const metrics = metricsOf(supply)
      await send(env, encoding, 'metrics', { resourceMetrics: [{ resource, scopeMetrics: [{ scope, metrics }] }] })
    }
    return ''
  }
}

async function send(env: Env, encoding: OtlpEncoding, signal: OtlpSignal, request: Bag): Promise<void> {
  const type = encoding === 'json' ? 'application/json' : 'application/x-protobuf'
  await post(env, `/v1/${signal}`, type, otlpBytesOf(signal, encoding, request))
}

function resourceOf(supply: Supply): Bag {
  const names = ['service.name', 'service.version', 'service.instance.id', 'deployment.environment.name', 'host.name']
  const more = ['telemetry.sdk.name', 'process.command_line', 'session.id']
  return { attributes: [...attributesOf(supply), ...[...names, ...more].map((name) => pairOf(name, supply.text()))] }
}

function spanOf(supply: Supply): Bag {
  const thrown = ['exception.message', 'exception.type', 'exception.stacktrace']
  const names = ['gen_ai.conversation.id', 'gen_ai.tool.name', 'url.full', 'db.query.text', 'gen_ai.request.model']
  const said = ['gen_ai.tool.call.arguments', 'http.request.header.authorization', 'telltale.holder', 'mcp.session.id']
  return {
    traceId: hex(16),
    spanId: hex(8),
    traceState: `a=${supply.text().replaceAll(/[^a-z0-9]/gi, '')}`,
    name: supply.text(),
    kind: 2,
    startTimeUnixNano: nanosOf(5),
    endTimeUnixNano: nanosOf(0),
    status: { code: 2, message: supply.text() },
    attributes: [...attributesOf(supply), ...[...names, ...said].map((name) => pairOf(name, supply.text()))],
    events: [
      { timeUnixNano: nanosOf(1), name: 'exception', attributes: thrown.map((name) => pairOf(name, supply.text())) },
      { timeUnixNano: nanosOf(1), name: supply.text(), attributes: attributesOf(supply) },
    ],
    links: [{ traceId: hex(16), spanId: hex(8), attributes: attributesOf(supply) }],
  }
}

function logOf(supply: Supply): Bag {
  const thrown = ['exception.type', 'exception.message', 'exception.stacktrace']
  return {
    timeUnixNano: nanosOf(0),
    severityText: supply.text(),
    severityNumber: 17,
    eventName: supply.text(),
    body: otlpValueOf(supply.bag()),
    attributes: [...attributesOf(supply), ...thrown.map((name) => pairOf(name, supply.text()))],
  }
}

function metricsOf(supply: Supply): readonly Bag[] {
  const place = () => ({ timeUnixNano: nanosOf(0), attributes: attributesOf(supply) })
  const named = () => ({ name: supply.text(), unit: supply.text(), description: supply.text() })
  const exemplars = [{ timeUnixNano: nanosOf(0), asDouble: 1, filteredAttributes: attributesOf(supply) }]
  const counts = { count: '1', sum: 1, bucketCounts: ['1', '0'], explicitBounds: [5], exemplars }
  return [
    { ...named(), gauge: { dataPoints: [{ ...place(), asDouble: 1, exemplars }] } },
    { ...named(), sum: { dataPoints: [{ ...place(), asInt: '1' }], aggregationTemporality: 2, isMonotonic: true } },
    { ...named(), histogram: { dataPoints: [{ ...place(), ...counts }], aggregationTemporality: 2 } },
    { ...named(), summary: { dataPoints: [{ ...place(), count: '1', sum: 1, quantileValues: [] }] } },
  ]
}

/** A bag of secrets as values of every kind, and a secret as bytes. */
function attributesOf(supply: Supply): readonly Bag[] {
  const bytes = { key: 'raw', value: { bytesValue: Buffer.from(supply.text()).toString('base64') } }
  return [...Object.entries(supply.bag()).map(([key, value]) => pairOf(key, value)), bytes]
}

function pairOf(key: string, value: unknown): Bag {
  return { key, value: otlpValueOf(value) }
}

function otlpValueOf(value: unknown): Bag {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'number') return { intValue: String(value) }
  if (Array.isArray(value)) return { arrayValue: { values: value.map(otlpValueOf) } }
  return { kvlistValue: { values: Object.entries(value as Bag).map(([key, inner]) => pairOf(key, inner)) } }
}

function nanosOf(msAgo: number): string {
  return String(BigInt(Date.now() - msAgo) * 1_000_000n)
}
