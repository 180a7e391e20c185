import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { attributeRanking, longestSpan } from '../bench/incident_baseline.ts'
import { batchesOf } from '../bench/incident_batch.ts'
import { mean, median, quantile } from '../bench/incident_chance.ts'
import { cohortsOf, readAttribute, tracesOf } from '../bench/incident_data.ts'
import { type Incident, type IncidentClass, incidentClasses, incidentOf } from '../bench/incident_of.ts'
import { correlation } from '../bench/incident_rival.ts'
import { isAccepted, markOf, scoreOf } from '../bench/incident_score.ts'
import { isRoot, msOf } from '../src/core/breakdown.ts'
import { attributesMax } from '../src/core/limit.ts'
import { traceRowOf } from '../src/core/trace.ts'
import type { Verdict, WhyAnswer } from '../src/core/why/why_answer.ts'
import type { WhyTrace } from '../src/core/why/why_data.ts'
import { parseBatch } from '../src/wire/parse_batch.ts'
import { nowUs } from './batch_fixture.ts'

const incidents = Array.from({ length: 90 }, (_, seed) => incidentOf(seed, 250))

function ofClass(name: IncidentClass): readonly Incident[] {
  return incidents.filter((incident) => incident.class === name)
}

/** With what the truth added to each. */
function calls({ data, extraMs }: Incident): { readonly trace: WhyTrace; readonly extra: number }[] {
  return data.traces.map((trace, index) => ({ trace, extra: extraMs[index] as number }))
}

function waitMs({ spans }: WhyTrace, name: string): number {
  const waits = Object.values(spans).filter((span) => span.kind === 'wait' && span.name === name)
  return waits.reduce((sum, { start_us, end_us = start_us }) => sum + msOf(end_us - start_us), 0)
}

/** The calls that the truth made slower by something like half of what a call takes. */
function hitOf(incident: Incident): (trace: WhyTrace) => boolean {
  const unit = median(calls(incident).map(({ trace, extra }) => trace.duration_ms - extra))
  const hits = new Set(calls(incident).flatMap(({ trace, extra }) => (extra > unit * 0.4 ? [trace] : [])))
  return (trace) => hits.has(trace)
}

test('incidentOf() makes every class, in every style, of every question', () => {
  expect(new Set(incidents.map((incident) => incident.class))).toEqual(new Set(incidentClasses))
  expect(new Set(incidents.map(({ style }) => style)).size).toBe(3)
  expect(new Set(incidents.map(({ asks }) => asks)).size).toBe(6)
})

test('incidentOf() answers the same for the same seed, and another for another', () => {
  const hashOf = (seed: number) => {
    const { data, truth, extraMs } = incidentOf(seed, 250)
    return createHash('sha256')
      .update(JSON.stringify([data, truth, extraMs]))
      .digest('hex')
  }
  expect([3, 7].map(hashOf)).toEqual([3, 7].map(hashOf))
  expect(hashOf(3)).not.toBe(hashOf(7))
})

test('incidentOf() makes what stored traces are: ended heads, known processes, spans within their bounds', () => {
  const wrong: string[] = []
  for (const { data, played, world, seed } of incidents) {
    const check = (holds: boolean, what: string) => holds || wrong.push(`seed ${seed}: ${what}`)
    check(data.traces.length >= 30 && played.length >= data.traces.length, 'there are enough calls')
    check(new Set(data.traces.map(({ trace_id }) => trace_id)).size === data.traces.length, 'each call has its id')
    for (const { trace_id, duration_ms, started_us, process, spans } of data.traces) {
      check(/^[0-9a-f]{32}$/.test(trace_id) && Number.isSafeInteger(started_us), 'ids and times are of their form')
      check(duration_ms > 0 && process in data.processes, 'a call has a duration and a process')
      check(Object.values(spans).filter(({ entry }) => entry).length === 1, 'one span is the entry')
      for (const [id, span] of Object.entries(spans)) {
        check(/^[0-9a-f]{16}$/.test(id) && span.process in data.processes, 'a span has an id and a process')
        check((span.end_us ?? span.start_us) >= span.start_us, 'no span ends before it begins')
        check(Object.keys(span.attributes ?? {}).length <= attributesMax, 'a span has no more attributes than it may')
        check(!span.entry || isRoot(spans, id), 'the entry is a root')
        const parent = spans[span.parent_span_id ?? '']
        if (parent?.process !== span.process || span.end_us === undefined || parent.end_us === undefined) continue
        const within = span.start_us >= parent.start_us - world.grainUs && span.end_us <= parent.end_us + world.grainUs
        check(within, 'a span lies within its parent where one clock recorded both')
      }
    }
  }
  expect(wrong.slice(0, 5)).toEqual([])
})

