-- What the detector asks for and what it stores. It thinks in TypeScript (functions/action/detect_anomalies.ts); here its
-- points are gathered in one statement and its findings stored in one transaction, which nothing stores twice: a look names
-- the revision that it read, and stores nothing where another has stored since.
-- All are definer: no role may write the tables, and the readers of what is gathered are part of it.

create function telltale.detector_cells(service text, environment text, since timestamptz, till timestamptz)
returns table (series_key text, at bigint, count bigint, errors bigint, p95_ms double precision)
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
begin
  return query
  with cell as materialized (
    select c.key, m.minute, (c.value -> 'count')::bigint as count, (c.value -> 'errors')::bigint as errors,
      c.value -> 'latency' as latency
    from telltale.sources as s
    join telltale.rollup_minutes as m on m.source_id = s.source_id
    cross join lateral jsonb_each(m.series) as c
    where s.service = detector_cells.service and s.environment = detector_cells.environment
      and m.minute >= since and m.minute < till
      and m.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
      and (c.key = 'all' or split_part(c.key, ':', 1) in ('layer', 'tool', 'provider', 'call'))
  ), counted as (
    select key, minute, sum(count)::bigint as count, sum(errors)::bigint as errors, sum((latency -> 'z')::bigint) as zeros
    from cell group by key, minute
  ), bucket as (
    select cell.key, cell.minute, b.key::int as index, sum(b.value::bigint) as n
    from cell cross join lateral jsonb_each(cell.latency -> 'b') as b
    group by 1, 2, 3
  ), running as (
    select b.key, b.minute, b.index, c.zeros + sum(b.n) over (partition by b.key, b.minute order by b.index) as seen,
      c.zeros + sum(b.n) over (partition by b.key, b.minute) as total
    from bucket as b join counted as c on c.key = b.key and c.minute = b.minute
  ), ranked as (
    -- The least that one call alone cannot make: of few calls the greatest is not looked at.
    select r.key, r.minute, min(r.index) as index
    from running as r
    where r.seen >= greatest(1, least(ceil(0.95 * r.total), r.total - 1 - floor(r.total / 40)))
    group by r.key, r.minute
  )
  select c.key, extract(epoch from c.minute)::bigint, c.count, c.errors,
    power(2::double precision, (r.index + 0.5::double precision) / 32) / 1000
  from counted as c left join ranked as r on r.key = c.key and r.minute = c.minute;
end
$$;
comment on function telltale.detector_cells(text, text, timestamptz, timestamptz) is
  'The minutes [since, till) of the series that are watched: start (s since the epoch), calls, failures, and their p95 in ms,
which of less than 40 calls is at most the second greatest. Definer: part of detector_work.';
revoke all on function telltale.detector_cells(text, text, timestamptz, timestamptz)
  from public, anon, authenticated, service_role;

create function telltale.detector_gauges(service text, environment text, since timestamptz, till timestamptz)
returns table (series_key text, at bigint, value double precision)
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
begin
  return query
  select left('gauge:' || g.name || case when g.labels - 'instance' = '{}' then '' else (g.labels - 'instance')::text end
      || '@' || coalesce(g.labels ->> 'instance', s.instance), 1000),
    (floor(extract(epoch from g.at) / 60) * 60)::bigint, avg(g.value)
  from telltale.gauges as g
  join telltale.processes as p on p.process_id = g.process_id
  join telltale.sources as s on s.source_id = p.source_id
  where s.service = detector_gauges.service and s.environment = detector_gauges.environment
    and g.at >= since and g.at < till
    and g.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
    and g.value between -1e300 and 1e300
  group by 1, 2;
end
$$;
comment on function telltale.detector_gauges(text, text, timestamptz, timestamptz) is
  'The mean of each gauge''s samples in each minute of [since, till), by name, labels and instance. Definer: part of
detector_work.';
revoke all on function telltale.detector_gauges(text, text, timestamptz, timestamptz)
  from public, anon, authenticated, service_role;

create function telltale.is_detector_due(d telltale.detectors) returns boolean
language sql stable security definer
set search_path = ''
as $$
  select (d.looked_at <= telltale.clock() - interval '4 seconds' or d.committed_to < telltale.clock() - interval '720 seconds')
    and (exists (select from telltale.sources as s join telltale.processes as p on p.source_id = s.source_id
        where s.service = d.service and s.environment = d.environment
          and p.last_seen_at > telltale.clock() - interval '1 day')
      or exists (select from telltale.anomalies as a
        where a.service = d.service and a.environment = d.environment and a.ended_at is null))
