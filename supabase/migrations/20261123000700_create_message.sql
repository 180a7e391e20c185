-- What was said to or by models, as metadata, and sampled resources.

create table telltale.messages (
  message_id text collate "C" not null,
  day date not null,
  at timestamptz not null,
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
  metadata jsonb not null default '{}',
  primary key (message_id, day)
) partition by list (day);
create index messages_by_time on telltale.messages (at, message_id);
create index messages_by_trace on telltale.messages (trace_id) where trace_id is not null;
create index messages_by_conversation on telltale.messages (conversation_id, at) where conversation_id is not null;
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

create table telltale.gauges (
  process_id uuid not null,
  name text collate "C" not null,
  labels_hash uuid not null,
  at timestamptz not null,
  day date not null,
  value double precision not null,
  labels jsonb not null default '{}',
  primary key (process_id, name, labels_hash, at, day)
) partition by list (day);
create index gauges_by_name on telltale.gauges (name, at);
comment on table telltale.gauges is 'Sampled resources of single processes: one row for process, name, labels and instant.';
comment on column telltale.gauges.process_id is 'The process that sampled it.';
comment on column telltale.gauges.name is 'What was sampled; the unit is part of the name, such as redis_memory_mb.';
comment on column telltale.gauges.labels_hash is 'md5 of `labels`, which may be too long for a key.';
comment on column telltale.gauges.at is 'When it was sampled, by the reporter''s clock.';
comment on column telltale.gauges.day is 'Its partition: the UTC day of `at`.';
comment on column telltale.gauges.value is 'In the unit that the name says. Of two samples of one instant the greater.';
comment on column telltale.gauges.labels is 'What tells samples of one name apart.';

alter table telltale.messages enable row level security;
alter table telltale.gauges enable row level security;
revoke all on telltale.messages, telltale.gauges from public, anon, authenticated, service_role;
grant select on telltale.messages, telltale.gauges to authenticated, service_role;
create policy messages_read on telltale.messages for select to authenticated using ((select telltale.is_reader()));
create policy gauges_read on telltale.gauges for select to authenticated using ((select telltale.is_reader()));
