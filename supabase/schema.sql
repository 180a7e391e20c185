-- The schema telltale as the migrations leave it. Written by `node test/schema_fixture.ts`; do not edit.

create table telltale.admitted_names (
  source_id uuid not null,
  series_key text not null,
  admitted_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.admitted_names add constraint admitted_names_have_a_kind CHECK ((series_key ~ '^(tool|provider|model|layer|connection|cache):'::text));
alter table telltale.admitted_names add constraint admitted_names_pkey PRIMARY KEY (source_id, series_key);
alter table telltale.admitted_names add constraint admitted_names_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id) ON DELETE CASCADE;
alter table telltale.admitted_names enable row level security;
create policy admitted_names_read on telltale.admitted_names for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.admitted_names to authenticated;
grant select on telltale.admitted_names to service_role;
comment on table telltale.admitted_names is 'The names that a source''s metrics are kept under: the first 64 tools, 16 providers, 32 models, 16 layers, 16
connections and 16 results of caches (src/core/limit.ts). Those that come later are counted under `other`. The table of traces keeps every name.';
comment on column telltale.admitted_names.source_id is 'Whose name it is.';
comment on column telltale.admitted_names.series_key is 'The series key, such as tool:read_file.';
comment on column telltale.admitted_names.admitted_at is 'When it was first seen.';

create table telltale.batches (
  batch_id uuid not null,
  process_id uuid not null,
  key_id text not null,
  seq bigint not null,
  piece_index integer not null,
  piece_count integer not null,
  made_at timestamp with time zone not null,
  received_at timestamp with time zone not null default telltale.clock(),
  ack jsonb not null
);
alter table telltale.batches add constraint batches_are_a_piece_of_a_whole CHECK (((piece_index >= 1) AND (piece_index <= piece_count)));
alter table telltale.batches add constraint batches_count_from_one CHECK ((seq >= 1));
alter table telltale.batches add constraint batches_pkey PRIMARY KEY (batch_id);
CREATE INDEX batches_by_receipt ON telltale.batches USING btree (received_at);
CREATE INDEX batches_in_pieces ON telltale.batches USING btree (process_id, seq) WHERE (piece_count > 1);
alter table telltale.batches enable row level security;
create policy batches_read on telltale.batches for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.batches to authenticated;
grant select on telltale.batches to service_role;
comment on table telltale.batches is 'Every batch taken in the last 30 days, so that one sent again changes nothing and is answered what it was the first time.';
comment on column telltale.batches.batch_id is 'As the reporter froze it before the first attempt.';
comment on column telltale.batches.process_id is 'Which process sent it.';
comment on column telltale.batches.key_id is 'The ingest key that it came with.';
comment on column telltale.batches.seq is 'Sequence number in its process, from 1; the pieces of a cut batch share it.';
comment on column telltale.batches.piece_index is 'Which piece, from 1.';
comment on column telltale.batches.piece_count is 'Of how many pieces; 1 for a whole batch.';
comment on column telltale.batches.made_at is 'When it was made, by the process''s clock.';
comment on column telltale.batches.received_at is 'When it was stored.';
comment on column telltale.batches.ack is 'What its first attempt was answered: {accepted, rejected, renamed}.';

create table telltale.clock_shifts (
  process_id uuid not null,
  reference_process_id uuid not null,
  shift_us bigint not null,
  width_us bigint not null,
  samples bigint not null default 1,
  measured_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.clock_shifts add constraint clock_shifts_pkey PRIMARY KEY (process_id, reference_process_id);
CREATE INDEX clock_shifts_by_time ON telltale.clock_shifts USING btree (measured_at);
alter table telltale.clock_shifts enable row level security;
create policy clock_shifts_read on telltale.clock_shifts for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.clock_shifts to authenticated;
grant select on telltale.clock_shifts to service_role;
comment on table telltale.clock_shifts is 'How far the clock of a process is from that of the process that calls it, as spans inside spans tell.';
comment on column telltale.clock_shifts.process_id is 'The process whose times are to be shifted.';
comment on column telltale.clock_shifts.reference_process_id is 'The process that called it, whose clock the times are shifted to.';
comment on column telltale.clock_shifts.shift_us is 'What to add to its times, in µs; 0 where the clocks may as well agree.';
comment on column telltale.clock_shifts.width_us is 'How far off the shift may be at most, in µs, each way.';
comment on column telltale.clock_shifts.samples is 'How many pairs of spans were looked at.';
comment on column telltale.clock_shifts.measured_at is 'When the pair that it rests on was looked at.';

create table telltale.error_groups (
  fingerprint text collate "C" not null,
  source_id uuid not null,
  first_seen_at timestamp with time zone not null,
  last_seen_at timestamp with time zone not null,
  count bigint not null,
  sample jsonb not null
);
alter table telltale.error_groups add constraint error_groups_count_from_zero CHECK ((count >= 0));
alter table telltale.error_groups add constraint error_groups_end_after_they_begin CHECK ((last_seen_at >= first_seen_at));
alter table telltale.error_groups add constraint error_groups_pkey PRIMARY KEY (fingerprint, source_id);
alter table telltale.error_groups add constraint error_groups_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id) ON DELETE CASCADE;
CREATE INDEX error_groups_by_last_seen ON telltale.error_groups USING btree (last_seen_at);
CREATE INDEX error_groups_by_source ON telltale.error_groups USING btree (source_id);
alter table telltale.error_groups enable row level security;
create policy error_groups_read on telltale.error_groups for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.error_groups to authenticated;
grant select on telltale.error_groups to service_role;
comment on table telltale.error_groups is 'Errors of one fingerprint from one source. Outlives the errors themselves.';
comment on column telltale.error_groups.fingerprint is 'What its errors have in common.';
comment on column telltale.error_groups.source_id is 'Where they came from.';
comment on column telltale.error_groups.first_seen_at is 'When the first of them happened.';
comment on column telltale.error_groups.last_seen_at is 'When the last of them happened.';
comment on column telltale.error_groups.count is 'How many errors were stored.';
comment on column telltale.error_groups.sample is 'The last of them: {error_id, error_type, message, culprit, trace_id}; of two at one instant the greater text.';

create table telltale.errors (
  error_id uuid not null,
  fingerprint text collate "C" not null,
  day date not null,
  at timestamp with time zone not null,
  process_id uuid not null,
  trace_id text collate "C",
  span_id text,
  error_type text not null,
  message text not null,
  traceback text,
  culprit text,
  context jsonb not null default '{}'::jsonb,
  connection_type text,
  direction text,
  script_name text,
  function_name text,
  data_size_bytes bigint,
  response_time_ms double precision,
  metadata jsonb
) partition by LIST (day);
alter table telltale.errors add constraint errors_have_versioned_fingerprints CHECK ((fingerprint ~ '^v[0-9]+:.+'::text));
alter table telltale.errors add constraint errors_pkey PRIMARY KEY (error_id, fingerprint, day);
CREATE INDEX errors_by_fingerprint ON ONLY telltale.errors USING btree (fingerprint, at, error_id);
CREATE INDEX errors_by_time ON ONLY telltale.errors USING btree (at, error_id);
CREATE INDEX errors_by_trace ON ONLY telltale.errors USING btree (trace_id) WHERE (trace_id IS NOT NULL);
CREATE INDEX errors_by_word ON ONLY telltale.errors USING gin (telltale.words_of(VARIADIC ARRAY[error_type, message, culprit]));
alter table telltale.errors enable row level security;
create policy errors_read on telltale.errors for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.errors to authenticated;
grant select on telltale.errors to service_role;
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

create table telltale.gauges (
  process_id uuid not null,
  name text collate "C" not null,
  labels_hash uuid not null,
  at timestamp with time zone not null,
  day date not null,
  value double precision not null,
  labels jsonb not null default '{}'::jsonb
) partition by LIST (day);
alter table telltale.gauges add constraint gauges_pkey PRIMARY KEY (process_id, name, labels_hash, at, day);
CREATE INDEX gauges_by_name ON ONLY telltale.gauges USING btree (name, at);
CREATE INDEX gauges_by_time ON ONLY telltale.gauges USING btree (at);
alter table telltale.gauges enable row level security;
create policy gauges_read on telltale.gauges for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.gauges to authenticated;
grant select on telltale.gauges to service_role;
comment on table telltale.gauges is 'Sampled resources of single processes: one row for process, name, labels and instant.';
comment on column telltale.gauges.process_id is 'The process that sampled it.';
comment on column telltale.gauges.name is 'What was sampled; the unit is part of the name, such as redis_memory_mb.';
comment on column telltale.gauges.labels_hash is 'md5 of `labels`, which may be too long for a key.';
comment on column telltale.gauges.at is 'When it was sampled, by the reporter''s clock.';
comment on column telltale.gauges.day is 'Its partition: the UTC day of `at`.';
comment on column telltale.gauges.value is 'In the unit that the name says. Of two samples of one instant the greater.';
comment on column telltale.gauges.labels is 'What tells samples of one name apart.';

create table telltale.hours_due (
  hour timestamp with time zone not null,
  source_id uuid not null,
  due_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.hours_due add constraint hours_due_pkey PRIMARY KEY (hour, source_id);
alter table telltale.hours_due add constraint hours_due_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id) ON DELETE CASCADE;
CREATE INDEX hours_due_by_source ON telltale.hours_due USING btree (source_id);
alter table telltale.hours_due enable row level security;
create policy hours_due_read on telltale.hours_due for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.hours_due to authenticated;
grant select on telltale.hours_due to service_role;
comment on table telltale.hours_due is 'Hours with a minute that changed since they were computed.';
comment on column telltale.hours_due.hour is 'Start of the hour, UTC.';
comment on column telltale.hours_due.source_id is 'Where it was counted.';
comment on column telltale.hours_due.due_at is 'When a minute of it last changed.';

create table telltale.ingest_keys (
  key_id text collate "C" not null,
  key_hash text not null,
  name text not null,
  created_at timestamp with time zone not null default telltale.clock(),
  revoked_at timestamp with time zone
);
alter table telltale.ingest_keys add constraint ingest_keys_are_kept_as_sha256 CHECK ((key_hash ~ '^[0-9a-f]{64}$'::text));
alter table telltale.ingest_keys add constraint ingest_keys_have_ids_of_twelve CHECK ((key_id ~ '^[a-z0-9]{12}$'::text));
alter table telltale.ingest_keys add constraint ingest_keys_have_short_names CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 256)));
alter table telltale.ingest_keys add constraint ingest_keys_pkey PRIMARY KEY (key_id);
alter table telltale.ingest_keys enable row level security;
comment on table telltale.ingest_keys is 'Who may send. The key itself is not kept.';
comment on column telltale.ingest_keys.key_id is 'The public part of tt_<key_id>_<secret>.';
comment on column telltale.ingest_keys.key_hash is 'sha256 of the whole key, 64 hex digits.';
comment on column telltale.ingest_keys.name is 'For people.';
comment on column telltale.ingest_keys.created_at is 'When it was made.';
comment on column telltale.ingest_keys.revoked_at is 'When it was revoked; null while it is good.';

create table telltale.members (
  user_id uuid not null,
  email text,
  added_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.members add constraint members_have_short_emails CHECK ((octet_length(email) <= 320));
alter table telltale.members add constraint members_pkey PRIMARY KEY (user_id);
alter table telltale.members enable row level security;
create policy members_read on telltale.members for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.members to authenticated;
grant select on telltale.members to service_role;
comment on table telltale.members is 'Who may read. A row here is the right to see everything in this schema.';
comment on column telltale.members.user_id is 'The user''s id in Supabase Auth: the sub of the token.';
comment on column telltale.members.email is 'For people who read this table; decides nothing.';
comment on column telltale.members.added_at is 'When the member was added.';

create view telltale.message_completeness with (security_invoker=true) as
 SELECT m.day,
    field.name AS field,
    count(*) AS messages,
    count(*) FILTER (WHERE field.missing) AS missing,
    round(((count(*) FILTER (WHERE field.missing))::numeric / (count(*))::numeric), 4) AS missing_share
   FROM (telltale.messages m
     CROSS JOIN LATERAL ( VALUES ('trace_id'::text,(m.trace_id IS NULL)), ('conversation_id'::text,(m.conversation_id IS NULL)), ('role'::text,(m.role IS NULL)), ('model_used'::text,(m.model_used IS NULL)), ('provider_used'::text,(m.provider_used IS NULL)), ('response_time_ms'::text,(m.response_time_ms IS NULL)), ('tool_name'::text,(m.tool_name IS NULL)), ('thinking_mode'::text,(m.thinking_mode IS NULL)), ('token_usage'::text,((m.token_usage IS NULL) OR (m.token_usage = 'null'::jsonb))), ('metadata'::text,(m.metadata = '{}'::jsonb))) field(name, missing))
  GROUP BY m.day, field.name;
grant select on telltale.message_completeness to authenticated;
grant select on telltale.message_completeness to service_role;
comment on table telltale.message_completeness is 'How often each field of the messages of a day was not known. One row a day and field; filter by day.';
comment on column telltale.message_completeness.day is 'UTC day.';
comment on column telltale.message_completeness.field is 'The field of telltale.messages.';
comment on column telltale.message_completeness.messages is 'Messages of that day.';
comment on column telltale.message_completeness.missing is 'Those of them in which it is null or empty.';
comment on column telltale.message_completeness.missing_share is 'missing / messages, four decimals.';

create table telltale.messages (
  message_id text collate "C" not null,
  day date not null,
  at timestamp with time zone not null,
  process_id uuid not null,
  trace_id text collate "C",
  span_id text,
  conversation_id text,
  role text,
  model_used text,
  provider_used text,
  response_time_ms double precision,
  tool_name text,
  thinking_mode text,
  token_usage jsonb,
  metadata jsonb not null default '{}'::jsonb
) partition by LIST (day);
alter table telltale.messages add constraint messages_pkey PRIMARY KEY (message_id, day);
CREATE INDEX messages_by_conversation ON ONLY telltale.messages USING btree (conversation_id, at) WHERE (conversation_id IS NOT NULL);
CREATE INDEX messages_by_time ON ONLY telltale.messages USING btree (at, message_id);
CREATE INDEX messages_by_trace ON ONLY telltale.messages USING btree (trace_id) WHERE (trace_id IS NOT NULL);
alter table telltale.messages enable row level security;
create policy messages_read on telltale.messages for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.messages to authenticated;
grant select on telltale.messages to service_role;
comment on table telltale.messages is 'One row for each message to or from a model; its metadata, not its text.';
comment on column telltale.messages.message_id is 'As the recorder named it.';
comment on column telltale.messages.day is 'Its partition: the UTC day of `at`.';
comment on column telltale.messages.at is 'When it was said, by the reporter''s clock.';
comment on column telltale.messages.process_id is 'The process that recorded it.';
comment on column telltale.messages.trace_id is 'The request that it belongs to.';
comment on column telltale.messages.span_id is 'The span that it belongs to.';
comment on column telltale.messages.conversation_id is 'The conversation that it belongs to.';
comment on column telltale.messages.role is 'user, assistant, system or tool.';
comment on column telltale.messages.model_used is 'The model that answered.';
comment on column telltale.messages.provider_used is 'The provider that served it.';
comment on column telltale.messages.response_time_ms is 'How long the model took, in ms.';
comment on column telltale.messages.tool_name is 'The tool that spoke.';
comment on column telltale.messages.thinking_mode is 'The mode that the model was asked to think in.';
comment on column telltale.messages.token_usage is 'Tokens as the provider counted them.';
comment on column telltale.messages.metadata is 'Everything else that was recorded.';

create table telltale.partition_days (
  day date not null,
  made_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.partition_days add constraint partition_days_pkey PRIMARY KEY (day);
alter table telltale.partition_days enable row level security;
create policy partition_days_read on telltale.partition_days for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.partition_days to authenticated;
grant select on telltale.partition_days to service_role;
comment on table telltale.partition_days is 'The UTC days whose partitions exist.';
comment on column telltale.partition_days.day is 'UTC day.';
comment on column telltale.partition_days.made_at is 'When its partitions were made.';

create table telltale.pinned_traces (
  trace_id text collate "C" not null,
  pinned_at timestamp with time zone not null default telltale.clock(),
  pinned_by uuid
);
alter table telltale.pinned_traces add constraint pinned_traces_pkey PRIMARY KEY (trace_id);
alter table telltale.pinned_traces add constraint pinned_traces_trace_id_fkey FOREIGN KEY (trace_id) REFERENCES telltale.trace_days(trace_id) ON DELETE CASCADE;
alter table telltale.pinned_traces enable row level security;
create policy pinned_traces_read on telltale.pinned_traces for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.pinned_traces to authenticated;
grant select on telltale.pinned_traces to service_role;
comment on table telltale.pinned_traces is 'Traces that keep their spans for as long as they are kept themselves.';
comment on column telltale.pinned_traces.trace_id is '32 hex digits.';
comment on column telltale.pinned_traces.pinned_at is 'When it was pinned.';
comment on column telltale.pinned_traces.pinned_by is 'The member who did.';

create table telltale.processes (
  process_id uuid not null,
  source_id uuid not null,
  version text,
  started_at timestamp with time zone not null,
  host text,
  pid bigint,
  sdk text not null,
  first_seen_at timestamp with time zone not null default telltale.clock(),
  last_seen_at timestamp with time zone not null default telltale.clock(),
  renewed_at timestamp with time zone,
  running jsonb not null default '[]'::jsonb,
  running_total bigint not null default 0,
  running_seq bigint not null default 0,
  pace_ms integer not null default 15000,
  seqs int8multirange not null default '{}'::int8multirange,
  seqs_forgotten bigint not null default 0,
  recorded bigint not null default 0,
  dropped jsonb not null default '{}'::jsonb,
  counters_seq bigint not null default 0,
  stored bigint not null default 0,
  rejected bigint not null default 0,
  clock_offset_us bigint
);
alter table telltale.processes add constraint processes_count_from_zero CHECK ((LEAST(recorded, stored, rejected, running_seq, counters_seq) >= 0));
alter table telltale.processes add constraint processes_drop_for_a_reason CHECK ((jsonb_typeof(dropped) = 'object'::text));
alter table telltale.processes add constraint processes_list_what_runs CHECK ((jsonb_typeof(running) = 'array'::text));
alter table telltale.processes add constraint processes_pkey PRIMARY KEY (process_id);
alter table telltale.processes add constraint processes_run_at_least_what_they_list CHECK ((running_total >= jsonb_array_length(running)));
alter table telltale.processes add constraint processes_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id);
CREATE INDEX processes_by_last_seen ON telltale.processes USING btree (last_seen_at);
CREATE INDEX processes_by_source ON telltale.processes USING btree (source_id);
CREATE INDEX processes_with_running_calls ON telltale.processes USING btree (renewed_at) WHERE (running_total > 0);
alter table telltale.processes enable row level security;
create policy processes_read on telltale.processes for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.processes to authenticated;
grant select on telltale.processes to service_role;
comment on table telltale.processes is 'One row for each process that ever sent a batch in the last 60 days.';
comment on column telltale.processes.process_id is 'UUID minted when the process started, and again after fork.';
comment on column telltale.processes.source_id is 'Where its metrics belong; as its first batch said.';
comment on column telltale.processes.version is 'The service''s version, as its first batch said.';
comment on column telltale.processes.started_at is 'When the process started, by its own clock.';
comment on column telltale.processes.host is 'Host name, null when unknown.';
comment on column telltale.processes.pid is 'Process id on that host, null when unknown.';
comment on column telltale.processes.sdk is 'Name and version of the reporter, such as telltale-js/0.1.0.';
comment on column telltale.processes.first_seen_at is 'When its first batch arrived.';
comment on column telltale.processes.last_seen_at is 'When its last batch arrived.';
comment on column telltale.processes.renewed_at is 'When the last batch arrived that was fresh enough to speak for what runs now; null before the first such.';
comment on column telltale.processes.running is 'What it runs now: [{trace_id, span_id, layer, name, tool, session, start_us}], one entry a trace, at most 1,000. Replaced
whole by a batch of greater seq that is not stale on arrival; emptied when it is not renewed in time.';
comment on column telltale.processes.running_total is 'The true number of running calls; `running` may list fewer.';
comment on column telltale.processes.running_seq is 'The seq of the batch that `running` came with.';
comment on column telltale.processes.pace_ms is 'How often it was asked to send while calls run, in ms.';
comment on column telltale.processes.seqs is 'The sequence numbers of its batches that arrived whole. Holes are gaps; see gaps().';
comment on column telltale.processes.seqs_forgotten is 'How many missing numbers were closed because `seqs` had more than 1,000 ranges: they are lost for certain.';
comment on column telltale.processes.recorded is 'How many records it made so far, by its own count at counters_seq.';
comment on column telltale.processes.dropped is 'How many records it gave up so far, by reason, at counters_seq.';
comment on column telltale.processes.counters_seq is 'The greatest seq seen; recorded and dropped are as of this batch.';
comment on column telltale.processes.stored is 'How many of its records were accepted.';
comment on column telltale.processes.rejected is 'How many of its records were refused one by one.';
comment on column telltale.processes.clock_offset_us is 'About how many µs its clock is behind the edge''s: the least of (received - sent), followed slowly upwards, and at once
by more than 30 s. Null: unknown.
Applied when reading, never when storing.';

create table telltale.rollup_hours (
  hour timestamp with time zone not null,
  source_id uuid not null,
  series jsonb not null,
  computed_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.rollup_hours add constraint rollup_hours_are_whole_hours CHECK (((EXTRACT(minute FROM hour) = (0)::numeric) AND (EXTRACT(second FROM hour) = (0)::numeric)));
alter table telltale.rollup_hours add constraint rollup_hours_pkey PRIMARY KEY (hour, source_id);
alter table telltale.rollup_hours add constraint rollup_hours_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id) ON DELETE CASCADE;
CREATE INDEX rollup_hours_by_source ON telltale.rollup_hours USING btree (source_id);
alter table telltale.rollup_hours enable row level security;
create policy rollup_hours_read on telltale.rollup_hours for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.rollup_hours to authenticated;
grant select on telltale.rollup_hours to service_role;
comment on table telltale.rollup_hours is 'Hours, computed from their minutes; kept 400 days. The minutes are the truth while they last.';
comment on column telltale.rollup_hours.hour is 'Start of the hour, UTC.';
comment on column telltale.rollup_hours.source_id is 'Where it was counted.';
comment on column telltale.rollup_hours.series is 'As in rollup_minutes.';
comment on column telltale.rollup_hours.computed_at is 'When it was last computed.';

create table telltale.rollup_minutes (
  minute timestamp with time zone not null,
  day date not null,
  source_id uuid not null,
  batch_id uuid,
  series jsonb not null
) partition by LIST (day);
alter table telltale.rollup_minutes add constraint rollup_minutes_are_whole_minutes CHECK ((EXTRACT(second FROM minute) = (0)::numeric));
alter table telltale.rollup_minutes add constraint rollup_minutes_lie_in_their_day CHECK ((day = ((minute AT TIME ZONE 'UTC'::text))::date));
alter table telltale.rollup_minutes add constraint rollup_minutes_map_keys_to_cells CHECK ((jsonb_typeof(series) = 'object'::text));
CREATE INDEX rollup_minutes_by_minute ON ONLY telltale.rollup_minutes USING btree (minute, source_id);
CREATE INDEX rollup_minutes_not_yet_compacted ON ONLY telltale.rollup_minutes USING btree (minute, source_id) WHERE (batch_id IS NOT NULL);
alter table telltale.rollup_minutes enable row level security;
create policy rollup_minutes_read on telltale.rollup_minutes for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.rollup_minutes to authenticated;
grant select on telltale.rollup_minutes to service_role;
comment on table telltale.rollup_minutes is 'Parts of minutes: the sum of all rows of a minute and source is what happened in it. Counts every request.';
comment on column telltale.rollup_minutes.minute is 'Start of the minute.';
comment on column telltale.rollup_minutes.day is 'Its partition: the UTC day of the minute.';
comment on column telltale.rollup_minutes.source_id is 'Where it was counted.';
comment on column telltale.rollup_minutes.batch_id is 'The batch that brought this part; null for a sum that the tick made.';
comment on column telltale.rollup_minutes.series is '{key: {count, errors, bytes_in, bytes_out, tokens_in, tokens_out, latency: histogram in µs}}; keys as in src/core/window.ts.';

create table telltale.sampling (
  sole boolean not null default true,
  baseline_share double precision not null default 1,
  keep_errors boolean not null default true,
  keep_slow boolean not null default true,
  keep_anomalous boolean not null default true,
  changed_at timestamp with time zone not null default telltale.clock(),
  decided_to timestamp with time zone not null default telltale.clock(),
  decided_id text collate "C" not null default ''::text,
  limits_at timestamp with time zone not null default '1970-01-01 00:00:00+00'::timestamp with time zone,
  kept bigint not null default 0,
  emptied bigint not null default 0
);
alter table telltale.sampling add constraint sampling_has_one_row CHECK (sole);
alter table telltale.sampling add constraint sampling_keeps_a_share CHECK (((baseline_share >= (0)::double precision) AND (baseline_share <= (1)::double precision)));
alter table telltale.sampling add constraint sampling_pkey PRIMARY KEY (sole);
alter table telltale.sampling enable row level security;
create policy sampling_read on telltale.sampling for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.sampling to authenticated;
grant select on telltale.sampling to service_role;
comment on table telltale.sampling is 'Whose spans are kept: one row, set by set_sampling. Pinned traces keep theirs always.';
comment on column telltale.sampling.sole is 'There is one row.';
comment on column telltale.sampling.baseline_share is 'Share of all traces that keep their spans, by chance, 0..1; 1: all do.';
comment on column telltale.sampling.keep_errors is 'Whether those keep them that failed or have an error recorded.';
comment on column telltale.sampling.keep_slow is 'Whether those do that took longer than 99 of 100 of their tool in the last six hours.';
comment on column telltale.sampling.keep_anomalous is 'Whether those do that lie in an anomaly of a series that counts them.';
comment on column telltale.sampling.changed_at is 'When the operator last set it.';
comment on column telltale.sampling.decided_to is 'Of traces that changed before this, by (changed_at, trace_id), it is decided.';
comment on column telltale.sampling.decided_id is 'The trace id that goes with decided_to.';
comment on column telltale.sampling.limits_at is 'When sampling_limits were last computed.';
comment on column telltale.sampling.kept is 'How many times it was decided that a trace keeps its spans.';
comment on column telltale.sampling.emptied is 'How many traces were emptied.';

create table telltale.sampling_limits (
  source_id uuid not null,
  series_key text not null,
  p99_ms double precision not null
);
alter table telltale.sampling_limits add constraint sampling_limits_pkey PRIMARY KEY (source_id, series_key);
alter table telltale.sampling_limits add constraint sampling_limits_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id) ON DELETE CASCADE;
alter table telltale.sampling_limits enable row level security;
create policy sampling_limits_read on telltale.sampling_limits for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.sampling_limits to authenticated;
grant select on telltale.sampling_limits to service_role;
comment on table telltale.sampling_limits is 'From when on a request is slow: p99 of its series over the last six hours.';
comment on column telltale.sampling_limits.source_id is 'Where it is counted.';
comment on column telltale.sampling_limits.series_key is 'all, or tool:X.';
comment on column telltale.sampling_limits.p99_ms is 'In ms. There is none of a series with fewer than 100 requests: those all count as slow.';

create table telltale.source_clocks (
  source_id uuid not null,
  from_minute timestamp with time zone not null,
  to_minute timestamp with time zone,
  shift interval not null,
  measured_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.source_clocks add constraint source_clocks_are_off_by_at_most_a_day CHECK (((shift >= '-1 days'::interval) AND (shift <= '1 day'::interval)));
alter table telltale.source_clocks add constraint source_clocks_end_after_they_begin CHECK ((to_minute >= from_minute));
alter table telltale.source_clocks add constraint source_clocks_pkey PRIMARY KEY (source_id, from_minute);
alter table telltale.source_clocks add constraint source_clocks_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id) ON DELETE CASCADE;
CREATE UNIQUE INDEX source_clocks_that_last ON telltale.source_clocks USING btree (source_id) WHERE (to_minute IS NULL);
alter table telltale.source_clocks enable row level security;
create policy source_clocks_read on telltale.source_clocks for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.source_clocks to authenticated;
grant select on telltale.source_clocks to service_role;
comment on table telltale.source_clocks is 'When the clock of a source was off by a minute or more.';
comment on column telltale.source_clocks.source_id is 'Whose clock.';
comment on column telltale.source_clocks.from_minute is 'The first minute that is to be moved, as the source named it.';
comment on column telltale.source_clocks.to_minute is 'The first one that is not any more; null: it is off still.';
comment on column telltale.source_clocks.shift is 'What to add to its minutes: whole minutes, at most a day either way.';
comment on column telltale.source_clocks.measured_at is 'When it was last seen to be so.';