$$;
comment on function telltale.is_detector_due(telltale.detectors) is
  'Whether it looked 4 s ago or is behind, and there is something to look at: somebody sent something in the last day, or an
anomaly lasts. Definer: part of detector_work.';
revoke all on function telltale.is_detector_due(telltale.detectors) from public, anon, authenticated, service_role;

create function telltale.detector_next() returns telltale.detectors
language plpgsql volatile security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  v_now timestamptz := telltale.clock();
  v_next telltale.detectors;
begin
  insert into telltale.detectors (service, environment, committed_to, looked_at)
  select s.service, s.environment,
    coalesce((select min(m.minute) from telltale.rollup_minutes as m where m.source_id = any (array_agg(s.source_id))
      and m.minute >= date_trunc('minute', v_now - interval '1 day')
      and m.day between ((v_now - interval '1 day') at time zone 'UTC')::date and (v_now at time zone 'UTC')::date),
      date_trunc('minute', v_now - interval '10 minutes')), '-infinity'
  from telltale.sources as s
  where not exists (select from telltale.detectors as d where d.service = s.service and d.environment = s.environment)
    and exists (select from telltale.processes as p
      where p.source_id = s.source_id and p.last_seen_at > v_now - interval '1 day')
  group by s.service, s.environment
  order by s.service, s.environment
  on conflict (service, environment) do nothing;
  select d.* into v_next from telltale.detectors as d
  where telltale.is_detector_due(d)
  order by d.looked_at, d.service, d.environment
  limit 1 for no key update of d skip locked;
  if not found then
    return null;
  end if;
  -- Whatever becomes of this look, the others come first then.
  update telltale.detectors as d set looked_at = v_now
  where d.service = v_next.service and d.environment = v_next.environment;
  return v_next;
end
$$;
comment on function telltale.detector_next() is
  'The detector that is due and looked longest ago; one is made for whoever sent something in the last
day. Null: none is due. Definer: part of detector_work.';
revoke all on function telltale.detector_next() from public, anon, authenticated, service_role;

create function telltale.detector_work() returns jsonb
language plpgsql volatile security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := telltale.clock();
  v_minute timestamptz := date_trunc('minute', v_now);
  v_next telltale.detectors := telltale.detector_next();
  v_from timestamptz;
  v_to timestamptz;
  v_learned jsonb := '[]';
  v_looked jsonb := '[]';
  v_series jsonb;
