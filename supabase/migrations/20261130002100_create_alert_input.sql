-- Gathering what the rules are judged from: one call, set-based, whatever the number of rules. Every part of it is definer
-- and closed; alert_inputs() is for the edge alone.

create function telltale.alert_key_patterns(only_rule text) returns text[]
language sql stable security definer
set search_path = ''
as $$
  select coalesce(array_agg(distinct case when k like '%*'
    then replace(replace(replace(left(k, -1), '\', '\\'), '_', '\_'), '%', '\%') || '%'
    else replace(replace(replace(k, '\', '\\'), '_', '\_'), '%', '\%') end), '{}')
  from telltale.alert_rules as r
  cross join lateral jsonb_array_elements_text(coalesce(r.filter -> 'keys', '["all"]')) as k
  where case when only_rule is null then r.enabled else r.rule_id = only_rule end and r.kind in ('metric', 'slo')
$$;
comment on function telltale.alert_key_patterns(text) is 'The series keys that the enabled rules, or the one of that id, name, as patterns of LIKE. Definer: part of alert_inputs.';
revoke all on function telltale.alert_key_patterns(text) from public, anon, authenticated, service_role;

create function telltale.picked_series(series jsonb, patterns text[]) returns jsonb
language sql immutable
set search_path = ''
as $$ select jsonb_object_agg(key, value) from jsonb_each(series) where key like any (patterns) $$;
comment on function telltale.picked_series(jsonb, text[]) is 'The cells of these keys; null where there is none.';
revoke all on function telltale.picked_series(jsonb, text[]) from public, anon, authenticated, service_role;

create function telltale.alert_minutes(since timestamptz, till timestamptz, patterns text[]) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('minute', extract(epoch from m.minute)::bigint, 'service', m.service,
      'environment', m.environment, 'series', m.series) order by m.minute, m.service, m.environment), '[]')
    from (
      select p.minute, s.service, s.environment, telltale.series_merge(p.series) as series
      from (
        select r.minute, r.source_id, telltale.picked_series(r.series, patterns) as series
        from telltale.rollup_minutes as r
        where r.minute >= since and r.minute <= till
          and r.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
        offset 0
      ) as p
      join telltale.sources as s on s.source_id = p.source_id
      where p.series is not null
      group by p.minute, s.service, s.environment
    ) as m
  );
end
$$;
comment on function telltale.alert_minutes(timestamptz, timestamptz, text[]) is
  '[MinuteSeries] of the minutes that start from since to till, both inclusive; the one that runs is as it is now. Definer:
part of alert_inputs.';
revoke all on function telltale.alert_minutes(timestamptz, timestamptz, text[]) from public, anon, authenticated, service_role;

create function telltale.refresh_stretches(patterns text[], with_burns boolean) returns void
language plpgsql volatile security definer
set search_path = ''
set jit = off
as $$
declare
  now_at timestamptz := telltale.clock();
  usual_s integer := coalesce((select max(baseline_s) from telltale.alert_rules
    where enabled and condition = 'above_baseline'), 0);
begin
  -- A clock that went back makes what is there look fresh for ever.
  if exists (select from telltale.alert_stretches where computed_at > now_at - interval '5 minutes' and computed_at <= now_at) then
    return;
  end if;
  delete from telltale.alert_stretches;
  insert into telltale.alert_stretches (service, environment, age_s, series, computed_at)
  select s.service, s.environment, t.age_s, telltale.series_merge(t.series), now_at
  from (
    -- What is usual: the minutes of the hour before the last ten minutes, and before them whole hours.
    select 0 as age_s, m.source_id, telltale.picked_series(m.series, patterns) as series
    from telltale.rollup_minutes as m
    where usual_s > 0 and m.minute >= now_at - interval '70 minutes' and m.minute < now_at - interval '10 minutes'
      and m.day between ((now_at - interval '70 minutes') at time zone 'UTC')::date and (now_at at time zone 'UTC')::date
    union all
    select 0, h.source_id, telltale.picked_series(h.series, patterns) from telltale.rollup_hours as h
    where usual_s > 0 and h.hour >= now_at - usual_s * interval '1 second' and h.hour < now_at - interval '130 minutes'
    union all
    select 21600, m.source_id, telltale.picked_series(m.series, patterns) from telltale.rollup_minutes as m
    where with_burns and m.minute >= now_at - interval '6 hours' and m.minute < now_at - interval '1 hour'
      and m.day between ((now_at - interval '6 hours') at time zone 'UTC')::date and (now_at at time zone 'UTC')::date
    union all
    select 259200, h.source_id, telltale.picked_series(h.series, patterns) from telltale.rollup_hours as h
    where with_burns and h.hour >= now_at - interval '3 days' and h.hour < now_at - interval '7 hours'
  ) as t
  join telltale.sources as s on s.source_id = t.source_id
  where t.series is not null
  group by s.service, s.environment, t.age_s
  on conflict (service, environment, age_s) do nothing;
end
$$;
comment on function telltale.refresh_stretches(text[], boolean) is
  'Adds up the long stretches again when they are older than five minutes. An hour that a stretch begins in the midst of is
left out rather than counted twice. Definer: part of alert_inputs.';
revoke all on function telltale.refresh_stretches(text[], boolean) from public, anon, authenticated, service_role;

create function telltale.alert_burns(patterns text[]) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  now_at timestamptz := telltale.clock();
begin
  return (
    select coalesce(jsonb_agg(to_jsonb(b)), '[]') from (
      select s.service, s.environment, t.age_s, telltale.series_merge(t.series) as series
      from (
        select m.source_id, telltale.picked_series(m.series, patterns) as series,
          case when m.minute >= now_at - interval '5 minutes' then 300
            when m.minute >= now_at - interval '30 minutes' then 1800 else 3600 end as age_s
        from telltale.rollup_minutes as m
        where m.minute >= now_at - interval '1 hour' and m.minute <= now_at
          and m.day between ((now_at - interval '1 hour') at time zone 'UTC')::date and (now_at at time zone 'UTC')::date
        offset 0
      ) as t
      join telltale.sources as s on s.source_id = t.source_id
      where t.series is not null
      group by s.service, s.environment, t.age_s
      union all
      select service, environment, age_s, series from telltale.alert_stretches where age_s > 0
    ) as b
  );
end
$$;
comment on function telltale.alert_burns(text[]) is
  '[{service, environment, age_s, series}]: what was counted up to so many s ago, from the next smaller age on. Definer: part
of alert_inputs.';
revoke all on function telltale.alert_burns(text[]) from public, anon, authenticated, service_role;

create function telltale.alert_services() returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('service', h.service, 'environment', h.environment,
    'heard_us', telltale.us_of(h.heard_at), 'steady_s', extract(epoch from h.steady)::bigint)
    order by h.service, h.environment), '[]')
  from (
    select s.service, s.environment, max(p.last_seen_at) as heard_at, max(p.last_seen_at - p.first_seen_at) as steady
    from telltale.processes as p join telltale.sources as s on s.source_id = p.source_id
    where p.last_seen_at > telltale.clock() - interval '1 day'
    group by s.service, s.environment
    order by heard_at desc limit 500
  ) as h
$$;
comment on function telltale.alert_services() is '[HeardService] of the last day. Definer: part of alert_inputs.';
revoke all on function telltale.alert_services() from public, anon, authenticated, service_role;

create function telltale.alert_losses() returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('process', l.process_id, 'service', s.service, 'environment', s.environment,
    'lost', l.lost, 'seen_us', telltale.us_of(l.last_seen_at)) order by l.process_id), '[]')
  from (
    select p.process_id, p.source_id, p.last_seen_at, p.seqs_forgotten
      + coalesce((select sum(upper(r) - lower(r)) from unnest(case when isempty(p.seqs) then p.seqs
          else int8multirange(int8range(1, upper(p.seqs))) - p.seqs end) as r), 0)
      + coalesce((select sum(d.value::numeric) from jsonb_each_text(p.dropped) as d), 0) as lost
    from telltale.processes as p
    where p.last_seen_at > telltale.clock() - interval '1 hour'
    order by p.last_seen_at desc limit 1000
  ) as l
  join telltale.sources as s on s.source_id = l.source_id
  where l.lost > 0 or exists (select from telltale.alert_marks as m where m.process_id = l.process_id)
$$;
comment on function telltale.alert_losses() is
  '[Loss] of processes that were heard within the hour and lost something, or had. Definer: part of alert_inputs.';
revoke all on function telltale.alert_losses() from public, anon, authenticated, service_role;

create function telltale.alert_calls() returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
begin
  return (
    with running as materialized (
      select s.service, s.environment, coalesce(p.clock_offset_us, 0) as offset_us, c.value as call
      from telltale.processes as p
      join telltale.sources as s on s.source_id = p.source_id
      cross join lateral jsonb_array_elements(p.running) as c
      where p.running_total > 0 and telltale.is_alive(p)
      order by (c.value -> 'start_us')::bigint limit 500
    ), known as (
      select r.*, t.tool, t.started_at, t.spans -> (r.call ->> 'span_id') ->> 'holder' as holder
      from running as r
      left join telltale.trace_days as d on d.trace_id = r.call ->> 'trace_id'
      left join telltale.traces as t on t.trace_id = d.trace_id and t.day = d.day
    )
    select jsonb_build_object(
      'calls', coalesce(jsonb_agg(jsonb_build_object('service', service, 'environment', environment,
        'tool', coalesce(call ->> 'tool', tool), 'trace_id', call -> 'trace_id',
        'start_us', least((call -> 'start_us')::bigint, telltale.us_of(started_at)) + offset_us)), '[]'),
      'waits', coalesce(jsonb_agg(jsonb_build_object('service', service, 'environment', environment,
        'permit', call -> 'name', 'trace_id', call -> 'trace_id', 'start_us', (call -> 'start_us')::bigint + offset_us,
        'end_us', null, 'holder', holder)) filter (where starts_with(call ->> 'name', 'permit ')), '[]'))
    from known
  );
end
$$;
comment on function telltale.alert_calls() is
  '{calls: [LongCall], waits: [LongWait]} of the 500 calls that have run longest, by the edge''s clock. Definer: part of alert_inputs.';
revoke all on function telltale.alert_calls() from public, anon, authenticated, service_role;

create function telltale.alert_waits(since timestamptz, till timestamptz, least_ms double precision) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('service', s.service, 'environment', s.environment,
      'permit', w.value -> 'name', 'trace_id', t.trace_id, 'holder', w.value -> 'holder',
      'start_us', (w.value -> 'start_us')::bigint, 'end_us', (w.value -> 'end_us')::bigint)), '[]')
    from (
      select r.trace_id, r.process_id, r.spans from telltale.traces as r
      where r.duration_ms is not null and r.changed_at >= since and r.changed_at <= till and r.wait_ms >= least_ms
      order by r.changed_at desc limit 200
    ) as t
    join telltale.processes as p on p.process_id = t.process_id
    join telltale.sources as s on s.source_id = p.source_id
    cross join lateral jsonb_each(t.spans) as w
    where w.value ->> 'kind' = 'wait' and starts_with(w.value ->> 'name', 'permit ')
      and (w.value -> 'end_us')::bigint - (w.value -> 'start_us')::bigint >= least_ms * 1000
  );
