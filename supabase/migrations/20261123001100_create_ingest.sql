-- Storing a batch. The order in which locks are taken, which makes any number of writers free of deadlock:
--   1. the five partitioned tables, row exclusive (against drop_partitions)
--   2. the batch's row (a repeat waits here for the first, holding nothing else)
--   3. its source   4. names, in order of key   5. its process   6. trace_days, by trace id   7. traces, by trace id
--   8. errors, by id and fingerprint   9. error groups, by fingerprint   10. error group states, by fingerprint
--   11. messages, by id   12. gauges, by key
-- Whatever else takes more than one of these (mark_interrupted: one process, then its traces) keeps to that order.
-- Every statement handles all rows of its kind at once; there is no loop over records.
-- enable_seqscan is off: plans are kept for the life of a session, and may have been made when the tables were empty.

create function telltale.store_errors(errors jsonb, process uuid, source uuid, version text) returns void
language plpgsql volatile security definer
set search_path = ''
set enable_seqscan = off
as $$
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
    returning error_id, fingerprint, at
  )
  select coalesce(jsonb_agg(to_jsonb(fresh)), '[]') into v_inserted from fresh;
  if jsonb_array_length(v_inserted) < jsonb_array_length(errors) then
    perform telltale.merge_errors(errors, process);
  end if;
  insert into telltale.error_groups as g (fingerprint, source_id, first_seen_at, last_seen_at, count, sample,
    first_version, last_version)
  select r.fingerprint, source, telltale.at_of(min(r.at_us)), telltale.at_of(max(r.at_us)),
    (select count(*) from jsonb_array_elements(v_inserted) as i where i.value ->> 'fingerprint' = r.fingerprint),
    (array_agg(r.sample order by r.at_us desc, r.sample::text collate "C" desc))[1], version, version
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
      then excluded.sample else g.sample end,
    first_version = case
      when (excluded.first_seen_at, coalesce(excluded.first_version, '') collate "C")
        < (g.first_seen_at, coalesce(g.first_version, '') collate "C")
      then excluded.first_version else g.first_version end,
    last_version = case
      when (excluded.last_seen_at, coalesce(excluded.last_version, '') collate "C")
        > (g.last_seen_at, coalesce(g.last_version, '') collate "C")
      then excluded.last_version else g.last_version end;
  -- Seldom: something was said of a group that does not cover what came.
  if exists (
    select from jsonb_array_elements(errors) as e
    join telltale.error_group_states as s on s.fingerprint = e.value ->> 'fingerprint'
    where s.since < telltale.at_of((e.value -> 'at_us')::bigint)
      and (s.reopened_at is null or (s.reopened_by -> 'at_us')::bigint >= (e.value -> 'at_us')::bigint)
  ) then
    perform telltale.reopen_error_groups(errors, v_inserted, source, version);
  end if;
end
$$;
comment on function telltale.store_errors(jsonb, uuid, uuid, text) is
  'Inserts ErrorRows and counts into their groups those that were new; reopens the groups that they show to be open. Definer:
part of ingest_batch.';
revoke all on function telltale.store_errors(jsonb, uuid, uuid, text) from public, anon, authenticated, service_role;

create function telltale.merge_errors(errors jsonb, process uuid) returns void
language plpgsql volatile security definer
set search_path = ''
set enable_seqscan = off
as $$
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
$$;
comment on function telltale.merge_errors(jsonb, uuid) is
  'Of two errors with one key but different content the greater stays: by the text of the row as jsonb, by bytes. Definer:
part of ingest_batch, and rare.';
revoke all on function telltale.merge_errors(jsonb, uuid) from public, anon, authenticated, service_role;

create function telltale.store_samples(messages jsonb, gauges jsonb, process uuid) returns void
language plpgsql volatile security definer
set search_path = ''
set enable_seqscan = off
as $$
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
$$;
comment on function telltale.store_samples(jsonb, jsonb, uuid) is
  'Inserts messages and gauges; of two with one key but different content the greater stays. Definer: part of ingest_batch.';
revoke all on function telltale.store_samples(jsonb, jsonb, uuid) from public, anon, authenticated, service_role;

create function telltale.ingest_batch(batch jsonb) returns jsonb
language plpgsql volatile security definer
set search_path = ''
set lock_timeout = '2s'
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
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
  perform telltale.store_errors(batch -> 'errors', v_process, v_source, v_from ->> 'version');
  perform telltale.store_samples(batch -> 'messages', batch -> 'gauges', v_process);
  insert into telltale.rollup_minutes (minute, day, source_id, batch_id, series)
  select telltale.at_of(p.minute * 1000000), telltale.day_of(p.minute * 1000000), v_source, v_batch,
    case when v_renamed = '{}' then p.series else telltale.renamed_series(p.series, v_renamed) end
  from jsonb_to_recordset(batch -> 'parts') as p(minute bigint, series jsonb);
  return telltale.reply_of('stored', v_ack);
end
$$;
comment on function telltale.ingest_batch(jsonb) is
  'Stores BatchRows (functions/store/port.ts) and answers IngestReply. A batch id that is known changes nothing and is answered
what it was first. Raises TT001, detail YYYY-MM-DD,..., before any write when partitions are missing. Definer: no role may
write the tables, so that rows come only this way.';
revoke all on function telltale.ingest_batch(jsonb) from public, anon, authenticated;
grant execute on function telltale.ingest_batch(jsonb) to service_role;

create function telltale.reply_of(status text, ack jsonb) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select ack || jsonb_build_object('status', status, 'watched', telltale.is_watched(), 'tick_due', telltale.is_tick_due())
$$;
comment on function telltale.reply_of(text, jsonb) is 'IngestReply of a stored ack. Definer: part of ingest_batch.';
revoke all on function telltale.reply_of(text, jsonb) from public, anon, authenticated, service_role;
