import type { Parameter, Routine } from './rest_catalogue.ts'
import type { Filter, RowQuery } from './rest_query.ts'

/** The arguments: a JSON object as text, whole and by name, or one text each from a query string. */
export type Arguments =
  | { readonly kind: 'json'; readonly text: string; readonly values: ReadonlyMap<string, string> }
  | { readonly kind: 'text'; readonly values: ReadonlyMap<string, string> }

export type Call = { readonly text: string; readonly values: readonly string[] }

/** How PostgreSQL says, within the transaction so that it rolls back, that an answer is not one row. */
export const singularMark = 'telltale: rows '

/**
 * One statement that calls the function and answers `{body, n, total}`: the response body as JSON text (null for a null
 * value), how many rows it has, and how many there are in all where `counted`.
 */
export function callOf(
  schema: string,
  routine: Routine,
  args: Arguments,
  query: RowQuery,
  { counted, single }: { counted: boolean; single: boolean },
): Call {
  const values: string[] = []
  const bind = (value: string) => `$${values.push(value)}`
  const { from, call } = invocationOf(schema, routine, args, bind)
  if (routine.shape === 'void') return { text: `select ${call}${from === '' ? '' : ` from ${from}`}`, values }
  if (routine.shape === 'value' && !routine.many) {
    const body = routine.json ? 'r.v::text' : 'pg_catalog.to_json(r.v)::text'
    const source = `select ${call} as v${from === '' ? '' : ` from ${from}`}`
    return { text: `select ${body} as body, 1 as n from (${source}) as r`, values }
  }
  const rows = `${from === '' ? '' : `${from}, lateral `}${call} as r${routine.shape === 'value' ? '(v)' : ''}`
  const where = query.filters.map((filter) => conditionOf(filter, bind)).join(' and ')
  const filtered = `select * from r${where === '' ? '' : ` where ${where}`}`
  const columns = query.columns?.map(({ name, alias }) => `${nameOf(name)} as ${nameOf(alias)}`).join(', ') ?? '*'
  const order = query.order.map(({ column, suffix }) => `${nameOf(column)}${suffix}`).join(', ')
  const item = routine.shape === 'value' && query.columns === null ? 'p.v' : 'p'
  const list = `coalesce(pg_catalog.json_agg(${item}), '[]')`
  const one = `(pg_catalog.json_agg(${item}) -> 0)::text`
  const checked = `case when count(*) = 1 then ${one} else ('${singularMark}' || count(*))::int::text end`
  const body = !routine.many ? one : single ? checked : `${list}::text`
  return {
    text:
      `with r as (select r.* from ${rows}), f as (${filtered}), ` +
      `p as (select ${columns} from f${order === '' ? '' : ` order by ${order}`} limit ${query.limit} offset ${query.offset}) ` +
      `select ${body} as body, count(*)::int as n${counted ? ', (select count(*)::int from f) as total' : ''} from p`,
    values,
  }
}

function invocationOf(schema: string, routine: Routine, args: Arguments, bind: (value: string) => string) {
  const given = routine.parameters.filter(({ name }) => args.values.has(name))
  const named = (parameter: Parameter, value: string) =>
    `${parameter.variadic ? 'variadic ' : ''}${nameOf(parameter.name)} => ${value}`
  const callee = `${nameOf(schema)}.${nameOf(routine.name)}`
  if (args.kind === 'text') {
    const list = given.map((p) => named(p, `${bind(args.values.get(p.name) ?? '')}::${p.type}`))
    return { from: '', call: `${callee}(${list.join(', ')})` }
  }
  if (given.length === 0) return { from: '', call: `${callee}()` }
  const [sole] = given
  if (sole !== undefined && given.length === 1 && /^jsonb?$/.test(sole.type)) {
    // The same as a record of one column, but parsed once: a batch is all of its call.
    const value = args.values.get(sole.name)?.trim() ?? ''
    if (value !== 'null') return { from: '', call: `${callee}(${named(sole, `${bind(value)}::${sole.type}`)})` }
  }
  const columns = given.map((p) => `${nameOf(p.name)} ${p.type}`).join(', ')
  return {
    from: `pg_catalog.json_to_record(${bind(args.text)}::json) as a(${columns})`,
    call: `${callee}(${given.map((p) => named(p, `a.${nameOf(p.name)}`)).join(', ')})`,
  }
}

function conditionOf({ column, negated, test }: Filter, bind: (value: string) => string): string {
  const name = nameOf(column)
  const condition =
    test.kind === 'is'
      ? `${name} is ${test.value}`
      : test.kind === 'in'
        ? `${name} = any(${bind(arrayOf(test.values))})`
        : `${name} ${test.operator} ${bind(test.value)}`
  return negated ? `not (${condition})` : condition
}

/** An array literal of PostgreSQL. */
function arrayOf(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}

function nameOf(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
