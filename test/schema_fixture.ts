import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { openPglite, type TestDatabase } from './postgres_fixture.ts'

// The whole schema as one text, in an order of its own, the same from every PostgreSQL: what a change to a migration
// changes is seen in review. `node test/schema_fixture.ts` writes it anew.

export const schemaPath = fileURLToPath(new URL('../supabase/schema.sql', import.meta.url))

const grants = (acl: string, owner: string, object: string) => `(
  select string_agg(format('grant %s on %s to %s;', lower(privileges), ${object}, grantee), E'\\n' order by grantee)
  from (select a.grantee::regrole::text as grantee, string_agg(a.privilege_type, ', ' order by a.privilege_type) as privileges
    from aclexplode(${acl}) as a where a.grantee <> ${owner} group by 1) as granted)`

const described = (kind: string, object: string, comment: string) =>
  `'comment on ${kind} ' || ${object} || ' is ' || quote_literal(${comment}) || ';'`

/** Each row: what it belongs to, its place there, its text. */
const parts = [
  // Tables and views: columns, constraints, indexes, policies, rights, comments.
  `select c.relname as name, 1 as place, c.relname as detail, case c.relkind
      when 'v' then format(E'create view telltale.%s with (%s) as\\n%s', c.relname, array_to_string(c.reloptions, ', '),
        pg_get_viewdef(c.oid))
      else format(E'create table telltale.%s (\\n%s\\n)%s;', c.relname, (
        select string_agg(format('  %s %s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
          case when a.attcollation <> t.typcollation then ' collate "' || l.collname || '"' else '' end,
          case when a.attnotnull then ' not null' else '' end,
          coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
          || case when a.attstorage::text <> t.typstorage::text then ' /* storage ' || a.attstorage::text || ' */' else '' end), E',\\n' order by a.attnum)
        from pg_attribute as a join pg_type as t on t.oid = a.atttypid
        left join pg_collation as l on l.oid = a.attcollation
        left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
        case c.relkind when 'p' then ' partition by ' || pg_get_partkeydef(c.oid) else '' end) end as text
    from relation as c`,
  `select c.relname, 2, k.conname, format('alter table telltale.%s add constraint %s %s;', c.relname, k.conname,
      pg_get_constraintdef(k.oid))
    from relation as c join pg_constraint as k on k.conrelid = c.oid where k.contype in ('p', 'u', 'c', 'f')`,
  `select c.relname, 3, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) || ';'
    from relation as c join pg_index as i on i.indrelid = c.oid
    where not exists (select from pg_constraint as k where k.conindid = i.indexrelid and k.contype in ('p', 'u'))`,
  `select c.relname, 4, '', format('alter table telltale.%s enable row level security;', c.relname)
    from relation as c where c.relrowsecurity`,
  `select c.relname, 5, p.polname, format('create policy %s on telltale.%s for %s to %s using (%s);', p.polname, c.relname,
      case p.polcmd when 'r' then 'select' else p.polcmd::text end,
      (select string_agg(r::regrole::text, ', ') from unnest(p.polroles) as r), pg_get_expr(p.polqual, p.polrelid))
    from relation as c join pg_policy as p on p.polrelid = c.oid`,
  `select c.relname, 6, '', ${grants('c.relacl', 'c.relowner', `'telltale.' || c.relname`)} from relation as c`,
  `select c.relname, 7, lpad(coalesce(a.attnum, 0)::text, 4), case when a.attnum is null
      then ${described('table', `'telltale.' || c.relname`, 'obj_description(c.oid)')}
      else ${described('column', `'telltale.' || c.relname || '.' || a.attname`, 'col_description(c.oid, a.attnum)')} end
    from relation as c left join lateral (select null::int2 as attnum, null::name as attname
      union all select a.attnum, a.attname from pg_attribute as a where a.attrelid = c.oid and a.attnum > 0) as a on true`,
  // Functions and aggregates.
  `select '~' || p.proname, 8, signature, case p.prokind
      when 'a' then format('create aggregate %s (sfunc = %s, stype = %s, initcond = %L%s);', signature,
        g.aggtransfn, g.aggtranstype::regtype, g.agginitval,
        case when g.aggfinalfn::oid = 0 then '' else ', finalfunc = ' || g.aggfinalfn end)
      else rtrim(pg_get_functiondef(p.oid), E'\\n') || ';' end
    from routine as p left join pg_aggregate as g on g.aggfnoid = p.oid`,
  `select '~' || p.proname, 9, signature, ${grants('p.proacl', 'p.proowner', "'function ' || signature")} from routine as p`,
  `select '~' || p.proname, 10, signature, ${described('function', 'signature', 'obj_description(p.oid)')} from routine as p`,
]

const query = `
with relation as (
  select * from pg_class
  where relnamespace = 'telltale'::regnamespace and relkind in ('r', 'p', 'v') and not relispartition
), routine as (
  select p.*, p.oid::regprocedure::text as signature from pg_proc as p where p.pronamespace = 'telltale'::regnamespace
)
select name, text from (${parts.join('\nunion all\n')}) as part(name, place, detail, text)
where text is not null
order by name collate "C", place, detail collate "C"`

export async function schemaTextOf(database: TestDatabase): Promise<string> {
  const rows = await database.query(query)
  let text =
    '-- The schema telltale as the migrations leave it. Written by `node test/schema_fixture.ts`; do not edit.\n'
  let last: unknown
  for (const row of rows) {
    if (row.name !== last) text += '\n'
    text += `${row.text}\n`
    last = row.name
  }
  return text
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const database = await openPglite()
  writeFileSync(schemaPath, await schemaTextOf(database))
  await database.close()
}
