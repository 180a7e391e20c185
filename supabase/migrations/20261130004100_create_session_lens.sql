-- The session lens: does it matter which call of its session a call is, and what went before it? Definer behind a first line
-- that refuses non-members, as all readers.

create function telltale.call_steps(calls integer[], durations double precision[])
returns table (call integer, n bigint, before_n bigint, p50_ms double precision, before_p50_ms double precision,
  superiority double precision, p double precision)
language plpgsql immutable parallel safe rows 10
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
#variable_conflict use_column
begin
  return query
  with sample as materialized (
    select call, ms from unnest(calls, durations) as s(call, ms)
  ), pooled as (
    select call, true as later, ms from sample
    union all
    select call + 1, false, ms from sample
  ), ranked as (
    select call, later, ms, rank() over (partition by call order by ms) as least,
      count(*) over (partition by call, ms) as alike
    from pooled
  ), pair as (
    select call, count(*) filter (where later) as n, count(*) filter (where not later) as before_n,
      percentile_disc(0.5) within group (order by ms) filter (where later) as p50,
      percentile_disc(0.5) within group (order by ms) filter (where not later) as before_p50,
      sum(least + (alike - 1) / 2.0) filter (where later)::double precision as ranks,
      sum(alike::double precision * alike - 1) as ties
    from ranked group by call
  ), test as (
    select call, n, before_n, p50, before_p50,
      (ranks - n * (n + 1) / 2.0) / (n * before_n::double precision) as superiority,
      case when ties < (n + before_n) * ((n + before_n)::double precision ^ 2 - 1) then
        greatest(0, abs(ranks - n * (n + 1) / 2.0 - n * before_n / 2.0) - 0.5)
        / sqrt(n * before_n / 12.0 * (n + before_n + 1 - ties / ((n + before_n) * (n + before_n - 1.0)))) else 0 end as z
    from pair where n > 0 and before_n > 0
  ), tail as (
    select *, coalesce(telltale.normal_tails(z), 0) as alone from test
  ), corrected as (
    -- Holm: the least of m by m, the next by m - 1, and none below one that came before it.
    select *, least(1, max(alone * ((select count(*) from tail) - place + 1)) over (order by place)) as p
    from (select *, row_number() over (order by alone, call) as place from tail) as t
  )
  select call, n, before_n, p50, before_p50, superiority, p from corrected order by call;
end
$$;
comment on function telltale.call_steps(integer[], double precision[]) is
  'Of samples (ms) at positions, each position against the one before it, where both have any: the medians, how often the later
of two taken at random is the greater (ties half), and how likely it is that nothing sets them apart: the rank test of Mann and
Whitney, by its normal approximation with ties and continuity corrected, and for the number of tests by Holm.';
revoke all on function telltale.call_steps(integer[], double precision[]) from public, anon;
grant execute on function telltale.call_steps(integer[], double precision[]) to authenticated, service_role;