begin
  if v_next.service is null then
    return null;
  end if;
  v_from := greatest(v_next.committed_to, date_trunc('minute', v_now - interval '1 day'));
  v_to := least(v_from + interval '60 minutes', date_trunc('minute', v_now - interval '120 seconds'));
  if v_to >= v_from + interval '300 seconds' then
    with point as (
      select c.series_key, c.at, jsonb_build_array(c.at, c.count, c.errors, c.p95_ms) as values, c.count as weight
      from telltale.detector_cells(v_next.service, v_next.environment, v_from, v_to) as c
      union all
      select g.series_key, g.at, jsonb_build_array(g.at, g.value), 1
      from telltale.detector_gauges(v_next.service, v_next.environment, v_from, v_to) as g
    ), listed as (
      select p.series_key, jsonb_agg(p.values order by p.at) as points, sum(p.weight) as weight,
        exists (select from telltale.detector_series as d where d.service = v_next.service
          and d.environment = v_next.environment and d.series_key = p.series_key) as known
      from point as p group by p.series_key
    ), ranked as (
      select l.*, row_number() over (partition by starts_with(l.series_key, 'gauge:')
        order by l.known desc, l.weight desc, l.series_key) as place
      from listed as l
    )
    select coalesce(jsonb_agg(jsonb_build_array(series_key, points) order by place, series_key), '[]')
    into v_learned from ranked
    where place <= case when starts_with(series_key, 'gauge:') then 60 else 180 end;
  else
    v_to := null;
  end if;
  -- A detector that is behind does not know yet what is usual.
  if coalesce(v_to, v_from) >= v_minute - interval '720 seconds' then
    select coalesce(jsonb_agg(jsonb_build_array(series_key, points) order by series_key), '[]') into v_looked
    from (
      select c.series_key, jsonb_agg(jsonb_build_array(c.at, c.count, c.errors, c.p95_ms) order by c.at) as points
      from telltale.detector_cells(v_next.service, v_next.environment,
        greatest(coalesce(v_to, v_from), v_minute - interval '1 minute'), v_minute + interval '1 minute') as c
      group by c.series_key
    ) as looked;
  end if;
  with open as (
    select a.* from telltale.anomalies as a
    where a.service = v_next.service and a.environment = v_next.environment and a.ended_at is null
  ), suspect as (
    select l.value ->> 0 as series_key, max((p.value ->> 3)::double precision) as p95_ms,
      max((p.value ->> 2)::double precision / greatest(1, (p.value ->> 1)::double precision)) as error_rate
    from jsonb_array_elements(v_looked) as l cross join lateral jsonb_array_elements(l.value -> 1) as p
    group by 1
  ), needed as (
    select d.series_key, d.metric, d.state, d.anomaly_id
    from telltale.detector_series as d
    left join suspect as s on s.series_key = d.series_key
    where d.service = v_next.service and d.environment = v_next.environment
      and ((v_to is not null and (d.metric = 'throughput' or d.series_key in (select l.value ->> 0
          from jsonb_array_elements(v_learned) as l)))
        or d.look_above < case d.metric when 'p95_ms' then s.p95_ms when 'error_rate' then s.error_rate end
        or exists (select from open as o where o.series_key = d.series_key and o.metric = d.metric))
    union all
    select o.series_key, o.metric, null, o.anomaly_id from open as o
    where not exists (select from telltale.detector_series as d where d.service = o.service
      and d.environment = o.environment and d.series_key = o.series_key and d.metric = o.metric)
  )
  select coalesce(jsonb_agg(jsonb_build_object('series_key', n.series_key, 'metric', n.metric, 'state', n.state,
    'anomaly', (select telltale.detector_anomaly(a) from telltale.anomalies as a
      where a.anomaly_id = coalesce((select o.anomaly_id from open as o
        where o.series_key = n.series_key and o.metric = n.metric), n.anomaly_id)))
    order by n.series_key, n.metric), '[]')
  into v_series from needed as n;
  return jsonb_build_object('service', v_next.service, 'environment', v_next.environment, 'revision', v_next.revision,
    'from', extract(epoch from v_from)::bigint, 'to', extract(epoch from v_to)::bigint,
    'now', extract(epoch from v_now)::double precision, 'learn', v_learned, 'look', v_looked, 'series', v_series,
    'more', coalesce(v_to, v_from) < v_minute - interval '720 seconds' or exists (select from telltale.detectors as d
      where (d.service, d.environment) <> (v_next.service, v_next.environment) and telltale.is_detector_due(d)),
    'known', (select jsonb_build_object('calls', count(*) filter (where d.metric <> 'gauge'),
        'gauges', count(*) filter (where d.metric = 'gauge'))
      from telltale.detector_series as d where d.service = v_next.service and d.environment = v_next.environment),
    'recent', (select coalesce(jsonb_agg(telltale.detector_anomaly(a)), '[]') from (
      select m.* from telltale.anomalies as m
      where m.incident_id in (
        select i.incident_id from telltale.incidents as i
        where i.service = v_next.service and i.environment = v_next.environment
          and (i.ended_at is null or i.ended_at >= v_from - interval '180 seconds'))
      order by m.started_at desc, m.anomaly_id limit 500) as a));
end
$$;
comment on function telltale.detector_work() is
  'What the detector of one service and environment has to look at, null where none is due: {service, environment, revision,
from, to: the minutes to learn, to null: none yet, now, more: whether another is due, learn, look: [[series key, [[at, calls, failures, p95 in ms] or
[at, gauge]]]], series: [{series_key, metric, state, anomaly}] that need one, known: {calls, gauges}: how many there are, recent: anomalies
of incidents that last or ended just now}. At most an hour of 180 series and 60 gauges is learned at once, those known and the
busiest first; minutes that ended less than 120 s ago are not learned, and 300 s of them at once, since states are large. Times are
s since the epoch. Definer, see the head of this file.';
revoke all on function telltale.detector_work() from public, anon, authenticated;
grant execute on function telltale.detector_work() to service_role;

create function telltale.detector_anomaly(a telltale.anomalies) returns jsonb
language sql immutable
set search_path = ''
as $$
  select jsonb_build_object('anomaly_id', a.anomaly_id, 'series_key', a.series_key, 'metric', a.metric, 'score', a.score,
    'expected', a.expected, 'seen', a.seen, 'started_at', extract(epoch from a.started_at)::double precision,
    'last_at', extract(epoch from a.last_at)::double precision,
    'ended_at', extract(epoch from a.ended_at)::double precision, 'incident_id', a.incident_id, 'place', a.place)
