-- What a page of the live view opens with, beside what is hot: LiveData in src/core/live_snapshot.ts, whose keys these are. Every
-- list is bounded. What reads partitions is in plpgsql, which plans once a session: planning costs more than the reading.
-- Definer behind a first line that refuses non-members, as the readers of traces.

create function telltale.cut_text(text text, bytes_max integer) returns text
language sql immutable strict parallel safe
set search_path = ''
as $$
  select case when octet_length(text) <= bytes_max then text else (
    -- No further than to the end of a character: the byte behind it does not continue one.
    select convert_from(substring(bytes from 1 for max(n)), 'UTF8')
    from generate_series(bytes_max - 3, bytes_max) as n
    where get_byte(bytes, n) & 192 <> 128
    group by bytes)
  end
  from convert_to(text, 'UTF8') as bytes
$$;
comment on function telltale.cut_text(text, integer) is
  'The text, or as many of its first characters as fit into so many bytes (at least 4).';
revoke all on function telltale.cut_text(text, integer) from public, anon;
grant execute on function telltale.cut_text(text, integer) to authenticated, service_role;

create function telltale.is_alive(p telltale.processes) returns boolean
language sql stable
set search_path = ''
as $$ select p.renewed_at > telltale.clock() - greatest(60000, 4 * p.pace_ms) * interval '1 millisecond' $$;
comment on function telltale.is_alive(telltale.processes) is
  'Whether what a process lists still runs, as far as anybody knows: it was renewed within 60 s or four flushes.';
revoke all on function telltale.is_alive(telltale.processes) from public, anon, authenticated, service_role;

create function telltale.live_minutes(minutes integer) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
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
$$;
comment on function telltale.live_minutes(integer) is
  'The last so many minutes (0 to 60, else it raises 22023) and from the current one on, oldest first: [{minute: s since the epoch,
series}], those in which something was counted, of all sources together. Definer: part of live_data.';
revoke all on function telltale.live_minutes(integer) from public, anon, authenticated, service_role;

create function telltale.live_running() returns jsonb
language sql stable security definer
set search_path = ''
as $$
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
$$;
comment on function telltale.live_running() is
  '[ProcessRunning] of the living, the last renewed first: 100 processes, those that run something before those that do not
(whose empty list ends what an older one says), 100 calls of each; total is the true number. Definer: part of live_data.';
revoke all on function telltale.live_running() from public, anon, authenticated, service_role;

create function telltale.live_sessions() returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
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
$$;
comment on function telltale.live_sessions() is
  '[ActiveSession], the last active first: 50 of the sessions in which a call ended in the last ten minutes (as far as the
newest 500 calls tell) or runs now. calls and tokens are those of the last day, at most 1,000 calls; tool and model are
those last used, client is who called last, where its recorder knows. Definer: part of live_data.';
revoke all on function telltale.live_sessions() from public, anon, authenticated, service_role;

create function telltale.live_gauges() returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
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
$$;
comment on function telltale.live_gauges() is
  '[LiveGauge] by name: the last value of 200 series (process, name, labels) that were sampled in the last ten minutes.
Definer: part of live_data.';
revoke all on function telltale.live_gauges() from public, anon, authenticated, service_role;

create function telltale.live_ended() returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
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
$$;
comment on function telltale.live_ended() is
  '[EndedTrace], newest first: the 50 ended traces that changed last. at_us is when the head ended, as far as it is the first
span to start. Definer: part of live_data.';
revoke all on function telltale.live_ended() from public, anon, authenticated, service_role;

create function telltale.live_errors() returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
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
$$;
comment on function telltale.live_errors() is
  '[LiveError], newest first: the last 20, their tracebacks cut to 4 KB. Definer: part of live_data.';
revoke all on function telltale.live_errors() from public, anon, authenticated, service_role;

create function telltale.live_batches() returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('batch_id', b.batch_id, 'service', s.service, 'environment', s.environment,
    'received_at_us', telltale.us_of(b.received_at), 'records', (
      select coalesce(sum(n.value::bigint), 0) from jsonb_each_text(b.ack -> 'accepted') as n))
    order by b.received_at desc, b.batch_id), '[]')
  from (select * from telltale.batches order by received_at desc limit 50) as b
  join telltale.processes as p on p.process_id = b.process_id
  join telltale.sources as s on s.source_id = p.source_id
$$;
comment on function telltale.live_batches() is
  '[RecentBatch], newest first: the last 50; records are those accepted. Definer: part of live_data.';
revoke all on function telltale.live_batches() from public, anon, authenticated, service_role;

create function telltale.ingest_lag() returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select case when count(*) > 0 then
    jsonb_build_object('p50', percentile_disc(0.5) within group (order by ms), 'max', max(ms)) end
  from (
    -- A clock that is off by seconds is set right; below that the offset may as well be the way here.
    select greatest(0, round(extract(epoch from b.received_at - b.made_at) * 1000
      - case when abs(p.clock_offset_us) > 1000000 then p.clock_offset_us / 1000.0 else 0 end, 3)) as ms
    from telltale.batches as b join telltale.processes as p on p.process_id = b.process_id
    where b.received_at > telltale.clock() - interval '1 minute'
  ) as lag
$$;
comment on function telltale.ingest_lag() is
  '{p50, max} in ms from when a batch was made to when it was stored, over the last minute; null without any. Definer: part of
live_data.';
revoke all on function telltale.ingest_lag() from public, anon, authenticated, service_role;

create function telltale.live_data(viewer_id uuid default null, minutes integer default 60, present integer default 0) returns jsonb
language plpgsql volatile security definer
set search_path = ''
set jit = off
as $$
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
$$;
comment on function telltale.live_data(uuid, integer, integer) is
  'LiveData (src/core/live_snapshot.ts): at_us, minutes, running, sessions, gauges, ended, errors, batches, ingest_lag_ms, gaps (of the
processes heard of in the last day), last_received_at_us, real. `minutes` says how far back the minutes go: a page that has
them asks for fewer. Notes that the page viewer_id looks, as see() does, where one
is given and the token names a user. Definer, see the head of this file; the first line refuses non-members with 42501.';
revoke all on function telltale.live_data(uuid, integer, integer) from public, anon;
grant execute on function telltale.live_data(uuid, integer, integer) to authenticated, service_role;
