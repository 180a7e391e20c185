-- What a verdict is reached from (src/core/why/why_data.ts). SQL gathers, the pure engine decides. Definer behind a first
-- line that refuses non-members, as the readers of traces.

create function telltale.why_region_of(filter jsonb) returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  region jsonb := filter -> 'region';
begin
  if coalesce(jsonb_typeof(region), 'null') = 'null' then
    return null;
  end if;
  perform telltale.check_filter(region, array['from', 'to', 'min_ms', 'max_ms']);
  if telltale.instant_of(region, 'from') >= telltale.instant_of(region, 'to')
    or telltale.number_in(region, 'min_ms') >= telltale.number_in(region, 'max_ms') then
    raise exception 'Cannot read filter: region is empty'
      using errcode = '22023', hint = 'from is before to, and min_ms below max_ms.';
  end if;
  return jsonb_build_object('from_us', coalesce(telltale.us_of(telltale.instant_of(region, 'from')), 0),
    'to_us', coalesce(telltale.us_of(telltale.instant_of(region, 'to')), 8640000000000000),
    'min_ms', coalesce(telltale.number_in(region, 'min_ms'), 0), 'max_ms', telltale.number_in(region, 'max_ms'));
end
$$;
comment on function telltale.why_region_of(jsonb) is
  'The region of a heatmap under `region` of a filter: {from_us, to_us, min_ms, max_ms}, null when absent; raises 22023 for an
empty one.';
revoke all on function telltale.why_region_of(jsonb) from public, anon;
grant execute on function telltale.why_region_of(jsonb) to authenticated, service_role;

create function telltale.why_question_of(filter jsonb) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_trace text := telltale.root_trace_of(lower(filter ->> 'trace_id'));
  v_call bigint := telltale.whole_number_in(filter, 'call_number');
  v_above numeric := telltale.number_in(filter, 'above_ms');
  v_after timestamptz := telltale.instant_of(filter, 'after');
  v_till timestamptz := telltale.instant_of(filter, 'to');
  v_since timestamptz := telltale.instant_of(filter, 'from');
  v_newest timestamptz;
begin
  if num_nonnulls(v_trace, v_call, v_above, v_after, telltale.why_region_of(filter)) > 1 then
    raise exception 'Cannot read filter: it names the slow calls in more than one way'
      using errcode = '22023', hint = 'Give one of call_number, after, above_ms, trace_id and region, or none to have them found.';
  end if;
  if v_call < 1 then
    raise exception 'Cannot read filter: call_number is %', v_call using errcode = '22023', hint = 'Calls are numbered from 1.';
  end if;
  if v_trace is not null then
    select t.started_at into v_newest from telltale.traces as t join telltale.trace_days as d
      on d.trace_id = t.trace_id and d.day = t.day where t.trace_id = v_trace;
    if v_newest is null then
      raise exception 'Cannot read filter: no trace has the id %', to_json(left(filter ->> 'trace_id', 100))
        using errcode = '22023', hint = '32 hex digits, as traces() lists them.';
    end if;
    v_till := coalesce(v_till, v_newest + interval '1 hour');
  end if;
  v_till := coalesce(v_till, telltale.clock() + interval '1 day');
  if v_newest is null then
    select max(t.started_at) into v_newest from telltale.traces as t
    where t.started_at < v_till and t.day <= (v_till at time zone 'UTC')::date + 1;
  end if;
  -- A day of what there is, however long ago.
  v_since := coalesce(v_since, least(v_till, coalesce(v_newest, telltale.clock()), v_after) - interval '1 day');
  if v_since >= v_till then
    raise exception 'Cannot read filter: from is not before to' using errcode = '22023', hint = 'from is before to.';
  end if;
  return jsonb_build_object('call_number', v_call, 'after_us', telltale.us_of(v_after), 'above_ms', v_above,
    'trace_id', v_trace, 'region', telltale.why_region_of(filter), 'from_us', telltale.us_of(v_since),
    'to_us', telltale.us_of(v_till));
end
$$;
comment on function telltale.why_question_of(jsonb) is
  'WhyQuestion of a filter. Without `from` the range begins a day before the newest call of it, before `after`, or before the
call asked about; without `to` it has no end. Definer: part of the readers.';
revoke all on function telltale.why_question_of(jsonb) from public, anon, authenticated, service_role;

