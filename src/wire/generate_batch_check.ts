import { writeFileSync } from 'node:fs'
import type { TSchema } from 'typebox'
import { Code } from 'typebox/compile'
import { assert } from '../core/result.ts'
import { batchSchema, envelopeSchema, recordSchemas, runningSchema } from './batch_schema.ts'

// Run as a script, this writes batch_check_generated.ts: Workers forbid `new Function`, so the compiled checker is
// made here, once, and committed. A test holds the committed file equal to what this makes.

const head = `// @ts-nocheck
// Made by src/wire/generate_batch_check.ts from src/wire/batch_schema.ts. Do not edit: run that script.
import type { WireEnvelope, WireError, WireEvent, WireGauge, WireMessage, WireRunning, WireSpan } from './batch_schema.ts'
`

/** The expression of a function that checks one value, from the library's compiled module for the schema. */
function checkerOf(schema: TSchema): string {
  const { Code: code, External: external } = Code(schema)
  const lines = code
    .split('\n')
    .filter((line) => !/^(import |\/\/ @ts-ignore|let External|export function Set|\s*$)/.test(line))
  const functions = lines.filter((line) => line.startsWith('const check_'))
  assert(functions.length === 1 && lines.length === 2, 'the library compiles a schema to one function')
  const inlined = (functions[0] as string)
    .replace(/^const check_0 = /, '')
    .replace(/;$/, '')
    .replace(/External\[(\d+)\]/g, (_, n) => patternOf(external.variables[Number(n)]))
  assert(!/\b(External|Guard|Hashing|eval|Function|import)\b/.test(inlined), 'a checker stands on its own')
  return inlined
}

/** A regular expression as a constant of the generated module, so that each is compiled once. */
const patterns = new Map<string, string>()
function patternOf(variable: unknown): string {
  assert(variable instanceof RegExp, 'only patterns are external to a checker')
  const literal = String(variable)
  const name = patterns.get(literal) ?? `pattern${patterns.size}`
  patterns.set(literal, name)
  return name
}

function fieldCheckersOf(schema: { readonly properties: Record<string, TSchema> }): string {
  const fields = Object.entries(schema.properties).map(([name, field]) => `    ${name}: ${checkerOf(field)},\n`)
  return `{\n${fields.join('')}  }`
}

/** Which fields a schema has, which of them must be there, and what each should have been. */
function fieldsOf(schema: {
  readonly properties: Record<string, TSchema>
  readonly required?: readonly string[]
}): string {
  const wanted = Object.entries(schema.properties).map(([name, field]) => {
    const { 'x-expected': expected, const: only } = field as { 'x-expected'?: string; const?: string }
    return [name, { required: schema.required?.includes(name) === true, expected: expected ?? only ?? 'any JSON' }]
  })
  return JSON.stringify(Object.fromEntries(wanted))
}

/** The text of batch_check_generated.ts. */
export function generatedBatchCheck(): string {
  patterns.clear()
  const guards = { Envelope: envelopeSchema, Running: runningSchema }
  const records = { Span: 'span', Error: 'error', Message: 'message', Event: 'event', Gauge: 'gauge' } as const
  const explained = { envelope: envelopeSchema, ...recordSchemas }
  const body = [
    ...Object.entries(guards).map(([name, schema]) => guardOf(name, schema)),
    ...Object.entries(records).map(([name, type]) => guardOf(name, recordSchemas[type])),
    '/** One checker for each field, for the path that explains a refusal. */',
    'export const fieldCheckers: Readonly<Record<string, Readonly<Record<string, (value: unknown) => boolean>>>> = {',
    ...Object.entries(explained).map(([name, schema]) => `  ${name}: ${fieldCheckersOf(schema)},`),
    '}',
    'export const fieldsWanted: Readonly<',
    '  Record<string, Readonly<Record<string, { readonly required: boolean; readonly expected: string }>>>',
    '> = {',
    ...Object.entries(explained).map(([name, schema]) => `  ${name}: ${fieldsOf(schema)},`),
    '}',
    '/** JSON Schema of a batch. */',
    `export const batchJsonSchema: { readonly [key: string]: unknown } = ${JSON.stringify(batchSchema)}`,
  ]
  const constants = [...patterns].map(([literal, name]) => `const ${name} = ${literal}`)
  return `${[head, ...constants, ...body].join('\n')}\n`
}

function guardOf(name: string, schema: TSchema): string {
  return `export const is${name}: (value: unknown) => value is Wire${name} = ${checkerOf(schema)}`
}

if (import.meta.main) writeFileSync(new URL('batch_check_generated.ts', import.meta.url), generatedBatchCheck())