end
$$;
comment on function telltale.alert_waits(timestamptz, timestamptz, double precision) is
  '[LongWait] that ended in calls changed from since to till and took so many ms, of 200 calls. Definer: part of alert_inputs.';
revoke all on function telltale.alert_waits(timestamptz, timestamptz, double precision)
  from public, anon, authenticated, service_role;

create function telltale.alert_errors(since timestamptz, till timestamptz) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('service', e.service, 'environment', e.environment,
      'fingerprint', e.fingerprint, 'error_type', e.sample -> 'error_type', 'message', left(e.sample ->> 'message', 500),
      'trace_id', e.sample -> 'trace_id', 'first_us', telltale.us_of(e.first_at), 'last_us', telltale.us_of(e.last_at),
      'count', e.count, 'reopened_us', telltale.us_of(e.reopened_at), 'ignored', e.ignored)
      order by e.last_at desc, e.fingerprint), '[]')
    from (
      select l.*, s.reopened_at, coalesce(s.state = 'ignored' and s.reopened_at is null
        and coalesce(s.until, 'infinity') > telltale.clock(), false) as ignored
      from (
        -- When it was first stored, not when it first happened: what comes late is as new as it is to whoever is told.
        -- But of what an import brings from before yesterday nobody is woken.
        select g.fingerprint, s.service, s.environment, min(g.noticed_at) as first_at, max(g.last_seen_at) as last_at,
          sum(g.count) as count, (array_agg(g.sample order by g.last_seen_at desc))[1] as sample
        from telltale.error_groups as g join telltale.sources as s on s.source_id = g.source_id
        where g.fingerprint in (
          select r.fingerprint from telltale.error_groups as r
          where (r.last_seen_at >= since or r.noticed_at >= since) and r.last_seen_at >= till - interval '1 day'
          order by r.last_seen_at desc limit 200)
        group by g.fingerprint, s.service, s.environment
        having max(g.last_seen_at) >= till - interval '1 day' and min(g.noticed_at) <= till
      ) as l
      left join telltale.error_group_states as s on s.fingerprint = l.fingerprint
    ) as e
  );
