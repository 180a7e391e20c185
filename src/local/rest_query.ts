import { postgrestRowsMax } from '../core/limit.ts'
import { RestError } from './rest_error.ts'

/** What a request asks of the rows of a function that answers rows. */
export type RowQuery = {
  /** Null: every column. */
  readonly columns: readonly { readonly name: string; readonly alias: string }[] | null
  readonly filters: readonly Filter[]
  readonly order: readonly { readonly column: string; readonly suffix: string }[]
  /** Never over the 1,000 rows at which Supabase cuts. */
  readonly limit: number
  readonly offset: number
}

/** `column operator value`, where the value is text for PostgreSQL to read as the column's type. */
export type Filter = { readonly column: string; readonly negated: boolean; readonly test: FilterTest }
export type FilterTest =
  | { readonly kind: 'compare'; readonly operator: string; readonly value: string }
  | { readonly kind: 'in'; readonly values: readonly string[] }
  | { readonly kind: 'is'; readonly value: string }

const operators: { readonly [name: string]: string } = {
  eq: '=',
  neq: '<>',
  gt: '>',
  gte: '>=',
  lt: '<',
  lte: '<=',
  like: 'like',
  ilike: 'ilike',
}

const isValues: { readonly [name: string]: string } = {
  null: 'null',
  not_null: 'not null',
  true: 'true',
  false: 'false',
  unknown: 'unknown',
}

/**
 * Reads select, order, limit, offset and the filters out of a query string; `range` is the Range header.
 * @throws RestError PGRST100 for what is not served here (embedding, casts, json paths, or/and), PGRST103 for a range.
 */
export function parseRowQuery(query: readonly (readonly [string, string])[], range: string | null): RowQuery {
  let columns: RowQuery['columns'] = null
  let order: RowQuery['order'] = []
  let [limit, offset] = parseRange(range)
  const filters: Filter[] = []
  for (const [name, value] of query) {
    if (name === 'select') columns = parseSelect(value)
    else if (name === 'order') order = value.split(',').map(parseOrder)
    else if (name === 'limit') limit = parseCount(name, value)
    else if (name === 'offset') offset = parseCount(name, value)
    else filters.push(parseFilter(name, value))
  }
  return { columns, filters, order, limit: Math.min(limit, postgrestRowsMax), offset }
}

function unserved(what: string, value: string): RestError {
  return new RestError(400, 'PGRST100', `"failed to parse ${what} (${value})"`, {
    details: 'The embedded stack serves plain columns, eq neq gt gte lt lte like ilike is in, and not before them.',
  })
}

function parseRange(range: string | null): [number, number] {
  const match = /^(\d+)-(\d*)$/.exec(range?.replace(/^items=/, '').trim() ?? '')
  if (match === null) return [postgrestRowsMax, 0]
  const first = Number(match[1])
  if (match[2] === '') return [postgrestRowsMax, first]
  const last = Number(match[2])
  if (last >= first) return [last - first + 1, first]
  throw new RestError(416, 'PGRST103', 'Requested range not satisfiable', {
    details: 'The lower boundary must be lower than or equal to the upper boundary in the Range header.',
  })
}

function parseCount(name: string, value: string): number {
  if (/^\d{1,9}$/.test(value)) return Number(value)
  if (/^-\d+$/.test(value)) {
    throw new RestError(416, 'PGRST103', 'Requested range not satisfiable', {
      details: 'Limit should be greater than or equal to zero.',
    })
  }
  throw unserved(name, value)
}

function parseSelect(value: string): RowQuery['columns'] {
  if (value === '*' || value === '') return null
  return value.split(',').map((item) => {
    const match = /^(?:([^:()>*]+):)?([^:()>*]+)$/.exec(item.trim())
    if (match === null) throw unserved('select parameter', value)
    const name = unquoted(match[2] as string)
    return { name, alias: match[1] === undefined ? name : unquoted(match[1]) }
  })
}

function parseOrder(item: string): RowQuery['order'][number] {
  const match = /^([^.()>]+)(?:\.(asc|desc))?(?:\.(nullsfirst|nullslast))?$/.exec(item)
  if (match === null) throw unserved('order', item)
  const nulls = match[3] === undefined ? '' : ` nulls ${match[3].slice(5)}`
  return { column: unquoted(match[1] as string), suffix: ` ${match[2] ?? 'asc'}${nulls}` }
}

function parseFilter(name: string, value: string): Filter {
  const match = /^(not\.)?([a-z]+)\.([\s\S]*)$/.exec(value)
  if (match === null || /[()>]/.test(name) || name === 'or' || name === 'and') throw unserved('filter', value)
  const [, not, operator = '', operand = ''] = match
  return { column: unquoted(name), negated: not !== undefined, test: parseTest(operator, operand, value) }
}

function parseTest(operator: string, operand: string, whole: string): FilterTest {
  if (operator === 'is') {
    const value = isValues[operand.toLowerCase()]
    if (value === undefined) throw unserved('filter', whole)
    return { kind: 'is', value }
  }
  if (operator === 'in') {
    if (!/^\([\s\S]*\)$/.test(operand)) throw unserved('filter', whole)
    return { kind: 'in', values: parseList(operand.slice(1, -1)) }
  }
  const sql = operators[operator]
  if (sql === undefined) throw unserved('filter', whole)
  return { kind: 'compare', operator: sql, value: sql.endsWith('like') ? operand.replaceAll('*', '%') : operand }
}

/** `a,"b, c",d`: quotes protect commas, a backslash what follows it. */
function parseList(text: string): string[] {
  if (text === '') return []
  const items = text.match(/"(?:[^"\\]|\\[\s\S])*"|[^,]+|(?<=,|^)(?=,|$)/g) ?? []
  return items.map((item) => (/^"[\s\S]*"$/.test(item) ? item.slice(1, -1).replace(/\\([\s\S])/g, '$1') : item))
}

function unquoted(name: string): string {
  return /^"[\s\S]*"$/.test(name) ? name.slice(1, -1) : name
}
