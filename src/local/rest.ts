import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { restBodyBytesMax, viewerTurnMsMax } from '../core/limit.ts'
import { argumentTextsOf } from './argument_text.ts'
import type { Caller, CallerReader } from './claims.ts'
import { type Database, DatabaseError, type Row } from './database.ts'
import { type Arguments, callOf, singularMark } from './rest_call.ts'
import type { Catalogue, Routine } from './rest_catalogue.ts'
import { RestError, restErrorOf } from './rest_error.ts'
import { parseRowQuery, type RowQuery } from './rest_query.ts'

/** The schema that is exposed. */
export const restSchema = 'telltale'

export type RestOptions = {
  readonly database: Pick<Database, 'query'>
  readonly catalogue: Catalogue
  readonly readCaller: CallerReader
}

type Env = { Variables: { caller: Caller } }

const single = 'application/vnd.pgrst.object+json'
const jsonType = 'application/json; charset=utf-8'
/** Reserved names of a query string; every other one is an argument (GET) or a filter. */
const reserved = new Set(['select', 'order', 'limit', 'offset', 'and', 'or', 'columns', 'on_conflict'])
/** Sent to PostgreSQL by PostgREST too, but no function needs a key to know its caller. */
const secretHeaders = new Set(['apikey', 'authorization', 'cookie'])

/**
 * The part of PostgREST that the official clients' `rpc` uses, for one schema: POST, GET and HEAD of `/rpc/<function>`.
 * Each call is one transaction as the caller's role, read only for GET, HEAD and functions that are not volatile.
 * Not served: tables and views, unnamed parameters, embedding, csv, `response.*` settings.
 * @see https://docs.postgrest.org/en/v14/references/api/functions.html
 */
export function restApp({ database, catalogue, readCaller }: RestOptions): Hono<Env> {
  const app = new Hono<Env>()
  app.onError((error) => answerOf(error instanceof RestError ? error : unexpected(error)))
  app.notFound(() => answerOf(new RestError(404, 'PGRST125', 'Invalid path specified in request URL')))

  const limit = bodyLimit({
    maxSize: restBodyBytesMax,
    onError: () => answerOf(new RestError(413, 'PGRST102', `Cannot read body: it is over ${restBodyBytesMax} bytes`)),
  })
  // Before the body: of whoever has no key nothing is read.
  app.use('/rpc/:name', async (context, next) => {
    context.set('caller', await readCaller(context.req.raw.headers))
    await next()
  })
  app.all('/rpc/:name', limit, async (context) => {
    const request = context.req.raw
    const caller = context.get('caller')
    assertSchema(request)
    const accept = acceptOf(request.headers.get('accept'))
    const [args, rowItems] = await readArguments(request)
    const names = [...args.values.keys()]
    const name = context.req.param('name')
    const { routine, given, filters } = await chosenRoutine(catalogue, name, names, args)
    const query = parseRowQuery([...rowItems, ...filters], request.headers.get('range'))
    if (routine.shape === 'value' && !routine.many && query.filters.length > 0) throw noSuchColumn(query)
    const prefer = request.headers.get('prefer') ?? ''
    const counted = routine.many && /count=(exact|planned|estimated)/.test(prefer)
    const call = callOf(restSchema, routine, given, query, { counted, single: accept === single })
    const [row] = await run(database, catalogue, caller, given, {
      ...call,
      role: caller.role,
      settings: settingsOf(request, name, caller),
      readOnly: request.method !== 'POST' || !routine.volatile,
      ...(caller.role === 'authenticated' ? { turnMsMax: viewerTurnMsMax } : {}),
    })
    return responseOf(routine, row ?? {}, query, { accept, counted, minimal: /return=minimal/.test(prefer) })
  })
  return app
}

function assertSchema({ method, headers }: Request): void {
  if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') {
    throw new RestError(405, 'PGRST101', `Cannot use the ${method} method on RPC`)
  }
  // Without a profile a hosted project means `public`, where Telltale has nothing.
  const schema = headers.get(method === 'POST' ? 'content-profile' : 'accept-profile') ?? 'public'
  if (schema !== restSchema) {
    throw new RestError(406, 'PGRST106', `Invalid schema: ${schema}`, {
      hint: `Only the following schemas are exposed: ${restSchema}`,
    })
  }
}

function acceptOf(header: string | null): string {
  const types = (header ?? '*/*').split(',').map((type) => type.split(';')[0]?.trim().toLowerCase() ?? '')
  for (const type of types) {
    if (type === single) return single
    if (type === '*/*' || type === 'application/*' || type === 'application/json') return 'application/json'
    if (type === 'application/vnd.pgrst.array+json') return 'application/json'
  }
  throw new RestError(406, 'PGRST107', `None of these media types are available: ${types.join(', ')}`)
}