end
$$;
comment on function telltale.alert_errors(timestamptz, timestamptz) is
  '[ErrorSign]: the 200 groups that were last seen, of those seen or first stored since and not first after till, nor last seen a day
before; first_us is when it was first stored. Definer: part of alert_inputs.';
revoke all on function telltale.alert_errors(timestamptz, timestamptz) from public, anon, authenticated, service_role;

create function telltale.alert_anomalies(since timestamptz) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  answer jsonb := '[]';
begin
  if to_regclass('telltale.anomalies') is not null then
    execute $query$
      select coalesce(jsonb_agg(jsonb_build_object('service', a.service, 'environment', a.environment,
        'anomaly_id', a.anomaly_id, 'incident_id', a.incident_id, 'series_key', a.series_key, 'metric', a.metric,
        'score', a.score, 'seen', a.seen, 'started_us', telltale.us_of(a.started_at), 'ended_us', telltale.us_of(a.ended_at),
        'expected', jsonb_build_object('low', a.expected -> 'low', 'mid', a.expected -> 'mid', 'high', a.expected -> 'high'))), '[]')
      from (select * from telltale.anomalies where ended_at is null or ended_at >= $1
        order by started_at desc limit 200) as a $query$ into answer using since;
  end if;
  return answer;
end
$$;
comment on function telltale.alert_anomalies(timestamptz) is
  '[AnomalySign]: 200 of those that last or ended since; none where no detector is installed. Definer: part of alert_inputs.';