create function telltale.session_lens(filter jsonb default '{}', calls integer default 5) returns jsonb
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
  calls := coalesce(calls, 5);
  if calls not between 1 and 50 then
    raise exception 'Cannot read session lens: calls is %', calls
      using errcode = '22023', hint = 'calls is how many call numbers have a row of their own: 1 to 50, or null for 5.';
  end if;
  select * into asked from telltale.lens_range(filter);
  return (
    with sample as materialized (
      select * from telltale.lens_traces(filter, asked.since, asked.till, 10000)
    ), placed as materialized (
      select c.* from telltale.lens_calls(
        (select array_agg(distinct session_key) from sample where session_key is not null),
        (select array_agg(distinct session_key) from sample where session_key is not null and call_number is null),
        asked.since, asked.till) as c
    ), wait as materialized (
      select trace_id, jsonb_object_agg(layer, us / 1000.0) as layers from (
        select w.trace_id, w.layer, sum(w.self_us) as us
        from telltale.lens_waits((select array_agg(trace_id) from sample where wait_ms > 0),
          (select array_agg(day) from sample where wait_ms > 0), 50000) as w
        group by w.trace_id, w.layer
      ) as summed group by trace_id
    ), call as materialized (
      -- Row calls + 1 is of all later ones, row 0 of those without a number.
      select s.*, least(coalesce(s.call_number, p.call_number, 0), calls + 1)::int as x, w.layers as waits,
        p.before_id, p.before_tool, p.before_outcome, p.gap_us / 1000.0 as gap_ms, coalesce(p.before_running, false) as before_running
      from sample as s
      left join placed as p on p.trace_id = s.trace_id
      left join wait as w on w.trace_id = s.trace_id
    ), cell as materialized (
      select c.* from telltale.layer_cells((select array_agg(x order by trace_id) from call),
        (select array_agg(layers order by trace_id) from call), (select array_agg(waits order by trace_id) from call)) as c
    ), step as (
      select s.*, moved.layer, moved.ms as layer_ms, moved.waited
      from telltale.call_steps((select array_agg(x) from call where x > 0), (select array_agg(duration_ms) from call where x > 0)) as s
      left join lateral (
        -- The layer whose median went the same way the furthest, and whether its waits did more than half of it.
        select now.layer, now.p50_ms - coalesce(was.p50_ms, 0) as ms,
          now.wait_p50_ms - coalesce(was.wait_p50_ms, 0) as waited
        from (select layer from cell where cell.x in (s.call, s.call - 1) group by layer) as l
        cross join lateral (select l.layer, coalesce(max(c.p50_ms), 0) as p50_ms, coalesce(max(c.wait_p50_ms), 0) as wait_p50_ms
          from cell as c where c.x = s.call and c.layer = l.layer) as now
        left join cell as was on was.x = s.call - 1 and was.layer = l.layer
        order by (now.p50_ms - coalesce(was.p50_ms, 0)) * sign(s.p50_ms - s.before_p50_ms) desc, now.layer collate "C" limit 1
      ) as moved on true
    ), tool as (
      select x, jsonb_agg(jsonb_build_object('tool', tool, 'n', n) order by place) as tools from (
        select x, tool, count(*) as n, row_number() over (partition by x order by count(*) desc, tool collate "C") as place
        from call group by x, tool) as counted
      where place <= 3 group by x
    ), previous as (
      select x, jsonb_agg(jsonb_build_object('tool', before_tool, 'outcome', before_outcome, 'n', n, 'running', running,
        'gap_p50_ms', telltale.ms_of(gap), 'p50_ms', telltale.ms_of(p50)) order by place) as list
      from (
        select x, before_tool, before_outcome, count(*) as n, count(*) filter (where before_running) as running,
          percentile_disc(0.5) within group (order by gap_ms)::double precision as gap,
          percentile_disc(0.5) within group (order by duration_ms) as p50,
          row_number() over (partition by x order by count(*) desc, before_tool collate "C", before_outcome collate "C") as place
        from call where before_id is not null group by x, before_tool, before_outcome) as counted
      where place <= 5 group by x
    ), bucket as (
      select x, count(*) as n, count(*) filter (where failed) as errors, sum(duration_ms) as total_ms, sum(wait_ms) as wait_ms,
        sum(coalesce((layers ->> 'unexplained')::double precision, 0)) as unexplained_ms,
        percentile_disc(array[0.5, 0.95]) within group (order by duration_ms) as quantiles,
        count(before_id) as preceded, count(*) filter (where before_running) as running,
        percentile_disc(0.5) within group (order by gap_ms)::double precision as gap
      from call group by x
    )
    select jsonb_build_object('from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
      'matched', coalesce((select max(matched) from sample), 0), 'read', (select count(*) from sample),
      'waits_unknown', (select count(*) from call where wait_ms > 0 and waits is null),
      'rules', coalesce((
        select jsonb_agg(jsonb_build_object('rule', rule, 'sessions', sessions, 'n', n) order by n desc, rule collate "C")
        from (select session_rule as rule, count(distinct session_key) as sessions, count(*) as n from call group by 1) as r), '[]'),
      'layers', coalesce((select jsonb_agg(layer order by layer collate "C") from (select distinct layer from cell) as l), '[]'),
      'calls', coalesce((
        select jsonb_agg(jsonb_build_object(
          'call', case when b.x = 0 then 'unknown' when b.x > calls then (calls + 1) || '+' else b.x::text end,
          'n', b.n, 'errors', b.errors, 'total_ms', telltale.ms_of(b.total_ms), 'p50_ms', telltale.ms_of(b.quantiles[1]),
          'p95_ms', telltale.ms_of(b.quantiles[2]), 'wait_ms', telltale.ms_of(b.wait_ms),
          'unexplained_ms', telltale.ms_of(b.unexplained_ms), 'tools', t.tools,
          'step', case when s.call is not null then jsonb_build_object(
            'few', least(s.n, s.before_n) < 8, 'p', s.p, 'superiority', round(s.superiority::numeric, 4),
            'change_ms', telltale.ms_of(s.p50_ms - s.before_p50_ms), 'layer', s.layer, 'layer_change_ms', telltale.ms_of(s.layer_ms),
            'waiting', abs(s.waited) * 2 > abs(s.layer_ms),
            'changed', least(s.n, s.before_n) >= 8 and s.p < 0.01 and abs(s.superiority - 0.5) >= 0.2
              and abs(s.p50_ms - s.before_p50_ms) >= greatest(1, 0.2 * least(s.p50_ms, s.before_p50_ms))) end,
          'previous', case when b.preceded > 0 then jsonb_build_object('n', b.preceded, 'running', b.running,
            'gap_p50_ms', telltale.ms_of(b.gap), 'list', p.list) end) order by b.x = 0, b.x)
        from bucket as b left join tool as t on t.x = b.x left join previous as p on p.x = b.x left join step as s on s.call = b.x),
        '[]'),
      'cells', coalesce((
        select jsonb_agg(jsonb_build_object(
          'call', case when c.x = 0 then 'unknown' when c.x > calls then (calls + 1) || '+' else c.x::text end,
          'layer', c.layer, 'n', c.n, 'seen', c.seen, 'self_ms', telltale.ms_of(c.self_ms),
          'work_ms', telltale.ms_of(c.self_ms - c.wait_ms), 'wait_ms', telltale.ms_of(c.wait_ms), 'p50_ms', telltale.ms_of(c.p50_ms),
          'p95_ms', telltale.ms_of(c.p95_ms), 'wait_p50_ms', telltale.ms_of(c.wait_p50_ms),
          'wait_p95_ms', telltale.ms_of(c.wait_p95_ms)) order by c.x = 0, c.x, c.layer collate "C")
        from cell as c), '[]'))
  );
