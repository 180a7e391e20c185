-- What was abnormal: anomalies of single series, and the incidents that they belong to. The detector itself is in TypeScript
-- (src/core/anomaly); here is what it remembers of each series, and what it found. Rows come only through the tick.

create table telltale.detectors (
  service text not null,
  environment text not null,
  revision bigint not null default 0,
  committed_to timestamptz not null,
  looked_at timestamptz not null,
  primary key (service, environment),
  constraint detectors_commit_whole_minutes check (extract(second from committed_to) = 0)
);
comment on table telltale.detectors is 'How far the detector of a service in an environment has come.';
comment on column telltale.detectors.service is 'Whose series it watches.';
comment on column telltale.detectors.environment is 'And where that runs.';
comment on column telltale.detectors.revision is
  'Grows with each look that was stored: a look that read an older one is not stored.';
comment on column telltale.detectors.committed_to is
  'The states know every minute before this one, and will not learn of what comes for them later.';
comment on column telltale.detectors.looked_at is 'When it last looked; the one that looked longest ago is next.';

create table telltale.detector_series (
  service text not null,
  environment text not null,
  series_key text not null,
  metric text not null,
  state jsonb not null,
  look_above double precision,
  seen_at timestamptz not null,
  anomaly_id uuid,
  primary key (service, environment, series_key, metric),
  foreign key (service, environment) references telltale.detectors on delete cascade,
  constraint detector_series_measure_something check (metric in ('p95_ms', 'error_rate', 'throughput', 'gauge')),
  constraint detector_series_have_short_keys check (octet_length(series_key) <= 1024),
  constraint detector_series_have_small_states check (octet_length(state::text) <= 8192)
);
create index detector_series_by_sight on telltale.detector_series (seen_at);
comment on table telltale.detector_series is
  'What the detector remembers of each series that it watches; at most 180 of calls and 60 gauges in each.';
comment on column telltale.detector_series.service is 'Whose series it is.';
comment on column telltale.detector_series.environment is 'And where that runs.';
comment on column telltale.detector_series.series_key is
  'all, layer:X, tool:X, provider:X, call:N, or gauge:<name>, with @<instance> where several instances have it.';
comment on column telltale.detector_series.metric is 'p95_ms, error_rate, throughput or gauge.';
comment on column telltale.detector_series.state is 'The detector''s own, see src/core/anomaly/detector.ts.';
comment on column telltale.detector_series.look_above is
  'The running minute is worth a look when its value is above this, in the metric''s unit; null: never.';
comment on column telltale.detector_series.seen_at is 'The last minute in which there was something of it.';
comment on column telltale.detector_series.anomaly_id is 'Its anomaly that lasts, or the last one that ended.';

create table telltale.incidents (
  incident_id uuid primary key,
  service text not null,
  environment text not null,
  series_key text not null,
  metric text not null,
  score double precision not null,
  anomalies integer not null,
  started_at timestamptz not null,
  last_at timestamptz not null,
  ended_at timestamptz,
  constraint incidents_score_from_0_to_1 check (score between 0 and 1),
  constraint incidents_end_after_they_start check (started_at <= last_at and last_at <= ended_at),
  constraint incidents_have_anomalies check (anomalies >= 1)
);
create index incidents_by_start on telltale.incidents (started_at desc, incident_id desc);
create index incidents_that_last on telltale.incidents (service, environment) where ended_at is null;
comment on table telltale.incidents is
  'Anomalies of one service and environment that began close together or belong to one another; kept 400 days.';
comment on column telltale.incidents.incident_id is 'Derived from its first anomaly.';
comment on column telltale.incidents.service is 'Where it happens.';
comment on column telltale.incidents.environment is 'And where that runs.';
comment on column telltale.incidents.series_key is 'The likeliest root: the series of its anomaly at place 1.';
comment on column telltale.incidents.metric is 'And what of it was abnormal.';
comment on column telltale.incidents.score is 'The greatest of its anomalies'' scores, 0..1.';
comment on column telltale.incidents.anomalies is 'How many there are.';
comment on column telltale.incidents.started_at is 'When the first of them began.';
comment on column telltale.incidents.last_at is 'Until when anything was seen to be abnormal.';
comment on column telltale.incidents.ended_at is 'When the last of them ended; null while one lasts.';

