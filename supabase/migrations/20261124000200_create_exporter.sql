-- Reading everything that is stored, record by record, oldest first: what `telltale export` walks through. Pages are bounded
-- by rows, and those of traces by their spans too, so that none is larger than one trace may be.

create index gauges_by_time on telltale.gauges (at);

create function telltale.export_page(kind text, filter jsonb default '{}', cursor text default null, n integer default 100)
returns jsonb
language plpgsql stable security definer
set search_path = ''
set timezone = 'UTC'
set jit = off
as $$
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
  place := telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "."}');
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
$$;
comment on function telltale.export_page(text, jsonb, text, integer) is
  'All that is stored of one kind (traces, errors, messages, gauges), oldest first, as it was recorded: {rows, processes: {id:
{source, process}} of all that the rows name, next: null at the end}. At most n rows, 1 to 1000, and 10,000 spans unless one
trace alone has more. Filter: from, to, environment, service, and for traces what traces() takes. Definer: as the readers of
traces, the first line refuses non-members with 42501.';
revoke all on function telltale.export_page(text, jsonb, text, integer) from public, anon;
grant execute on function telltale.export_page(text, jsonb, text, integer) to authenticated, service_role;

create function telltale.export_row(t telltale.traces) returns jsonb
language sql stable security definer
set search_path = ''
as $$ select jsonb_build_object('trace_id', t.trace_id, 'spans', t.spans) $$;
comment on function telltale.export_row(telltale.traces) is 'A trace as export_page answers it. Definer: part of export_page.';
revoke all on function telltale.export_row(telltale.traces) from public, anon, authenticated, service_role;

create function telltale.export_row(t telltale.errors) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select to_jsonb(t) - array['day', 'at', 'fingerprint', 'culprit'] || jsonb_build_object('at_us', telltale.us_of(t.at))
$$;
comment on function telltale.export_row(telltale.errors) is 'An error as export_page answers it. Definer: part of export_page.';
revoke all on function telltale.export_row(telltale.errors) from public, anon, authenticated, service_role;

create function telltale.export_row(t telltale.messages) returns jsonb
language sql stable security definer
set search_path = ''
as $$ select to_jsonb(t) - array['day', 'at'] || jsonb_build_object('at_us', telltale.us_of(t.at)) $$;
comment on function telltale.export_row(telltale.messages) is
  'A message as export_page answers it. Definer: part of export_page.';
revoke all on function telltale.export_row(telltale.messages) from public, anon, authenticated, service_role;

create function telltale.export_row(t telltale.gauges) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select to_jsonb(t) - array['day', 'at', 'labels_hash'] || jsonb_build_object('at_us', telltale.us_of(t.at))
$$;
comment on function telltale.export_row(telltale.gauges) is 'A gauge as export_page answers it. Definer: part of export_page.';
revoke all on function telltale.export_row(telltale.gauges) from public, anon, authenticated, service_role;

create function telltale.export_process_ids(t anyelement) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select case when to_jsonb(t) ? 'spans'
    then (select jsonb_agg(distinct s.value -> 'process') from jsonb_each(to_jsonb(t) -> 'spans') as s)
    else jsonb_build_array(to_jsonb(t) -> 'process_id') end
$$;
comment on function telltale.export_process_ids(anyelement) is
  'The processes that a row names: its own, or those of its spans. Definer: part of export_page.';
revoke all on function telltale.export_process_ids(anyelement) from public, anon, authenticated, service_role;

create function telltale.export_processes(ids jsonb) returns jsonb
language sql stable security definer
set search_path = ''
as $$
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
$$;
comment on function telltale.export_processes(jsonb) is
  '{process id: {source, process}} of the processes in an array of arrays of ids. Definer: part of export_page.';
revoke all on function telltale.export_processes(jsonb) from public, anon, authenticated, service_role;
