-- The steps of the tick. Each does a bounded amount in one transaction and says whether more waits: {done, more}. Each may
-- be stopped at any point, repeated, and run by several at once; the lease only saves work.
-- All are definer: no role may write the tables.

create function telltale.tick_make_partitions() returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  made jsonb;
begin
  made := telltale.make_partitions(array(select telltale.today() + ahead from generate_series(-1, 3) as ahead));
  return jsonb_build_object('done', jsonb_array_length(made -> 'made'), 'more', false);
end
$$;
comment on function telltale.tick_make_partitions() is
  'Makes the partitions from yesterday to 3 days ahead; older ones are made when a record asks. Definer, see the file''s head.';
revoke all on function telltale.tick_make_partitions() from public, anon, authenticated;
grant execute on function telltale.tick_make_partitions() to service_role;

create index traces_that_run on telltale.traces (process_id, changed_at) where duration_ms is null;

create function telltale.concluded_rows(calls jsonb, process uuid) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select coalesce(jsonb_agg(row || telltale.summary_of(row -> 'spans') || jsonb_build_object('trace_id', trace_id)
    order by trace_id collate "C"), '[]')
  from (
    select c.value ->> 'trace_id' as trace_id, jsonb_build_object('spans', jsonb_object_agg(span.id, span.value)) as row
    from jsonb_array_elements(calls) as c
    -- The stored span, where there is one: it knows its parent, and whether it is the entry.
    cross join lateral (
      select c.value ->> 'span_id' as id, coalesce(
        (select t.spans -> (c.value ->> 'span_id') from telltale.trace_days as d
          join telltale.traces as t on t.trace_id = d.trace_id and t.day = d.day
          where d.trace_id = c.value ->> 'trace_id'),
        jsonb_strip_nulls(jsonb_build_object('layer', c.value -> 'layer', 'name', c.value -> 'name',
          'tool', c.value -> 'tool', 'start_us', c.value -> 'start_us', 'process', process))) as value
      union all
      -- Every other span of the same process that is still open there ended with it.
      select s.key, s.value from telltale.trace_days as d
      join telltale.traces as t on t.trace_id = d.trace_id and t.day = d.day
      cross join lateral jsonb_each(t.spans) as s
      where d.trace_id = c.value ->> 'trace_id' and s.key <> c.value ->> 'span_id'
        and s.value ->> 'process' = process::text
    ) as open
    cross join lateral (
      select open.id, open.value || jsonb_build_object('outcome', 'interrupted', 'concluded', true,
        'end_us', greatest((open.value -> 'start_us')::bigint,
          (select telltale.us_of(p.renewed_at) - coalesce(p.clock_offset_us, 0) from telltale.processes as p
            where p.process_id = process))) as value
    ) as span
    where open.value ->> 'end_us' is null
    group by c.value ->> 'trace_id'
  ) as interrupted
$$;
comment on function telltale.concluded_rows(jsonb, uuid) is
  'TraceRows that end what a process ran when it fell silent, at the time of its last sign of life by its own clock. Definer:
part of tick_mark_interrupted.';
revoke all on function telltale.concluded_rows(jsonb, uuid) from public, anon, authenticated, service_role;

create function telltale.tick_mark_interrupted() returns jsonb
language plpgsql volatile security definer
set search_path = ''
set lock_timeout = '2s'
set jit = off
as $$
#variable_conflict use_column
declare
  v_process telltale.processes;
  v_unlisted jsonb;
  v_rows jsonb;
