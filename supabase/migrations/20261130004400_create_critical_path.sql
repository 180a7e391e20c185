-- The critical path of a trace. The twin of src/core/critical_path.ts; a property test holds the two equal, so a change here is
-- a change there.

create function telltale.critical_path_of(spans jsonb)
returns table (part integer, span_id text, start_us bigint, end_us bigint, moved_us bigint)
language plpgsql immutable parallel safe
set search_path = ''
as $$
#variable_conflict use_column
declare
  -- Of each span, by its number: children stand together, those that end last first.
  v_ids text[];
  v_starts bigint[];
  v_stops bigint[];
  v_moves bigint[];
  v_ranks bigint[];
  v_firsts bigint[];
  v_lasts bigint[];
  v_roots bigint;
  -- The stretches that are being walked, each within the one before: which span, from where, how far back it got, from which
  -- child on the rest is to be looked at, and which of those looked at began first.
  d integer := 1;
  d_span bigint[];
  d_start bigint[];
  d_stop bigint[];
  d_reached bigint[];
  d_moved bigint[];
  d_next bigint[];
  d_last bigint[];
  d_best bigint[] := array[0];
  d_best_start bigint[] := array[null::bigint];
  v_child bigint;
  v_start bigint;
  v_stop bigint;
  v_end bigint;
  -- The parts, the last first.
  p_span bigint[] := '{}';
  p_start bigint[] := '{}';
  p_stop bigint[] := '{}';
  p_moved bigint[] := '{}';
begin
  with span as materialized (
    select key as id, nullif(value ->> 'parent_span_id', key) as parent_id, value ->> 'process' as process,
      coalesce(value -> 'attributes' -> 'telltale.derived' = 'true', false) as derived,
      (value -> 'start_us')::bigint as start, greatest((value -> 'start_us')::bigint, (value -> 'end_us')::bigint) as stop
    from jsonb_each(spans) where value ->> 'end_us' is not null
  ), seen as (
    select s.*, p.start as outer_start, p.stop as outer_stop,
      s.process is distinct from p.process and s.stop - s.start <= p.stop - p.start as foreign_fit
    from span as s left join span as p on p.id = s.parent_id
    where (s.parent_id is null or not spans ? s.parent_id or p.id is not null)
      and not (s.derived and s.parent_id is not null and spans ? s.parent_id and exists (
        select from span as o where o.parent_id = s.parent_id and o.process <> s.process and not o.derived))
  ), moved as (
    select id, case when spans ? parent_id then parent_id end as parent_id, start, stop,
      case when parent_id is null or not spans ? parent_id or not foreign_fit then 0
        when start < outer_start then outer_start - start
        when stop > outer_stop then outer_stop - stop else 0 end as move
    from seen
  ), numbered as materialized (
    select *, row_number() over (order by parent_id is not null, parent_id collate "C", stop + move desc, id collate "C") as nth,
      row_number() over (order by id collate "C") as rank
    from moved
  ), kin as (
    select parent_id, min(nth) as first, max(nth) as last from numbered where parent_id is not null group by parent_id
  )
  select array_agg(n.id order by n.nth), array_agg(n.start order by n.nth), array_agg(n.stop order by n.nth),
    array_agg(n.move order by n.nth), array_agg(n.rank order by n.nth), array_agg(coalesce(k.first, 1) order by n.nth),
    array_agg(coalesce(k.last, 0) order by n.nth), count(*) filter (where n.parent_id is null)
  into v_ids, v_starts, v_stops, v_moves, v_ranks, v_firsts, v_lasts, v_roots
  from numbered as n left join kin as k on k.parent_id = n.id;
  if coalesce(v_roots, 0) = 0 then
    return;
  end if;
  select array[min(s)], array[max(e)] into d_start, d_stop from unnest(v_starts[1:v_roots], v_stops[1:v_roots]) as r(s, e);
  d_span := array[0];
  d_reached := d_stop;
  d_moved := array[0];
  d_next := array[1];
  d_last := array[v_roots];
  while d > 0 loop
    if d_reached[d] <= d_start[d] then
      d := d - 1;
      continue;
    end if;
    -- Of the children that ended at this moment or later, the one that began first.
    v_end := d_start[d];
    while d_next[d] <= d_last[d] loop
      v_child := d_next[d];
      v_start := greatest(v_starts[v_child] + v_moves[v_child] + d_moved[d], d_start[d]);
      v_stop := least(v_stops[v_child] + v_moves[v_child] + d_moved[d], d_stop[d]);
      if v_start < v_stop then
        if v_stop < d_reached[d] then
          v_end := v_stop;
          exit;
        end if;
        if d_best[d] = 0 or v_start < d_best_start[d]
          or (v_start = d_best_start[d] and v_ranks[v_child] < v_ranks[d_best[d]]) then
          d_best[d] := v_child;
          d_best_start[d] := v_start;
        end if;
      end if;
      d_next[d] := v_child + 1;
    end loop;
    if d_best[d] = 0 or d_best_start[d] >= d_reached[d] then
      -- None ran: the span itself, down to where the next child ended.
      p_span := p_span || d_span[d];
      p_start := p_start || v_end;
      p_stop := p_stop || d_reached[d];
      p_moved := p_moved || d_moved[d];
      d_reached[d] := v_end;
    else
      v_child := d_best[d];
      v_stop := d_reached[d];
      d_reached[d] := d_best_start[d];
      d := d + 1;
      d_span[d] := v_child;
      d_start[d] := d_best_start[d - 1];
      d_stop[d] := v_stop;
      d_reached[d] := v_stop;
      d_moved[d] := d_moved[d - 1] + v_moves[v_child];
      d_next[d] := v_firsts[v_child];
      d_last[d] := v_lasts[v_child];
      d_best[d] := 0;
      d_best_start[d] := null;
    end if;
  end loop;
  return query
    select (cardinality(p_span) - p.nth + 1)::int, n.id, p.start, p.stop, p.moved
    from unnest(p_span, p_start, p_stop, p_moved) with ordinality as p(span, start, stop, moved, nth)
    left join unnest(v_ids) with ordinality as n(id, nth) on n.nth = p.span
    order by p.nth desc;
