import { writeSync } from 'node:fs'
import type { ContentRules } from '../reporter/mcp/content_rule.ts'
import type { Reporter } from '../reporter/reporter.ts'

/** What the command line says of any tap. */
export type TapOptions = {
  readonly service?: string
  readonly layer?: string
  readonly environment?: string
  readonly instance?: string
  readonly session?: string
  readonly inner?: boolean
  /** False: leave every byte alone. */
  readonly context: boolean
  readonly content: readonly string[]
}

/** What every observer of a tap is made from. */
export type TapSetting = Pick<TapOptions, 'layer' | 'session' | 'inner' | 'context'> & {
  readonly reporter: Reporter
  readonly content: ContentRules
  readonly salt: string
}

/**
 * The reporter and the rules of a tap, from its options, the environment and the local.env of `telltale start`. Null
 * where nothing can be recorded, which has been said on stderr: the traffic passes unread.
 */
export async function readTapSetting(options: TapOptions, defaultService: string): Promise<TapSetting | null> {
  try {
    return await settingOf(options, defaultService)
  } catch (error) {
    warn(`Cannot record, traffic passes unread: ${error instanceof Error ? error.message : String(error)}`)
    return null
  }
}

async function settingOf(options: TapOptions, defaultService: string): Promise<TapSetting | null> {
  const [{ createReporter, isTurnedOff }, { noContent, parseContentRules }, { saltOf }] = await Promise.all([
    import('../reporter/reporter.ts'),
    import('../reporter/mcp/content_rule.ts'),
    import('../reporter/mcp/argument_hash.ts'),
  ])
  const env = await readEnvironment()
  const { environment, instance, layer, session, inner, context } = options
  const service = options.service ?? env.TELLTALE_SERVICE ?? defaultService
  const reporter = createReporter({ env, service, environment, instance, flushOnExit: false })
  if (!reporter.enabled) {
    // What is set and wrong, the reporter has said already.
    const missing = !env.TELLTALE_INGEST_URL || !env.TELLTALE_INGEST_KEY
    if (missing && !isTurnedOff(env)) {
      warn('Cannot record: TELLTALE_INGEST_URL and TELLTALE_INGEST_KEY are not set; traffic passes unread')
    }
    return null
  }
  const rules = parseContentRules([env.TELLTALE_CONTENT ?? '', ...options.content])
  if (!rules.ok) warn(`${rules.error}; no content is recorded`)
  const content = rules.ok ? rules.value : noContent
  const salt = saltOf(env.TELLTALE_INGEST_KEY ?? '')
  return {
    reporter,
    content,
    salt,
    context,
    ...(layer ? { layer } : {}),
    ...(session ? { session } : {}),
    ...(inner ? { inner } : {}),
  }
}

/** The environment, and what it lacks from the local.env that `telltale start` has written. */
async function readEnvironment(): Promise<{ readonly [name: string]: string | undefined }> {
  const { env } = process
  if (env.TELLTALE_INGEST_URL && env.TELLTALE_INGEST_KEY) return env
  try {
    const { readLocalEnv } = await import('../local/local_env.ts')
    return { ...readLocalEnv(), ...env }
  } catch {
    return env
  }
}

/** One line on stderr, wherever it leads. */
export function warn(text: string): void {
  try {
    // A write to a stderr whose far end is gone would fail by process.stderr later, and end the tap.
    writeSync(2, `telltale: ${text}\n`)
  } catch {
    // Without a stderr there is nobody to tell.
  }
}
