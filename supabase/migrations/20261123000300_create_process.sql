-- Who sends: sources, the names admitted to their metrics, their processes, and the batches taken from them.

create table telltale.sources (
  source_id uuid primary key,
  service text not null,
  environment text not null,
  instance text not null,
  created_at timestamptz not null default telltale.clock(),
  constraint sources_are_told_apart_by_service_environment_and_instance unique (service, environment, instance)
);
comment on table telltale.sources is 'Where metrics come from. A source that changes its version stays one source.';
comment on column telltale.sources.source_id is 'Derived from the three names, see source_id_of: the same in any order of arrival.';
comment on column telltale.sources.service is 'What runs, such as exai.';
comment on column telltale.sources.environment is 'Such as production; demo is what `telltale start` shows on an empty store.';
comment on column telltale.sources.instance is 'Which of several, such as a host or container name.';
comment on column telltale.sources.created_at is 'When its first batch arrived.';

create function telltale.source_id_of(service text, environment text, instance text) returns uuid
language sql immutable strict parallel safe
set search_path = ''
as $$ select md5(jsonb_build_array(service, environment, instance)::text)::uuid $$;
comment on function telltale.source_id_of(text, text, text) is 'The id of a source: md5 of its three names as a JSON array.';
revoke all on function telltale.source_id_of(text, text, text) from public, anon;
grant execute on function telltale.source_id_of(text, text, text) to authenticated, service_role;

create function telltale.own_source() returns uuid
language sql immutable parallel safe
set search_path = ''
as $$ select telltale.source_id_of('telltale', 'telltale', 'telltale') $$;
comment on function telltale.own_source() is
  'The source of Telltale''s own resources: its gauges are shown, but it sends no batches and is no sign of life of a daemon.';
revoke all on function telltale.own_source() from public, anon;
grant execute on function telltale.own_source() to authenticated, service_role;

create table telltale.admitted_names (
  source_id uuid not null references telltale.sources on delete cascade,
  series_key text not null,
  admitted_at timestamptz not null default telltale.clock(),
  primary key (source_id, series_key),
  constraint admitted_names_have_a_kind check (series_key ~ '^(tool|provider|model|layer|connection|cache):')
);
comment on table telltale.admitted_names is
  'The names that a source''s metrics are kept under: the first 64 tools, 16 providers, 32 models, 16 layers, 16
connections and 16 results of caches (src/core/limit.ts). Those that come later are counted under `other`. The table of traces keeps every name.';
comment on column telltale.admitted_names.source_id is 'Whose name it is.';
comment on column telltale.admitted_names.series_key is 'The series key, such as tool:read_file.';
comment on column telltale.admitted_names.admitted_at is 'When it was first seen.';

create table telltale.processes (
  process_id uuid primary key,
  source_id uuid not null references telltale.sources,
  version text,
  started_at timestamptz not null,
  host text,
  pid bigint,
  sdk text not null,
  first_seen_at timestamptz not null default telltale.clock(),
  last_seen_at timestamptz not null default telltale.clock(),
  renewed_at timestamptz,
  running jsonb not null default '[]',
  running_total bigint not null default 0,
  running_seq bigint not null default 0,
  pace_ms integer not null default 15000,
  seqs int8multirange not null default '{}',
  seqs_forgotten bigint not null default 0,
  recorded bigint not null default 0,
  dropped jsonb not null default '{}',
  counters_seq bigint not null default 0,
  stored bigint not null default 0,
  rejected bigint not null default 0,
  clock_offset_us bigint,
  constraint processes_list_what_runs check (jsonb_typeof(running) = 'array'),
  constraint processes_run_at_least_what_they_list check (running_total >= jsonb_array_length(running)),
  constraint processes_count_from_zero check (least(recorded, stored, rejected, running_seq, counters_seq) >= 0),
  constraint processes_drop_for_a_reason check (jsonb_typeof(dropped) = 'object')
);
create index processes_by_source on telltale.processes (source_id);
create index processes_with_running_calls on telltale.processes (renewed_at) where running_total > 0;
create index processes_by_last_seen on telltale.processes (last_seen_at);
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
comment on column telltale.processes.renewed_at is
  'When the last batch arrived that was fresh enough to speak for what runs now; null before the first such.';
