import { type AnyFunction, shadowed } from './shadow.ts'

/** What is to be done when a promise settles. `value` may answer another in its place; neither may throw. */
export type Ear = { readonly value: (value: unknown) => unknown; readonly reason: (reason: unknown) => void }

/** Where what the host gave runs: what begins when awaited, and what continues after it. */
export type Around = {
  readonly inside: <T>(fn: () => T) => T
  readonly outside: () => <T>(fn: () => T) => T
}

const asItIs: Around = { inside: (fn) => fn(), outside: () => (fn) => fn() }

/**
 * Listens to a promise; null where `answer` is none. One of the plain kind is followed by one that settles the same
 * way, so that a rejection that nobody takes is still one. What else has a `then` (a query that begins when awaited, a
 * promise with methods of its own) stays itself and is heard at its first `then`.
 * @throws what looking at `answer` throws
 */
export function followPromise(answer: unknown, ear: Ear, around: Around = asItIs): object | null {
  if (answer === null || (typeof answer !== 'object' && typeof answer !== 'function')) return null
  if (typeof Reflect.get(answer, 'then') !== 'function') return null
  if (answer instanceof Promise && Object.getPrototypeOf(answer) === Promise.prototype) {
    const followed = answer.then(ear.value, (reason: unknown) => {
      ear.reason(reason)
      throw reason
    })
    const { then: _, ...own } = Object.getOwnPropertyDescriptors(answer) as PropertyDescriptorMap
    return Object.defineProperties(followed, own)
  }
  const shadow = shadowed(answer, 'then', (original) => heardThen(original, () => shadow.lift(), ear, around))
  return answer
}

function heardThen(original: AnyFunction, lift: () => void, ear: Ear, around: Around): AnyFunction {
  return function (this: unknown, took?: unknown, refused?: unknown, ...more: unknown[]): unknown {
    lift()
    const after = around.outside()
    const ok = (value: unknown) => {
      const answer = ear.value(value)
      return typeof took === 'function' ? after(() => took(answer) as unknown) : answer
    }
    const failed = (reason: unknown) => {
      ear.reason(reason)
      if (typeof refused === 'function') return after(() => refused(reason) as unknown)
      throw reason
    }
    return around.inside(() => original.call(this, ok, failed, ...more))
  }
}
