-- What Telltale itself uses: gauges of a source of its own (telltale.own_source), which nobody's reporter is, so that it counts
-- neither as a daemon nor as a sign of life of one. The tick measures them, at most once in 60 s: Upstash bills commands.
-- And the operator's metrics under the operator's names, those of a daemon and Telltale's own apart.

create function telltale.tick_measure_resources(instance text default 'database') returns jsonb
language plpgsql volatile security definer
set search_path = ''
set lock_timeout = '2s'
as $$
declare
  own_process constant uuid := '7e117a1e-0000-8000-8000-000000000001';
  v_gauges jsonb;
begin
  lock table telltale.gauges in row exclusive mode;
  insert into telltale.sources (source_id, service, environment, instance)
  values (telltale.own_source(), 'telltale', 'telltale', 'telltale') on conflict do nothing;
  insert into telltale.processes (process_id, source_id, started_at, sdk, last_seen_at)
  values (own_process, telltale.own_source(), telltale.clock(), 'telltale-tick', 'epoch') on conflict do nothing;
  -- Whoever moves it on has the turn; so too after the clock went back.
  update telltale.processes as p set last_seen_at = telltale.clock()
  where p.process_id = own_process
    and p.last_seen_at not between telltale.clock() - interval '60 seconds' and telltale.clock() + interval '60 seconds'
    and exists (select from telltale.partition_days as d where d.day = telltale.today());
  if not found then
    return jsonb_build_object('due', false, 'done', 0, 'more', false);
  end if;
  select jsonb_agg(jsonb_build_object('name', name, 'at_us', telltale.us_of(telltale.clock()), 'value', value,
    'labels', jsonb_build_object('instance', instance)))
  into v_gauges
  from (
    select count(*) filter (where state = 'active') as active, count(*) filter (where state like 'idle%') as idle
    from pg_catalog.pg_stat_activity where datname = current_database() and coalesce(backend_type, 'client backend') = 'client backend'
  ) as pool
  cross join lateral (values ('supabase_pool_active', active::double precision), ('supabase_pool_idle', idle),
    ('database_mb', round(pg_database_size(current_database()) / 1048576.0, 3)),
    -- The pages that have the channel open know each other; the most that one of them sees.
    ('realtime_connections', (select coalesce(max(v.present), 0) from telltale.viewers as v
      where v.seen_at > telltale.clock() - interval '60 seconds'))) as measured(name, value);
  perform telltale.store_samples('[]', v_gauges, own_process);
  return jsonb_build_object('due', true, 'done', jsonb_array_length(v_gauges), 'more', false);
end
$$;
comment on function telltale.tick_measure_resources(text) is
  '{done, more, due}: due where 60 s have passed since the last time; then done counts the gauges of the database that were stored:
its connections, its size in MB, and how many pages have the live channel open. `instance` is where it is. The rest of the step is
functions/action/measure_resources.ts. Definer: no role may write the tables.';
revoke all on function telltale.tick_measure_resources(text) from public, anon, authenticated;
grant execute on function telltale.tick_measure_resources(text) to service_role;

create function telltale.store_resources(gauges jsonb) returns jsonb
language plpgsql volatile security definer
set search_path = ''
set lock_timeout = '2s'
as $$
declare
  v_gauges jsonb;
begin
  lock table telltale.gauges in row exclusive mode;
  if jsonb_array_length(gauges) > 16 then
    raise exception 'Cannot store resources: there are more than 16' using errcode = '22023';
  end if;
  select coalesce(jsonb_agg(jsonb_build_object('name', g.value ->> 'name', 'at_us', telltale.us_of(telltale.clock()),
    'value', (g.value ->> 'value')::double precision, 'labels', coalesce(g.value -> 'labels', '{}'))), '[]')
  into v_gauges
  from jsonb_array_elements(gauges) as g
  where exists (select from telltale.partition_days as d where d.day = telltale.today());
  perform telltale.store_samples('[]', v_gauges, '7e117a1e-0000-8000-8000-000000000001');
  return jsonb_build_object('done', jsonb_array_length(v_gauges));
end
$$;
comment on function telltale.store_resources(jsonb) is
  'Stores at most 16 gauges [{name, value, labels}] of now as Telltale''s own; {done}. Definer: no role may write the tables.';
revoke all on function telltale.store_resources(jsonb) from public, anon, authenticated;
grant execute on function telltale.store_resources(jsonb) to service_role;

create function telltale.gauges_between(names text[], since timestamptz, till timestamptz, sources uuid[]) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
begin
  return (
    select coalesce(jsonb_object_agg(name, instances), '{}')
    from (
      select name, jsonb_agg(jsonb_build_object('service', service, 'environment', environment, 'instance', instance,
        'labels', labels, 'samples', samples, 'mean', mean, 'max', top, 'last', last, 'last_at_us', telltale.us_of(last_at))
        order by service, environment, instance, labels) as instances
      from (
        select g.name, s.service, s.environment, s.instance, g.labels, count(*) as samples,
          round(avg(g.value)::numeric, 3) as mean, max(g.value) as top,
          (array_agg(g.value order by g.at desc, g.process_id))[1] as last, max(g.at) as last_at,
          row_number() over (partition by g.name order by max(g.at) desc, s.service, s.environment, s.instance, g.labels) as place
        from telltale.gauges as g
        join telltale.processes as p on p.process_id = g.process_id
        join telltale.sources as s on s.source_id = p.source_id
        where g.name = any (names) and g.at >= since and g.at < till
          and g.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
          and (sources is null or s.source_id = any (sources))
        group by g.name, s.service, s.environment, s.instance, g.labels
      ) as sampled
      where place <= 50
      group by name
    ) as listed
  );