$$;
comment on function telltale.detector_anomaly(telltale.anomalies) is
  'An anomaly as the detector takes and gives it; times are s since the epoch.';
revoke all on function telltale.detector_anomaly(telltale.anomalies) from public, anon, authenticated;
grant execute on function telltale.detector_anomaly(telltale.anomalies) to service_role;

create function telltale.store_detections(findings jsonb) returns boolean
language plpgsql volatile security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
  v_service constant text := findings ->> 'service';
  v_environment constant text := findings ->> 'environment';
begin
  update telltale.detectors as d set revision = d.revision + 1,
    committed_to = coalesce(to_timestamp((findings ->> 'to')::double precision), d.committed_to)
  where d.service = v_service and d.environment = v_environment and d.revision = (findings ->> 'revision')::bigint;
  if not found then
    return false;
  end if;
  insert into telltale.incidents (incident_id, service, environment, series_key, metric, score, anomalies, started_at, last_at)
  select distinct on (a.incident_id) a.incident_id, v_service, v_environment, a.series_key, a.metric, a.score, 1,
    to_timestamp(a.started_at), to_timestamp(a.last_at)
  from jsonb_to_recordset(findings -> 'anomalies') as a(incident_id uuid, series_key text, metric text,
    score double precision, started_at double precision, last_at double precision, place integer)
  order by a.incident_id, a.place
  on conflict (incident_id) do nothing;
  insert into telltale.anomalies as t (anomaly_id, service, environment, series_key, metric, score, expected, seen,
    started_at, last_at, ended_at, incident_id, place)
  select a.anomaly_id, v_service, v_environment, a.series_key, a.metric, a.score, a.expected, a.seen,
    to_timestamp(a.started_at), to_timestamp(a.last_at), to_timestamp(a.ended_at), a.incident_id, a.place
  from jsonb_to_recordset(findings -> 'anomalies') as a(anomaly_id uuid, series_key text, metric text,
    score double precision, expected jsonb, seen double precision, started_at double precision, last_at double precision,
    ended_at double precision, incident_id uuid, place integer)
  on conflict (anomaly_id) do update set score = excluded.score, expected = excluded.expected, seen = excluded.seen,
    started_at = excluded.started_at, last_at = excluded.last_at, ended_at = excluded.ended_at, place = excluded.place;
  update telltale.incidents as i set series_key = w.series_key, metric = w.metric, score = w.score, anomalies = w.anomalies,
    started_at = w.started_at, last_at = w.last_at, ended_at = w.ended_at
  from (
    select a.incident_id, (array_agg(a.series_key order by a.place, a.anomaly_id))[1] as series_key,
      (array_agg(a.metric order by a.place, a.anomaly_id))[1] as metric, max(a.score) as score, count(*) as anomalies,
      min(a.started_at) as started_at, max(a.last_at) as last_at,
      case when bool_and(a.ended_at is not null) then max(a.ended_at) end as ended_at
    from telltale.anomalies as a
    where a.incident_id in (select (f.value ->> 'incident_id')::uuid
      from jsonb_array_elements(findings -> 'anomalies') as f)
    group by a.incident_id
  ) as w
  where i.incident_id = w.incident_id;
  insert into telltale.detector_series as t (service, environment, series_key, metric, state, look_above, seen_at, anomaly_id)
  select v_service, v_environment, s.series_key, s.metric, s.state, s.look_above, to_timestamp(s.seen_at), s.anomaly_id
  from jsonb_to_recordset(findings -> 'series') as s(series_key text, metric text, state jsonb,
    look_above double precision, seen_at double precision, anomaly_id uuid)
  where s.state is not null
  on conflict (service, environment, series_key, metric) do update set state = excluded.state,
    look_above = excluded.look_above, seen_at = excluded.seen_at, anomaly_id = excluded.anomaly_id;
  return true;
end
$$;
comment on function telltale.store_detections(jsonb) is
  'Stores what a look found, {service, environment, revision, to, series: [{series_key, metric, state, look_above, seen_at,
anomaly_id}], anomalies: [as detector_anomaly]}, and answers true; or stores nothing, where the revision is no longer the
one that was read. Definer, see the head of this file.';
revoke all on function telltale.store_detections(jsonb) from public, anon, authenticated;
grant execute on function telltale.store_detections(jsonb) to service_role;
