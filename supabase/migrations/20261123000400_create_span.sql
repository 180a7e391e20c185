-- What spans add up to, and which of two versions of a span stays. The twin of src/core/trace.ts and breakdown.ts; a
-- property test holds the two equal, so a change here is a change there.
-- Each law is written once, for the spans of any number of traces (an array of {span id: span}; `place` counts them from
-- 1), since to start a query costs far more than a row in it. What answers for one trace asks these.

create function telltale.merged_spans(stored jsonb[], sent jsonb[], spans_max integer default 10000)
returns table (place bigint, spans jsonb, dropped integer)
language plpgsql immutable parallel safe rows 100
set search_path = ''
as $$
#variable_conflict use_column
begin
  -- Greater wins whole: (rank: pending 0, concluded by the tick 1, ended 2; end; text by bytes).
  return query
  with change as (
    select place, jsonb_object_agg(id, theirs) as spans, count(*) filter (where ours is null) as fresh
    from (
      select place, id, theirs, ours,
        case when theirs ->> 'end_us' is null then 0 when theirs -> 'concluded' = 'true' then 1 else 2 end as their_rank,
        case when ours ->> 'end_us' is null then 0 when ours -> 'concluded' = 'true' then 1 else 2 end as our_rank
      from (
        select t.place, b.key as id, b.value as theirs, t.a -> b.key as ours
        from unnest(stored, sent) with ordinality as t(a, b, place) cross join lateral jsonb_each(t.b) as b
        offset 0
      ) as pair
    ) as version
    where ours is null
      or their_rank > our_rank
      or (their_rank = our_rank and (
        coalesce((theirs -> 'end_us')::numeric, 0) > coalesce((ours -> 'end_us')::numeric, 0)
        or (coalesce((theirs -> 'end_us')::numeric, 0) = coalesce((ours -> 'end_us')::numeric, 0)
          and theirs::text collate "C" > ours::text collate "C")))
    group by place
  ), counted as (
    select t.place, t.a, change.spans as b, change.fresh,
      spans_max - case when change.fresh > 0 then (select count(*) from jsonb_object_keys(t.a)) end as room
    from unnest(stored) with ordinality as t(a, place) left join change on change.place = t.place
  )
  select c.place,
    case when c.b is null then c.a
      when c.fresh > c.room then c.a || coalesce((
        select jsonb_object_agg(key, value)
        from (select key, value, row_number() over (partition by c.a ? key order by key collate "C") as nth
          from jsonb_each(c.b)) as s
        where c.a ? key or nth <= c.room), '{}')
      else c.a || c.b end,
    greatest(0, c.fresh - greatest(0, c.room))::int
  from counted as c;
end
$$;
comment on function telltale.merged_spans(jsonb[], jsonb[], integer) is
  'Objects of spans keyed by span id, stored and sent ones of the same traces, as one: of each span the stronger version.
Past spans_max spans of a trace further new ids are left out; `dropped` counts them.';
revoke all on function telltale.merged_spans(jsonb[], jsonb[], integer) from public, anon;
grant execute on function telltale.merged_spans(jsonb[], jsonb[], integer) to service_role;

create function telltale.merge_spans(a jsonb, b jsonb, spans_max integer default 10000) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$ select m.spans from telltale.merged_spans(array[a], array[b], spans_max) as m $$;
comment on function telltale.merge_spans(jsonb, jsonb, integer) is 'Two objects of spans of one trace as one; see merged_spans.';
revoke all on function telltale.merge_spans(jsonb, jsonb, integer) from public, anon;
grant execute on function telltale.merge_spans(jsonb, jsonb, integer) to service_role;

