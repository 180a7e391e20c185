-- Self time once more: what a tap derives from the answer of a daemon (how long it waited and worked) is the same time that a
-- reporter inside the daemon records. The twin of selfTimesOf in src/core/breakdown.ts.

create or replace function telltale.self_times_of(traces jsonb[])
returns table (place bigint, span_id text, layer text, wait boolean, root boolean, started_us bigint, stopped_us bigint,
  self_us bigint)
language plpgsql immutable parallel safe
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  with span as materialized (
    select t.place, key as id, nullif(value ->> 'parent_span_id', key) as parent_id,
      t.spans ? (value ->> 'parent_span_id') as held, value ->> 'layer' as layer,
      value ->> 'process' as process, coalesce(value ->> 'kind' = 'wait', false) as wait,
      coalesce(value -> 'attributes' -> 'telltale.derived' = 'true', false) as derived,
      (value -> 'start_us')::bigint as start, (value -> 'end_us')::bigint as stop
    from unnest(traces) with ordinality as t(spans, place) cross join lateral jsonb_each(t.spans)
    where value ->> 'end_us' is not null
  ), whole as (
    -- An end before its start is no time.
    select place, id, parent_id, held, layer, process, wait, start, greatest(start, stop) as stop,
      -- What a recorder derived does not count where the process that it is of has recorded the call by itself.
      derived and held and exists (select from span as seen where seen.place = span.place
        and seen.parent_id = span.parent_id and seen.process <> span.process and not seen.derived) as shadowed
    from span
  ), covered as (
    -- A child clipped to its parent. The clocks of two processes differ: a child of another process that fits into its
    -- parent and does not lie in it is first moved by the least time that puts it there.
    select p.place, p.id,
      greatest(p.start, case when moved and c.start < p.start then p.start
        when moved and c.stop > p.stop then p.stop - (c.stop - c.start) else c.start end) as start,
      least(p.stop, case when moved and c.start < p.start then p.start + (c.stop - c.start)
        when moved and c.stop > p.stop then p.stop else c.stop end) as stop
    from whole as c
    join whole as p on p.id = c.parent_id and p.place = c.place and not c.shadowed
    cross join lateral (select c.process <> p.process and c.stop - c.start <= p.stop - p.start) as skew(moved)
  ), shadow as (
    select place, id, sum(greatest(0, stop - greatest(start, reached)))::bigint as us
    from (
      select place, id, start, stop,
        coalesce(max(stop) over (partition by place, id order by start, stop
          rows between unbounded preceding and 1 preceding), start) as reached
      from covered
      where start < stop
    ) as child
    group by place, id
  )
  select w.place, w.id, w.layer, w.wait, w.parent_id is null or not w.held, w.start, w.stop,
    case when w.shadowed then 0 else w.stop - w.start - coalesce(shadow.us, 0) end
  from whole as w
  left join shadow on shadow.id = w.id and shadow.place = w.place;
end
$$;
comment on function telltale.self_times_of(jsonb[]) is
  'Of every span of these traces that has an end: its interval (µs since the epoch, stopped_us at least started_us), whether
it hangs on no other, and its self time in µs: its duration minus the union of its ended direct children, each clipped to
it.';
