-- Where time goes: the spans of many traces as one tree, heatmaps, and what was waited for. Definer behind a first line that
-- refuses non-members, as all readers.

create function telltale.span_paths(traces jsonb[], depth integer)
returns table (place bigint, path text[], wait boolean, self_us bigint, folded boolean)
language plpgsql immutable parallel safe rows 10000
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
#variable_conflict use_column
begin
  return query
  with recursive span as materialized (
    select s.place, s.span_id, s.wait, s.self_us, s.root,
      jsonb_build_array(case when s.wait then 'wait' else 'work' end, s.layer, t.spans -> s.span_id ->> 'name')::text as step,
      case when not s.root then t.spans -> s.span_id ->> 'parent_span_id' end as parent_id
    from telltale.self_times_of(traces) as s
    join unnest(traces) with ordinality as t(spans, place) on t.place = s.place
  ), top as (
    -- Below nothing that has ended: a root, or a child of what still runs.
    select s.* from span as s left join span as p on p.place = s.place and p.span_id = s.parent_id
    where p.span_id is null
  ), reached as (
    select place, span_id, array[step] as path, wait, self_us, false as folded from top
    union all
    select s.place, s.span_id, case when cardinality(r.path) < depth then r.path || s.step else r.path end, s.wait, s.self_us,
      cardinality(r.path) >= depth
    from reached as r join span as s on s.place = r.place and s.parent_id = r.span_id
  )
  select r.place, r.path, r.wait, r.self_us, r.folded from reached as r
  union all
  -- Parents that go round in a circle hang on nothing.
  select s.place, array[s.step], s.wait, s.self_us, false from span as s
  where not exists (select from reached as r where r.place = s.place and r.span_id = s.span_id);
end
$$;
comment on function telltale.span_paths(jsonb[], integer) is
  'Every ended span of these traces with its self time and its path from the top, each step [kind, layer, name] as JSON. What lies deeper than
so many steps is folded: it has the path of the last of them.';
revoke all on function telltale.span_paths(jsonb[], integer) from public, anon, authenticated;
grant execute on function telltale.span_paths(jsonb[], integer) to service_role;