create table telltale.anomalies (
  anomaly_id uuid primary key,
  service text not null,
  environment text not null,
  series_key text not null,
  metric text not null,
  score double precision not null,
  expected jsonb not null,
  seen double precision not null,
  started_at timestamptz not null,
  last_at timestamptz not null,
  ended_at timestamptz,
  incident_id uuid not null references telltale.incidents on delete cascade,
  place integer not null default 1,
  constraint anomalies_measure_something check (metric in ('p95_ms', 'error_rate', 'throughput', 'gauge')),
  constraint anomalies_score_from_0_to_1 check (score between 0 and 1),
  constraint anomalies_expect_a_range check (expected ?& array['low', 'mid', 'high']),
  constraint anomalies_end_after_they_start check (started_at <= last_at and last_at <= ended_at),
  constraint anomalies_have_a_place check (place >= 1)
);
create unique index anomalies_that_last on telltale.anomalies (service, environment, series_key, metric)
  where ended_at is null;
create index anomalies_by_start on telltale.anomalies (started_at desc, anomaly_id desc);
create index anomalies_by_incident on telltale.anomalies (incident_id, place);
create index anomalies_by_series on telltale.anomalies (service, environment, series_key, metric, started_at);
comment on table telltale.anomalies is 'Times in which a series was not as expected; kept 400 days. At most one of a series lasts.';
comment on column telltale.anomalies.anomaly_id is 'Derived from the series and the start.';
comment on column telltale.anomalies.service is 'Where it happens.';
comment on column telltale.anomalies.environment is 'And where that runs.';
comment on column telltale.anomalies.series_key is 'Which series: see telltale.detector_series.';
comment on column telltale.anomalies.metric is
  'p95_ms (ms), error_rate (0..1), throughput (requests a minute), gauge (the unit that its name says).';
comment on column telltale.anomalies.score is
  'How unlikely it was at its worst, 0..1. From 0.975 on it is worth an alert (anomalyAlertScore in src/core/limit.ts).';
comment on column telltale.anomalies.expected is '{low, mid, high} in the metric''s unit, when it was at its worst.';
comment on column telltale.anomalies.seen is 'What was seen then, in the metric''s unit.';
comment on column telltale.anomalies.started_at is 'Start of the first minute that was abnormal.';
comment on column telltale.anomalies.last_at is 'Until when it was seen to be abnormal: the end of a minute, or the last look.';
comment on column telltale.anomalies.ended_at is 'When it was over; null while it lasts.';
comment on column telltale.anomalies.incident_id is 'What it is part of.';
comment on column telltale.anomalies.place is 'Its place in the incident: 1 is the likeliest root.';

alter table telltale.detectors enable row level security;
alter table telltale.detector_series enable row level security;
alter table telltale.incidents enable row level security;
alter table telltale.anomalies enable row level security;
revoke all on telltale.detectors, telltale.detector_series, telltale.incidents, telltale.anomalies
  from public, anon, authenticated, service_role;
grant select on telltale.detectors, telltale.detector_series, telltale.incidents, telltale.anomalies
  to authenticated, service_role;
create policy detectors_read on telltale.detectors for select to authenticated using ((select telltale.is_reader()));
create policy detector_series_read on telltale.detector_series for select to authenticated
  using ((select telltale.is_reader()));
create policy incidents_read on telltale.incidents for select to authenticated using ((select telltale.is_reader()));
create policy anomalies_read on telltale.anomalies for select to authenticated using ((select telltale.is_reader()));

create function telltale.anomaly_row(a telltale.anomalies) returns jsonb
language sql immutable
set search_path = ''
set timezone = 'UTC'
as $$
  select to_jsonb(a) || jsonb_build_object('started_at_us', telltale.us_of(a.started_at),
    'last_at_us', telltale.us_of(a.last_at), 'ended_at_us', telltale.us_of(a.ended_at))
$$;
comment on function telltale.anomaly_row(telltale.anomalies) is
  'An anomaly as the readers answer it; *_at is ISO 8601 in UTC, *_at_us µs since the epoch.';
revoke all on function telltale.anomaly_row(telltale.anomalies) from public, anon;
grant execute on function telltale.anomaly_row(telltale.anomalies) to authenticated, service_role;

create function telltale.incident_row(i telltale.incidents) returns jsonb
language sql stable security definer
set search_path = ''
set timezone = 'UTC'
as $$
  select to_jsonb(i) || jsonb_build_object('started_at_us', telltale.us_of(i.started_at),
    'last_at_us', telltale.us_of(i.last_at), 'ended_at_us', telltale.us_of(i.ended_at),
    'members', coalesce((select jsonb_agg(telltale.anomaly_row(a) order by a.place, a.anomaly_id)
      from (select * from telltale.anomalies as m where m.incident_id = i.incident_id
        order by m.place, m.anomaly_id limit 100) as a), '[]'))
$$;
comment on function telltale.incident_row(telltale.incidents) is
  'An incident as the readers answer it, with its first 100 anomalies as members, the likeliest root first. Definer: part of
