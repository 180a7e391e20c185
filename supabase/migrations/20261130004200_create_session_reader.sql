-- Sessions as a list, and the calls of one in order. Definer behind a first line that refuses non-members, as all readers.

create function telltale.sessions(filter jsonb default '{}', cursor text default null, n integer default 100) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
declare
  size integer;
  asked record;
  place jsonb;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, telltale.lens_keys());
  select * into asked from telltale.lens_range(filter);
  place := telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "key": ""}');
  execute format(
    'with session as (
      select t.session_key, min(t.session_rule) as rule, count(*) as calls,
        count(*) filter (where t.outcome in (''tool_error'', ''server_fault'', ''timeout'', ''interrupted'')) as errors,
        min(t.started_at) as first_at, max(t.started_at) as last_at, max(t.ended_at) as ended_at, sum(t.duration_ms) as ms,
        sum(t.wait_ms) as wait_ms, max(t.duration_ms) as most_ms,
        percentile_disc(0.5) within group (order by t.duration_ms) as p50_ms,
        (array_agg(t.trace_id order by t.duration_ms desc, t.trace_id))[1] as slowest,
        (array_agg(distinct t.tool))[1:5] as tools, count(distinct t.tool) as tool_count
      from telltale.traces as t where t.session_key is not null and %s
      group by t.session_key
    ), page as (
      select * from session
      where $1 is null or (last_at, session_key) < (telltale.at_of(($1 ->> ''us'')::bigint), $1 ->> ''key'' collate "C")
      order by last_at desc, session_key desc limit $2
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(jsonb_build_object(''session_key'', session_key, ''session_rule'', rule, ''calls'', calls,
        ''errors'', errors, ''started_at_us'', telltale.us_of(first_at), ''last_started_at_us'', telltale.us_of(last_at),
        ''ended_at_us'', telltale.us_of(ended_at), ''total_ms'', telltale.ms_of(ms), ''wait_ms'', telltale.ms_of(wait_ms),
        ''p50_ms'', telltale.ms_of(p50_ms), ''max_ms'', telltale.ms_of(most_ms), ''slowest_trace_id'', slowest,
        ''tools'', to_jsonb(tools), ''tool_count'', tool_count) order by last_at desc, session_key desc), ''[]''),
      ''next'', case when count(*) = $2 then telltale.cursor_of(jsonb_build_object(''us'', telltale.us_of(min(last_at)),
        ''key'', (array_agg(session_key order by last_at, session_key))[1])) end)
    from page', telltale.counted_where(filter, asked.since, asked.till)) into answer using place, size;
  return answer;
end
$$;
comment on function telltale.sessions(jsonb, text, integer) is
  'Sessions by their calls that match, the one with the latest call first: {rows: [{session_key, session_rule, calls, errors,
started_at_us, last_started_at_us, ended_at_us, total_ms, wait_ms, p50_ms, max_ms, slowest_trace_id, tools: up to 5 names,
tool_count}], next}. Filter: as traces; from is 15 minutes ago and to is now unless given. n is 1 to 1000. Definer, see the
file''s head; the first line refuses non-members with 42501.';
revoke all on function telltale.sessions(jsonb, text, integer) from public, anon;
grant execute on function telltale.sessions(jsonb, text, integer) to authenticated, service_role;

create function telltale.session_timeline(session text, cursor text default null, n integer default 100) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
  size integer;
  place jsonb;
  after_at timestamptz;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  if session is null then
    raise exception 'Cannot read session: it is null' using errcode = '22023', hint = 'session is the key of a session.';
  end if;
  place := telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^[0-9a-f]{32}$", "nth": "^[0-9]{1,9}$"}');
  after_at := telltale.at_of((place ->> 'us')::bigint);
  return (
    with page as (
      select t.* from telltale.traces as t
      where t.session_key = session_timeline.session
        and (place is null or (t.started_at, t.trace_id) > (after_at, place ->> 'id'))
        and (place is null or t.day >= (after_at at time zone 'UTC')::date - 1)
        and coalesce((select false from telltale.trace_joins as j where j.inner_trace_id = t.trace_id), true)
      order by t.started_at, t.trace_id limit size
    ), before as (
      -- The call that the last page ended with.
      select t.* from telltale.trace_days as d join telltale.traces as t on t.trace_id = d.trace_id and t.day = d.day
      where d.trace_id = place ->> 'id' and t.session_key = session_timeline.session
    ), placed as (
      select c.*, lag(trace_id) over w as before_id, lag(tool) over w as before_tool, lag(outcome) over w as before_outcome,
        lag(ended_at) over w as before_ended_at, lag(duration_ms is null) over w as before_open,
        row_number() over w - (select count(*) from before) + coalesce((place ->> 'nth')::bigint, 0) as nth
      from (select * from before union all select * from page) as c
      window w as (order by started_at, trace_id)
    ), call as (
      select *, case when not before_open then telltale.us_of(started_at) - telltale.us_of(before_ended_at) end as gap_us
      from placed where place is null or (started_at, trace_id) > (after_at, place ->> 'id')
    )
    select jsonb_build_object('session', session_timeline.session,
      'rules', coalesce((select jsonb_agg(distinct session_rule) from call), '[]'),
      'rows', coalesce(jsonb_agg(jsonb_build_object('trace_id', trace_id, 'call_number', coalesce(call_number, nth),
        'session_rule', session_rule, 'started_at_us', telltale.us_of(started_at), 'ended_at_us', telltale.us_of(ended_at),
        'duration_ms', duration_ms, 'wait_ms', wait_ms, 'name', name, 'tool', tool, 'provider', provider, 'model', model,
        'outcome', outcome, 'layers', layers,
        'overlap_ms', case when before_id is null then 0
          when before_open then duration_ms
          else telltale.ms_of(least(greatest(0, -gap_us), telltale.us_of(coalesce(ended_at, started_at)) - telltale.us_of(started_at)) / 1000.0::double precision)
          end,
        'previous', case when before_id is not null then jsonb_build_object('trace_id', before_id, 'tool', before_tool,
          'outcome', before_outcome, 'gap_ms', telltale.ms_of(gap_us / 1000.0::double precision),
          'running', before_open or before_ended_at > started_at) end) order by started_at, trace_id), '[]'),
      'next', case when count(*) = size then telltale.cursor_of((
        select jsonb_build_object('us', telltale.us_of(last.started_at), 'id', last.trace_id, 'nth', last.nth)
        from call as last order by last.started_at desc, last.trace_id desc limit 1)) end)
    from call
  );
end
$$;
comment on function telltale.session_timeline(text, text, integer) is
  'The calls of a session in order: {session, rules: by which its key was found, rows: [{trace_id, call_number (as recorded, else
ranked), session_rule, started_at_us, ended_at_us (its last span), duration_ms, wait_ms, name, tool, provider, model, outcome,
layers, overlap_ms: how long the call before it still ran beside it, previous: {trace_id, tool, outcome, gap_ms from its end,
negative where it still ran, null where it has not ended, running: whether it did}}], next}. What still runs has null for its
duration. n is 1 to 1000. Definer, see the file''s head; the first line refuses non-members with 42501.';
revoke all on function telltale.session_timeline(text, text, integer) from public, anon;
grant execute on function telltale.session_timeline(text, text, integer) to authenticated, service_role;