create table telltale.sources (
  source_id uuid not null,
  service text not null,
  environment text not null,
  instance text not null,
  created_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.sources add constraint sources_are_told_apart_by_service_environment_and_instance UNIQUE (service, environment, instance);
alter table telltale.sources add constraint sources_pkey PRIMARY KEY (source_id);
alter table telltale.sources enable row level security;
create policy sources_read on telltale.sources for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.sources to authenticated;
grant select on telltale.sources to service_role;
comment on table telltale.sources is 'Where metrics come from. A source that changes its version stays one source.';
comment on column telltale.sources.source_id is 'Derived from the three names, see source_id_of: the same in any order of arrival.';
comment on column telltale.sources.service is 'What runs, such as exai.';
comment on column telltale.sources.environment is 'Such as production; demo is what `telltale start` shows on an empty store.';
comment on column telltale.sources.instance is 'Which of several, such as a host or container name.';
comment on column telltale.sources.created_at is 'When its first batch arrived.';

create view telltale.spans with (security_invoker=true) as
 SELECT t.trace_id,
    s.key AS span_id,
    (s.value ->> 'parent_span_id'::text) AS parent_span_id,
    (s.value ->> 'layer'::text) AS layer,
    COALESCE((s.value ->> 'kind'::text), 'work'::text) AS kind,
    (s.value ->> 'name'::text) AS name,
    telltale.at_of(((s.value -> 'start_us'::text))::bigint) AS started_at,
    telltale.at_of(((s.value -> 'end_us'::text))::bigint) AS ended_at,
    (((((s.value -> 'end_us'::text))::bigint - ((s.value -> 'start_us'::text))::bigint))::double precision / (1000.0)::double precision) AS duration_ms,
    (s.value ->> 'outcome'::text) AS outcome,
    COALESCE(((s.value -> 'entry'::text))::boolean, false) AS entry,
    (s.value ->> 'tool'::text) AS tool,
    (s.value ->> 'provider'::text) AS provider,
    (s.value ->> 'model'::text) AS model,
    ((s.value -> 'tokens_in'::text))::bigint AS tokens_in,
    ((s.value -> 'tokens_out'::text))::bigint AS tokens_out,
    (s.value ->> 'holder'::text) AS holder,
    COALESCE((s.value -> 'attributes'::text), '{}'::jsonb) AS attributes,
    ((s.value ->> 'process'::text))::uuid AS process_id,
    COALESCE(((s.value -> 'concluded'::text))::boolean, false) AS concluded,
    t.day
   FROM (telltale.traces t
     CROSS JOIN LATERAL jsonb_each(t.spans) s(key, value));
grant select on telltale.spans to authenticated;
grant select on telltale.spans to service_role;
comment on table telltale.spans is 'The spans of every trace, one row each, for people and SQL. Filter by trace_id or day: it unfolds what it reads.';
comment on column telltale.spans.trace_id is '32 hex digits.';
comment on column telltale.spans.span_id is '16 hex digits.';
comment on column telltale.spans.parent_span_id is 'The span that it hangs on, null for a root.';
comment on column telltale.spans.layer is 'shim, websocket, tool, provider, api, storage, or a deployment''s own.';
comment on column telltale.spans.kind is 'work, or wait: the request waited.';
comment on column telltale.spans.name is 'What was done.';
comment on column telltale.spans.started_at is 'By the reporter''s clock.';
comment on column telltale.spans.ended_at is 'By the reporter''s clock; null while it runs.';
comment on column telltale.spans.duration_ms is 'In ms, to the µs; null while it runs.';
comment on column telltale.spans.outcome is 'How it ended, null while it runs or where nobody said.';
comment on column telltale.spans.entry is 'Whether it is the span of the outermost recorder.';
comment on column telltale.spans.tool is 'The tool, where it says.';
comment on column telltale.spans.provider is 'The provider, where it says.';
comment on column telltale.spans.model is 'The model, where it says.';
comment on column telltale.spans.tokens_in is 'Tokens sent to a model.';
comment on column telltale.spans.tokens_out is 'Tokens a model answered with.';
comment on column telltale.spans.holder is 'Of a wait span: who held what it waited for.';
comment on column telltale.spans.attributes is 'Everything else that was recorded.';
comment on column telltale.spans.process_id is 'The process that recorded it.';
comment on column telltale.spans.concluded is 'Whether the tick ended it because its process fell silent.';
comment on column telltale.spans.day is 'The partition of its trace.';

create table telltale.tick_lease (
  only_row boolean not null default true,
  holder text,
  claimed_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  expires_at timestamp with time zone not null default '-infinity'::timestamp with time zone
);
alter table telltale.tick_lease add constraint tick_lease_is_one_row CHECK (only_row);
alter table telltale.tick_lease add constraint tick_lease_pkey PRIMARY KEY (only_row);
alter table telltale.tick_lease enable row level security;
create policy tick_lease_read on telltale.tick_lease for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.tick_lease to authenticated;
grant select on telltale.tick_lease to service_role;
comment on table telltale.tick_lease is 'Who runs the tick. One row.';
comment on column telltale.tick_lease.only_row is 'True.';
comment on column telltale.tick_lease.holder is 'Who has it, null when released.';
comment on column telltale.tick_lease.claimed_at is 'When it was last taken or renewed.';
comment on column telltale.tick_lease.expires_at is 'Until when it is the holder''s.';

create table telltale.trace_days (
  trace_id text collate "C" not null,
  day date not null
);
alter table telltale.trace_days add constraint trace_days_pkey PRIMARY KEY (trace_id);
CREATE INDEX trace_days_by_day ON telltale.trace_days USING btree (day);
alter table telltale.trace_days enable row level security;
create policy trace_days_read on telltale.trace_days for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.trace_days to authenticated;
grant select on telltale.trace_days to service_role;
comment on table telltale.trace_days is 'In which partition each trace lies: the UTC day of the start that its first batch saw.';
comment on column telltale.trace_days.trace_id is '32 hex digits (W3C trace context).';
comment on column telltale.trace_days.day is 'UTC day of its partition; at most one day from that of its true start.';

create table telltale.trace_joins (
  inner_trace_id text collate "C" not null,
  outer_trace_id text collate "C" not null,
  outer_span_id text not null,
  rule text not null,
  day date not null,
  joined_at timestamp with time zone not null default telltale.clock(),
  summed_at timestamp with time zone
);
alter table telltale.trace_joins add constraint trace_joins_are_of_two CHECK ((inner_trace_id <> outer_trace_id));
alter table telltale.trace_joins add constraint trace_joins_have_a_rule CHECK ((rule = ANY (ARRAY['arguments'::text, 'session'::text])));
alter table telltale.trace_joins add constraint trace_joins_pkey PRIMARY KEY (inner_trace_id);
CREATE INDEX trace_joins_by_day ON telltale.trace_joins USING btree (day);
CREATE INDEX trace_joins_by_outer ON telltale.trace_joins USING btree (outer_trace_id);
alter table telltale.trace_joins enable row level security;
create policy trace_joins_read on telltale.trace_joins for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.trace_joins to authenticated;
grant select on telltale.trace_joins to service_role;
comment on table telltale.trace_joins is 'Two traces that are one request: inferred, for no trace context went from one recorder to the other.';
comment on column telltale.trace_joins.inner_trace_id is 'The trace of the recorder further in.';
comment on column telltale.trace_joins.outer_trace_id is 'The trace that it is shown in.';
comment on column telltale.trace_joins.outer_span_id is 'The span there that the inner trace hangs on.';
comment on column telltale.trace_joins.rule is 'What they have in common beside tool and overlap in time: arguments (their salted hash), or session.';
comment on column telltale.trace_joins.day is 'The partition of the outer trace; the join is kept as long.';
comment on column telltale.trace_joins.joined_at is 'When it was inferred.';
comment on column telltale.trace_joins.summed_at is 'When the outer row last summed up both; null before the first time.';

create table telltale.traces (
  trace_id text collate "C" not null /* storage m */,
  day date not null,
  started_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  duration_ms double precision,
  wait_ms double precision not null,
  process_id uuid not null,
  revision bigint not null default 1,
  changed_at timestamp with time zone not null default telltale.clock(),
  changed_xid xid8 not null default pg_current_xact_id(),
  bytes_in bigint,
  bytes_out bigint,
  tokens_in bigint,
  tokens_out bigint,
  call_number bigint,
  span_count integer not null,
  spans_dropped integer not null default 0,
  name text not null /* storage m */,
  outcome text /* storage m */,
  request_id text /* storage m */,
  session_key text /* storage m */,
  session_rule text /* storage m */,
  tool text /* storage m */,
  provider text /* storage m */,
  model text /* storage m */,
  layers jsonb not null /* storage m */,
  spans jsonb not null /* storage m */,
  sampled jsonb /* storage m */
) partition by LIST (day);
alter table telltale.traces add constraint traces_break_down_by_layer CHECK ((jsonb_typeof(layers) = 'object'::text));
alter table telltale.traces add constraint traces_end_as_outcomes_are_named CHECK ((outcome = ANY (ARRAY['ok'::text, 'tool_error'::text, 'empty'::text, 'truncated'::text, 'caller_fault'::text, 'server_fault'::text, 'timeout'::text, 'cancelled'::text, 'interrupted'::text])));
alter table telltale.traces add constraint traces_have_spans CHECK (((span_count >= 1) AND (jsonb_typeof(spans) = 'object'::text)));
alter table telltale.traces add constraint traces_have_w3c_ids CHECK ((trace_id ~ '^[0-9a-f]{32}$'::text));
alter table telltale.traces add constraint traces_pkey PRIMARY KEY (trace_id, day);
CREATE INDEX traces_by_change ON ONLY telltale.traces USING btree (changed_at, trace_id) WHERE (duration_ms IS NOT NULL);
CREATE INDEX traces_by_request ON ONLY telltale.traces USING btree (request_id, started_at, trace_id) WHERE (request_id IS NOT NULL);
CREATE INDEX traces_by_session ON ONLY telltale.traces USING btree (session_key, started_at, trace_id) WHERE (session_key IS NOT NULL);
CREATE INDEX traces_by_start ON ONLY telltale.traces USING btree (started_at, trace_id);
CREATE INDEX traces_by_tool ON ONLY telltale.traces USING btree (tool, started_at, trace_id) WHERE (tool IS NOT NULL);
CREATE INDEX traces_by_word ON ONLY telltale.traces USING gin (telltale.words_of(VARIADIC ARRAY[name, tool, provider, model, request_id, session_key]));
CREATE INDEX traces_that_failed ON ONLY telltale.traces USING btree (started_at, trace_id) WHERE (outcome = ANY (ARRAY['tool_error'::text, 'server_fault'::text, 'timeout'::text, 'interrupted'::text]));
CREATE INDEX traces_that_run ON ONLY telltale.traces USING btree (process_id, changed_at) WHERE (duration_ms IS NULL);
alter table telltale.traces enable row level security;
create policy traces_read on telltale.traces for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.traces to authenticated;
grant select on telltale.traces to service_role;
comment on table telltale.traces is 'One row for each request through the system.';
comment on column telltale.traces.trace_id is '32 hex digits (W3C trace context).';
comment on column telltale.traces.day is 'Its partition, from trace_days.';
comment on column telltale.traces.started_at is 'The least start of its spans, by the reporter''s clock.';
comment on column telltale.traces.ended_at is 'The greatest end of its spans, by the reporter''s clock; null while none has ended.';
comment on column telltale.traces.duration_ms is 'Duration of its head span in ms, to the µs; null while that runs. The head is the first entry span, else the first root.';
comment on column telltale.traces.wait_ms is 'Self time of its wait spans in ms.';
comment on column telltale.traces.process_id is 'The process that recorded the head span.';
comment on column telltale.traces.revision is 'How many batches have changed the row.';
comment on column telltale.traces.changed_at is 'When the row was last changed, by this server''s clock.';
comment on column telltale.traces.changed_xid is 'The transaction that last changed it: how tail() finds rows that were committed late.';
comment on column telltale.traces.bytes_in is 'Bytes of the request.';
comment on column telltale.traces.bytes_out is 'Bytes of the answer.';
comment on column telltale.traces.tokens_in is 'Tokens sent to models.';
comment on column telltale.traces.tokens_out is 'Tokens that models answered with.';
comment on column telltale.traces.call_number is 'Position of the call in its session, from 1; null when the recorder does not say.';
comment on column telltale.traces.span_count is 'How many spans it has.';
comment on column telltale.traces.spans_dropped is 'How many spans were left out because it had 10,000 already.';
comment on column telltale.traces.name is 'Name of the head span.';
comment on column telltale.traces.outcome is 'How the head span ended; null while it runs.';
comment on column telltale.traces.request_id is 'The caller''s own id of the request: any text, not unique.';
comment on column telltale.traces.session_key is 'Which conversation it belongs to.';
comment on column telltale.traces.session_rule is 'How the session key was found: continuation, conversation, explicit, mcp or connection.';
comment on column telltale.traces.tool is 'The tool that was called.';
comment on column telltale.traces.provider is 'The provider that served it.';
comment on column telltale.traces.model is 'The model that answered.';
comment on column telltale.traces.layers is 'Self time in ms by layer, and `unexplained`: what no root span covers. Layers of 0 are absent.';
comment on column telltale.traces.spans is 'Its spans by span id, as StoredSpan in src/core/trace.ts; the view telltale.spans unfolds them.';
comment on column telltale.traces.sampled is 'Null: its spans are there. Else they were let go, and this is its head span, for an end that comes late: all else stays.';

create table telltale.viewers (
  viewer_id uuid not null,
  user_id uuid not null,
  seen_at timestamp with time zone not null default telltale.clock(),
  present integer not null default 0
);
alter table telltale.viewers add constraint viewers_pkey PRIMARY KEY (viewer_id);
alter table telltale.viewers add constraint viewers_see_no_fewer_than_none CHECK ((present >= 0));
CREATE INDEX viewers_by_last_seen ON telltale.viewers USING btree (seen_at);
alter table telltale.viewers enable row level security;
create policy viewers_read on telltale.viewers for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.viewers to authenticated;
grant select on telltale.viewers to service_role;
comment on table telltale.viewers is 'Visible pages that looked in the last minutes: while there is one, reporters send faster.';
comment on column telltale.viewers.viewer_id is 'UUID that the page minted.';
comment on column telltale.viewers.user_id is 'Whose page it is.';
comment on column telltale.viewers.seen_at is 'When it last said so.';
comment on column telltale.viewers.present is 'How many pages it sees on the live channel, itself included; 0 while it has none.';

CREATE OR REPLACE FUNCTION telltale.add_member(user_id uuid, email text)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  with added as (
    insert into telltale.members as m (user_id, email) values (add_member.user_id, add_member.email)
    on conflict on constraint members_pkey do nothing
    returning 1
  )
  select exists (select from added)
$function$;
grant execute on function telltale.add_member(uuid,text) to service_role;
comment on function telltale.add_member(uuid,text) is 'Lets a user of Supabase Auth read everything; false when the user may already. Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.admit_names(source uuid, keys text[])
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
declare
  unknown text[];
  renamed jsonb;
begin
  select array_agg(k order by k collate "C") into unknown
  from unnest(keys) as k
  where split_part(k, ':', 1) in ('tool', 'provider', 'model', 'layer', 'connection', 'cache')
    and k <> split_part(k, ':', 1) || ':other'
    and not exists (select from telltale.admitted_names as n where n.source_id = source and n.series_key = k);
  if unknown is null then
    return '{}';
  end if;
  -- Names are only ever added, so that a kind seen to be full stays full, and its newcomers need no lock.
  if exists (
    select from unnest(unknown) as k
    where (select count(*) from telltale.admitted_names as n
      where n.source_id = source and n.series_key like split_part(k, ':', 1) || ':%')
      < telltale.names_max(split_part(k, ':', 1))
  ) then
    perform from telltale.sources where source_id = source for no key update;
    insert into telltale.admitted_names (source_id, series_key)
    select source, fresh.key
    from (
      select k as key, split_part(k, ':', 1) as kind,
        row_number() over (partition by split_part(k, ':', 1) order by k collate "C") as place
      from unnest(unknown) as k
      where not exists (select from telltale.admitted_names as n where n.source_id = source and n.series_key = k)
    ) as fresh
    where fresh.place + (select count(*) from telltale.admitted_names as n
      where n.source_id = source and n.series_key like fresh.kind || ':%') <= telltale.names_max(fresh.kind)
    order by fresh.key collate "C"
    on conflict do nothing;
  end if;
  select jsonb_object_agg(k, split_part(k, ':', 1) || ':other') into renamed
  from unnest(unknown) as k
  where not exists (select from telltale.admitted_names as n where n.source_id = source and n.series_key = k);
  return coalesce(renamed, '{}');
end
$function$;
comment on function telltale.admit_names(uuid,text[]) is 'Admits series keys of a source while their kind has room; {key: its kind:other} of those that had to stay out. Definer:
part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.are_admitted(keys text[], sources uuid[])
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select not exists (
    select from unnest(keys) as k(key)
    cross join lateral (select split_part(k.key, ':', 1)) as name(kind)
    join telltale.sources as s on sources is null or s.source_id = any (sources)
    where k.key <> name.kind || ':other'
      and not exists (select from telltale.admitted_names as n where n.source_id = s.source_id and n.series_key = k.key)
      and (select count(*) from telltale.admitted_names as n
        where n.source_id = s.source_id and n.series_key like name.kind || ':%') >= telltale.names_max(name.kind))
$function$;
comment on function telltale.are_admitted(text[],uuid[]) is 'Whether these sources count under each of these keys all that it names: a source with no room for a name counts it as
`other`. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.at_of(us bigint)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN to_timestamp(((us)::double precision / (1000000.0)::double precision));
grant execute on function telltale.at_of(bigint) to authenticated;
grant execute on function telltale.at_of(bigint) to service_role;
comment on function telltale.at_of(bigint) is 'The instant that is so many µs after the epoch. Exact up to 2^53 µs.';

CREATE OR REPLACE FUNCTION telltale.breakdowns_of(traces jsonb[])
 RETURNS TABLE(place bigint, layers jsonb, wait_ms numeric)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE ROWS 100
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  return query
  with span as materialized (
    select * from telltale.self_times_of(traces)
  ), root as (
    select place, started_us, stopped_us,
      coalesce(max(stopped_us) over (partition by place order by started_us, stopped_us
        rows between unbounded preceding and 1 preceding), started_us) as reached
    from span
    where root
  ), amount as (
    select place, wait, layer, self_us as us from span where self_us > 0
    union all
    select place, false, 'unexplained',
      max(stopped_us) - min(started_us) - sum(greatest(0, stopped_us - greatest(started_us, reached)))
    from root
    group by place
  ), total as (
    select place, layer, sum(us) as us, sum(us) filter (where wait) as waited
    from amount group by place, layer having sum(us) > 0
  ), summed as (
    select place, jsonb_object_agg(layer, trim_scale(us / 1000.0)) as layers, sum(waited) as waited from total group by place
  )
  select t.place, coalesce(layers, '{}'), trim_scale(coalesce(waited, 0) / 1000.0)
  from generate_series(1, cardinality(traces)::bigint) as t(place) left join summed on summed.place = t.place;
end
$function$;
grant execute on function telltale.breakdowns_of(jsonb[]) to service_role;
comment on function telltale.breakdowns_of(jsonb[]) is 'Where the time of traces went: layers {layer: ms of self time, unexplained: ms that no root covers}, and ms of waiting.';

CREATE OR REPLACE FUNCTION telltale.call_rank(session text, started timestamp with time zone, trace text, upto integer DEFAULT 100000)
 RETURNS bigint
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select 1 + count(*) from (
    select from telltale.traces as t
    where t.session_key = session and (t.started_at, t.trace_id) < (started, trace)
    limit upto
  ) as earlier
$function$;
comment on function telltale.call_rank(text,timestamp with time zone,text,integer) is 'The position of a trace in its session, from 1, by (started_at, trace_id): for traces whose recorder sent no call number.
Counts no further than `upto`. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.call_tick()
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  v_url text;
  v_key text;
begin
  if not telltale.is_tick_due() or not telltale.does_work_wait() then
    return false;
  end if;
  if to_regclass('vault.decrypted_secrets') is null or to_regnamespace('net') is null then
    return false;
  end if;
  execute $sql$ select max(decrypted_secret) filter (where name = 'telltale_tick_url'),
    max(decrypted_secret) filter (where name = 'telltale_tick_key') from vault.decrypted_secrets $sql$ into v_url, v_key;
  if v_url is null or v_key is null then
    return false;
  end if;
  execute 'select net.http_post(url => $1, body => ''{}''::jsonb, headers => $2, timeout_milliseconds => 30000)'
  using v_url, jsonb_build_object('apikey', v_key, 'Content-Type', 'application/json');
  return true;
end
$function$;
comment on function telltale.call_tick() is 'Asks the edge for a tick when one is due and work waits; whether it did. False too where the Vault does not say where the edge is.
Definer: the Vault is for the owner.';

CREATE OR REPLACE FUNCTION telltale.caller_id()
 RETURNS uuid
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid
$function$;
grant execute on function telltale.caller_id() to authenticated;
grant execute on function telltale.caller_id() to service_role;
comment on function telltale.caller_id() is 'The user id of the caller''s token, null without one.';

CREATE OR REPLACE FUNCTION telltale.cell_stats(places text[], cells jsonb[], seconds double precision)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
begin
  return (
    with cell as materialized (
      select c.place, c.cell from unnest(places, cells) as c(place, cell)
    ), bucket as (
      select place, index, least(sum(n), 9007199254740991) as n
      from (
        -- Zeros lie below the least index that a double can have.
        select place, -40000 as index, (cell -> 'latency' -> 'z')::bigint as n from cell
        union all
        select cell.place, b.key::int, b.value::bigint
        from cell cross join lateral jsonb_each(cell.cell -> 'latency' -> 'b') as b
      ) as counts
      group by place, index
    ), running as (
      select place, case when index = -40000 then 0 else power(2::double precision, (index + 0.5::double precision) / 32) end
        as us, sum(n) over (partition by place order by index) as seen, sum(n) over (partition by place) as total
      from bucket
    ), quantile as (
      select place, nullif(max(total), 0) as total, array[
        min(us) filter (where seen >= greatest(1, ceil(0.5 * total::double precision))),
        min(us) filter (where seen >= greatest(1, ceil(0.95 * total::double precision))),
        min(us) filter (where seen >= greatest(1, ceil(0.99 * total::double precision)))] as us
      from running group by place
    ), summed as (
      select place,
        least(sum((cell -> 'count')::bigint), 9007199254740991) as count,
        least(sum((cell -> 'errors')::bigint), 9007199254740991) as errors,
        least(sum((cell -> 'bytes_in')::bigint), 9007199254740991) as bytes_in,
        least(sum((cell -> 'bytes_out')::bigint), 9007199254740991) as bytes_out,
        least(sum((cell -> 'tokens_in')::bigint), 9007199254740991) as tokens_in,
        least(sum((cell -> 'tokens_out')::bigint), 9007199254740991) as tokens_out,
        least(sum((cell -> 'latency' -> 'sum')::bigint), 9007199254740991) as us
      from cell group by place
    )
    select coalesce(jsonb_object_agg(s.place, telltale.stats_of(s.count, s.errors, seconds, s.us / q.total, q.us,
      s.bytes_in, s.bytes_out, s.tokens_in, s.tokens_out)), '{}')
    from summed as s join quantile as q on q.place = s.place
  );
end
$function$;
comment on function telltale.cell_stats(text[],jsonb[],double precision) is '{place: Stats} of cells of series, those of one place added up: what series_merge and histogram_quantile answer, for all
places at once, since to start a query costs far more than a row in it.';

CREATE OR REPLACE FUNCTION telltale.cells_between(keys text[], since timestamp with time zone, till timestamp with time zone, sources uuid[], whole_hours boolean)
 RETURNS TABLE(at timestamp with time zone, key text, cell jsonb)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  -- Offset 0: each look into a series unpacks all of it, so there is one.
  select c.at, c.key, c.cell
  from (
    select r.at, k.key, r.series -> k.key as cell
    from telltale.rollups_between(since, till, sources, whole_hours) as r cross join unnest(keys) as k(key)
    offset 0
  ) as c
  where c.cell is not null
$function$;
comment on function telltale.cells_between(text[],timestamp with time zone,timestamp with time zone,uuid[],boolean) is 'The cells of these series keys in rollups_between. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.check_filter(filter jsonb, allowed text[])
 RETURNS void
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  wrong text;
begin
  if jsonb_typeof(filter) <> 'object' then
    raise exception 'Cannot read filter: it is of type %', jsonb_typeof(filter)
      using errcode = '22023', hint = 'An object with any of: ' || array_to_string(allowed, ', ');
  end if;
  select k into wrong from jsonb_object_keys(filter) as k where k <> all (allowed) order by k limit 1;
  if found then
    raise exception 'Cannot read filter: it has a key %', to_json(wrong)
      using errcode = '22023', hint = 'Allowed are: ' || array_to_string(allowed, ', ');
  end if;
end
$function$;
grant execute on function telltale.check_filter(jsonb,text[]) to authenticated;
grant execute on function telltale.check_filter(jsonb,text[]) to service_role;
comment on function telltale.check_filter(jsonb,text[]) is 'Raises 22023 unless the filter is an object with none but these keys.';

CREATE OR REPLACE FUNCTION telltale.claim_tick(holder text, seconds integer)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  if holder is null or seconds is null or seconds not between 1 and 600 then
    raise exception 'Cannot claim tick: % s is not from 1 to 600', seconds using errcode = '22023';
  end if;
  update telltale.tick_lease as l
  set holder = claim_tick.holder, claimed_at = telltale.clock(),
    expires_at = telltale.clock() + seconds * interval '1 second'
  where l.expires_at <= telltale.clock() or l.holder is null or l.holder = claim_tick.holder
    -- No lease is that long: the clock went back, and whoever held it may be gone for good.
    or l.expires_at > telltale.clock() + interval '600 seconds';
  return found;
end
$function$;
grant execute on function telltale.claim_tick(text,integer) to service_role;
comment on function telltale.claim_tick(text,integer) is 'Takes or renews the lease for so many seconds, 1 to 600; false while another has it. Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.clock()
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN now();
grant execute on function telltale.clock() to authenticated;
grant execute on function telltale.clock() to service_role;
comment on function telltale.clock() is 'What time it is: that of the transaction. Nothing here asks another clock, so that a test can replace this one.';

CREATE OR REPLACE FUNCTION telltale.clocks_off(since timestamp with time zone, till timestamp with time zone, sources uuid[])
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('service', service, 'environment', environment, 'instance', instance,
    'offset_ms', ms) order by abs(ms) desc, service, environment, instance), '[]')
  from (
    select s.service, s.environment, s.instance, -extract(epoch from c.shift)::bigint * 1000 as ms
    from telltale.source_clocks as c join telltale.sources as s on s.source_id = c.source_id
    where c.source_id = any (telltale.skewed_between(since, till, sources)) and c.from_minute + c.shift < till
      and coalesce(c.to_minute + c.shift, 'infinity') > since
    order by abs(extract(epoch from c.shift)) desc limit 100
  ) as listed
