-- Reading traces. These run as definer behind a first line that refuses non-members: under row level security an index on
-- tsvector or jsonb cannot be used, for its operators might leak, and a scan takes fifty times as long.

create function telltale.processes_where(filter jsonb) returns text
language plpgsql stable security definer
set search_path = ''
as $$
begin
  if filter ->> 'environment' is null and filter ->> 'service' is null then
    return '';
  end if;
  return ' and t.process_id in (select p.process_id from telltale.processes as p
    join telltale.sources as s on s.source_id = p.source_id where true'
    || telltale.matching(filter, 'environment', 's.environment') || telltale.matching(filter, 'service', 's.service') || ')';
end
$$;
comment on function telltale.processes_where(jsonb) is
  'A condition in SQL on t.process_id, by the environment and service of a filter. Definer: part of the readers.';
revoke all on function telltale.processes_where(jsonb) from public, anon, authenticated, service_role;

create function telltale.call_rank(session text, started timestamptz, trace text, upto integer default 100000) returns bigint
language sql stable security definer
set search_path = ''
as $$
  select 1 + count(*) from (
    select from telltale.traces as t
    where t.session_key = session and (t.started_at, t.trace_id) < (started, trace)
    limit upto
  ) as earlier
$$;
comment on function telltale.call_rank(text, timestamptz, text, integer) is
  'The position of a trace in its session, from 1, by (started_at, trace_id): for traces whose recorder sent no call number.
Counts no further than `upto`. Definer: part of the readers.';
revoke all on function telltale.call_rank(text, timestamptz, text, integer) from public, anon, authenticated, service_role;

create function telltale.trace_row(t telltale.traces) returns jsonb
language sql stable security definer
set search_path = ''
set timezone = 'UTC'
as $$
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
$$;
comment on function telltale.trace_row(telltale.traces) is
  'A trace without its spans, as the readers answer it; sampled: they were let go. Instants are ISO 8601 in UTC, *_us µs since the epoch, *_ms ms.
Definer: part of the readers.';
revoke all on function telltale.trace_row(telltale.traces) from public, anon, authenticated, service_role;

create function telltale.traces_where(filter jsonb, place jsonb) returns text
language plpgsql stable security definer
set search_path = ''
as $$
declare
  since timestamptz := telltale.instant_of(filter, 'from');
  till timestamptz := telltale.instant_of(filter, 'to');
  duration numeric := telltale.number_in(filter, 'min_duration_ms');
  below numeric := telltale.number_in(filter, 'max_duration_ms');
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
  if below is not null then
    condition := condition || format(' and t.duration_ms < %L::double precision', below);
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
$$;
comment on function telltale.traces_where(jsonb, jsonb) is
  'A condition in SQL on a trace t, by a filter and the place of a cursor. Definer: part of the readers.';
revoke all on function telltale.traces_where(jsonb, jsonb) from public, anon, authenticated, service_role;

create function telltale.traces(filter jsonb default '{}', cursor text default null, n integer default 100) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  size integer;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
    'min_duration_ms', 'max_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
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
$$;
comment on function telltale.traces(jsonb, text, integer) is
  'Traces without their spans, newest first: {rows, next}. Filter: from, to (of the start; ISO 8601 or µs), tool, provider,
model, layer, outcome, session, request_id, environment, service (each a string or an array), min_duration_ms,
max_duration_ms (exclusive), call_number, text (all words, of names and errors). n is 1 to 1000. Definer, see the head of this file; the first line refuses
non-members with 42501.';
revoke all on function telltale.traces(jsonb, text, integer) from public, anon;
grant execute on function telltale.traces(jsonb, text, integer) to authenticated, service_role;

create function telltale.trace(trace_id text) returns jsonb
language plpgsql stable security definer
set search_path = ''
set timezone = 'UTC'
set jit = off
as $$
#variable_conflict use_column
declare
  found_day date;
  row_found telltale.traces;
begin
  perform telltale.require_reader();
  select d.day into found_day from telltale.trace_days as d where d.trace_id = lower(trace.trace_id);
  select t.* into row_found from telltale.traces as t where t.trace_id = lower(trace.trace_id) and t.day = found_day;
  if row_found.trace_id is null then
    return null;
  end if;
  return jsonb_build_object(
    'trace', telltale.trace_row(row_found) || jsonb_build_object('spans', (
      select jsonb_agg(
        jsonb_build_object('kind', 'work', 'end_us', null, 'parent_span_id', null)
        || s.value || jsonb_build_object('span_id', s.key, 'self_ms', trim_scale(self.self_us / 1000.0),
          'service', source.service, 'instance', source.instance, 'clock_offset_us', p.clock_offset_us)
        order by (s.value -> 'start_us')::bigint, s.key collate "C")
      from jsonb_each(row_found.spans) as s
      left join telltale.self_times(row_found.spans) as self on self.span_id = s.key
      left join telltale.processes as p on p.process_id = (s.value ->> 'process')::uuid
      left join telltale.sources as source on source.source_id = p.source_id)),
    'errors', coalesce((
      select jsonb_agg(telltale.error_row(listed.row) order by listed.at, listed.error_id)
      from (select e as row, e.at, e.error_id from telltale.errors as e where e.trace_id = row_found.trace_id
        and e.day between found_day - 1 and found_day + 2 order by e.at, e.error_id limit 1000) as listed), '[]'),
    'messages', coalesce((
      select jsonb_agg(to_jsonb(m) - 'day' order by m.at, m.message_id)
      from (select * from telltale.messages as m where m.trace_id = row_found.trace_id
        and m.day between found_day - 1 and found_day + 2 order by m.at, m.message_id limit 1000) as m), '[]'));
end
$$;
comment on function telltale.trace(text) is
  'One trace, null when there is none: {trace: {..., spans: [{span_id, ..., self_ms, process, service, instance,
clock_offset_us}] by start}, errors, messages: the first 1,000 each}. *_us are µs since the epoch as the reporters'' clocks
had them. Definer, see the head of this file.';
revoke all on function telltale.trace(text) from public, anon;
grant execute on function telltale.trace(text) to authenticated, service_role;

create function telltale.tail(cursor text default null, n integer default 100) returns jsonb
language plpgsql stable security definer
set search_path = ''
set timezone = 'UTC'
set jit = off
as $$
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
$$;
comment on function telltale.tail(text, integer) is
  'Traces whose head has ended, in the order in which they changed, oldest first: {rows, next}. A null cursor gives the last
n. A trace that changes again comes again with a greater revision; one that was committed late comes late, but it comes.
Definer, see the head of this file.';
revoke all on function telltale.tail(text, integer) from public, anon;
grant execute on function telltale.tail(text, integer) to authenticated, service_role;