begin
  lock table telltale.traces, telltale.errors, telltale.messages, telltale.gauges, telltale.rollup_minutes
    in row exclusive mode;
  -- One process a call: its row, then its traces, in the order that ingest_batch keeps.
  -- A call may run though no list names it: lists are cut, and one that was old on arrival was not kept.
  select p.* into v_process from telltale.processes as p
  cross join lateral (select telltale.clock() - greatest(60000, 4 * p.pace_ms) * interval '1 millisecond') as bound(at)
  where coalesce(p.renewed_at, p.last_seen_at) < bound.at
    and (p.running_total > 0 or exists (select from telltale.traces as t
      where t.process_id = p.process_id and t.duration_ms is null and t.changed_at < bound.at))
  order by p.process_id limit 1
  for no key update of p skip locked;
  if not found then
    return jsonb_build_object('done', 0, 'more', false);
  end if;
  select coalesce(jsonb_agg(jsonb_build_object('trace_id', t.trace_id, 'span_id', t.span_id)), '[]') into v_unlisted
  from (
    select r.trace_id, (select s.key from jsonb_each(r.spans) as s
      where s.value ->> 'end_us' is null and s.value ->> 'process' = v_process.process_id::text limit 1) as span_id
    from telltale.traces as r
    where r.process_id = v_process.process_id and r.duration_ms is null
      and not exists (select from jsonb_array_elements(v_process.running) as c where c.value ->> 'trace_id' = r.trace_id)
    order by r.changed_at limit 1000
  ) as t;
  v_rows := telltale.concluded_rows(v_process.running || v_unlisted, v_process.process_id);
  -- A call whose day has no partition any more, or never had, is older than anything that is kept.
  select coalesce(jsonb_agg(r.value order by r.value ->> 'trace_id' collate "C"), '[]') into v_rows
  from jsonb_array_elements(v_rows) as r
  where exists (select from telltale.partition_days as made where made.day = coalesce(
    (select d.day from telltale.trace_days as d where d.trace_id = r.value ->> 'trace_id'),
    telltale.day_of((r.value -> 'started_at_us')::bigint)));
  perform telltale.store_traces(v_rows);
  update telltale.processes set running = '[]', running_total = 0 where process_id = v_process.process_id;
  return jsonb_build_object('done', jsonb_array_length(v_rows), 'more', true);
end
$$;
comment on function telltale.tick_mark_interrupted() is
  'Ends what a process ran that has not renewed it for 60 s or four flushes, listed or not: outcome interrupted, concluded,
which any reported end beats. One process a call, at most 1,000 calls that no list names; done counts traces. Definer, see
the head of this file.';
revoke all on function telltale.tick_mark_interrupted() from public, anon, authenticated;
grant execute on function telltale.tick_mark_interrupted() to service_role;

create function telltale.tick_compact_minutes() returns jsonb
language plpgsql volatile security definer
set search_path = ''
set jit = off
as $$
declare
  v_minutes bigint;
begin
  -- A deleted part is deleted once, whoever gets it: what several compactors take adds up to what was there.
  with due as materialized (
    select distinct m.minute, m.source_id from telltale.rollup_minutes as m
    where m.batch_id is not null and m.minute < telltale.clock() - interval '2 minutes'
    order by m.minute, m.source_id
    limit 200
  ), taken as (
    delete from telltale.rollup_minutes as m using due
    where m.minute = due.minute and m.source_id = due.source_id and m.day = (due.minute at time zone 'UTC')::date
    returning m.minute, m.day, m.source_id, m.series
  ), summed as (
    insert into telltale.rollup_minutes (minute, day, source_id, batch_id, series)
    select minute, day, source_id, null, telltale.series_merge(series) from taken group by minute, day, source_id
    returning minute, source_id
  ), hours as (
    -- Not `do nothing`: it must wait for whoever computes the hour now without these parts.
    insert into telltale.hours_due as h (hour, source_id)
    select distinct date_trunc('hour', minute, 'UTC'), source_id from summed order by 1, 2
    on conflict (hour, source_id) do update set due_at = excluded.due_at
  )
  select count(*) into v_minutes from due;
  return jsonb_build_object('done', v_minutes, 'more', v_minutes = 200);
end
$$;
comment on function telltale.tick_compact_minutes() is
  'Replaces the parts of up to 200 minutes that ended at least a minute ago by their sums, in one statement. Definer, see the
head of this file.';
revoke all on function telltale.tick_compact_minutes() from public, anon, authenticated;
grant execute on function telltale.tick_compact_minutes() to service_role;

create function telltale.tick_recompute_hours() returns jsonb
language plpgsql volatile security definer
set search_path = ''
set jit = off
as $$
declare
  v_due jsonb;
begin
  with due as (
    select h.hour, h.source_id from telltale.hours_due as h order by h.hour, h.source_id limit 50 for update skip locked
  ), taken as (
    delete from telltale.hours_due as h using due where h.hour = due.hour and h.source_id = due.source_id
    returning h.hour, h.source_id
  )
  select coalesce(jsonb_agg(to_jsonb(taken)), '[]') into v_due from taken;
  -- A statement of its own, so that it sees every part that marked one of these hours.
  insert into telltale.rollup_hours as r (hour, source_id, series)
  select due.hour, due.source_id, telltale.series_merge(m.series)
  from jsonb_to_recordset(v_due) as due(hour timestamptz, source_id uuid)
  join telltale.rollup_minutes as m on m.source_id = due.source_id
    and m.minute >= due.hour and m.minute < due.hour + interval '1 hour' and m.day = (due.hour at time zone 'UTC')::date
  group by due.hour, due.source_id
  order by due.hour, due.source_id
  on conflict (hour, source_id) do update set series = excluded.series, computed_at = telltale.clock();
  return jsonb_build_object('done', jsonb_array_length(v_due), 'more', jsonb_array_length(v_due) = 50);
