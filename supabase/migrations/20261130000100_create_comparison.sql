-- Comparing two stretches of time, or two filters, and telling a trend: with each difference whether it is more than noise.
-- Everything is told from what the readers of metrics count: histograms of the minute parts, or the traces themselves
-- where no series key says what a filter asks for. No test assumes how latencies are distributed.
-- The tests take requests for independent of one another: requests that fail together, in one outage, count as so many.

create function telltale.p_of_z(z double precision) returns double precision
language sql immutable strict parallel safe
set search_path = ''
as $$
  -- Chebyshev fit to erfc(x), Numerical Recipes 6.2: relative error below 1.2e-7. Past 25 exp() would underflow.
  select least(1, t * exp(-x * x - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
    + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))))))
  from (select least(abs(z) / sqrt(2::double precision), 25) as x) as scaled
  cross join lateral (select 1 / (1 + x / 2) as t) as inverse
$$;
comment on function telltale.p_of_z(double precision) is
  'How likely a standard normal value is at least as far from 0 as z, on either side: 1 at 0, at least 1e-272.';
revoke all on function telltale.p_of_z(double precision) from public, anon;
grant execute on function telltale.p_of_z(double precision) to authenticated, service_role;

create function telltale.p_of_shares(a numeric, a_of numeric, b numeric, b_of numeric) returns double precision
language sql immutable parallel safe
set search_path = ''
as $$
  -- Yates' correction: without it few requests would make much of little.
  select case when a_of >= 5 and b_of >= 5 then coalesce(telltale.p_of_z(
    greatest(0, abs(a / a_of - b / b_of) - (1 / a_of + 1 / b_of) / 2)::double precision
    / nullif(sqrt((pooled * (1 - pooled) * (1 / a_of + 1 / b_of))::double precision), 0)), 1) end
  from (select (a + b) / nullif(a_of + b_of, 0) as pooled) as together
$$;
comment on function telltale.p_of_shares(numeric, numeric, numeric, numeric) is
  'Of a in a_of and b in b_of: how likely chance alone makes shares so different (two-proportion test, pooled, corrected for
continuity). Null where either is of fewer than 5.';
revoke all on function telltale.p_of_shares(numeric, numeric, numeric, numeric) from public, anon;
grant execute on function telltale.p_of_shares(numeric, numeric, numeric, numeric) to authenticated, service_role;

create function telltale.measured_cells(keys text[], sources uuid[], since timestamptz, till timestamptz, block_s integer)
returns table (key text, block bigint, us double precision, n numeric, sums numeric[])
language sql stable security definer rows 1000
set search_path = ''
set jit = off
as $$
  with cell as materialized (
    select named.key, floor(extract(epoch from found.at) / block_s)::bigint as block, found.cell
    from (
      select r.at, c.key, c.value as cell
      from telltale.rollups_between(since, till, sources, block_s % 3600 = 0) as r
      cross join lateral jsonb_each(r.series) as c
      where keys = array['all'] and c.key ~ '^(all$|(layer|tool|provider|model|call):)'
      union all
      select c.at, c.key, c.cell from telltale.cells_between(case when keys <> array['all'] then keys end, since, till, sources,
        block_s % 3600 = 0) as c
    ) as found
    -- What a filter asks for is the whole, and one of its kind.
    cross join lateral unnest(case when keys = array['all'] then array[found.key] else array[found.key, 'all'] end) as named(key)
  )
  select key, block, null::double precision, null::numeric, array[
    sum((cell -> 'count')::bigint), sum((cell -> 'errors')::bigint), sum((cell -> 'bytes_in')::bigint),
    sum((cell -> 'bytes_out')::bigint), sum((cell -> 'tokens_in')::bigint), sum((cell -> 'tokens_out')::bigint),
    sum((cell -> 'latency' -> 'sum')::bigint)]
  from cell group by key, block
  union all
  select key, null, case when index is null then 0 else power(2::double precision, (index + 0.5::double precision) / 32) end,
    sum(n), null
  from (
    select cell.key, null::int as index, (cell -> 'latency' -> 'z')::bigint as n from cell
    union all
    select cell.key, b.key::int, b.value::bigint from cell cross join lateral jsonb_each(cell.cell -> 'latency' -> 'b') as b
  ) as bucket
  where n > 0
  group by key, index
