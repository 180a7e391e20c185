-- Reading errors, what is missing, and whether there is anything yet. Definer behind a first line that refuses non-members,
-- as the readers of traces.

create function telltale.error_row(e telltale.errors) returns jsonb
language sql stable security definer
set search_path = ''
set timezone = 'UTC'
as $$
  select to_jsonb(e) - 'day' || jsonb_build_object('at_us', telltale.us_of(e.at), 'service', s.service,
    'environment', s.environment, 'instance', s.instance)
  from (select) as one
  left join telltale.processes as p on p.process_id = e.process_id
  left join telltale.sources as s on s.source_id = p.source_id
$$;
comment on function telltale.error_row(telltale.errors) is
  'An error as the readers answer it; at is ISO 8601 in UTC, at_us µs since the epoch. Definer: part of the readers.';
revoke all on function telltale.error_row(telltale.errors) from public, anon, authenticated, service_role;

create function telltale.errors(filter jsonb default '{}', cursor text default null, n integer default 100) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  size integer;
  place jsonb;
  since timestamptz;
  till timestamptz;
  words tsquery;
  condition text := 'true';
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'fingerprint', 'error_type', 'trace_id', 'connection_type',
    'environment', 'service', 'text']);
  place := telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}');
  since := telltale.instant_of(filter, 'from');
  till := telltale.instant_of(filter, 'to');
  words := telltale.query_of(filter ->> 'text');
  if since is not null then
    condition := condition || format(' and t.at >= %L and t.day >= %L', since, (since at time zone 'UTC')::date);
  end if;
  if till is not null then
    condition := condition || format(' and t.at < %L and t.day <= %L', till, (till at time zone 'UTC')::date);
  end if;
  condition := condition || telltale.matching(filter, 'fingerprint', 't.fingerprint')
    || telltale.matching(filter, 'error_type', 't.error_type')
    || telltale.matching(filter, 'trace_id', 't.trace_id')
    || telltale.matching(filter, 'connection_type', 't.connection_type')
    || telltale.processes_where(filter);
  if words is not null then
    condition := condition || format(' and telltale.words_of(t.error_type, t.message, t.culprit) @@ %L', words);
  end if;
  if place is not null then
    condition := condition || format(' and (t.at, t.error_id) < (%L, %L::uuid) and t.day <= %L',
      telltale.at_of((place ->> 'us')::bigint), place ->> 'id', telltale.day_of((place ->> 'us')::bigint));
  end if;
  execute format(
    'with page as (
      select t as row, t.at, t.error_id from telltale.errors as t where %s order by t.at desc, t.error_id desc limit %s
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(telltale.error_row(page.row) order by at desc, error_id desc), ''[]''),
      ''next'', case when count(*) = %s then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(at)), ''id'', (array_agg(error_id order by at, error_id))[1])) end)
    from page', condition, size, size) into answer;
  return answer;
end
$$;
comment on function telltale.errors(jsonb, text, integer) is
  'Errors, newest first: {rows, next}. Filter: from, to (ISO 8601 or µs), fingerprint, error_type, trace_id, connection_type,
environment, service (each a string or an array), text. n is 1 to 1000. Definer, see the head of this file.';
revoke all on function telltale.errors(jsonb, text, integer) from public, anon;
grant execute on function telltale.errors(jsonb, text, integer) to authenticated, service_role;

create function telltale.error_step(stretch interval) returns integer
language sql immutable strict parallel safe
set search_path = ''
as $$
  select min(s) from unnest(array[30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400, 864000]) as s
  where s = 864000 or extract(epoch from stretch) <= 48 * s
$$;
comment on function telltale.error_step(interval) is 'The width of a count in s, so that 48 of them reach over the stretch.';
revoke all on function telltale.error_step(interval) from public, anon;
grant execute on function telltale.error_step(interval) to authenticated, service_role;

create function telltale.error_counts(fingerprint text, filter jsonb) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  till timestamptz := coalesce(telltale.instant_of(filter, 'to'), telltale.clock());
  since timestamptz := coalesce(telltale.instant_of(filter, 'from'), till - interval '1 day');
  step integer;
  first bigint;
  points integer;
  counted jsonb;
