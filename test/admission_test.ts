import { expect, test, vi } from 'vitest'
import { createAdmission } from '../functions/route/admission.ts'

test('createAdmission() lets so many in, and the others in the order in which they came', async () => {
  const admission = createAdmission(2, 1_000)
  const [first, second] = await Promise.all([admission.enter(), admission.enter()])
  const entered: string[] = []
  const third = admission.enter().then((leave) => {
    entered.push('third')
    return leave
  })
  const fourth = admission.enter().then((leave) => {
    entered.push('fourth')
    return leave
  })
  await Promise.resolve()
  expect(entered).toEqual([])
  second?.()
  second?.()
  const leaveThird = await third
  expect(entered).toEqual(['third'])
  leaveThird?.()
  first?.()
  ;(await fourth)?.()
  expect(entered).toEqual(['third', 'fourth'])
  expect(await admission.enter()).not.toBeNull()
})

test('createAdmission() turns those away who waited too long, and gives their room to nobody else', async () => {
  vi.useFakeTimers()
  try {
    const admission = createAdmission(1, 1_000)
    const leave = await admission.enter()
    const late = admission.enter()
    await vi.advanceTimersByTimeAsync(600)
    const later = admission.enter()
    await vi.advanceTimersByTimeAsync(400)
    expect(await late).toBeNull()
    leave?.()
    const leaveLater = await later
    expect(leaveLater).not.toBeNull()
    const last = admission.enter()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await last).toBeNull()
    leaveLater?.()
    expect(await admission.enter()).not.toBeNull()
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})