$function$;
comment on function telltale.clocks_off(timestamp with time zone,timestamp with time zone,uuid[]) is '[{service, environment, instance, offset_ms: how far its clock is ahead, to the minute}], those that are off most first, at most
100. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.compare(a jsonb DEFAULT '{}'::jsonb, b jsonb DEFAULT '{}'::jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  noise constant double precision := 0.05;
  keys_max constant integer := 32;
  sides jsonb := '{}';
  side record;
  asked record;
  compared jsonb;
  tests bigint;
begin
  perform telltale.require_reader();
  for side in select name, coalesce(filter, '{}') as filter from (values ('a', a), ('b', b)) as v(name, filter) loop
    perform telltale.check_filter(side.filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
      'min_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
    select * into asked from telltale.range_of(side.filter);
    sides := sides || jsonb_build_object(side.name, jsonb_build_object('filter', side.filter,
      'from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
      'seconds', telltale.seconds_of(asked.since, asked.till), 'step', telltale.step_of(side.filter, null),
      'source', case when telltale.series_keys_of(side.filter, telltale.sources_of(side.filter)) is null then 'traces'
        else 'parts' end));
  end loop;
  with row as materialized (
    select 'a' as side, m.* from telltale.measured(sides -> 'a' -> 'filter', (sides -> 'a' -> 'step')::int) as m
    union all
    select 'b', m.* from telltale.measured(sides -> 'b' -> 'filter', (sides -> 'b' -> 'step')::int) as m
  ), listed as (
    select key from (
      select key, row_number() over (partition by split_part(key, ':', 1) order by sum(sums[1]) desc, key collate "C") as place
      from row where sums is not null group by key
    ) as ranked where place <= keys_max
    union select 'all'
  ), summed as (
    select side, key, array[sum(sums[1]), sum(sums[2]), sum(sums[3]), sum(sums[4]), sum(sums[5]), sum(sums[6]), sum(sums[7])]
      as sums, count(*) as blocks
    from row join listed using (key) where sums is not null group by side, key
  ), spread as (
    -- How far each ratio of two sums may be off, from how much it differs from block to block of time (ratio estimator).
    select side, key, measure, ratio, present, sqrt(blocks / nullif(blocks - 1, 0) * sum(off * off) / nullif(whole * whole, 0)) as error
    from (
      select row.side, key, measure, whole, whole_of / nullif(whole, 0) as ratio,
        case measure when 'per_second' then span.blocks else s.blocks end as blocks, s.blocks as present,
        part - whole_of / nullif(whole, 0) * of as off
      from row join summed as s using (side, key)
      cross join lateral (select (sides -> row.side -> 'seconds')::double precision as seconds,
        (sides -> row.side -> 'step')::double precision as step) as asked
      cross join lateral (select ceil(asked.seconds / asked.step) as blocks) as span
      cross join lateral (values
        ('per_second', row.sums[1]::double precision, asked.seconds / span.blocks, s.sums[1]::double precision, asked.seconds),
        ('tokens_in_per_call', row.sums[5]::double precision, row.sums[1]::double precision, s.sums[5]::double precision,
          s.sums[1]::double precision),
        ('tokens_out_per_call', row.sums[6]::double precision, row.sums[1]::double precision, s.sums[6]::double precision,
          s.sums[1]::double precision)) as ratio(measure, part, of, whole_of, whole)
      where row.sums is not null
      union all
      -- Blocks in which nothing happened count too.
      select s.side, key, 'per_second', asked.seconds, s.sums[1]::double precision / asked.seconds, ceil(asked.seconds / asked.step),
        s.blocks, s.sums[1]::double precision / asked.seconds * asked.seconds / ceil(asked.seconds / asked.step)
      from summed as s
      cross join lateral (select (sides -> s.side -> 'seconds')::double precision as seconds,
        (sides -> s.side -> 'step')::double precision as step) as asked
      cross join lateral generate_series(s.blocks + 1, ceil(asked.seconds / asked.step)::bigint)
    ) as part
    group by side, key, measure, ratio, present, blocks, whole
  ), latency as materialized (
    select key, us, coalesce(sum(n) filter (where side = 'a'), 0) as a, coalesce(sum(n) filter (where side = 'b'), 0) as b
    from row join listed using (key) where us is not null group by key, us
  ), running as (
    select *, sum(a) over up as a_seen, sum(b) over up as b_seen, sum(a) over whole as a_all, sum(b) over whole as b_all
    from latency window up as (partition by key order by us), whole as (partition by key)
  ), distribution as (
    select key, max(a_all) as a_n, max(b_all) as b_n,
      array[min(us) filter (where a_seen >= greatest(1, ceil(a_all * 0.5)) and a_all > 0),
        min(us) filter (where a_seen >= greatest(1, ceil(a_all * 0.95)) and a_all > 0),
        min(us) filter (where a_seen >= greatest(1, ceil(a_all * 0.99)) and a_all > 0)] as a_us,
      array[min(us) filter (where b_seen >= greatest(1, ceil(b_all * 0.5)) and b_all > 0),
        min(us) filter (where b_seen >= greatest(1, ceil(b_all * 0.95)) and b_all > 0),
        min(us) filter (where b_seen >= greatest(1, ceil(b_all * 0.99)) and b_all > 0)] as b_us,
      sum(a * (us / 1000) ^ 2)::double precision as a_squares, sum(b * (us / 1000) ^ 2)::double precision as b_squares,
      sum(a * us / 1000)::double precision as a_sum, sum(b * us / 1000)::double precision as b_sum,
      -- Mann and Whitney: how often one of b is slower than one of a, ties counting half.
      sum(b * (a_seen - a / 2)) as wins, sum((a + b) ^ 3 - (a + b)) as ties
    from running group by key
  ), tail as (
    -- Of each quantile of both together: how many of either lie above it.
    select key, q, max(a_all) as a_n, max(b_all) as b_n,
      max(a_all) - min(a_seen) filter (where a_seen + b_seen >= ceil((a_all + b_all) * q)) as a_above,
      max(b_all) - min(b_seen) filter (where a_seen + b_seen >= ceil((a_all + b_all) * q)) as b_above
    from running cross join unnest(array[0.5, 0.95, 0.99]) as q group by key, q
  ), stats as (
    select key, telltale.side_stats(x.sums, d.a_n, d.a_us, (sides -> 'a' -> 'seconds')::double precision) as a,
      telltale.side_stats(y.sums, d.b_n, d.b_us, (sides -> 'b' -> 'seconds')::double precision) as b
    from listed
    left join (select * from summed where side = 'a') as x using (key)
    left join (select * from summed where side = 'b') as y using (key)
    left join distribution as d using (key)
  ), test as (
    select key, 'error_rate' as measure, (b ->> 'error_rate')::numeric - (a ->> 'error_rate')::numeric as difference,
      (b ->> 'error_rate')::numeric / nullif((a ->> 'error_rate')::numeric, 0) as ratio,
      telltale.p_of_shares((a ->> 'errors')::numeric, (a ->> 'count')::numeric, (b ->> 'errors')::numeric, (b ->> 'count')::numeric) as p
    from stats
    union all
    select key, name, (b ->> name)::numeric - (a ->> name)::numeric,
      (b ->> name)::numeric / nullif((a ->> name)::numeric, 0), telltale.p_of_shares(a_above, a_n, b_above, b_n)
    from stats join tail using (key)
    cross join lateral (select 'p' || trim_scale(q * 100) || '_ms' as name) as named
    where stats.a ->> name is not null and stats.b ->> name is not null
    union all
    select key, 'mean_ms', (a_b.b - a_b.a)::numeric, (a_b.b / nullif(a_b.a, 0))::numeric, case when a_n >= 30 and b_n >= 30 then
      coalesce(telltale.p_of_z((b_sum / b_n - a_sum / a_n) / nullif(sqrt(
        greatest(0, a_squares - a_sum * a_sum / a_n) / (a_n - 1) / a_n
        + greatest(0, b_squares - b_sum * b_sum / b_n) / (b_n - 1) / b_n), 0)), 1) end
    from stats join distribution using (key)
    cross join lateral (select (a ->> 'mean_ms')::double precision as a, (b ->> 'mean_ms')::double precision as b) as a_b
    where a_n > 0 and b_n > 0
    union all
    select key, 'latency', (2 * wins / (a_n * b_n) - 1), null, case when a_n >= 5 and b_n >= 5 then
      coalesce(telltale.p_of_z((wins - a_n * b_n / 2)::double precision / nullif(sqrt(
        (a_n * b_n / 12 * (a_n + b_n + 1 - ties / ((a_n + b_n) * (a_n + b_n - 1))))::double precision), 0)), 1) end
    from distribution where a_n > 0 and b_n > 0
    union all
    select key, measure, (y.ratio - x.ratio)::numeric, (y.ratio / nullif(x.ratio, 0))::numeric,
      case when least(x.present, y.present) >= 5 then
        coalesce(telltale.p_of_z((y.ratio - x.ratio) / nullif(sqrt(x.error ^ 2 + y.error ^ 2), 0)), 1) end
    from (select * from spread where side = 'a') as x join (select * from spread where side = 'b') as y using (key, measure)
  ), corrected as (
    -- Holm: of so many tests the least p counts times their number, the next times one fewer.
    select *, case when p is not null then max(least(1, p * (made - place + 1))) over (order by place) end as corrected
    from (
      select *, count(p) over () as made, row_number() over (order by p nulls last, key collate "C", measure) as place from test
    ) as ranked
  ), told as (
    select key, max(made) as made, jsonb_object_agg(measure, jsonb_build_object('difference', round(difference, 6),
      'ratio', round(ratio, 6), 'p', round(corrected::numeric, 6), 'differs', corrected < noise)) as changes
    from corrected group by key
  )
  select max(told.made), jsonb_object_agg(s.key, jsonb_build_object('key', coalesce(nullif(substr(s.key,
      strpos(s.key, ':') + 1), ''), s.key), 'a', s.a, 'b', s.b, 'changes', coalesce(told.changes, '{}')))
  into tests, compared
  from stats as s left join told on told.key = s.key;
  return jsonb_build_object('a', (sides -> 'a') - array['filter', 'seconds', 'step'],
    'b', (sides -> 'b') - array['filter', 'seconds', 'step'], 'noise', noise, 'comparisons', coalesce(tests, 0),
    'total', (compared -> 'all') - 'key')
    || (select jsonb_object_agg(kind || 's', (
      select coalesce(jsonb_agg(value order by (value -> 'a' -> 'count')::numeric + (value -> 'b' -> 'count')::numeric desc,
        key collate "C"), '[]')
      from jsonb_each(compared) where starts_with(key, kind || ':')))
      from unnest(array['layer', 'tool', 'provider', 'model', 'call']) as kind);
end
$function$;
grant execute on function telltale.compare(jsonb,jsonb) to authenticated;
grant execute on function telltale.compare(jsonb,jsonb) to service_role;
comment on function telltale.compare(jsonb,jsonb) is '{a, b: {from_us, to_us, source: parts | traces}, noise, comparisons, total: {a: Stats, b: Stats, changes: {measure:
{difference: b - a, ratio: b / a, p, differs}}}, layers, tools, providers, models, calls: [{key: the name, a, b, changes}], 32 each,
the most counted first}. Measures: per_second, error_rate, mean_ms, p50_ms, p95_ms, p99_ms, latency (how much more often one of b
is slower than one of a than the other way round, -1 to 1), tokens_in_per_call, tokens_out_per_call. differs: p is below noise;
null where there is too little to tell. p is how likely chance alone does as much, corrected (Holm) for all comparisons of the
answer. Tests: shares of errors, and of requests above each quantile of both together: two proportions; mean: by the spread of
the histogram; latency: ranks (Mann-Whitney, with ties); rates and tokens: by how they differ between at least 5 steps of time.
A filter is as for overview. Definer, see the file''s head; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.compute_sampling_limits()
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  stats jsonb;
begin
  select telltale.cell_stats(array_agg(h.source_id || ' ' || c.key), array_agg(c.value), 1) into stats
  from telltale.rollup_hours as h cross join lateral jsonb_each(h.series) as c
  where h.hour > telltale.clock() - interval '6 hours' and h.hour <= telltale.clock()
    and (c.key = 'all' or starts_with(c.key, 'tool:'));
  delete from telltale.sampling_limits;
  insert into telltale.sampling_limits (source_id, series_key, p99_ms)
  select split_part(key, ' ', 1)::uuid, substr(key, 38), (value ->> 'p99_ms')::double precision
  from jsonb_each(coalesce(stats, '{}')) where (value ->> 'count')::numeric >= 100 and value ->> 'p99_ms' is not null;
end
$function$;
comment on function telltale.compute_sampling_limits() is 'Computes sampling_limits anew, from the hours. Definer: part of tick_decide_sampling.';

CREATE OR REPLACE FUNCTION telltale.concluded_rows(calls jsonb, process uuid)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
comment on function telltale.concluded_rows(jsonb,uuid) is 'TraceRows that end what a process ran when it fell silent, at the time of its last sign of life by its own clock. Definer:
part of tick_mark_interrupted.';

CREATE OR REPLACE FUNCTION telltale.create_key(key_id text, key_hash text, name text)
 RETURNS jsonb
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  insert into telltale.ingest_keys (key_id, key_hash, name)
  values (create_key.key_id, create_key.key_hash, create_key.name)
  returning jsonb_build_object('key_id', key_id, 'name', name, 'created_at', created_at)
$function$;
grant execute on function telltale.create_key(text,text,text) to service_role;
comment on function telltale.create_key(text,text,text) is 'Keeps a new ingest key by its id (12 of [a-z0-9]) and sha256 (64 hex digits). Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.cursor_of(place jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE STRICT
 SET search_path TO ''
AS $function$ select translate(encode(convert_to(place::text, 'UTF8'), 'base64'), E'+/=\n', '-_') $function$;
grant execute on function telltale.cursor_of(jsonb) to authenticated;
grant execute on function telltale.cursor_of(jsonb) to service_role;
comment on function telltale.cursor_of(jsonb) is 'A place in a list as opaque text that fits into a URL.';

CREATE OR REPLACE FUNCTION telltale.cut_text(text text, bytes_max integer)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$
  select case when octet_length(text) <= bytes_max then text else (
    -- No further than to the end of a character: the byte behind it does not continue one.
    select convert_from(substring(bytes from 1 for max(n)), 'UTF8')
    from generate_series(bytes_max - 3, bytes_max) as n
    where get_byte(bytes, n) & 192 <> 128
    group by bytes)
  end
  from convert_to(text, 'UTF8') as bytes
$function$;
grant execute on function telltale.cut_text(text,integer) to authenticated;
grant execute on function telltale.cut_text(text,integer) to service_role;
comment on function telltale.cut_text(text,integer) is 'The text, or as many of its first characters as fit into so many bytes (at least 4).';

CREATE OR REPLACE FUNCTION telltale.day_of(us bigint)
 RETURNS date
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN ('1970-01-01'::date + (floor(((us)::double precision / (86400000000.0)::double precision)))::integer);
grant execute on function telltale.day_of(bigint) to authenticated;
grant execute on function telltale.day_of(bigint) to service_role;
comment on function telltale.day_of(bigint) is 'The UTC day of an instant in µs since the epoch.';

CREATE OR REPLACE FUNCTION telltale.days_missing(batch jsonb)
 RETURNS date[]
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
begin
  return (
    select array_agg(day order by day)
    from (
      select coalesce((select d.day from telltale.trace_days as d where d.trace_id = t.value ->> 'trace_id'),
        telltale.day_of((t.value -> 'started_at_us')::bigint)) as day
      from jsonb_array_elements(batch -> 'traces') as t
      union
      select telltale.day_of((r.value -> 'at_us')::bigint)
      from (values ('errors'), ('messages'), ('gauges')) as kind(name)
      cross join lateral jsonb_array_elements(batch -> kind.name) as r
      union
      select telltale.day_of((p.value -> 'minute')::bigint * 1000000) from jsonb_array_elements(batch -> 'parts') as p
    ) as wanted
    where not exists (select from telltale.partition_days as made where made.day = wanted.day)
  );
end
$function$;
comment on function telltale.days_missing(jsonb) is 'The UTC days of BatchRows that have no partitions yet, null when all have. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.does_work_wait()
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  return exists (select from telltale.hours_due)
    or exists (select from telltale.rollup_minutes as m
      where m.batch_id is not null and m.minute < telltale.clock() - interval '2 minutes'
        and m.day > telltale.today() - 31)
    or not exists (select from telltale.partition_days as d where d.day = telltale.today() + 2)
    or exists (select from telltale.processes as p where p.running_total > 0 and not telltale.is_alive(p))
    -- What measures, looks and forgets by itself has a turn when nothing else does.
    or (select claimed_at < telltale.clock() - interval '10 minutes' from telltale.tick_lease);
end
$function$;
grant execute on function telltale.does_work_wait() to service_role;
comment on function telltale.does_work_wait() is 'Whether a tick would find something to do: minutes to sum up, hours to compute, days to make, calls of the silent to end; or
there was none for ten minutes. Definer: it tells no more than this.';

CREATE OR REPLACE FUNCTION telltale.drop_partitions(before date)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '500ms'
AS $function$
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
$function$;
comment on function telltale.drop_partitions(date) is 'Drops the partitions of the oldest UTC day before `before`, which is at least 30 days back, if there is one; how many days
it dropped. Raises 55P03 when it does not get its locks in half a second. Definer: only the owner may drop.';

CREATE OR REPLACE FUNCTION telltale.due_sums(n integer)
 RETURNS TABLE(root text, members text[], cut boolean)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
begin
  return query
  with waiting as (
    select j.inner_trace_id, j.joined_at, i.span_count + o.span_count as span_count
    from telltale.trace_joins as j
    join telltale.trace_days as inside on inside.trace_id = j.inner_trace_id
    join telltale.traces as i on i.trace_id = j.inner_trace_id and i.day = inside.day
    join telltale.traces as o on o.trace_id = j.outer_trace_id and o.day = j.day
    where j.day >= telltale.today() - 1
      and (j.summed_at is null or i.changed_at > j.summed_at or o.changed_at > j.summed_at)
    order by j.joined_at, j.inner_trace_id limit n + 1
  ), weighed as materialized (
    -- Those that are read at once have about 20,000 spans.
    select *, row_number() over oldest <= n and sum(span_count) over oldest - span_count < 20000 as taken
    from waiting window oldest as (order by joined_at, inner_trace_id rows unbounded preceding)
  ), due as materialized (
    select distinct telltale.root_trace_of(w.inner_trace_id) as root from weighed as w where w.taken
  )
  select due.root, (select array_agg(m.trace_id) from telltale.joined_members(due.root) as m),
    exists (select from weighed as w where not w.taken)
  from due;
end
$function$;
comment on function telltale.due_sums(integer) is 'The outermost traces of up to n joins of which a side has changed since they were summed up, with all that is joined into them.
Definer: part of tick_join_traces.';

CREATE OR REPLACE FUNCTION telltale.error_groups(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
 SET jit TO 'off'
AS $function$
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
  perform telltale.check_filter(filter, array['from', 'to', 'fingerprint', 'error_type', 'environment', 'service', 'text']);
  place := telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^v[0-9]+:"}');
  since := telltale.instant_of(filter, 'from');
  till := telltale.instant_of(filter, 'to');
  words := telltale.query_of(filter ->> 'text');
  execute format(
    'with grouped as (
      select g.fingerprint, min(g.first_seen_at) as first_seen_at, max(g.last_seen_at) as last_seen_at,
        sum(g.count) as count, (array_agg(g.sample order by g.last_seen_at desc, g.sample::text collate "C" desc))[1] as sample,
        jsonb_agg(distinct s.service) as services, jsonb_agg(distinct s.environment) as environments
      from telltale.error_groups as g join telltale.sources as s on s.source_id = g.source_id
      where true %s
      group by g.fingerprint
    ), page as (
      select * from grouped
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
        ''services'', services, ''environments'', environments) order by last_seen_at desc, fingerprint desc), ''[]''),
      ''next'', case when count(*) = $5 then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(last_seen_at)), ''id'',
        (array_agg(fingerprint order by last_seen_at, fingerprint))[1])) end)
    from page',
    telltale.matching(filter, 'environment', 's.environment') || telltale.matching(filter, 'service', 's.service')
      || telltale.matching(filter, 'fingerprint', 'g.fingerprint'),
    telltale.matching(filter, 'error_type', 'sample ->> ''error_type'''))
  using since, till, words, place, size into answer;
  return answer;
end
$function$;
grant execute on function telltale.error_groups(jsonb,text,integer) to authenticated;
grant execute on function telltale.error_groups(jsonb,text,integer) to service_role;
comment on function telltale.error_groups(jsonb,text,integer) is 'Errors by what they have in common, the last seen first: {rows: [{fingerprint, error_type, message, culprit, error_id,
trace_id (of the last one), first_seen_at, last_seen_at, count, services, environments}], next}. Filter: from, to (seen in
between; ISO 8601 or µs), fingerprint, error_type, environment, service (each a string or an array), text. n is 1 to 1000.
Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.error_row(e telltale.errors)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
  select to_jsonb(e) - 'day' || jsonb_build_object('at_us', telltale.us_of(e.at), 'service', s.service,
    'environment', s.environment, 'instance', s.instance)
  from (select) as one
  left join telltale.processes as p on p.process_id = e.process_id
  left join telltale.sources as s on s.source_id = p.source_id
$function$;
comment on function telltale.error_row(telltale.errors) is 'An error as the readers answer it; at is ISO 8601 in UTC, at_us µs since the epoch. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.errors(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.errors(jsonb,text,integer) to authenticated;
grant execute on function telltale.errors(jsonb,text,integer) to service_role;
comment on function telltale.errors(jsonb,text,integer) is 'Errors, newest first: {rows, next}. Filter: from, to (ISO 8601 or µs), fingerprint, error_type, trace_id, connection_type,
environment, service (each a string or an array), text. n is 1 to 1000. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.export_page(kind text, filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
 SET jit TO 'off'
AS $function$
declare
  size integer;
  place jsonb;
  since timestamptz;
  till timestamptz;
  after timestamptz;
  condition text := 'true';
  id text;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  if coalesce(kind, '') not in ('traces', 'errors', 'messages', 'gauges') then
    raise exception 'Cannot read page: kind is %', to_json(left(kind, 100))
      using errcode = '22023', hint = 'One of traces, errors, messages and gauges.';
  end if;
  if kind = 'traces' then
    perform telltale.check_filter(filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
      'min_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
    condition := telltale.traces_where(filter, null);
  else
    perform telltale.check_filter(filter, array['from', 'to', 'environment', 'service']);
    since := telltale.instant_of(filter, 'from');
    till := telltale.instant_of(filter, 'to');
    if since is not null then
      condition := condition || format(' and t.at >= %L and t.day >= %L', since, (since at time zone 'UTC')::date);
    end if;
    if till is not null then
      condition := condition || format(' and t.at < %L and t.day <= %L', till, (till at time zone 'UTC')::date);
    end if;
    condition := condition || telltale.processes_where(filter);
  end if;
  place := telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^.{1,600}$"}');
  after := telltale.at_of((place ->> 'us')::bigint);
  -- An id that tells rows of one instant apart, in an order that never changes.
  id := case kind when 'traces' then 't.trace_id' when 'errors' then 't.error_id::text || t.fingerprint'
    when 'messages' then 't.message_id' else 't.process_id::text || t.labels_hash::text || t.name' end;
  if place is not null then
    condition := condition || format(' and t.%1$I >= %2$L and t.day >= %3$L and (t.%1$I, (%4$s) collate "C") > (%2$L, %5$L)',
      case kind when 'traces' then 'started_at' else 'at' end, after,
      (after at time zone 'UTC')::date - case kind when 'traces' then 1 else 0 end, id, place ->> 'id');
  end if;
  execute format(
    'with listed as (
      select t as row, t.%1$I as at, (%2$s) collate "C" as id, %3$s as weight from telltale.%4$I as t
      where %5$s order by 2, 3 limit %6$s
    ), page as (
      select listed.*, sum(weight) over (order by at, id) as total from listed
    ), kept as (
      select * from page where total <= 10000 or total = weight
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(telltale.export_row(kept.row) order by at, id), ''[]''),
      ''processes'', telltale.export_processes(coalesce(jsonb_agg(telltale.export_process_ids(kept.row)), ''[]'')),
      ''next'', case when count(*) > 0 and (count(*) = %6$s or count(*) < (select count(*) from listed))
        then telltale.cursor_of(jsonb_build_object(''us'', telltale.us_of(max(at)),
          ''id'', (array_agg(id order by at desc, id desc))[1])) end)
    from kept',
    case kind when 'traces' then 'started_at' else 'at' end, id,
    case kind when 'traces' then 't.span_count' else '1' end, kind, condition, size)
  into answer;
  return answer;
end
$function$;
grant execute on function telltale.export_page(text,jsonb,text,integer) to authenticated;
grant execute on function telltale.export_page(text,jsonb,text,integer) to service_role;
comment on function telltale.export_page(text,jsonb,text,integer) is 'All that is stored of one kind (traces, errors, messages, gauges), oldest first, as it was recorded: {rows, processes: {id:
{source, process}} of all that the rows name, next: null at the end}. At most n rows, 1 to 1000, and 10,000 spans unless one
trace alone has more. Filter: from, to, environment, service, and for traces what traces() takes. Definer: as the readers of
traces, the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.export_process_ids(t anyelement)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select case when to_jsonb(t) ? 'spans'
    then (select jsonb_agg(distinct s.value -> 'process') from jsonb_each(to_jsonb(t) -> 'spans') as s)
    else jsonb_build_array(to_jsonb(t) -> 'process_id') end
$function$;
comment on function telltale.export_process_ids(anyelement) is 'The processes that a row names: its own, or those of its spans. Definer: part of export_page.';

CREATE OR REPLACE FUNCTION telltale.export_processes(ids jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_object_agg(p.process_id, jsonb_build_object(
    'source', jsonb_build_object('service', s.service, 'instance', s.instance, 'environment', s.environment,
      'version', p.version),
    'process', jsonb_build_object('id', p.process_id, 'started_at_us', telltale.us_of(p.started_at), 'host', p.host,
      'pid', p.pid, 'sdk', p.sdk))), '{}')
  from telltale.processes as p
  join telltale.sources as s on s.source_id = p.source_id
  where p.process_id in (
    select (named.value #>> '{}')::uuid
    from jsonb_array_elements(ids) as listed cross join lateral jsonb_array_elements(listed.value) as named
    where named.value <> 'null')
$function$;
comment on function telltale.export_processes(jsonb) is '{process id: {source, process}} of the processes in an array of arrays of ids. Definer: part of export_page.';

CREATE OR REPLACE FUNCTION telltale.export_row(t telltale.errors)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select to_jsonb(t) - array['day', 'at', 'fingerprint', 'culprit'] || jsonb_build_object('at_us', telltale.us_of(t.at))
$function$;
CREATE OR REPLACE FUNCTION telltale.export_row(t telltale.gauges)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select to_jsonb(t) - array['day', 'at', 'labels_hash'] || jsonb_build_object('at_us', telltale.us_of(t.at))
$function$;
CREATE OR REPLACE FUNCTION telltale.export_row(t telltale.messages)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$ select to_jsonb(t) - array['day', 'at'] || jsonb_build_object('at_us', telltale.us_of(t.at)) $function$;
CREATE OR REPLACE FUNCTION telltale.export_row(t telltale.traces)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$ select jsonb_build_object('trace_id', t.trace_id, 'spans', t.spans) $function$;
comment on function telltale.export_row(telltale.errors) is 'An error as export_page answers it. Definer: part of export_page.';
comment on function telltale.export_row(telltale.gauges) is 'A gauge as export_page answers it. Definer: part of export_page.';
comment on function telltale.export_row(telltale.messages) is 'A message as export_page answers it. Definer: part of export_page.';
comment on function telltale.export_row(telltale.traces) is 'A trace as export_page answers it. Definer: part of export_page.';

CREATE OR REPLACE FUNCTION telltale.gaps(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
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
$function$;
grant execute on function telltale.gaps(jsonb,text,integer) to authenticated;
grant execute on function telltale.gaps(jsonb,text,integer) to service_role;
comment on function telltale.gaps(jsonb,text,integer) is 'Processes that lost, dropped or had refused anything: {rows: [{process, service, environment, instance, last_seen_at,
recorded, stored, rejected, dropped, missing (batches), gaps: [[first seq, last seq]], the first 100}], next}. Filter:
environment, service, process. n is 1 to 1000. Definer, see the head of create_trace_reader.';

CREATE OR REPLACE FUNCTION telltale.gauges_between(names text[], since timestamp with time zone, till timestamp with time zone, sources uuid[])
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return (
    select coalesce(jsonb_object_agg(name, instances), '{}')
    from (
      select name, jsonb_agg(jsonb_build_object('service', service, 'environment', environment, 'instance', instance,
        'labels', labels, 'samples', samples, 'mean', mean, 'max', top, 'last', last, 'last_at_us', telltale.us_of(last_at))
        order by service, environment, instance, labels) as instances
      from (
        select g.name, s.service, s.environment, s.instance, g.labels, count(*) as samples,
          round(avg(g.value)::numeric, 3) as mean, max(g.value) as top,
          (array_agg(g.value order by g.at desc, g.process_id))[1] as last, max(g.at) as last_at,
          row_number() over (partition by g.name order by max(g.at) desc, s.service, s.environment, s.instance, g.labels) as place
        from telltale.gauges as g
        join telltale.processes as p on p.process_id = g.process_id
        join telltale.sources as s on s.source_id = p.source_id
        where g.name = any (names) and g.at >= since and g.at < till
          and g.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
          and (sources is null or s.source_id = any (sources))
        group by g.name, s.service, s.environment, s.instance, g.labels
      ) as sampled
      where place <= 50
      group by name
    ) as listed
  );
