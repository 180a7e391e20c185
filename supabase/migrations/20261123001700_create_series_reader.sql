-- Reading metrics over time. As long as one series key says what a filter asks for, the answer is summed from the minute
-- parts, which count every request, and whole hours are read from rollup_hours; any other filter is counted from the traces
-- themselves. Definer behind a first line that refuses non-members, as the readers of traces.

create function telltale.range_of(filter jsonb, step_s integer default 60, out since timestamptz, out till timestamptz)
language plpgsql stable
set search_path = ''
as $$
declare
  width integer := step_s;
begin
  till := coalesce(telltale.instant_of(filter, 'to'), telltale.clock());
  since := coalesce(telltale.instant_of(filter, 'from'), till - interval '15 minutes');
  if since >= till then
    raise exception 'Cannot read filter: from is not before to'
      using errcode = '22023', hint = 'from is before to; to is now, and from 15 minutes before it, unless they are given.';
  end if;
  if since < till - interval '400 days' then
    raise exception 'Cannot read filter: from is more than 400 days before to'
      using errcode = '22023', hint = 'No metrics are kept for longer than 400 days.';
  end if;
  -- Of a time whose minutes are gone there are whole hours.
  if telltale.day_of(telltale.us_of(since)) < telltale.today() - 30 then
    width := greatest(step_s, 3600);
  end if;
  since := to_timestamp(floor(extract(epoch from since) / width) * width);
  till := to_timestamp(ceil(extract(epoch from till) / step_s) * step_s);
end
$$;
comment on function telltale.range_of(jsonb, integer) is
  'The stretch of time that a filter means, to exclusive, in whole steps (in s, from the epoch on): from rounded down, to
rounded up. Raises 22023 unless from is before to, by at most 400 days.';
revoke all on function telltale.range_of(jsonb, integer) from public, anon;
grant execute on function telltale.range_of(jsonb, integer) to authenticated, service_role;

create function telltale.sources_of(filter jsonb) returns uuid[]
language plpgsql stable security definer
set search_path = ''
as $$
declare
  environments text[] := telltale.texts_in(filter, 'environment');
  services text[] := telltale.texts_in(filter, 'service');
begin
  if environments is null and services is null then
    return null;
  end if;
  return array(
    select s.source_id from telltale.sources as s
    where (environments is null or s.environment = any (environments)) and (services is null or s.service = any (services)));
end
$$;
comment on function telltale.sources_of(jsonb) is
  'The sources that a filter means by environment and service, null for all. Definer: part of the readers.';
revoke all on function telltale.sources_of(jsonb) from public, anon, authenticated, service_role;

create function telltale.series_keys_of(filter jsonb, sources uuid[]) returns text[]
language plpgsql stable security definer
set search_path = ''
as $$
declare
  call bigint := telltale.whole_number_in(filter, 'call_number');
  keys text[] := '{}';
  kinds integer := (call is not null)::int;
  kind text;
  names text[];
begin
  if exists (select from unnest(array['outcome', 'session', 'request_id', 'min_duration_ms', 'max_duration_ms', 'text']) as k
    where filter ->> k is not null) or call not between 1 and 5 then
    return null;
  end if;
  if call is not null then
    keys := array['call:' || call];
  end if;
  foreach kind in array array['tool', 'provider', 'model', 'layer'] loop
    names := telltale.texts_in(filter, kind);
    if names is not null then
      kinds := kinds + 1;
      keys := keys || array(select distinct kind || ':' || name from unnest(names) as name);
    end if;
  end loop;
  if kinds > 1 or not telltale.are_admitted(keys, sources) then
    return null;
  end if;
  return case when kinds = 0 then array['all'] else keys end;
end
$$;
comment on function telltale.series_keys_of(jsonb, uuid[]) is
  'The series keys whose cells add up to what a filter asks for: `all`, or those of its tool, provider, model, layer or call
number. Null where none can: two of these, an outcome, a session, a call beyond the fifth, a name not admitted. Definer:
part of the readers.';
revoke all on function telltale.series_keys_of(jsonb, uuid[]) from public, anon, authenticated, service_role;

create function telltale.are_admitted(keys text[], sources uuid[]) returns boolean
language sql stable security definer
set search_path = ''
as $$
  select not exists (
    select from unnest(keys) as k(key)
    cross join lateral (select split_part(k.key, ':', 1)) as name(kind)
    join telltale.sources as s on sources is null or s.source_id = any (sources)
    where k.key <> name.kind || ':other'
      and not exists (select from telltale.admitted_names as n where n.source_id = s.source_id and n.series_key = k.key)
      and (select count(*) from telltale.admitted_names as n
        where n.source_id = s.source_id and n.series_key like name.kind || ':%') >= telltale.names_max(name.kind))