create function telltale.why_traces(filter jsonb, question jsonb, traces_max integer, spans_max integer)
returns table (matched bigint, call jsonb, spans jsonb)
language plpgsql stable security definer rows 5000
set search_path = ''
set jit = off
set work_mem = '64MB'
as $$
declare
  v_since timestamptz := telltale.at_of((question -> 'from_us')::bigint);
  v_till timestamptz := telltale.at_of((question -> 'to_us')::bigint);
  v_region jsonb := nullif(question -> 'region', 'null');
  -- What the question calls slow, so that few of many stay in the sample; null where the engine has to find them.
  v_slow text := case
    when question ->> 'call_number' is not null then format('n.number = %s', (question -> 'call_number')::bigint)
    when question ->> 'after_us' is not null then format('n.us >= %s', (question -> 'after_us')::bigint)
    when question ->> 'above_ms' is not null then format('n.duration_ms > %s', (question -> 'above_ms')::numeric)
    when question ->> 'trace_id' is not null then format('n.trace_id = %L', question ->> 'trace_id')
    when v_region is not null then format('n.us >= %s and n.us < %s and n.duration_ms >= %s and n.duration_ms < %s',
      (v_region -> 'from_us')::bigint, (v_region -> 'to_us')::bigint, (v_region -> 'min_ms')::numeric,
      coalesce(v_region ->> 'max_ms', '1e300'))
    else 'false' end;
begin
  return query execute format(
    'with every as materialized (
      -- Also what does not match: a call may have waited for one of another tool. An id is a place in the order of starts.
      select row_number() over (order by at, trace_id) as id, l.* from (
        -- As us_of, in floating point, which has room for µs until the year 2255: of this many the difference shows.
        select t.trace_id, t.day, t.started_at as at, round(date_part(''epoch'', t.started_at) * 1e6)::bigint as us, t.duration_ms, t.outcome, t.tool,
          t.session_key, t.process_id, t.call_number, t.span_count, t.sampled is null as whole,
          t.started_at >= %1$L and t.duration_ms is not null and (%3$s) as matching
        from telltale.traces as t
        where t.started_at >= %1$L::timestamptz - interval ''1 hour'' and t.started_at < %2$L
          and t.day between (%1$L::timestamptz at time zone ''UTC'')::date - 1 and (%2$L::timestamptz at time zone ''UTC'')::date + 1
          and coalesce((select false from telltale.trace_joins as j where j.inner_trace_id = t.trace_id), true)
        order by t.started_at desc, t.trace_id desc limit 200000
      ) as l
    ), in_session as materialized (
      select session_key, array_agg(id order by id) as ids from every where session_key is not null group by session_key
    ), in_process as materialized (
      select process_id, array_agg(id order by id) as ids from every group by process_id
    ), in_end as materialized (
      select process_id, array_agg(us + (duration_ms * 1000)::bigint order by us + (duration_ms * 1000)::bigint) as ends
      from every where duration_ms is not null group by process_id
    ), tools as (
      select exists (select from every where matching and tool is not null) as called
    ), earlier as (
      select s.session_key, (
        select count(*) from (
          select from telltale.traces as o
          where o.session_key = s.session_key and o.started_at < %1$L::timestamptz - interval ''1 hour''
            and o.day between (%1$L::timestamptz at time zone ''UTC'')::date - 2 and (%1$L::timestamptz at time zone ''UTC'')::date
          limit 100000) as listed) as n
      from (select distinct session_key from every
        where matching and call_number is null and session_key is not null) as s
    ), marked as materialized (
      select n.id, n.trace_id, n.span_count, n.whole, n.number, coalesce(%4$s, false) as slow,
        hashtextextended(n.trace_id, 0) as lot
      from (
        select e.*, coalesce(e.call_number, width_bucket(e.id, s.ids) + earlier.n) as number
        from every as e cross join tools
        left join in_session as s on s.session_key = e.session_key
        left join earlier on earlier.session_key = e.session_key
        -- Listing tools and saying hello are no calls, where there are calls.
        where e.matching and (e.tool is not null or not tools.called)
      ) as n
    ), cohorts as (
      select count(*) as total, count(*) filter (where slow) as slow, count(*) filter (where slow and whole) as slow_whole,
        count(*) filter (where not slow and whole) as other_whole
      from marked
    ), drawn as (
      -- Half of the places for each side, and what one side leaves for the other. What has lost its spans to sampling tells
      -- nothing, but counts with those that stand for it.
      (select * from marked where slow and whole order by lot, trace_id
        limit (select greatest(%5$s / 2, %5$s - other_whole) from cohorts))
      union all
      (select * from marked where not slow and whole order by lot, trace_id
        limit (select greatest(%5$s / 2, %5$s - slow_whole) from cohorts))
    ), lined as (
      select d.*, row_number() over by_lot as place, sum(span_count) over by_lot as spans_so_far
      from drawn as d window by_lot as (partition by slow order by lot, trace_id)
    ), chosen as materialized (
      select l.id, l.number, k.total, (case when l.slow then k.slow else k.total - k.slow end)::double precision
        / count(*) over (partition by l.slow) as weight
      from lined as l cross join cohorts as k
      where l.spans_so_far <= %6$s / 2 or l.place = 1
    ), placed as materialized (
      select c.*, e.trace_id, e.day, e.at, e.us, e.duration_ms, e.outcome, e.tool, e.session_key, e.process_id,
        p.place - 1 - width_bucket(e.us, x.ends) as running, p.ids[p.place - 1] as before, s.ids[width_bucket(e.id, s.ids) - 1] as previous
      from chosen as c join every as e on e.id = c.id
      join in_end as x on x.process_id = e.process_id
      join lateral (select r.ids, width_bucket(e.id, r.ids) as place from in_process as r where r.process_id = e.process_id) as p on true
      left join in_session as s on s.session_key = e.session_key
    ), whole as (
      select j.root, j.spans from telltale.joined_spans_of(array(
        select c.trace_id from placed as c join telltale.trace_joins as j on j.outer_trace_id = c.trace_id group by 1)) as j
    )
    select c.total, jsonb_build_object(
      ''trace_id'', c.trace_id, ''started_us'', c.us, ''duration_ms'', c.duration_ms, ''outcome'', c.outcome, ''tool'', c.tool,
      ''provider'', t.provider, ''model'', t.model, ''session_key'', c.session_key, ''session_rule'', t.session_rule,
      ''call_number'', c.number, ''bytes_in'', t.bytes_in, ''bytes_out'', t.bytes_out, ''tokens_in'', t.tokens_in,
      ''tokens_out'', t.tokens_out, ''process'', c.process_id, ''running'', c.running, ''weight'', c.weight,
      ''previous'', case when p.id is not null then jsonb_build_object(
        ''trace_id'', p.trace_id, ''tool'', p.tool, ''outcome'', p.outcome, ''gap_ms'', (c.us - p.us) / 1000.0 - p.duration_ms) end,
      ''before'', case when b.id is not null then jsonb_build_object(
        ''trace_id'', b.trace_id, ''tool'', b.tool, ''outcome'', b.outcome, ''gap_ms'', (c.us - b.us) / 1000.0 - b.duration_ms) end),
      coalesce(w.spans, t.spans)
    from placed as c
    -- By its key: few of many are wanted.
    cross join lateral (select * from telltale.traces as own where own.trace_id = c.trace_id and own.day = c.day limit 1) as t
    left join every as p on p.id = c.previous
    left join every as b on b.id = c.before
    left join whole as w on w.root = c.trace_id
    order by c.at, c.trace_id',
    v_since, v_till,
    'true' || telltale.matching(filter, 'tool', 't.tool') || telltale.matching(filter, 'provider', 't.provider')
      || telltale.matching(filter, 'model', 't.model') || telltale.matching(filter, 'session', 't.session_key')
      || telltale.processes_where(filter),
    v_slow, traces_max, spans_max);
