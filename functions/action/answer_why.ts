import { isObject } from '../../src/core/json_object.ts'
import { whyOf } from '../../src/core/why/why.ts'
import type { WhyAnswer } from '../../src/core/why/why_answer.ts'
import type { WhyData } from '../../src/core/why/why_data.ts'
import { type Ask, CallerError } from '../store/caller_port.ts'

/**
 * The verdict about what a filter means: SQL gathers (`telltale.why_data`, which says what the filter may hold), the pure
 * engine decides.
 * @throws CallerError
 */
export async function answerWhy(ask: Ask, filter: { readonly [key: string]: unknown }): Promise<WhyAnswer> {
  const data = await ask('why_data', { filter })
  if (!isWhyData(data)) throw new CallerError('unavailable', 'Cannot reach a verdict: the answer is not understood')
  return whyOf(data)
}

function isWhyData(value: unknown): value is WhyData {
  return isObject(value) && Array.isArray(value.traces) && isObject(value.processes) && isObject(value.question)
}