$$;
comment on function telltale.are_admitted(text[], uuid[]) is
  'Whether these sources count under each of these keys all that it names: a source with no room for a name counts it as
`other`. Definer: part of the readers.';
revoke all on function telltale.are_admitted(text[], uuid[]) from public, anon, authenticated, service_role;

create function telltale.rollups_between(since timestamptz, till timestamptz, sources uuid[], whole_hours boolean)
returns table (at timestamptz, series jsonb)
language plpgsql stable security definer rows 1000
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
  first_hour timestamptz := date_trunc('hour', since + interval '59 minutes', 'UTC');
  last_hour timestamptz := date_trunc('hour', till, 'UTC');
  skewed uuid[] := telltale.skewed_between(since, till, sources);
begin
  if skewed <> '{}' then
    return query select * from telltale.moved_minutes(skewed, since, till, whole_hours);
  end if;
  if not whole_hours or first_hour >= last_hour then
    first_hour := till;
    last_hour := till;
  end if;
  return query
    select m.minute, m.series from telltale.rollup_minutes as m
    where m.minute >= since and m.minute < first_hour and (sources is null or m.source_id = any (sources))
      and m.source_id <> all (skewed)
      and m.day between (since at time zone 'UTC')::date and (first_hour at time zone 'UTC')::date;
  if last_hour < till then
    return query
      select m.minute, m.series from telltale.rollup_minutes as m
      where m.minute >= last_hour and m.minute < till and (sources is null or m.source_id = any (sources))
        and m.source_id <> all (skewed)
        and m.day between (last_hour at time zone 'UTC')::date and (till at time zone 'UTC')::date;
  end if;
  if first_hour = last_hour then
    return;
  end if;
  return query
    with changed as materialized (
      select h.hour, h.source_id from telltale.hours_due as h
      join telltale.partition_days as kept on kept.day = (h.hour at time zone 'UTC')::date
      where h.hour >= first_hour and h.hour < last_hour
      union
      select date_trunc('hour', m.minute, 'UTC'), m.source_id from telltale.rollup_minutes as m
      where m.batch_id is not null and m.minute >= first_hour and m.minute < last_hour
        and m.day between (first_hour at time zone 'UTC')::date and (last_hour at time zone 'UTC')::date
    )
    select h.hour, h.series from telltale.rollup_hours as h
    where h.hour >= first_hour and h.hour < last_hour and (sources is null or h.source_id = any (sources))
      and h.source_id <> all (skewed)
      and not exists (select from changed as c where c.hour = h.hour and c.source_id = h.source_id)
    union all
    select m.minute, m.series from changed as c
    join telltale.rollup_minutes as m on m.source_id = c.source_id and m.day = (c.hour at time zone 'UTC')::date
      and m.minute >= c.hour and m.minute < c.hour + interval '1 hour'
    where (sources is null or c.source_id = any (sources)) and c.source_id <> all (skewed)
      and m.day between (first_hour at time zone 'UTC')::date and (last_hour at time zone 'UTC')::date;
end
$$;
comment on function telltale.rollups_between(timestamptz, timestamptz, uuid[], boolean) is
  'What was counted from since (whole minutes) up to till, as rows that add up to it. With whole_hours, each whole hour of a
source comes from rollup_hours, unless it is due to be computed again or has a part that the tick has not summed: then, and
at the ends, its minutes come. So an hour is one row, and nothing is missing or counted twice. The minutes of a source whose clock is off by minutes are where
they belong. Definer: part of the readers.';
revoke all on function telltale.rollups_between(timestamptz, timestamptz, uuid[], boolean)
  from public, anon, authenticated, service_role;

create function telltale.cells_between(keys text[], since timestamptz, till timestamptz, sources uuid[], whole_hours boolean)
returns table (at timestamptz, key text, cell jsonb)
language sql stable security definer rows 1000
set search_path = ''
as $$
  -- Offset 0: each look into a series unpacks all of it, so there is one.
  select c.at, c.key, c.cell
  from (
    select r.at, k.key, r.series -> k.key as cell
    from telltale.rollups_between(since, till, sources, whole_hours) as r cross join unnest(keys) as k(key)
    offset 0
  ) as c
  where c.cell is not null
$$;
comment on function telltale.cells_between(text[], timestamptz, timestamptz, uuid[], boolean) is
  'The cells of these series keys in rollups_between. Definer: part of the readers.';
