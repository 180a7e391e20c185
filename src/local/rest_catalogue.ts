import { catalogueReloadMsMin } from '../core/limit.ts'
import type { Database } from './database.ts'
import { RestError } from './rest_error.ts'

/** A parameter that a caller may name. */
export type Parameter = {
  readonly name: string
  /** As `format_type` writes it. */
  readonly type: string
  readonly required: boolean
  readonly variadic: boolean
}

/** A function that the REST interface serves. */
export type Routine = {
  readonly name: string
  readonly parameters: readonly Parameter[]
  /** `row`: the answer has columns (a composite type, OUT parameters or TABLE); `value`: one value. */
  readonly shape: 'void' | 'value' | 'row'
  readonly many: boolean
  /** The value is json or jsonb, and goes out as it is. */
  readonly json: boolean
  readonly volatile: boolean
}

export type Catalogue = {
  /**
   * The one function of that name which takes exactly these argument names, defaults aside.
   * @throws RestError PGRST202 when none does, PGRST203 when several do.
   */
  readRoutine(name: string, argumentNames: readonly string[]): Promise<Routine>
  /** The parameters of all functions of that name. */
  readParameterNames(name: string): Promise<ReadonlySet<string>>
  /** Forgets what is known, as after a migration. */
  forget(): void
}

type Routines = ReadonlyMap<string, readonly Routine[]>

/**
 * What PostgREST calls its schema cache. It is read once, again after `forget`, and again (at most once a second) when a
 * function is asked for that it does not have: then somebody has made one since.
 */
export function createCatalogue(database: Pick<Database, 'query'>, schema: string): Catalogue {
  let known: Promise<Routines> | null = null
  let readAt = Number.NEGATIVE_INFINITY

  const read = (): Promise<Routines> => {
    readAt = performance.now()
    const reading = readRoutines(database, schema)
    known = reading
    reading.catch(() => {
      if (known === reading) known = null
    })
    return reading
  }

  return {
    async readRoutine(name, argumentNames) {
      let routines = await (known ?? read())
      let matches = matchesOf(routines, name, argumentNames)
      if (matches.length === 0 && performance.now() - readAt > catalogueReloadMsMin) {
        routines = await read()
        matches = matchesOf(routines, name, argumentNames)
      }
      const [match] = matches
      if (match === undefined) throw missing(schema, name, argumentNames, routines)
      if (matches.length > 1) throw ambiguous(schema, matches)
      return match
    },
    async readParameterNames(name) {
      const routines = (await (known ?? read())).get(name) ?? []
      return new Set(routines.flatMap(({ parameters }) => parameters.map((parameter) => parameter.name)))
    },
    forget() {
      known = null
    },
  }
}

function matchesOf(routines: Routines, name: string, argumentNames: readonly string[]): Routine[] {
  return (routines.get(name) ?? []).filter(
    ({ parameters }) =>
      argumentNames.every((argument) => parameters.some((parameter) => parameter.name === argument)) &&
      parameters.every((parameter) => !parameter.required || argumentNames.includes(parameter.name)),
  )
}

function missing(schema: string, name: string, argumentNames: readonly string[], routines: Routines): RestError {
  const many = argumentNames.length > 1 ? 'parameters' : 'parameter'
  const names = argumentNames.join(', ')
  const shown = `${schema}.${name}`
  const without = argumentNames.length === 0
  const same = routines.get(name)
  const meant =
    same === undefined
      ? closest(name, [...routines.keys()])
      : `${name}(${[...(same[0]?.parameters ?? [])]
          .map((parameter) => parameter.name)
          .sort()
          .join(', ')})`
  return new RestError(
    404,
    'PGRST202',
    `Could not find the function ${shown}${without ? ' without parameters' : `(${names})`} in the schema cache`,
    {
      details: `Searched for the function ${shown} ${without ? 'without parameters' : `with ${many} ${names}`}, but no matches were found in the schema cache.`,
      hint: meant === null ? null : `Perhaps you meant to call the function ${schema}.${meant}`,
    },
  )
}

function ambiguous(schema: string, matches: readonly Routine[]): RestError {
  const shown = matches.map(
    ({ name, parameters }) => `${schema}.${name}(${parameters.map((p) => `${p.name} => ${p.type}`).join(', ')})`,
  )
  return new RestError(300, 'PGRST203', `Could not choose the best candidate function between: ${shown.join(', ')}`, {
    hint: 'Try renaming the parameters or the function itself in the database so function overloading can be resolved',
  })
}

/** The name that shares most pairs of letters, null when none shares half of them. */
function closest(name: string, names: readonly string[]): string | null {
  const pairs = pairsOf(name)
  let best: string | null = null
  let bestShare = 0.5
  for (const other of names) {
    const otherPairs = pairsOf(other)
    const shared = pairs.filter((pair) => otherPairs.includes(pair)).length
    const share = (2 * shared) / (pairs.length + otherPairs.length)
    if (share > bestShare) [best, bestShare] = [other, share]
  }
  return best
}

function pairsOf(name: string): string[] {
  const text = ` ${name} `
  return Array.from({ length: text.length - 1 }, (_, i) => text.slice(i, i + 2))
}

async function readRoutines(database: Pick<Database, 'query'>, schema: string): Promise<Routines> {
  const rows = await database.query({ text: routinesQuery, values: [schema], readOnly: true })
  const routines = new Map<string, Routine[]>()
  for (const row of rows) {
    const routine = JSON.parse(row.routine as string) as Routine
    routines.set(routine.name, [...(routines.get(routine.name) ?? []), routine])
  }
  return routines
}

// Functions with an unnamed parameter cannot be called by names, so they are not here.
const routinesQuery = `
  select pg_catalog.json_build_object(
    'name', p.proname,
    'parameters', a.parameters,
    'shape', case
      when p.prorettype = 'pg_catalog.void'::pg_catalog.regtype then 'void'
      when t.typtype = 'c' or p.proargmodes::text[] && '{t,b,o}' then 'row'
      else 'value' end,
    'many', p.proretset,
    'json', p.prorettype in ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype),
    'volatile', p.provolatile = 'v') as routine
  from pg_catalog.pg_proc p
  join pg_catalog.pg_type t on t.oid = p.prorettype
  cross join lateral (
    select
      coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
        'name', x.name,
        'type', pg_catalog.format_type(x.type, null),
        'required', x.n <= p.pronargs - p.pronargdefaults,
        'variadic', x.mode = 'v') order by x.n), '[]') as parameters,
      coalesce(pg_catalog.bool_and(coalesce(x.name, '') <> ''), true) as named
    from (
      select u.name, u.type, coalesce(u.mode, 'i') as mode, pg_catalog.row_number() over (order by u.i) as n
      from rows from (
        pg_catalog.unnest(p.proargnames),
        pg_catalog.unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])),
        pg_catalog.unnest(p.proargmodes::text[])
      ) with ordinality as u(name, type, mode, i)
      where coalesce(u.mode, 'i') in ('i', 'b', 'v')
    ) as x
  ) as a
  where p.pronamespace = (select n.oid from pg_catalog.pg_namespace n where n.nspname = $1::text)
    and p.prokind = 'f'
    and p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype
    and a.named
  order by p.proname, p.pronargs, p.oid`
