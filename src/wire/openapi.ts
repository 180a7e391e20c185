import { batchBytesMax, batchRecordsMax, retryAfterSeconds } from '../core/limit.ts'
import { messageFields, recordTypes } from '../core/record.ts'
import { batchJsonSchema } from './batch_check_generated.ts'

type Document = { readonly [key: string]: unknown }

const ackSchema = {
  type: 'object',
  required: ['batch_id', 'status', 'accepted', 'rejected', 'flush_after_ms', 'watched', 'records_max'],
  properties: {
    batch_id: { type: 'string', format: 'uuid' },
    status: {
      enum: ['stored', 'repeated'],
      description: 'repeated: stored before; nothing changed, and the rest is what the first attempt was answered',
    },
    accepted: {
      type: 'object',
      description: 'Records taken, by type; records that repeat an id are counted too',
      properties: Object.fromEntries(recordTypes.map((type) => [type, { type: 'integer', minimum: 0 }])),
    },
    rejected: {
      type: 'array',
      description: 'Records refused: the position in `records` as sent, and why',
      items: {
        type: 'object',
        required: ['index', 'reason'],
        properties: { index: { type: 'integer', minimum: 0 }, reason: { type: 'string' } },
      },
    },
    flush_after_ms: { type: 'integer', description: 'How long to wait before the next batch, in ms' },
    watched: { type: 'boolean', description: 'Whether somebody looks at the dashboard now' },
    records_max: { type: 'integer', description: 'How many records the edge takes in one batch' },
    missing: {
      type: 'object',
      description: 'Of how many messages of the batch each field was null; absent where none was',
      properties: Object.fromEntries(messageFields.map((field) => [field, { type: 'integer', minimum: 1 }])),
    },
  },
}

const problemSchema = {
  type: 'object',
  description: 'A problem document (RFC 9457)',
  required: ['type', 'title', 'status', 'detail'],
  properties: {
    type: { type: 'string', format: 'uri' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What is wrong; never repeats what was sent' },
    request_id: { type: 'string', description: 'Also in the header X-Request-Id' },
  },
}

const retryAfter = {
  'Retry-After': {
    description: `Seconds to wait before sending the same bytes again, usually ${retryAfterSeconds}`,
    schema: { type: 'integer' },
  },
}

const problems: { readonly [status: string]: string } = {
  '400': 'Not gzip, UTF-8 or JSON, nested too deep, or the envelope is wrong: drop the batch',
  '401': 'The ingest key is missing or unknown: keep the batch',
  '403': 'The ingest key is revoked: keep the batch',
  '408': 'The body ended early: keep the batch',
  '413': `More than ${batchRecordsMax} records, or ${batchBytesMax} bytes: cut the batch, the pieces keep seq`,
  '415': 'Neither JSON nor gzip of it: drop the batch',
  '422': 'Made too long ago, or refused by the store: drop the batch',
  '429': 'Too many batches at once: keep the batch',
  '503': 'The store is unavailable: keep the batch',
}

function problemAnswer([status, description]: readonly [string, string]): readonly [string, Document] {
  const content = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } }
  return [status, { description, content, ...(status === '429' || status === '503' ? { headers: retryAfter } : {}) }]
}

const sendBatch: Document = {
  operationId: 'sendBatch',
  summary: 'Stores a batch',
  description: [
    'The answer is sent after the transaction commits. Sending the same batch again changes nothing.',
    `At most ${batchRecordsMax} records and ${batchBytesMax} bytes decompressed.`,
    'A record that is wrong is refused alone, an envelope that is wrong refuses the batch.',
    'A field that may be null may be left out. Text over its limit is cut, and `telltale.truncated` among the',
    "attributes names the fields. A record's unknown fields become attributes.",
  ].join(' '),
  security: [{ ingestKey: [] }],
  parameters: [
    {
      name: 'Telltale-Sent-At',
      in: 'header',
      required: false,
      description:
        'When this attempt was sent, integer µs since the epoch, so that an outage is not read as a wrong clock',
      schema: { type: 'integer', minimum: 0 },
    },
    {
      name: 'Content-Encoding',
      in: 'header',
      required: false,
      schema: { enum: ['gzip', 'identity'], default: 'identity' },
    },
  ],
  requestBody: {
    required: true,
    content: { 'application/json': { schema: { $ref: '#/components/schemas/Batch' } } },
  },
  responses: {
    '200': {
      description: 'The batch is durable, though some of its records, or all, may have been refused',
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Ack' } } },
    },
    ...Object.fromEntries(Object.entries(problems).map(problemAnswer)),
  },
}

/** The OpenAPI 3.1 document of the ingest function, as served at `<ingest>/openapi.json`: its addresses are relative. */
export function openApiDocument(): Document {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Telltale ingest',
      version: '1.0.0',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'Takes what an MCP server did. Times are integer µs since the epoch (`*_us`), durations ms (`*_ms`).',
    },
    servers: [{ url: '..' }],
    paths: { '/ingest': { post: sendBatch } },
    components: {
      securitySchemes: {
        ingestKey: { type: 'http', scheme: 'bearer', description: 'An ingest key: `tt_<key id>_<secret>`' },
      },
      schemas: { Batch: batchJsonSchema, Ack: ackSchema, Problem: problemSchema },
    },
  }
}
