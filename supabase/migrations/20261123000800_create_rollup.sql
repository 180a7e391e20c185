-- Metrics over time. A minute is a bag of parts: ingest adds its part in the transaction that stores the batch id, reads
-- sum, the tick replaces the parts of a minute by their sum. Nothing here is ever updated in place by two writers.

create table telltale.rollup_minutes (
  minute timestamptz not null,
  day date not null,
  source_id uuid not null,
  batch_id uuid,
  series jsonb not null,
  constraint rollup_minutes_lie_in_their_day check (day = (minute at time zone 'UTC')::date),
  constraint rollup_minutes_are_whole_minutes check (extract(second from minute) = 0),
  constraint rollup_minutes_map_keys_to_cells check (jsonb_typeof(series) = 'object')
) partition by list (day);
create index rollup_minutes_by_minute on telltale.rollup_minutes (minute, source_id);
create index rollup_minutes_not_yet_compacted on telltale.rollup_minutes (minute, source_id) where batch_id is not null;
comment on table telltale.rollup_minutes is
  'Parts of minutes: the sum of all rows of a minute and source is what happened in it. Counts every request.';
comment on column telltale.rollup_minutes.minute is 'Start of the minute.';
comment on column telltale.rollup_minutes.day is 'Its partition: the UTC day of the minute.';
comment on column telltale.rollup_minutes.source_id is 'Where it was counted.';
comment on column telltale.rollup_minutes.batch_id is 'The batch that brought this part; null for a sum that the tick made.';
comment on column telltale.rollup_minutes.series is
  '{key: {count, errors, bytes_in, bytes_out, tokens_in, tokens_out, latency: histogram in µs}}; keys as in src/core/window.ts.';

create table telltale.rollup_hours (
  hour timestamptz not null,
  source_id uuid not null references telltale.sources on delete cascade,
  series jsonb not null,
  computed_at timestamptz not null default telltale.clock(),
  primary key (hour, source_id),
  constraint rollup_hours_are_whole_hours check (extract(minute from hour) = 0 and extract(second from hour) = 0)
);
create index rollup_hours_by_source on telltale.rollup_hours (source_id);
comment on table telltale.rollup_hours is 'Hours, computed from their minutes; kept 400 days. The minutes are the truth while they last.';
comment on column telltale.rollup_hours.hour is 'Start of the hour, UTC.';
comment on column telltale.rollup_hours.source_id is 'Where it was counted.';
comment on column telltale.rollup_hours.series is 'As in rollup_minutes.';
comment on column telltale.rollup_hours.computed_at is 'When it was last computed.';

create table telltale.hours_due (
  hour timestamptz not null,
  source_id uuid not null references telltale.sources on delete cascade,
  due_at timestamptz not null default telltale.clock(),
  primary key (hour, source_id)
);
create index hours_due_by_source on telltale.hours_due (source_id);
comment on table telltale.hours_due is 'Hours with a minute that changed since they were computed.';
comment on column telltale.hours_due.hour is 'Start of the hour, UTC.';
comment on column telltale.hours_due.source_id is 'Where it was counted.';
comment on column telltale.hours_due.due_at is 'When a minute of it last changed.';

alter table telltale.rollup_minutes enable row level security;
alter table telltale.rollup_hours enable row level security;
alter table telltale.hours_due enable row level security;
revoke all on telltale.rollup_minutes, telltale.rollup_hours, telltale.hours_due
  from public, anon, authenticated, service_role;
grant select on telltale.rollup_minutes, telltale.rollup_hours, telltale.hours_due to authenticated, service_role;
create policy rollup_minutes_read on telltale.rollup_minutes for select to authenticated
  using ((select telltale.is_reader()));
create policy rollup_hours_read on telltale.rollup_hours for select to authenticated
  using ((select telltale.is_reader()));
create policy hours_due_read on telltale.hours_due for select to authenticated using ((select telltale.is_reader()));
