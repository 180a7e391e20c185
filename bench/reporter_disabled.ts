// What each call costs where nothing is reported (TELLTALE_DISABLED=1, or no key), in ns, next to an empty function
// called the same way. Usage: node bench/reporter_disabled.ts
import { createReporter } from '../src/reporter/reporter.ts'

const calls = 200_000
const rounds = 15

const off = createReporter({ env: { TELLTALE_DISABLED: '1' } })
const empty = { call: (_start: unknown) => undefined }
const start = { name: 'tools/call echo', layer: 'tool' } as const
const span = off.startTrace(start)
const error = new Error('e')
const message = { role: 'user' }
const event = { connection_type: 'redis', direction: 'send' }
const work = () => 1
const timed = off.wrap(work, start)

const cases: { readonly [name: string]: () => unknown } = {
  'an empty function': () => empty.call(start),
  startTrace: () => off.startTrace(start),
  'span, end': () => off.span(span, start).end('ok'),
  wait: () => off.wait(start),
  'time(fn)': () => off.time(start, work),
  'trace(fn)': () => off.trace(start, work),
  'run(fn)': () => off.run(span, work),
  'wrapped fn': () => timed(),
  captureError: () => off.captureError(error),
  recordMessage: () => off.recordMessage(message),
  recordEvent: () => off.recordEvent(event),
  gauge: () => off.gauge('g', 1),
}

let kept: unknown
function nsOf(act: () => unknown): number {
  const began = process.hrtime.bigint()
  for (let i = 0; i < calls; i++) kept = act()
  return Number(process.hrtime.bigint() - began) / calls
}

for (const [name, act] of Object.entries(cases)) {
  const times = Array.from({ length: rounds }, () => nsOf(act)).sort((a, b) => a - b)
  const median = times[Math.floor(rounds / 2)] as number
  console.log(`${name.padEnd(20)} ${median.toFixed(1).padStart(8)} ns a call`)
}
if (kept === cases) console.log('never')