$$;
comment on function telltale.measured_cells(text[], uuid[], timestamptz, timestamptz, integer) is
  'What was counted under series keys (all of them where keys is {all}, else these and their sum as all), as two kinds of
rows: for key and block of time (its number since the epoch) sums [count, errors, bytes_in, bytes_out, tokens_in, tokens_out,
latency in µs]; for key and latency `us` the number n of requests that took it. Definer: part of the readers.';
revoke all on function telltale.measured_cells(text[], uuid[], timestamptz, timestamptz, integer)
  from public, anon, authenticated, service_role;

create function telltale.measured_samples(samples text, block_s integer)
returns table (key text, block bigint, us double precision, n numeric, sums numeric[])
language plpgsql stable security definer rows 1000
set search_path = ''
set jit = off
as $$
begin
  return query execute format(
    'with sample as materialized (%s)
    select key, floor(extract(epoch from at) / $1)::bigint, null::double precision, null::numeric, array[
      count(*)::numeric, count(*) filter (where outcome in (''tool_error'', ''server_fault'', ''timeout'', ''interrupted'')),
      coalesce(sum(bytes_in), 0), coalesce(sum(bytes_out), 0), coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0),
      coalesce(sum(us) filter (where us >= 0), 0)::numeric]
    from sample group by 1, 2
    union all
    select key, null, us, count(*)::numeric, null from sample where us >= 0 group by key, us', samples)
  using block_s;
end
$$;
comment on function telltale.measured_samples(text, integer) is
  'The same of samples (see samples_of). Definer: part of the readers.';
revoke all on function telltale.measured_samples(text, integer) from public, anon, authenticated, service_role;

create function telltale.measured(filter jsonb, block_s integer)
returns table (key text, block bigint, us double precision, n numeric, sums numeric[])
language plpgsql stable security definer rows 1000
set search_path = ''
set jit = off
as $$
declare
  asked record;
  sources uuid[] := telltale.sources_of(filter);
  keys text[];
  kinds text[] := array['all', 'layer', 'tool', 'provider', 'model', 'call'];
begin
  select * into asked from telltale.range_of(filter);
  keys := telltale.series_keys_of(filter, sources);
  if keys is not null then
    return query select * from telltale.measured_cells(keys, sources, asked.since, asked.till, block_s);
    if keys = array['all'] then
      return;
    end if;
    kinds := array_remove(array_remove(kinds, 'all'), split_part(keys[1], ':', 1));
  end if;
  return query select * from telltale.measured_samples(telltale.samples_of(filter, asked.since, asked.till, kinds), block_s);
end
$$;
comment on function telltale.measured(jsonb, integer) is
  'What a filter finds, as measured_cells has it: from the parts, and from the traces what no series key says. Definer: part of
the readers.';
revoke all on function telltale.measured(jsonb, integer) from public, anon, authenticated, service_role;

create function telltale.side_stats(sums numeric[], latencies numeric, quantiles_us double precision[], seconds double precision)
returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select telltale.stats_of(sums[1], sums[2], seconds, sums[7] / nullif(latencies, 0), quantiles_us, sums[3], sums[4], sums[5],
    sums[6])
$$;
comment on function telltale.side_stats(numeric[], numeric, double precision[], double precision) is
  'Stats (see stats_of) of sums as measured_cells has them. Part of compare.';
revoke all on function telltale.side_stats(numeric[], numeric, double precision[], double precision)
  from public, anon, authenticated, service_role;

create function telltale.compare(a jsonb default '{}', b jsonb default '{}') returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
  noise constant double precision := 0.05;
  keys_max constant integer := 32;
  sides jsonb := '{}';
  side record;
  asked record;
  compared jsonb;
  tests bigint;