end
$$;
comment on function telltale.critical_path_of(jsonb) is
  'The critical path of the spans of a trace, in order and without gaps from the first start to the last end of its ended roots:
from the end back through whatever child ran last, cut to that moment, and where none ran through the span itself; span_id null
where no root ran. Times in µs by the clocks of the roots; moved_us is what was added to the times of the span''s own process.
What still runs, is shadowed or hangs on no root is on no path.';
revoke all on function telltale.critical_path_of(jsonb) from public, anon, authenticated;
grant execute on function telltale.critical_path_of(jsonb) to service_role;

create function telltale.critical_path(trace_id text) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
  root_id text;
  all_spans jsonb;
begin
  perform telltale.require_reader();
  root_id := telltale.root_trace_of(lower(critical_path.trace_id));
  all_spans := telltale.joined_spans(root_id);
  if all_spans is null then
    return null;
  end if;
  return (
    with part as materialized (
      select * from telltale.critical_path_of(all_spans)
    ), whole as (
      select nullif(sum(end_us - start_us), 0) as us from part
    ), own as (
      select span_id, sum(end_us - start_us) as us from part group by span_id
    ), self as (
      select s.span_id, s.layer, s.wait, s.self_us, coalesce(o.us, 0) as us
      from telltale.self_times_of(array[all_spans]) as s left join own as o on o.span_id = s.span_id
    )
    select jsonb_build_object('trace_id', root_id, 'start_us', (select min(start_us) from part),
      'end_us', (select max(end_us) from part), 'total_ms', trim_scale(coalesce((select us from whole), 0) / 1000.0),
      'unexplained_ms', trim_scale(coalesce((select us from own where span_id is null), 0) / 1000.0),
      'parts', coalesce((select jsonb_agg(jsonb_build_object('span_id', p.span_id, 'start_us', p.start_us, 'end_us', p.end_us,
        'moved_us', p.moved_us) order by p.part) from part as p), '[]'),
      'spans', coalesce((select jsonb_agg(jsonb_build_object('span_id', s.span_id, 'layer', s.layer,
        'kind', case when s.wait then 'wait' else 'work' end, 'name', all_spans -> s.span_id -> 'name',
        'self_ms', trim_scale(s.self_us / 1000.0), 'path_ms', trim_scale(s.us / 1000.0),
        'share', round(coalesce(s.us / (select us from whole), 0), 6)) order by s.us desc, s.self_us desc, s.span_id collate "C")
        from self as s), '[]'))
  );
end
$$;
comment on function telltale.critical_path(text) is
  'The critical path of a trace, null when there is none: {trace_id: of the outermost that it is joined into, start_us, end_us,
total_ms, unexplained_ms of it, parts: [{span_id, start_us, end_us, moved_us}] in order (see critical_path_of), spans: [{span_id,
layer, kind, name, self_ms, path_ms: how much of its self time is on the path, share of the path}] of every ended span, what is
most on the path first}. Definer, see the head of create_trace_reader; the first line refuses non-members with 42501.';
revoke all on function telltale.critical_path(text) from public, anon;
grant execute on function telltale.critical_path(text) to authenticated, service_role;
