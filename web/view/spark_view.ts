import type { ErrorCounts } from './answer.ts'
import { countText, durationText, utcText } from './number_text.ts'

/** A bar of a sparkline, in percent of its width and height. */
export type SparkBar = { readonly x: number; readonly width: number; readonly height: number }

/** What a sparkline shows, and the same in words. */
export type Spark = { readonly bars: readonly SparkBar[]; readonly text: string }

/** What is least seen of a bar that is not empty, in percent of the height. */
const heightMin = 8

/** Bars for the steps in which something was counted, the greatest as high as the line. */
export function sparkOf({ from_us, step_s, values }: ErrorCounts): Spark {
  const most = Math.max(0, ...values)
  const width = 100 / Math.max(1, values.length)
  const bars = values.flatMap((n, i) =>
    n === 0 ? [] : [{ x: i * width, width, height: Math.max(heightMin, (100 * n) / most) }],
  )
  return { bars, text: textOf(values, most, from_us, step_s) }
}

function textOf(values: readonly number[], most: number, fromUs: number, stepS: number): string {
  if (most === 0) return 'None in this time'
  const sum = values.reduce((a, b) => a + b, 0)
  const peakUs = fromUs + values.indexOf(most) * stepS * 1_000_000
  return `${countText(sum)} in this time, at most ${countText(most)} in ${durationText(stepS * 1_000)}, from ${utcText(peakUs)}`
}
