import { PostgrestClient, type PostgrestError } from '@supabase/postgrest-js'

/** Where the stack is and the key that opens it: the environment's, and what it lacks from local.env. */
export type StackSettings = { readonly [name: string]: string | undefined }

/** Our own answer to a question that PostgREST or PostgreSQL refused; `retryable` when asking again may help. */
export class RpcError extends Error {
  override readonly name = 'RpcError'
  readonly retryable: boolean
  readonly status: number

  constructor(message: string, status: number, retryable: boolean) {
    super(message)
    this.status = status
    this.retryable = retryable
  }
}

/** @throws never for a missing file: then only the environment speaks */
export async function readSettings(): Promise<StackSettings> {
  const { readLocalEnv } = await import('../local/local_env.ts')
  return { ...readLocalEnv(), ...process.env }
}

export type StackClient = {
  readonly url: string
  /** Calls a function of the schema telltale. @throws RpcError */
  rpc(name: string, args: { readonly [name: string]: unknown }): Promise<unknown>
}

/** A client with the operator's secret key. @throws Error when the settings name no stack */
export function stackClientOf(settings: StackSettings): StackClient {
  const url = settings.SUPABASE_URL
  const key = settings.SUPABASE_SECRET_KEY ?? settings.SUPABASE_SERVICE_ROLE_KEY
  if (!url || !key) {
    throw new Error(
      'Cannot find the stack: SUPABASE_URL and SUPABASE_SECRET_KEY are not set, and no local.env is there',
    )
  }
  // A key of the old form is a JWT, whose role counts only as a bearer token.
  const headers: Record<string, string> = key.startsWith('eyJ')
    ? { apikey: key, Authorization: `Bearer ${key}` }
    : { apikey: key }
  const client = new PostgrestClient(`${url.replace(/\/+$/, '')}/rest/v1`, { headers, schema: 'telltale' })
  return {
    url,
    async rpc(name, args) {
      const { data, error, status } = await client.rpc(name, args).abortSignal(AbortSignal.timeout(rpcMsMax))
      if (error) throw rpcErrorOf(name, url, error, status)
      return data
    },
  }
}

const rpcMsMax = 10_000

function rpcErrorOf(name: string, url: string, error: PostgrestError, status: number): RpcError {
  // postgrest-js answers status 0 for a request that never arrived.
  if (status === 0) return new RpcError(`Cannot reach ${url}: ${error.message}`, status, true)
  const retryable = status >= 500 || status === 429 || status === 408
  return new RpcError(`Cannot call ${name} at ${url}: ${status} ${error.message}`, status, retryable)
}