end
$$;
comment on function telltale.tick_recompute_hours() is
  'Computes up to 50 hours with a changed minute from their minutes. Definer, see the head of this file.';
revoke all on function telltale.tick_recompute_hours() from public, anon, authenticated;
grant execute on function telltale.tick_recompute_hours() to service_role;

create function telltale.tick_drop_partitions() returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_before date := telltale.today() - 30;
  v_dropped int;
  v_days bigint;
begin
  -- First the days of the traces, in portions, so that what is left to do under the lock is little.
  delete from telltale.trace_days where trace_id in (
    select trace_id from telltale.trace_days where day < v_before
      and day in (select day from telltale.partition_days where day < v_before)
    limit 20000);
  get diagnostics v_days = row_count;
  if v_days = 20000 then
    return jsonb_build_object('done', 0, 'more', true);
  end if;
  begin
    v_dropped := telltale.drop_partitions(v_before);
  exception
    when lock_not_available or deadlock_detected then
      return jsonb_build_object('done', 0, 'more', false);
  end;
  return jsonb_build_object('done', v_dropped, 'more',
    exists (select from telltale.partition_days where day < v_before));
end
$$;
comment on function telltale.tick_drop_partitions() is
  'Drops the partitions of one day that is more than 30 days back; gives way to whoever holds a lock for half a second, until
the next tick. Definer, see the head of this file.';
revoke all on function telltale.tick_drop_partitions() from public, anon, authenticated;
grant execute on function telltale.tick_drop_partitions() to service_role;

create function telltale.tick_prune() returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  portion constant int := 5000;
  n bigint;
  done bigint := 0;
  more boolean := false;
begin
  delete from telltale.batches where batch_id in (
    select batch_id from telltale.batches where received_at < telltale.clock() - interval '30 days' limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.trace_days where trace_id in (
    select trace_id from telltale.trace_days as d where d.day < telltale.today() - 30
      and not exists (select from telltale.partition_days as p where p.day = d.day)
    limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.rollup_hours where (hour, source_id) in (
    select hour, source_id from telltale.rollup_hours where hour < telltale.clock() - interval '400 days'
    limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.hours_due where hour < telltale.clock() - interval '31 days';
  delete from telltale.processes where process_id in (
    select process_id from telltale.processes where last_seen_at < telltale.clock() - interval '60 days'
    limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.error_groups where (fingerprint, source_id) in (
    select fingerprint, source_id from telltale.error_groups where last_seen_at < telltale.clock() - interval '400 days'
    limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.error_group_states as t
  where not exists (select from telltale.error_groups as g where g.fingerprint = t.fingerprint);
  get diagnostics n = row_count;
  done := done + n;
  delete from telltale.incidents where incident_id in (
    select incident_id from telltale.incidents where last_at < telltale.clock() - interval '400 days'
    limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.detector_series where (service, environment, series_key, metric) in (
    select service, environment, series_key, metric from telltale.detector_series
    where seen_at < telltale.clock() - interval '7 days' limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.detectors where (service, environment) in (
    select d.service, d.environment from telltale.detectors as d
    where d.looked_at < telltale.clock() - interval '7 days' limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.viewers where seen_at < telltale.clock() - interval '10 minutes';
  get diagnostics n = row_count;
  done := done + n;
  delete from telltale.sources where source_id in (
    select s.source_id from telltale.sources as s
    where s.created_at < telltale.clock() - interval '60 days'
      and not exists (select from telltale.processes as p where p.source_id = s.source_id)
      and not exists (select from telltale.rollup_hours as h where h.source_id = s.source_id)
      and not exists (select from telltale.error_groups as g where g.source_id = s.source_id)
    limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  return jsonb_build_object('done', done, 'more', more);
end
$$;
comment on function telltale.tick_prune() is
  'Deletes, 5,000 rows of a table at a time, batches after 30 days, hours, error groups and incidents after 400, silent
processes after 60, series that the detector sees no more after 7, viewers after 10 minutes, what was said of groups that are
gone, and sources that nothing refers to any more. Definer, see the head of this file.';
revoke all on function telltale.tick_prune() from public, anon, authenticated;
grant execute on function telltale.tick_prune() to service_role;
