import { defineConfig } from 'vitest/config'

const limits = {
  pool: 'forks' as const,
  setupFiles: ['test/seed_fixture.ts'],
  // No reporter of a test leaves anything on the disk of whoever runs it, unless the test says where.
  env: { TELLTALE_OUTBOX_DIR: 'none' },
  testTimeout: 30_000,
  hookTimeout: 60_000,
}

// Tests of the first kind mostly wait for processes that they start, so that three at a time keep two cores busy.
// The browser's tests come last and two at a time: each has a stack, a server and a Chromium of its own, and tells how soon
// something is on the screen.
export default defineConfig({
  test: {
    projects: [
      { test: { ...limits, name: 'node', include: ['test/*_test.ts'], maxWorkers: 3, sequence: { groupOrder: 0 } } },
      {
        test: {
          ...limits,
          name: 'browser',
          include: ['test/e2e/*_test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
