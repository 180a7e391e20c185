-- The first steps of storing a batch: are its days there, which of its names are admitted, who sent it. What comes next,
-- and the order of all locks, is in create_ingest.
-- enable_seqscan is off: plans are kept for the life of a session, and may have been made when the tables were empty.

create function telltale.days_missing(batch jsonb) returns date[]
language plpgsql stable security definer
set search_path = ''
set enable_seqscan = off
as $$
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
$$;
comment on function telltale.days_missing(jsonb) is
  'The UTC days of BatchRows that have no partitions yet, null when all have. Definer: part of ingest_batch.';
revoke all on function telltale.days_missing(jsonb) from public, anon, authenticated, service_role;

create function telltale.admit_names(source uuid, keys text[]) returns jsonb
language plpgsql volatile security definer
set search_path = ''
set enable_seqscan = off
as $$
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
$$;
comment on function telltale.admit_names(uuid, text[]) is
  'Admits series keys of a source while their kind has room; {key: its kind:other} of those that had to stay out. Definer:
part of ingest_batch.';
revoke all on function telltale.admit_names(uuid, text[]) from public, anon, authenticated, service_role;

create function telltale.names_max(kind text) returns integer
language sql immutable strict parallel safe
set search_path = ''
as $$
  select case kind when 'tool' then 64 when 'provider' then 16 when 'model' then 32 when 'layer' then 16
    when 'connection' then 16 when 'cache' then 16 end
$$;
comment on function telltale.names_max(text) is 'How many names of a kind a source may have; see src/core/limit.ts.';
revoke all on function telltale.names_max(text) from public, anon;
grant execute on function telltale.names_max(text) to authenticated, service_role;

create function telltale.store_process(batch jsonb, source uuid) returns void
language plpgsql volatile security definer
set search_path = ''
set enable_seqscan = off
as $$
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
$$;
comment on function telltale.store_process(jsonb, uuid) is
  'The part of ingest_batch that keeps the process: its counters, its sequence numbers, what it runs now, its clock. Definer:
part of ingest_batch.';
revoke all on function telltale.store_process(jsonb, uuid) from public, anon, authenticated, service_role;
