import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import type { TSchema } from 'typebox'
import { Check } from 'typebox/value'
import { expect, test } from 'vitest'
import {
  batchJsonSchema,
  fieldCheckers,
  fieldsWanted,
  isEnvelope,
  isError,
  isEvent,
  isGauge,
  isMessage,
  isRunning,
  isSpan,
} from '../src/wire/batch_check_generated.ts'
import { batchSchema, envelopeSchema, recordSchemas, runningSchema, wireAgrees } from '../src/wire/batch_schema.ts'
import { generatedBatchCheck } from '../src/wire/generate_batch_check.ts'
import { openApiDocument } from '../src/wire/openapi.ts'
import { wireBatch, wireError, wireEvent, wireGauge, wireMessage, wireRunning, wireSpan } from './batch_fixture.ts'

const committed = readFileSync(new URL('../src/wire/batch_check_generated.ts', import.meta.url), 'utf8')

const guards: readonly (readonly [string, (value: unknown) => boolean, TSchema, object])[] = [
  ['envelope', isEnvelope, envelopeSchema, wireBatch()],
  ['running', isRunning, runningSchema, wireRunning],
  ['span', isSpan, recordSchemas.span, wireSpan],
  ['error', isError, recordSchemas.error, wireError],
  ['message', isMessage, recordSchemas.message, wireMessage],
  ['event', isEvent, recordSchemas.event, wireEvent],
  ['gauge', isGauge, recordSchemas.gauge, wireGauge],
]

test('generatedBatchCheck() is what is committed: run src/wire/generate_batch_check.ts after changing the schema', () => {
  expect(generatedBatchCheck()).toBe(committed)
})

test('batch_check_generated.ts imports nothing that runs and makes no code from text', () => {
  expect(committed).not.toMatch(/\beval\b|new Function|\bFunction\(/)
  expect(committed.match(/^import .*/gm)?.every((line) => line.startsWith('import type '))).toBe(true)
})

test('batchSchema agrees with the types of the core', () => {
  expect(Object.values(wireAgrees).every(Boolean)).toBe(true)
})

test.each(guards)('the %s checker takes the least that is needed', (_, guard, schema, least) => {
  expect(guard(least)).toBe(true)
  expect(Check(schema, least)).toBe(true)
})

test.each(guards)('the %s checker refuses when any required field is missing', (_, guard, __, least) => {
  for (const field of Object.keys(least)) {
    const { [field]: ___, ...rest } = least as Record<string, unknown>
    expect(guard(rest), field).toBe(false)
  }
})

test.each(guards)('the %s checker answers as the library does on mutilated input', (_, guard, schema, least) => {
  const known = Object.keys((schema as unknown as { properties: object }).properties)
  const odd = fc.oneof(
    fc.constantFrom(null, true, -1, 0, 1, 1.5, 2 ** 53, 1e300, '', ' ', 'ok', 'f'.repeat(32), '0'.repeat(16), 'wait'),
    fc.constantFrom([], [1, 2], {}, { key: 'k', rule: 'mcp' }, { 'a\nb': 'text' }, { a: 1 }),
    fc.jsonValue({ maxDepth: 2 }),
  )
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...known), odd, { maxKeys: 3, noNullPrototype: true }), (changes) => {
      const value = { ...least, ...changes }
      expect(guard(value)).toBe(Check(schema, value))
    }),
    { numRuns: 300 },
  )
})

test('fieldCheckers refuse some field of whatever a checker refuses, so that every refusal can be explained', () => {
  for (const [what, guard, , least] of guards) {
    if (what === 'running') continue
    for (const field of Object.keys(fieldsWanted[what] ?? {})) {
      for (const odd of [null, 'x', -1, 1.5, [], {}]) {
        const value = { ...least, [field]: odd }
        if (!guard(value)) expect(fieldCheckers[what]?.[field]?.(odd), `${what}.${field}`).toBe(false)
      }
    }
  }
})

test('fieldCheckers check what stands under a key with a line break', () => {
  expect(fieldCheckers.gauge?.labels?.({ 'a\nb': 1 })).toBe(false)
  expect(fieldCheckers.envelope?.counters?.({ recorded: 1, dropped: { 'a\nb': 'x' } })).toBe(false)
})

test('batchJsonSchema describes every field', () => {
  const bare: string[] = []
  walk(batchJsonSchema, '', (node, path) => {
    for (const [name, field] of Object.entries((node.properties as Record<string, Record<string, unknown>>) ?? {})) {
      if (field.description === undefined && field.const === undefined) bare.push(`${path}.${name}`)
    }
  })
  expect(bare).toEqual([])
  expect(batchJsonSchema).toEqual(JSON.parse(JSON.stringify(batchSchema)))
})

test('openApiDocument() refers only to what it defines, and documents each answer', () => {
  const document = openApiDocument() as { components: { schemas: Record<string, unknown> } }
  const refs: string[] = []
  walk(document, '', (node) => {
    if (typeof node.$ref === 'string') refs.push(node.$ref)
  })
  expect(refs.length).toBeGreaterThan(0)
  for (const ref of refs) expect(document.components.schemas).toHaveProperty(ref.replace('#/components/schemas/', ''))
  expect(JSON.stringify(document)).toContain('"openapi":"3.1.0"')
  expect(
    Object.keys(
      (document as never as { paths: Record<string, { post: { responses: object } }> }).paths['/ingest']?.post
        .responses ?? {},
    ),
  ).toEqual(['200', '400', '401', '403', '408', '413', '415', '422', '429', '503'])
})

function walk(node: unknown, path: string, visit: (node: Record<string, unknown>, path: string) => void): void {
  if (typeof node !== 'object' || node === null) return
  if (!Array.isArray(node)) visit(node as Record<string, unknown>, path)
  for (const [key, value] of Object.entries(node)) walk(value, `${path}.${key}`, visit)
}
