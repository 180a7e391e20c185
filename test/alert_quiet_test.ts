import { expect, test } from 'vitest'
import type { AlertInputs, MinuteSeries, OpenAlert } from '../src/core/alert/alert_input.ts'
import { passOver } from '../src/core/alert/alert_pass.ts'
import type { AlertRule } from '../src/core/alert/alert_rule.ts'
import { mergeSeries, minutePartsOf, type Series } from '../src/core/window.ts'
import { chanceOf } from '../src/demo/chance.ts'
import { aCall, latencyOf } from './alert_fixture.ts'
import { inputsOf, place, secondUs, stored } from './alert_input_fixture.ts'
import { withPglite } from './postgres_fixture.ts'

const dayS = 86_400
const startS = 1_800_000_000 - (1_800_000_000 % 3_600)
const tickS = 30

/** A minute of a quiet day: more calls at noon than at night, some slow, one in a hundred failing, tools of all speeds. */
function minuteOf(chance: () => number, minute: number): Series {
  const hour = ((minute - startS) / 3_600) % 24
  const calls = Math.round((6 + 18 * Math.sin((Math.PI * hour) / 24) ** 2) * (0.6 + 0.8 * chance()))
  const records = Array.from({ length: calls }, () => {
    const [tool, median] = [
      ['chat', 900],
      ['read', 40],
      ['debug', 2_500],
      ['plan', 300],
    ][Math.floor(chance() * 4)] as [string, number]
    const provider = chance() < 0.5 ? 'glm' : 'kimi'
    const outcome = chance() < 0.01 ? 'tool_error' : 'ok'
    // A tail that is heavier than log-normal: now and then something takes five times as long.
    const ms = latencyOf(chance, median, 0.6) * (chance() < 0.02 ? 5 : 1)
    return aCall((minute + chance() * 60) * secondUs, ms, { tool, provider, outcome })
  })
  return minutePartsOf({ records: records.flat() }).reduce<Series>((sum, { series }) => mergeSeries(sum, series), {})
}

/** The templates as they are shipped, over a day; answers what fired. */
function quietDay(rules: readonly AlertRule[], seed: number): string[] {
  const chance = chanceOf(seed)
  const minutes: MinuteSeries[] = []
  const fired: string[] = []
  let state: Pick<AlertInputs, 'open' | 'marks' | 'revision'> = { open: [] as OpenAlert[], marks: [], revision: 1 }
  let baselines: AlertInputs['baselines'] = []
  for (let minute = startS; minute < startS + dayS; minute += 60) {
    minutes.push({ ...place, minute, series: minuteOf(chance, minute) })
    if ((minute - startS) % 1_800 === 0) {
      const usual = minutes.filter((each) => each.minute >= minute - 6 * 3_600 && each.minute < minute - 600)
      baselines = [{ ...place, series: usual.reduce<Series>((sum, { series }) => mergeSeries(sum, series), {}) }]
    }
    for (let second = tickS; second <= 60; second += tickS) {
      const now_us = (minute + second) * secondUs - 1
      const services = [{ ...place, heard_us: now_us, steady_s: minute - startS }]
      const inputs = inputsOf({ ...state, now_us, rules, minutes: minutes.slice(-7), baselines, services })
      const outcome = passOver(inputs)
      for (const change of outcome.changes) if (change.notify === 'firing') fired.push(change.seen?.title ?? '')
      const { open, marks, revision } = stored(inputs, outcome)
      state = { open, marks, revision }
    }
  }
  return fired
}

test('a quiet day raises at most one false alert', { timeout: 120_000 }, () =>
  withPglite(async (database) => {
    const { rules } = (await database.rpc('alert_inputs')) as { rules: AlertRule[] }
    expect(rules.length).toBeGreaterThan(8)
    for (const seed of [1, 2, 3]) expect(quietDay(rules, seed).length, `seed ${seed}`).toBeLessThanOrEqual(1)
  }),
)