the readers.';
revoke all on function telltale.incident_row(telltale.incidents) from public, anon, authenticated, service_role;

create function telltale.abnormal_where(filter jsonb, place jsonb, id text) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  since timestamptz := telltale.instant_of(filter, 'from');
  till timestamptz := telltale.instant_of(filter, 'to');
  score_min numeric := telltale.number_in(filter, 'score_min');
  condition text := 'true';
begin
  if since is not null then
    condition := condition || format(' and coalesce(t.ended_at, ''infinity'') >= %L', since);
  end if;
  if till is not null then
    condition := condition || format(' and t.started_at < %L', till);
  end if;
  if score_min is not null then
    condition := condition || format(' and t.score >= %L::double precision', score_min);
  end if;
  if coalesce(jsonb_typeof(filter -> 'open'), 'null') not in ('null', 'boolean') then
    raise exception 'Cannot read filter: open is %', filter -> 'open'
      using errcode = '22023', hint = 'open is true or false.';
  end if;
  if filter ->> 'open' is not null then
    condition := condition || case when (filter -> 'open')::boolean then ' and t.ended_at is null'
      else ' and t.ended_at is not null' end;
  end if;
  if place is not null then
    condition := condition || format(' and (t.started_at, t.%I) < (%L, %L::uuid)', id,
      telltale.at_of((place ->> 'us')::bigint), place ->> 'id');
  end if;
  return condition || telltale.matching(filter, 'service', 't.service')
    || telltale.matching(filter, 'environment', 't.environment')
    || telltale.matching(filter, 'series_key', 't.series_key') || telltale.matching(filter, 'metric', 't.metric');
end
$$;
comment on function telltale.abnormal_where(jsonb, jsonb, text) is
  'The condition on anomalies or incidents t that a filter and a place in their list are; id is the name of their key.';
revoke all on function telltale.abnormal_where(jsonb, jsonb, text) from public, anon;
grant execute on function telltale.abnormal_where(jsonb, jsonb, text) to authenticated, service_role;

create function telltale.anomalies(filter jsonb default '{}', cursor text default null, n integer default 100)
returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  size integer;
  condition text;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'service', 'environment', 'series_key', 'metric', 'incident_id',
    'score_min', 'open']);
  condition := telltale.abnormal_where(filter,
    telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}'), 'anomaly_id')
    || telltale.matching(filter, 'incident_id', 't.incident_id::text');
  execute format(
    'with page as (
      select t as row, t.started_at, t.anomaly_id from telltale.anomalies as t
      where %s order by t.started_at desc, t.anomaly_id desc limit %s
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(telltale.anomaly_row(page.row) order by started_at desc, anomaly_id desc), ''[]''),
      ''next'', case when count(*) = %s then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(started_at)), ''id'', (array_agg(anomaly_id order by started_at, anomaly_id))[1])) end)
    from page', condition, size, size) into answer;
  return answer;
end
$$;
comment on function telltale.anomalies(jsonb, text, integer) is
  'Anomalies, the last begun first: {rows, next}. Filter: from, to (those that lasted at some time between; ISO 8601 or µs),
service, environment, series_key, metric, incident_id (each a string or an array), score_min (0..1), open (whether it
lasts). n is 1 to 1000. Definer: as the readers of traces, the first line refuses non-members with 42501.';
revoke all on function telltale.anomalies(jsonb, text, integer) from public, anon;
grant execute on function telltale.anomalies(jsonb, text, integer) to authenticated, service_role;

create function telltale.incidents(filter jsonb default '{}', cursor text default null, n integer default 100)
returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  size integer;
  condition text;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'service', 'environment', 'series_key', 'metric', 'score_min',
    'open']);
  condition := telltale.abnormal_where(filter,
    telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}'), 'incident_id');
  execute format(
    'with page as (
      select t as row, t.started_at, t.incident_id from telltale.incidents as t
      where %s order by t.started_at desc, t.incident_id desc limit %s
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(telltale.incident_row(page.row) order by started_at desc, incident_id desc), ''[]''),
      ''next'', case when count(*) = %s then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(started_at)), ''id'', (array_agg(incident_id order by started_at, incident_id))[1])) end)
    from page', condition, size, size) into answer;
  return answer;
end
$$;
comment on function telltale.incidents(jsonb, text, integer) is
  'Incidents, the last begun first: {rows, next}, each with its anomalies as members, the likeliest root first. Filter: as
anomalies() without incident_id; series_key and metric are the root''s. n is 1 to 1000. Definer: as the readers of traces,
the first line refuses non-members with 42501.';
revoke all on function telltale.incidents(jsonb, text, integer) from public, anon;
grant execute on function telltale.incidents(jsonb, text, integer) to authenticated, service_role;
