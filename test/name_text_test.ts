import { expect, test } from 'vitest'
import { nameText } from '../web/view/name_text.ts'

test('nameText() leaves a name that can be seen as it is', () => {
  for (const name of ['chat', ' x ', '0', '·', '\u202eevil', 'שלום', '👩‍👩‍👧', 'z\u0300', '<b>'])
    expect(nameText(name)).toBe(name)
})

test('nameText() gives what leaves no mark a name that can be pressed', () => {
  for (const name of ['', ' ', ' \t\n ', '\u200b\u200f', '\u0000', '\u2028', '\u3164', '\u0300', '\ud83d']) {
    expect(nameText(name)).toBe('(blank)')
    expect(nameText(name, 'Error')).toBe('Error')
  }
})