revoke all on function telltale.cells_between(text[], timestamptz, timestamptz, uuid[], boolean)
  from public, anon, authenticated, service_role;

create function telltale.stats_of(count numeric, errors numeric, seconds double precision, mean_us numeric,
  quantiles_us double precision[], bytes_in numeric, bytes_out numeric, tokens_in numeric, tokens_out numeric) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select jsonb_build_object('count', coalesce(count, 0), 'errors', coalesce(errors, 0),
    'error_rate', round(errors / nullif(count, 0), 6),
    'per_second', round((coalesce(count, 0)::double precision / greatest(seconds, 1))::numeric, 6),
    'mean_ms', round(mean_us / 1000, 3),
    'p50_ms', round(quantiles_us[1]::numeric / 1000, 3), 'p95_ms', round(quantiles_us[2]::numeric / 1000, 3),
    'p99_ms', round(quantiles_us[3]::numeric / 1000, 3),
    'bytes_in', coalesce(bytes_in, 0), 'bytes_out', coalesce(bytes_out, 0),
    'tokens_in', coalesce(tokens_in, 0), 'tokens_out', coalesce(tokens_out, 0))
$$;
comment on function telltale.stats_of(numeric, numeric, double precision, numeric, double precision[], numeric, numeric,
  numeric, numeric) is
  'Stats {count, errors, error_rate, per_second, mean_ms, p50_ms, p95_ms, p99_ms, bytes_in, bytes_out, tokens_in, tokens_out}
of a stretch of so many seconds. error_rate and the latencies (ms, to the µs) are null where nothing was counted.';
revoke all on function telltale.stats_of(numeric, numeric, double precision, numeric, double precision[], numeric, numeric,
  numeric, numeric) from public, anon, authenticated, service_role;

create function telltale.no_stats() returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$ select telltale.stats_of(0, 0, 1, null, null, 0, 0, 0, 0) $$;
comment on function telltale.no_stats() is 'Stats of nothing.';
revoke all on function telltale.no_stats() from public, anon, authenticated, service_role;

create function telltale.cell_stats(places text[], cells jsonb[], seconds double precision) returns jsonb
language plpgsql immutable
set search_path = ''
as $$
begin
  return (
    with cell as materialized (
      select c.place, c.cell from unnest(places, cells) as c(place, cell)
    ), bucket as (
      select place, index, least(sum(n), 9007199254740991) as n
      from (
        -- Zeros lie below the least index that a double can have.
        select place, -40000 as index, (cell -> 'latency' -> 'z')::bigint as n from cell
        union all
        select cell.place, b.key::int, b.value::bigint
        from cell cross join lateral jsonb_each(cell.cell -> 'latency' -> 'b') as b
      ) as counts
      group by place, index
    ), running as (
      select place, case when index = -40000 then 0 else power(2::double precision, (index + 0.5::double precision) / 32) end
        as us, sum(n) over (partition by place order by index) as seen, sum(n) over (partition by place) as total
      from bucket
    ), quantile as (
      select place, nullif(max(total), 0) as total, array[
        min(us) filter (where seen >= greatest(1, ceil(0.5 * total::double precision))),
        min(us) filter (where seen >= greatest(1, ceil(0.95 * total::double precision))),
        min(us) filter (where seen >= greatest(1, ceil(0.99 * total::double precision)))] as us
      from running group by place
    ), summed as (
      select place,
        least(sum((cell -> 'count')::bigint), 9007199254740991) as count,
        least(sum((cell -> 'errors')::bigint), 9007199254740991) as errors,
        least(sum((cell -> 'bytes_in')::bigint), 9007199254740991) as bytes_in,
        least(sum((cell -> 'bytes_out')::bigint), 9007199254740991) as bytes_out,
        least(sum((cell -> 'tokens_in')::bigint), 9007199254740991) as tokens_in,
        least(sum((cell -> 'tokens_out')::bigint), 9007199254740991) as tokens_out,
        least(sum((cell -> 'latency' -> 'sum')::bigint), 9007199254740991) as us
      from cell group by place
    )
    select coalesce(jsonb_object_agg(s.place, telltale.stats_of(s.count, s.errors, seconds, s.us / q.total, q.us,
      s.bytes_in, s.bytes_out, s.tokens_in, s.tokens_out)), '{}')
    from summed as s join quantile as q on q.place = s.place
  );
end
$$;
comment on function telltale.cell_stats(text[], jsonb[], double precision) is
  '{place: Stats} of cells of series, those of one place added up: what series_merge and histogram_quantile answer, for all
