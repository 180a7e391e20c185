import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  create,
  createFileRegistry,
  type DescEnum,
  type DescField,
  type DescFile,
  type DescMessage,
  fromBinary,
  ScalarType,
} from '@bufbuild/protobuf'
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'

// Writes otlp_proto_generated.ts from the descriptors that PyPI's `opentelemetry-proto` carries:
//   pip download --no-deps opentelemetry-proto==1.45.2 && unzip opentelemetry_proto-1.45.2-py3-none-any.whl -d DIR
//   node src/wire/generate_otlp_proto.ts DIR 1.45.2

const files = [
  'common/v1/common',
  'resource/v1/resource',
  'trace/v1/trace',
  'metrics/v1/metrics',
  'logs/v1/logs',
  'collector/trace/v1/trace_service',
  'collector/metrics/v1/metrics_service',
  'collector/logs/v1/logs_service',
]

/** The messages that are read or written by themselves; of the others only the types are needed. */
const roots: ReadonlySet<string> = new Set([
  ...['Resource', 'InstrumentationScope', 'Span', 'Metric', 'LogRecord'],
  ...['ExportTraceServiceRequest', 'ExportMetricsServiceRequest', 'ExportLogsServiceRequest'],
  ...['ExportTraceServiceResponse', 'ExportMetricsServiceResponse', 'ExportLogsServiceResponse'],
])

const outPath = fileURLToPath(new URL('otlp_proto_generated.ts', import.meta.url))

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , dir = '.', version = 'unknown'] = process.argv
  const sources = files.map((file) => readFileSync(join(dir, 'opentelemetry/proto', `${file}_pb2.py`), 'utf8'))
  writeFileSync(outPath, protoTextOf(sources, version))
}

/** The TypeScript of the Python modules that protoc made of OTLP's files, in the order in which they import each other. */
function protoTextOf(sources: readonly string[], version: string): string {
  const protos = sources.map((source) => fromBinary(FileDescriptorProtoSchema, descriptorOf(source)))
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: protos }))
  const parts = protos.map((proto, index) => {
    const file = registry.getFile(proto.name) as DescFile
    return fileText(file, descriptorOf(sources[index] as string), index, protos)
  })
  return `// OTLP's messages, from the descriptors in PyPI's opentelemetry-proto ${version} (https://github.com/open-telemetry/opentelemetry-proto).
// Written by \`node src/wire/generate_otlp_proto.ts\`; do not edit.
import type { Message } from '@bufbuild/protobuf'
import { fileDesc, type GenMessage, messageDesc } from '@bufbuild/protobuf/codegenv2'

${parts.join('\n')}`
}

/** The bytes between the quotes of \`AddSerializedFile(b'...')\`. */
function descriptorOf(source: string): Uint8Array {
  const literal = /AddSerializedFile\(b'((?:[^'\\]|\\.)*)'\)/s.exec(source)?.[1]
  if (literal === undefined) throw new Error('Cannot read descriptor: the module adds no serialized file')
  const named: { readonly [letter: string]: number } = { n: 10, r: 13, t: 9, '\\': 92, "'": 39, '"': 34 }
  const bytes: number[] = []
  for (const [, hex, octal, letter, plain] of literal.matchAll(/\\x([0-9a-f]{2})|\\([0-7]{1,3})|\\(.)|([^\\])/gs)) {
    if (hex !== undefined) bytes.push(Number.parseInt(hex, 16))
    else if (octal !== undefined) bytes.push(Number.parseInt(octal, 8))
    else bytes.push(letter === undefined ? (plain as string).charCodeAt(0) : (named[letter] as number))
  }
  return Uint8Array.from(bytes)
}

function fileText(file: DescFile, bytes: Uint8Array, index: number, all: readonly FileDescriptorProto[]): string {
  const imports = file.proto.dependency.map((name) => `file${all.findIndex((proto) => proto.name === name)}`)
  const lines = [
    `/** ${file.proto.name} */`,
    `const file${index} = /*@__PURE__*/ fileDesc(`,
    `  '${Buffer.from(bytes).toString('base64')}',`,
    ...(imports.length > 0 ? [`  [${imports.join(', ')}],`] : []),
    ')',
    '',
  ]
  for (const [place, message] of file.messages.entries()) lines.push(...messageLines(message, index, [place]))
  return lines.join('\n')
}

function messageLines(message: DescMessage, file: number, path: readonly number[]): string[] {
  const name = nameOf(message)
  const lines = [`export type ${name} = Message<'${message.typeName}'> & {`]
  for (const member of message.members) {
    if (member.kind === 'field') {
      const mark = member.presence === 1 || member.fieldKind === 'message' ? '?' : ''
      lines.push(`  ${member.localName}${mark}: ${typeOf(member)}`)
    } else {
      const cases = member.fields.map((field) => `    | { case: '${field.localName}'; value: ${typeOf(field)} }`)
      lines.push(`  ${member.localName}:`, ...cases, '    | { case: undefined; value?: undefined }')
    }
  }
  lines.push('}')
  if (roots.has(name)) {
    lines.push(
      `export const ${name}Schema: GenMessage<${name}> = /*@__PURE__*/ messageDesc(file${file}, ${path.join(', ')})`,
    )
  }
  lines.push('')
  for (const [place, nested] of message.nestedMessages.entries())
    lines.push(...messageLines(nested, file, [...path, place]))
  return lines
}

function typeOf(field: DescField): string {
  if (field.fieldKind === 'list') {
    const item =
      field.listKind === 'scalar'
        ? scalarOf(field.scalar)
        : field.listKind === 'message'
          ? nameOf(field.message)
          : 'number'
    return `${item}[]`
  }
  if (field.fieldKind === 'message') return nameOf(field.message)
  if (field.fieldKind === 'scalar') return scalarOf(field.scalar)
  if (field.fieldKind === 'enum') return 'number'
  throw new Error(`Cannot write field ${field.name}: it is a map`)
}

function scalarOf(scalar: ScalarType): string {
  switch (scalar) {
    case ScalarType.STRING:
      return 'string'
    case ScalarType.BYTES:
      return 'Uint8Array'
    case ScalarType.BOOL:
      return 'boolean'
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
    case ScalarType.SINT64:
      return 'bigint'
    default:
      return 'number'
  }
}

/** `Span.Event` is Span_Event; enums are numbers here, so that a value of a later version is one too. */
function nameOf(type: DescMessage | DescEnum): string {
  return type.typeName.slice((type.file.proto.package ?? '').length + 1).replaceAll('.', '_')
}
