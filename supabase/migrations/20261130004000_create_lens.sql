-- What the readers of the lens share: which traces they look at, where each waited, which call of its session each is, and a
-- rank test. A lens looks at single traces and spans, so it looks at no more than so many; beyond that at a sample, the same
-- for the same traces: those whose ids have the least hash. Every answer says how many matched and how many were read.

create function telltale.lens_keys() returns text[]
language sql immutable parallel safe
return array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome', 'min_duration_ms', 'max_duration_ms',
  'session', 'call_number', 'request_id', 'environment', 'service', 'text'];
comment on function telltale.lens_keys() is 'The keys of the filter of a lens: those of traces().';
revoke all on function telltale.lens_keys() from public, anon;
grant execute on function telltale.lens_keys() to authenticated, service_role;

create function telltale.lens_range(filter jsonb, out since timestamptz, out till timestamptz)
language plpgsql stable
set search_path = ''
as $$
begin
  -- Refuses what no reader of metrics takes.
  perform telltale.range_of(filter);
  till := coalesce(telltale.instant_of(filter, 'to'), telltale.clock());
  since := coalesce(telltale.instant_of(filter, 'from'), till - interval '15 minutes');
end
$$;
comment on function telltale.lens_range(jsonb) is
  'The stretch of time that a filter means, to exclusive, as it says it: a region of a heatmap is no whole minutes.';
revoke all on function telltale.lens_range(jsonb) from public, anon;
grant execute on function telltale.lens_range(jsonb) to authenticated, service_role;

create function telltale.lens_traces(filter jsonb, since timestamptz, till timestamptz, traces_max integer,
  spans_max integer default null)
returns table (matched bigint, emptied bigint, trace_id text, day date, started_at timestamptz, duration_ms double precision,
  wait_ms double precision, failed boolean, tool text, provider text, model text, session_key text, session_rule text,
  call_number bigint, layers jsonb, spans jsonb)
language plpgsql stable security definer rows 5000
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
begin
  return query execute format(
    'with hit as materialized (
      select t.trace_id, t.day, t.span_count, t.sampled is not null as emptied, hashtextextended(t.trace_id, 0) as lot
      from telltale.traces as t where %s
    ), lots as (
      select *, count(*) over () as matched, count(*) filter (where emptied) over () as all_emptied from hit
      order by $2 is not null and emptied, lot, trace_id limit $1
    ), chosen as materialized (
      select *, sum(span_count) over (order by emptied, lot, trace_id) - span_count as before from lots
    )
    select c.matched, c.all_emptied, t.trace_id, t.day, t.started_at, t.duration_ms, t.wait_ms,
      coalesce(t.outcome = any (array[''tool_error'', ''server_fault'', ''timeout'', ''interrupted'']), false),
      t.tool, t.provider, t.model, t.session_key, t.session_rule, t.call_number, t.layers,
      case when $2 is not null then t.spans end
    from chosen as c join telltale.traces as t on t.trace_id = c.trace_id and t.day = c.day
    where ($2 is null or c.before < $2) and t.day between $3 and $4',
    telltale.counted_where(filter, since, till))
  using traces_max, spans_max, (since at time zone 'UTC')::date - 1, (till at time zone 'UTC')::date + 1;
end
$$;
comment on function telltale.lens_traces(jsonb, timestamptz, timestamptz, integer, integer) is
  'The traces of a filter and a stretch of time that count, at most traces_max, how many match, and how many of these kept no
spans. Spans, as stored, come with spans_max alone, and then no more traces than have about so many, those without spans last. Definer: part of the readers.';
revoke all on function telltale.lens_traces(jsonb, timestamptz, timestamptz, integer, integer)
  from public, anon, authenticated, service_role;

create function telltale.lens_spans(traces text[], days date[], spans_max integer)
returns table (trace_id text, spans jsonb)
language plpgsql stable security definer rows 1000
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
  joined text[];
begin
  select coalesce(array_agg(distinct j.outer_trace_id), '{}') into joined
  from telltale.trace_joins as j where j.outer_trace_id = any (traces);
  return query
  with asked as (
    select a.id, a.day from unnest(traces, days) as a(id, day)
  ), alone as (
    select t.trace_id, t.spans, t.span_count from telltale.traces as t
    join asked as a on a.id = t.trace_id and a.day = t.day
    where t.day between (select min(day) from asked) and (select max(day) from asked)
  ), within as (
    select s.trace_id, s.spans, sum(s.span_count) over (order by hashtextextended(s.trace_id, 0), s.trace_id) - s.span_count
      as before
    from alone as s
  )
  select w.trace_id, coalesce(j.spans, w.spans)
  from within as w left join telltale.joined_spans_of(joined) as j on j.root = w.trace_id
  where w.before < spans_max;