places at once, since to start a query costs far more than a row in it.';
revoke all on function telltale.cell_stats(text[], jsonb[], double precision) from public, anon, authenticated, service_role;

create function telltale.counted_where(filter jsonb, since timestamptz, till timestamptz) returns text
language sql stable security definer
set search_path = ''
as $$
  select telltale.traces_where(filter || jsonb_build_object('from', telltale.us_of(since), 'to', telltale.us_of(till)), null)
    || ' and t.duration_ms is not null and not (t.outcome = ''interrupted'' and coalesce(t.sampled ? ''concluded'', false))
      and not (t.outcome = ''interrupted'' and exists (
      select from jsonb_each(t.spans) as s
      where s.value ? ''concluded'' and s.value ->> ''process'' = t.process_id::text
        and (s.value -> ''end_us'')::bigint - (s.value -> ''start_us'')::bigint = round(t.duration_ms * 1000)))'
$$;
comment on function telltale.counted_where(jsonb, timestamptz, timestamptz) is
  'A condition in SQL on a trace t: it began in this stretch of time, the filter finds it, and it counts, which what still runs
and what the tick concluded does not. Definer: part of the readers.';
revoke all on function telltale.counted_where(jsonb, timestamptz, timestamptz)
  from public, anon, authenticated, service_role;

create function telltale.samples_of(filter jsonb, since timestamptz, till timestamptz, kinds text[]) returns text
language plpgsql stable security definer
set search_path = ''
as $$
declare
  of_call constant text := 'outcome, bytes_in, bytes_out, tokens_in, tokens_out, us from call';
  of_span constant text := 'value ->> ''outcome'', (value -> ''bytes_in'')::bigint, (value -> ''bytes_out'')::bigint,
    (value -> ''tokens_in'')::bigint, (value -> ''tokens_out'')::bigint,
    ((value -> ''end_us'')::bigint - (value -> ''start_us'')::bigint)::double precision from span';
  branch jsonb := jsonb_build_object(
    'all', 'select at, ''all'' as key, ' || of_call,
    'tool', 'select at, ''tool:'' || tool as key, ' || of_call || ' where tool is not null',
    'call', 'select at, ''call:'' || case when call_number is null then ''unknown'' when call_number > 5 then ''6+''
      else call_number::text end as key, ' || of_call,
    'layer', 'select at, ''layer:'' || (value ->> ''layer'') as key, ' || of_span,
    'provider', 'select at, ''provider:'' || (value ->> ''provider'') as key, ' || of_span
      || ' where value ->> ''layer'' = ''api'' and value ? ''provider''',
    'model', 'select at, ''model:'' || (value ->> ''model'') as key, ' || of_span
      || ' where value ->> ''layer'' = ''api'' and value ? ''model''');
begin
  return format(
    'with call as (
      select t.started_at as at, t.tool, t.call_number, t.outcome, t.bytes_in, t.bytes_out, t.tokens_in, t.tokens_out,
        t.duration_ms * 1000 as us, t.spans
      from telltale.traces as t
      where %s
    ), span as (
      select call.at, s.value from call cross join lateral jsonb_each(call.spans) as s
      where s.value ? ''end_us'' and not s.value ? ''concluded''
    )
    select at, key, outcome, bytes_in, bytes_out, tokens_in, tokens_out, us from (
      select null::timestamptz as at, null as key, null as outcome, null::bigint as bytes_in, null::bigint as bytes_out,
        null::bigint as tokens_in, null::bigint as tokens_out, null::double precision as us where false
      %s) as sample',
    telltale.counted_where(filter, since, till),
    (select string_agg('union all ' || (branch ->> kind), ' ') from unnest(kinds) as kind where branch ? kind));
end
$$;
comment on function telltale.samples_of(jsonb, timestamptz, timestamptz, text[]) is
  'A query in SQL for what the traces of a filter add to the series keys of these kinds (all, tool, call, layer, provider,
model): (at, key, outcome, bytes_in, bytes_out, tokens_in, tokens_out, us), as src/core/window.ts counts spans, but under the
start of the trace and, under all, tool and call, by its row. What still runs and what the tick concluded counts nowhere. The
spans of a trace that were let go are gone here too: layers, providers and models count those that kept them.
Definer: part of the readers.';
revoke all on function telltale.samples_of(jsonb, timestamptz, timestamptz, text[])
  from public, anon, authenticated, service_role;