end
$$;
comment on function telltale.gauges_between(text[], timestamptz, timestamptz, uuid[]) is
  '{name: [{service, environment, instance, labels, samples, mean, max, last, last_at_us}]} of these gauges, for each the 50
instances that were sampled last. Definer: part of the readers.';
revoke all on function telltale.gauges_between(text[], timestamptz, timestamptz, uuid[])
  from public, anon, authenticated, service_role;

create function telltale.merged_stats(stats jsonb) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select jsonb_build_object('count', sum(count), 'error_rate', round(sum(errors) / nullif(sum(count), 0), 6),
    'mean_ms', round(sum(mean_ms * count) / nullif(sum(count) filter (where mean_ms is not null), 0), 3))
  from (
    select (value ->> 'count')::numeric as count, (value ->> 'errors')::numeric as errors, (value ->> 'mean_ms')::numeric as mean_ms
    from jsonb_array_elements(stats)
  ) as one
$$;
comment on function telltale.merged_stats(jsonb) is
  'Of [Stats] {count, error_rate, mean_ms} of all together: a provider may be written in more than one way.';
revoke all on function telltale.merged_stats(jsonb) from public, anon;
grant execute on function telltale.merged_stats(jsonb) to authenticated, service_role;

create function telltale.performance_metrics("from" text default null, "to" text default null, filter jsonb default '{}')
returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  resources constant text[] := array['redis_memory_mb', 'redis_key_count', 'supabase_pool_active', 'supabase_pool_idle',
    'websocket_connections'];
  view jsonb;
  total jsonb;
  gauges jsonb;
  providers jsonb;
  minutes numeric;
begin
  perform telltale.require_reader();
  perform telltale.check_filter(coalesce(filter, '{}'), array['environment', 'service']);
  filter := coalesce(filter, '{}') || jsonb_strip_nulls(jsonb_build_object('from', "from", 'to', "to"));
  view := telltale.overview(filter);
  total := view -> 'total';
  minutes := telltale.seconds_of(telltale.at_of((view -> 'from_us')::bigint), telltale.at_of((view -> 'to_us')::bigint))::numeric / 60;
  gauges := telltale.gauges_between(resources || array['realtime_connections', 'database_mb'],
    telltale.at_of((view -> 'from_us')::bigint), telltale.at_of((view -> 'to_us')::bigint), telltale.sources_of(filter));
  -- Known by name however a daemon writes it; those that an operator asks for are there with or without calls.
  select jsonb_object_agg(name, stats) into providers from (
    select name, jsonb_build_object('count', coalesce((p ->> 'count')::numeric, 0),
      'average_latency_ms', p -> 'mean_ms', 'error_rate', p -> 'error_rate') as stats
    from (select distinct lower(value ->> 'key') as name from jsonb_array_elements(view -> 'providers')
      union values ('glm'), ('kimi')) as named
    left join lateral (
      select telltale.merged_stats(jsonb_agg(value)) as p from jsonb_array_elements(view -> 'providers')
      where lower(value ->> 'key') = name) as found on true
  ) as each;
  return jsonb_build_object('from_us', view -> 'from_us', 'to_us', view -> 'to_us',
    'latency_p50_ms', total -> 'p50_ms', 'latency_p95_ms', total -> 'p95_ms', 'latency_p99_ms', total -> 'p99_ms',
    'requests_per_second', total -> 'per_second',
    'bytes_per_second', round(((total ->> 'bytes_in')::numeric + (total ->> 'bytes_out')::numeric) / greatest(minutes * 60, 1), 3),
    'error_rate', total -> 'error_rate', 'errors_per_minute', round((total ->> 'errors')::numeric / greatest(minutes, 1 / 60.0), 6),
    'glm_latency_avg_ms', providers -> 'glm' -> 'average_latency_ms', 'glm_error_rate', providers -> 'glm' -> 'error_rate',
    'kimi_latency_avg_ms', providers -> 'kimi' -> 'average_latency_ms', 'kimi_error_rate', providers -> 'kimi' -> 'error_rate',
    'providers', providers, 'database_mb', coalesce(gauges -> 'database_mb', '[]'),
    'realtime_connections', coalesce(gauges -> 'realtime_connections', '[]'))
    || (select jsonb_object_agg(name, coalesce(gauges -> name, '[]')) from unnest(resources) as name);
end
$$;
comment on function telltale.performance_metrics(text, text, jsonb) is
  'The operator''s sixteen metrics from..to (ISO 8601 or µs; the last 15 minutes unless given): latency_p50_ms, latency_p95_ms,
latency_p99_ms, requests_per_second, bytes_per_second, error_rate, errors_per_minute; redis_memory_mb, redis_key_count,
supabase_pool_active, supabase_pool_idle, websocket_connections: each [{service, environment, instance, labels, samples, mean,
max, last, last_at_us}], those of service telltale being Telltale''s own; glm_latency_avg_ms, glm_error_rate, kimi_latency_avg_ms,
kimi_error_rate, and of every provider providers {name in lower case: {count, average_latency_ms, error_rate}}. Beside them
realtime_connections (pages) and database_mb. Filter: environment, service. Null: nothing was counted. Definer, see the
head of create_series_reader; the first line refuses non-members with 42501.';
revoke all on function telltale.performance_metrics(text, text, jsonb) from public, anon;
grant execute on function telltale.performance_metrics(text, text, jsonb) to authenticated, service_role;
