import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** A part of a bench in a process of its own, so that what it costs is not counted to what it measures. */
export type LoadChild = {
  /** Puts a question, and waits for its answer. One at a time. */
  ask<Answer>(question: object): Promise<Answer>
  close(): Promise<void>
}

/** `script` is beside this file; `settings` are its environment. */
export function openChild(script: string, settings: Readonly<Record<string, string>>): LoadChild {
  const child: ChildProcess = fork(new URL(script, import.meta.url), { env: { ...process.env, ...settings } })
  const exited = once(child, 'exit')
  return {
    async ask<Answer>(question: object): Promise<Answer> {
      const gone = exited.then(([code]) => {
        throw new Error(`Cannot ask ${script}: it ended with ${code}`)
      })
      child.send(question)
      const [answer] = (await Promise.race([once(child, 'message'), gone])) as [{ readonly value: Answer }]
      return answer.value
    },
    async close() {
      if (child.connected) child.disconnect()
      if (child.exitCode === null) await exited
    },
  }
}

/** In the child: answers each question, until whoever asks is gone. */
export function answerAsks<Question>(answer: (question: Question) => unknown): void {
  process.on('message', async (question) => {
    process.send?.({ value: (await answer(question as Question)) ?? null })
  })
  process.on('disconnect', () => process.exit(0))
}

/** The value at rank `q` (0 to 1) of a list, NaN of an empty one. */
export function quantileOf(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))] ?? Number.NaN
}
