-- Failures, and what they have in common.

create table telltale.errors (
  error_id uuid not null,
  fingerprint text collate "C" not null,
  day date not null,
  at timestamptz not null,
  process_id uuid not null,
  trace_id text collate "C",
  span_id text,
  error_type text not null,
  message text not null,
  traceback text,
  culprit text,
  context jsonb not null default '{}',
  connection_type text,
  direction text,
  script_name text,
  function_name text,
  data_size_bytes bigint,
  response_time_ms double precision,
  metadata jsonb,
  primary key (error_id, fingerprint, day),
  constraint errors_have_versioned_fingerprints check (fingerprint ~ '^v[0-9]+:.+')
) partition by list (day);
create index errors_by_time on telltale.errors (at, error_id);
create index errors_by_fingerprint on telltale.errors (fingerprint, at, error_id);
create index errors_by_trace on telltale.errors (trace_id) where trace_id is not null;
comment on table telltale.errors is 'One row for each failure; an event with an error is one too.';
comment on column telltale.errors.error_id is 'UUID that the recorder gave it; the event''s id where it came as an event.';
comment on column telltale.errors.fingerprint is 'What it has in common with others: v1: and 32 hex digits, see src/core/fingerprint.ts.';
comment on column telltale.errors.day is 'Its partition: the UTC day of `at`.';
comment on column telltale.errors.at is 'When it happened, by the reporter''s clock.';
comment on column telltale.errors.process_id is 'The process that recorded it.';
comment on column telltale.errors.trace_id is 'The request that it happened in, null outside of any.';
comment on column telltale.errors.span_id is 'The span that it happened in.';
comment on column telltale.errors.error_type is 'Class or code.';
comment on column telltale.errors.message is 'Redacted text, at most 8 KiB.';
comment on column telltale.errors.traceback is 'Redacted stack trace as the language prints it, at most 64 KiB.';
comment on column telltale.errors.culprit is 'The innermost frame of the application''s own code.';
comment on column telltale.errors.context is 'Everything else that was recorded.';
comment on column telltale.errors.connection_type is 'Of an event: such as websocket or redis. Null where it came as an error, as are the next six.';
comment on column telltale.errors.direction is 'Of an event: send, receive, error, connect ...';
comment on column telltale.errors.script_name is 'Of an event: the script that recorded it.';
comment on column telltale.errors.function_name is 'Of an event: the function that recorded it.';
comment on column telltale.errors.data_size_bytes is 'Of an event: size in bytes.';
comment on column telltale.errors.response_time_ms is 'Of an event: response time in ms.';
comment on column telltale.errors.metadata is 'Of an event: its metadata.';

create table telltale.error_groups (
  fingerprint text collate "C" not null,
  source_id uuid not null references telltale.sources on delete cascade,
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  count bigint not null,
  sample jsonb not null,
  first_version text,
  last_version text,
  noticed_at timestamptz not null default telltale.clock(),
  primary key (fingerprint, source_id),
  constraint error_groups_count_from_zero check (count >= 0),
  constraint error_groups_end_after_they_begin check (last_seen_at >= first_seen_at)
);
create index error_groups_by_last_seen on telltale.error_groups (last_seen_at);
create index error_groups_by_source on telltale.error_groups (source_id);
create index error_groups_by_notice on telltale.error_groups (noticed_at);
comment on table telltale.error_groups is 'Errors of one fingerprint from one source. Outlives the errors themselves.';
comment on column telltale.error_groups.fingerprint is 'What its errors have in common.';
comment on column telltale.error_groups.source_id is 'Where they came from.';
comment on column telltale.error_groups.first_seen_at is 'When the first of them happened.';
comment on column telltale.error_groups.last_seen_at is 'When the last of them happened.';
comment on column telltale.error_groups.count is 'How many errors were stored.';
comment on column telltale.error_groups.sample is
  'The last of them: {error_id, error_type, message, culprit, trace_id}; of two at one instant the greater text.';
comment on column telltale.error_groups.first_version is
  'The service''s version that the first of them came from, null where it told none; of two at one instant the lesser text.';
comment on column telltale.error_groups.last_version is
  'The service''s version that the last of them came from, null where it told none; of two at one instant the greater text.';
comment on column telltale.error_groups.noticed_at is 'When the first of them to arrive was stored.';

alter table telltale.errors enable row level security;
alter table telltale.error_groups enable row level security;
revoke all on telltale.errors, telltale.error_groups from public, anon, authenticated, service_role;
grant select on telltale.errors, telltale.error_groups to authenticated, service_role;
create policy errors_read on telltale.errors for select to authenticated using ((select telltale.is_reader()));
create policy error_groups_read on telltale.error_groups for select to authenticated
  using ((select telltale.is_reader()));
