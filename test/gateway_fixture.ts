import type { Hono } from 'hono'
import { type GatewayApps, gatewayApp } from '../src/local/gateway.ts'
import type { GuardOptions } from '../src/local/request_guard.ts'

/** A gateway to the given rooms; the others are empty. */
export function gatewayOf(apps: Partial<GatewayApps>, guard: Partial<GuardOptions> = {}): Hono {
  const nothing = () => new Response(null, { status: 404 })
  return gatewayApp(
    {
      rest: nothing,
      auth: nothing,
      realtime: nothing,
      redis: nothing,
      functions: { ingest: nothing, tick: nothing, live: nothing, why: nothing, mcp: nothing },
      dashboard: nothing,
      isHealthy: async () => true,
      ...apps,
    },
    { host: '127.0.0.1', allowedHosts: [], ...guard },
  )
}
