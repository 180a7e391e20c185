-- What spans add up to, and which of two versions of a span stays. The twin of src/core/trace.ts and breakdown.ts; a
-- property test holds the two equal, so a change here is a change there.

create function telltale.merge_spans(a jsonb, b jsonb, spans_max integer default 10000) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  stronger jsonb;
  fresh jsonb;
begin
  -- Greater wins whole: (rank: pending 0, concluded by the tick 1, ended 2; end; text by bytes).
  select
    jsonb_object_agg(id, theirs) filter (where ours is not null),
    jsonb_object_agg(id, theirs) filter (where ours is null)
  into stronger, fresh
  from (
    select id, theirs, ours,
      case when theirs ->> 'end_us' is null then 0 when theirs -> 'concluded' = 'true' then 1 else 2 end as their_rank,
      case when ours ->> 'end_us' is null then 0 when ours -> 'concluded' = 'true' then 1 else 2 end as our_rank
    from (select key as id, value as theirs, a -> key as ours from jsonb_each(b)) as pair
  ) as version
  where ours is null
    or their_rank > our_rank
    or (their_rank = our_rank and (
      coalesce((theirs -> 'end_us')::numeric, 0) > coalesce((ours -> 'end_us')::numeric, 0)
      or (coalesce((theirs -> 'end_us')::numeric, 0) = coalesce((ours -> 'end_us')::numeric, 0)
        and theirs::text collate "C" > ours::text collate "C")));
  a := a || coalesce(stronger, '{}');
  if fresh is null then
    return a;
  end if;
  if (select count(*) from jsonb_object_keys(a)) + (select count(*) from jsonb_object_keys(fresh)) > spans_max then
    select jsonb_object_agg(key, value) into fresh from (
      select key, value from jsonb_each(fresh) order by key collate "C"
      limit greatest(0, spans_max - (select count(*) from jsonb_object_keys(a)))
    ) as room;
  end if;
  return a || coalesce(fresh, '{}');
end
$$;
comment on function telltale.merge_spans(jsonb, jsonb, integer) is
  'Two objects of spans keyed by span id as one: of each span the stronger version. Past spans_max spans further new ids
are left out.';
revoke all on function telltale.merge_spans(jsonb, jsonb, integer) from public, anon;
grant execute on function telltale.merge_spans(jsonb, jsonb, integer) to service_role;

create function telltale.self_times(spans jsonb)
returns table (span_id text, layer text, wait boolean, root boolean, started_us bigint, stopped_us bigint, self_us bigint)
language plpgsql immutable parallel safe
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  with span as materialized (
    select key as id, nullif(value ->> 'parent_span_id', key) as parent_id, value ->> 'layer' as layer,
      value ->> 'process' as process, value ->> 'kind' = 'wait' as wait,
      (value -> 'start_us')::bigint as start, (value -> 'end_us')::bigint as stop
    from jsonb_each(spans)
    where value ->> 'end_us' is not null
  ), whole as (
    -- An end before its start is no time.
    select id, parent_id, layer, process, coalesce(wait, false) as wait, start, greatest(start, stop) as stop from span
  ), covered as (
    -- A child clipped to its parent. The clocks of two processes differ: a child of another process that fits into its
    -- parent and does not lie in it is first moved by the least time that puts it there.
    select p.id,
      greatest(p.start, case when moved and c.start < p.start then p.start
        when moved and c.stop > p.stop then p.stop - (c.stop - c.start) else c.start end) as start,
      least(p.stop, case when moved and c.start < p.start then p.start + (c.stop - c.start)
        when moved and c.stop > p.stop then p.stop else c.stop end) as stop
    from whole as c
    join whole as p on p.id = c.parent_id
    cross join lateral (select c.process <> p.process and c.stop - c.start <= p.stop - p.start) as skew(moved)
  ), shadow as (
    select id, sum(greatest(0, stop - greatest(start, reached)))::bigint as us
    from (
      select id, start, stop,
        coalesce(max(stop) over (partition by id order by start, stop rows between unbounded preceding and 1 preceding),
          start) as reached
      from covered
      where start < stop
    ) as child
    group by id
  )
  select w.id, w.layer, w.wait, w.parent_id is null or not spans ? w.parent_id, w.start, w.stop,
    w.stop - w.start - coalesce(shadow.us, 0)
  from whole as w
  left join shadow on shadow.id = w.id;
end
$$;
comment on function telltale.self_times(jsonb) is
  'Of every span that has an end: its interval (µs since the epoch, stopped_us at least started_us), whether it hangs on no