/** The arguments, and what the query string asks of the rows. */
async function readArguments(request: Request): Promise<[Arguments, [string, string][]]> {
  const query = [...new URL(request.url).searchParams]
  if (request.method === 'POST') {
    const text = await request.text()
    const values = text.trim() === '' ? new Map<string, string>() : argumentTextsOf(text)
    if (values === null) throw malformed()
    return [{ kind: 'json', text, values }, query]
  }
  const values = new Map(query.filter(([name]) => !reserved.has(name)))
  return [{ kind: 'text', values }, query.filter(([name]) => reserved.has(name))]
}

/** On GET a name in the query string that is no parameter is a filter, which begins with its operator. */
async function chosenRoutine(catalogue: Catalogue, name: string, names: readonly string[], args: Arguments) {
  if (args.kind === 'json') return { routine: await catalogue.readRoutine(name, names), given: args, filters: [] }
  const looksLikeFilter = (value: string) => /^(not\.)?(eq|neq|gt|gte|lt|lte|like|ilike|is|in)\./.test(value)
  const known = await catalogue.readParameterNames(name)
  const filters = [...args.values].filter(([key, value]) => !known.has(key) && looksLikeFilter(value))
  const dropped = new Set(filters.map(([key]) => key))
  const given = { kind: 'text' as const, values: new Map([...args.values].filter(([key]) => !dropped.has(key))) }
  return { routine: await catalogue.readRoutine(name, [...given.values.keys()]), given, filters }
}

async function run(
  database: Pick<Database, 'query'>,
  catalogue: Catalogue,
  caller: Caller,
  args: Arguments,
  statement: Parameters<Database['query']>[0],
): Promise<readonly Row[]> {
  try {
    return await database.query(statement)
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    const rows = error.code === '22P02' ? error.message.split(singularMark)[1] : undefined
    if (rows !== undefined) throw notSingular(Number.parseInt(rows, 10))
    if (error.code.startsWith('22') && args.kind === 'json' && !isJson(args.text)) throw malformed()
    // The function has been dropped or changed since its parameters were read.
    if (error.code === '42883') catalogue.forget()
    throw restErrorOf(error, caller.role)
  }
}

function settingsOf(request: Request, name: string, { claims }: Caller): Record<string, string> {
  const headers: Record<string, string> = {}
  request.headers.forEach((value, header) => {
    if (!secretHeaders.has(header)) headers[header] = value
  })
  return {
    'request.jwt.claims': JSON.stringify(claims),
    'request.headers': JSON.stringify(headers),
    'request.method': request.method,
    'request.path': `/rpc/${name}`,
  }
}

function responseOf(
  routine: Routine,
  row: Row,
  query: RowQuery,
  { accept, counted, minimal }: { accept: string; counted: boolean; minimal: boolean },
): Response {
  if (routine.shape === 'void') return new Response(null, { status: 204 })
  const n = Number(row.n ?? 0)
  const total = counted ? Number(row.total ?? 0) : null
  if (total !== null && query.offset > 0 && query.offset >= total) {
    throw new RestError(416, 'PGRST103', 'Requested range not satisfiable', {
      details: `An offset of ${query.offset} was requested, but there are only ${total} rows.`,
    })
  }
  const range = n === 0 ? '*' : `${query.offset}-${query.offset + n - 1}`
  const headers = {
    'Content-Type': accept === single ? `${single}; charset=utf-8` : jsonType,
    'Content-Range': `${range}/${total ?? '*'}`,
  }
  if (minimal) return new Response(null, { status: 204, headers: { 'Content-Range': headers['Content-Range'] } })
  const status = total !== null && n < total ? 206 : 200
  return new Response((row.body as string | null) ?? 'null', { status, headers })
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return text.trim() === ''
  }
}

function malformed(): RestError {
  return new RestError(400, 'PGRST102', 'Empty or invalid json')
}

function notSingular(n: number): RestError {
  const details = `The result contains ${n} rows`
  return new RestError(406, 'PGRST116', 'Cannot coerce the result to a single JSON object', { details })
}

function noSuchColumn(query: RowQuery): RestError {
  return new RestError(400, '42703', `column "${query.filters[0]?.column}" does not exist`)
}

function unexpected(error: Error): RestError {
  process.stderr.write(`telltale: ${error.stack ?? error.message}\n`)
  return new RestError(500, 'PGRSTX00', 'Cannot answer: an unexpected error, told on the standard error of telltale')
}

function answerOf({ status, code, message, details, hint, headers }: RestError): Response {
  return Response.json(
    { code, details, hint, message },
    {
      status: status as ContentfulStatusCode,
      headers: { 'Content-Type': jsonType, 'Proxy-Status': `PostgREST; error=${code}`, ...headers },
    },
  )
}