test('tracesOf() tells truthfully what ran before a call and beside it', () => {
  const wrong: string[] = []
  const endOf = ({ started_us, duration_ms }: WhyTrace) => started_us + duration_ms * 1_000
  for (const { played, seed } of incidents.slice(0, 12)) {
    const traces = tracesOf(played)
    for (const [index, trace] of traces.slice(0, 150).entries()) {
      const earlier = traces.slice(0, index)
      const own = earlier.filter(({ process }) => process === trace.process)
      const session = earlier.filter(({ session_key }) => session_key !== null && session_key === trace.session_key)
      const last = session.at(-1)
      const gapMs = last ? (trace.started_us - endOf(last)) / 1_000 : undefined
      const holds =
        trace.before?.trace_id === own.at(-1)?.trace_id &&
        trace.running === own.filter((other) => endOf(other) > trace.started_us).length &&
        trace.previous?.trace_id === last?.trace_id &&
        trace.previous?.gap_ms === gapMs
      if (!holds) wrong.push(`seed ${seed}: ${trace.trace_id}`)
    }
  }
  expect(wrong).toEqual([])
})

describe('the truth holds in the data:', () => {
  test('those that are asked about are slower, and by what was planted', () => {
    let compared = 0
    for (const incident of incidents) {
      const cohorts = cohortsOf(incident.data)
      const { call_number, after_us } = incident.data.question
      if (incident.truth === null || cohorts === null || (call_number === null && after_us === null)) continue
      const extraOf = new Map(calls(incident).map(({ trace, extra }) => [trace, extra]))
      const timesOf = (traces: readonly WhyTrace[]) => median(traces.map(({ duration_ms }) => duration_ms))
      const restOf = (traces: readonly WhyTrace[]) =>
        median(traces.map((trace) => trace.duration_ms - (extraOf.get(trace) ?? 0)))
      const { slow, baseline } = cohorts
      const difference = timesOf(slow) - timesOf(baseline)
      expect(slow.length).toBeGreaterThanOrEqual(10)
      expect(difference / timesOf(baseline)).toBeGreaterThanOrEqual(0.3)
      expect(restOf(slow) - restOf(baseline)).toBeLessThanOrEqual(difference / 2)
      compared++
    }
    expect(compared).toBeGreaterThan(8)
  })

  test('waiting: the wait of that name is at least half of what is extra', () => {
    for (const incident of ofClass('waiting')) {
      const isHit = hitOf(incident)
      const name = incident.truth?.attribute as string
      for (const { trace, extra } of calls(incident)) {
        // A wait that got lost, or lost its end, is no longer to be seen.
        if (isHit(trace) && incident.world.missingShare === 0) expect(waitMs(trace, name)).toBeGreaterThan(extra * 0.5)
      }
      const waits = (hit: boolean) => incident.data.traces.filter((t) => isHit(t) === hit).map((t) => waitMs(t, name))
      expect(median(waits(true))).toBeGreaterThan(quantile(waits(false), 0.75))
    }
  })

  test('grows_with: duration goes along with the number', () => {
    for (const { data, truth, extraMs, seed } of ofClass('grows_with')) {
      const pairs = data.traces.flatMap((trace, index): [number, number][] => {
        const x = readAttribute(data, trace, truth?.attribute as string)
        return typeof x === 'number' ? [[x, extraMs[index] as number]] : []
      })
      expect(pairs.length, `seed ${seed}`).toBeGreaterThan(data.traces.length * 0.3)
      expect(
        correlation(
          pairs.map(([x]) => x),
          pairs.map(([, y]) => y),
        ),
        `seed ${seed}`,
      ).toBeGreaterThan(0.6)
    }
  })

  test('attribute_value: the slow calls have the value, or both', () => {
    const derived = ['cold_start', 'bytes_in', 'telltale.from_cache']
    for (const incident of [...ofClass('attribute_value'), ...ofClass('attribute_pair')]) {
      const { attribute, value } = incident.truth as { attribute: string | string[]; value: string | string[] }
      if (derived.includes(String(attribute)) && String(value) !== 'true') continue
      const isHit = hitOf(incident)
      const slow = incident.data.traces.filter(isHit)
      for (const [index, name] of [attribute].flat().entries()) {
        const wanted = [value].flat()[index]
        const said = slow.map((trace) => readAttribute(incident.data, trace, name))
        const known = said.filter((one) => one !== null)
        if (name === 'cold_start' && known.length === 0) continue
        expect(known.length, `${incident.seed} ${name}`).toBeGreaterThan(slow.length * 0.7)
        expect(known.filter((one) => String(one) === wanted).length / known.length).toBeGreaterThan(0.95)
      }
    }
  })

  test('fixed_timeout: a span of each slow call lasts as long as the timeout', () => {
    for (const incident of ofClass('fixed_timeout')) {
      const limit = incident.truth?.value as number
      const slow = incident.data.traces.filter(hitOf(incident))
      const cut = slow.filter(({ spans }) =>
        Object.values(spans).some(({ start_us, end_us = 0 }) => Math.abs(msOf(end_us - start_us) / limit - 1) < 0.01),
      )
      expect(cut.length).toBeGreaterThan(slow.length * 0.85)
    }
  })

  test('retries: each slow call tells its attempts', () => {
    for (const incident of ofClass('retries')) {
      const slow = incident.data.traces.filter(hitOf(incident))
      const told = slow.filter((trace) => readAttribute(incident.data, trace, 'telltale.retry_count') !== null)
      expect(told.length).toBeGreaterThan(slow.length * 0.85)
    }
  })

  test('uniform_overhead: every tool is slower by nearly the same', () => {
    for (const incident of ofClass('uniform_overhead')) {
      const isHit = hitOf(incident)
      const extras = calls(incident).flatMap(({ trace, extra }) => (isHit(trace) ? [extra] : []))
      expect(quantile(extras, 0.9) / quantile(extras, 0.1)).toBeLessThan(1.4)
      expect(new Set(incident.data.traces.filter(isHit).map(({ tool }) => tool)).size).toBeGreaterThanOrEqual(3)
    }
  })

  test('layer_slow: no two tools are slower by the same, or it were an overhead', () => {
    for (const incident of ofClass('layer_slow')) {
      const extras = calls(incident).flatMap(({ extra }) => (extra > 0 ? [extra] : []))
      expect(quantile(extras, 0.9) / quantile(extras, 0.1), `seed ${incident.seed}`).toBeGreaterThan(1.5)
    }
  })

  test('a moment is a moment: what begins there did not happen before', () => {
    for (const incident of incidents) {
      const since = incident.truth?.since_us ?? null
      if (since === null) continue
      const before = calls(incident).filter(({ trace }) => trace.started_us < since)
      const after = calls(incident).filter(({ trace }) => trace.started_us >= since)
      expect(mean(before.map(({ extra }) => extra))).toBeLessThan(mean(after.map(({ extra }) => extra)) * 0.15)
    }
  })

  test('of two causes the first is by far the greater', () => {
    const both = incidents.filter(({ also }) => also !== null)
    expect(both.length).toBeGreaterThan(1)
    for (const { truth, also } of both) expect(truth?.share).toBeGreaterThan((also?.share ?? 1) * 1.5)
  })
})