create function telltale.time_tree(filter jsonb default '{}', depth integer default 6) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
declare
  asked record;
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, telltale.lens_keys());
  depth := coalesce(depth, 6);
  if depth not between 1 and 12 then
    raise exception 'Cannot read tree: depth is %', depth using errcode = '22023', hint = 'depth is 1 to 12, or null for 6.';
  end if;
  select * into asked from telltale.lens_range(filter);
  return (
    with sample as materialized (
      select * from telltale.lens_traces(filter, asked.since, asked.till, 3000, 20000)
    ), trace as materialized (
      -- Of those that are joined, the spans of all; those whose spans were not kept have none.
      select s.trace_id, coalesce(j.spans, s.spans) as spans, row_number() over (order by s.trace_id) as place,
        (select sum(l.value::double precision) from jsonb_each(s.layers) as l) * 1000 as us
      from sample as s
      left join telltale.joined_spans_of((
        select array_agg(distinct i.outer_trace_id) from telltale.trace_joins as i join sample as o on o.trace_id = i.outer_trace_id
      )) as j on j.root = s.trace_id
      where s.spans <> '{}'
    ), part as materialized (
      select p.place, p.path, bool_or(p.wait) as wait, sum(p.self_us) as us, sum(p.self_us) filter (where p.wait) as waited,
        count(*) as spans, count(*) filter (where p.folded) as folded
      from telltale.span_paths((select array_agg(spans order by place) from trace), depth) as p
      group by p.place, p.path
    ), unexplained as (
      select t.place, greatest(0, round((t.us - coalesce(s.us, 0))::numeric)) as us
      from trace as t left join (select place, sum(us) as us from part group by place) as s on s.place = t.place
    ), whole as (
      select nullif((select coalesce(sum(us), 0) from part) + (select coalesce(sum(us), 0) from unexplained), 0) as us
    ), own as (
      select path, sum(us) as us, sum(coalesce(waited, 0)) as waited, sum(spans) as spans, sum(folded) as folded from part group by path
    ), below as (
      -- What a trace spent at a path or anywhere below it.
      select place, path[1:level] as path, sum(us) as us, sum(coalesce(waited, 0)) as waited
      from part cross join lateral generate_series(1, cardinality(path)) as level
      group by 1, 2
    ), node as (
      select b.path, count(*) as n, sum(b.us) as us, sum(b.waited) as waited,
        percentile_disc(array[0.5, 0.95]) within group (order by b.us) as quantiles
      from below as b group by b.path
    ), shown as materialized (
      -- Above what is shown is never what is not: that took at least as long.
      select * from node order by us desc, cardinality(path), path collate "C" limit 300
    ), line as (
      select s.*, coalesce(o.us, 0) as own_us, coalesce(o.spans, 0) as spans, coalesce(o.folded, 0) as folded,
        s.us - coalesce(o.us, 0) - coalesce((
          select sum(c.us) from shown as c where cardinality(c.path) = cardinality(s.path) + 1
            and c.path[1:cardinality(s.path)] = s.path), 0) as rest_us
      from shown as s left join own as o on o.path = s.path
    )
    select jsonb_build_object('from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
      'matched', coalesce((select max(matched) from sample), 0), 'read', (select count(*) from trace),
      'emptied', coalesce((select max(emptied) from sample), 0),
      'total_ms', trim_scale(round(coalesce((select us from whole), 0) / 1000, 3)),
      'unexplained', (select jsonb_build_object('total_ms', trim_scale(round(coalesce(sum(us), 0) / 1000, 3)),
        'share', round(coalesce(sum(us) / (select us from whole), 0), 6), 'n', count(*) filter (where us > 0)) from unexplained),
      'nodes', coalesce((
        select jsonb_agg(jsonb_build_object(
          'path', (select jsonb_agg(step::jsonb order by level) from unnest(l.path) with ordinality as p(step, level)),
          'n', l.n, 'spans', l.spans, 'folded', l.folded, 'total_ms', trim_scale(round(l.us / 1000, 3)),
          'share', round(coalesce(l.us / (select us from whole), 0), 6), 'self_ms', trim_scale(round(l.own_us / 1000, 3)),
          'wait_ms', trim_scale(round(l.waited / 1000, 3)), 'work_ms', trim_scale(round((l.us - l.waited) / 1000, 3)),
          'rest_ms', trim_scale(round(l.rest_us / 1000, 3)), 'p50_ms', trim_scale(round(l.quantiles[1] / 1000, 3)),
          'p95_ms', trim_scale(round(l.quantiles[2] / 1000, 3))) order by l.path collate "C")
        from line as l), '[]'))
  );
end
$$;
comment on function telltale.time_tree(jsonb, integer) is
  'The spans of many traces as one tree by path: {from_us, to_us, matched: traces that count, read: those whose spans were,
emptied: those that kept none, for the sampling keeps what failed or was slow and few of the others,
total_ms: of all self time and what no span explains, unexplained: {total_ms, share, n traces}, nodes: [{path: [[kind, layer,
name]], n traces, spans, folded: of these, such as lie deeper than `depth`, total_ms = wait_ms + work_ms of it and all
below it, share of the whole, self_ms of it alone, rest_ms: below it, in what is not listed, p50_ms, p95_ms of the total in a
trace that has it}] by path, the 300 that took longest}. The shares of the top nodes and of unexplained add up to 1. At most
3,000 traces are read, and no more than have 20,000 spans. Filter: as traces; from is 15 minutes ago and to is now unless given.
Definer, see the file''s head; the first line refuses non-members with 42501.';
revoke all on function telltale.time_tree(jsonb, integer) from public, anon;
grant execute on function telltale.time_tree(jsonb, integer) to authenticated, service_role;

