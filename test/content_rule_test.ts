import { expect, test } from 'vitest'
import { contentRulesMax } from '../src/core/limit.ts'
import { noContent, parseContentRules } from '../src/reporter/mcp/content_rule.ts'

function rulesOf(...texts: readonly string[]) {
  const rules = parseContentRules(texts)
  if (!rules.ok) throw new Error(rules.error)
  return rules.value
}

test.each([
  ['tool=chat', 'chat'],
  ['tool=*', 'chat'],
  ['tool=*', ''],
  ['tool=deb*', 'debug'],
  ['tool=deb*', 'deb'],
  ['tool=*bug', 'debug'],
  ['tool=d*b*g', 'debug'],
  ['tool=a*a', 'aa'],
  ['tool=**', 'x'],
  ['tool=chat, tool=debug ,', 'debug'],
  ['tool=a.b[c]', 'a.b[c]'],
])('parseContentRules() takes %s to want the content of %s', (text, tool) => {
  expect(rulesOf(text).wants(tool)).toBe(true)
})

test.each([
  ['tool=chat', 'chatty'],
  ['tool=chat', 'Chat'],
  ['tool=deb*', 'de'],
  ['tool=a*a', 'a'],
  ['tool=a*b*b', 'ab'],
  ['tool=a.c', 'abc'],
  ['', 'chat'],
  [' , ', 'chat'],
  ['tool=*', null],
])('parseContentRules() takes %j not to want the content of %j', (text, tool) => {
  expect(rulesOf(text).wants(tool)).toBe(false)
})

test('parseContentRules() adds up what several texts say', () => {
  const rules = rulesOf('tool=chat', 'tool=debug,tool=look*')
  expect(['chat', 'debug', 'lookup', 'other'].map((tool) => rules.wants(tool))).toEqual([true, true, true, false])
})

test.each(['chat', 'tool=', 'tool= ', 'tools=chat', '*', `tool=${'a'.repeat(300)}`])(
  'parseContentRules() refuses %j and says what it is',
  (text) => {
    const rules = parseContentRules([text])
    expect(rules.ok).toBe(false)
    expect(!rules.ok && rules.error).toMatch(/^Cannot read the content rule ".+": it is no tool=NAME$/)
  },
)

test('parseContentRules() takes a bounded number of rules', () => {
  expect(parseContentRules(Array(contentRulesMax).fill('tool=a')).ok).toBe(true)
  expect(parseContentRules(Array(contentRulesMax + 1).fill('tool=a')).ok).toBe(false)
})

test('noContent wants the content of no tool', () => {
  expect(noContent.wants('chat')).toBe(false)
})

test('a rule of many wildcards is matched in time proportional to the name', () => {
  const rules = rulesOf(`tool=${'*a'.repeat(120)}b`)
  expect(rules.wants('a'.repeat(100_000))).toBe(false)
})