create function telltale.sample_stats(samples text, place text, seconds double precision) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  answer jsonb;
begin
  execute format(
    'select coalesce(jsonb_object_agg(place, stats), ''{}'')
    from (
      select %s as place, telltale.stats_of(count(*), count(*) filter (
          where outcome in (''tool_error'', ''server_fault'', ''timeout'', ''interrupted'')), $1,
        (avg(us) filter (where us >= 0))::numeric,
        percentile_disc(array[0.5, 0.95, 0.99]) within group (order by us) filter (where us >= 0),
        sum(bytes_in), sum(bytes_out), sum(tokens_in), sum(tokens_out)) as stats
      from (%s) as sample
      group by 1
    ) as counted', place, samples) into answer using seconds;
  return answer;
end
$$;
comment on function telltale.sample_stats(text, text, double precision) is
  'Stats of samples (see samples_of) by an expression in SQL: {value: Stats}. Definer: part of the readers.';
revoke all on function telltale.sample_stats(text, text, double precision) from public, anon, authenticated, service_role;

create function telltale.seconds_of(since timestamptz, till timestamptz) returns double precision
language sql stable
set search_path = ''
as $$ select extract(epoch from least(till, greatest(telltale.clock(), since + interval '1 second')) - since)::double precision $$;
comment on function telltale.seconds_of(timestamptz, timestamptz) is
  'How long a stretch of time is in s, as far as it has passed; at least 1.';
revoke all on function telltale.seconds_of(timestamptz, timestamptz) from public, anon;
grant execute on function telltale.seconds_of(timestamptz, timestamptz) to authenticated, service_role;

create function telltale.stats_between(filter jsonb, keys text[], sources uuid[], since timestamptz, till timestamptz)
returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  seconds double precision := telltale.seconds_of(since, till);
  counted jsonb;
begin
  if keys is null then
    counted := telltale.sample_stats(telltale.samples_of(filter, since, till, array['all']), 'key', seconds);
  else
    select telltale.cell_stats(array_agg('all'::text), array_agg(c.cell), seconds) into counted
    from telltale.cells_between(keys, since, till, sources, true) as c;
  end if;
  return coalesce(counted -> 'all', telltale.no_stats());
end
$$;
comment on function telltale.stats_between(jsonb, text[], uuid[], timestamptz, timestamptz) is
  'Stats of a stretch of time: of these series keys together, or where they are null of the traces that the filter finds.
Definer: part of the readers.';
revoke all on function telltale.stats_between(jsonb, text[], uuid[], timestamptz, timestamptz)
  from public, anon, authenticated, service_role;

create function telltale.stats_by_key(filter jsonb, keys text[], sources uuid[], since timestamptz, till timestamptz)
returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  seconds double precision := telltale.seconds_of(since, till);
  counted jsonb := '{}';
begin
  if keys = array['all'] then
    select telltale.cell_stats(array_agg(c.key), array_agg(c.value), seconds) into counted
    from telltale.rollups_between(since, till, sources, true) as r cross join lateral jsonb_each(r.series) as c;
    return counted;
  end if;
  if keys is not null then
    select telltale.cell_stats(array_agg(c.key), array_agg(c.cell), seconds) into counted
    from telltale.cells_between(keys, since, till, sources, true) as c;
  end if;
  return telltale.sample_stats(telltale.samples_of(filter, since, till, array(
    select kind from unnest(array['tool', 'call', 'layer', 'provider', 'model']) as kind
    where keys is null or kind is distinct from split_part(keys[1], ':', 1))), 'key', seconds) || counted;
end
$$;
comment on function telltale.stats_by_key(jsonb, text[], uuid[], timestamptz, timestamptz) is
  '{series key: Stats} of a stretch of time. What keys do not say, such as the layers of one tool, the traces of the filter do.
Definer: part of the readers.';
revoke all on function telltale.stats_by_key(jsonb, text[], uuid[], timestamptz, timestamptz)
  from public, anon, authenticated, service_role;

create function telltale.most_counted(stats jsonb, kind text) returns jsonb
language sql immutable
set search_path = ''
as $$
  select coalesce(jsonb_agg(value || jsonb_build_object('key', name) order by count desc, name collate "C"), '[]')
  from (
    select substr(key, length(kind) + 2) as name, value, (value ->> 'count')::numeric as count
    from jsonb_each(stats)
    where starts_with(key, kind || ':')
    order by (value ->> 'count')::numeric desc, key collate "C" limit 100
  ) as listed
$$;
comment on function telltale.most_counted(jsonb, text) is
  'Of {series key: Stats} the 100 of a kind with the greatest count, as [{key: the name alone, ...Stats}].';
revoke all on function telltale.most_counted(jsonb, text) from public, anon;
grant execute on function telltale.most_counted(jsonb, text) to authenticated, service_role;

create function telltale.missing_batches(seqs int8multirange, forgotten bigint) returns bigint
language sql immutable parallel safe
set search_path = ''
as $$
  select forgotten + coalesce((
    select sum(upper(r) - lower(r))
    from unnest(case when not isempty(seqs) then int8multirange(int8range(1, upper(seqs))) - seqs end) as r), 0)::bigint
$$;
comment on function telltale.missing_batches(int8multirange, bigint) is
  'How many sequence numbers below the greatest are missing, and how many were given up: seqs and seqs_forgotten of a process.';
revoke all on function telltale.missing_batches(int8multirange, bigint) from public, anon;
grant execute on function telltale.missing_batches(int8multirange, bigint) to authenticated, service_role;

create function telltale.lost_by(sources uuid[], since timestamptz, till timestamptz) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select jsonb_build_object('processes', count(*), 'missing', coalesce(sum(missing), 0),
    'dropped', coalesce(sum(dropped), 0))
  from (
    select telltale.missing_batches(p.seqs, p.seqs_forgotten) as missing, p.rejected,
      (select coalesce(sum(d.value::numeric), 0) from jsonb_each_text(p.dropped) as d) as dropped
    from telltale.processes as p
    where p.last_seen_at >= since and p.first_seen_at < till and (sources is null or p.source_id = any (sources))
  ) as sender
  where missing > 0 or dropped > 0 or rejected > 0
$$;
comment on function telltale.lost_by(uuid[], timestamptz, timestamptz) is
  '{processes: how many that were heard of in between miss batches, dropped records or had some refused, missing: batches,
dropped: records}. Definer: part of the readers.';
revoke all on function telltale.lost_by(uuid[], timestamptz, timestamptz) from public, anon, authenticated, service_role;