end
$$;
comment on function telltale.why_traces(jsonb, jsonb, integer, integer) is
  'The ended calls that a filter and its question mean, by start: how many match, and of at most traces_max of them (and about
spans_max spans) WhyTrace without its spans, and the spans, joined ones included. Beyond that a sample by the hash of the
trace id, the same each time, half of it for the calls that the question names; of a range with more than 200,000 traces the
latest. Predecessors and what ran are told among all traces from an hour before the range on. Definer: part of the readers.';
revoke all on function telltale.why_traces(jsonb, jsonb, integer, integer) from public, anon, authenticated, service_role;

create function telltale.why_data(filter jsonb default '{}', traces_max integer default 3000) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  question jsonb;
  answer jsonb;
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['call_number', 'after', 'above_ms', 'trace_id', 'region', 'from', 'to', 'tool',
    'provider', 'model', 'session', 'service', 'environment']);
  if coalesce(traces_max, 0) not between 1 and 5000 then
    raise exception 'Cannot gather: traces_max is %', traces_max using errcode = '22023', hint = 'traces_max is from 1 to 5000.';
  end if;
  question := telltale.why_question_of(filter);
  with listed as materialized (
    select * from telltale.why_traces(filter, question, traces_max, 40 * traces_max)
  ), heard as (
    select distinct s.value ->> 'process' as process from listed cross join lateral jsonb_each(listed.spans) as s
    union
    select distinct listed.call ->> 'process' from listed
  )
  select jsonb_build_object('question', question, 'matched', coalesce(max(listed.matched), 0),
    'traces', coalesce(jsonb_agg(listed.call || jsonb_build_object('spans', listed.spans)), '[]'),
    'processes', (
      select coalesce(jsonb_object_agg(p.process_id, jsonb_build_object('service', s.service, 'environment', s.environment,
        'instance', s.instance, 'version', p.version, 'host', p.host, 'started_us', telltale.us_of(p.started_at))), '{}')
      from heard join telltale.processes as p on p.process_id = heard.process::uuid
      join telltale.sources as s on s.source_id = p.source_id))
  into answer from listed;
  return answer;
end
$$;
comment on function telltale.why_data(jsonb, integer) is
  'WhyData (src/core/why/why_data.ts): the question, how many calls match, up to traces_max of them with their spans, and the
processes that recorded them. Filter: one of call_number, after (ISO 8601 or µs), above_ms, trace_id, region {from, to, min_ms,
max_ms}, or none, says which calls are the slow ones; from, to, tool, provider, model, session, service, environment say
among which. Definer, see the head of this file; the first line refuses non-members with 42501.';
revoke all on function telltale.why_data(jsonb, integer) from public, anon;
grant execute on function telltale.why_data(jsonb, integer) to authenticated, service_role;
