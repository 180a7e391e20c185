import { afterEach, beforeEach } from 'vitest'
import type { Gauge, Span } from '../src/core/record.ts'
import { createReporter, type Reporter } from '../src/reporter/reporter.ts'
import { type IngestFixture, startIngest } from './ingest_fixture.ts'

/** A reporter and its far end, new for each test of the file that asks for it. */
export type ReportedTest = {
  reporter: Reporter
  far: IngestFixture
  /** The ended spans of that name, after what waits was sent. */
  readonly spansNamed: (name: string) => Promise<readonly Span[]>
  readonly gaugesNamed: (name: string) => Promise<readonly Gauge[]>
}

export function reportEachTest(): ReportedTest {
  const reported = {
    async spansNamed(name: string) {
      await reported.reporter.flush()
      return reported.far.spans().filter((span) => span.name === name && span.end_us !== null)
    },
    async gaugesNamed(name: string) {
      await reported.reporter.flush()
      const records = reported.far.batches.flatMap((batch) => batch.records)
      return records.filter((record): record is Gauge => record.type === 'gauge' && record.name === name)
    },
  } as unknown as ReportedTest
  beforeEach(async () => {
    const far = await startIngest()
    reported.far = far
    reported.reporter = createReporter({ ingestUrl: far.url, ingestKey: far.key, env: {}, flushOnExit: false })
  })
  afterEach(async () => {
    await reported.reporter.close(100)
    await reported.far.close()
  })
  return reported
}

/** Resolves after `ms`. */
export function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
