-- A trace is one row: its summary, its layer breakdown, and its spans as one object. Partitioned by the UTC day that
-- trace_days fixes, so that a later batch finds the row whatever start it saw.

create table telltale.trace_days (
  trace_id text collate "C" primary key,
  day date not null
);
create index trace_days_by_day on telltale.trace_days (day);
comment on table telltale.trace_days is 'In which partition each trace lies: the UTC day of the start that its first batch saw.';
comment on column telltale.trace_days.trace_id is '32 hex digits (W3C trace context).';
comment on column telltale.trace_days.day is 'UTC day of its partition; at most one day from that of its true start.';

create table telltale.traces (
  trace_id text collate "C" not null,
  day date not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  duration_ms double precision,
  wait_ms double precision not null,
  process_id uuid not null,
  revision bigint not null default 1,
  changed_at timestamptz not null default telltale.clock(),
  changed_xid xid8 not null default pg_current_xact_id(),
  bytes_in bigint,
  bytes_out bigint,
  tokens_in bigint,
  tokens_out bigint,
  call_number bigint,
  span_count integer not null,
  spans_dropped integer not null default 0,
  name text not null,
  outcome text,
  request_id text,
  session_key text,
  session_rule text,
  tool text,
  provider text,
  model text,
  layers jsonb not null,
  spans jsonb not null,
  sampled jsonb,
  primary key (trace_id, day),
  constraint traces_have_w3c_ids check (trace_id ~ '^[0-9a-f]{32}$'),
  constraint traces_end_as_outcomes_are_named check (outcome in ('ok', 'tool_error', 'empty', 'truncated', 'caller_fault',
    'server_fault', 'timeout', 'cancelled', 'interrupted')),
  constraint traces_have_spans check (span_count >= 1 and jsonb_typeof(spans) = 'object'),
  constraint traces_break_down_by_layer check (jsonb_typeof(layers) = 'object')
) partition by list (day);
-- Compressed in place (see make_partitions): a pointer to another table would cost more than most spans do.
alter table telltale.traces alter column spans set storage main, alter column layers set storage main,
  alter column trace_id set storage main, alter column name set storage main, alter column request_id set storage main,
  alter column session_key set storage main, alter column tool set storage main, alter column provider set storage main,
  alter column model set storage main, alter column outcome set storage main, alter column session_rule set storage main,
  alter column sampled set storage main;
create index traces_by_start on telltale.traces (started_at, trace_id);
create index traces_by_change on telltale.traces (changed_at, trace_id) where duration_ms is not null;
create index traces_by_tool on telltale.traces (tool, started_at, trace_id) where tool is not null;
create index traces_by_session on telltale.traces (session_key, started_at, trace_id) where session_key is not null;
create index traces_by_request on telltale.traces (request_id, started_at, trace_id) where request_id is not null;
create index traces_that_failed on telltale.traces (started_at, trace_id)
  where outcome in ('tool_error', 'server_fault', 'timeout', 'interrupted');
comment on table telltale.traces is 'One row for each request through the system.';
comment on column telltale.traces.trace_id is '32 hex digits (W3C trace context).';
comment on column telltale.traces.day is 'Its partition, from trace_days.';
comment on column telltale.traces.started_at is 'The least start of its spans, by the reporter''s clock.';
comment on column telltale.traces.ended_at is 'The greatest end of its spans, by the reporter''s clock; null while none has ended.';
comment on column telltale.traces.duration_ms is
  'Duration of its head span in ms, to the µs; null while that runs. The head is the first entry span, else the first root.';
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
comment on column telltale.traces.sampled is
  'Null: its spans are there. Else they were let go, and this is its head span, for an end that comes late: all else stays.';

alter table telltale.trace_days enable row level security;
alter table telltale.traces enable row level security;
revoke all on telltale.trace_days, telltale.traces from public, anon, authenticated, service_role;
grant select on telltale.trace_days, telltale.traces to authenticated, service_role;
create policy trace_days_read on telltale.trace_days for select to authenticated using ((select telltale.is_reader()));
create policy traces_read on telltale.traces for select to authenticated using ((select telltale.is_reader()));

create view telltale.spans with (security_invoker = true) as
select
  t.trace_id,
  s.key as span_id,
  s.value ->> 'parent_span_id' as parent_span_id,
  s.value ->> 'layer' as layer,
  coalesce(s.value ->> 'kind', 'work') as kind,
  s.value ->> 'name' as name,
  telltale.at_of((s.value -> 'start_us')::bigint) as started_at,
  telltale.at_of((s.value -> 'end_us')::bigint) as ended_at,
  ((s.value -> 'end_us')::bigint - (s.value -> 'start_us')::bigint) / 1000.0::double precision as duration_ms,
  s.value ->> 'outcome' as outcome,
  coalesce((s.value -> 'entry')::boolean, false) as entry,
  s.value ->> 'tool' as tool,
  s.value ->> 'provider' as provider,
  s.value ->> 'model' as model,
  (s.value -> 'tokens_in')::bigint as tokens_in,
  (s.value -> 'tokens_out')::bigint as tokens_out,
  s.value ->> 'holder' as holder,
  coalesce(s.value -> 'attributes', '{}') as attributes,
  (s.value ->> 'process')::uuid as process_id,
  coalesce((s.value -> 'concluded')::boolean, false) as concluded,
  t.day
from telltale.traces as t cross join lateral jsonb_each(t.spans) as s;
comment on view telltale.spans is 'The spans of every trace, one row each, for people and SQL. Filter by trace_id or day: it unfolds what it reads.';
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
revoke all on telltale.spans from public, anon, authenticated, service_role;
grant select on telltale.spans to authenticated, service_role;