create function telltale.holders(filter jsonb default '{}') returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
declare
  asked record;
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, telltale.lens_keys());
  select * into asked from telltale.lens_range(filter);
  return (
    with sample as materialized (
      select * from telltale.lens_traces(filter, asked.since, asked.till, 10000)
    ), wait as materialized (
      select w.*, s.tool, w.self_us / 1000.0::double precision as ms
      from telltale.lens_waits((select array_agg(trace_id) from sample where wait_ms > 0),
        (select array_agg(day) from sample where wait_ms > 0), 50000) as w
      join sample as s on s.trace_id = w.trace_id
      where w.self_us > 0
    ), held as (
      select name, layer, holder, count(*) as n, count(distinct trace_id) as traces, sum(ms) as ms, max(ms) as most_ms,
        percentile_disc(array[0.5, 0.95]) within group (order by ms) as quantiles,
        (array_agg(trace_id order by ms desc, trace_id))[1] as longest
      from wait group by name, layer, holder
    ), listed as materialized (
      select *, row_number() over (order by ms desc, name collate "C", layer collate "C", holder collate "C") as place from held
    ), waiter as (
      select name, layer, holder, tool, count(*) as n, sum(ms) as ms,
        row_number() over (partition by name, layer, holder order by sum(ms) desc, tool collate "C") as place
      from wait group by name, layer, holder, tool
    )
    select jsonb_build_object('from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
      'matched', coalesce((select max(matched) from sample), 0), 'read', (select count(*) from sample),
      'total_ms', telltale.ms_of((select coalesce(sum(duration_ms), 0) from sample)),
      'wait_ms', telltale.ms_of((select coalesce(sum(ms), 0) from wait)),
      'rows', coalesce((
        select jsonb_agg(jsonb_build_object('name', l.name, 'layer', l.layer, 'holder', l.holder, 'n', l.n, 'traces', l.traces,
          'total_ms', telltale.ms_of(l.ms), 'share', round((l.ms / (select sum(ms) from wait))::numeric, 6),
          'p50_ms', telltale.ms_of(l.quantiles[1]), 'p95_ms', telltale.ms_of(l.quantiles[2]), 'max_ms', telltale.ms_of(l.most_ms),
          'longest_trace_id', l.longest, 'tools', (
            select jsonb_agg(jsonb_build_object('tool', w.tool, 'n', w.n, 'total_ms', telltale.ms_of(w.ms)) order by w.place)
            from waiter as w where w.place <= 5 and w.name = l.name and w.layer = l.layer
              and w.holder is not distinct from l.holder)) order by l.place)
        from listed as l where l.place <= 200), '[]'),
      'rest', (select jsonb_build_object('n', coalesce(sum(l.n), 0), 'total_ms', telltale.ms_of(coalesce(sum(l.ms), 0)))
        from listed as l where l.place > 200))
  );
end
$$;
comment on function telltale.holders(jsonb) is
  'Who held what was waited for: {from_us, to_us, matched, read, total_ms: of these traces, wait_ms: of all their waits, rows:
[{name of the wait, layer, holder (null: nobody was named), n waits, traces, total_ms, share of wait_ms, p50_ms, p95_ms, max_ms,
longest_trace_id, tools: [{tool, n, total_ms}] the 5 that waited longest}] the 200 that took longest, rest: {n, total_ms} of the
others}. At most 10,000 traces are read, and the waits of as many as have 50,000 spans. Filter: as traces; from is 15 minutes
ago and to is now unless given. Definer, see the file''s head; the first line refuses non-members with 42501.';
revoke all on function telltale.holders(jsonb) from public, anon;
grant execute on function telltale.holders(jsonb) to authenticated, service_role;

create function telltale.latency_edges() returns double precision[]
language sql immutable parallel safe
return array[1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1e3, 1.5e3, 2e3, 3e3, 5e3, 7e3, 1e4, 1.5e4,
  2e4, 3e4, 5e4, 7e4, 1e5, 1.5e5, 2e5, 3e5, 5e5, 7e5, 1e6, 1.5e6, 2e6, 3e6, 5e6, 7e6, 1e7, 1.5e7, 2e7, 3e7, 5e7, 7e7]::double precision[];
comment on function telltale.latency_edges() is
  'Where one row of a heatmap of latencies ends and the next begins, in ms: six steps to a power of ten.';
revoke all on function telltale.latency_edges() from public, anon;
grant execute on function telltale.latency_edges() to authenticated, service_role;

create function telltale.heat_columns(axis text, since timestamptz, till timestamptz, traces text[], starts timestamptz[],
  calls bigint[], names text[])
returns table (trace_id text, x integer, key text, filter jsonb)
language plpgsql immutable parallel safe rows 10000
set search_path = ''
set timezone = 'UTC'
set jit = off
set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
  step bigint;