test('a null case has nothing planted, and where it is asked about some they are like the others', () => {
  expect(ofClass('null').length).toBeGreaterThan(8)
  for (const { truth, extraMs, data, kind } of ofClass('null')) {
    expect(truth).toBeNull()
    expect(extraMs.every((extra) => extra === 0)).toBe(true)
    const cohorts = cohortsOf(data)
    if (cohorts === null || kind === 'too few') continue
    const times = [cohorts.slow, cohorts.baseline].map((traces) => median(traces.map(({ duration_ms }) => duration_ms)))
    expect((times[0] as number) / (times[1] as number)).toBeLessThan(1.3)
  }
})

test('batchesOf() sends the same spans, and ingest takes every one', () => {
  for (const incident of incidents.slice(0, 12)) {
    const { batches, question, movedUs } = batchesOf(incident, nowUs)
    expect(question.to_us).toBe(nowUs)
    const taken = new Map<string, [string, unknown][]>()
    for (const batch of batches) {
      const result = parseBatch(JSON.stringify(batch), nowUs)
      if (!result.ok) throw new Error(result.error.detail)
      expect(result.value.rejected).toEqual([])
      for (const record of result.value.batch.records) {
        if (record.type !== 'span') throw new Error('only spans are sent')
        const { spans } = traceRowOf(record.trace_id, [record], batch.process.id)
        taken.set(record.trace_id, [...(taken.get(record.trace_id) ?? []), ...Object.entries(spans)])
      }
    }
    for (const trace of incident.data.traces.slice(0, 50)) {
      const sent = Object.fromEntries(taken.get(trace.trace_id) ?? [])
      const stored = Object.entries(trace.spans).map(([id, span]) => {
        const end = span.end_us === undefined ? {} : { end_us: span.end_us + movedUs }
        return [id, { ...span, start_us: span.start_us + movedUs, ...end }]
      })
      expect(sent).toEqual(Object.fromEntries(stored))
    }
  }
})