end
$$;
comment on function telltale.lens_spans(text[], date[], integer) is
  'The spans of these traces with what is joined into them, of no more traces than have about spans_max. Definer: part of the
readers.';
revoke all on function telltale.lens_spans(text[], date[], integer) from public, anon, authenticated, service_role;

create function telltale.lens_waits(traces text[], days date[], spans_max integer)
returns table (trace_id text, span_id text, layer text, name text, holder text, self_us bigint)
language plpgsql stable security definer rows 5000
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
#variable_conflict use_column
begin
  return query
  with trace as materialized (
    select * from telltale.lens_spans(traces, days, spans_max)
  ), wait as materialized (
    select t.trace_id, s.key as span_id, s.value, s.value -> 'attributes' ? 'telltale.derived' as derived
    from trace as t cross join lateral jsonb_each(t.spans) as s
    where s.value ->> 'kind' = 'wait' and s.value ? 'end_us'
  ), parent as (
    select t.trace_id, s.value ->> 'parent_span_id' as span_id
    from trace as t cross join lateral jsonb_each(t.spans) as s
    where s.value ? 'end_us'
  ), hard as materialized (
    -- Nearly no wait has children: all but these are as long as they last.
    select distinct w.trace_id from wait as w
    where w.derived or exists (select from parent as p where p.trace_id = w.trace_id and p.span_id = w.span_id)
  ), place as materialized (
    select t.trace_id, t.spans, row_number() over (order by t.trace_id) as place
    from trace as t join hard as h on h.trace_id = t.trace_id
  ), known as (
    select p.trace_id, s.span_id, s.self_us
    from telltale.self_times_of((select array_agg(spans order by place) from place)) as s
    join place as p on p.place = s.place
    where s.wait
  )
  select w.trace_id, w.span_id, w.value ->> 'layer', w.value ->> 'name', w.value ->> 'holder',
    coalesce(k.self_us, greatest(0, (w.value -> 'end_us')::bigint - (w.value -> 'start_us')::bigint))
  from wait as w left join known as k on k.trace_id = w.trace_id and k.span_id = w.span_id;
end
$$;
comment on function telltale.lens_waits(text[], date[], integer) is
  'The wait spans of these traces that have an end, with their self time in µs as self_times_of tells it: those of a trace add up
to its wait_ms. Of no more traces than have about spans_max spans. Definer: part of the readers.';
revoke all on function telltale.lens_waits(text[], date[], integer) from public, anon, authenticated, service_role;

create function telltale.lens_calls(sessions text[], unnumbered text[], since timestamptz, till timestamptz)
returns table (trace_id text, call_number bigint, before_id text, before_tool text, before_outcome text,
  gap_us bigint, before_running boolean)
language plpgsql stable security definer rows 5000
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
  first_at timestamptz := since - interval '1 day';
begin
  return query
  with seen as (
    select t.trace_id, t.session_key, t.started_at, t.call_number, t.duration_ms, t.ended_at, t.tool, t.outcome
    from telltale.traces as t
    where t.session_key = any (sessions) and t.started_at >= first_at and t.started_at < till
      and t.day between (first_at at time zone 'UTC')::date - 1 and (till at time zone 'UTC')::date + 1
      and not exists (select from telltale.trace_joins as j where j.inner_trace_id = t.trace_id)
  ), earlier as (
    select k.key, e.calls
    from unnest(unnumbered) as k(key)
    cross join lateral (
      select count(*) as calls from (
        select from telltale.traces as t
        where t.session_key = k.key and t.started_at < first_at and t.day <= (first_at at time zone 'UTC')::date + 1
          and not exists (select from telltale.trace_joins as j where j.inner_trace_id = t.trace_id)
        limit 100000) as old) as e
  ), placed as (
    select s.*, row_number() over w as nth, lag(s.trace_id) over w as before_id, lag(s.tool) over w as before_tool,
      lag(s.outcome) over w as before_outcome, lag(s.duration_ms is null) over w as before_open,
      lag(s.ended_at) over w as before_ended_at
    from seen as s
    window w as (partition by s.session_key order by s.started_at, s.trace_id)
  )
  select p.trace_id, coalesce(p.call_number, p.nth + coalesce(e.calls, 0)), p.before_id, p.before_tool, p.before_outcome,
    case when not p.before_open then telltale.us_of(p.started_at) - telltale.us_of(p.before_ended_at) end,
    p.before_id is not null and (p.before_open or p.before_ended_at > p.started_at)
  from placed as p left join earlier as e on e.key = p.session_key
  where p.started_at >= since;