end
$function$;
comment on function telltale.gauges_between(text[],timestamp with time zone,timestamp with time zone,uuid[]) is '{name: [{service, environment, instance, labels, samples, mean, max, last, last_at_us}]} of these gauges, for each the 50
instances that were sampled last. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.head_key(spans jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select s.key from jsonb_each(spans) as s
  order by (s.value -> 'entry' = 'true') desc nulls last,
    (nullif(s.value ->> 'parent_span_id', s.key) is null or not spans ? (s.value ->> 'parent_span_id')) desc,
    (s.value -> 'start_us')::bigint, s.key collate "C"
  limit 1
$function$;
comment on function telltale.head_key(jsonb) is 'The id of the head span: the first entry, else the first root, else the first.';

CREATE OR REPLACE FUNCTION telltale.health_of(total jsonb, before jsonb, recent jsonb, lost jsonb, silent interval)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  reasons text[] := '{}';
  status text := 'degraded';
begin
  if (recent ->> 'count')::numeric >= 5 and (recent ->> 'error_rate')::numeric > 0.2 then
    status := 'failing';
    reasons := reasons || format('%s of %s requests failed in the last five minutes (%s).', recent ->> 'errors',
      recent ->> 'count', telltale.percent_of((recent ->> 'error_rate')::numeric));
  end if;
  if silent >= interval '5 minutes' and (total ->> 'count')::numeric > 0 then
    status := 'silent';
    reasons := format('Nothing has been received for %s minutes.', floor(extract(epoch from silent) / 60)) || reasons;
  end if;
  if (total ->> 'error_rate')::numeric > 0.02 then
    reasons := reasons || format('%s of %s requests failed in the whole time (%s).', total ->> 'errors', total ->> 'count',
      telltale.percent_of((total ->> 'error_rate')::numeric));
  end if;
  if least((total ->> 'count')::numeric, (before ->> 'count')::numeric) >= 20
    and (total ->> 'p95_ms')::numeric > 2 * (before ->> 'p95_ms')::numeric then
    reasons := reasons || format('The slowest twentieth of requests took over %s ms, against %s ms in the time before.',
      round((total ->> 'p95_ms')::numeric), round((before ->> 'p95_ms')::numeric));
  end if;
  if (lost ->> 'missing')::numeric > 0 then
    reasons := reasons || format('Batches that never arrived: %s.', lost ->> 'missing');
  end if;
  if (lost ->> 'dropped')::numeric > 0 then
    reasons := reasons || format('Records that reporters had to give up: %s.', lost ->> 'dropped');
  end if;
  return jsonb_build_object('status', case when reasons = '{}' then 'ok' else status end, 'reasons', to_jsonb(reasons));
end
$function$;
grant execute on function telltale.health_of(jsonb,jsonb,jsonb,jsonb,interval) to authenticated;
grant execute on function telltale.health_of(jsonb,jsonb,jsonb,jsonb,interval) to service_role;
comment on function telltale.health_of(jsonb,jsonb,jsonb,jsonb,interval) is '{status, reasons: [sentence]}. silent: no batch for five minutes, though the range has requests; else failing: of at least
five requests in the last five minutes more than 20 % failed; else degraded: more than 2 % of all failed, or p95 is more than
twice that of the time before (at least 20 requests in each), or batches are missing or records dropped; else ok. `silent` is
for how long nothing has arrived, null for a range that ended before.';

create aggregate telltale.histogram_merge(jsonb) (sfunc = array_append, stype = jsonb[], initcond = '{}', finalfunc = telltale.histogram_of_parts);
grant execute on function telltale.histogram_merge(jsonb) to authenticated;
grant execute on function telltale.histogram_merge(jsonb) to service_role;
comment on function telltale.histogram_merge(jsonb) is 'Base-2 exponential histograms at scale 5 in µs, {z: zeros, sum, b: {index: count}}, added up. Empty input gives the empty one.';

CREATE OR REPLACE FUNCTION telltale.histogram_of_parts(parts jsonb[])
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
begin
  return (
    select jsonb_build_object(
      'z', least(coalesce(sum((part -> 'z')::numeric), 0), 9007199254740991),
      'sum', least(coalesce(sum((part -> 'sum')::numeric), 0), 9007199254740991),
      'b', coalesce((
        select jsonb_object_agg(index, least(n, 9007199254740991))
        from (
          select bucket.key as index, sum(bucket.value::numeric) as n
          from unnest(parts) as p(part) cross join lateral jsonb_each(p.part -> 'b') as bucket
          group by bucket.key
        ) as counts
      ), '{}')
    )
    from unnest(parts) as p(part)
  );
end
$function$;
grant execute on function telltale.histogram_of_parts(jsonb[]) to authenticated;
grant execute on function telltale.histogram_of_parts(jsonb[]) to service_role;
comment on function telltale.histogram_of_parts(jsonb[]) is 'The final step of histogram_merge: {z, sum, b} of all parts.';

CREATE OR REPLACE FUNCTION telltale.histogram_quantile(histogram jsonb, q double precision)
 RETURNS double precision
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
begin
  if q is null or q < 0 or q > 1 then
    raise exception 'Cannot read quantile: % is not in 0..1', q using errcode = '22023';
  end if;
  return (
    with bucket as (
      select null::int as index, (histogram -> 'z')::numeric as n
      union all
      select key::int, value::numeric from jsonb_each(histogram -> 'b')
    ), running as (
      select index, sum(n) over (order by index nulls first) as seen, sum(n) over () as total from bucket
    )
    select case when index is null then 0 else power(2::double precision, (index + 0.5::double precision) / 32) end
    from running
    where total > 0 and seen >= greatest(1, ceil(q * total::double precision))
    order by index nulls first
    limit 1
  );
end
$function$;
grant execute on function telltale.histogram_quantile(jsonb,double precision) to authenticated;
grant execute on function telltale.histogram_quantile(jsonb,double precision) to service_role;
comment on function telltale.histogram_quantile(jsonb,double precision) is 'The q-quantile in µs, null when empty: nearest rank as percentile_disc, read as the middle of its bucket, 2^((i+0.5)/32);
relative error at most 1.1 %.';

CREATE OR REPLACE FUNCTION telltale.in_anomaly(trace_ids text[], days date[])
 RETURNS SETOF text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER ROWS 10
 SET search_path TO ''
AS $function$
begin
  if to_regclass('telltale.anomalies') is null then
    return;
  end if;
  return query
    select t.trace_id
    from unnest(trace_ids, days) as asked(id, day)
    join telltale.traces as t on t.trace_id = asked.id and t.day = asked.day
    join telltale.processes as p on p.process_id = t.process_id
    join telltale.sources as s on s.source_id = p.source_id
    where exists (select from telltale.anomalies as a
      where a.service = s.service and a.environment = s.environment
        -- Whole minutes, and by the end: both a minute wider than they are.
        and a.started_at <= coalesce(t.ended_at, t.started_at) + interval '1 minute'
        and coalesce(a.ended_at, a.last_at) >= t.started_at - interval '1 minute'
        and (a.series_key in ('all', 'tool:' || t.tool, 'provider:' || t.provider, 'model:' || t.model,
            'call:' || coalesce(case when t.call_number > 5 then '6+' else t.call_number::text end, 'unknown'))
          or (starts_with(a.series_key, 'layer:') and t.layers ? substr(a.series_key, 7))));
end
$function$;
comment on function telltale.in_anomaly(text[],date[]) is 'Those of these traces that lie in an anomaly of a series that counts them. Definer: part of tick_decide_sampling.';

CREATE OR REPLACE FUNCTION telltale.inferred_joins(since timestamp with time zone, n integer DEFAULT 1000)
 RETURNS TABLE(inner_trace_id text, outer_trace_id text, outer_span_id text, rule text, day date)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER ROWS 10
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  return query
  with fresh as materialized (
    select t.trace_id, t.day, t.tool, t.session_key, t.process_id, t.duration_ms, t.spans, t.started_at, t.ended_at
    from telltale.traces as t
    where t.changed_at > since and t.duration_ms is not null and t.tool is not null
    order by t.changed_at desc limit n
  ), recent as materialized (
    select trace_id, day, tool, session_key, process_id, duration_ms, spans from fresh
    union
    -- Of a call that lasted long the other recorder may have seen the end long ago: one that gave it up, say.
    select long_ago.* from (select * from fresh where duration_ms > 30000 order by ended_at desc limit 20) as f
    cross join lateral (
      select t.trace_id, t.day, t.tool, t.session_key, t.process_id, t.duration_ms, t.spans from telltale.traces as t
      where t.tool = f.tool and t.process_id <> f.process_id and t.duration_ms is not null and t.changed_at <= since
        and t.started_at between f.started_at - interval '15 minutes' and f.ended_at
        and t.day between f.day - 1 and f.day + 1
      order by t.started_at desc limit 32) as long_ago
  ), head as materialized (
    select r.trace_id, r.day, r.tool, r.session_key, r.process_id, r.duration_ms, key.id as span_id, s.environment,
      s.service, p.host, coalesce(p.clock_offset_us, 0) as offset_us,
      h.value ->> 'layer' as layer, h.value -> 'entry' = 'true' as entry,
      array_position(array['shim', 'websocket', 'tool', 'provider', 'api', 'storage'], h.value ->> 'layer') as depth,
      h.value -> 'attributes' ->> 'telltale.argument_hash' as arguments,
      (h.value -> 'start_us')::bigint as start_us, (h.value -> 'end_us')::bigint as end_us,
      (select j.outer_trace_id from telltale.trace_joins as j where j.inner_trace_id = r.trace_id) as held_by,
      (select array_agg(t.process_id) from telltale.trace_joins as j
        join telltale.trace_days as d on d.trace_id = j.inner_trace_id
        join telltale.traces as t on t.trace_id = d.trace_id and t.day = d.day
        where j.outer_trace_id = r.trace_id) as holds
    from recent as r
    cross join lateral (select telltale.head_key(r.spans)) as key(id)
    cross join lateral (select r.spans -> key.id) as h(value)
    join telltale.processes as p on p.process_id = r.process_id
    join telltale.sources as s on s.source_id = p.source_id
    where not h.value ? 'parent_span_id' or not r.spans ? (h.value ->> 'parent_span_id')
  ), placed as materialized (
    -- So many alike of one process are compared at a time, those without a partner first: what is compared is bounded.
    select *,
      row_number() over (partition by environment, tool, arguments, process_id
        order by held_by is not null, start_us desc, trace_id) as inner_by_arguments,
      row_number() over (partition by environment, tool, arguments, process_id
        order by holds is not null, start_us desc, trace_id) as outer_by_arguments,
      row_number() over (partition by environment, tool, session_key, process_id
        order by held_by is not null, start_us desc, trace_id) as inner_by_session,
      row_number() over (partition by environment, tool, session_key, process_id
        order by holds is not null, start_us desc, trace_id) as outer_by_session
    from head
  ), evidence as (
    select i, o, 0 as grade, 'arguments' as rule
    from placed as i join placed as o on o.environment = i.environment and o.tool = i.tool and o.arguments = i.arguments
    where o.process_id <> i.process_id and i.inner_by_arguments <= 32 and o.outer_by_arguments <= 32
    union all
    select i, o, 1, 'session'
    from placed as i join placed as o on o.environment = i.environment and o.tool = i.tool and o.session_key = i.session_key
    where o.process_id <> i.process_id and i.inner_by_session <= 32 and o.outer_by_session <= 32
      and (o.arguments = i.arguments) is not true
      -- The hashes of two services may be of two keys.
      and (o.arguments is null or i.arguments is null or o.service <> i.service)
  ), fitting as (
    select (e.i).trace_id as inside, (e.o).trace_id as outside, (e.o).span_id, e.grade, e.rule, (e.o).day,
      (e.o).depth as outer_depth, (e.i).depth as inner_depth, (e.i).service,
      -- Of two that began as near, the one that it also ended in.
      abs((e.i).start_us + gap.us - (e.o).start_us) + greatest(0, over.us) as distance
    from evidence as e
    -- Two clocks of one machine are one; of two machines they are known to about the time that a batch takes.
    cross join lateral (select
      case when (e.i).host is not distinct from (e.o).host then 0 else (e.i).offset_us - (e.o).offset_us end as us,
      case when (e.i).host is not distinct from (e.o).host then 2000 else 2000000 end as slack) as gap
    cross join lateral (select (e.i).end_us + gap.us - (e.o).end_us - gap.slack) as over(us)
    where (e.o).entry
      and ((e.o).depth < (e.i).depth
        -- A tap beside its server. Two servers of one service that work on the same question are two requests.
        or ((e.o).layer = (e.i).layer and (e.o).service = (e.i).service and (e.o).host is not distinct from (e.i).host
          and (e.o).duration_ms > (e.i).duration_ms and over.us <= 0))
      -- Begun while the outer one ran. It may end later: a shim that reads a frame too many answers too soon.
      and (e.i).start_us + gap.us between (e.o).start_us - gap.slack and (e.o).end_us + gap.slack
        -- By then its frame may still be on the way.
        + case when e.grade = 0 then 250000 else 0 end
      -- In nothing yet; or in the same as the outer one, which was heard of later than what it called.
      and ((e.i).held_by is null or (e.i).held_by = (e.o).held_by)
      and (e.i).process_id <> all (coalesce((e.o).holds, '{}'))
  ), ranked as (
    select *,
      row_number() over (partition by inside order by grade, outer_depth desc nulls last, distance, outside) as outer_rank,
      row_number() over (partition by outside, service, inner_depth order by grade, distance, inside) as inner_rank
    from fitting
  )
  -- Each is the other's best: what is left over finds its own at the next turn. Never in a circle: times may have changed.
  select inside, outside, span_id, rule, day from ranked
  where outer_rank = 1 and inner_rank = 1 and telltale.root_trace_of(outside) <> inside;
end
$function$;
comment on function telltale.inferred_joins(timestamp with time zone,integer) is 'Which of the n traces that changed last, since an instant, are one request seen by two recorders: same environment and tool,
begun while the other ran, further in by its layer (or shorter and inside it, of one layer, service and host), and with the same
arguments by their salted hash, else of one session. Where several fit, the nearest by start. Of each process 32 alike are
compared at a time. Definer: part of tick_join_traces.';

CREATE OR REPLACE FUNCTION telltale.ingest_batch(batch jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
#variable_conflict use_column
declare
  v_batch uuid := (batch ->> 'batch_id')::uuid;
  v_process uuid := (batch -> 'process' ->> 'id')::uuid;
  v_from jsonb := batch -> 'source';
  v_source uuid := telltale.source_id_of(v_from ->> 'service', v_from ->> 'environment', v_from ->> 'instance');
  v_missing date[];
  v_renamed jsonb;
  v_ack jsonb;
begin
  select ack into v_ack from telltale.batches where batch_id = v_batch;
  if found then
    return telltale.reply_of('repeated', v_ack);
  end if;
  lock table telltale.traces, telltale.errors, telltale.messages, telltale.gauges, telltale.rollup_minutes
    in row exclusive mode;
  v_missing := telltale.days_missing(batch);
  if v_missing is not null then
    raise exception 'Cannot store batch: there are no partitions for %', array_to_string(v_missing, ',')
      using errcode = 'TT001', detail = array_to_string(v_missing, ','), hint = 'Call make_partitions and try again.';
  end if;
  v_ack := jsonb_build_object('accepted', batch -> 'accepted', 'rejected', batch -> 'rejected', 'renamed', '{}'::jsonb);
  insert into telltale.batches (batch_id, process_id, key_id, seq, piece_index, piece_count, made_at, received_at, ack)
  values (v_batch, v_process, batch ->> 'key_id', (batch -> 'seq')::bigint, (batch -> 'piece' -> 0)::int,
    (batch -> 'piece' -> 1)::int, telltale.at_of((batch -> 'made_at_us')::bigint), telltale.clock(), v_ack)
  on conflict (batch_id) do nothing;
  if not found then
    select ack into v_ack from telltale.batches where batch_id = v_batch;
    return telltale.reply_of('repeated', v_ack);
  end if;
  -- Held so that prune does not take the source away before something refers to it.
  loop
    perform from telltale.sources where source_id = v_source for key share;
    exit when found;
    insert into telltale.sources (source_id, service, environment, instance)
    values (v_source, v_from ->> 'service', v_from ->> 'environment', v_from ->> 'instance')
    on conflict do nothing;
  end loop;
  v_renamed := telltale.admit_names(v_source, (
    select array_agg(distinct k) from jsonb_array_elements(batch -> 'parts') as p
    cross join lateral jsonb_object_keys(p.value -> 'series') as k));
  if v_renamed <> '{}' then
    v_ack := v_ack || jsonb_build_object('renamed', v_renamed);
    update telltale.batches set ack = v_ack where batch_id = v_batch;
  end if;
  perform telltale.store_process(batch, v_source);
  perform telltale.store_traces(batch -> 'traces');
  perform telltale.store_errors(batch -> 'errors', v_process, v_source);
  perform telltale.store_samples(batch -> 'messages', batch -> 'gauges', v_process);
  insert into telltale.rollup_minutes (minute, day, source_id, batch_id, series)
  select telltale.at_of(p.minute * 1000000), telltale.day_of(p.minute * 1000000), v_source, v_batch,
    case when v_renamed = '{}' then p.series else telltale.renamed_series(p.series, v_renamed) end
  from jsonb_to_recordset(batch -> 'parts') as p(minute bigint, series jsonb);
  return telltale.reply_of('stored', v_ack);
end
$function$;
grant execute on function telltale.ingest_batch(jsonb) to service_role;
comment on function telltale.ingest_batch(jsonb) is 'Stores BatchRows (functions/store/port.ts) and answers IngestReply. A batch id that is known changes nothing and is answered
what it was first. Raises TT001, detail YYYY-MM-DD,..., before any write when partitions are missing. Definer: no role may
write the tables, so that rows come only this way.';

CREATE OR REPLACE FUNCTION telltale.ingest_lag()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select case when count(*) > 0 then
    jsonb_build_object('p50', percentile_disc(0.5) within group (order by ms), 'max', max(ms)) end
  from (
    -- A clock that is off by seconds is set right; below that the offset may as well be the way here.
    select greatest(0, round(extract(epoch from b.received_at - b.made_at) * 1000
      - case when abs(p.clock_offset_us) > 1000000 then p.clock_offset_us / 1000.0 else 0 end, 3)) as ms
    from telltale.batches as b join telltale.processes as p on p.process_id = b.process_id
    where b.received_at > telltale.clock() - interval '1 minute'
  ) as lag
$function$;
comment on function telltale.ingest_lag() is '{p50, max} in ms from when a batch was made to when it was stored, over the last minute; null without any. Definer: part of
live_data.';

CREATE OR REPLACE FUNCTION telltale.instant_of(filter jsonb, key text)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
declare
  value text := filter ->> key;
begin
  if value is null then
    return null;
  end if;
  if value ~ '^-?[0-9]{1,16}$' then
    return telltale.at_of(value::bigint);
  end if;
  if value !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' then
    raise invalid_datetime_format;
  end if;
  return value::timestamptz;
exception
  when data_exception then
    raise exception 'Cannot read filter: % is %', key, filter -> key
      using errcode = '22023', hint = 'An instant is ISO 8601 text, such as 2026-11-23T18:00:00Z, or µs since the epoch.';
end
$function$;
grant execute on function telltale.instant_of(jsonb,text) to authenticated;
grant execute on function telltale.instant_of(jsonb,text) to service_role;
comment on function telltale.instant_of(jsonb,text) is 'The instant under a key of a filter, ISO 8601 (UTC where it names no zone) or µs since the epoch; null when absent.';

CREATE OR REPLACE FUNCTION telltale.is_alive(p telltale.processes)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$ select p.renewed_at > telltale.clock() - greatest(60000, 4 * p.pace_ms) * interval '1 millisecond' $function$;
comment on function telltale.is_alive(telltale.processes) is 'Whether what a process lists still runs, as far as anybody knows: it was renewed within 60 s or four flushes.';

CREATE OR REPLACE FUNCTION telltale.is_reader()
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  caller name := coalesce(nullif(current_setting('role', true), 'none'), session_user);
begin
  if caller = 'authenticated' then
    return exists (select from telltale.members where user_id = telltale.caller_id());
  end if;
  return exists (select from pg_catalog.pg_roles where rolname = caller and (rolsuper or rolbypassrls));
exception
  -- A token whose sub is no uuid is nobody's.
  when invalid_text_representation then return false;
end
$function$;
grant execute on function telltale.is_reader() to authenticated;
grant execute on function telltale.is_reader() to service_role;
comment on function telltale.is_reader() is 'Whether the caller may read: a member, or a role that row level security does not bind. Definer: it reads the members
for callers who may not. It goes by the role that was set, which a definer function does not change.';

CREATE OR REPLACE FUNCTION telltale.is_tick_due()
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select (expires_at <= telltale.clock() or expires_at > telltale.clock() + interval '600 seconds')
    and claimed_at not between telltale.clock() - interval '10 seconds' and telltale.clock() + interval '10 seconds'
  from telltale.tick_lease
$function$;
grant execute on function telltale.is_tick_due() to service_role;
comment on function telltale.is_tick_due() is 'Whether nobody has claimed the tick for 10 s. Definer: it tells no more than this.';

CREATE OR REPLACE FUNCTION telltale.is_watched()
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$ select exists (select from telltale.viewers where seen_at > telltale.clock() - interval '60 seconds') $function$;
grant execute on function telltale.is_watched() to service_role;
comment on function telltale.is_watched() is 'Whether a visible page looked within 60 s. Definer: it tells everybody who may call it no more than this.';

CREATE OR REPLACE FUNCTION telltale.joined_members(root text)
 RETURNS TABLE(trace_id text, outer_span_id text, rule text, day date)
 LANGUAGE sql
 STABLE SECURITY DEFINER ROWS 2
 SET search_path TO ''
AS $function$
  with recursive down as (
    select root collate "C" as id, null::text as outer_span_id, null::text as rule, 0 as depth
    union all
    select j.inner_trace_id, j.outer_span_id, j.rule, down.depth + 1
    from down join telltale.trace_joins as j on j.outer_trace_id = down.id
    where down.depth < 8
  )
  select down.id, down.outer_span_id, down.rule, d.day from down
  join telltale.trace_days as d on d.trace_id = down.id
  order by down.depth, down.id limit 100
$function$;
comment on function telltale.joined_members(text) is 'A trace and all that is joined into it: at most 100, outermost first, with the span that each hangs on. Definer: part of the
readers.';

CREATE OR REPLACE FUNCTION telltale.joined_spans(root text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$ select s.spans from telltale.joined_spans_of(array[root]) as s $function$;
comment on function telltale.joined_spans(text) is 'joined_spans_of one trace. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.joined_spans_of(roots text[])
 RETURNS TABLE(root text, spans jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
begin
  return query
  with recursive down as (
    select r.id collate "C" as root, r.id collate "C" as id, null::text as outer_span_id, null::text as rule, 0 as depth
    from unnest(roots) as r(id)
    union all
    select down.root, j.inner_trace_id, j.outer_span_id, j.rule, down.depth + 1
    from down join telltale.trace_joins as j on j.outer_trace_id = down.id
    where down.depth < 8
  ), member as (
    select *, row_number() over (partition by root order by depth, id) as place from down
  )
  select m.root, jsonb_object_agg(s.key, case
    when m.outer_span_id is null then s.value
    -- What hung on nothing hangs on the outer recorder's span; and that is the one that counts as entry.
    when nullif(s.value ->> 'parent_span_id', s.key) is null or not t.spans ? (s.value ->> 'parent_span_id')
    then s.value - 'entry' || jsonb_build_object('parent_span_id', m.outer_span_id, 'inferred', m.rule)
    else s.value - 'entry' end)
  from member as m
  join telltale.trace_days as d on d.trace_id = m.id
  join telltale.traces as t on t.trace_id = m.id and t.day = d.day
  cross join lateral jsonb_each(t.spans) as s
  where m.place <= 100
  group by m.root;
end
$function$;
comment on function telltale.joined_spans_of(text[]) is 'The spans of each of these traces and of all that is joined into it (at most 100), as stored; a span that hangs on its parent
by inference says by which rule in `inferred`. All at once: planning for partitions costs more than reading. Definer: part of
the readers and of the tick.';

CREATE OR REPLACE FUNCTION telltale.keys()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('key_id', key_id, 'name', name, 'created_at', created_at,
    'revoked_at', revoked_at) order by created_at, key_id), '[]')
  from telltale.ingest_keys
$function$;
grant execute on function telltale.keys() to service_role;
comment on function telltale.keys() is 'All ingest keys without their hashes, oldest first. Definer: no role may read the table.';

CREATE OR REPLACE FUNCTION telltale.list_members()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('user_id', user_id, 'email', email, 'added_at', added_at)
    order by added_at, user_id), '[]')
  from telltale.members
$function$;
grant execute on function telltale.list_members() to service_role;
comment on function telltale.list_members() is 'Everybody who may read, [{user_id, email, added_at}], longest first. Definer: for the operator alone, through this.';

CREATE OR REPLACE FUNCTION telltale.live_batches()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('batch_id', b.batch_id, 'service', s.service, 'environment', s.environment,
    'received_at_us', telltale.us_of(b.received_at), 'records', (
      select coalesce(sum(n.value::bigint), 0) from jsonb_each_text(b.ack -> 'accepted') as n))
    order by b.received_at desc, b.batch_id), '[]')
  from (select * from telltale.batches order by received_at desc limit 50) as b
  join telltale.processes as p on p.process_id = b.process_id
  join telltale.sources as s on s.source_id = p.source_id
$function$;
comment on function telltale.live_batches() is '[RecentBatch], newest first: the last 50; records are those accepted. Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.live_data(viewer_id uuid DEFAULT NULL::uuid, minutes integer DEFAULT 60, present integer DEFAULT 0)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  perform telltale.require_reader();
  if viewer_id is not null and telltale.caller_id() is not null then
    perform telltale.see(viewer_id, present);
  end if;
  return jsonb_build_object('at_us', telltale.us_of(telltale.clock()), 'minutes', telltale.live_minutes(minutes),
    'running', telltale.live_running(), 'sessions', telltale.live_sessions(), 'gauges', telltale.live_gauges(),
    'ended', telltale.live_ended(), 'errors', telltale.live_errors(), 'batches', telltale.live_batches(),
    'ingest_lag_ms', telltale.ingest_lag(), 'gaps', telltale.lost_by(null, telltale.clock() - interval '1 day', 'infinity'),
    'last_received_at_us', (select telltale.us_of(max(p.last_seen_at)) from telltale.processes as p
      where p.source_id <> telltale.own_source()),
    'real', exists (select from telltale.sources as s join telltale.processes as p on p.source_id = s.source_id
      where s.environment <> 'demo' and s.source_id <> telltale.own_source()));
end
$function$;
grant execute on function telltale.live_data(uuid,integer,integer) to authenticated;
grant execute on function telltale.live_data(uuid,integer,integer) to service_role;
comment on function telltale.live_data(uuid,integer,integer) is 'LiveData (src/core/live_snapshot.ts): at_us, minutes, running, sessions, gauges, ended, errors, batches, ingest_lag_ms, gaps (of the
processes heard of in the last day), last_received_at_us, real. `minutes` says how far back the minutes go: a page that has
them asks for fewer. Notes that the page viewer_id looks, as see() does, where one
is given and the token names a user. Definer, see the head of this file; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.live_ended()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('trace_id', t.trace_id, 'started_at_us', telltale.us_of(t.started_at),
      'at_us', telltale.us_of(t.started_at) + round(t.duration_ms * 1000)::bigint, 'name', t.name, 'tool', t.tool,
      'provider', t.provider, 'model', t.model, 'outcome', t.outcome, 'duration_ms', t.duration_ms, 'layers', t.layers,
      'session_key', t.session_key, 'call_number', t.call_number, 'service', s.service, 'environment', s.environment)
      order by telltale.us_of(t.started_at) + round(t.duration_ms * 1000)::bigint desc, t.trace_id), '[]')
    from (
      select * from telltale.traces where duration_ms is not null order by changed_at desc, trace_id desc limit 50
    ) as t
    join telltale.processes as p on p.process_id = t.process_id
    join telltale.sources as s on s.source_id = p.source_id
  );
end
$function$;
comment on function telltale.live_ended() is '[EndedTrace], newest first: the 50 ended traces that changed last. at_us is when the head ended, as far as it is the first
span to start. Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.live_errors()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('error_id', e.error_id, 'at_us', telltale.us_of(e.at),
      'trace_id', e.trace_id, 'span_id', e.span_id, 'fingerprint', e.fingerprint, 'error_type', e.error_type,
      'message', e.message, 'culprit', e.culprit, 'traceback', telltale.cut_text(e.traceback, 4096),
      'service', s.service, 'environment', s.environment) order by e.at desc, e.error_id desc), '[]')
    from (select * from telltale.errors order by at desc, error_id desc limit 20) as e
    join telltale.processes as p on p.process_id = e.process_id
    join telltale.sources as s on s.source_id = p.source_id
  );
end
$function$;
comment on function telltale.live_errors() is '[LiveError], newest first: the last 20, their tracebacks cut to 4 KB. Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.live_gauges()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return (
    -- From name to name by the index on (name, at): all other ways read every sample of the day.
    with recursive sampled(name) as (
      (select g.name from telltale.gauges as g where g.day >= telltale.day_of(telltale.us_of(telltale.clock() - interval '10 minutes'))
      order by g.name limit 1)
      union all
      select (select g.name from telltale.gauges as g where g.name > sampled.name
        and g.day >= telltale.day_of(telltale.us_of(telltale.clock() - interval '10 minutes')) order by g.name limit 1)
      from sampled where sampled.name is not null
    ), latest as (
      select distinct on (g.process_id, g.name, g.labels_hash) g.process_id, g.name, g.labels, g.at, g.value
      from (select name from sampled where name is not null limit 200) as known
      join telltale.gauges as g on g.name = known.name and g.at > telltale.clock() - interval '10 minutes'
        and g.day >= telltale.day_of(telltale.us_of(telltale.clock() - interval '10 minutes'))
      order by g.process_id, g.name, g.labels_hash, g.at desc
    )
    select coalesce(jsonb_agg(jsonb_build_object('process', process_id, 'service', service, 'environment', environment,
      'instance', instance, 'name', name, 'labels', labels, 'at_us', telltale.us_of(at), 'value', value)
      order by name, service, environment, instance, process_id, labels), '[]')
    from (
      select l.*, s.service, s.environment, s.instance
      from latest as l
      join telltale.processes as p on p.process_id = l.process_id
      join telltale.sources as s on s.source_id = p.source_id
      order by l.at desc, l.process_id, l.name limit 200
    ) as listed
  );
end
$function$;
comment on function telltale.live_gauges() is '[LiveGauge] by name: the last value of 200 series (process, name, labels) that were sampled in the last ten minutes.
Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.live_minutes(minutes integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  if coalesce(minutes, -1) not between 0 and 60 then
    raise exception 'Cannot read live data: minutes is %', minutes
      using errcode = '22023', hint = 'minutes is from 0 to 60.';
  end if;
  return (
    select coalesce(jsonb_agg(jsonb_build_object('minute', extract(epoch from at)::bigint, 'series', series)
      order by at), '[]')
    from (
      select r.at, telltale.series_merge(r.series) as series
      from telltale.rollups_between(date_trunc('minute', telltale.clock() - minutes * interval '1 minute'),
        date_trunc('minute', telltale.clock() + interval '2 minutes'), null, false) as r
      group by r.at
    ) as minute
  );
end
$function$;
comment on function telltale.live_minutes(integer) is 'The last so many minutes (0 to 60, else it raises 22023) and from the current one on, oldest first: [{minute: s since the epoch,
series}], those in which something was counted, of all sources together. Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.live_running()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('process', process_id, 'started_at_us', telltale.us_of(started_at),
    'seq', running_seq, 'received_at_us', telltale.us_of(renewed_at), 'service', service, 'environment', environment,
    'total', running_total, 'list', list) order by renewed_at desc, process_id), '[]')
  from (
    select p.process_id, p.started_at, p.running_seq, p.renewed_at, s.service, s.environment, p.running_total,
      jsonb_path_query_array(p.running, '$[0 to 99]') as list
    from telltale.processes as p join telltale.sources as s on s.source_id = p.source_id
    where p.last_seen_at > telltale.clock() - interval '1 day' and telltale.is_alive(p)
    order by p.running_total > 0 desc, p.renewed_at desc, p.process_id limit 100
  ) as alive
$function$;
comment on function telltale.live_running() is '[ProcessRunning] of the living, the last renewed first: 100 processes, those that run something before those that do not
(whose empty list ends what an older one says), 100 calls of each; total is the true number. Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.live_sessions()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return (
    with seen as (
      select t.session_key, t.process_id, t.at, 0 as running
      from (
        select session_key, process_id, coalesce(ended_at, started_at) as at from telltale.traces
        where duration_ms is not null and changed_at > telltale.clock() - interval '10 minutes'
          and day between telltale.today() - 2 and telltale.today() + 1
        order by changed_at desc limit 500
      ) as t
      where t.session_key is not null
      union all
      select c.value ->> 'session', p.process_id, p.renewed_at, 1
      from telltale.processes as p cross join lateral jsonb_array_elements(p.running) as c
      where p.running_total > 0 and telltale.is_alive(p) and c.value ->> 'session' is not null
    ), active as (
      select seen.session_key, s.service, s.environment, max(seen.at) as last_at, sum(seen.running) as running
      from seen
      join telltale.processes as p on p.process_id = seen.process_id
      join telltale.sources as s on s.source_id = p.source_id
      group by 1, 2, 3
      order by last_at desc, seen.session_key limit 50
    )
    select coalesce(jsonb_agg(jsonb_build_object('session_key', a.session_key, 'service', a.service,
      'environment', a.environment, 'client', said.client, 'calls', greatest(made.calls, a.running), 'running', a.running,
      'last_at_us', telltale.us_of(a.last_at), 'tool', made.tool, 'model', made.model, 'tokens_in', made.tokens_in,
      'tokens_out', made.tokens_out) order by a.last_at desc, a.session_key), '[]')
    from active as a
    cross join lateral (
      select count(*) as calls, (array_agg(t.tool order by t.started_at desc) filter (where t.tool is not null))[1] as tool,
        (array_agg(t.model order by t.started_at desc) filter (where t.model is not null))[1] as model,
        sum(t.tokens_in) as tokens_in, sum(t.tokens_out) as tokens_out
      from (
        select r.tool, r.model, r.tokens_in, r.tokens_out, r.started_at, r.process_id from telltale.traces as r
        where r.session_key = a.session_key and r.started_at > telltale.clock() - interval '1 day'
          and r.day between telltale.today() - 2 and telltale.today() + 1
        order by r.started_at desc limit 1000
      ) as t
      join telltale.processes as p on p.process_id = t.process_id
      join telltale.sources as s on s.source_id = p.source_id and s.service = a.service and s.environment = a.environment
    ) as made
    left join lateral (
      -- What the newest calls whose spans are there say of who called.
      select (array_agg(newest.client order by newest.started_at desc) filter (where newest.client is not null))[1] as client
      from (
        select r.started_at, jsonb_path_query_first(r.spans, '$.*.attributes."mcp.client.name"') #>> '{}' as client
        from telltale.traces as r
        join telltale.processes as p on p.process_id = r.process_id
        join telltale.sources as s on s.source_id = p.source_id and s.service = a.service and s.environment = a.environment
        where r.session_key = a.session_key and r.started_at > telltale.clock() - interval '1 day' and r.sampled is null
          and r.day between telltale.today() - 2 and telltale.today() + 1
        order by r.started_at desc limit 5
      ) as newest
    ) as said on true
  );
end
$function$;
comment on function telltale.live_sessions() is '[ActiveSession], the last active first: 50 of the sessions in which a call ended in the last ten minutes (as far as the
newest 500 calls tell) or runs now. calls and tokens are those of the last day, at most 1,000 calls; tool and model are
those last used, client is who called last, where its recorder knows. Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.lost_by(sources uuid[], since timestamp with time zone, till timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select jsonb_build_object('processes', count(*), 'missing', coalesce(sum(missing), 0),
    'dropped', coalesce(sum(dropped), 0))
  from (
    select telltale.missing_batches(p.seqs, p.seqs_forgotten) as missing, p.rejected,
      (select coalesce(sum(d.value::numeric), 0) from jsonb_each_text(p.dropped) as d) as dropped
    from telltale.processes as p
    where p.last_seen_at >= since and p.first_seen_at < till and (sources is null or p.source_id = any (sources))
  ) as sender
  where missing > 0 or dropped > 0 or rejected > 0
$function$;
comment on function telltale.lost_by(uuid[],timestamp with time zone,timestamp with time zone) is '{processes: how many that were heard of in between miss batches, dropped records or had some refused, missing: batches,
dropped: records}. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.make_partitions(days date[])
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '5s'
AS $function$
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
$function$;
grant execute on function telltale.make_partitions(date[]) to service_role;
comment on function telltale.make_partitions(date[]) is 'Makes the partitions of UTC days from 30 back to 3 ahead, raises 22023 for others; {made: [days]}. Definer: only the owner
of a table may attach to it.';