revoke all on function telltale.alert_anomalies(timestamptz) from public, anon, authenticated, service_role;

create function telltale.alert_rules_data(only_rule text) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select coalesce(jsonb_agg(to_jsonb(r) - array['changed_at'] order by r.rule_id), '[]')
  from telltale.alert_rules as r
  where case when only_rule is null then r.enabled else r.rule_id = only_rule end
$$;
comment on function telltale.alert_rules_data(text) is '[AlertRule]: the enabled ones, or the one of that id. Definer: part of alert_inputs.';
revoke all on function telltale.alert_rules_data(text) from public, anon, authenticated, service_role;

create function telltale.alert_open() returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('alert_id', a.alert_id, 'rule_id', a.rule_id, 'group_key', a.group_key,
    'state', a.state, 'severity', a.severity, 'topic', a.topic, 'service', a.service, 'environment', a.environment,
    'started_us', telltale.us_of(a.started_at), 'fired_us', telltale.us_of(a.fired_at), 'seen_us', telltale.us_of(a.seen_at),
    'clear_us', telltale.us_of(a.clear_at), 'notified', a.notified, 'silenced', a.silenced, 'under', a.under,
    'under_resolved_us', telltale.us_of(l.resolved_at)) order by a.started_at, a.alert_id), '[]')
  from telltale.alerts as a left join telltale.alerts as l on l.alert_id = a.under
  where a.state <> 'resolved'
$$;
comment on function telltale.alert_open() is '[OpenAlert]: those that are not resolved. Definer: part of alert_inputs.';
revoke all on function telltale.alert_open() from public, anon, authenticated, service_role;

create function telltale.alert_inputs() returns jsonb
language plpgsql volatile security definer
set search_path = ''
set jit = off
as $$
declare
  now_at timestamptz := telltale.clock();
  v_state telltale.alert_state;
  patterns text[] := telltale.alert_key_patterns(null);
  kinds text[];
  with_burns boolean;
  with_gauges boolean;
  metric_s integer;
  errors_s integer;
  waits_s integer;
  least_ms double precision;
  running jsonb := '{"calls": [], "waits": []}';