create function telltale.percent_of(share numeric) returns text
language sql immutable parallel safe
set search_path = ''
as $$ select trim_scale(round(share * 100, 1))::text || ' %' $$;
comment on function telltale.percent_of(numeric) is 'A share of 1 as people read it, such as 2.5 %.';
revoke all on function telltale.percent_of(numeric) from public, anon;
grant execute on function telltale.percent_of(numeric) to authenticated, service_role;

create function telltale.health_of(total jsonb, before jsonb, recent jsonb, lost jsonb, silent interval) returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
  reasons text[] := '{}';
  status text := 'degraded';
begin
  if (recent ->> 'count')::numeric >= 5 and (recent ->> 'error_rate')::numeric > 0.2 then
    status := 'failing';
    reasons := reasons || format('%s of %s requests failed in the last five minutes (%s).', recent ->> 'errors',
      recent ->> 'count', telltale.percent_of((recent ->> 'error_rate')::numeric));
  end if;
  if silent >= interval '5 minutes' and (total ->> 'count')::numeric > 0 then
    status := 'silent';
    reasons := format('Nothing has been received for %s minutes.', floor(extract(epoch from silent) / 60)) || reasons;
  end if;
  if (total ->> 'error_rate')::numeric > 0.02 then
    reasons := reasons || format('%s of %s requests failed in the whole time (%s).', total ->> 'errors', total ->> 'count',
      telltale.percent_of((total ->> 'error_rate')::numeric));
  end if;
  if least((total ->> 'count')::numeric, (before ->> 'count')::numeric) >= 20
    and (total ->> 'p95_ms')::numeric > 2 * (before ->> 'p95_ms')::numeric then
    reasons := reasons || format('The slowest twentieth of requests took over %s ms, against %s ms in the time before.',
      round((total ->> 'p95_ms')::numeric), round((before ->> 'p95_ms')::numeric));
  end if;
  if (lost ->> 'missing')::numeric > 0 then
    reasons := reasons || format('Batches that never arrived: %s.', lost ->> 'missing');
  end if;
  if (lost ->> 'dropped')::numeric > 0 then
    reasons := reasons || format('Records that reporters had to give up: %s.', lost ->> 'dropped');
  end if;
  return jsonb_build_object('status', case when reasons = '{}' then 'ok' else status end, 'reasons', to_jsonb(reasons));
end
$$;
comment on function telltale.health_of(jsonb, jsonb, jsonb, jsonb, interval) is
  '{status, reasons: [sentence]}. silent: no batch for five minutes, though the range has requests; else failing: of at least