other, and its self time in µs: its duration minus the union of its ended direct children, each clipped to it.';
revoke all on function telltale.self_times(jsonb) from public, anon;
grant execute on function telltale.self_times(jsonb) to authenticated, service_role;

create function telltale.breakdown_of(spans jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  breakdown jsonb;
begin
  with span as materialized (
    select * from telltale.self_times(spans)
  ), root as (
    select started_us, stopped_us,
      coalesce(max(stopped_us) over (order by started_us, stopped_us rows between unbounded preceding and 1 preceding),
        started_us) as reached
    from span
    where root
  ), amount as (
    select layer, sum(self_us) as us from span where self_us > 0 group by layer
    union all
    select 'unexplained', max(stopped_us) - min(started_us) - sum(greatest(0, stopped_us - greatest(started_us, reached)))
    from root
  ), total as (
    select layer, sum(us) as us from amount group by layer having sum(us) > 0
  )
  select jsonb_build_object(
    'layers', coalesce((select jsonb_object_agg(layer, trim_scale(us / 1000.0)) from total), '{}'),
    'wait_ms', trim_scale(coalesce((select sum(self_us) from span where wait), 0) / 1000.0)
  ) into breakdown;
  return breakdown;
end
$$;
comment on function telltale.breakdown_of(jsonb) is
  'Where a trace''s time went: {layers: {layer: ms of self time, unexplained: ms that no root covers}, wait_ms}.';
revoke all on function telltale.breakdown_of(jsonb) from public, anon;
grant execute on function telltale.breakdown_of(jsonb) to authenticated, service_role;

create aggregate telltale.overlay(jsonb) (sfunc = pg_catalog.jsonb_concat, stype = jsonb, initcond = '{}');
comment on aggregate telltale.overlay(jsonb) is 'Objects laid over each other: of each key the last value.';
revoke all on function telltale.overlay(jsonb) from public, anon;
grant execute on function telltale.overlay(jsonb) to authenticated, service_role;

create function telltale.summary_of(spans jsonb) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
declare
  s record;
  head jsonb;
  facts jsonb;
begin
  -- From the last span to the first, so that of each fact the first in order that any span has lies on top.
  select max(place) filter (where value -> 'entry' = 'true') as entry,
    max(place) filter (where parent_id is null or parent_id = key or not spans ? parent_id) as root,
    count(*) as span_count,
    min(start) as started_at_us,
    max((value -> 'end_us')::bigint) as ended_at_us,
    sum((value -> 'tokens_in')::numeric) filter (where value ->> 'layer' = 'api') as tokens_in,
    sum((value -> 'tokens_out')::numeric) filter (where value ->> 'layer' = 'api') as tokens_out,
    array_agg(value) as inward,
    telltale.overlay(value) as facts
  into s
  from (
    select key, value, start, value ->> 'parent_span_id' as parent_id,
      row_number() over (order by start desc, key collate "C" desc) as place
    from (select key, value, (value -> 'start_us')::bigint as start from jsonb_each(spans)) as span
  ) as span;
  head := s.inward[coalesce(s.entry, s.root, s.span_count)];
  facts := s.facts || head;
  return jsonb_build_object(
    'started_at_us', s.started_at_us,
    'ended_at_us', s.ended_at_us,
    'duration_ms', trim_scale(((head -> 'end_us')::numeric - (head -> 'start_us')::numeric) / 1000.0),
    'name', head -> 'name',
    'outcome', case when head ? 'end_us' then head -> 'outcome' end,
    'request_id', facts -> 'request_id',
    'session_key', facts -> 'session_key',
    'session_rule', facts -> 'session_rule',
    'call_number', facts -> 'call_number',
    'tool', facts -> 'tool',
    'provider', facts -> 'provider',
    'model', facts -> 'model',
    'bytes_in', facts -> 'bytes_in',
    'bytes_out', facts -> 'bytes_out',
    'tokens_in', coalesce((head -> 'tokens_in')::numeric, s.tokens_in),
    'tokens_out', coalesce((head -> 'tokens_out')::numeric, s.tokens_out),
    'span_count', s.span_count,
    'process', head -> 'process'
  ) || telltale.breakdown_of(spans);
end
$$;
comment on function telltale.summary_of(jsonb) is
  'What the spans of one trace add up to, as TraceSummary in src/core/trace.ts has it. *_us are µs since the epoch, *_ms ms.
Used where rows merge; the edge computes the same for a trace that it sees whole.';
revoke all on function telltale.summary_of(jsonb) from public, anon;
grant execute on function telltale.summary_of(jsonb) to service_role;
