import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  ageText,
  agoText,
  bytesText,
  changeText,
  countText,
  durationText,
  nothing,
  percentText,
  pluralText,
  rateText,
  timeText,
  utcText,
} from '../web/view/number_text.ts'

/** With plain spaces, as one writes them here. */
const plain = (text: string): string => text.replaceAll('\u00a0', ' ')

const tables: readonly [
  name: string,
  text: (value: number | null) => string,
  [value: number | null, text: string][],
][] = [
  [
    'durationText',
    durationText,
    [
      [null, '–'],
      [0, '0 ms'],
      [0.00043, '0.43 µs'],
      [0.43, '430 µs'],
      [0.9994, '999 µs'],
      [0.9996, '1 ms'],
      [1.234, '1.23 ms'],
      [12.34, '12.3 ms'],
      [123.4, '123 ms'],
      [999.4, '999 ms'],
      [999.6, '1 s'],
      [1_234, '1.23 s'],
      [59_990, '60 s'],
      [59_996, '1 min'],
      [125_000, '2 min 05 s'],
      [3_600_000, '1 h'],
      [11_220_000, '3 h 07 min'],
      [187_200_000, '2 d 04 h'],
      [-5, '−5 ms'],
      [Number.NaN, '–'],
    ],
  ],
  [
    'rateText',
    rateText,
    [
      [null, '–'],
      [0, '0 req/s'],
      [1_234.5, '1,235 req/s'],
      [12.34, '12.3 req/s'],
      [0.5, '0.5 req/s'],
      [0.05, '3 req/min'],
      [0.001, '3.6 req/h'],
      [0.0001, '0.36 req/h'],
      [0.00001, '0.86 req/d'],
      [0.0000001, '< 0.01 req/d'],
    ],
  ],
  [
    'percentText',
    percentText,
    [
      [null, '–'],
      [0, '0 %'],
      [0.00001, '< 0.01 %'],
      [0.0042, '0.42 %'],
      [0.5, '50 %'],
      [0.99999, '> 99.9 %'],
      [1, '100 %'],
    ],
  ],
  [
    'countText',
    countText,
    [
      [null, '–'],
      [0, '0'],
      [1_234, '1,234'],
      [99_999, '99,999'],
      [100_000, '100 k'],
      [999_999, '1 M'],
      [4_560_000, '4.56 M'],
    ],
  ],
  [
    'bytesText',
    bytesText,
    [
      [0, '0 B'],
      [1_023, '1,023 B'],
      [1_024, '1 KiB'],
      [1_536, '1.5 KiB'],
      [5 * 1024 ** 3, '5 GiB'],
    ],
  ],
  [
    'agoText',
    (us) => agoText(us ?? 0),
    [
      [-5e6, 'just now'],
      [0.4e6, 'just now'],
      [59e6, '59 s ago'],
      [60e6, '1 min ago'],
      [7_300e6, '2 h ago'],
      [200_000e6, '2 d ago'],
    ],
  ],
  [
    'ageText',
    (us) => ageText(us ?? 0),
    [
      [-1, '0 s'],
      [12.9e6, '12 s'],
      [125e6, '2 min 05 s'],
    ],
  ],
]

for (const [name, text, rows] of tables) {
  test(`${name}() gives each number with its unit`, () => {
    for (const [value, wanted] of rows) expect(plain(text(value)), String(value)).toBe(wanted)
  })
}

test('durationText() never says less for more', () => {
  const unit: { readonly [name: string]: number } = { µs: 1, ms: 1e3, s: 1e6, min: 60e6, h: 3_600e6, d: 86_400e6 }
  const read = (text: string): number =>
    [...plain(text).matchAll(/([\d.,]+) (\S+)/g)].reduce(
      (sum, [, number = '', name = '']) => sum + Number(number.replaceAll(',', '')) * (unit[name] ?? Number.NaN),
      0,
    )
  const ms = fc.double({ min: 0.001, max: 1e9, noNaN: true })
  fc.assert(
    fc.property(ms, ms, (a, b) => {
      const [less, more] = a < b ? [a, b] : [b, a]
      expect(read(durationText(less))).toBeLessThanOrEqual(read(durationText(more)))
      expect(Math.abs(read(durationText(a)) / 1_000 / a - 1)).toBeLessThan(0.05)
    }),
  )
})

test('percentText() calls only nothing 0 and only everything 100 %', () => {
  fc.assert(
    fc.property(fc.double({ min: Number.MIN_VALUE, max: 1 - 2 ** -53, noNaN: true }), (share) => {
      expect(['0 %', '100 %']).not.toContain(plain(percentText(share)))
    }),
  )
})

test('changeText() compares with what was before, and is silent where there is nothing', () => {
  expect(plain(changeText(112, 100))).toBe('+12 %')
  expect(plain(changeText(96.6, 100))).toBe('−3.4 %')
  expect(plain(changeText(100.1, 100))).toBe('±0 %')
  expect(plain(changeText(420, 100))).toBe('×4.2')
  expect(plain(changeText(0, 100))).toBe('−100 %')
  for (const [now, before] of [
    [1, 0],
    [1, null],
    [null, 1],
  ] as const)
    expect(changeText(now, before)).toBe('')
})

test('pluralText() agrees with its number', () => {
  expect([0, 1, 3].map((n) => plain(pluralText(n, 'batch', 'batches')))).toEqual(['0 batches', '1 batch', '3 batches'])
})

test('timeText() names the day where it is not today, by the zone of who looks', () => {
  const at = Date.UTC(2026, 10, 23, 23, 30, 5) * 1_000
  expect(timeText(at, at + 60e6, 'UTC')).toBe('23:30:05')
  expect(timeText(at, at + 3_600e6, 'UTC')).toBe('2026-11-23 23:30:05')
  expect(timeText(at, at + 3_600e6, 'Australia/Melbourne')).toBe('10:30:05')
  expect(timeText(null, at)).toBe(nothing)
})

test('utcText() is whole and to the ms, and says nothing of what is no time', () => {
  expect(utcText(Date.UTC(2026, 10, 23, 23, 30, 5, 7) * 1_000)).toBe('2026-11-23 23:30:05.007 UTC')
  for (const wrong of [null, Number.NaN, 1e300]) expect(utcText(wrong)).toBe(nothing)
})