CREATE OR REPLACE FUNCTION telltale.matching(filter jsonb, key text, expression text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  texts text[] := telltale.texts_in(filter, key);
begin
  return case
    when texts is null then ''
    -- One value by `=`, so that an index gives the rows in their order.
    when cardinality(texts) = 1 then format(' and %s = %L', expression, texts[1])
    else format(' and %s = any (%L::text[])', expression, texts)
  end;
end
$function$;
grant execute on function telltale.matching(jsonb,text,text) to authenticated;
grant execute on function telltale.matching(jsonb,text,text) to service_role;
comment on function telltale.matching(jsonb,text,text) is 'A condition in SQL: the expression equals the string, or one of the strings, under a key of the filter; nothing when absent.';

CREATE OR REPLACE FUNCTION telltale.measured(filter jsonb, block_s integer)
 RETURNS TABLE(key text, block bigint, us double precision, n numeric, sums numeric[])
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  asked record;
  sources uuid[] := telltale.sources_of(filter);
  keys text[];
  kinds text[] := array['all', 'layer', 'tool', 'provider', 'model', 'call'];
begin
  select * into asked from telltale.range_of(filter);
  keys := telltale.series_keys_of(filter, sources);
  if keys is not null then
    return query select * from telltale.measured_cells(keys, sources, asked.since, asked.till, block_s);
    if keys = array['all'] then
      return;
    end if;
    kinds := array_remove(array_remove(kinds, 'all'), split_part(keys[1], ':', 1));
  end if;
  return query select * from telltale.measured_samples(telltale.samples_of(filter, asked.since, asked.till, kinds), block_s);
end
$function$;
comment on function telltale.measured(jsonb,integer) is 'What a filter finds, as measured_cells has it: from the parts, and from the traces what no series key says. Definer: part of
the readers.';

CREATE OR REPLACE FUNCTION telltale.measured_cells(keys text[], sources uuid[], since timestamp with time zone, till timestamp with time zone, block_s integer)
 RETURNS TABLE(key text, block bigint, us double precision, n numeric, sums numeric[])
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
  with cell as materialized (
    select named.key, floor(extract(epoch from found.at) / block_s)::bigint as block, found.cell
    from (
      select r.at, c.key, c.value as cell
      from telltale.rollups_between(since, till, sources, block_s % 3600 = 0) as r
      cross join lateral jsonb_each(r.series) as c
      where keys = array['all'] and c.key ~ '^(all$|(layer|tool|provider|model|call):)'
      union all
      select c.at, c.key, c.cell from telltale.cells_between(case when keys <> array['all'] then keys end, since, till, sources,
        block_s % 3600 = 0) as c
    ) as found
    -- What a filter asks for is the whole, and one of its kind.
    cross join lateral unnest(case when keys = array['all'] then array[found.key] else array[found.key, 'all'] end) as named(key)
  )
  select key, block, null::double precision, null::numeric, array[
    sum((cell -> 'count')::bigint), sum((cell -> 'errors')::bigint), sum((cell -> 'bytes_in')::bigint),
    sum((cell -> 'bytes_out')::bigint), sum((cell -> 'tokens_in')::bigint), sum((cell -> 'tokens_out')::bigint),
    sum((cell -> 'latency' -> 'sum')::bigint)]
  from cell group by key, block
  union all
  select key, null, case when index is null then 0 else power(2::double precision, (index + 0.5::double precision) / 32) end,
    sum(n), null
  from (
    select cell.key, null::int as index, (cell -> 'latency' -> 'z')::bigint as n from cell
    union all
    select cell.key, b.key::int, b.value::bigint from cell cross join lateral jsonb_each(cell.cell -> 'latency' -> 'b') as b
  ) as bucket
  where n > 0
  group by key, index
$function$;
comment on function telltale.measured_cells(text[],uuid[],timestamp with time zone,timestamp with time zone,integer) is 'What was counted under series keys (all of them where keys is {all}, else these and their sum as all), as two kinds of
rows: for key and block of time (its number since the epoch) sums [count, errors, bytes_in, bytes_out, tokens_in, tokens_out,
latency in µs]; for key and latency `us` the number n of requests that took it. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.measured_samples(samples text, block_s integer)
 RETURNS TABLE(key text, block bigint, us double precision, n numeric, sums numeric[])
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return query execute format(
    'with sample as materialized (%s)
    select key, floor(extract(epoch from at) / $1)::bigint, null::double precision, null::numeric, array[
      count(*)::numeric, count(*) filter (where outcome in (''tool_error'', ''server_fault'', ''timeout'', ''interrupted'')),
      coalesce(sum(bytes_in), 0), coalesce(sum(bytes_out), 0), coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0),
      coalesce(sum(us) filter (where us >= 0), 0)::numeric]
    from sample group by 1, 2
    union all
    select key, null, us, count(*)::numeric, null from sample where us >= 0 group by key, us', samples)
  using block_s;
end
$function$;
comment on function telltale.measured_samples(text,integer) is 'The same of samples (see samples_of). Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.merge_errors(errors jsonb, process uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
begin
  insert into telltale.errors as e (error_id, fingerprint, day, at, process_id, trace_id, span_id, error_type, message,
    traceback, culprit, context, connection_type, direction, script_name, function_name, data_size_bytes,
    response_time_ms, metadata)
  select distinct on (r.error_id, r.fingerprint collate "C", telltale.day_of(r.at_us))
    r.error_id, r.fingerprint, telltale.day_of(r.at_us), telltale.at_of(r.at_us), process, r.trace_id, r.span_id,
    r.error_type, r.message, r.traceback, r.culprit, coalesce(r.context, '{}'), r.connection_type, r.direction,
    r.script_name, r.function_name, r.data_size_bytes, r.response_time_ms, nullif(r.metadata, 'null')
  from jsonb_to_recordset(errors) as r(error_id uuid, fingerprint text, at_us bigint, trace_id text, span_id text,
    error_type text, message text, traceback text, culprit text, context jsonb, connection_type text, direction text,
    script_name text, function_name text, data_size_bytes bigint, response_time_ms double precision, metadata jsonb)
  order by r.error_id, r.fingerprint collate "C", telltale.day_of(r.at_us), to_jsonb(r)::text collate "C" desc
  on conflict (error_id, fingerprint, day) do update set
    at = excluded.at, process_id = excluded.process_id, trace_id = excluded.trace_id, span_id = excluded.span_id,
    error_type = excluded.error_type, message = excluded.message, traceback = excluded.traceback,
    culprit = excluded.culprit, context = excluded.context, connection_type = excluded.connection_type,
    direction = excluded.direction, script_name = excluded.script_name, function_name = excluded.function_name,
    data_size_bytes = excluded.data_size_bytes, response_time_ms = excluded.response_time_ms,
    metadata = excluded.metadata
  where to_jsonb(excluded)::text collate "C" > to_jsonb(e)::text collate "C";
end
$function$;
comment on function telltale.merge_errors(jsonb,uuid) is 'Of two errors with one key but different content the greater stays: by the text of the row as jsonb, by bytes. Definer:
part of ingest_batch, and rare.';

CREATE OR REPLACE FUNCTION telltale.merge_spans(a jsonb, b jsonb, spans_max integer DEFAULT 10000)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select m.spans from telltale.merged_spans(array[a], array[b], spans_max) as m $function$;
grant execute on function telltale.merge_spans(jsonb,jsonb,integer) to service_role;
comment on function telltale.merge_spans(jsonb,jsonb,integer) is 'Two objects of spans of one trace as one; see merged_spans.';

CREATE OR REPLACE FUNCTION telltale.merge_traces(traces jsonb, others text[])
 RETURNS text[]
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_first date;
  v_last date;
  v_after text := '';
  v_held int;
  v_ids text[];
  v_days date[];
  v_dropped int[];
  v_revisions bigint[];
  v_stored jsonb[];
  v_sent jsonb[];
  v_merged jsonb[];
  v_sampled jsonb[];
  v_all text[] := '{}';
begin
  -- A first and a last day, since of all the partitions only those between are then opened.
  select min(d.day), max(d.day) into v_first, v_last
  from jsonb_array_elements(traces) as r
  cross join lateral (select day from telltale.trace_days where trace_id = r.value ->> 'trace_id' offset 0) as d
  where r.value ->> 'trace_id' <> all (others);
  loop
    -- All rows are locked at once, but no more of them are held in memory than have about 20,000 spans.
    with held as materialized (
      select t.*, r.sent
      from (
        select value ->> 'trace_id' as trace_id, value -> 'spans' as sent,
          (select d.day from telltale.trace_days as d where d.trace_id = value ->> 'trace_id') as day
        from jsonb_array_elements(traces)
        where value ->> 'trace_id' <> all (others) and value ->> 'trace_id' collate "C" > v_after
        order by value ->> 'trace_id' collate "C"
      ) as r
      cross join lateral (
        select t.trace_id, t.day, t.spans_dropped, t.revision, t.span_count, t.sampled,
          -- Of one whose spans were let go the head is known.
          case when t.sampled is null then t.spans
            else jsonb_build_object(t.sampled ->> 'span_id', t.sampled - 'span_id') end as spans
        from telltale.traces as t
        where t.trace_id = r.trace_id and t.day = r.day and t.day between v_first and v_last
        for no key update
      ) as t
    ), weighed as (
      select *, sum(span_count) over (order by trace_id) - span_count as before from held
    )
    select (select count(*) from held), array_agg(trace_id), array_agg(day), array_agg(spans_dropped),
      array_agg(revision), array_agg(spans), array_agg(sent), array_agg(sampled)
    into v_held, v_ids, v_days, v_dropped, v_revisions, v_stored, v_sent, v_sampled
    from weighed where before < 20000;
    exit when v_held = 0;
    select array_agg(m.spans order by m.place), array_agg(m.dropped + v_dropped[m.place] order by m.place)
    into v_merged, v_dropped from telltale.merged_spans(v_stored, v_sent) as m;
    -- Every row is there and locked. An update would open all partitions, an insert opens those that it writes.
    insert into telltale.traces as t (trace_id, day, started_at, ended_at, duration_ms, wait_ms, process_id,
      bytes_in, bytes_out, tokens_in, tokens_out, call_number, span_count, spans_dropped, revision, name, outcome,
      request_id, session_key, session_rule, tool, provider, model, layers, spans)
    select m.trace_id, m.day, telltale.at_of(s.started_at_us), telltale.at_of(s.ended_at_us), s.duration_ms, s.wait_ms,
      s.process::uuid, s.bytes_in, s.bytes_out, s.tokens_in, s.tokens_out, s.call_number, s.span_count, m.dropped,
      m.revision + 1, s.name, s.outcome, s.request_id, s.session_key, s.session_rule, s.tool, s.provider, s.model,
      s.layers, m.spans
    from telltale.summaries_of(v_merged) as s
    join unnest(v_ids, v_days, v_dropped, v_revisions, v_merged) with ordinality
      as m(trace_id, day, dropped, revision, spans, place) on m.place = s.place
    on conflict (trace_id, day) do update set
      (started_at, ended_at, duration_ms, wait_ms, process_id, bytes_in, bytes_out, tokens_in, tokens_out, call_number,
        span_count, spans_dropped, revision, name, outcome, request_id, session_key, session_rule, tool, provider,
        model, layers, spans, changed_at, changed_xid) = row (
      excluded.started_at, excluded.ended_at, excluded.duration_ms, excluded.wait_ms, excluded.process_id,
      excluded.bytes_in, excluded.bytes_out, excluded.tokens_in, excluded.tokens_out, excluded.call_number,
      excluded.span_count, excluded.spans_dropped, excluded.revision, excluded.name, excluded.outcome,
      excluded.request_id, excluded.session_key, excluded.session_rule, excluded.tool, excluded.provider,
      excluded.model, excluded.layers, excluded.spans, excluded.changed_at, excluded.changed_xid)
      where t.sampled is null;
    if cardinality(array_remove(v_sampled, null)) > 0 then
      perform telltale.retime_sampled(v_ids, v_days, v_merged, v_sampled);
    end if;
    v_all := v_all || v_ids;
    exit when v_held = cardinality(v_ids);
    v_after := v_ids[cardinality(v_ids)];
  end loop;
  return v_all;
end
$function$;
comment on function telltale.merge_traces(jsonb,text[]) is 'Locks the rows that exist of TraceRows, in order of trace id, but for those of others, and merges the spans into them;
the trace ids of those it found. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.merged_spans(stored jsonb[], sent jsonb[], spans_max integer DEFAULT 10000)
 RETURNS TABLE(place bigint, spans jsonb, dropped integer)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE ROWS 100
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  -- Greater wins whole: (rank: pending 0, concluded by the tick 1, ended 2; end; text by bytes).
  return query
  with change as (
    select place, jsonb_object_agg(id, theirs) as spans, count(*) filter (where ours is null) as fresh
    from (
      select place, id, theirs, ours,
        case when theirs ->> 'end_us' is null then 0 when theirs -> 'concluded' = 'true' then 1 else 2 end as their_rank,
        case when ours ->> 'end_us' is null then 0 when ours -> 'concluded' = 'true' then 1 else 2 end as our_rank
      from (
        select t.place, b.key as id, b.value as theirs, t.a -> b.key as ours
        from unnest(stored, sent) with ordinality as t(a, b, place) cross join lateral jsonb_each(t.b) as b
        offset 0
      ) as pair
    ) as version
    where ours is null
      or their_rank > our_rank
      or (their_rank = our_rank and (
        coalesce((theirs -> 'end_us')::numeric, 0) > coalesce((ours -> 'end_us')::numeric, 0)
        or (coalesce((theirs -> 'end_us')::numeric, 0) = coalesce((ours -> 'end_us')::numeric, 0)
          and theirs::text collate "C" > ours::text collate "C")))
    group by place
  ), counted as (
    select t.place, t.a, change.spans as b, change.fresh,
      spans_max - case when change.fresh > 0 then (select count(*) from jsonb_object_keys(t.a)) end as room
    from unnest(stored) with ordinality as t(a, place) left join change on change.place = t.place
  )
  select c.place,
    case when c.b is null then c.a
      when c.fresh > c.room then c.a || coalesce((
        select jsonb_object_agg(key, value)
        from (select key, value, row_number() over (partition by c.a ? key order by key collate "C") as nth
          from jsonb_each(c.b)) as s
        where c.a ? key or nth <= c.room), '{}')
      else c.a || c.b end,
    greatest(0, c.fresh - greatest(0, c.room))::int
  from counted as c;
end
$function$;
grant execute on function telltale.merged_spans(jsonb[],jsonb[],integer) to service_role;
comment on function telltale.merged_spans(jsonb[],jsonb[],integer) is 'Objects of spans keyed by span id, stored and sent ones of the same traces, as one: of each span the stronger version.
Past spans_max spans of a trace further new ids are left out; `dropped` counts them.';

CREATE OR REPLACE FUNCTION telltale.merged_stats(stats jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select jsonb_build_object('count', sum(count), 'error_rate', round(sum(errors) / nullif(sum(count), 0), 6),
    'mean_ms', round(sum(mean_ms * count) / nullif(sum(count) filter (where mean_ms is not null), 0), 3))
  from (
    select (value ->> 'count')::numeric as count, (value ->> 'errors')::numeric as errors, (value ->> 'mean_ms')::numeric as mean_ms
    from jsonb_array_elements(stats)
  ) as one
$function$;
grant execute on function telltale.merged_stats(jsonb) to authenticated;
grant execute on function telltale.merged_stats(jsonb) to service_role;
comment on function telltale.merged_stats(jsonb) is 'Of [Stats] {count, error_rate, mean_ms} of all together: a provider may be written in more than one way.';

CREATE OR REPLACE FUNCTION telltale.missing_batches(seqs int8multirange, forgotten bigint)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select forgotten + coalesce((
    select sum(upper(r) - lower(r))
    from unnest(case when not isempty(seqs) then int8multirange(int8range(1, upper(seqs))) - seqs end) as r), 0)::bigint
$function$;
grant execute on function telltale.missing_batches(int8multirange,bigint) to authenticated;
grant execute on function telltale.missing_batches(int8multirange,bigint) to service_role;
comment on function telltale.missing_batches(int8multirange,bigint) is 'How many sequence numbers below the greatest are missing, and how many were given up: seqs and seqs_forgotten of a process.';

CREATE OR REPLACE FUNCTION telltale.most_counted(stats jsonb, kind text)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(value || jsonb_build_object('key', name) order by count desc, name collate "C"), '[]')
  from (
    select substr(key, length(kind) + 2) as name, value, (value ->> 'count')::numeric as count
    from jsonb_each(stats)
    where starts_with(key, kind || ':')
    order by (value ->> 'count')::numeric desc, key collate "C" limit 100
  ) as listed
$function$;
grant execute on function telltale.most_counted(jsonb,text) to authenticated;
grant execute on function telltale.most_counted(jsonb,text) to service_role;
comment on function telltale.most_counted(jsonb,text) is 'Of {series key: Stats} the 100 of a kind with the greatest count, as [{key: the name alone, ...Stats}].';

CREATE OR REPLACE FUNCTION telltale.moved_minutes(skewed uuid[], since timestamp with time zone, till timestamp with time zone, whole_hours boolean)
 RETURNS TABLE(at timestamp with time zone, series jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
comment on function telltale.moved_minutes(uuid[],timestamp with time zone,timestamp with time zone,boolean) is 'The minutes of these sources that belong to a stretch of time once their clocks are set right. With whole_hours over more than
two days, or further back than minutes go: their computed hours, moved by whole hours. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.names_max(kind text)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$
  select case kind when 'tool' then 64 when 'provider' then 16 when 'model' then 32 when 'layer' then 16
    when 'connection' then 16 when 'cache' then 16 end
$function$;
grant execute on function telltale.names_max(text) to authenticated;
grant execute on function telltale.names_max(text) to service_role;
comment on function telltale.names_max(text) is 'How many names of a kind a source may have; see src/core/limit.ts.';

CREATE OR REPLACE FUNCTION telltale.no_stats()
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select telltale.stats_of(0, 0, 1, null, null, 0, 0, 0, 0) $function$;
comment on function telltale.no_stats() is 'Stats of nothing.';

CREATE OR REPLACE FUNCTION telltale.number_in(filter jsonb, key text)
 RETURNS numeric
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  value numeric;
begin
  value := (filter ->> key)::numeric;
  -- NaN and the infinities too: numeric has them, and NaN is greater than all.
  if value not between -1e15 and 1e15 then
    raise numeric_value_out_of_range;
  end if;
  return value;
exception
  when data_exception then
    raise exception 'Cannot read filter: % is %', key, filter -> key
      using errcode = '22023', hint = key || ' is a number of at most 1e15.';
end
$function$;
grant execute on function telltale.number_in(jsonb,text) to authenticated;
grant execute on function telltale.number_in(jsonb,text) to service_role;
comment on function telltale.number_in(jsonb,text) is 'The number under a key of a filter, null when absent; raises 22023 for anything else, and beyond 1e15 either way.';

CREATE OR REPLACE FUNCTION telltale.overview(filter jsonb DEFAULT '{}'::jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  asked record;
  sources uuid[];
  keys text[];
  by_key jsonb;
  total jsonb;
  before jsonb;
  recent jsonb;
  clocks jsonb;
  health jsonb := '{"status": "empty", "reasons": ["Nothing has ever been received."]}';
  received timestamptz;
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
    'min_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
  select * into asked from telltale.range_of(filter);
  sources := telltale.sources_of(filter);
  keys := telltale.series_keys_of(filter, sources);
  by_key := telltale.stats_by_key(filter, keys, sources, asked.since, asked.till);
  total := coalesce(by_key -> 'all', telltale.stats_between(filter, keys, sources, asked.since, asked.till));
  before := telltale.stats_between(filter, keys, sources, asked.since - (asked.till - asked.since), asked.since);
  select max(p.last_seen_at) into received from telltale.processes as p
  where (sources is null or p.source_id = any (sources)) and p.source_id <> telltale.own_source();
  if received is not null then
    recent := telltale.stats_between(filter, keys, sources,
      greatest(asked.since, date_trunc('minute', least(asked.till, telltale.clock())) - interval '5 minutes'), asked.till);
    health := telltale.health_of(total, before, recent, telltale.lost_by(sources, asked.since, asked.till),
      case when asked.till >= telltale.clock() then telltale.clock() - received end);
  end if;
  clocks := telltale.clocks_off(asked.since, asked.till, sources);
  if clocks <> '[]' then
    health := jsonb_build_object('status', case when health ->> 'status' = 'ok' then 'degraded' else health ->> 'status' end,
      'reasons', (health -> 'reasons') || to_jsonb(format('The clock of %s is %s minutes %s: its requests are counted when they really ended.',
        concat_ws(' on ', clocks -> 0 ->> 'service', clocks -> 0 ->> 'instance'), abs((clocks -> 0 -> 'offset_ms')::bigint) / 60000,
        case when (clocks -> 0 -> 'offset_ms')::bigint > 0 then 'ahead' else 'behind' end)));
  end if;
  return jsonb_build_object('from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
    'source', case when keys is null then 'traces' else 'parts' end, 'total', total, 'before', before,
    'layers', telltale.most_counted(by_key, 'layer'), 'tools', telltale.most_counted(by_key, 'tool'),
    'providers', telltale.most_counted(by_key, 'provider'), 'models', telltale.most_counted(by_key, 'model'),
    'calls', telltale.most_counted(by_key, 'call'), 'connections', telltale.most_counted(by_key, 'connection'),
    'caches', telltale.most_counted(by_key, 'cache'),
    'health', health, 'clocks', clocks, 'last_received_at_us', telltale.us_of(received),
    'environments', coalesce((select jsonb_agg(name order by name collate "C") from (
      select distinct s.environment as name from telltale.sources as s
      where s.source_id <> telltale.own_source() order by 1 limit 100) as listed), '[]'),
    'services', coalesce((select jsonb_agg(name order by name collate "C") from (
      select distinct s.service as name from telltale.sources as s
      where s.source_id <> telltale.own_source() order by 1 limit 100) as listed), '[]'));
end
$function$;
grant execute on function telltale.overview(jsonb) to authenticated;
grant execute on function telltale.overview(jsonb) to service_role;
comment on function telltale.overview(jsonb) is '{from_us, to_us (whole minutes, to exclusive), source: parts | traces, total: Stats, before: Stats of as long a time before,
layers, tools, providers, models, calls, connections, caches: [{key: the name, ...Stats}], at most 100 each, the most counted
first, health: see health_of, clocks: those off by a minute or more, see clocks_off, last_received_at_us, environments, services: [name], of all}. Stats: see stats_of. Filter: as traces;
from is 15 minutes ago and to is now unless given. Parts count a request when it ended, traces when it started; with one
tool, provider, model, layer or call number the lists of the other kinds are from traces. Definer, see the file''s head.';

CREATE OR REPLACE FUNCTION telltale.own_source()
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select telltale.source_id_of('telltale', 'telltale', 'telltale') $function$;
grant execute on function telltale.own_source() to authenticated;
grant execute on function telltale.own_source() to service_role;
comment on function telltale.own_source() is 'The source of Telltale''s own resources: its gauges are shown, but it sends no batches and is no sign of life of a daemon.';

CREATE OR REPLACE FUNCTION telltale.p_of_shares(a numeric, a_of numeric, b numeric, b_of numeric)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  -- Yates' correction: without it few requests would make much of little.
  select case when a_of >= 5 and b_of >= 5 then coalesce(telltale.p_of_z(
    greatest(0, abs(a / a_of - b / b_of) - (1 / a_of + 1 / b_of) / 2)::double precision
    / nullif(sqrt((pooled * (1 - pooled) * (1 / a_of + 1 / b_of))::double precision), 0)), 1) end
  from (select (a + b) / nullif(a_of + b_of, 0) as pooled) as together
$function$;
grant execute on function telltale.p_of_shares(numeric,numeric,numeric,numeric) to authenticated;
grant execute on function telltale.p_of_shares(numeric,numeric,numeric,numeric) to service_role;
comment on function telltale.p_of_shares(numeric,numeric,numeric,numeric) is 'Of a in a_of and b in b_of: how likely chance alone makes shares so different (two-proportion test, pooled, corrected for
continuity). Null where either is of fewer than 5.';

CREATE OR REPLACE FUNCTION telltale.p_of_z(z double precision)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$
  -- Chebyshev fit to erfc(x), Numerical Recipes 6.2: relative error below 1.2e-7. Past 25 exp() would underflow.
  select least(1, t * exp(-x * x - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
    + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))))))
  from (select least(abs(z) / sqrt(2::double precision), 25) as x) as scaled
  cross join lateral (select 1 / (1 + x / 2) as t) as inverse
$function$;
grant execute on function telltale.p_of_z(double precision) to authenticated;
grant execute on function telltale.p_of_z(double precision) to service_role;
comment on function telltale.p_of_z(double precision) is 'How likely a standard normal value is at least as far from 0 as z, on either side: 1 at 0, at least 1e-272.';

CREATE OR REPLACE FUNCTION telltale.page_size(n integer)
 RETURNS integer
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
begin
  if n not between 1 and 1000 then
    raise exception 'Cannot read page: n is %', n using errcode = '22023', hint = 'n is from 1 to 1000, or null for 100.';
  end if;
  return coalesce(n, 100);
end
$function$;
grant execute on function telltale.page_size(integer) to authenticated;
grant execute on function telltale.page_size(integer) to service_role;
comment on function telltale.page_size(integer) is 'How many rows a page has: n, or 100; raises 22023 outside 1..1000.';

CREATE OR REPLACE FUNCTION telltale.percent_of(share numeric)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select trim_scale(round(share * 100, 1))::text || ' %' $function$;
grant execute on function telltale.percent_of(numeric) to authenticated;
grant execute on function telltale.percent_of(numeric) to service_role;
comment on function telltale.percent_of(numeric) is 'A share of 1 as people read it, such as 2.5 %.';