create function telltale.self_times_of(traces jsonb[])
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
      (value -> 'start_us')::bigint as start, (value -> 'end_us')::bigint as stop
    from unnest(traces) with ordinality as t(spans, place) cross join lateral jsonb_each(t.spans)
    where value ->> 'end_us' is not null
  ), whole as (
    -- An end before its start is no time.
    select place, id, parent_id, held, layer, process, wait, start, greatest(start, stop) as stop from span
  ), covered as (
    -- A child clipped to its parent. The clocks of two processes differ: a child of another process that fits into its
    -- parent and does not lie in it is first moved by the least time that puts it there.
    select p.place, p.id,
      greatest(p.start, case when moved and c.start < p.start then p.start
        when moved and c.stop > p.stop then p.stop - (c.stop - c.start) else c.start end) as start,
      least(p.stop, case when moved and c.start < p.start then p.start + (c.stop - c.start)
        when moved and c.stop > p.stop then p.stop else c.stop end) as stop
    from whole as c
    join whole as p on p.id = c.parent_id and p.place = c.place
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
    w.stop - w.start - coalesce(shadow.us, 0)
  from whole as w
  left join shadow on shadow.id = w.id and shadow.place = w.place;
end
$$;
comment on function telltale.self_times_of(jsonb[]) is
  'Of every span of these traces that has an end: its interval (µs since the epoch, stopped_us at least started_us), whether
it hangs on no other, and its self time in µs: its duration minus the union of its ended direct children, each clipped to
it.';
revoke all on function telltale.self_times_of(jsonb[]) from public, anon, authenticated;
grant execute on function telltale.self_times_of(jsonb[]) to service_role;

create function telltale.self_times(spans jsonb) returns table (span_id text, self_us bigint)
language sql immutable parallel safe
set search_path = ''
as $$ select s.span_id, s.self_us from telltale.self_times_of(array[spans]) as s $$;
comment on function telltale.self_times(jsonb) is 'The self time in µs of every span of one trace that has an end.';
revoke all on function telltale.self_times(jsonb) from public, anon, authenticated;
grant execute on function telltale.self_times(jsonb) to service_role;

create function telltale.breakdowns_of(traces jsonb[]) returns table (place bigint, layers jsonb, wait_ms numeric)
language plpgsql immutable parallel safe rows 100
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  with span as materialized (
    select * from telltale.self_times_of(traces)
  ), root as (
    select place, started_us, stopped_us,
      coalesce(max(stopped_us) over (partition by place order by started_us, stopped_us
        rows between unbounded preceding and 1 preceding), started_us) as reached
    from span
    where root
  ), amount as (
    select place, wait, layer, self_us as us from span where self_us > 0
    union all
    select place, false, 'unexplained',
      max(stopped_us) - min(started_us) - sum(greatest(0, stopped_us - greatest(started_us, reached)))
    from root
    group by place
  ), total as (
    select place, layer, sum(us) as us, sum(us) filter (where wait) as waited
    from amount group by place, layer having sum(us) > 0
  ), summed as (
    select place, jsonb_object_agg(layer, trim_scale(us / 1000.0)) as layers, sum(waited) as waited from total group by place
  )
  select t.place, coalesce(layers, '{}'), trim_scale(coalesce(waited, 0) / 1000.0)
  from generate_series(1, cardinality(traces)::bigint) as t(place) left join summed on summed.place = t.place;
end
$$;
comment on function telltale.breakdowns_of(jsonb[]) is
  'Where the time of traces went: layers {layer: ms of self time, unexplained: ms that no root covers}, and ms of waiting.';
revoke all on function telltale.breakdowns_of(jsonb[]) from public, anon, authenticated;
grant execute on function telltale.breakdowns_of(jsonb[]) to service_role;

create function telltale.summaries_of(traces jsonb[])
returns table (place bigint, started_at_us bigint, ended_at_us bigint, duration_ms numeric, wait_ms numeric, name text,
  outcome text, request_id text, session_key text, session_rule text, call_number bigint, tool text, provider text,
  model text, bytes_in bigint, bytes_out bigint, tokens_in bigint, tokens_out bigint, span_count integer, layers jsonb,
  process text)
language plpgsql immutable parallel safe rows 100
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  with span as (
    -- Offset 0, here and above: so that what is sorted is a span a row, not all spans of its trace.
    select place, value, start, row_number() over (partition by place order by start, key collate "C") as nth, root
    from (
      select t.place, key, value, (value -> 'start_us')::bigint as start,
        nullif(value ->> 'parent_span_id', key) is null or not t.spans ? (value ->> 'parent_span_id') as root
      from unnest(traces) with ordinality as t(spans, place) cross join lateral jsonb_each(t.spans)
      offset 0
    ) as unfolded
  ), found as (
    -- Of the head, and of each fact, the number of the first span that has it.
    select place, array_agg(value) as spans, count(*) as span_count, min(start) as started_at_us,
      max((value -> 'end_us')::bigint) as ended_at_us,
      coalesce(min(nth) filter (where value -> 'entry' = 'true'), min(nth) filter (where root), 1) as head_nth,
      min(nth) filter (where value ? 'request_id') as request_id,
      min(nth) filter (where value ? 'session_key') as session_key,
      min(nth) filter (where value ? 'call_number') as call_number,
      min(nth) filter (where value ? 'tool') as tool,
      min(nth) filter (where value ? 'provider') as provider,
      min(nth) filter (where value ? 'model') as model,
      min(nth) filter (where value ? 'bytes_in') as bytes_in,
      min(nth) filter (where value ? 'bytes_out') as bytes_out,
      sum((value -> 'tokens_in')::bigint) filter (where value ->> 'layer' = 'api') as tokens_in,
      sum((value -> 'tokens_out')::bigint) filter (where value ->> 'layer' = 'api') as tokens_out
    from span
    group by place
  )
  select f.place, f.started_at_us, f.ended_at_us,
    trim_scale(((head -> 'end_us')::numeric - (head -> 'start_us')::numeric) / 1000.0), b.wait_ms,
    head ->> 'name', case when head ? 'end_us' then head ->> 'outcome' end,
    case when head ? 'request_id' then head else f.spans[f.request_id] end ->> 'request_id',
    session ->> 'session_key', session ->> 'session_rule',
    (case when head ? 'call_number' then head else f.spans[f.call_number] end -> 'call_number')::bigint,
    case when head ? 'tool' then head else f.spans[f.tool] end ->> 'tool',
    case when head ? 'provider' then head else f.spans[f.provider] end ->> 'provider',
    case when head ? 'model' then head else f.spans[f.model] end ->> 'model',
    (case when head ? 'bytes_in' then head else f.spans[f.bytes_in] end -> 'bytes_in')::bigint,
    (case when head ? 'bytes_out' then head else f.spans[f.bytes_out] end -> 'bytes_out')::bigint,
    coalesce((head -> 'tokens_in')::bigint, f.tokens_in::bigint),
    coalesce((head -> 'tokens_out')::bigint, f.tokens_out::bigint),
    f.span_count::int, b.layers, head ->> 'process'
  from (select *, spans[head_nth] as first from found offset 0) as f
  join telltale.breakdowns_of(traces) as b on b.place = f.place
  cross join lateral (select f.first, case when f.first ? 'session_key' then f.first else f.spans[f.session_key] end)
    as chosen(head, session);
end
$$;
comment on function telltale.summaries_of(jsonb[]) is
  'What the spans of traces add up to, as TraceSummary in src/core/trace.ts has it. *_us are µs since the epoch, *_ms ms.
Used where rows merge; the edge computes the same for a trace that it sees whole.';
revoke all on function telltale.summaries_of(jsonb[]) from public, anon;
grant execute on function telltale.summaries_of(jsonb[]) to service_role;

create function telltale.summary_of(spans jsonb) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$ select to_jsonb(s) - 'place' from telltale.summaries_of(array[spans]) as s $$;
comment on function telltale.summary_of(jsonb) is 'What the spans of one trace add up to, as one object; see summaries_of.';
revoke all on function telltale.summary_of(jsonb) from public, anon;
grant execute on function telltale.summary_of(jsonb) to service_role;