end
$$;
comment on function telltale.session_lens(jsonb, integer) is
  '{from_us, to_us, matched: traces that count, read: those looked at, waits_unknown: those of them whose waits are not known by
layer, rules: [{rule, sessions, n}], layers: [name], calls: [{call: 1 to `calls`, 6+ (all later ones), unknown; n, errors,
total_ms, p50_ms, p95_ms, wait_ms, unexplained_ms, tools: [{tool, n}] the 3 most called, step, previous}], cells: [{call, layer,
n, seen, self_ms = work_ms + wait_ms (sums), p50_ms, p95_ms of self time, wait_p50_ms, wait_p95_ms}], see layer_cells}.
step, against the call number before: {changed, few: under 8 calls on a side, p (corrected), superiority, change_ms of the
median, layer: where it changed most, layer_change_ms, waiting: more than half of that by waiting}; see call_steps. changed is:
p < 0.01, superiority at least 0.2 from even, and the medians apart by 1 ms and a fifth of the lesser. previous, of the calls
that had one before them: {n, running: how often that still ran, gap_p50_ms, list: [{tool, outcome, n, running, gap_p50_ms,
p50_ms of the calls after it}] the 5 most common}; see lens_calls. At most 10,000 traces are read, and the waits of as many as
have 50,000 spans. Filter: as traces; from is 15 minutes ago and to is now unless given. Definer, see the file''s head; the
first line refuses non-members with 42501.';
revoke all on function telltale.session_lens(jsonb, integer) from public, anon;
grant execute on function telltale.session_lens(jsonb, integer) to authenticated, service_role;