CREATE OR REPLACE FUNCTION telltale.performance_metrics("from" text DEFAULT NULL::text, "to" text DEFAULT NULL::text, filter jsonb DEFAULT '{}'::jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  resources constant text[] := array['redis_memory_mb', 'redis_key_count', 'supabase_pool_active', 'supabase_pool_idle',
    'websocket_connections'];
  view jsonb;
  total jsonb;
  gauges jsonb;
  providers jsonb;
  minutes numeric;
begin
  perform telltale.require_reader();
  perform telltale.check_filter(coalesce(filter, '{}'), array['environment', 'service']);
  filter := coalesce(filter, '{}') || jsonb_strip_nulls(jsonb_build_object('from', "from", 'to', "to"));
  view := telltale.overview(filter);
  total := view -> 'total';
  minutes := telltale.seconds_of(telltale.at_of((view -> 'from_us')::bigint), telltale.at_of((view -> 'to_us')::bigint))::numeric / 60;
  gauges := telltale.gauges_between(resources || array['realtime_connections', 'database_mb'],
    telltale.at_of((view -> 'from_us')::bigint), telltale.at_of((view -> 'to_us')::bigint), telltale.sources_of(filter));
  -- Known by name however a daemon writes it; those that an operator asks for are there with or without calls.
  select jsonb_object_agg(name, stats) into providers from (
    select name, jsonb_build_object('count', coalesce((p ->> 'count')::numeric, 0),
      'average_latency_ms', p -> 'mean_ms', 'error_rate', p -> 'error_rate') as stats
    from (select distinct lower(value ->> 'key') as name from jsonb_array_elements(view -> 'providers')
      union values ('glm'), ('kimi')) as named
    left join lateral (
      select telltale.merged_stats(jsonb_agg(value)) as p from jsonb_array_elements(view -> 'providers')
      where lower(value ->> 'key') = name) as found on true
  ) as each;
  return jsonb_build_object('from_us', view -> 'from_us', 'to_us', view -> 'to_us',
    'latency_p50_ms', total -> 'p50_ms', 'latency_p95_ms', total -> 'p95_ms', 'latency_p99_ms', total -> 'p99_ms',
    'requests_per_second', total -> 'per_second',
    'bytes_per_second', round(((total ->> 'bytes_in')::numeric + (total ->> 'bytes_out')::numeric) / greatest(minutes * 60, 1), 3),
    'error_rate', total -> 'error_rate', 'errors_per_minute', round((total ->> 'errors')::numeric / greatest(minutes, 1 / 60.0), 6),
    'glm_latency_avg_ms', providers -> 'glm' -> 'average_latency_ms', 'glm_error_rate', providers -> 'glm' -> 'error_rate',
    'kimi_latency_avg_ms', providers -> 'kimi' -> 'average_latency_ms', 'kimi_error_rate', providers -> 'kimi' -> 'error_rate',
    'providers', providers, 'database_mb', coalesce(gauges -> 'database_mb', '[]'),
    'realtime_connections', coalesce(gauges -> 'realtime_connections', '[]'))
    || (select jsonb_object_agg(name, coalesce(gauges -> name, '[]')) from unnest(resources) as name);
end
$function$;
grant execute on function telltale.performance_metrics(text,text,jsonb) to authenticated;
grant execute on function telltale.performance_metrics(text,text,jsonb) to service_role;
comment on function telltale.performance_metrics(text,text,jsonb) is 'The operator''s sixteen metrics from..to (ISO 8601 or µs; the last 15 minutes unless given): latency_p50_ms, latency_p95_ms,
latency_p99_ms, requests_per_second, bytes_per_second, error_rate, errors_per_minute; redis_memory_mb, redis_key_count,
supabase_pool_active, supabase_pool_idle, websocket_connections: each [{service, environment, instance, labels, samples, mean,
max, last, last_at_us}], those of service telltale being Telltale''s own; glm_latency_avg_ms, glm_error_rate, kimi_latency_avg_ms,
kimi_error_rate, and of every provider providers {name in lower case: {count, average_latency_ms, error_rate}}. Beside them
realtime_connections (pages) and database_mb. Filter: environment, service. Null: nothing was counted. Definer, see the
head of create_series_reader; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.pin_trace(trace_id text, pinned boolean DEFAULT true)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
#variable_conflict use_variable
begin
  perform telltale.require_reader();
  if not pinned then
    delete from telltale.pinned_traces as p where p.trace_id = lower(pin_trace.trace_id);
    return found;
  end if;
  if (select count(*) from telltale.pinned_traces) >= 10000 then
    raise exception 'Cannot pin trace: 10000 are pinned already' using errcode = '22023', hint = 'Unpin some of them.';
  end if;
  insert into telltale.pinned_traces (trace_id, pinned_by)
  select d.trace_id, telltale.caller_id() from telltale.trace_days as d where d.trace_id = lower(pin_trace.trace_id)
  on conflict do nothing;
  return exists (select from telltale.pinned_traces as p where p.trace_id = lower(pin_trace.trace_id));
end
$function$;
grant execute on function telltale.pin_trace(text,boolean) to authenticated;
grant execute on function telltale.pin_trace(text,boolean) to service_role;
comment on function telltale.pin_trace(text,boolean) is 'Lets a trace keep its spans, or no longer; whether it is pinned now, or was. A trace whose spans are gone does not get them back.
Definer: members may not write the table otherwise; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.place_of(cursor text, shape jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  place jsonb;
  base64 text := translate(cursor, '-_', '+/');
begin
  if cursor is null then
    return null;
  end if;
  begin
    place := convert_from(decode(base64 || repeat('=', (4 - length(base64) % 4) % 4), 'base64'), 'UTF8')::jsonb;
  exception
    when data_exception then place := null;
  end;
  if jsonb_typeof(place) = 'object'
    and not exists (select from jsonb_each_text(shape) as s where coalesce(place ->> s.key, '') !~ s.value) then
    return place;
  end if;
  raise exception 'Cannot read cursor: %', to_json(left(cursor, 100))
    using errcode = '22023', hint = 'A cursor is the `next` of the page before, from the same function; null begins.';
end
$function$;
grant execute on function telltale.place_of(text,jsonb) to authenticated;
grant execute on function telltale.place_of(text,jsonb) to service_role;
comment on function telltale.place_of(text,jsonb) is 'The place that a cursor means, null of null; raises 22023 unless it has the keys of `shape` and their values match its patterns.';

CREATE OR REPLACE FUNCTION telltale.processes_where(filter jsonb)
 RETURNS text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  if filter ->> 'environment' is null and filter ->> 'service' is null then
    return '';
  end if;
  return ' and t.process_id in (select p.process_id from telltale.processes as p
    join telltale.sources as s on s.source_id = p.source_id where true'
    || telltale.matching(filter, 'environment', 's.environment') || telltale.matching(filter, 'service', 's.service') || ')';
end
$function$;
comment on function telltale.processes_where(jsonb) is 'A condition in SQL on t.process_id, by the environment and service of a filter. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.query_of(words text)
 RETURNS tsquery
 LANGUAGE sql
 IMMUTABLE STRICT
 SET search_path TO ''
AS $function$
  select case when numnode(q) = 0 then q else (q::text || ':*')::tsquery end
  from (select plainto_tsquery('pg_catalog.simple', words) as q) as parsed
$function$;
grant execute on function telltale.query_of(text) to authenticated;
grant execute on function telltale.query_of(text) to service_role;
comment on function telltale.query_of(text) is 'All of the words, the last of them as a beginning.';

CREATE OR REPLACE FUNCTION telltale.range_of(filter jsonb, step_s integer DEFAULT 60, OUT since timestamp with time zone, OUT till timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  width integer := step_s;
begin
  till := coalesce(telltale.instant_of(filter, 'to'), telltale.clock());
  since := coalesce(telltale.instant_of(filter, 'from'), till - interval '15 minutes');
  if since >= till then
    raise exception 'Cannot read filter: from is not before to'
      using errcode = '22023', hint = 'from is before to; to is now, and from 15 minutes before it, unless they are given.';
  end if;
  if since < till - interval '400 days' then
    raise exception 'Cannot read filter: from is more than 400 days before to'
      using errcode = '22023', hint = 'No metrics are kept for longer than 400 days.';
  end if;
  -- Of a time whose minutes are gone there are whole hours.
  if telltale.day_of(telltale.us_of(since)) < telltale.today() - 30 then
    width := greatest(step_s, 3600);
  end if;
  since := to_timestamp(floor(extract(epoch from since) / width) * width);
  till := to_timestamp(ceil(extract(epoch from till) / step_s) * step_s);
end
$function$;
grant execute on function telltale.range_of(jsonb,integer) to authenticated;
grant execute on function telltale.range_of(jsonb,integer) to service_role;
comment on function telltale.range_of(jsonb,integer) is 'The stretch of time that a filter means, to exclusive, in whole steps (in s, from the epoch on): from rounded down, to
rounded up. Raises 22023 unless from is before to, by at most 400 days.';

CREATE OR REPLACE FUNCTION telltale.read_key(key_id text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select jsonb_build_object('key_id', k.key_id, 'key_hash', k.key_hash, 'revoked', k.revoked_at is not null)
  from telltale.ingest_keys as k
  where k.key_id = read_key.key_id
$function$;
grant execute on function telltale.read_key(text) to service_role;
comment on function telltale.read_key(text) is 'KeyRow {key_id, key_hash, revoked}, null when there is none. Definer: hashes are for the edge alone, through this.';

CREATE OR REPLACE FUNCTION telltale.release_tick(holder text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  update telltale.tick_lease as l set holder = null, expires_at = telltale.clock() where l.holder = release_tick.holder;
  return found;
end
$function$;
grant execute on function telltale.release_tick(text) to service_role;
comment on function telltale.release_tick(text) is 'Gives the lease back; false when it was not the holder''s any more. Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.remove_member(user_id uuid)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  with removed as (
    delete from telltale.members as m where m.user_id = remove_member.user_id
    returning 1
  ), unseen as (
    delete from telltale.viewers as v where v.user_id = remove_member.user_id
  )
  select exists (select from removed)
$function$;
grant execute on function telltale.remove_member(uuid) to service_role;
comment on function telltale.remove_member(uuid) is 'Takes the right to read from a user, at once and whatever tokens they hold; false when they had none. Definer: no role
may write the table.';

CREATE OR REPLACE FUNCTION telltale.renamed_series(series jsonb, renamed jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select telltale.series_merge(jsonb_build_object(coalesce(renamed ->> key, key), value)) from jsonb_each(series)
$function$;
grant execute on function telltale.renamed_series(jsonb,jsonb) to service_role;
comment on function telltale.renamed_series(jsonb,jsonb) is 'A series with its keys renamed as {old: new} says; cells that meet under one key are added up.';

CREATE OR REPLACE FUNCTION telltale.reply_of(status text, ack jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select ack || jsonb_build_object('status', status, 'watched', telltale.is_watched(), 'tick_due', telltale.is_tick_due())
$function$;
comment on function telltale.reply_of(text,jsonb) is 'IngestReply of a stored ack. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.require_reader()
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  if not telltale.is_reader() then
    raise exception 'Cannot read telltale: the caller is not a member'
      using errcode = '42501', hint = 'Ask the operator to add your user id to telltale.members.';
  end if;
end
$function$;
grant execute on function telltale.require_reader() to authenticated;
grant execute on function telltale.require_reader() to service_role;
comment on function telltale.require_reader() is 'The first line of every function that reads: raises 42501 for non-members.';

CREATE OR REPLACE FUNCTION telltale.retime_sampled(ids text[], days date[], merged jsonb[], heads jsonb[])
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
begin
  -- The breakdown and what was summed up stay as they were when all spans were there.
  update telltale.traces as t set
    started_at = least(t.started_at, telltale.at_of(s.started_at_us)),
    ended_at = greatest(t.ended_at, telltale.at_of(s.ended_at_us)),
    duration_ms = coalesce(s.duration_ms, t.duration_ms),
    outcome = case when s.duration_ms is null then t.outcome else s.outcome end,
    sampled = (m.spans -> h.head) - 'attributes' || jsonb_build_object('span_id', h.head),
    revision = t.revision + 1, changed_at = telltale.clock(), changed_xid = pg_current_xact_id()
  from telltale.summaries_of(merged) as s
  join unnest(ids, days, merged, heads) with ordinality as m(id, day, spans, head, place) on m.place = s.place
  cross join lateral (select telltale.head_key(m.spans) as head) as h
  where m.head is not null and t.trace_id = m.id and t.day = m.day and t.day = any (days);
end
$function$;
comment on function telltale.retime_sampled(text[],date[],jsonb[],jsonb[]) is 'What came late for traces whose spans were let go: their times and outcome follow, nothing else does. `merged` is the head that
is known and what came. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.revoke_key(key_id text)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  with revoked as (
    update telltale.ingest_keys as k set revoked_at = coalesce(k.revoked_at, telltale.clock())
    where k.key_id = revoke_key.key_id
    returning 1
  )
  select exists (select from revoked)
$function$;
grant execute on function telltale.revoke_key(text) to service_role;
comment on function telltale.revoke_key(text) is 'Ends an ingest key, for good; false when there is none. Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.rollups_between(since timestamp with time zone, till timestamp with time zone, sources uuid[], whole_hours boolean)
 RETURNS TABLE(at timestamp with time zone, series jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  first_hour timestamptz := date_trunc('hour', since + interval '59 minutes', 'UTC');
  last_hour timestamptz := date_trunc('hour', till, 'UTC');
  skewed uuid[] := telltale.skewed_between(since, till, sources);
begin
  if skewed <> '{}' then
    return query select * from telltale.moved_minutes(skewed, since, till, whole_hours);
  end if;
  if not whole_hours or first_hour >= last_hour then
    first_hour := till;
    last_hour := till;
  end if;
  return query
    select m.minute, m.series from telltale.rollup_minutes as m
    where m.minute >= since and m.minute < first_hour and (sources is null or m.source_id = any (sources))
      and m.source_id <> all (skewed)
      and m.day between (since at time zone 'UTC')::date and (first_hour at time zone 'UTC')::date;
  if last_hour < till then
    return query
      select m.minute, m.series from telltale.rollup_minutes as m
      where m.minute >= last_hour and m.minute < till and (sources is null or m.source_id = any (sources))
        and m.source_id <> all (skewed)
        and m.day between (last_hour at time zone 'UTC')::date and (till at time zone 'UTC')::date;
  end if;
  if first_hour = last_hour then
    return;
  end if;
  return query
    with changed as materialized (
      select h.hour, h.source_id from telltale.hours_due as h
      join telltale.partition_days as kept on kept.day = (h.hour at time zone 'UTC')::date
      where h.hour >= first_hour and h.hour < last_hour
      union
      select date_trunc('hour', m.minute, 'UTC'), m.source_id from telltale.rollup_minutes as m
      where m.batch_id is not null and m.minute >= first_hour and m.minute < last_hour
        and m.day between (first_hour at time zone 'UTC')::date and (last_hour at time zone 'UTC')::date
    )
    select h.hour, h.series from telltale.rollup_hours as h
    where h.hour >= first_hour and h.hour < last_hour and (sources is null or h.source_id = any (sources))
      and h.source_id <> all (skewed)
      and not exists (select from changed as c where c.hour = h.hour and c.source_id = h.source_id)
    union all
    select m.minute, m.series from changed as c
    join telltale.rollup_minutes as m on m.source_id = c.source_id and m.day = (c.hour at time zone 'UTC')::date
      and m.minute >= c.hour and m.minute < c.hour + interval '1 hour'
    where (sources is null or c.source_id = any (sources)) and c.source_id <> all (skewed)
      and m.day between (first_hour at time zone 'UTC')::date and (last_hour at time zone 'UTC')::date;
end
$function$;
comment on function telltale.rollups_between(timestamp with time zone,timestamp with time zone,uuid[],boolean) is 'What was counted from since (whole minutes) up to till, as rows that add up to it. With whole_hours, each whole hour of a
source comes from rollup_hours, unless it is due to be computed again or has a part that the tick has not summed: then, and
at the ends, its minutes come. So an hour is one row, and nothing is missing or counted twice. The minutes of a source whose clock is off by minutes are where
they belong. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.root_trace_of(trace_id text)
 RETURNS text
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  with recursive up as (
    select root_trace_of.trace_id collate "C" as id, 0 as height
    union all
    select j.outer_trace_id, up.height + 1 from up join telltale.trace_joins as j on j.inner_trace_id = up.id
    where up.height < 8
  )
  select id from up order by height desc limit 1
$function$;
comment on function telltale.root_trace_of(text) is 'The outermost trace that a trace is joined into, itself where it is in none. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.sample_stats(samples text, place text, seconds double precision)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  answer jsonb;
begin
  execute format(
    'select coalesce(jsonb_object_agg(place, stats), ''{}'')
    from (
      select %s as place, telltale.stats_of(count(*), count(*) filter (
          where outcome in (''tool_error'', ''server_fault'', ''timeout'', ''interrupted'')), $1,
        (avg(us) filter (where us >= 0))::numeric,
        percentile_disc(array[0.5, 0.95, 0.99]) within group (order by us) filter (where us >= 0),
        sum(bytes_in), sum(bytes_out), sum(tokens_in), sum(tokens_out)) as stats
      from (%s) as sample
      group by 1
    ) as counted', place, samples) into answer using seconds;
  return answer;
end
$function$;
comment on function telltale.sample_stats(text,text,double precision) is 'Stats of samples (see samples_of) by an expression in SQL: {value: Stats}. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.samples_of(filter jsonb, since timestamp with time zone, till timestamp with time zone, kinds text[])
 RETURNS text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  of_call constant text := 'outcome, bytes_in, bytes_out, tokens_in, tokens_out, us from call';
  of_span constant text := 'value ->> ''outcome'', (value -> ''bytes_in'')::bigint, (value -> ''bytes_out'')::bigint,
    (value -> ''tokens_in'')::bigint, (value -> ''tokens_out'')::bigint,
    ((value -> ''end_us'')::bigint - (value -> ''start_us'')::bigint)::double precision from span';
  branch jsonb := jsonb_build_object(
    'all', 'select at, ''all'' as key, ' || of_call,
    'tool', 'select at, ''tool:'' || tool as key, ' || of_call || ' where tool is not null',
    'call', 'select at, ''call:'' || case when call_number is null then ''unknown'' when call_number > 5 then ''6+''
      else call_number::text end as key, ' || of_call,
    'layer', 'select at, ''layer:'' || (value ->> ''layer'') as key, ' || of_span,
    'provider', 'select at, ''provider:'' || (value ->> ''provider'') as key, ' || of_span
      || ' where value ->> ''layer'' = ''api'' and value ? ''provider''',
    'model', 'select at, ''model:'' || (value ->> ''model'') as key, ' || of_span
      || ' where value ->> ''layer'' = ''api'' and value ? ''model''');
begin
  return format(
    'with call as (
      select t.started_at as at, t.tool, t.call_number, t.outcome, t.bytes_in, t.bytes_out, t.tokens_in, t.tokens_out,
        t.duration_ms * 1000 as us, t.spans
      from telltale.traces as t
      where t.duration_ms is not null and %s
        and not (t.outcome = ''interrupted'' and coalesce(t.sampled ? ''concluded'', false))
        and not (t.outcome = ''interrupted'' and exists (
        select from jsonb_each(t.spans) as s
        where s.value ? ''concluded'' and s.value ->> ''process'' = t.process_id::text
          and (s.value -> ''end_us'')::bigint - (s.value -> ''start_us'')::bigint = round(t.duration_ms * 1000)))
    ), span as (
      select call.at, s.value from call cross join lateral jsonb_each(call.spans) as s
      where s.value ? ''end_us'' and not s.value ? ''concluded''
    )
    select at, key, outcome, bytes_in, bytes_out, tokens_in, tokens_out, us from (
      select null::timestamptz as at, null as key, null as outcome, null::bigint as bytes_in, null::bigint as bytes_out,
        null::bigint as tokens_in, null::bigint as tokens_out, null::double precision as us where false
      %s) as sample',
    telltale.traces_where(filter || jsonb_build_object('from', telltale.us_of(since), 'to', telltale.us_of(till)), null),
    (select string_agg('union all ' || (branch ->> kind), ' ') from unnest(kinds) as kind where branch ? kind));
end
$function$;
comment on function telltale.samples_of(jsonb,timestamp with time zone,timestamp with time zone,text[]) is 'A query in SQL for what the traces of a filter add to the series keys of these kinds (all, tool, call, layer, provider,
model): (at, key, outcome, bytes_in, bytes_out, tokens_in, tokens_out, us), as src/core/window.ts counts spans, but under the
start of the trace and, under all, tool and call, by its row. What still runs and what the tick concluded counts nowhere. The
spans of a trace that were let go are gone here too: layers, providers and models count those that kept them.
Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.sampling_rules()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform telltale.require_reader();
  return (
    select jsonb_build_object('baseline_share', baseline_share, 'keep_errors', keep_errors, 'keep_slow', keep_slow,
      'keep_anomalous', keep_anomalous, 'changed_at_us', telltale.us_of(changed_at), 'kept', kept, 'emptied', emptied,
      'pinned', (select count(*) from telltale.pinned_traces))
    from telltale.sampling);
end
$function$;
grant execute on function telltale.sampling_rules() to authenticated;
grant execute on function telltale.sampling_rules() to service_role;
comment on function telltale.sampling_rules() is '{baseline_share, keep_errors, keep_slow, keep_anomalous, changed_at_us, kept, emptied, pinned}: see telltale.sampling. Definer: as
the readers; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.seconds_of(since timestamp with time zone, till timestamp with time zone)
 RETURNS double precision
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$ select extract(epoch from least(till, greatest(telltale.clock(), since + interval '1 second')) - since)::double precision $function$;
grant execute on function telltale.seconds_of(timestamp with time zone,timestamp with time zone) to authenticated;
grant execute on function telltale.seconds_of(timestamp with time zone,timestamp with time zone) to service_role;
comment on function telltale.seconds_of(timestamp with time zone,timestamp with time zone) is 'How long a stretch of time is in s, as far as it has passed; at least 1.';

CREATE OR REPLACE FUNCTION telltale.see(viewer_id uuid, present integer DEFAULT 0)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  v_user uuid := telltale.caller_id();
begin
  perform telltale.require_reader();
  if v_user is null then
    raise exception 'Cannot note a viewer: the token names no user' using errcode = '22023';
  end if;
  -- A member keeps at most 32 pages, so that nobody can fill the table.
  delete from telltale.viewers as v where v.user_id = v_user and v.viewer_id in (
    select o.viewer_id from telltale.viewers as o
    where o.user_id = v_user and o.viewer_id <> see.viewer_id
    order by o.seen_at desc offset 31
  );
  insert into telltale.viewers as v (viewer_id, user_id, present)
  values (see.viewer_id, v_user, least(greatest(see.present, 0), 100000))
  on conflict on constraint viewers_pkey do update set seen_at = telltale.clock(), present = excluded.present
  where v.user_id = v_user;
end
$function$;
grant execute on function telltale.see(uuid,integer) to authenticated;
grant execute on function telltale.see(uuid,integer) to service_role;
comment on function telltale.see(uuid,integer) is 'The heartbeat of a visible page, to be called every 20 s; `present`: how many pages it sees on the live channel. Definer: members may not write the table otherwise.';

CREATE OR REPLACE FUNCTION telltale.self_times(spans jsonb)
 RETURNS TABLE(span_id text, self_us bigint)
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select s.span_id, s.self_us from telltale.self_times_of(array[spans]) as s $function$;
grant execute on function telltale.self_times(jsonb) to service_role;
comment on function telltale.self_times(jsonb) is 'The self time in µs of every span of one trace that has an end.';

CREATE OR REPLACE FUNCTION telltale.self_times_of(traces jsonb[])
 RETURNS TABLE(place bigint, span_id text, layer text, wait boolean, root boolean, started_us bigint, stopped_us bigint, self_us bigint)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  return query
  with span as materialized (
    select t.place, key as id, nullif(value ->> 'parent_span_id', key) as parent_id,
      t.spans ? (value ->> 'parent_span_id') as held, value ->> 'layer' as layer,
      value ->> 'process' as process, coalesce(value ->> 'kind' = 'wait', false) as wait,
      coalesce(value -> 'attributes' -> 'telltale.derived' = 'true', false) as derived,
      (value -> 'start_us')::bigint as start, (value -> 'end_us')::bigint as stop
    from unnest(traces) with ordinality as t(spans, place) cross join lateral jsonb_each(t.spans)
    where value ->> 'end_us' is not null
  ), whole as (
    -- An end before its start is no time.
    select place, id, parent_id, held, layer, process, wait, start, greatest(start, stop) as stop,
      -- What a recorder derived does not count where the process that it is of has recorded the call by itself.
      derived and held and exists (select from span as seen where seen.place = span.place
        and seen.parent_id = span.parent_id and seen.process <> span.process and not seen.derived) as shadowed
    from span
  ), covered as (
    -- A child clipped to its parent. The clocks of two processes differ: a child of another process that fits into its
    -- parent and does not lie in it is first moved by the least time that puts it there.
    select p.place, p.id,
      greatest(p.start, case when moved and c.start < p.start then p.start
        when moved and c.stop > p.stop then p.stop - (c.stop - c.start) else c.start end) as start,
      least(p.stop, case when moved and c.start < p.start then p.start + (c.stop - c.start)
        when moved and c.stop > p.stop then p.stop else c.stop end) as stop
    from whole as c
    join whole as p on p.id = c.parent_id and p.place = c.place and not c.shadowed
    cross join lateral (select c.process <> p.process and c.stop - c.start <= p.stop - p.start) as skew(moved)
  ), shadow as (
    select place, id, sum(greatest(0, stop - greatest(start, reached)))::bigint as us
    from (
      select place, id, start, stop,
        coalesce(max(stop) over (partition by place, id order by start, stop
          rows between unbounded preceding and 1 preceding), start) as reached
      from covered
      where start < stop
    ) as child
    group by place, id
  )
  select w.place, w.id, w.layer, w.wait, w.parent_id is null or not w.held, w.start, w.stop,
    case when w.shadowed then 0 else w.stop - w.start - coalesce(shadow.us, 0) end
  from whole as w
  left join shadow on shadow.id = w.id and shadow.place = w.place;
end
$function$;
grant execute on function telltale.self_times_of(jsonb[]) to service_role;
comment on function telltale.self_times_of(jsonb[]) is 'Of every span of these traces that has an end: its interval (µs since the epoch, stopped_us at least started_us), whether
it hangs on no other, and its self time in µs: its duration minus the union of its ended direct children, each clipped to
it.';

CREATE OR REPLACE FUNCTION telltale.series(filter jsonb DEFAULT '{}'::jsonb, key text DEFAULT 'all'::text, step_s integer DEFAULT NULL::integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  asked record;
  step integer;
  sources uuid[];
  keys text[];
  counted jsonb;
  nothing jsonb := telltale.no_stats();
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
    'min_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
  if coalesce(key, '') !~ '^(all|(layer|tool|provider|model|connection|cache):.+|call:([1-5]|6[+]|unknown))$' then
    raise exception 'Cannot read series: key is %', to_json(left(key, 100))
      using errcode = '22023', hint = 'all, or layer:, tool:, provider:, model:, connection:, cache: and a name, or call:1 to
call:5, call:6+, call:unknown.';
  end if;
  step := telltale.step_of(filter, step_s);
  select * into asked from telltale.range_of(filter, step);
  sources := telltale.sources_of(filter);
  keys := telltale.series_keys_of(filter, sources);
  if key <> 'all' then
    -- A filter and a key of another kind: only the traces know both.
    keys := case when (keys = array['all'] and telltale.are_admitted(array[key], sources)) or key = any (keys)
      then array[key] end;
  end if;
  if keys is null and key ~ '^(connection|cache):' then
    raise exception 'Cannot read series: connections and caches are not counted by what the filter asks for'
      using errcode = '22023', hint = 'With a connection or a cache the filter has from, to, environment and service alone.
One that its source had no room for is counted under connection:other or cache:other.';
  end if;
  if keys is null then
    counted := telltale.sample_stats(
      format('select at, us, outcome, bytes_in, bytes_out, tokens_in, tokens_out from (%s) as every where key = %L',
        telltale.samples_of(filter, asked.since, asked.till, array[split_part(key, ':', 1)]), key),
      format('floor(extract(epoch from at) / %s)::bigint', step), step);
  else
    select telltale.cell_stats(array_agg(floor(extract(epoch from c.at) / step)::bigint::text), array_agg(c.cell), step)
    into counted from telltale.cells_between(keys, asked.since, asked.till, sources, step % 3600 = 0) as c;
  end if;
  return jsonb_build_object('from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till), 'step_s', step,
    'key', key, 'source', case when keys is null then 'traces' else 'parts' end,
    'points', (
      select jsonb_agg((coalesce(counted -> place::text, nothing) - array['error_rate', 'per_second'])
        || jsonb_build_object('at_us', place * step * 1000000) order by place)
      from generate_series((extract(epoch from asked.since) / step)::bigint,
        (extract(epoch from asked.till) / step)::bigint - 1) as place));
end
$function$;
grant execute on function telltale.series(jsonb,text,integer) to authenticated;
grant execute on function telltale.series(jsonb,text,integer) to service_role;
comment on function telltale.series(jsonb,text,integer) is '{from_us, to_us (whole steps, to exclusive), step_s, key, source: parts | traces, points: [{at_us, count, errors, mean_ms,
p50_ms, p95_ms, p99_ms, bytes_in, bytes_out, tokens_in, tokens_out}]}: a point for every step, also where nothing was
counted; steps begin at multiples of step_s since the epoch. key is a series key, counted within the filter; see overview
for it, and step_of for step_s. Definer, see the head of this file; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.series_keys_of(filter jsonb, sources uuid[])
 RETURNS text[]
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  call bigint := telltale.whole_number_in(filter, 'call_number');
  keys text[] := '{}';
  kinds integer := (call is not null)::int;
  kind text;
  names text[];
begin
  if exists (select from unnest(array['outcome', 'session', 'request_id', 'min_duration_ms', 'text']) as k
    where filter ->> k is not null) or call not between 1 and 5 then
    return null;
  end if;
  if call is not null then
    keys := array['call:' || call];
  end if;
  foreach kind in array array['tool', 'provider', 'model', 'layer'] loop
    names := telltale.texts_in(filter, kind);
    if names is not null then
      kinds := kinds + 1;
      keys := keys || array(select distinct kind || ':' || name from unnest(names) as name);
    end if;
  end loop;
  if kinds > 1 or not telltale.are_admitted(keys, sources) then
    return null;
  end if;
  return case when kinds = 0 then array['all'] else keys end;
end
$function$;
comment on function telltale.series_keys_of(jsonb,uuid[]) is 'The series keys whose cells add up to what a filter asks for: `all`, or those of its tool, provider, model, layer or call
number. Null where none can: two of these, an outcome, a session, a call beyond the fifth, a name not admitted. Definer:
part of the readers.';

create aggregate telltale.series_merge(jsonb) (sfunc = array_append, stype = jsonb[], initcond = '{}', finalfunc = telltale.series_of_parts);
grant execute on function telltale.series_merge(jsonb) to authenticated;
grant execute on function telltale.series_merge(jsonb) to service_role;
comment on function telltale.series_merge(jsonb) is 'Series, {key: {count, errors, bytes_in, bytes_out, tokens_in, tokens_out, latency}}, added up cell by cell. Empty input gives {}.';

CREATE OR REPLACE FUNCTION telltale.series_of_parts(parts jsonb[])
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
begin
  if cardinality(parts) = 1 then
    return parts[1];
  end if;
  return (
    with cell as materialized (
      select c.key, c.value from unnest(parts) as p(part) cross join lateral jsonb_each(p.part) as c
    ), bucket as (
      select key, jsonb_object_agg(index, least(n, 9007199254740991)) as b
      from (
        select cell.key, b.key as index, sum(b.value::numeric) as n
        from cell cross join lateral jsonb_each(cell.value -> 'latency' -> 'b') as b
        group by cell.key, b.key
      ) as counts
      group by key
    ), total as (
      select key,
        least(sum((value -> 'count')::numeric), 9007199254740991) as count,
        least(sum((value -> 'errors')::numeric), 9007199254740991) as errors,
        least(sum((value -> 'bytes_in')::numeric), 9007199254740991) as bytes_in,
        least(sum((value -> 'bytes_out')::numeric), 9007199254740991) as bytes_out,
        least(sum((value -> 'tokens_in')::numeric), 9007199254740991) as tokens_in,
        least(sum((value -> 'tokens_out')::numeric), 9007199254740991) as tokens_out,
        least(sum((value -> 'latency' -> 'z')::numeric), 9007199254740991) as z,
        least(sum((value -> 'latency' -> 'sum')::numeric), 9007199254740991) as sum
      from cell group by key
    )
    select coalesce(jsonb_object_agg(t.key, jsonb_build_object(
      'count', t.count, 'errors', t.errors, 'bytes_in', t.bytes_in, 'bytes_out', t.bytes_out,
      'tokens_in', t.tokens_in, 'tokens_out', t.tokens_out,
      'latency', jsonb_build_object('z', t.z, 'sum', t.sum, 'b', coalesce(bucket.b, '{}'))
    )), '{}')
    from total as t left join bucket on bucket.key = t.key
  );
end
$function$;
grant execute on function telltale.series_of_parts(jsonb[]) to authenticated;
grant execute on function telltale.series_of_parts(jsonb[]) to service_role;
comment on function telltale.series_of_parts(jsonb[]) is 'The final step of series_merge: the cells of all parts, key by key.';

CREATE OR REPLACE FUNCTION telltale.set_sampling(rules jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  wrong text;
begin
  select min(key) into wrong from jsonb_each(rules)
  where not case key when 'baseline_share' then jsonb_typeof(value) = 'number' and (value #>> '{}')::numeric between 0 and 1
    when 'keep_errors' then jsonb_typeof(value) = 'boolean' when 'keep_slow' then jsonb_typeof(value) = 'boolean'
    when 'keep_anomalous' then jsonb_typeof(value) = 'boolean' else false end;
  if wrong is not null or jsonb_typeof(rules) is distinct from 'object' then
    raise exception 'Cannot set sampling: % is %', coalesce(to_json(left(wrong, 100))::text, 'it'), coalesce(left((rules -> wrong)::text, 100), 'none')
      using errcode = '22023', hint = 'baseline_share is from 0 to 1; keep_errors, keep_slow, keep_anomalous are true or false.';
  end if;
  -- What is over is not decided anew by other rules.
  update telltale.sampling set
    decided_to = case when baseline_share = 1 then telltale.clock() - interval '5 minutes' else decided_to end,
    decided_id = case when baseline_share = 1 then '' else decided_id end,
    baseline_share = coalesce((rules ->> 'baseline_share')::double precision, baseline_share),
    keep_errors = coalesce((rules ->> 'keep_errors')::boolean, keep_errors),
    keep_slow = coalesce((rules ->> 'keep_slow')::boolean, keep_slow),
    keep_anomalous = coalesce((rules ->> 'keep_anomalous')::boolean, keep_anomalous),
    changed_at = telltale.clock();
  return telltale.sampling_rules();
end
$function$;
grant execute on function telltale.set_sampling(jsonb) to service_role;
comment on function telltale.set_sampling(jsonb) is 'Sets some of baseline_share, keep_errors, keep_slow and keep_anomalous, for traces from now on; answers what sampling_rules() does.
Raises 22023 for anything else. Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.shifts_of(spans jsonb)
 RETURNS TABLE(process_id uuid, shift_us bigint)
 LANGUAGE sql
 STABLE SECURITY DEFINER ROWS 5
 SET search_path TO ''
AS $function$
  with recursive called as materialized (
    select distinct on (c.value ->> 'process') (c.value ->> 'process')::uuid as process,
      (p.value ->> 'process')::uuid as reference
    from jsonb_each(spans) as c
    cross join lateral (select spans -> (c.value ->> 'parent_span_id') as value) as p
    where p.value is not null and c.value ->> 'process' <> p.value ->> 'process'
    order by c.value ->> 'process', (c.value -> 'start_us')::bigint, c.key collate "C"
  ), known as (
    select (spans -> telltale.head_key(spans) ->> 'process')::uuid as process, 0::bigint as shift, 0 as depth
    union all
    select called.process, known.shift + coalesce(s.shift_us, 0), known.depth + 1
    from known join called on called.reference = known.process
    left join telltale.clock_shifts as s on s.process_id = called.process and s.reference_process_id = called.reference
    where known.depth < 8
  )
  select distinct on (process) process, shift from known order by process, depth
$function$;
comment on function telltale.shifts_of(jsonb) is 'What to add to the times of each process of a trace so that they are by the clock of its head span''s process, in µs: the
stored shifts along the way that the calls took. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.side_stats(sums numeric[], latencies numeric, quantiles_us double precision[], seconds double precision)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select telltale.stats_of(sums[1], sums[2], seconds, sums[7] / nullif(latencies, 0), quantiles_us, sums[3], sums[4], sums[5],
    sums[6])
$function$;
comment on function telltale.side_stats(numeric[],numeric,double precision[],double precision) is 'Stats (see stats_of) of sums as measured_cells has them. Part of compare.';

CREATE OR REPLACE FUNCTION telltale.skewed_between(since timestamp with time zone, till timestamp with time zone, sources uuid[])
 RETURNS uuid[]
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(array_agg(distinct c.source_id), '{}') from telltale.source_clocks as c
  where c.from_minute < till + interval '1 day' and coalesce(c.to_minute, 'infinity') > since - interval '1 day'
    and (sources is null or c.source_id = any (sources))
$function$;
comment on function telltale.skewed_between(timestamp with time zone,timestamp with time zone,uuid[]) is 'The sources some of whose minutes around a stretch of time are to be moved. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.slope_of(measure text, places bigint[], points double precision[])
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  with point as materialized (
    select x, y from unnest(places, points) as p(x, y) where y is not null
  ), pair as (
    select (q.y - p.y) / (q.x - p.x) as slope, sign(q.y - p.y) as rises from point as p join point as q on q.x > p.x
  ), slope as (
    select percentile_cont(0.5) within group (order by slope) as step, sum(rises) as s from pair
  ), residual as (
    select x, y - step * x as e from point cross join slope
  ), likeness as (
    -- Neighbours that resemble one another say less than so many points would: their variance is so much greater.
    select greatest(0, least(0.95, coalesce(corr(e, before), 0))) as r
    from (select e, lag(e) over (order by x) as before from residual) as neighbour
  ), size as (
    select (select count(*) from point) as n,
      (select coalesce(sum(t * (t - 1.0) * (2 * t + 5)), 0) from (select count(*) as t from point group by y) as tied) as ties
  )
  select jsonb_build_object('measure', measure, 'step', step, 'n', n, 'p', case when n >= 8 then
    coalesce(telltale.p_of_z(greatest(0, abs(s) - 1) / nullif(sqrt(
      (n * (n - 1.0) * (2 * n + 5) - ties)::double precision / 18 * (1 + r) / (1 - r)), 0)), 1) end)
  from slope cross join likeness cross join size
$function$;
comment on function telltale.slope_of(text,bigint[],double precision[]) is '{measure, step: the median of all slopes between two points (Theil-Sen), n: points, p: how likely chance alone does as much
(Mann-Kendall, with ties, widened by how much neighbours resemble each other); null of fewer than 8 points}. Part of trend.';

CREATE OR REPLACE FUNCTION telltale.source_id_of(service text, environment text, instance text)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$ select md5(jsonb_build_array(service, environment, instance)::text)::uuid $function$;
grant execute on function telltale.source_id_of(text,text,text) to authenticated;
grant execute on function telltale.source_id_of(text,text,text) to service_role;
comment on function telltale.source_id_of(text,text,text) is 'The id of a source: md5 of its three names as a JSON array.';

CREATE OR REPLACE FUNCTION telltale.sources_of(filter jsonb)
 RETURNS uuid[]
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  environments text[] := telltale.texts_in(filter, 'environment');
  services text[] := telltale.texts_in(filter, 'service');
begin
  if environments is null and services is null then
    return null;
  end if;
  return array(
    select s.source_id from telltale.sources as s
    where (environments is null or s.environment = any (environments)) and (services is null or s.service = any (services)));
end
$function$;
comment on function telltale.sources_of(jsonb) is 'The sources that a filter means by environment and service, null for all. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.stats_between(filter jsonb, keys text[], sources uuid[], since timestamp with time zone, till timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  seconds double precision := telltale.seconds_of(since, till);
  counted jsonb;
begin
  if keys is null then
    counted := telltale.sample_stats(telltale.samples_of(filter, since, till, array['all']), 'key', seconds);
  else
    select telltale.cell_stats(array_agg('all'::text), array_agg(c.cell), seconds) into counted
    from telltale.cells_between(keys, since, till, sources, true) as c;
  end if;
  return coalesce(counted -> 'all', telltale.no_stats());
end
$function$;
comment on function telltale.stats_between(jsonb,text[],uuid[],timestamp with time zone,timestamp with time zone) is 'Stats of a stretch of time: of these series keys together, or where they are null of the traces that the filter finds.
Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.stats_by_key(filter jsonb, keys text[], sources uuid[], since timestamp with time zone, till timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  seconds double precision := telltale.seconds_of(since, till);
  counted jsonb := '{}';
begin
  if keys = array['all'] then
    select telltale.cell_stats(array_agg(c.key), array_agg(c.value), seconds) into counted
    from telltale.rollups_between(since, till, sources, true) as r cross join lateral jsonb_each(r.series) as c;
    return counted;
  end if;
  if keys is not null then
    select telltale.cell_stats(array_agg(c.key), array_agg(c.cell), seconds) into counted
    from telltale.cells_between(keys, since, till, sources, true) as c;
  end if;
  return telltale.sample_stats(telltale.samples_of(filter, since, till, array(
    select kind from unnest(array['tool', 'call', 'layer', 'provider', 'model']) as kind
    where keys is null or kind is distinct from split_part(keys[1], ':', 1))), 'key', seconds) || counted;
end
$function$;
comment on function telltale.stats_by_key(jsonb,text[],uuid[],timestamp with time zone,timestamp with time zone) is '{series key: Stats} of a stretch of time. What keys do not say, such as the layers of one tool, the traces of the filter do.
Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.stats_of(count numeric, errors numeric, seconds double precision, mean_us numeric, quantiles_us double precision[], bytes_in numeric, bytes_out numeric, tokens_in numeric, tokens_out numeric)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select jsonb_build_object('count', coalesce(count, 0), 'errors', coalesce(errors, 0),
    'error_rate', round(errors / nullif(count, 0), 6),
    'per_second', round((coalesce(count, 0)::double precision / greatest(seconds, 1))::numeric, 6),
    'mean_ms', round(mean_us / 1000, 3),
    'p50_ms', round(quantiles_us[1]::numeric / 1000, 3), 'p95_ms', round(quantiles_us[2]::numeric / 1000, 3),
    'p99_ms', round(quantiles_us[3]::numeric / 1000, 3),
    'bytes_in', coalesce(bytes_in, 0), 'bytes_out', coalesce(bytes_out, 0),
    'tokens_in', coalesce(tokens_in, 0), 'tokens_out', coalesce(tokens_out, 0))
$function$;
comment on function telltale.stats_of(numeric,numeric,double precision,numeric,double precision[],numeric,numeric,numeric,numeric) is 'Stats {count, errors, error_rate, per_second, mean_ms, p50_ms, p95_ms, p99_ms, bytes_in, bytes_out, tokens_in, tokens_out}
of a stretch of so many seconds. error_rate and the latencies (ms, to the µs) are null where nothing was counted.';

CREATE OR REPLACE FUNCTION telltale.step_of(filter jsonb, step_s integer)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  asked record;
  least_s integer;
  step integer := step_s;
begin
  select * into asked from telltale.range_of(filter);
  least_s := case when telltale.day_of(telltale.us_of(asked.since)) < telltale.today() - 30 then 3600 else 60 end;
  if step is null then
    select s into step from unnest(array[60, 300, 900, 3600, 14400, 86400]) as s
    where s >= least_s and extract(epoch from asked.till - asked.since) + 2 * (s - 60) <= 120 * s or s = 86400
    order by s limit 1;
  end if;
  if step not between least_s and 31622400 or step % least_s <> 0 then
    raise exception 'Cannot read series: step_s is %', step
      using errcode = '22023', hint = format('step_s is a multiple of %s, or null to have it chosen.', least_s);
  end if;
  if ceil(extract(epoch from asked.till - asked.since) / step) > 1500 then
    raise exception 'Cannot read series: it has more than 1500 points'
      using errcode = '22023', hint = 'Take a greater step_s.';
  end if;
  return step;
end
$function$;
grant execute on function telltale.step_of(jsonb,integer) to authenticated;
grant execute on function telltale.step_of(jsonb,integer) to service_role;
comment on function telltale.step_of(jsonb,integer) is 'How far apart the points of a series are, in s: step_s, or the least of 60, 300, 900, 3600, 14400, 86400 with at most 120
points. Raises 22023 unless it is a multiple of a minute (of an hour where minutes are gone) and gives at most 1,500 points.';

CREATE OR REPLACE FUNCTION telltale.store_errors(errors jsonb, process uuid, source uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_inserted jsonb;
begin
  if jsonb_array_length(errors) = 0 then
    return;
  end if;
  with fresh as (
    insert into telltale.errors (error_id, fingerprint, day, at, process_id, trace_id, span_id, error_type, message,
      traceback, culprit, context, connection_type, direction, script_name, function_name, data_size_bytes,
      response_time_ms, metadata)
    select r.error_id, r.fingerprint, telltale.day_of(r.at_us), telltale.at_of(r.at_us), process, r.trace_id, r.span_id,
      r.error_type, r.message, r.traceback, r.culprit, coalesce(r.context, '{}'), r.connection_type, r.direction,
      r.script_name, r.function_name, r.data_size_bytes, r.response_time_ms, nullif(r.metadata, 'null')
    from jsonb_to_recordset(errors) as r(error_id uuid, fingerprint text, at_us bigint, trace_id text, span_id text,
      error_type text, message text, traceback text, culprit text, context jsonb, connection_type text, direction text,
      script_name text, function_name text, data_size_bytes bigint, response_time_ms double precision, metadata jsonb)
    order by r.error_id, r.fingerprint collate "C", r.at_us, to_jsonb(r)::text collate "C" desc
    on conflict (error_id, fingerprint, day) do nothing
    returning error_id, fingerprint, day
  )
  select coalesce(jsonb_agg(to_jsonb(fresh)), '[]') into v_inserted from fresh;
  if jsonb_array_length(v_inserted) < jsonb_array_length(errors) then
    perform telltale.merge_errors(errors, process);
  end if;
  insert into telltale.error_groups as g (fingerprint, source_id, first_seen_at, last_seen_at, count, sample)
  select r.fingerprint, source, telltale.at_of(min(r.at_us)), telltale.at_of(max(r.at_us)),
    (select count(*) from jsonb_array_elements(v_inserted) as i where i.value ->> 'fingerprint' = r.fingerprint),
    (array_agg(r.sample order by r.at_us desc, r.sample::text collate "C" desc))[1]
  from (
    select e.value ->> 'fingerprint' as fingerprint, (e.value -> 'at_us')::bigint as at_us,
      jsonb_build_object('error_id', e.value -> 'error_id', 'error_type', e.value -> 'error_type',
        'message', e.value -> 'message', 'culprit', e.value -> 'culprit', 'trace_id', e.value -> 'trace_id') as sample
    from jsonb_array_elements(errors) as e
  ) as r
  group by r.fingerprint
  order by r.fingerprint collate "C"
  on conflict (fingerprint, source_id) do update set
    first_seen_at = least(g.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(g.last_seen_at, excluded.last_seen_at),
    count = g.count + excluded.count,
    sample = case
      when (excluded.last_seen_at, excluded.sample::text collate "C") > (g.last_seen_at, g.sample::text collate "C")
      then excluded.sample else g.sample end;
end
$function$;
comment on function telltale.store_errors(jsonb,uuid,uuid) is 'Inserts ErrorRows and counts into their groups those that were new. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.store_process(batch jsonb, source uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_process uuid := (batch -> 'process' ->> 'id')::uuid;
  v_seq bigint := (batch -> 'seq')::bigint;
  v_pieces int := (batch -> 'piece' -> 1)::int;
  v_sent bigint := coalesce((batch ->> 'sent_at_us')::bigint, (batch -> 'received_at_us')::bigint);
  v_offset bigint := (batch -> 'received_at_us')::bigint - (batch ->> 'sent_at_us')::bigint;
  v_pace int := coalesce((batch ->> 'flush_ms')::int, 15000);
  v_whole boolean;
  v_seqs int8multirange;
begin
  insert into telltale.processes (process_id, source_id, version, started_at, host, pid, sdk)
  values (v_process, source, batch -> 'source' ->> 'version',
    telltale.at_of((batch -> 'process' -> 'started_at_us')::bigint), batch -> 'process' ->> 'host',
    (batch -> 'process' ->> 'pid')::bigint, batch -> 'process' ->> 'sdk')
  on conflict (process_id) do nothing;
  perform from telltale.processes where process_id = v_process for no key update;
  -- Of a batch that was cut, the pieces are parts of one whole; the last to come sees the others, for it waited above.
  v_whole := v_pieces = 1 or (
    select sum(1.0 / piece_count) > 0.999999
    from (select distinct piece_index, piece_count from telltale.batches
      where process_id = v_process and seq = v_seq and piece_count > 1) as piece);
  update telltale.processes as p set
    last_seen_at = greatest(p.last_seen_at, telltale.clock()),
    pace_ms = v_pace,
    recorded = case when newer.counters then (batch -> 'counters' -> 'recorded')::bigint else p.recorded end,
    dropped = case when newer.counters then batch -> 'counters' -> 'dropped' else p.dropped end,
    counters_seq = greatest(p.counters_seq, v_seq),
    stored = p.stored + (select coalesce(sum(n.value::bigint), 0) from jsonb_each(batch -> 'accepted') as n),
    rejected = p.rejected + jsonb_array_length(batch -> 'rejected'),
    seqs = case when v_whole then p.seqs + int8multirange(int8range(v_seq, v_seq, '[]')) else p.seqs end,
    renewed_at = case when newer.fresh then telltale.clock() else p.renewed_at end,
    running = case when newer.running then batch -> 'running' else p.running end,
    running_total = case when newer.running then (batch -> 'running_total')::bigint else p.running_total end,
    running_seq = case when newer.running then v_seq else p.running_seq end,
    clock_offset_us = case
      when v_offset is null then p.clock_offset_us
      -- Nothing is under way for half a minute: its clock was set.
      when p.clock_offset_us is null or v_offset <= p.clock_offset_us or v_offset > p.clock_offset_us + 30000000 then v_offset
      else p.clock_offset_us + (v_offset - p.clock_offset_us) / 16 end
  from (
    select
      (v_seq, (batch -> 'counters')::text collate "C") > (o.counters_seq,
        jsonb_build_object('recorded', o.recorded, 'dropped', o.dropped)::text collate "C") as counters,
      state.fresh,
      state.fresh and v_seq > o.running_seq as running
    from telltale.processes as o
    -- A list that was old when it was sent says nothing about now.
    cross join lateral (select v_sent - (batch -> 'made_at_us')::bigint
      <= greatest(60000000, 4000 * v_pace::bigint)) as state(fresh)
    where o.process_id = v_process
  ) as newer
  where p.process_id = v_process
  returning p.seqs into v_seqs;
  if (select count(*) from unnest(v_seqs)) > 1000 then
    update telltale.processes as p set
      seqs = p.seqs + int8multirange(int8range(closed.first, closed.next)),
      seqs_forgotten = p.seqs_forgotten + closed.next - closed.first
    from (
      select upper(r.range) as first, lead(lower(r.range)) over (order by r.range) as next
      from unnest(v_seqs) as r(range)
      order by r.range limit 1
    ) as closed
    where p.process_id = v_process;
  end if;
end
$function$;
comment on function telltale.store_process(jsonb,uuid) is 'The part of ingest_batch that keeps the process: its counters, its sequence numbers, what it runs now, its clock. Definer:
part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.store_resources(gauges jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
AS $function$
declare
  v_gauges jsonb;
begin
  lock table telltale.gauges in row exclusive mode;
  if jsonb_array_length(gauges) > 16 then
    raise exception 'Cannot store resources: there are more than 16' using errcode = '22023';
  end if;
  select coalesce(jsonb_agg(jsonb_build_object('name', g.value ->> 'name', 'at_us', telltale.us_of(telltale.clock()),
    'value', (g.value ->> 'value')::double precision, 'labels', coalesce(g.value -> 'labels', '{}'))), '[]')
  into v_gauges
  from jsonb_array_elements(gauges) as g
  where exists (select from telltale.partition_days as d where d.day = telltale.today());
  perform telltale.store_samples('[]', v_gauges, '7e117a1e-0000-8000-8000-000000000001');
  return jsonb_build_object('done', jsonb_array_length(v_gauges));
end
$function$;
grant execute on function telltale.store_resources(jsonb) to service_role;
comment on function telltale.store_resources(jsonb) is 'Stores at most 16 gauges [{name, value, labels}] of now as Telltale''s own; {done}. Definer: no role may write the tables.';

CREATE OR REPLACE FUNCTION telltale.store_samples(messages jsonb, gauges jsonb, process uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
begin
  if jsonb_array_length(messages) > 0 then
    insert into telltale.messages as m (message_id, day, at, process_id, trace_id, span_id, conversation_id, role,
      model_used, provider_used, response_time_ms, tool_name, thinking_mode, token_usage, metadata)
    select distinct on (r.message_id collate "C", telltale.day_of(r.at_us))
      r.message_id, telltale.day_of(r.at_us), telltale.at_of(r.at_us), process, r.trace_id, r.span_id,
      r.conversation_id, r.role, r.model_used, r.provider_used, r.response_time_ms, r.tool_name, r.thinking_mode,
      nullif(r.token_usage, 'null'), coalesce(r.metadata, '{}')
    from jsonb_to_recordset(messages) as r(message_id text, at_us bigint, trace_id text, span_id text,
      conversation_id text, role text, model_used text, provider_used text, response_time_ms double precision,
      tool_name text, thinking_mode text, token_usage jsonb, metadata jsonb)
    order by r.message_id collate "C", telltale.day_of(r.at_us), to_jsonb(r)::text collate "C" desc
    on conflict (message_id, day) do update set
      at = excluded.at, process_id = excluded.process_id, trace_id = excluded.trace_id, span_id = excluded.span_id,
      conversation_id = excluded.conversation_id, role = excluded.role, model_used = excluded.model_used,
      provider_used = excluded.provider_used, response_time_ms = excluded.response_time_ms,
      tool_name = excluded.tool_name, thinking_mode = excluded.thinking_mode, token_usage = excluded.token_usage,
      metadata = excluded.metadata
    where to_jsonb(excluded)::text collate "C" > to_jsonb(m)::text collate "C";
  end if;
  if jsonb_array_length(gauges) > 0 then
    insert into telltale.gauges as g (process_id, name, labels_hash, at, day, value, labels)
    select distinct on (r.name collate "C", r.labels, r.at_us)
      process, r.name, md5(r.labels::text)::uuid, telltale.at_of(r.at_us), telltale.day_of(r.at_us), r.value, r.labels
    from jsonb_to_recordset(gauges) as r(name text, at_us bigint, value double precision, labels jsonb)
    order by r.name collate "C", r.labels, r.at_us, r.value desc
    on conflict (process_id, name, labels_hash, at, day) do update set value = excluded.value
    where excluded.value > g.value;
  end if;
end
$function$;
comment on function telltale.store_samples(jsonb,jsonb,uuid) is 'Inserts messages and gauges; of two with one key but different content the greater stays. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.store_status()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
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
$function$;
grant execute on function telltale.store_status() to authenticated;
grant execute on function telltale.store_status() to service_role;
comment on function telltale.store_status() is '{traces: how many (an estimate above 10,000), environments, last_received_at (UTC), real: whether anything but the demo ever
sent}. Definer, see the head of create_trace_reader.';

CREATE OR REPLACE FUNCTION telltale.store_traces(traces jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_count int := jsonb_array_length(traces);
  v_new text[];
  v_stored text[] := '{}';
begin
  if v_count = 0 then
    return;
  end if;
  with made as (
    insert into telltale.trace_days (trace_id, day)
    select r.value ->> 'trace_id', telltale.day_of((r.value -> 'started_at_us')::bigint)
    from jsonb_array_elements(traces) as r
    order by r.value ->> 'trace_id' collate "C"
    on conflict (trace_id) do nothing
    returning trace_id
  )
  select coalesce(array_agg(trace_id), '{}') into v_new from made;
  -- Once is enough, unless a row is missing whose day is known and another writer puts it there meanwhile.
  loop
    if cardinality(v_new) < v_count then
      v_stored := v_stored || telltale.merge_traces(traces, v_stored || v_new);
      exit when cardinality(v_stored) = v_count;
    end if;
    with put as (
      insert into telltale.traces (trace_id, day, started_at, ended_at, duration_ms, wait_ms, process_id,
        bytes_in, bytes_out, tokens_in, tokens_out, call_number, span_count, name, outcome, request_id, session_key,
        session_rule, tool, provider, model, layers, spans)
      select r.trace_id, (select d.day from telltale.trace_days as d where d.trace_id = r.trace_id),
        telltale.at_of(r.started_at_us), telltale.at_of(r.ended_at_us), r.duration_ms, r.wait_ms, r.process, r.bytes_in,
        r.bytes_out, r.tokens_in, r.tokens_out, r.call_number, r.span_count, r.name, r.outcome, r.request_id,
        r.session_key, r.session_rule, r.tool, r.provider, r.model, r.layers, r.spans
      from jsonb_to_recordset(traces) as r(trace_id text, started_at_us bigint, ended_at_us bigint,
        duration_ms double precision, wait_ms double precision, process uuid, bytes_in bigint, bytes_out bigint,
        tokens_in bigint, tokens_out bigint, call_number bigint, span_count integer, name text, outcome text,
        request_id text, session_key text, session_rule text, tool text, provider text, model text, layers jsonb,
        spans jsonb)
      where r.trace_id <> all (v_stored)
      order by r.trace_id collate "C"
      on conflict (trace_id, day) do nothing
      returning trace_id
    )
    select v_stored || coalesce(array_agg(trace_id), '{}') into v_stored from put;
    exit when cardinality(v_stored) = v_count;
    v_new := '{}';
  end loop;
end
$function$;
comment on function telltale.store_traces(jsonb) is 'Inserts TraceRows, or merges their spans into the rows that exist. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.summaries_of(traces jsonb[])
 RETURNS TABLE(place bigint, started_at_us bigint, ended_at_us bigint, duration_ms numeric, wait_ms numeric, name text, outcome text, request_id text, session_key text, session_rule text, call_number bigint, tool text, provider text, model text, bytes_in bigint, bytes_out bigint, tokens_in bigint, tokens_out bigint, span_count integer, layers jsonb, process text)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE ROWS 100
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  return query
  with span as (
    -- Offset 0, here and above: so that what is sorted is a span a row, not all spans of its trace.
    select place, value, start, row_number() over (partition by place order by start, key collate "C") as nth, root
    from (
      select t.place, key, value, (value -> 'start_us')::bigint as start,
        nullif(value ->> 'parent_span_id', key) is null or not t.spans ? (value ->> 'parent_span_id') as root
      from unnest(traces) with ordinality as t(spans, place) cross join lateral jsonb_each(t.spans)
      offset 0
    ) as unfolded
  ), found as (
    -- Of the head, and of each fact, the number of the first span that has it.
    select place, array_agg(value) as spans, count(*) as span_count, min(start) as started_at_us,
      max((value -> 'end_us')::bigint) as ended_at_us,
      coalesce(min(nth) filter (where value -> 'entry' = 'true'), min(nth) filter (where root), 1) as head_nth,
      min(nth) filter (where value ? 'request_id') as request_id,
      min(nth) filter (where value ? 'session_key') as session_key,
      min(nth) filter (where value ? 'call_number') as call_number,
      min(nth) filter (where value ? 'tool') as tool,
      min(nth) filter (where value ? 'provider') as provider,
      min(nth) filter (where value ? 'model') as model,
      min(nth) filter (where value ? 'bytes_in') as bytes_in,
      min(nth) filter (where value ? 'bytes_out') as bytes_out,
      sum((value -> 'tokens_in')::bigint) filter (where value ->> 'layer' = 'api') as tokens_in,
      sum((value -> 'tokens_out')::bigint) filter (where value ->> 'layer' = 'api') as tokens_out
    from span
    group by place
  )
  select f.place, f.started_at_us, f.ended_at_us,
    trim_scale(((head -> 'end_us')::numeric - (head -> 'start_us')::numeric) / 1000.0), b.wait_ms,
    head ->> 'name', case when head ? 'end_us' then head ->> 'outcome' end,
    case when head ? 'request_id' then head else f.spans[f.request_id] end ->> 'request_id',
    session ->> 'session_key', session ->> 'session_rule',
    (case when head ? 'call_number' then head else f.spans[f.call_number] end -> 'call_number')::bigint,
    case when head ? 'tool' then head else f.spans[f.tool] end ->> 'tool',
    case when head ? 'provider' then head else f.spans[f.provider] end ->> 'provider',
    case when head ? 'model' then head else f.spans[f.model] end ->> 'model',
    (case when head ? 'bytes_in' then head else f.spans[f.bytes_in] end -> 'bytes_in')::bigint,
    (case when head ? 'bytes_out' then head else f.spans[f.bytes_out] end -> 'bytes_out')::bigint,
    coalesce((head -> 'tokens_in')::bigint, f.tokens_in::bigint),
    coalesce((head -> 'tokens_out')::bigint, f.tokens_out::bigint),
    f.span_count::int, b.layers, head ->> 'process'
  from (select *, spans[head_nth] as first from found offset 0) as f
  join telltale.breakdowns_of(traces) as b on b.place = f.place
  cross join lateral (select f.first, case when f.first ? 'session_key' then f.first else f.spans[f.session_key] end)
    as chosen(head, session);
end
$function$;
grant execute on function telltale.summaries_of(jsonb[]) to service_role;
comment on function telltale.summaries_of(jsonb[]) is 'What the spans of traces add up to, as TraceSummary in src/core/trace.ts has it. *_us are µs since the epoch, *_ms ms.
Used where rows merge; the edge computes the same for a trace that it sees whole.';

CREATE OR REPLACE FUNCTION telltale.summary_of(spans jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select to_jsonb(s) - 'place' from telltale.summaries_of(array[spans]) as s $function$;
grant execute on function telltale.summary_of(jsonb) to service_role;
comment on function telltale.summary_of(jsonb) is 'What the spans of one trace add up to, as one object; see summaries_of.';

CREATE OR REPLACE FUNCTION telltale.tail(cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
 SET jit TO 'off'
AS $function$
declare
  size integer;
  place jsonb;
  head timestamptz;
  seen pg_snapshot;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  place := telltale.place_of(cursor,
    '{"us": "^[0-9]{1,16}$", "id": "^[0-9a-f]{0,32}$", "seen": "^[0-9]+:[0-9]+:[0-9,]*$"}');
  head := telltale.at_of((place ->> 'us')::bigint);
  seen := (place ->> 'seen')::pg_snapshot;
  with fresh as (
    (select t.* from telltale.traces as t
    where place is not null and t.duration_ms is not null and (t.changed_at, t.trace_id) > (head, place ->> 'id')
    order by t.changed_at, t.trace_id limit size)
    union all
    (select t.* from telltale.traces as t
    where place is null and t.duration_ms is not null
    order by t.changed_at desc, t.trace_id desc limit size)
    union all
    -- Written before the head but committed after the page that ended there: a writer has 2 s for its turn.
    (select t.* from telltale.traces as t
    where place is not null and t.duration_ms is not null
      and t.changed_at > head - interval '30 seconds' and (t.changed_at, t.trace_id) <= (head, place ->> 'id')
      and not pg_visible_in_snapshot(t.changed_xid, seen))
  )
  select jsonb_build_object(
    'rows', coalesce(jsonb_agg(jsonb_build_object(
      'trace_id', t.trace_id, 'revision', t.revision, 'at', t.ended_at, 'at_us', telltale.us_of(t.ended_at),
      'service', s.service, 'environment', s.environment, 'instance', s.instance, 'session_key', t.session_key,
      'call_number', coalesce(t.call_number,
        case when t.session_key is not null then telltale.call_rank(t.session_key, t.started_at, t.trace_id) end),
      'tool', t.tool, 'name', t.name, 'outcome', t.outcome, 'duration_ms', t.duration_ms, 'layers', t.layers,
      'error', (
        select jsonb_build_object('error_type', e.error_type, 'message', e.message, 'culprit', e.culprit)
        from telltale.errors as e
        where e.trace_id = t.trace_id and e.day between t.day - 1 and t.day + 2
        order by e.at, e.error_id limit 1)
      ) order by t.changed_at, t.trace_id), '[]'),
    'next', telltale.cursor_of(jsonb_build_object(
      'us', greatest(coalesce(max(telltale.us_of(t.changed_at)), 0), coalesce((place ->> 'us')::bigint, 0)),
      'id', case when max(t.changed_at) > coalesce(head, '-infinity')
        or (max(t.changed_at) = head and (array_agg(t.trace_id order by t.changed_at desc, t.trace_id desc))[1] > place ->> 'id')
        then (array_agg(t.trace_id order by t.changed_at desc, t.trace_id desc))[1] else coalesce(place ->> 'id', '') end,
      'seen', pg_current_snapshot()::text)))
  into answer
  from fresh as t
  left join telltale.processes as p on p.process_id = t.process_id
  left join telltale.sources as s on s.source_id = p.source_id;
  return answer;
end
$function$;
grant execute on function telltale.tail(text,integer) to authenticated;
grant execute on function telltale.tail(text,integer) to service_role;
comment on function telltale.tail(text,integer) is 'Traces whose head has ended, in the order in which they changed, oldest first: {rows, next}. A null cursor gives the last
n. A trace that changes again comes again with a greater revision; one that was committed late comes late, but it comes.
Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.texts_in(filter jsonb, key text)
 RETURNS text[]
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  value jsonb := filter -> key;
begin
  if coalesce(jsonb_typeof(value), 'null') = 'null' then
    return null;
  end if;
  if jsonb_typeof(value) = 'string' then
    return array[filter ->> key];
  end if;
  if jsonb_typeof(value) = 'array' then
    if not exists (select from jsonb_array_elements(value) as v where jsonb_typeof(v.value) <> 'string') then
      return array(select jsonb_array_elements_text(value));
    end if;
  end if;
  raise exception 'Cannot read filter: % is %', key, value
    using errcode = '22023', hint = key || ' is a string or an array of strings.';
end
$function$;
grant execute on function telltale.texts_in(jsonb,text) to authenticated;
grant execute on function telltale.texts_in(jsonb,text) to service_role;
comment on function telltale.texts_in(jsonb,text) is 'The string, or the strings, under a key of a filter, null when absent; raises 22023 for anything else.';

CREATE OR REPLACE FUNCTION telltale.tick_compact_minutes()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.tick_compact_minutes() to service_role;
comment on function telltale.tick_compact_minutes() is 'Replaces the parts of up to 200 minutes that ended at least a minute ago by their sums, in one statement. Definer, see the
head of this file.';

CREATE OR REPLACE FUNCTION telltale.tick_decide_sampling()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  portion constant integer := 500;
  v_rules telltale.sampling;
  v_ids text[];
  v_days date[];
  v_last timestamptz;
  v_kept text[];
  v_emptied bigint;
begin
  lock table telltale.traces, telltale.errors, telltale.messages, telltale.gauges, telltale.rollup_minutes
    in row exclusive mode;
  select * into v_rules from telltale.sampling for no key update skip locked;
  if not found or v_rules.baseline_share = 1 then
    return jsonb_build_object('done', 0, 'more', false);
  end if;
  if v_rules.keep_slow and v_rules.limits_at not between telltale.clock() - interval '10 minutes' and telltale.clock() then
    perform telltale.compute_sampling_limits();
    update telltale.sampling set limits_at = telltale.clock();
  end if;
  -- After the clock went back: what it has come to once is looked at again, and decided as before.
  if v_rules.decided_to > telltale.clock() - interval '5 minutes' then
    v_rules.decided_to := telltale.clock() - interval '5 minutes';
    v_rules.decided_id := '';
  end if;
  select array_agg(trace_id order by changed_at, trace_id), array_agg(day order by changed_at, trace_id), max(changed_at)
  into v_ids, v_days, v_last
  from (
    select t.trace_id, t.day, t.changed_at from telltale.traces as t
    where t.duration_ms is not null and (t.changed_at, t.trace_id) > (v_rules.decided_to, v_rules.decided_id)
      and t.changed_at < telltale.clock() - interval '5 minutes'
    order by t.changed_at, t.trace_id limit portion
  ) as next;
  if v_ids is null then
    update telltale.sampling set (decided_to, decided_id) = row (v_rules.decided_to, v_rules.decided_id)
    where (decided_to, decided_id) <> (v_rules.decided_to, v_rules.decided_id);
    return jsonb_build_object('done', 0, 'more', false);
  end if;
  -- What is one request is kept whole: with one of joined traces all of them are.
  with recursive linked(id, other, depth) as (
    select id, id collate "C", 0 from unnest(v_ids) as i(id)
    union
    select l.id, j.other, l.depth + 1
    from linked as l
    cross join lateral (
      select outer_trace_id as other from telltale.trace_joins where inner_trace_id = l.other
      union all
      select inner_trace_id from telltale.trace_joins where outer_trace_id = l.other) as j
    where l.depth < 4
  ), member as materialized (
    select distinct l.id, l.other, d.day from linked as l join telltale.trace_days as d on d.trace_id = l.other
  ), whole as (
    select id, min(other) as least from member group by id
  ), kept as (
    select distinct id from member where other in (
      select w from telltale.worth_keeping(v_rules, array(select other from member), array(select day from member)) as w)
    union
    -- Chance is the id's own, so that asking again answers the same.
    select id from whole where (hashtextextended(least, 0) & 1048575) < v_rules.baseline_share * 1048576
  )
  select coalesce(array_agg(id), '{}') into v_kept from kept;
  with due as materialized (
    select t.trace_id, t.day, telltale.head_key(t.spans) as head, t.spans
    from unnest(v_ids, v_days) as i(id, day)
    join telltale.traces as t on t.trace_id = i.id and t.day = i.day and t.day = any (v_days)
    where i.id <> all (v_kept) and t.sampled is null
      -- Touched meanwhile: it is decided later.
      and t.changed_at <= v_last
    for no key update of t skip locked
  ), emptied as (
    update telltale.traces as t set spans = '{}',
      sampled = due.spans -> due.head || jsonb_build_object('span_id', due.head) - 'attributes'
    from due where t.trace_id = due.trace_id and t.day = due.day and t.day = any (v_days)
    returning 1
  )
  select count(*) into v_emptied from emptied;
  update telltale.sampling set decided_to = v_last, decided_id = v_ids[cardinality(v_ids)], emptied = emptied + v_emptied,
    kept = kept + cardinality(v_ids) - v_emptied;
  return jsonb_build_object('done', v_emptied, 'more', cardinality(v_ids) = portion);
end
$function$;
grant execute on function telltale.tick_decide_sampling() to service_role;
comment on function telltale.tick_decide_sampling() is 'Decides of up to 500 ended traces, in the order in which they were last touched, five minutes after that, whether they keep
their spans; done counts those that do not. One at a time: whoever comes second finds nothing to do. Definer, see the head of
create_tick.';

CREATE OR REPLACE FUNCTION telltale.tick_drop_partitions()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.tick_drop_partitions() to service_role;
comment on function telltale.tick_drop_partitions() is 'Drops the partitions of one day that is more than 30 days back; gives way to whoever holds a lock for half a second, until
the next tick. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.tick_join_traces()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
 SET jit TO 'off'
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_joined int := 0;
  v_roots text[];
  v_members text[];
  v_sums jsonb[];
  v_more boolean;
  v_summed int := 0;
begin
  -- Nothing to look for where one process alone is heard.
  if (select count(*) from (select from telltale.processes where last_seen_at > telltale.clock() - interval '2 minutes'
      and source_id <> telltale.own_source()
      limit 2) as heard) = 2 then
    insert into telltale.trace_joins as j (inner_trace_id, outer_trace_id, outer_span_id, rule, day)
    select * from telltale.inferred_joins(telltale.clock() - interval '1 minute')
    on conflict (inner_trace_id) do update set (outer_trace_id, outer_span_id, rule, day, summed_at)
      = row (excluded.outer_trace_id, excluded.outer_span_id, excluded.rule, excluded.day, null);
    get diagnostics v_joined = row_count;
  end if;
  with due as materialized (select * from telltale.due_sums(100))
  select (select array_agg(due.root) from due), (select array_agg(distinct id) from due cross join unnest(members) as m(id)),
    coalesce((select bool_or(cut) from due), false)
  into v_roots, v_members, v_more;
  if v_roots is not null then
    -- No writer is at a row while it is summed up: what it commits later, it also says to have changed later.
    perform t.trace_id
    from (select id from unnest(v_members) as i(id) order by id collate "C") as i
    cross join lateral (select d.day from telltale.trace_days as d where d.trace_id = i.id) as d
    cross join lateral (select t.trace_id from telltale.traces as t where t.trace_id = i.id and t.day = d.day
      for no key update) as t;
    select array_agg(s.root order by s.root collate "C"), array_agg(s.spans order by s.root collate "C")
    into v_roots, v_sums from telltale.joined_spans_of(v_roots) as s;
    -- Every row is there and locked. An update would open all partitions, an insert opens those that it writes.
    insert into telltale.traces as t (trace_id, day, started_at, process_id, name, spans, session_key,
      session_rule, call_number, request_id, provider, model, tokens_in, tokens_out, span_count, layers, wait_ms)
    select v_roots[s.place], d.day, telltale.at_of(s.started_at_us), s.process::uuid, s.name, '{}', s.session_key,
      s.session_rule, s.call_number, s.request_id, s.provider, s.model, s.tokens_in, s.tokens_out, s.span_count, s.layers, s.wait_ms
    from telltale.summaries_of(v_sums) as s
    join telltale.trace_days as d on d.trace_id = v_roots[s.place]
    on conflict (trace_id, day) do update set (session_key, session_rule, call_number, request_id, provider, model,
      tokens_in, tokens_out, span_count, layers, wait_ms, revision, changed_at, changed_xid) = row (
      -- What the outer recorder did not know is looked for by what the inner one did.
      coalesce(t.session_key, excluded.session_key), coalesce(t.session_rule, excluded.session_rule),
      coalesce(t.call_number, excluded.call_number), coalesce(t.request_id, excluded.request_id),
      excluded.provider, excluded.model, excluded.tokens_in, excluded.tokens_out, excluded.span_count, excluded.layers,
      excluded.wait_ms, t.revision + 1, telltale.clock(), pg_current_xact_id())
    -- A breakdown outlives its spans.
    where t.sampled is null;
    -- Those between the root and the member too: what changed is told by the clock, which has moved on.
    update telltale.trace_joins as j set summed_at = telltale.clock() where j.inner_trace_id = any (v_members);
    v_summed := cardinality(v_members) - cardinality(v_roots);
  end if;
  delete from telltale.trace_joins where day < telltale.today() - 30;
  return jsonb_build_object('done', v_joined + v_summed, 'more', v_more);
end
$function$;
grant execute on function telltale.tick_join_traces() to service_role;
comment on function telltale.tick_join_traces() is 'Joins the traces of the last minute that are one request, and sums joined traces up in the row of the outermost, about 100
at once; again when one of them changes. Definer, as every step of the tick: no role may write the tables.';

CREATE OR REPLACE FUNCTION telltale.tick_make_partitions()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  made jsonb;
begin
  made := telltale.make_partitions(array(select telltale.today() + ahead from generate_series(-1, 3) as ahead));
  return jsonb_build_object('done', jsonb_array_length(made -> 'made'), 'more', false);
end
$function$;
grant execute on function telltale.tick_make_partitions() to service_role;
comment on function telltale.tick_make_partitions() is 'Makes the partitions from yesterday to 3 days ahead; older ones are made when a record asks. Definer, see the file''s head.';

CREATE OR REPLACE FUNCTION telltale.tick_mark_interrupted()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.tick_mark_interrupted() to service_role;
comment on function telltale.tick_mark_interrupted() is 'Ends what a process ran that has not renewed it for 60 s or four flushes, listed or not: outcome interrupted, concluded,
which any reported end beats. One process a call, at most 1,000 calls that no list names; done counts traces. Definer, see
the head of this file.';

CREATE OR REPLACE FUNCTION telltale.tick_measure_clocks()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_done int := 0;
begin
  if (select count(*) from (select from telltale.processes where last_seen_at > telltale.clock() - interval '2 minutes'
      and source_id <> telltale.own_source()
      limit 2) as heard) < 2 then
    return jsonb_build_object('done', 0, 'more', false);
  end if;
  with recent as materialized (
    select j.spans from telltale.joined_spans_of(array(
      select t.trace_id from telltale.traces as t
      where t.changed_at > telltale.clock() - interval '20 seconds' and t.duration_ms is not null
      order by t.changed_at desc limit 200)) as j
  ), pair as (
    -- A call lies inside the span that waits for it: between the two differences lies what to add to its times.
    select (c.value ->> 'process')::uuid as process, (p.value ->> 'process')::uuid as reference,
      (p.value -> 'start_us')::bigint - (c.value -> 'start_us')::bigint as least,
      (p.value -> 'end_us')::bigint - (c.value -> 'end_us')::bigint as most
    from recent as r
    cross join lateral jsonb_each(r.spans) as c
    cross join lateral (select r.spans -> (c.value ->> 'parent_span_id') as value) as p
    where p.value is not null and c.value ->> 'process' <> p.value ->> 'process'
      and c.value ? 'end_us' and p.value ? 'end_us' and not c.value ? 'concluded' and not p.value ? 'concluded'
  ), tightest as (
    select distinct on (process, reference) process, reference,
      case when least <= 0 and most >= 0 then 0 else (least + most) / 2 end as shift,
      (most - least + 1) / 2 as width, count(*) over (partition by process, reference) as samples
    from pair where most >= least
    order by process, reference, most - least
  ), kept as (
    insert into telltale.clock_shifts as s (process_id, reference_process_id, shift_us, width_us, samples)
    select process, reference, shift, width, samples from tightest
    order by process, reference
    on conflict (process_id, reference_process_id) do update set
      samples = s.samples + excluded.samples,
      -- The closest look counts, as among the samples of NTP, until it is an hour old: clocks drift and are set.
      (shift_us, width_us, measured_at) = (select c.shift_us, c.width_us, c.measured_at from (
        values (excluded.shift_us, excluded.width_us, excluded.measured_at,
            excluded.width_us <= s.width_us or s.measured_at < excluded.measured_at - interval '1 hour'
            or abs(excluded.shift_us - s.shift_us) > excluded.width_us + s.width_us),
          (s.shift_us, s.width_us, s.measured_at, true)
        ) as c(shift_us, width_us, measured_at, fit) where c.fit limit 1)
    returning 1
  )
  select count(*) into v_done from kept;
  delete from telltale.clock_shifts where measured_at < telltale.clock() - interval '60 days';
  return jsonb_build_object('done', v_done, 'more', false);
end
$function$;
grant execute on function telltale.tick_measure_clocks() to service_role;
comment on function telltale.tick_measure_clocks() is 'Measures how far the clocks of processes are apart, by the newest traces that several of them recorded: a span called from
another lies inside it. 0 where the times as they are allow that, else the middle of what does. Definer, as every step.';

CREATE OR REPLACE FUNCTION telltale.tick_measure_resources(instance text DEFAULT 'database'::text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
AS $function$
declare
  own_process constant uuid := '7e117a1e-0000-8000-8000-000000000001';
  v_gauges jsonb;
begin
  lock table telltale.gauges in row exclusive mode;
  insert into telltale.sources (source_id, service, environment, instance)
  values (telltale.own_source(), 'telltale', 'telltale', 'telltale') on conflict do nothing;
  insert into telltale.processes (process_id, source_id, started_at, sdk, last_seen_at)
  values (own_process, telltale.own_source(), telltale.clock(), 'telltale-tick', 'epoch') on conflict do nothing;
  -- Whoever moves it on has the turn; so too after the clock went back.
  update telltale.processes as p set last_seen_at = telltale.clock()
  where p.process_id = own_process
    and p.last_seen_at not between telltale.clock() - interval '60 seconds' and telltale.clock() + interval '60 seconds'
    and exists (select from telltale.partition_days as d where d.day = telltale.today());
  if not found then
    return jsonb_build_object('due', false, 'done', 0, 'more', false);
  end if;
  select jsonb_agg(jsonb_build_object('name', name, 'at_us', telltale.us_of(telltale.clock()), 'value', value,
    'labels', jsonb_build_object('instance', instance)))
  into v_gauges
  from (
    select count(*) filter (where state = 'active') as active, count(*) filter (where state like 'idle%') as idle
    from pg_catalog.pg_stat_activity where datname = current_database() and coalesce(backend_type, 'client backend') = 'client backend'
  ) as pool
  cross join lateral (values ('supabase_pool_active', active::double precision), ('supabase_pool_idle', idle),
    ('database_mb', round(pg_database_size(current_database()) / 1048576.0, 3)),
    -- The pages that have the channel open know each other; the most that one of them sees.
    ('realtime_connections', (select coalesce(max(v.present), 0) from telltale.viewers as v
      where v.seen_at > telltale.clock() - interval '60 seconds'))) as measured(name, value);
  perform telltale.store_samples('[]', v_gauges, own_process);
  return jsonb_build_object('due', true, 'done', jsonb_array_length(v_gauges), 'more', false);
end
$function$;
grant execute on function telltale.tick_measure_resources(text) to service_role;
comment on function telltale.tick_measure_resources(text) is '{done, more, due}: due where 60 s have passed since the last time; then done counts the gauges of the database that were stored:
its connections, its size in MB, and how many pages have the live channel open. `instance` is where it is. The rest of the step is
functions/action/measure_resources.ts. Definer: no role may write the tables.';

CREATE OR REPLACE FUNCTION telltale.tick_measure_skews()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.tick_measure_skews() to service_role;
comment on function telltale.tick_measure_skews() is 'Notes of each source that is heard from when on its clock is off by a minute or more, and when it is right again; done counts what
changed. Definer, see the head of create_tick.';

CREATE OR REPLACE FUNCTION telltale.tick_prune()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.tick_prune() to service_role;
comment on function telltale.tick_prune() is 'Deletes, 5,000 rows of a table at a time, batches after 30 days, hours and error groups after 400, silent processes after
60, viewers after 10 minutes, and sources that nothing refers to any more. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.tick_recompute_hours()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.tick_recompute_hours() to service_role;
comment on function telltale.tick_recompute_hours() is 'Computes up to 50 hours with a changed minute from their minutes. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.today()
 RETURNS date
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$ select (telltale.clock() at time zone 'UTC')::date $function$;
grant execute on function telltale.today() to authenticated;
grant execute on function telltale.today() to service_role;
comment on function telltale.today() is 'The UTC day of this transaction.';

CREATE OR REPLACE FUNCTION telltale.trace(trace_id text)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  root_id text;
  members text[];
  first_day date;
  last_day date;
  row_found telltale.traces;
  all_spans jsonb;
begin
  perform telltale.require_reader();
  root_id := telltale.root_trace_of(lower(trace.trace_id));
  select array_agg(m.trace_id), min(m.day), max(m.day) into members, first_day, last_day
  from telltale.joined_members(root_id) as m;
  select t.* into row_found from telltale.traces as t join telltale.trace_days as d on d.trace_id = t.trace_id and d.day = t.day
  where t.trace_id = root_id and d.trace_id = root_id;
  if row_found.trace_id is null then
    return null;
  end if;
  all_spans := case when cardinality(members) > 1 then telltale.joined_spans(root_id) else row_found.spans end;
  return jsonb_build_object(
    'trace', telltale.trace_row(row_found) || jsonb_build_object('joined', (
      select coalesce(jsonb_agg(jsonb_build_object('trace_id', m.trace_id, 'rule', m.rule)), '[]')
      from telltale.joined_members(root_id) as m where m.rule is not null))
    || case when cardinality(members) > 1 and row_found.sampled is null then (
      select jsonb_build_object('layers', s.layers, 'wait_ms', s.wait_ms, 'span_count', s.span_count, 'provider', s.provider,
        'model', s.model, 'tokens_in', s.tokens_in, 'tokens_out', s.tokens_out)
      from telltale.summaries_of(array[all_spans]) as s) else '{}' end
    || jsonb_build_object('spans', (
      select coalesce(jsonb_agg(
        jsonb_build_object('kind', 'work', 'end_us', null, 'parent_span_id', null)
        || s.value || jsonb_build_object('span_id', s.key, 'self_ms', trim_scale(self.self_us / 1000.0),
          'service', source.service, 'instance', source.instance, 'clock_offset_us', p.clock_offset_us,
          'shift_us', coalesce(shift.shift_us, 0))
        order by (s.value -> 'start_us')::bigint, s.key collate "C"), '[]')
      from jsonb_each(coalesce(all_spans, '{}')) as s
      left join telltale.self_times(coalesce(all_spans, '{}')) as self on self.span_id = s.key
      left join telltale.shifts_of(coalesce(all_spans, '{}')) as shift on shift.process_id = (s.value ->> 'process')::uuid
      left join telltale.processes as p on p.process_id = (s.value ->> 'process')::uuid
      left join telltale.sources as source on source.source_id = p.source_id)),
    'errors', coalesce((
      select jsonb_agg(telltale.error_row(listed.row) order by listed.at, listed.error_id)
      from (select e as row, e.at, e.error_id from telltale.errors as e where e.trace_id = any (members)
        and e.day between first_day - 1 and last_day + 2 order by e.at, e.error_id limit 1000) as listed), '[]'),
    'messages', coalesce((
      select jsonb_agg(to_jsonb(m) - 'day' order by m.at, m.message_id)
      from (select * from telltale.messages as m where m.trace_id = any (members)
        and m.day between first_day - 1 and last_day + 2 order by m.at, m.message_id limit 1000) as m), '[]'));
end
$function$;
grant execute on function telltale.trace(text) to authenticated;
grant execute on function telltale.trace(text) to service_role;
comment on function telltale.trace(text) is 'One trace, null when there is none: {trace: {..., joined: [{trace_id, rule}], spans: [{span_id, ..., self_ms, process,
service, instance, clock_offset_us, shift_us, inferred}] by start}, errors, messages: the first 1,000 each}. A trace that is
joined into another answers as that one. *_us are µs since the epoch as the reporters'' clocks had them; shift_us is what to
add so that they are by the head''s clock; spans is empty where `sampled`: they were let go; inferred, of a span that hangs on its parent by inference, is the rule. Definer,
see the head of create_trace_reader; the first line refuses non-members.';

CREATE OR REPLACE FUNCTION telltale.trace_row(t telltale.traces)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
  select jsonb_build_object(
    'trace_id', t.trace_id, 'started_at', t.started_at, 'started_at_us', telltale.us_of(t.started_at),
    'ended_at', t.ended_at, 'ended_at_us', telltale.us_of(t.ended_at), 'duration_ms', t.duration_ms,
    'wait_ms', t.wait_ms, 'name', t.name, 'outcome', t.outcome, 'request_id', t.request_id,
    'session_key', t.session_key, 'session_rule', t.session_rule,
    'call_number', coalesce(t.call_number,
      case when t.session_key is not null then telltale.call_rank(t.session_key, t.started_at, t.trace_id) end),
    'tool', t.tool, 'provider', t.provider, 'model', t.model, 'bytes_in', t.bytes_in, 'bytes_out', t.bytes_out,
    'tokens_in', t.tokens_in, 'tokens_out', t.tokens_out, 'span_count', t.span_count,
    'spans_dropped', t.spans_dropped, 'sampled', t.sampled is not null, 'layers', t.layers, 'process', t.process_id, 'service', s.service,
    'environment', s.environment, 'instance', s.instance, 'revision', t.revision)
  from (select) as one
  left join telltale.processes as p on p.process_id = t.process_id
  left join telltale.sources as s on s.source_id = p.source_id
$function$;
comment on function telltale.trace_row(telltale.traces) is 'A trace without its spans, as the readers answer it; sampled: they were let go. Instants are ISO 8601 in UTC, *_us µs since the epoch, *_ms ms.
Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.traces(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  size integer;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
    'min_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
  execute format(
    'with page as (
      select t as row, t.started_at, t.trace_id from telltale.traces as t where %s
      order by t.started_at desc, t.trace_id desc limit %s
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(telltale.trace_row(page.row) order by started_at desc, trace_id desc), ''[]''),
      ''next'', case when count(*) = %s then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(started_at)), ''id'',
        (array_agg(trace_id order by started_at, trace_id))[1])) end)
    from page',
    telltale.traces_where(filter, telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^[0-9a-f]{32}$"}')), size, size) into answer;
  return answer;
end
$function$;
grant execute on function telltale.traces(jsonb,text,integer) to authenticated;
grant execute on function telltale.traces(jsonb,text,integer) to service_role;
comment on function telltale.traces(jsonb,text,integer) is 'Traces without their spans, newest first: {rows, next}. Filter: from, to (of the start; ISO 8601 or µs), tool, provider,
model, layer, outcome, session, request_id, environment, service (each a string or an array), min_duration_ms, call_number,
text (all words, of names and errors). n is 1 to 1000. Definer, see the head of this file; the first line refuses
non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.traces_matching(filter jsonb, place jsonb)
 RETURNS text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  since timestamptz := telltale.instant_of(filter, 'from');
  till timestamptz := telltale.instant_of(filter, 'to');
  duration numeric := telltale.number_in(filter, 'min_duration_ms');
  call bigint := telltale.whole_number_in(filter, 'call_number');
  words tsquery := telltale.query_of(filter ->> 'text');
  layers text[] := telltale.texts_in(filter, 'layer');
  condition text := 'true';
begin
  if since is not null then
    condition := condition || format(' and t.started_at >= %L and t.day >= %L', since, (since at time zone 'UTC')::date - 1);
  end if;
  if till is not null then
    condition := condition || format(' and t.started_at < %L and t.day <= %L', till, (till at time zone 'UTC')::date + 1);
  end if;
  condition := condition || telltale.matching(filter, 'tool', 't.tool')
    || telltale.matching(filter, 'provider', 't.provider')
    || telltale.matching(filter, 'model', 't.model')
    || telltale.matching(filter, 'outcome', 't.outcome')
    || telltale.matching(filter, 'session', 't.session_key')
    || telltale.matching(filter, 'request_id', 't.request_id')
    || telltale.processes_where(filter);
  if layers is not null then
    condition := condition || format(' and t.layers ?| %L', layers);
  end if;
  if duration is not null then
    condition := condition || format(' and t.duration_ms >= %L::double precision', duration);
  end if;
  if call is not null then
    condition := condition || format(' and coalesce(t.call_number, case when t.session_key is not null
      then telltale.call_rank(t.session_key, t.started_at, t.trace_id, %L) end) = %L', greatest(1, least(call, 100000)), call);
  end if;
  if words is not null then
    -- Not `or`, which would go through all traces by their start and read the words of each.
    condition := condition || format(' and (t.trace_id, t.day) in (
      select w.trace_id, w.day from telltale.traces as w
      where telltale.words_of(w.name, w.tool, w.provider, w.model, w.request_id, w.session_key) @@ %L
      union all
      select d.trace_id, d.day from telltale.errors as e join telltale.trace_days as d on d.trace_id = e.trace_id
      where telltale.words_of(e.error_type, e.message, e.culprit) @@ %L)', words, words);
  end if;
  if place is not null then
    condition := condition || format(' and (t.started_at, t.trace_id) < (%L, %L) and t.day <= %L',
      telltale.at_of((place ->> 'us')::bigint), place ->> 'id', telltale.day_of((place ->> 'us')::bigint) + 1);
  end if;
  return condition;
end
$function$;
comment on function telltale.traces_matching(jsonb,jsonb) is 'A condition in SQL on a trace t, by a filter and the place of a cursor. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.traces_where(filter jsonb, place jsonb)
 RETURNS text
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select telltale.traces_matching(filter, place)
    -- Not `not exists`, nor `is null`: asked row by row along the index on traces, and taken for what most rows pass.
    || ' and coalesce((select false from telltale.trace_joins as j where j.inner_trace_id = t.trace_id), true)'
$function$;
comment on function telltale.traces_where(jsonb,jsonb) is 'A condition in SQL on a trace t, by a filter and the place of a cursor, that leaves out what is joined into another. Definer:
part of the readers.';

CREATE OR REPLACE FUNCTION telltale.trend(filter jsonb DEFAULT '{}'::jsonb, key text DEFAULT 'all'::text, step_s integer DEFAULT NULL::integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  noise constant double precision := 0.05;
  answer jsonb;
  step bigint;
  trends jsonb;
begin
  answer := telltale.series(filter, key, step_s);
  step := (answer -> 'step_s')::bigint;
  if jsonb_array_length(answer -> 'points') > 400 then
    raise exception 'Cannot tell trend: it has more than 400 points' using errcode = '22023', hint = 'Take a greater step_s.';
  end if;
  with point as (
    select (p.value -> 'at_us')::bigint / 1000000 / step as place, (p.value ->> 'count')::double precision as count,
      (p.value ->> 'errors')::double precision / nullif((p.value ->> 'count')::double precision, 0) as error_rate,
      (p.value ->> 'p50_ms')::double precision as p50, (p.value ->> 'p95_ms')::double precision as p95
    from jsonb_array_elements(answer -> 'points') as p
    -- A step that is not over says nothing yet.
    where (p.value -> 'at_us')::bigint + step * 1000000 <= telltale.us_of(telltale.clock())
  ), slope as (
    select telltale.slope_of(name, array_agg(place order by place), array_agg(value order by place)) as told
    from point cross join lateral (values ('count', count), ('error_rate', error_rate), ('p50_ms', p50), ('p95_ms', p95))
      as v(name, value)
    group by name
  ), corrected as (
    select told, max(least(1, p * (made - place + 1))) over (order by place) as p
    from (
      select told, (told ->> 'p')::double precision as p, count(told ->> 'p') over () as made,
        row_number() over (order by (told ->> 'p')::double precision nulls last, told ->> 'measure') as place
      from slope
    ) as ranked
  )
  select jsonb_object_agg(told ->> 'measure', jsonb_build_object(
    'per_hour', round((told ->> 'step')::numeric * 3600 / step, 6), 'points', told -> 'n',
    'change', round((told ->> 'step')::numeric * ((told -> 'n')::int - 1), 6),
    'p', case when told ->> 'p' is not null then round(p::numeric, 6) end,
    'differs', case when told ->> 'p' is not null then p < noise end))
  into trends from corrected;
  return answer || jsonb_build_object('noise', noise, 'trends', coalesce(trends, '{}'), 'points', (
    select coalesce(jsonb_agg(p.value - array['mean_ms', 'p99_ms', 'bytes_in', 'bytes_out', 'tokens_in', 'tokens_out']
      order by (p.value -> 'at_us')::bigint), '[]')
    from jsonb_array_elements(answer -> 'points') as p));
end
$function$;
grant execute on function telltale.trend(jsonb,text,integer) to authenticated;
grant execute on function telltale.trend(jsonb,text,integer) to service_role;
comment on function telltale.trend(jsonb,text,integer) is '{from_us, to_us, step_s, key, source, points: [{at_us, count, errors, p50_ms, p95_ms}], noise, trends: {count, error_rate,
p50_ms, p95_ms: {per_hour: slope, change: over all steps together, points: how many were looked at, p, differs}}}. The slope is the median of
those between all pairs of steps (Theil-Sen), so that single spikes do not move it; differs: p is below noise (Mann-Kendall,
corrected for four measures, and for steps that resemble their neighbours); null of fewer than 8 steps. At most 400 steps, else it
raises 22023. As series() otherwise. Definer: as series, which refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.us_of(at timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$ select (extract(epoch from at) * 1000000)::bigint $function$;
grant execute on function telltale.us_of(timestamp with time zone) to authenticated;
grant execute on function telltale.us_of(timestamp with time zone) to service_role;
comment on function telltale.us_of(timestamp with time zone) is 'µs since the epoch.';

CREATE OR REPLACE FUNCTION telltale.whole_number_in(filter jsonb, key text)
 RETURNS bigint
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  value numeric := telltale.number_in(filter, key);
begin
  if value <> trunc(value) then
    raise exception 'Cannot read filter: % is %', key, filter -> key
      using errcode = '22023', hint = key || ' is a whole number.';
  end if;
  return value;
end
$function$;
grant execute on function telltale.whole_number_in(jsonb,text) to authenticated;
grant execute on function telltale.whole_number_in(jsonb,text) to service_role;
comment on function telltale.whole_number_in(jsonb,text) is 'The whole number under a key of a filter, null when absent; raises 22023 for anything else.';

CREATE OR REPLACE FUNCTION telltale.words_of(VARIADIC texts text[])
 RETURNS tsvector
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select to_tsvector('pg_catalog.simple', array_to_string(texts, ' ')) $function$;
grant execute on function telltale.words_of(text[]) to authenticated;
grant execute on function telltale.words_of(text[]) to service_role;
comment on function telltale.words_of(text[]) is 'What text search finds in these texts: their words as they are, in lower case.';

CREATE OR REPLACE FUNCTION telltale.worth_keeping(rules telltale.sampling, trace_ids text[], days date[])
 RETURNS SETOF text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER ROWS 100
 SET search_path TO ''
AS $function$
begin
  return query
    select t.trace_id
    from unnest(trace_ids, days) as asked(id, day)
    join telltale.traces as t on t.trace_id = asked.id and t.day = asked.day
    left join telltale.processes as p on p.process_id = t.process_id
    where t.duration_ms is null
      or exists (select from telltale.pinned_traces as pin where pin.trace_id = t.trace_id)
      or (rules.keep_errors and (t.outcome in ('tool_error', 'server_fault', 'timeout', 'interrupted')
        or exists (select from telltale.errors as e where e.trace_id = t.trace_id and e.day between t.day - 1 and t.day + 2)))
      or (rules.keep_slow and t.duration_ms > coalesce((select l.p99_ms from telltale.sampling_limits as l
        where l.source_id = p.source_id and l.series_key = coalesce('tool:' || t.tool, 'all')), 0))
    union all
    select a.id from telltale.in_anomaly(case when rules.keep_anomalous then trace_ids else '{}' end, days) as a(id);
end
$function$;
comment on function telltale.worth_keeping(telltale.sampling,text[],date[]) is 'Those of these traces that keep their spans by a rule. Definer: part of tick_decide_sampling.';
