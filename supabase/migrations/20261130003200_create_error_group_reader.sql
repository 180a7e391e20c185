-- One error group as its page shows it: beside its row, whom it touched. Definer behind a first line that refuses
-- non-members, as the readers of traces.

create function telltale.error_versions(fingerprint text, since timestamptz, till timestamptz) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
begin
  return (
    with made as (
      select e.process_id, count(*) as n, min(e.at) as first_at, max(e.at) as last_at
      from telltale.errors as e
      where e.fingerprint = error_versions.fingerprint and e.at >= since and e.at < till
        and e.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
      group by 1
    ), versions as (
      select p.version, s.service, sum(made.n) as n, min(made.first_at) as first_at, max(made.last_at) as last_at
      from made
      join telltale.processes as p on p.process_id = made.process_id
      join telltale.sources as s on s.source_id = p.source_id
      group by 1, 2
    )
    select jsonb_build_object('total', count(*), 'rows', coalesce(jsonb_agg(jsonb_build_object('version', version,
      'service', service, 'count', n, 'first_us', telltale.us_of(first_at), 'last_us', telltale.us_of(last_at))
      order by last_at desc, version collate "C", service) filter (where place <= 10), '[]'))
    from (
      select *, row_number() over (order by last_at desc, version collate "C", service) as place from versions
    ) as ranked
  );
end
$$;
comment on function telltale.error_versions(text, timestamptz, timestamptz) is
  'The services and versions that a group''s errors came from, the last seen first: {total, rows: ten of {version (null where
none was told), service, count, first_us, last_us}}. Definer: part of the readers.';
revoke all on function telltale.error_versions(text, timestamptz, timestamptz) from public, anon, authenticated, service_role;

create function telltale.error_touched(fingerprint text, since timestamptz, till timestamptz) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
begin
  return (
    with latest as (
      select e.trace_id, e.at from telltale.errors as e
      where e.fingerprint = error_touched.fingerprint and e.at >= since and e.at < till
        and e.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
      order by e.at desc, e.error_id desc limit 1000
    ), touched as (
      select l.trace_id, l.at, t.tool, t.session_key
      from latest as l
      join telltale.trace_days as d on d.trace_id = l.trace_id
      join telltale.traces as t on t.trace_id = d.trace_id and t.day = d.day
    ), tools as (
      select tool as name, count(distinct trace_id) as n, max(at) as last_at from touched where tool is not null group by 1
    ), sessions as (
      select session_key as name, count(distinct trace_id) as n, max(at) as last_at
      from touched where session_key is not null group by 1
    )
    select jsonb_build_object('errors', (select count(*) from latest),
      'requests', (select count(distinct trace_id) from latest),
      'tools', jsonb_build_object('total', (select count(*) from tools), 'rows', (
        select coalesce(jsonb_agg(jsonb_build_object('name', name, 'requests', n, 'last_us', telltale.us_of(last_at))
          order by n desc, name collate "C"), '[]')
        from (select * from tools order by n desc, name collate "C" limit 10) as most)),
      'sessions', jsonb_build_object('total', (select count(*) from sessions), 'rows', (
        select coalesce(jsonb_agg(jsonb_build_object('name', name, 'requests', n, 'last_us', telltale.us_of(last_at))
          order by last_at desc, name collate "C"), '[]')
        from (select * from sessions order by last_at desc, name collate "C" limit 10) as last)))
  );
end
$$;
comment on function telltale.error_touched(text, timestamptz, timestamptz) is
  'Whom the latest 1,000 errors of a group touched: {errors (how many were looked at), requests, tools: {total, rows: the ten
with the most requests, {name, requests, last_us}}, sessions: the same, the ten seen last}. Definer: part of the readers.';
revoke all on function telltale.error_touched(text, timestamptz, timestamptz) from public, anon, authenticated, service_role;

create function telltale.error_group(fingerprint text, filter jsonb default '{}') returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  group_row jsonb;
  since timestamptz;
  till timestamptz;
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to']);
  -- The row tells of all times; only what is counted is of the time asked for.
  group_row := telltale.error_groups(jsonb_build_object('fingerprint', fingerprint), null, 1) -> 'rows' -> 0;
  if group_row is null or fingerprint is null then
    return null;
  end if;
  till := coalesce(telltale.instant_of(filter, 'to'), telltale.clock() + interval '2 days');
  since := greatest(coalesce(telltale.instant_of(filter, 'from'), '-infinity'),
    (telltale.today() - 30)::timestamp at time zone 'UTC');
  return group_row || jsonb_build_object('counts', telltale.error_counts(fingerprint, filter),
    'versions', telltale.error_versions(fingerprint, since, till), 'touched', telltale.error_touched(fingerprint, since, till));
end
$$;
comment on function telltale.error_group(text, jsonb) is
  'One error group, null when there is none: as a row of error_groups() with counts of the time asked for, and versions
(error_versions) and touched (error_touched) of the errors that are kept of it. Filter: from, to (ISO 8601 or µs). Definer,
see the head of this file.';
revoke all on function telltale.error_group(text, jsonb) from public, anon;
grant execute on function telltale.error_group(text, jsonb) to authenticated, service_role;
