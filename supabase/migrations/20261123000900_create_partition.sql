-- One partition a UTC day of each detailed table, all five made and dropped together. Made apart and then attached, which
-- lets writers go on; with row level security of its own, since a partition can be named directly.

create table telltale.partition_days (
  day date primary key,
  made_at timestamptz not null default telltale.clock()
);
comment on table telltale.partition_days is 'The UTC days whose partitions exist.';
comment on column telltale.partition_days.day is 'UTC day.';
comment on column telltale.partition_days.made_at is 'When its partitions were made.';
alter table telltale.partition_days enable row level security;
revoke all on telltale.partition_days from public, anon, authenticated, service_role;
grant select on telltale.partition_days to authenticated, service_role;
create policy partition_days_read on telltale.partition_days for select to authenticated
  using ((select telltale.is_reader()));

create function telltale.make_partitions(days date[]) returns jsonb
language plpgsql volatile security definer
set search_path = ''
set lock_timeout = '5s'
as $$
declare
  wanted date;
  parent text;
  part text;
  made jsonb := '[]';
begin
  -- 30 days back, not the 29 that a record may be old: midnight may pass between the edge's check and this one.
  select d into wanted from unnest(days) as d
  where d is null or d < telltale.today() - 30 or d > telltale.today() + 3 limit 1;
  if found then
    raise exception 'Cannot make partitions: % is not from 30 days back to 3 days ahead of %', wanted, telltale.today()
      using errcode = '22023';
  end if;
  perform pg_advisory_xact_lock(8467125001);
  for wanted in
    select distinct d from unnest(days) as d
    where not exists (select from telltale.partition_days as p where p.day = d)
    order by d
  loop
    foreach parent in array array['traces', 'errors', 'messages', 'gauges', 'rollup_minutes'] loop
      part := parent || to_char(wanted, '_YYYYMMDD');
      execute format('create table telltale.%I (like telltale.%I including defaults including constraints
        including indexes including storage including comments) with (toast_tuple_target = 256)', part, parent);
      execute format('alter table telltale.%I enable row level security', part);
      execute format('revoke all on telltale.%I from public, anon, authenticated, service_role', part);
      execute format('comment on table telltale.%I is %L', part, format('The rows of %s of the UTC day %s.', parent, wanted));
      execute format('alter table telltale.%I attach partition telltale.%I for values in (%L)', parent, part, wanted);
    end loop;
    insert into telltale.partition_days (day) values (wanted);
    made := made || to_jsonb(wanted);
  end loop;
  return jsonb_build_object('made', made);
end
$$;
comment on function telltale.make_partitions(date[]) is
  'Makes the partitions of UTC days from 30 back to 3 ahead, raises 22023 for others; {made: [days]}. Definer: only the owner
of a table may attach to it.';
revoke all on function telltale.make_partitions(date[]) from public, anon, authenticated;
grant execute on function telltale.make_partitions(date[]) to service_role;

create function telltale.drop_partitions(before date) returns integer
language plpgsql volatile security definer
set search_path = ''
set lock_timeout = '500ms'
as $$
declare
  old date;
  parent text;
begin
  if before is null or before > telltale.today() - 30 then
    raise exception 'Cannot drop partitions: those before % are not all older than 30 days', before
      using errcode = '22023';
  end if;
  select day into old from telltale.partition_days where day < before order by day limit 1;
  if not found then
    return 0;
  end if;
  perform pg_advisory_xact_lock(8467125001);
  -- The same order in which ingest_batch takes them. Whoever then looks at partition_days sees what is true.
  lock table telltale.traces, telltale.errors, telltale.messages, telltale.gauges, telltale.rollup_minutes
    in access exclusive mode;
  delete from telltale.partition_days where day = old;
  if not found then
    return 0;
  end if;
  delete from telltale.trace_days where day <= old;
  foreach parent in array array['traces', 'errors', 'messages', 'gauges', 'rollup_minutes'] loop
    execute format('drop table telltale.%I', parent || to_char(old, '_YYYYMMDD'));
  end loop;
  return 1;
end
$$;
comment on function telltale.drop_partitions(date) is
  'Drops the partitions of the oldest UTC day before `before`, which is at least 30 days back, if there is one; how many days
it dropped. Raises 55P03 when it does not get its locks in half a second. Definer: only the owner may drop.';
revoke all on function telltale.drop_partitions(date) from public, anon, authenticated, service_role;
