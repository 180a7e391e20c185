import { tailBinsMax } from '../limit.ts'

/**
 * How large a residual has been, with the weight of each sample fading: a histogram of ln |u| of which only the upper end
 * is kept. `top` is the bin of `h[0]`, the following lie below it; `n` is the weight of all samples, those that fell below
 * the last bin included.
 */
export type Tail = { readonly n: number; readonly top: number; readonly h: readonly number[] }

export const emptyTail: Tail = { n: 0, top: 0, h: [] }

/** Bins a unit of ln |u|: 28 % from one to the next. */
const binsPerE = 4
/** How much less a sample that is smaller by a factor q counts: q^exponent, Markov's bound on that moment. */
const exponent = 8
/** The memory, in samples. */
const memory = 4_000
/** A bin at the upper end that has faded to this weight is forgotten: nothing so large has been for a long time. */
const weightMin = 0.01
const smallest = 1e-30

/** What a bin that lies so many bins below the sample counts. */
const shareBelow: readonly number[] = Array.from({ length: 64 }, (_, i) => Math.exp((-exponent * i) / binsPerE))

/**
 * How surprising a residual of size `a` is: -ln of the share of what has been that was at least as large, where what was
 * smaller counts by `exponent`. So it goes on growing beyond the largest that has been: exponent * ln(a / largest).
 * 0 where nothing is known.
 */
export function surpriseOf(tail: Tail, a: number): number {
  if (tail.n === 0 || !(a > smallest)) return 0
  const place = Math.log(a) * binsPerE
  const head = Math.exp((-exponent * (Math.ceil(place) - place)) / binsPerE)
  let larger = 0
  let smaller = 0
  for (let i = 0; i < tail.h.length; i += 1) {
    const bin = tail.top - i
    const weight = tail.h[i] as number
    if (bin >= place) larger += weight
    else {
      // The whole bins between, then the rest of one.
      const below = Math.ceil(place) - bin
      if (below >= shareBelow.length) break
      smaller += weight * (shareBelow[below] as number)
    }
  }
  const share = (larger + smaller / head) / tail.n
  return Math.max(0, -Math.log(Math.min(1, share) + smallest))
}

/** The least residual that is at least so surprising; at most e^20 times the largest that has been. */
export function residualOf(tail: Tail, surprise: number): number {
  let low = (tail.top - tail.h.length - 1) / binsPerE
  let high = tail.top / binsPerE + 20
  for (let i = 0; i < 14; i += 1) {
    const middle = (low + high) / 2
    if (surpriseOf(tail, Math.exp(middle)) >= surprise) high = middle
    else low = middle
  }
  return Math.exp(high)
}

/** The tail after one more sample of size `a`; all others fade a little. */
export function withSample(tail: Tail, a: number): Tail {
  const fade = 1 - 1 / memory
  const n = tail.n * fade + 1
  const bin = Math.round(Math.log(Math.max(a, smallest)) * binsPerE) || 0 // Not -0.
  let top = tail.h.length === 0 ? bin : Math.max(tail.top, bin)
  const h: number[] = []
  for (let i = tail.h.length === 0 ? 0 : tail.top - top; i < tail.h.length && h.length < tailBinsMax; i += 1) {
    h.push(i < 0 ? 0 : (tail.h[i] as number) * fade)
  }
  const at = top - bin
  if (at < tailBinsMax) {
    while (h.length <= at) h.push(0)
    h[at] = (h[at] as number) + 1
  }
  let faded = 0
  while (faded < h.length - 1 && (h[faded] as number) < weightMin) faded += 1
  top -= faded
  return { n, top, h: faded === 0 ? h : h.slice(faded) }
}
