import { setTimeout as wait } from 'node:timers/promises'
import type { Reporter, SpanHandle } from '../reporter/reporter.ts'
import type { Incident, ModelAnswer, ModelRequest } from './model_api.ts'
import { paced } from './pace.ts'

const attemptsMax = 3
const backoffMs = 150
const answerMsMax: { readonly [provider: string]: number } = { glm: 1_500, kimi: 8_000 }

/** The provider gave up. Its cause is what its API said last. */
export class ProviderError extends Error {
  override readonly name = 'ProviderError'
}

/** What the API answered in place of an answer. */
export class ApiStatusError extends Error {
  override readonly name = 'ApiStatusError'
  readonly status: number

  constructor(model: string, status: number, said: string) {
    super(`Cannot complete with ${model}: the API answered ${status} (${said})`)
    this.status = status
  }
}

/** The API said nothing in time. */
class ApiTimeoutError extends Error {
  override readonly name = 'ApiTimeoutError'
}

export type Question = {
  readonly provider: string
  readonly model: string
  readonly prompt: string
  readonly incident: Incident
  readonly signal: AbortSignal
}

/** Asks a model, and again with a growing pause while its API is unwell. @throws ProviderError, ApiTimeoutError, AbortError */
export async function askProvider(
  reporter: Reporter,
  parent: SpanHandle,
  apiUrl: string,
  question: Question,
): Promise<ModelAnswer> {
  const { provider, model, signal } = question
  const span = reporter.span(parent, { name: `${provider} generate`, layer: 'provider', provider, model })
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await askApi(reporter, span, apiUrl, question, attempt)
        span.end('ok', { attributes: { attempts: attempt } })
        return answer
      } catch (error) {
        if (!(error instanceof ApiStatusError)) throw error
        if (attempt === attemptsMax) {
          throw new ProviderError(`Cannot reach ${provider}: ${attemptsMax} attempts failed`, { cause: error })
        }
        const pause = reporter.wait(span, { name: 'backoff', attributes: { attempt, status: error.status } })
        await wait(paced(backoffMs * 2 ** attempt), undefined, { signal }).finally(() => pause.end())
      }
    }
  } catch (error) {
    span.end(outcomeOfThrown(error))
    throw error
  }
}

async function askApi(
  reporter: Reporter,
  parent: SpanHandle,
  apiUrl: string,
  question: Question,
  attempt: number,
): Promise<ModelAnswer> {
  const { provider, model, prompt, incident, signal } = question
  const body = JSON.stringify({ model, prompt, incident, attempt } satisfies ModelRequest)
  const name = `POST /${provider}/chat/completions`
  const span = reporter.span(parent, { name, layer: 'api', provider, model, bytesOut: body.length })
  const firstByte = reporter.wait(span, { name: 'first chunk' })
  const deadlineMs = answerMsMax[provider] ?? 5_000
  try {
    const deadline = AbortSignal.timeout(paced(deadlineMs))
    const response = await fetch(`${apiUrl}/${provider}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal: AbortSignal.any([signal, deadline]),
    })
    firstByte.end()
    const text = await response.text()
    if (response.status !== 200) throw new ApiStatusError(model, response.status, JSON.parse(text).error)
    const answer = JSON.parse(text) as ModelAnswer
    const { prompt_tokens, completion_tokens } = answer.usage
    span.end('ok', { bytesIn: text.length, tokensIn: prompt_tokens, tokensOut: completion_tokens })
    return answer
  } catch (error) {
    const outcome = error instanceof ApiStatusError ? 'server_fault' : outcomeOfThrown(error)
    firstByte.end(outcome)
    span.end(outcome)
    if (outcome !== 'timeout') throw error
    throw new ApiTimeoutError(`Cannot complete with ${model}: no answer within ${deadlineMs} ms`, { cause: error })
  }
}

/** What a failure inside a tool means for the spans that it passes through. */
export function outcomeOfThrown(error: unknown): 'timeout' | 'cancelled' | 'tool_error' {
  const name = error instanceof Error ? error.name : ''
  if (name === 'TimeoutError' || name === 'ApiTimeoutError') return 'timeout'
  return name === 'AbortError' ? 'cancelled' : 'tool_error'
}