five requests in the last five minutes more than 20 % failed; else degraded: more than 2 % of all failed, or p95 is more than
twice that of the time before (at least 20 requests in each), or batches are missing or records dropped; else ok. `silent` is
for how long nothing has arrived, null for a range that ended before.';
revoke all on function telltale.health_of(jsonb, jsonb, jsonb, jsonb, interval) from public, anon;
grant execute on function telltale.health_of(jsonb, jsonb, jsonb, jsonb, interval) to authenticated, service_role;

create function telltale.overview(filter jsonb default '{}') returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  asked record;
  sources uuid[];
  keys text[];
  by_key jsonb;
  total jsonb;
  before jsonb;
  recent jsonb;
  clocks jsonb;
  health jsonb := '{"status": "empty", "reasons": ["Nothing has ever been received."]}';
  received timestamptz;
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
    'min_duration_ms', 'max_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
  select * into asked from telltale.range_of(filter);
  sources := telltale.sources_of(filter);
  keys := telltale.series_keys_of(filter, sources);
  by_key := telltale.stats_by_key(filter, keys, sources, asked.since, asked.till);
  total := coalesce(by_key -> 'all', telltale.stats_between(filter, keys, sources, asked.since, asked.till));
  before := telltale.stats_between(filter, keys, sources, asked.since - (asked.till - asked.since), asked.since);
  select max(p.last_seen_at) into received from telltale.processes as p
  where (sources is null or p.source_id = any (sources)) and p.source_id <> telltale.own_source();
  if received is not null then
    recent := telltale.stats_between(filter, keys, sources,
      greatest(asked.since, date_trunc('minute', least(asked.till, telltale.clock())) - interval '5 minutes'), asked.till);
    health := telltale.health_of(total, before, recent, telltale.lost_by(sources, asked.since, asked.till),
      case when asked.till >= telltale.clock() then telltale.clock() - received end);
  end if;
  clocks := telltale.clocks_off(asked.since, asked.till, sources);
  if clocks <> '[]' then
    health := jsonb_build_object('status', case when health ->> 'status' = 'ok' then 'degraded' else health ->> 'status' end,
      'reasons', (health -> 'reasons') || to_jsonb(format('The clock of %s is %s minutes %s: its requests are counted when they really ended.',
        concat_ws(' on ', clocks -> 0 ->> 'service', clocks -> 0 ->> 'instance'), abs((clocks -> 0 -> 'offset_ms')::bigint) / 60000,
        case when (clocks -> 0 -> 'offset_ms')::bigint > 0 then 'ahead' else 'behind' end)));
  end if;
  return jsonb_build_object('from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
    'source', case when keys is null then 'traces' else 'parts' end, 'total', total, 'before', before,
    'layers', telltale.most_counted(by_key, 'layer'), 'tools', telltale.most_counted(by_key, 'tool'),
    'providers', telltale.most_counted(by_key, 'provider'), 'models', telltale.most_counted(by_key, 'model'),
    'calls', telltale.most_counted(by_key, 'call'), 'connections', telltale.most_counted(by_key, 'connection'),
    'caches', telltale.most_counted(by_key, 'cache'),
    'health', health, 'clocks', clocks, 'last_received_at_us', telltale.us_of(received),
    'environments', coalesce((select jsonb_agg(name order by name collate "C") from (
      select distinct s.environment as name from telltale.sources as s
      where s.source_id <> telltale.own_source() order by 1 limit 100) as listed), '[]'),
    'services', coalesce((select jsonb_agg(name order by name collate "C") from (
      select distinct s.service as name from telltale.sources as s
      where s.source_id <> telltale.own_source() order by 1 limit 100) as listed), '[]'));
end
$$;
comment on function telltale.overview(jsonb) is
  '{from_us, to_us (whole minutes, to exclusive), source: parts | traces, total: Stats, before: Stats of as long a time before,
layers, tools, providers, models, calls, connections, caches: [{key: the name, ...Stats}], at most 100 each, the most counted
first, health: see health_of, clocks: those off by a minute or more, see clocks_off, last_received_at_us, environments, services: [name], of all}. Stats: see stats_of. Filter: as traces;
from is 15 minutes ago and to is now unless given. Parts count a request when it ended, traces when it started; with one
tool, provider, model, layer or call number the lists of the other kinds are from traces. Definer, see the file''s head.';
revoke all on function telltale.overview(jsonb) from public, anon;
grant execute on function telltale.overview(jsonb) to authenticated, service_role;

create function telltale.step_of(filter jsonb, step_s integer) returns integer
language plpgsql stable
set search_path = ''
as $$
declare
  asked record;
  least_s integer;
  step integer := step_s;
