-- Sources whose clocks are off by minutes. What they record is stored as they say; from when to when, by their own clock, it
-- was how far off is kept here, and applied when minutes are read (rollups_between). Offsets below a minute move nothing: a minute is
-- the finest that is read, and the way here takes seconds too.

create table telltale.source_clocks (
  source_id uuid not null references telltale.sources on delete cascade,
  from_minute timestamptz not null,
  to_minute timestamptz,
  shift interval not null,
  measured_at timestamptz not null default telltale.clock(),
  primary key (source_id, from_minute),
  constraint source_clocks_end_after_they_begin check (to_minute >= from_minute),
  constraint source_clocks_are_off_by_at_most_a_day check (shift between interval '-1 day' and interval '1 day')
);
create unique index source_clocks_that_last on telltale.source_clocks (source_id) where to_minute is null;
comment on table telltale.source_clocks is 'When the clock of a source was off by a minute or more.';
comment on column telltale.source_clocks.source_id is 'Whose clock.';
comment on column telltale.source_clocks.from_minute is 'The first minute that is to be moved, as the source named it.';
comment on column telltale.source_clocks.to_minute is 'The first one that is not any more; null: it is off still.';
comment on column telltale.source_clocks.shift is 'What to add to its minutes: whole minutes, at most a day either way.';
comment on column telltale.source_clocks.measured_at is 'When it was last seen to be so.';
alter table telltale.source_clocks enable row level security;
revoke all on telltale.source_clocks from public, anon, authenticated, service_role;
grant select on telltale.source_clocks to authenticated, service_role;
create policy source_clocks_read on telltale.source_clocks for select to authenticated using ((select telltale.is_reader()));

create function telltale.tick_measure_skews() returns jsonb
language plpgsql volatile security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
  v_changed bigint;
  v_begun bigint;
begin
  perform pg_advisory_xact_lock(8467125002);
  -- Of the processes of a source that are heard, the one whose clock is off least speaks for it.
  with heard as (
    select distinct on (p.source_id) p.source_id, p.clock_offset_us * interval '1 microsecond' as off
    from telltale.processes as p
    where p.last_seen_at > telltale.clock() - interval '10 minutes' and p.clock_offset_us is not null
    order by p.source_id, abs(p.clock_offset_us), p.process_id
  ), ended as (
    -- Not at every wavering around half a minute.
    update telltale.source_clocks as c set to_minute = greatest(c.from_minute, date_trunc('minute', telltale.clock() - h.off))
    from heard as h
    where c.source_id = h.source_id and c.to_minute is null and (h.off between interval '-30 seconds' and interval '30 seconds'
      or h.off - c.shift not between interval '-45 seconds' and interval '45 seconds')
    returning 1
  )
  select count(*) into v_changed from ended;
  insert into telltale.source_clocks as c (source_id, from_minute, shift)
  select p.source_id, greatest(p.from_minute, (select max(before.to_minute) from telltale.source_clocks as before
      where before.source_id = p.source_id)), p.shift
  from (
    select distinct on (p.source_id) p.source_id, p.clock_offset_us,
      make_interval(mins => greatest(-1440, least(1440, round(p.clock_offset_us / 60e6)))::int) as shift,
      -- A process that is new was off from its start; with one that was heard before, its clock has been set just now.
      date_trunc('minute', case when p.first_seen_at > telltale.clock() - interval '15 minutes' then p.started_at
        else telltale.clock() - p.clock_offset_us * interval '1 microsecond' end) as from_minute
    from telltale.processes as p
    where p.last_seen_at > telltale.clock() - interval '10 minutes' and p.clock_offset_us is not null
    order by p.source_id, abs(p.clock_offset_us), p.process_id
  ) as p
  where abs(p.clock_offset_us) >= 60000000
    and not exists (select from telltale.source_clocks as open where open.source_id = p.source_id and open.to_minute is null)
  on conflict (source_id, from_minute) do update set to_minute = null, shift = excluded.shift, measured_at = telltale.clock();
  get diagnostics v_begun = row_count;
  delete from telltale.source_clocks where to_minute < telltale.clock() - interval '31 days';
  return jsonb_build_object('done', v_changed + v_begun, 'more', false);