begin
  if axis = 'time' then
    select s into step from unnest(array[1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400,
      604800]) as s where extract(epoch from till - since) <= 60 * s or s = 604800 order by s limit 1;
    return query
      select t.id, place::int, null::text, jsonb_build_object(
        'from', greatest(telltale.us_of(since), (first + place) * step * 1000000),
        'to', least(telltale.us_of(till), (first + place + 1) * step * 1000000))
      from (select floor(extract(epoch from since) / step)::bigint as first,
        ceil(extract(epoch from till) / step)::bigint - floor(extract(epoch from since) / step)::bigint - 1 as last) as r
      cross join lateral generate_series(0, r.last) as place
      left join unnest(traces, starts) as t(id, at) on floor(extract(epoch from t.at) / step)::bigint - r.first = place;
  elsif axis = 'call_number' then
    return query
      select t.id, case when t.call is null then 7 else least(t.call, 6) end::int, case when t.call is null then 'unknown' when t.call > 5 then '6+'
        else t.call::text end, case when t.call <= 5 then jsonb_build_object('call_number', t.call) end
      from unnest(traces, calls) as t(id, call);
  else
    return query
      with named as (
        select t.id, t.name from unnest(traces, names) as t(id, name)
      ), placed as (
        select name, row_number() over (order by count(*) desc, name collate "C") as place from named
        where name is not null group by name
      )
      select n.id, case when p.place is null then 26 else least(p.place, 25) end::int, case when p.place <= 24 then n.name when p.place is null then 'unknown'
        else 'other' end, case when p.place <= 24 then jsonb_build_object(axis, n.name) end
      from named as n left join placed as p on p.name = n.name;
  end if;
end
$$;
comment on function telltale.heat_columns(text, timestamptz, timestamptz, text[], timestamptz[], bigint[], text[]) is
  'In which column of a heatmap each of these traces is (by its start, its call number or a name of it), and the filter that finds
the column''s traces, null where none does. Of time there is also a row, without a trace, for a column that has none.';
revoke all on function telltale.heat_columns(text, timestamptz, timestamptz, text[], timestamptz[], bigint[], text[])
  from public, anon, authenticated;
grant execute on function telltale.heat_columns(text, timestamptz, timestamptz, text[], timestamptz[], bigint[], text[])
  to service_role;

create function telltale.heatmap(filter jsonb default '{}', x text default 'time', y text default 'latency') returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
  asked record;