begin
  select * into asked from telltale.range_of(filter);
  least_s := case when telltale.day_of(telltale.us_of(asked.since)) < telltale.today() - 30 then 3600 else 60 end;
  if step is null then
    select s into step from unnest(array[60, 300, 900, 3600, 14400, 86400]) as s
    where s >= least_s and extract(epoch from asked.till - asked.since) + 2 * (s - 60) <= 120 * s or s = 86400
    order by s limit 1;
  end if;
  if step not between least_s and 31622400 or step % least_s <> 0 then
    raise exception 'Cannot read series: step_s is %', step
      using errcode = '22023', hint = format('step_s is a multiple of %s, or null to have it chosen.', least_s);
  end if;
  if ceil(extract(epoch from asked.till - asked.since) / step) > 1500 then
    raise exception 'Cannot read series: it has more than 1500 points'
      using errcode = '22023', hint = 'Take a greater step_s.';
  end if;
  return step;
end
$$;
comment on function telltale.step_of(jsonb, integer) is
  'How far apart the points of a series are, in s: step_s, or the least of 60, 300, 900, 3600, 14400, 86400 with at most 120
points. Raises 22023 unless it is a multiple of a minute (of an hour where minutes are gone) and gives at most 1,500 points.';
revoke all on function telltale.step_of(jsonb, integer) from public, anon;
grant execute on function telltale.step_of(jsonb, integer) to authenticated, service_role;

create function telltale.series(filter jsonb default '{}', key text default 'all', step_s integer default null) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  asked record;
  step integer;
  sources uuid[];
  keys text[];
  counted jsonb;
  nothing jsonb := telltale.no_stats();
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
    'min_duration_ms', 'max_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
  if coalesce(key, '') !~ '^(all|(layer|tool|provider|model|connection|cache):.+|call:([1-5]|6[+]|unknown))$' then
    raise exception 'Cannot read series: key is %', to_json(left(key, 100))
      using errcode = '22023', hint = 'all, or layer:, tool:, provider:, model:, connection:, cache: and a name, or call:1 to
call:5, call:6+, call:unknown.';
  end if;
  step := telltale.step_of(filter, step_s);
  select * into asked from telltale.range_of(filter, step);
  sources := telltale.sources_of(filter);
  keys := telltale.series_keys_of(filter, sources);
  if key <> 'all' then
    -- A filter and a key of another kind: only the traces know both.
    keys := case when (keys = array['all'] and telltale.are_admitted(array[key], sources)) or key = any (keys)
      then array[key] end;
  end if;
  if keys is null and key ~ '^(connection|cache):' then
    raise exception 'Cannot read series: connections and caches are not counted by what the filter asks for'
      using errcode = '22023', hint = 'With a connection or a cache the filter has from, to, environment and service alone.
One that its source had no room for is counted under connection:other or cache:other.';
  end if;
  if keys is null then
    counted := telltale.sample_stats(
      format('select at, us, outcome, bytes_in, bytes_out, tokens_in, tokens_out from (%s) as every where key = %L',
        telltale.samples_of(filter, asked.since, asked.till, array[split_part(key, ':', 1)]), key),
      format('floor(extract(epoch from at) / %s)::bigint', step), step);
  else
    select telltale.cell_stats(array_agg(floor(extract(epoch from c.at) / step)::bigint::text), array_agg(c.cell), step)
    into counted from telltale.cells_between(keys, asked.since, asked.till, sources, step % 3600 = 0) as c;
  end if;
  return jsonb_build_object('from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till), 'step_s', step,
    'key', key, 'source', case when keys is null then 'traces' else 'parts' end,
    'points', (
      select jsonb_agg((coalesce(counted -> place::text, nothing) - array['error_rate', 'per_second'])
        || jsonb_build_object('at_us', place * step * 1000000) order by place)
      from generate_series((extract(epoch from asked.since) / step)::bigint,
        (extract(epoch from asked.till) / step)::bigint - 1) as place));
end
$$;
comment on function telltale.series(jsonb, text, integer) is
  '{from_us, to_us (whole steps, to exclusive), step_s, key, source: parts | traces, points: [{at_us, count, errors, mean_ms,
p50_ms, p95_ms, p99_ms, bytes_in, bytes_out, tokens_in, tokens_out}]}: a point for every step, also where nothing was
counted; steps begin at multiples of step_s since the epoch. key is a series key, counted within the filter; see overview
for it, and step_of for step_s. Definer, see the head of this file; the first line refuses non-members with 42501.';
revoke all on function telltale.series(jsonb, text, integer) from public, anon;
grant execute on function telltale.series(jsonb, text, integer) to authenticated, service_role;