begin
  -- Errors are kept for 30 days, and some come from a clock that is a day ahead.
  since := greatest(since, (telltale.today() - 30)::timestamp at time zone 'UTC');
  till := greatest(since, least(till, telltale.clock() + interval '2 days'));
  step := telltale.error_step(till - since);
  first := floor(extract(epoch from since) / step);
  points := ceil(extract(epoch from till) / step) - first;
  execute format(
    'select jsonb_object_agg(place, n) from (
      select floor(extract(epoch from t.at) / %s)::bigint - %s as place, count(*) as n from telltale.errors as t
      where t.fingerprint = %L and t.at >= %L and t.at < %L and t.day between %L and %L %s
      group by 1) as counted', step, first, fingerprint, since, till, (since at time zone 'UTC')::date,
    (till at time zone 'UTC')::date, telltale.processes_where(filter)) into counted;
  return jsonb_build_object('from_us', first * step * 1000000, 'step_s', step, 'values', (
    select coalesce(jsonb_agg(coalesce((counted -> place::text)::bigint, 0) order by place), '[]')
    from generate_series(0, points - 1) as place));
end
$$;
comment on function telltale.error_counts(text, jsonb) is
  'How many errors of a group happened from `from` (a day before `to`, unless given) to `to` (now) of a filter, in its
environment and service: {from_us, step_s, values: at most 49 numbers of a whole step each}, of the errors that are kept.
Definer: part of the readers.';
revoke all on function telltale.error_counts(text, jsonb) from public, anon, authenticated, service_role;

create function telltale.error_groups(filter jsonb default '{}', cursor text default null, n integer default 100)
returns jsonb
language plpgsql stable security definer
set search_path = ''
set timezone = 'UTC'
set jit = off
as $$
declare
  size integer;
  place jsonb;
  since timestamptz;
  till timestamptz;
  words tsquery;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'fingerprint', 'error_type', 'environment', 'service', 'text',
    'state']);
  place := telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^v[0-9]+:"}');
  since := telltale.instant_of(filter, 'from');
  till := telltale.instant_of(filter, 'to');
  words := telltale.query_of(filter ->> 'text');
  execute format(
    'with grouped as (
      select g.fingerprint, min(g.first_seen_at) as first_seen_at, max(g.last_seen_at) as last_seen_at,
        sum(g.count) as count, (array_agg(g.sample order by g.last_seen_at desc, g.sample::text collate "C" desc))[1] as sample,
        jsonb_agg(distinct s.service) as services, jsonb_agg(distinct s.environment) as environments,
        (array_agg(g.first_version order by g.first_seen_at, g.first_version collate "C"))[1] as first_version,
        (array_agg(g.last_version order by g.last_seen_at desc, g.last_version collate "C" desc nulls last))[1] as last_version
      from telltale.error_groups as g join telltale.sources as s on s.source_id = g.source_id
      where true %s
      group by g.fingerprint
    ), page as (
      select grouped.*, said, telltale.state_of(said) as state
      from grouped left join telltale.error_group_states as said using (fingerprint)
      where ($1 is null or last_seen_at >= $1) and ($2 is null or first_seen_at < $2)
        and ($3 is null or telltale.words_of(sample ->> ''error_type'', sample ->> ''message'', sample ->> ''culprit'') @@ $3)
        and ($4 is null or (last_seen_at, fingerprint) < (telltale.at_of(($4 ->> ''us'')::bigint), $4 ->> ''id'')) %s
      order by last_seen_at desc, fingerprint desc limit $5
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(jsonb_build_object(
        ''fingerprint'', fingerprint, ''error_type'', sample -> ''error_type'', ''message'', sample -> ''message'',
        ''culprit'', sample -> ''culprit'', ''error_id'', sample -> ''error_id'', ''trace_id'', sample -> ''trace_id'',
        ''first_seen_at'', first_seen_at, ''last_seen_at'', last_seen_at, ''count'', count,
        ''services'', services, ''environments'', environments, ''first_version'', first_version,
        ''last_version'', last_version, ''state'', state, ''decision'', telltale.state_row(said),
        ''counts'', telltale.error_counts(fingerprint, $6)) order by last_seen_at desc, fingerprint desc), ''[]''),
      ''next'', case when count(*) = $5 then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(last_seen_at)), ''id'',
        (array_agg(fingerprint order by last_seen_at, fingerprint))[1])) end)
    from page',
    telltale.matching(filter, 'environment', 's.environment') || telltale.matching(filter, 'service', 's.service')
      || telltale.matching(filter, 'fingerprint', 'g.fingerprint'),
    telltale.matching(filter, 'error_type', 'sample ->> ''error_type''')
      || telltale.matching(filter, 'state', 'telltale.state_of(said)'))
  using since, till, words, place, size, filter into answer;
  return answer;
end
$$;
comment on function telltale.error_groups(jsonb, text, integer) is
  'Errors by what they have in common, the last seen first: {rows: [{fingerprint, error_type, message, culprit, error_id,