begin
  perform telltale.require_reader();
  for side in select name, coalesce(filter, '{}') as filter from (values ('a', a), ('b', b)) as v(name, filter) loop
    perform telltale.check_filter(side.filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
      'min_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
    select * into asked from telltale.range_of(side.filter);
    sides := sides || jsonb_build_object(side.name, jsonb_build_object('filter', side.filter,
      'from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
      'seconds', telltale.seconds_of(asked.since, asked.till), 'step', telltale.step_of(side.filter, null),
      'source', case when telltale.series_keys_of(side.filter, telltale.sources_of(side.filter)) is null then 'traces'
        else 'parts' end));
  end loop;
  with row as materialized (
    select 'a' as side, m.* from telltale.measured(sides -> 'a' -> 'filter', (sides -> 'a' -> 'step')::int) as m
    union all
    select 'b', m.* from telltale.measured(sides -> 'b' -> 'filter', (sides -> 'b' -> 'step')::int) as m
  ), listed as (
    select key from (
      select key, row_number() over (partition by split_part(key, ':', 1) order by sum(sums[1]) desc, key collate "C") as place
      from row where sums is not null group by key
    ) as ranked where place <= keys_max
    union select 'all'
  ), summed as (
    select side, key, array[sum(sums[1]), sum(sums[2]), sum(sums[3]), sum(sums[4]), sum(sums[5]), sum(sums[6]), sum(sums[7])]
      as sums, count(*) as blocks
    from row join listed using (key) where sums is not null group by side, key
  ), spread as (
    -- How far each ratio of two sums may be off, from how much it differs from block to block of time (ratio estimator).
    select side, key, measure, ratio, present, sqrt(blocks / nullif(blocks - 1, 0) * sum(off * off) / nullif(whole * whole, 0)) as error
    from (
      select row.side, key, measure, whole, whole_of / nullif(whole, 0) as ratio,
        case measure when 'per_second' then span.blocks else s.blocks end as blocks, s.blocks as present,
        part - whole_of / nullif(whole, 0) * of as off
      from row join summed as s using (side, key)
      cross join lateral (select (sides -> row.side -> 'seconds')::double precision as seconds,
        (sides -> row.side -> 'step')::double precision as step) as asked
      cross join lateral (select ceil(asked.seconds / asked.step) as blocks) as span
      cross join lateral (values
        ('per_second', row.sums[1]::double precision, asked.seconds / span.blocks, s.sums[1]::double precision, asked.seconds),
        ('tokens_in_per_call', row.sums[5]::double precision, row.sums[1]::double precision, s.sums[5]::double precision,
          s.sums[1]::double precision),
        ('tokens_out_per_call', row.sums[6]::double precision, row.sums[1]::double precision, s.sums[6]::double precision,
          s.sums[1]::double precision)) as ratio(measure, part, of, whole_of, whole)
      where row.sums is not null
      union all
      -- Blocks in which nothing happened count too.
      select s.side, key, 'per_second', asked.seconds, s.sums[1]::double precision / asked.seconds, ceil(asked.seconds / asked.step),
        s.blocks, s.sums[1]::double precision / asked.seconds * asked.seconds / ceil(asked.seconds / asked.step)
      from summed as s
      cross join lateral (select (sides -> s.side -> 'seconds')::double precision as seconds,
        (sides -> s.side -> 'step')::double precision as step) as asked
      cross join lateral generate_series(s.blocks + 1, ceil(asked.seconds / asked.step)::bigint)
    ) as part
    group by side, key, measure, ratio, present, blocks, whole
  ), latency as materialized (
    select key, us, coalesce(sum(n) filter (where side = 'a'), 0) as a, coalesce(sum(n) filter (where side = 'b'), 0) as b
    from row join listed using (key) where us is not null group by key, us
  ), running as (
    select *, sum(a) over up as a_seen, sum(b) over up as b_seen, sum(a) over whole as a_all, sum(b) over whole as b_all
    from latency window up as (partition by key order by us), whole as (partition by key)
  ), distribution as (
    select key, max(a_all) as a_n, max(b_all) as b_n,
      array[min(us) filter (where a_seen >= greatest(1, ceil(a_all * 0.5)) and a_all > 0),
        min(us) filter (where a_seen >= greatest(1, ceil(a_all * 0.95)) and a_all > 0),
        min(us) filter (where a_seen >= greatest(1, ceil(a_all * 0.99)) and a_all > 0)] as a_us,
      array[min(us) filter (where b_seen >= greatest(1, ceil(b_all * 0.5)) and b_all > 0),
        min(us) filter (where b_seen >= greatest(1, ceil(b_all * 0.95)) and b_all > 0),
        min(us) filter (where b_seen >= greatest(1, ceil(b_all * 0.99)) and b_all > 0)] as b_us,
      sum(a * (us / 1000) ^ 2)::double precision as a_squares, sum(b * (us / 1000) ^ 2)::double precision as b_squares,
      sum(a * us / 1000)::double precision as a_sum, sum(b * us / 1000)::double precision as b_sum,
      -- Mann and Whitney: how often one of b is slower than one of a, ties counting half.
      sum(b * (a_seen - a / 2)) as wins, sum((a + b) ^ 3 - (a + b)) as ties
    from running group by key
  ), tail as (
    -- Of each quantile of both together: how many of either lie above it.
    select key, q, max(a_all) as a_n, max(b_all) as b_n,
      max(a_all) - min(a_seen) filter (where a_seen + b_seen >= ceil((a_all + b_all) * q)) as a_above,
      max(b_all) - min(b_seen) filter (where a_seen + b_seen >= ceil((a_all + b_all) * q)) as b_above
    from running cross join unnest(array[0.5, 0.95, 0.99]) as q group by key, q
  ), stats as (
    select key, telltale.side_stats(x.sums, d.a_n, d.a_us, (sides -> 'a' -> 'seconds')::double precision) as a,
      telltale.side_stats(y.sums, d.b_n, d.b_us, (sides -> 'b' -> 'seconds')::double precision) as b
    from listed
    left join (select * from summed where side = 'a') as x using (key)
    left join (select * from summed where side = 'b') as y using (key)
    left join distribution as d using (key)
  ), test as (
    select key, 'error_rate' as measure, (b ->> 'error_rate')::numeric - (a ->> 'error_rate')::numeric as difference,
      (b ->> 'error_rate')::numeric / nullif((a ->> 'error_rate')::numeric, 0) as ratio,
      telltale.p_of_shares((a ->> 'errors')::numeric, (a ->> 'count')::numeric, (b ->> 'errors')::numeric, (b ->> 'count')::numeric) as p
    from stats
    union all
    select key, name, (b ->> name)::numeric - (a ->> name)::numeric,
      (b ->> name)::numeric / nullif((a ->> name)::numeric, 0), telltale.p_of_shares(a_above, a_n, b_above, b_n)
    from stats join tail using (key)
    cross join lateral (select 'p' || trim_scale(q * 100) || '_ms' as name) as named
    where stats.a ->> name is not null and stats.b ->> name is not null
    union all
    select key, 'mean_ms', (a_b.b - a_b.a)::numeric, (a_b.b / nullif(a_b.a, 0))::numeric, case when a_n >= 30 and b_n >= 30 then
      coalesce(telltale.p_of_z((b_sum / b_n - a_sum / a_n) / nullif(sqrt(
        greatest(0, a_squares - a_sum * a_sum / a_n) / (a_n - 1) / a_n
        + greatest(0, b_squares - b_sum * b_sum / b_n) / (b_n - 1) / b_n), 0)), 1) end
    from stats join distribution using (key)
    cross join lateral (select (a ->> 'mean_ms')::double precision as a, (b ->> 'mean_ms')::double precision as b) as a_b
    where a_n > 0 and b_n > 0
    union all
    select key, 'latency', (2 * wins / (a_n * b_n) - 1), null, case when a_n >= 5 and b_n >= 5 then
      coalesce(telltale.p_of_z((wins - a_n * b_n / 2)::double precision / nullif(sqrt(
        (a_n * b_n / 12 * (a_n + b_n + 1 - ties / ((a_n + b_n) * (a_n + b_n - 1))))::double precision), 0)), 1) end
    from distribution where a_n > 0 and b_n > 0
    union all
    select key, measure, (y.ratio - x.ratio)::numeric, (y.ratio / nullif(x.ratio, 0))::numeric,
      case when least(x.present, y.present) >= 5 then
        coalesce(telltale.p_of_z((y.ratio - x.ratio) / nullif(sqrt(x.error ^ 2 + y.error ^ 2), 0)), 1) end
    from (select * from spread where side = 'a') as x join (select * from spread where side = 'b') as y using (key, measure)
  ), corrected as (
    -- Holm: of so many tests the least p counts times their number, the next times one fewer.
    select *, case when p is not null then max(least(1, p * (made - place + 1))) over (order by place) end as corrected
    from (
      select *, count(p) over () as made, row_number() over (order by p nulls last, key collate "C", measure) as place from test
    ) as ranked
  ), told as (
    select key, max(made) as made, jsonb_object_agg(measure, jsonb_build_object('difference', round(difference, 6),
      'ratio', round(ratio, 6), 'p', round(corrected::numeric, 6), 'differs', corrected < noise)) as changes
    from corrected group by key
  )
  select max(told.made), jsonb_object_agg(s.key, jsonb_build_object('key', coalesce(nullif(substr(s.key,
      strpos(s.key, ':') + 1), ''), s.key), 'a', s.a, 'b', s.b, 'changes', coalesce(told.changes, '{}')))
  into tests, compared
  from stats as s left join told on told.key = s.key;
  return jsonb_build_object('a', (sides -> 'a') - array['filter', 'seconds', 'step'],
    'b', (sides -> 'b') - array['filter', 'seconds', 'step'], 'noise', noise, 'comparisons', coalesce(tests, 0),
    'total', (compared -> 'all') - 'key')
    || (select jsonb_object_agg(kind || 's', (
      select coalesce(jsonb_agg(value order by (value -> 'a' -> 'count')::numeric + (value -> 'b' -> 'count')::numeric desc,
        key collate "C"), '[]')
      from jsonb_each(compared) where starts_with(key, kind || ':')))
      from unnest(array['layer', 'tool', 'provider', 'model', 'call']) as kind);
end
$$;
comment on function telltale.compare(jsonb, jsonb) is
  '{a, b: {from_us, to_us, source: parts | traces}, noise, comparisons, total: {a: Stats, b: Stats, changes: {measure:
{difference: b - a, ratio: b / a, p, differs}}}, layers, tools, providers, models, calls: [{key: the name, a, b, changes}], 32 each,
the most counted first}. Measures: per_second, error_rate, mean_ms, p50_ms, p95_ms, p99_ms, latency (how much more often one of b
is slower than one of a than the other way round, -1 to 1), tokens_in_per_call, tokens_out_per_call. differs: p is below noise;
null where there is too little to tell. p is how likely chance alone does as much, corrected (Holm) for all comparisons of the
answer. Tests: shares of errors, and of requests above each quantile of both together: two proportions; mean: by the spread of
the histogram; latency: ranks (Mann-Whitney, with ties); rates and tokens: by how they differ between at least 5 steps of time.
A filter is as for overview. Definer, see the file''s head; the first line refuses non-members with 42501.';
revoke all on function telltale.compare(jsonb, jsonb) from public, anon;
grant execute on function telltale.compare(jsonb, jsonb) to authenticated, service_role;