comment on column telltale.processes.running is
  'What it runs now: [{trace_id, span_id, layer, name, tool, session, start_us}], one entry a trace, at most 1,000. Replaced
whole by a batch of greater seq that is not stale on arrival; emptied when it is not renewed in time.';
comment on column telltale.processes.running_total is 'The true number of running calls; `running` may list fewer.';
comment on column telltale.processes.running_seq is 'The seq of the batch that `running` came with.';
comment on column telltale.processes.pace_ms is 'How often it was asked to send while calls run, in ms.';
comment on column telltale.processes.seqs is 'The sequence numbers of its batches that arrived whole. Holes are gaps; see gaps().';
comment on column telltale.processes.seqs_forgotten is
  'How many missing numbers were closed because `seqs` had more than 1,000 ranges: they are lost for certain.';
comment on column telltale.processes.recorded is 'How many records it made so far, by its own count at counters_seq.';
comment on column telltale.processes.dropped is 'How many records it gave up so far, by reason, at counters_seq.';
comment on column telltale.processes.counters_seq is 'The greatest seq seen; recorded and dropped are as of this batch.';
comment on column telltale.processes.stored is 'How many of its records were accepted.';
comment on column telltale.processes.rejected is 'How many of its records were refused one by one.';
comment on column telltale.processes.clock_offset_us is
  'About how many µs its clock is behind the edge''s: the least of (received - sent), followed slowly upwards, and at once
by more than 30 s. Null: unknown.
Applied when reading, never when storing.';

create table telltale.batches (
  batch_id uuid primary key,
  process_id uuid not null,
  key_id text not null,
  seq bigint not null,
  piece_index integer not null,
  piece_count integer not null,
  made_at timestamptz not null,
  received_at timestamptz not null default telltale.clock(),
  ack jsonb not null,
  constraint batches_count_from_one check (seq >= 1),
  constraint batches_are_a_piece_of_a_whole check (piece_index between 1 and piece_count)
);
create index batches_by_receipt on telltale.batches (received_at);
create index batches_in_pieces on telltale.batches (process_id, seq) where piece_count > 1;
comment on table telltale.batches is
  'Every batch taken in the last 30 days, so that one sent again changes nothing and is answered what it was the first time.';
comment on column telltale.batches.batch_id is 'As the reporter froze it before the first attempt.';
comment on column telltale.batches.process_id is 'Which process sent it.';
comment on column telltale.batches.key_id is 'The ingest key that it came with.';
comment on column telltale.batches.seq is 'Sequence number in its process, from 1; the pieces of a cut batch share it.';
comment on column telltale.batches.piece_index is 'Which piece, from 1.';
comment on column telltale.batches.piece_count is 'Of how many pieces; 1 for a whole batch.';
comment on column telltale.batches.made_at is 'When it was made, by the process''s clock.';
comment on column telltale.batches.received_at is 'When it was stored.';
comment on column telltale.batches.ack is 'What its first attempt was answered: {accepted, rejected, renamed}.';

alter table telltale.sources enable row level security;
alter table telltale.admitted_names enable row level security;
alter table telltale.processes enable row level security;
alter table telltale.batches enable row level security;
revoke all on telltale.sources, telltale.admitted_names, telltale.processes, telltale.batches
  from public, anon, authenticated, service_role;
grant select on telltale.sources, telltale.admitted_names, telltale.processes, telltale.batches
  to authenticated, service_role;
create policy sources_read on telltale.sources for select to authenticated using ((select telltale.is_reader()));
create policy admitted_names_read on telltale.admitted_names for select to authenticated
  using ((select telltale.is_reader()));
create policy processes_read on telltale.processes for select to authenticated using ((select telltale.is_reader()));
create policy batches_read on telltale.batches for select to authenticated using ((select telltale.is_reader()));