begin
  select * into v_state from telltale.alert_state;
  select coalesce(array_agg(distinct kind), '{}'), coalesce(bool_or(metric = 'gauge'), false),
    coalesce(max(window_s) filter (where kind = 'metric'), 0),
    coalesce(max(window_s) filter (where kind in ('errors', 'leak')), 0),
    coalesce(max(window_s) filter (where kind = 'starvation'), 0),
    min(threshold) filter (where kind = 'starvation')
  into kinds, with_gauges, metric_s, errors_s, waits_s, least_ms
  from telltale.alert_rules where enabled;
  with_burns := 'slo' = any (kinds);
  perform telltale.refresh_stretches(patterns, with_burns);
  if kinds && array['stuck', 'starvation'] then
    running := telltale.alert_calls();
  end if;
  return jsonb_build_object('now_us', telltale.us_of(now_at), 'revision', v_state.revision,
    'pushed_revision', v_state.pushed_revision, 'watched', telltale.is_watched(),
    'rules', telltale.alert_rules_data(null), 'open', telltale.alert_open(),
    'silences', (
      select coalesce(jsonb_agg(jsonb_build_object('silence_id', s.silence_id, 'rule_id', s.rule_id, 'service', s.service,
        'environment', s.environment, 'starts_us', telltale.us_of(s.starts_at), 'ends_us', telltale.us_of(s.ends_at),
        'repeat_s', s.repeat_s) order by s.silence_id), '[]')
      from telltale.alert_silences as s where s.ends_at > now_at or s.repeat_s is not null),
    'marks', (
      select coalesce(jsonb_agg(jsonb_build_object('rule_id', m.rule_id, 'process', m.process_id, 'lost', m.lost,
        'grew_us', telltale.us_of(m.grew_at))), '[]')
      from telltale.alert_marks as m
      join telltale.processes as p on p.process_id = m.process_id and p.last_seen_at > now_at - interval '1 hour'),
    'minutes', case when metric_s = 0 then '[]'
      else telltale.alert_minutes(date_trunc('minute', now_at - metric_s * interval '1 second'), now_at, patterns) end,
    'baselines', (
      select coalesce(jsonb_agg(jsonb_build_object('service', t.service, 'environment', t.environment, 'series', t.series)), '[]')
      from telltale.alert_stretches as t where t.age_s = 0),
    'burns', case when with_burns then telltale.alert_burns(patterns) else '[]' end,
    'services', case when 'no_data' = any (kinds) then telltale.alert_services() else '[]' end,
    'losses', case when 'gap' = any (kinds) then telltale.alert_losses() else '[]' end,
    'calls', running -> 'calls',
    'waits', (running -> 'waits') || case when least_ms is null then '[]'
      else telltale.alert_waits(now_at - waits_s * interval '1 second', now_at, least_ms) end,
    'errors', case when errors_s = 0 then '[]'
      else telltale.alert_errors(now_at - errors_s * interval '1 second', now_at) end,
    'gauges', case when with_gauges then (
      select coalesce(jsonb_agg(jsonb_build_object('service', g.value -> 'service', 'environment', g.value -> 'environment',
        'name', g.value -> 'name', 'at_us', g.value -> 'at_us', 'value', g.value -> 'value',
        'labels', (select coalesce(string_agg(l.key || '=' || l.value, ' ' order by l.key), '')
          from jsonb_each_text(g.value -> 'labels') as l))), '[]')
      from jsonb_array_elements(telltale.live_gauges()) as g
      where g.value ->> 'name' in (select filter ->> 'gauge' from telltale.alert_rules where enabled)) else '[]' end,
    'anomalies', case when 'anomaly' = any (kinds) then telltale.alert_anomalies(now_at - interval '1 hour') else '[]' end);
end
$$;
comment on function telltale.alert_inputs() is
  'AlertInputs (src/core/alert/alert_input.ts) of now, with pushed_revision and watched. Volatile: it adds up again what it
keeps of long stretches. Definer: for the edge alone.';
revoke all on function telltale.alert_inputs() from public, anon, authenticated;
grant execute on function telltale.alert_inputs() to service_role;