create function telltale.slope_of(measure text, places bigint[], points double precision[]) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  with point as materialized (
    select x, y from unnest(places, points) as p(x, y) where y is not null
  ), pair as (
    select (q.y - p.y) / (q.x - p.x) as slope, sign(q.y - p.y) as rises from point as p join point as q on q.x > p.x
  ), slope as (
    select percentile_cont(0.5) within group (order by slope) as step, sum(rises) as s from pair
  ), residual as (
    select x, y - step * x as e from point cross join slope
  ), likeness as (
    -- Neighbours that resemble one another say less than so many points would: their variance is so much greater.
    select greatest(0, least(0.95, coalesce(corr(e, before), 0))) as r
    from (select e, lag(e) over (order by x) as before from residual) as neighbour
  ), size as (
    select (select count(*) from point) as n,
      (select coalesce(sum(t * (t - 1.0) * (2 * t + 5)), 0) from (select count(*) as t from point group by y) as tied) as ties
  )
  select jsonb_build_object('measure', measure, 'step', step, 'n', n, 'p', case when n >= 8 then
    coalesce(telltale.p_of_z(greatest(0, abs(s) - 1) / nullif(sqrt(
      (n * (n - 1.0) * (2 * n + 5) - ties)::double precision / 18 * (1 + r) / (1 - r)), 0)), 1) end)
  from slope cross join likeness cross join size