end
$$;
comment on function telltale.lens_calls(text[], text[], timestamptz, timestamptz) is
  'Of the calls of these sessions in a stretch of time: the number, as recorded or else ranked (for which `unnumbered` are to
list their sessions), and the call before it in its session: gap_us from its end (the last of its spans'') to this start,
negative where it still ran, null where it has not ended. One that began more than a day before the stretch is not looked for.
Definer: part of the readers.';
revoke all on function telltale.lens_calls(text[], text[], timestamptz, timestamptz)
  from public, anon, authenticated, service_role;

create or replace function telltale.call_rank(session text, started timestamptz, trace text, upto integer default 100000)
returns bigint
language sql stable security definer
set search_path = ''
as $$
  select 1 + count(*) from (
    select from telltale.traces as t
    where t.session_key = session and (t.started_at, t.trace_id) < (started, trace)
      -- What is joined into another is no call of its own.
      and coalesce((select false from telltale.trace_joins as j where j.inner_trace_id = t.trace_id), true)
    limit upto
  ) as earlier
$$;

create function telltale.normal_tails(z double precision) returns double precision
language sql immutable parallel safe
set search_path = ''
as $$
  select t * exp(-z * z / 2 - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
    + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))))
  from (select 1 / (1 + 0.5 * abs(z) / sqrt(2::double precision))) as u(t)
  -- Further out it is less than a double can hold.
  where abs(z) < 37
$$;
comment on function telltale.normal_tails(double precision) is
  'How much of a standard normal distribution lies at least |z| from its middle, to seven digits (erfc as Numerical Recipes 6.2
has it); null where that is nothing.';
revoke all on function telltale.normal_tails(double precision) from public, anon;
grant execute on function telltale.normal_tails(double precision) to authenticated, service_role;

create function telltale.ms_of(ms double precision) returns numeric
language sql immutable parallel safe
return trim_scale(round(ms::numeric, 3));
comment on function telltale.ms_of(double precision) is 'ms to the µs, as they are answered.';
revoke all on function telltale.ms_of(double precision) from public, anon;
grant execute on function telltale.ms_of(double precision) to authenticated, service_role;

create function telltale.layer_cells(columns integer[], breakdowns jsonb[], waits jsonb[])
returns table (x integer, layer text, n bigint, seen bigint, self_ms double precision, p50_ms double precision,
  p95_ms double precision, wait_ms double precision, wait_p50_ms double precision, wait_p95_ms double precision)
language plpgsql immutable parallel safe rows 100
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
#variable_conflict use_column
begin
  return query
  with trace as materialized (
    select t.x, t.layers, t.waits from unnest(columns, breakdowns, waits) as t(x, layers, waits)
  ), counted as (
    select x, count(*) as n, greatest(1, ceil(0.5 * count(*)))::bigint as half, greatest(1, ceil(0.95 * count(*)))::bigint as most
    from trace group by x
  ), part as (
    select t.x, l.key as layer, l.value::double precision as ms, coalesce((t.waits -> l.key)::double precision, 0) as waited
    from trace as t cross join lateral jsonb_each(t.layers) as l
  ), sorted as (
    select x, layer, count(*) as seen, sum(ms) as ms, array_agg(ms order by ms) as all_ms, sum(waited) as waited,
      array_agg(waited order by waited) filter (where waited > 0) as all_waited
    from part group by x, layer
  )
  -- Where a trace spent no time in a layer, that is a time of 0: these come first, and need no row.
  select s.x, s.layer, c.n, s.seen, s.ms, coalesce(s.all_ms[c.half - (c.n - s.seen)], 0),
    coalesce(s.all_ms[c.most - (c.n - s.seen)], 0), s.waited,
    coalesce(s.all_waited[c.half - (c.n - cardinality(s.all_waited))], 0),
    coalesce(s.all_waited[c.most - (c.n - cardinality(s.all_waited))], 0)
  from sorted as s join counted as c on c.x = s.x;
end
$$;
comment on function telltale.layer_cells(integer[], jsonb[], jsonb[]) is
  'Traces by column and layer, given as three arrays: the column, the layer breakdown (ms), and the waits in it ({layer: ms}, or
null). n traces of the column, `seen` of them with time in the layer; self_ms and the wait_ms in it are sums, quantiles (nearest
rank) are over all n: no time is a time of 0.';
revoke all on function telltale.layer_cells(integer[], jsonb[], jsonb[]) from public, anon;
grant execute on function telltale.layer_cells(integer[], jsonb[], jsonb[]) to authenticated, service_role;