end
$$;
comment on function telltale.tick_measure_skews() is
  'Notes of each source that is heard from when on its clock is off by a minute or more, and when it is right again; done counts what
changed. Definer, see the head of create_tick.';
revoke all on function telltale.tick_measure_skews() from public, anon, authenticated;
grant execute on function telltale.tick_measure_skews() to service_role;

create function telltale.skewed_between(since timestamptz, till timestamptz, sources uuid[]) returns uuid[]
language sql stable security definer
set search_path = ''
as $$
  select coalesce(array_agg(distinct c.source_id), '{}') from telltale.source_clocks as c
  where c.from_minute < till + interval '1 day' and coalesce(c.to_minute, 'infinity') > since - interval '1 day'
    and (sources is null or c.source_id = any (sources))
$$;
comment on function telltale.skewed_between(timestamptz, timestamptz, uuid[]) is
  'The sources some of whose minutes around a stretch of time are to be moved. Definer: part of the readers.';
revoke all on function telltale.skewed_between(timestamptz, timestamptz, uuid[]) from public, anon, authenticated, service_role;

create function telltale.moved_minutes(skewed uuid[], since timestamptz, till timestamptz, whole_hours boolean)
returns table (at timestamptz, series jsonb)
language plpgsql stable security definer rows 1000
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
  kept timestamptz := (telltale.today() - 30)::timestamp at time zone 'UTC';
  by_hour boolean := whole_hours and (till - since > interval '2 days' or since < kept);
begin
  if by_hour then
    -- So far back, and over so long, to the hour.
    return query
      select h.hour + s.shift, h.series from telltale.rollup_hours as h
      left join telltale.source_clocks as c on c.source_id = h.source_id
        and h.hour >= date_trunc('hour', c.from_minute, 'UTC') and h.hour < coalesce(c.to_minute, 'infinity')
      cross join lateral (select coalesce(round(extract(epoch from c.shift) / 3600) * interval '1 hour', interval '0') as shift) as s
      where h.source_id = any (skewed) and h.hour + s.shift >= since and h.hour + s.shift < till
        and h.hour between since - interval '1 day' and till + interval '1 day';
    return;
  end if;
  return query
    select m.minute + s.shift, m.series from telltale.rollup_minutes as m
    left join telltale.source_clocks as c on c.source_id = m.source_id
      and m.minute >= c.from_minute and m.minute < coalesce(c.to_minute, 'infinity')
    cross join lateral (select coalesce(c.shift, interval '0') as shift) as s
    where m.source_id = any (skewed) and m.minute + s.shift >= since and m.minute + s.shift < till
      and m.minute between since - interval '1 day' and till + interval '1 day'
      and m.day between ((since - interval '1 day') at time zone 'UTC')::date and ((till + interval '1 day') at time zone 'UTC')::date;
end
$$;
comment on function telltale.moved_minutes(uuid[], timestamptz, timestamptz, boolean) is
  'The minutes of these sources that belong to a stretch of time once their clocks are set right. With whole_hours over more than
two days, or further back than minutes go: their computed hours, moved by whole hours. Definer: part of the readers.';
revoke all on function telltale.moved_minutes(uuid[], timestamptz, timestamptz, boolean)
  from public, anon, authenticated, service_role;

create function telltale.clocks_off(since timestamptz, till timestamptz, sources uuid[]) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('service', service, 'environment', environment, 'instance', instance,
    'offset_ms', ms) order by abs(ms) desc, service, environment, instance), '[]')
  from (
    select s.service, s.environment, s.instance, -extract(epoch from c.shift)::bigint * 1000 as ms
    from telltale.source_clocks as c join telltale.sources as s on s.source_id = c.source_id
    where c.source_id = any (telltale.skewed_between(since, till, sources)) and c.from_minute + c.shift < till
      and coalesce(c.to_minute + c.shift, 'infinity') > since
    order by abs(extract(epoch from c.shift)) desc limit 100
  ) as listed
$$;
comment on function telltale.clocks_off(timestamptz, timestamptz, uuid[]) is
  '[{service, environment, instance, offset_ms: how far its clock is ahead, to the minute}], those that are off most first, at most
100. Definer: part of the readers.';
revoke all on function telltale.clocks_off(timestamptz, timestamptz, uuid[]) from public, anon, authenticated, service_role;