begin
  perform telltale.require_reader();
  filter := coalesce(heatmap.filter, '{}');
  perform telltale.check_filter(heatmap.filter, telltale.lens_keys());
  if coalesce(heatmap.x <> all (array['time', 'call_number', 'tool', 'provider', 'model']), true) then
    raise exception 'Cannot read heatmap: x is %', to_json(left(heatmap.x, 100))
      using errcode = '22023', hint = 'x is time, call_number, tool, provider or model.';
  end if;
  if coalesce(heatmap.y <> all (array['layer', 'latency']), true) then
    raise exception 'Cannot read heatmap: y is %', to_json(left(heatmap.y, 100))
      using errcode = '22023', hint = 'y is layer or latency.';
  end if;
  select * into asked from telltale.lens_range(heatmap.filter);
  return (
    with sample as materialized (
      select * from telltale.lens_traces(heatmap.filter, asked.since, asked.till, 10000)
    ), numbered as materialized (
      select s.*, c.call_number as nth from sample as s
      left join telltale.lens_calls(case when heatmap.x = 'call_number' then
          (select array_agg(distinct session_key) from sample where session_key is not null and call_number is null) end,
        (select array_agg(distinct session_key) from sample where session_key is not null and call_number is null),
        asked.since, asked.till) as c on c.trace_id = s.trace_id
    ), listed as (
      select array_agg(trace_id order by trace_id) as traces, array_agg(started_at order by trace_id) as starts,
        array_agg(coalesce(call_number, nth) order by trace_id) as calls,
        array_agg(case heatmap.x when 'tool' then tool when 'provider' then provider when 'model' then model end order by trace_id)
          as names
      from numbered
    ), found as materialized (
      select h.* from listed as l
      cross join lateral telltale.heat_columns(heatmap.x, asked.since, asked.till, l.traces, l.starts, l.calls, l.names) as h
    ), trace as materialized (
      select f.x, s.layers, s.duration_ms, s.failed, width_bucket(s.duration_ms, telltale.latency_edges()) as y
      from found as f join sample as s on s.trace_id = f.trace_id
    ), cell as materialized (
      select t.x, t.y, null::text as layer, count(*) as n, count(*) filter (where t.failed) as errors,
        null::double precision as self_ms, null::double precision as p50_ms, null::double precision as p95_ms
      from trace as t where heatmap.y = 'latency' group by t.x, t.y
      union all
      select c.x, (row_number() over (order by c.layer collate "C"))::int, c.layer, c.seen, null, c.self_ms, c.p50_ms, c.p95_ms
      from telltale.layer_cells((select array_agg(x) from trace where heatmap.y = 'layer'),
        (select array_agg(layers) from trace where heatmap.y = 'layer'), null) as c
    ), line as (
      -- The rows that have anything, and of latencies those between.
      select y, null::text as layer from generate_series((select min(y) from cell where layer is null),
        (select max(y) from cell where layer is null)) as y
      union all
      select (row_number() over (order by layer collate "C"))::int, layer from (select distinct layer from cell where layer is not null) as l
    ), row_place as (
      select *, row_number() over (order by y) - 1 as place from line
    ), stand as (
      select x, key, filter, row_number() over (order by x) - 1 as place from found group by x, key, filter
    ), summed as (
      select x, count(*) as n, sum(duration_ms) as ms from trace group by x
    )
    select jsonb_build_object('x', heatmap.x, 'y', heatmap.y, 'from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
      'matched', coalesce((select max(matched) from sample), 0), 'read', (select count(*) from sample),
      'columns', coalesce((select jsonb_agg(jsonb_build_object('key', s.key, 'n', coalesce(c.n, 0),
        'total_ms', telltale.ms_of(coalesce(c.ms, 0)), 'filter', s.filter) order by s.place)
        from stand as s left join summed as c on c.x = s.x), '[]'),
      'rows', coalesce((select jsonb_agg(case when r.layer is not null
        then jsonb_build_object('key', r.layer, 'min_ms', null, 'max_ms', null, 'filter',
          jsonb_build_object('layer', r.layer))
        else jsonb_build_object('key', null, 'min_ms', (telltale.latency_edges())[r.y], 'max_ms', (telltale.latency_edges())[r.y + 1],
          'filter', jsonb_strip_nulls(jsonb_build_object('min_duration_ms', (telltale.latency_edges())[r.y],
            'max_duration_ms', (telltale.latency_edges())[r.y + 1]))) end order by r.place) from row_place as r), '[]'),
      'cells', coalesce((select jsonb_agg(case when c.layer is null
        then jsonb_build_object('x', s.place, 'y', r.place, 'n', c.n, 'errors', c.errors)
        else jsonb_build_object('x', s.place, 'y', r.place, 'n', c.n, 'self_ms', telltale.ms_of(c.self_ms),
          'p50_ms', telltale.ms_of(c.p50_ms), 'p95_ms', telltale.ms_of(c.p95_ms)) end order by s.place, r.place)
        from cell as c join stand as s on s.x = c.x
        join row_place as r on case when c.layer is null then r.y = c.y else r.layer = c.layer end), '[]'))
  );
end
$$;
comment on function telltale.heatmap(jsonb, text, text) is
  'Calls in columns by x (time, call_number, tool, provider, model) and rows by y: {x, y, from_us, to_us, matched: traces that
count, read: those looked at, columns: [{key: name, null for time, n, total_ms, filter}], rows: [{key: layer, min_ms, max_ms, filter}],
cells: [{x, y: which column and row, from 0, ...}], those that have any}. By latency a cell has n and errors, and n add up to read;
min_ms is in the row, max_ms in the next, null where there is no bound. By layer it has n: calls that spent time there, self_ms:
their sum, p50_ms and p95_ms over all calls of the column. filter is what to set to see the calls of a column or row, null where
no filter does (other, unknown, 6+); a region is those of its columns and rows together. Of names the 24 most called
have a column. At most 10,000 traces are read. Filter: as traces; from is 15 minutes ago and to is now unless given. Definer, see
the file''s head; the first line refuses non-members with 42501.';
revoke all on function telltale.heatmap(jsonb, text, text) from public, anon;
grant execute on function telltale.heatmap(jsonb, text, text) to authenticated, service_role;
