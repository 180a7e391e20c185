-- Storing the traces of a batch: new rows plainly, and the spans of those that exist merged into them. Locks are taken in the
-- order that create_ingest gives: trace_days by trace id, which lets only one writer at a trace; then rows, by trace id.
-- enable_seqscan is off: plans are kept for the life of a session, and may have been made when the tables were empty.

create function telltale.store_traces(traces jsonb) returns void
language plpgsql volatile security definer
set search_path = ''
set enable_seqscan = off
as $$
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
$$;
comment on function telltale.store_traces(jsonb) is
  'Inserts TraceRows, or merges their spans into the rows that exist. Definer: part of ingest_batch.';
revoke all on function telltale.store_traces(jsonb) from public, anon, authenticated, service_role;

create function telltale.merge_traces(traces jsonb, others text[]) returns text[]
language plpgsql volatile security definer
set search_path = ''
set enable_seqscan = off
as $$
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
$$;
comment on function telltale.merge_traces(jsonb, text[]) is
  'Locks the rows that exist of TraceRows, in order of trace id, but for those of others, and merges the spans into them;
the trace ids of those it found. Definer: part of ingest_batch.';
revoke all on function telltale.merge_traces(jsonb, text[]) from public, anon, authenticated, service_role;

create function telltale.retime_sampled(ids text[], days date[], merged jsonb[], heads jsonb[]) returns void
language plpgsql volatile security definer
set search_path = ''
set enable_seqscan = off
as $$
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
$$;
comment on function telltale.retime_sampled(text[], date[], jsonb[], jsonb[]) is
  'What came late for traces whose spans were let go: their times and outcome follow, nothing else does. `merged` is the head that
is known and what came. Definer: part of ingest_batch.';
revoke all on function telltale.retime_sampled(text[], date[], jsonb[], jsonb[]) from public, anon, authenticated, service_role;