const verdict = (said: Partial<Verdict>): Verdict => ({
  ...{ cause: 'layer_slow', layer: 'api', attribute: null, value: null, since: null, share: 0.9, confidence: 0.8 },
  sentence: '',
  ...said,
})

describe('the scorer', () => {
  const truthOf = (incident: Incident) => {
    if (incident.truth === null) throw new Error(`Cannot tell the truth of seed ${incident.seed}: nothing happened`)
    return incident.truth
  }

  test('counts as right what the truth says, and nothing else', () => {
    for (const incident of incidents.filter(({ truth }) => truth !== null)) {
      const { cause, layer, attribute, value } = truthOf(incident)
      const said = verdict({ cause, layer, attribute, value })
      const answer = (one: Verdict | null): WhyAnswer => {
        const cohort = { n: 0, p50_ms: null, p95_ms: null }
        return { slow: cohort, baseline: cohort, verdict: one, factors: [], exemplars: [], note: null }
      }
      expect(markOf(incident, () => answer(said))).toMatchObject({ right: true, exact: true, cause: true })
      expect(markOf(incident, () => answer(null)).right).toBe(false)
      const other = cause === 'retries' ? 'waiting' : 'retries'
      for (const wrong of [{ cause: other }, { layer: 'no such layer' }, { attribute: 'no such attribute' }] as const) {
        expect(markOf(incident, () => answer({ ...said, ...wrong })).right).toBe(false)
      }
    }
  })

  test('takes a pair in either order, and asks for a moment where the truth needs one', () => {
    const truth = { ...truthOf(ofClass('attribute_pair')[0] as Incident), since_us: 1_000 }
    const accepted = {
      cause: 'attribute_value' as const,
      layers: ['api'],
      names: [['a'], ['b', 'B']],
      needsSince: true,
    }
    const say = (attribute: Verdict['attribute'], since: number | null) =>
      isAccepted(verdict({ cause: 'attribute_value', attribute, since }), accepted, truth, 10)
    expect(say(['a', 'B'], 1_005)).toBe(true)
    expect(say(['b', 'a'], 1_005)).toBe(true)
    expect(say(['a', 'a'], 1_005)).toBe(false)
    expect(say('a', 1_005)).toBe(false)
    expect(say(['a', 'b'], 1_050)).toBe(false)
    expect(say(['a', 'b'], null)).toBe(false)
  })

  test('weighs how confidence and truth differ', () => {
    const [some] = incidents.filter(({ truth }) => truth !== null) as [Incident]
    const { cause, layer, attribute } = truthOf(some)
    const cohort = { n: 0, p50_ms: null, p95_ms: null }
    const marks = [0.9, 0.9, 0.9, 0.9].map((confidence, index) =>
      markOf(some, () => ({
        ...{ slow: cohort, baseline: cohort, factors: [], exemplars: [], note: null },
        verdict: verdict({
          cause: index === 0 ? 'changed_at' : cause,
          layer: index === 0 ? 'gpu' : layer,
          attribute,
          confidence,
        }),
      })),
    )
    const { bins, calibrationGap, right } = scoreOf(marks)
    expect(bins).toEqual([{ from: 0.9, n: 4, confidence: 0.9, right: 0.75 }])
    expect(calibrationGap).toBeCloseTo(0.15)
    expect(right).toBe(0.75)
  })

  test('finds that a ranking alone is seldom right', () => {
    for (const engine of [longestSpan, attributeRanking]) {
      const { right, falseVerdicts } = scoreOf(incidents.slice(0, 40).map((incident) => markOf(incident, engine)))
      expect(right).toBeLessThan(0.4)
      expect(falseVerdicts).toBe(1)
    }
  })
})
