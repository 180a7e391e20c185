// A process that records gauges and tells, on stdout, how many of them lie on the disk. Arguments: URL, key, directory,
// count. With the count 0 it only delivers what others left, and exits when there is nothing left.
import { createReporter } from '../src/reporter/reporter.ts'

const [ingestUrl = '', ingestKey = '', outboxDir = '', count = '0'] = process.argv.slice(2)
const reporter = createReporter({ ingestUrl, ingestKey, outboxDir, service: 's', retryMs: 20, selfMetrics: false })
for (let value = 0; value < Number(count); value++) reporter.gauge('g', value)

const timer = setInterval(() => {
  const { waiting, adopted, recorded, stored } = reporter.status()
  process.stdout.write(`${JSON.stringify({ waiting, adopted, recorded, stored })}\n`)
  if (Number(count) === 0 && adopted.delivered > 0 && adopted.waiting === 0) {
    clearInterval(timer)
    void reporter.close()
  }
}, 20)