trace_id (of the last one), first_seen_at, last_seen_at, count, services, environments, first_version, last_version, state
(open, resolved or ignored), decision (what was said, see error_group_states; null where nothing was), counts (of the time
asked for, see error_counts)}], next}. Filter: from, to (seen in between; ISO 8601 or µs), fingerprint, error_type,
environment, service, state (each a string or an array), text. n is 1 to 1000. Definer, see the head of this file.';
revoke all on function telltale.error_groups(jsonb, text, integer) from public, anon;
grant execute on function telltale.error_groups(jsonb, text, integer) to authenticated, service_role;

create function telltale.gaps(filter jsonb default '{}', cursor text default null, n integer default 100) returns jsonb
language plpgsql stable security definer
set search_path = ''
set timezone = 'UTC'
as $$
declare
  size integer;
  place jsonb;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['environment', 'service', 'process']);
  place := telltale.place_of(cursor, '{"id": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}');
  execute format(
    'with hole as (
      select p.process_id, p.source_id, p.last_seen_at, p.recorded, p.stored, p.rejected, p.dropped, p.seqs_forgotten,
        case when isempty(p.seqs) then p.seqs else int8multirange(int8range(1, upper(p.seqs))) - p.seqs end as missing
      from telltale.processes as p
      where $1 is null or p.process_id > $1
    ), page as (
      select h.*, s.service, s.environment, s.instance
      from hole as h join telltale.sources as s on s.source_id = h.source_id
      where (not isempty(h.missing) or h.seqs_forgotten > 0 or h.dropped <> ''{}'' or h.rejected > 0) %s
      order by h.process_id limit $2
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(jsonb_build_object(
        ''process'', process_id, ''service'', service, ''environment'', environment, ''instance'', instance,
        ''last_seen_at'', last_seen_at, ''recorded'', recorded, ''stored'', stored, ''rejected'', rejected,
        ''dropped'', dropped,
        ''missing'', seqs_forgotten + coalesce((select sum(upper(r) - lower(r)) from unnest(missing) as r), 0),
        ''gaps'', coalesce((select jsonb_agg(jsonb_build_array(lower(r), upper(r) - 1) order by r)
          from (select r from unnest(missing) as r order by r limit 100) as first), ''[]'')) order by process_id), ''[]''),
      ''next'', case when count(*) = $2 then telltale.cursor_of(jsonb_build_object(''id'', max(process_id::text))) end)
    from page',
    telltale.matching(filter, 'environment', 's.environment') || telltale.matching(filter, 'service', 's.service')
      || telltale.matching(filter, 'process', 'h.process_id::text'))
  using (place ->> 'id')::uuid, size into answer;
  return answer;
end
$$;
comment on function telltale.gaps(jsonb, text, integer) is
  'Processes that lost, dropped or had refused anything: {rows: [{process, service, environment, instance, last_seen_at,
recorded, stored, rejected, dropped, missing (batches), gaps: [[first seq, last seq]], the first 100}], next}. Filter:
environment, service, process. n is 1 to 1000. Definer, see the head of create_trace_reader.';
revoke all on function telltale.gaps(jsonb, text, integer) from public, anon;
grant execute on function telltale.gaps(jsonb, text, integer) to authenticated, service_role;

create function telltale.store_status() returns jsonb
language plpgsql stable security definer
set search_path = ''
set timezone = 'UTC'
as $$
declare
  counted bigint;
begin
  perform telltale.require_reader();
  select count(*) into counted from (select from telltale.trace_days limit 10000) as listed;
  if counted = 10000 then
    select greatest(counted, reltuples::bigint) into counted from pg_catalog.pg_class
    where oid = 'telltale.trace_days'::regclass;
  end if;
  return jsonb_build_object(
    'traces', counted,
    'environments', coalesce((select jsonb_agg(distinct environment) from telltale.sources
      where source_id <> telltale.own_source()), '[]'),
    'last_received_at', (select max(received_at) from telltale.batches),
    'real', exists (select from telltale.sources as s join telltale.processes as p on p.source_id = s.source_id
      where s.environment <> 'demo' and s.source_id <> telltale.own_source()));
end
$$;
comment on function telltale.store_status() is
  '{traces: how many (an estimate above 10,000), environments, last_received_at (UTC), real: whether anything but the demo ever
sent}. Definer, see the head of create_trace_reader.';
revoke all on function telltale.store_status() from public, anon;
grant execute on function telltale.store_status() to authenticated, service_role;
