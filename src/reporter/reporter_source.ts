import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { nameBytesMax } from '../core/limit.ts'
import type { ProcessInfo, Source } from '../core/record.ts'
import { cutText } from './text_cut.ts'

export type Environment = { readonly [name: string]: string | undefined }

/** How a host names itself; what is absent is read from TELLTALE_* in its environment. */
export type SourceOptions = {
  /** TELLTALE_SERVICE; `node` when neither says. */
  readonly service?: string | undefined
  /** TELLTALE_INSTANCE; the host's name when neither says. */
  readonly instance?: string | undefined
  /** TELLTALE_ENVIRONMENT; `default` when neither says. */
  readonly environment?: string | undefined
  readonly version?: string | undefined
}

const sdkName = 'telltale-js/0.1.0'

/** Where the metrics of this process come from. */
export function sourceOf(options: SourceOptions, env: Environment): Source {
  const name = (text: string | undefined, otherwise: string) => cutText(text?.trim() || otherwise, nameBytesMax)
  return {
    service: name(options.service ?? env.TELLTALE_SERVICE, 'node'),
    instance: name(options.instance ?? env.TELLTALE_INSTANCE, hostname()),
    environment: name(options.environment ?? env.TELLTALE_ENVIRONMENT, 'default'),
    version: options.version ? cutText(options.version, nameBytesMax) : null,
  }
}

/** This process, under a new id. `nowUs` in µs since the epoch. */
export function processOf(nowUs: number): ProcessInfo {
  const startedAtUs = nowUs - Math.round(process.uptime() * 1e6)
  return { id: randomUUID(), started_at_us: startedAtUs, host: hostname(), pid: process.pid, sdk: sdkName }
}