$$;
comment on function telltale.slope_of(text, bigint[], double precision[]) is
  '{measure, step: the median of all slopes between two points (Theil-Sen), n: points, p: how likely chance alone does as much
(Mann-Kendall, with ties, widened by how much neighbours resemble each other); null of fewer than 8 points}. Part of trend.';
revoke all on function telltale.slope_of(text, bigint[], double precision[]) from public, anon, authenticated, service_role;

create function telltale.trend(filter jsonb default '{}', key text default 'all', step_s integer default null) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  noise constant double precision := 0.05;
  answer jsonb;
  step bigint;
  trends jsonb;
begin
  answer := telltale.series(filter, key, step_s);
  step := (answer -> 'step_s')::bigint;
  if jsonb_array_length(answer -> 'points') > 400 then
    raise exception 'Cannot tell trend: it has more than 400 points' using errcode = '22023', hint = 'Take a greater step_s.';
  end if;
  with point as (
    select (p.value -> 'at_us')::bigint / 1000000 / step as place, (p.value ->> 'count')::double precision as count,
      (p.value ->> 'errors')::double precision / nullif((p.value ->> 'count')::double precision, 0) as error_rate,
      (p.value ->> 'p50_ms')::double precision as p50, (p.value ->> 'p95_ms')::double precision as p95
    from jsonb_array_elements(answer -> 'points') as p
    -- A step that is not over says nothing yet.
    where (p.value -> 'at_us')::bigint + step * 1000000 <= telltale.us_of(telltale.clock())
  ), slope as (
    select telltale.slope_of(name, array_agg(place order by place), array_agg(value order by place)) as told
    from point cross join lateral (values ('count', count), ('error_rate', error_rate), ('p50_ms', p50), ('p95_ms', p95))
      as v(name, value)
    group by name
  ), corrected as (
    select told, max(least(1, p * (made - place + 1))) over (order by place) as p
    from (
      select told, (told ->> 'p')::double precision as p, count(told ->> 'p') over () as made,
        row_number() over (order by (told ->> 'p')::double precision nulls last, told ->> 'measure') as place
      from slope
    ) as ranked
  )
  select jsonb_object_agg(told ->> 'measure', jsonb_build_object(
    'per_hour', round((told ->> 'step')::numeric * 3600 / step, 6), 'points', told -> 'n',
    'change', round((told ->> 'step')::numeric * ((told -> 'n')::int - 1), 6),
    'p', case when told ->> 'p' is not null then round(p::numeric, 6) end,
    'differs', case when told ->> 'p' is not null then p < noise end))
  into trends from corrected;
  return answer || jsonb_build_object('noise', noise, 'trends', coalesce(trends, '{}'), 'points', (
    select coalesce(jsonb_agg(p.value - array['mean_ms', 'p99_ms', 'bytes_in', 'bytes_out', 'tokens_in', 'tokens_out']
      order by (p.value -> 'at_us')::bigint), '[]')
    from jsonb_array_elements(answer -> 'points') as p));
end
$$;
comment on function telltale.trend(jsonb, text, integer) is
  '{from_us, to_us, step_s, key, source, points: [{at_us, count, errors, p50_ms, p95_ms}], noise, trends: {count, error_rate,
p50_ms, p95_ms: {per_hour: slope, change: over all steps together, points: how many were looked at, p, differs}}}. The slope is the median of
those between all pairs of steps (Theil-Sen), so that single spikes do not move it; differs: p is below noise (Mann-Kendall,
corrected for four measures, and for steps that resemble their neighbours); null of fewer than 8 steps. At most 400 steps, else it
raises 22023. As series() otherwise. Definer: as series, which refuses non-members with 42501.';
revoke all on function telltale.trend(jsonb, text, integer) from public, anon;
grant execute on function telltale.trend(jsonb, text, integer) to authenticated, service_role;
