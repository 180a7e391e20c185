-- One request that two recorders saw, when nothing carried the trace context from one to the other: two traces, joined by
-- inference. And the clocks of processes, as the spans that hang on one another tell how far they are apart.
-- A join hides the inner trace from lists and shows its spans in the outer one; the rows themselves stay as they came.

create table telltale.trace_joins (
  inner_trace_id text collate "C" primary key,
  outer_trace_id text collate "C" not null,
  outer_span_id text not null,
  rule text not null,
  day date not null,
  joined_at timestamptz not null default telltale.clock(),
  summed_at timestamptz,
  constraint trace_joins_are_of_two check (inner_trace_id <> outer_trace_id),
  constraint trace_joins_have_a_rule check (rule in ('arguments', 'session'))
);
create index trace_joins_by_outer on telltale.trace_joins (outer_trace_id);
create index trace_joins_by_day on telltale.trace_joins (day);
comment on table telltale.trace_joins is
  'Two traces that are one request: inferred, for no trace context went from one recorder to the other.';
comment on column telltale.trace_joins.inner_trace_id is 'The trace of the recorder further in.';
comment on column telltale.trace_joins.outer_trace_id is 'The trace that it is shown in.';
comment on column telltale.trace_joins.outer_span_id is 'The span there that the inner trace hangs on.';
comment on column telltale.trace_joins.rule is
  'What they have in common beside tool and overlap in time: arguments (their salted hash), or session.';
comment on column telltale.trace_joins.day is 'The partition of the outer trace; the join is kept as long.';
comment on column telltale.trace_joins.joined_at is 'When it was inferred.';
comment on column telltale.trace_joins.summed_at is 'When the outer row last summed up both; null before the first time.';

create table telltale.clock_shifts (
  process_id uuid not null,
  reference_process_id uuid not null,
  shift_us bigint not null,
  width_us bigint not null,
  samples bigint not null default 1,
  measured_at timestamptz not null default telltale.clock(),
  primary key (process_id, reference_process_id)
);
create index clock_shifts_by_time on telltale.clock_shifts (measured_at);
comment on table telltale.clock_shifts is
  'How far the clock of a process is from that of the process that calls it, as spans inside spans tell.';
comment on column telltale.clock_shifts.process_id is 'The process whose times are to be shifted.';
comment on column telltale.clock_shifts.reference_process_id is 'The process that called it, whose clock the times are shifted to.';
comment on column telltale.clock_shifts.shift_us is 'What to add to its times, in µs; 0 where the clocks may as well agree.';
comment on column telltale.clock_shifts.width_us is 'How far off the shift may be at most, in µs, each way.';
comment on column telltale.clock_shifts.samples is 'How many pairs of spans were looked at.';
comment on column telltale.clock_shifts.measured_at is 'When the pair that it rests on was looked at.';

alter table telltale.trace_joins enable row level security;
alter table telltale.clock_shifts enable row level security;
revoke all on telltale.trace_joins, telltale.clock_shifts from public, anon, authenticated, service_role;
grant select on telltale.trace_joins, telltale.clock_shifts to authenticated, service_role;
create policy trace_joins_read on telltale.trace_joins for select to authenticated using ((select telltale.is_reader()));
create policy clock_shifts_read on telltale.clock_shifts for select to authenticated using ((select telltale.is_reader()));

create function telltale.root_trace_of(trace_id text) returns text
language sql stable security definer
set search_path = ''
as $$
  with recursive up as (
    select root_trace_of.trace_id collate "C" as id, 0 as height
    union all
    select j.outer_trace_id, up.height + 1 from up join telltale.trace_joins as j on j.inner_trace_id = up.id
    where up.height < 8
  )
  select id from up order by height desc limit 1
$$;
comment on function telltale.root_trace_of(text) is
  'The outermost trace that a trace is joined into, itself where it is in none. Definer: part of the readers.';
revoke all on function telltale.root_trace_of(text) from public, anon, authenticated, service_role;

create function telltale.joined_members(root text)
returns table (trace_id text, outer_span_id text, rule text, day date)
language sql stable security definer rows 2
set search_path = ''
as $$
  with recursive down as (
    select root collate "C" as id, null::text as outer_span_id, null::text as rule, 0 as depth
    union all
    select j.inner_trace_id, j.outer_span_id, j.rule, down.depth + 1
    from down join telltale.trace_joins as j on j.outer_trace_id = down.id
    where down.depth < 8
  )
  select down.id, down.outer_span_id, down.rule, d.day from down
  join telltale.trace_days as d on d.trace_id = down.id
  order by down.depth, down.id limit 100
$$;
comment on function telltale.joined_members(text) is
  'A trace and all that is joined into it: at most 100, outermost first, with the span that each hangs on. Definer: part of the
readers.';
revoke all on function telltale.joined_members(text) from public, anon, authenticated, service_role;

create function telltale.joined_spans_of(roots text[]) returns table (root text, spans jsonb)
language plpgsql stable security definer
set search_path = ''
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
  return query
  with recursive down as (
    select r.id collate "C" as root, r.id collate "C" as id, null::text as outer_span_id, null::text as rule, 0 as depth
    from unnest(roots) as r(id)
    union all
    select down.root, j.inner_trace_id, j.outer_span_id, j.rule, down.depth + 1
    from down join telltale.trace_joins as j on j.outer_trace_id = down.id
    where down.depth < 8
  ), member as (
    select *, row_number() over (partition by root order by depth, id) as place from down
  )
  select m.root, jsonb_object_agg(s.key, case
    when m.outer_span_id is null then s.value
    -- What hung on nothing hangs on the outer recorder's span; and that is the one that counts as entry.
    when nullif(s.value ->> 'parent_span_id', s.key) is null or not t.spans ? (s.value ->> 'parent_span_id')
    then s.value - 'entry' || jsonb_build_object('parent_span_id', m.outer_span_id, 'inferred', m.rule)
    else s.value - 'entry' end)
  from member as m
  join telltale.trace_days as d on d.trace_id = m.id
  join telltale.traces as t on t.trace_id = m.id and t.day = d.day
  cross join lateral jsonb_each(t.spans) as s
  where m.place <= 100
  group by m.root;
end
$$;
comment on function telltale.joined_spans_of(text[]) is
  'The spans of each of these traces and of all that is joined into it (at most 100), as stored; a span that hangs on its parent
by inference says by which rule in `inferred`. All at once: planning for partitions costs more than reading. Definer: part of
the readers and of the tick.';
revoke all on function telltale.joined_spans_of(text[]) from public, anon, authenticated, service_role;

create function telltale.joined_spans(root text) returns jsonb
language sql stable security definer
set search_path = ''
as $$ select s.spans from telltale.joined_spans_of(array[root]) as s $$;
comment on function telltale.joined_spans(text) is 'joined_spans_of one trace. Definer: part of the readers.';
revoke all on function telltale.joined_spans(text) from public, anon, authenticated, service_role;

create function telltale.head_key(spans jsonb) returns text
language sql immutable parallel safe
set search_path = ''
as $$
  select s.key from jsonb_each(spans) as s
  order by (s.value -> 'entry' = 'true') desc nulls last,
    (nullif(s.value ->> 'parent_span_id', s.key) is null or not spans ? (s.value ->> 'parent_span_id')) desc,
    (s.value -> 'start_us')::bigint, s.key collate "C"
  limit 1
$$;
comment on function telltale.head_key(jsonb) is 'The id of the head span: the first entry, else the first root, else the first.';
revoke all on function telltale.head_key(jsonb) from public, anon, authenticated, service_role;

create function telltale.inferred_joins(since timestamptz, n integer default 1000)
returns table (inner_trace_id text, outer_trace_id text, outer_span_id text, rule text, day date)
language plpgsql stable security definer rows 10
set search_path = ''
as $$
#variable_conflict use_column
begin
  return query
  with fresh as materialized (
    select t.trace_id, t.day, t.tool, t.session_key, t.process_id, t.duration_ms, t.spans, t.started_at, t.ended_at
    from telltale.traces as t
    where t.changed_at > since and t.duration_ms is not null and t.tool is not null
    order by t.changed_at desc limit n
  ), recent as materialized (
    select trace_id, day, tool, session_key, process_id, duration_ms, spans from fresh
    union
    -- Of a call that lasted long the other recorder may have seen the end long ago: one that gave it up, say.
    select long_ago.* from (select * from fresh where duration_ms > 30000 order by ended_at desc limit 20) as f
    cross join lateral (
      select t.trace_id, t.day, t.tool, t.session_key, t.process_id, t.duration_ms, t.spans from telltale.traces as t
      where t.tool = f.tool and t.process_id <> f.process_id and t.duration_ms is not null and t.changed_at <= since
        and t.started_at between f.started_at - interval '15 minutes' and f.ended_at
        and t.day between f.day - 1 and f.day + 1
      order by t.started_at desc limit 32) as long_ago
  ), head as materialized (
    select r.trace_id, r.day, r.tool, r.session_key, r.process_id, r.duration_ms, key.id as span_id, s.environment,
      s.service, p.host, coalesce(p.clock_offset_us, 0) as offset_us,
      h.value ->> 'layer' as layer, h.value -> 'entry' = 'true' as entry,
      array_position(array['shim', 'websocket', 'tool', 'provider', 'api', 'storage'], h.value ->> 'layer') as depth,
      h.value -> 'attributes' ->> 'telltale.argument_hash' as arguments,
      (h.value -> 'start_us')::bigint as start_us, (h.value -> 'end_us')::bigint as end_us,
      (select j.outer_trace_id from telltale.trace_joins as j where j.inner_trace_id = r.trace_id) as held_by,
      (select array_agg(t.process_id) from telltale.trace_joins as j
        join telltale.trace_days as d on d.trace_id = j.inner_trace_id
        join telltale.traces as t on t.trace_id = d.trace_id and t.day = d.day
        where j.outer_trace_id = r.trace_id) as holds
    from recent as r
    cross join lateral (select telltale.head_key(r.spans)) as key(id)
    cross join lateral (select r.spans -> key.id) as h(value)
    join telltale.processes as p on p.process_id = r.process_id
    join telltale.sources as s on s.source_id = p.source_id
    where not h.value ? 'parent_span_id' or not r.spans ? (h.value ->> 'parent_span_id')
  ), placed as materialized (
    -- So many alike of one process are compared at a time, those without a partner first: what is compared is bounded.
    select *,
      row_number() over (partition by environment, tool, arguments, process_id
        order by held_by is not null, start_us desc, trace_id) as inner_by_arguments,
      row_number() over (partition by environment, tool, arguments, process_id
        order by holds is not null, start_us desc, trace_id) as outer_by_arguments,
      row_number() over (partition by environment, tool, session_key, process_id
        order by held_by is not null, start_us desc, trace_id) as inner_by_session,
      row_number() over (partition by environment, tool, session_key, process_id
        order by holds is not null, start_us desc, trace_id) as outer_by_session
    from head
  ), evidence as (
    select i, o, 0 as grade, 'arguments' as rule
    from placed as i join placed as o on o.environment = i.environment and o.tool = i.tool and o.arguments = i.arguments
    where o.process_id <> i.process_id and i.inner_by_arguments <= 32 and o.outer_by_arguments <= 32
    union all
    select i, o, 1, 'session'
    from placed as i join placed as o on o.environment = i.environment and o.tool = i.tool and o.session_key = i.session_key
    where o.process_id <> i.process_id and i.inner_by_session <= 32 and o.outer_by_session <= 32
      and (o.arguments = i.arguments) is not true
      -- The hashes of two services may be of two keys.
      and (o.arguments is null or i.arguments is null or o.service <> i.service)
  ), fitting as (
    select (e.i).trace_id as inside, (e.o).trace_id as outside, (e.o).span_id, e.grade, e.rule, (e.o).day,
      (e.o).depth as outer_depth, (e.i).depth as inner_depth, (e.i).service,
      -- Of two that began as near, the one that it also ended in.
      abs((e.i).start_us + gap.us - (e.o).start_us) + greatest(0, over.us) as distance
    from evidence as e
    -- Two clocks of one machine are one; of two machines they are known to about the time that a batch takes.
    cross join lateral (select
      case when (e.i).host is not distinct from (e.o).host then 0 else (e.i).offset_us - (e.o).offset_us end as us,
      case when (e.i).host is not distinct from (e.o).host then 2000 else 2000000 end as slack) as gap
    cross join lateral (select (e.i).end_us + gap.us - (e.o).end_us - gap.slack) as over(us)
    where (e.o).entry
      and ((e.o).depth < (e.i).depth
        -- A tap beside its server. Two servers of one service that work on the same question are two requests.
        or ((e.o).layer = (e.i).layer and (e.o).service = (e.i).service and (e.o).host is not distinct from (e.i).host
          and (e.o).duration_ms > (e.i).duration_ms and over.us <= 0))
      -- Begun while the outer one ran. It may end later: a shim that reads a frame too many answers too soon.
      and (e.i).start_us + gap.us between (e.o).start_us - gap.slack and (e.o).end_us + gap.slack
        -- By then its frame may still be on the way.
        + case when e.grade = 0 then 250000 else 0 end
      -- In nothing yet; or in the same as the outer one, which was heard of later than what it called.
      and ((e.i).held_by is null or (e.i).held_by = (e.o).held_by)
      and (e.i).process_id <> all (coalesce((e.o).holds, '{}'))
  ), ranked as (
    select *,
      row_number() over (partition by inside order by grade, outer_depth desc nulls last, distance, outside) as outer_rank,
      row_number() over (partition by outside, service, inner_depth order by grade, distance, inside) as inner_rank
    from fitting
  )
  -- Each is the other's best: what is left over finds its own at the next turn. Never in a circle: times may have changed.
  select inside, outside, span_id, rule, day from ranked
  where outer_rank = 1 and inner_rank = 1 and telltale.root_trace_of(outside) <> inside;
end
$$;
comment on function telltale.inferred_joins(timestamptz, integer) is
  'Which of the n traces that changed last, since an instant, are one request seen by two recorders: same environment and tool,
begun while the other ran, further in by its layer (or shorter and inside it, of one layer, service and host), and with the same
arguments by their salted hash, else of one session. Where several fit, the nearest by start. Of each process 32 alike are
compared at a time. Definer: part of tick_join_traces.';
revoke all on function telltale.inferred_joins(timestamptz, integer) from public, anon, authenticated, service_role;

create function telltale.due_sums(n integer) returns table (root text, members text[], cut boolean)
language plpgsql stable security definer
set search_path = ''
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
  return query
  with waiting as (
    select j.inner_trace_id, j.joined_at, i.span_count + o.span_count as span_count
    from telltale.trace_joins as j
    join telltale.trace_days as inside on inside.trace_id = j.inner_trace_id
    join telltale.traces as i on i.trace_id = j.inner_trace_id and i.day = inside.day
    join telltale.traces as o on o.trace_id = j.outer_trace_id and o.day = j.day
    where j.day >= telltale.today() - 1
      and (j.summed_at is null or i.changed_at > j.summed_at or o.changed_at > j.summed_at)
    order by j.joined_at, j.inner_trace_id limit n + 1
  ), weighed as materialized (
    -- Those that are read at once have about 20,000 spans.
    select *, row_number() over oldest <= n and sum(span_count) over oldest - span_count < 20000 as taken
    from waiting window oldest as (order by joined_at, inner_trace_id rows unbounded preceding)
  ), due as materialized (
    select distinct telltale.root_trace_of(w.inner_trace_id) as root from weighed as w where w.taken
  )
  select due.root, (select array_agg(m.trace_id) from telltale.joined_members(due.root) as m),
    exists (select from weighed as w where not w.taken)
  from due;
end
$$;
comment on function telltale.due_sums(integer) is
  'The outermost traces of up to n joins of which a side has changed since they were summed up, with all that is joined into them.
Definer: part of tick_join_traces.';
revoke all on function telltale.due_sums(integer) from public, anon, authenticated, service_role;

create function telltale.tick_join_traces() returns jsonb
language plpgsql volatile security definer
set search_path = ''
set lock_timeout = '2s'
set jit = off
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  v_joined int := 0;
  v_roots text[];
  v_members text[];
  v_sums jsonb[];
  v_more boolean;
  v_summed int := 0;
begin
  -- Nothing to look for where one process alone is heard.
  if (select count(*) from (select from telltale.processes where last_seen_at > telltale.clock() - interval '2 minutes'
      and source_id <> telltale.own_source()
      limit 2) as heard) = 2 then
    insert into telltale.trace_joins as j (inner_trace_id, outer_trace_id, outer_span_id, rule, day)
    select * from telltale.inferred_joins(telltale.clock() - interval '1 minute')
    on conflict (inner_trace_id) do update set (outer_trace_id, outer_span_id, rule, day, summed_at)
      = row (excluded.outer_trace_id, excluded.outer_span_id, excluded.rule, excluded.day, null);
    get diagnostics v_joined = row_count;
  end if;
  with due as materialized (select * from telltale.due_sums(100))
  select (select array_agg(due.root) from due), (select array_agg(distinct id) from due cross join unnest(members) as m(id)),
    coalesce((select bool_or(cut) from due), false)
  into v_roots, v_members, v_more;
  if v_roots is not null then
    -- No writer is at a row while it is summed up: what it commits later, it also says to have changed later.
    perform t.trace_id
    from (select id from unnest(v_members) as i(id) order by id collate "C") as i
    cross join lateral (select d.day from telltale.trace_days as d where d.trace_id = i.id) as d
    cross join lateral (select t.trace_id from telltale.traces as t where t.trace_id = i.id and t.day = d.day
      for no key update) as t;
    select array_agg(s.root order by s.root collate "C"), array_agg(s.spans order by s.root collate "C")
    into v_roots, v_sums from telltale.joined_spans_of(v_roots) as s;
    -- Every row is there and locked. An update would open all partitions, an insert opens those that it writes.
    insert into telltale.traces as t (trace_id, day, started_at, process_id, name, spans, session_key,
      session_rule, call_number, request_id, provider, model, tokens_in, tokens_out, span_count, layers, wait_ms)
    select v_roots[s.place], d.day, telltale.at_of(s.started_at_us), s.process::uuid, s.name, '{}', s.session_key,
      s.session_rule, s.call_number, s.request_id, s.provider, s.model, s.tokens_in, s.tokens_out, s.span_count, s.layers, s.wait_ms
    from telltale.summaries_of(v_sums) as s
    join telltale.trace_days as d on d.trace_id = v_roots[s.place]
    on conflict (trace_id, day) do update set (session_key, session_rule, call_number, request_id, provider, model,
      tokens_in, tokens_out, span_count, layers, wait_ms, revision, changed_at, changed_xid) = row (
      -- What the outer recorder did not know is looked for by what the inner one did.
      coalesce(t.session_key, excluded.session_key), coalesce(t.session_rule, excluded.session_rule),
      coalesce(t.call_number, excluded.call_number), coalesce(t.request_id, excluded.request_id),
      excluded.provider, excluded.model, excluded.tokens_in, excluded.tokens_out, excluded.span_count, excluded.layers,
      excluded.wait_ms, t.revision + 1, telltale.clock(), pg_current_xact_id())
    -- A breakdown outlives its spans.
    where t.sampled is null;
    -- Those between the root and the member too: what changed is told by the clock, which has moved on.
    update telltale.trace_joins as j set summed_at = telltale.clock() where j.inner_trace_id = any (v_members);
    v_summed := cardinality(v_members) - cardinality(v_roots);
  end if;
  delete from telltale.trace_joins where day < telltale.today() - 30;
  return jsonb_build_object('done', v_joined + v_summed, 'more', v_more);
end
$$;
comment on function telltale.tick_join_traces() is
  'Joins the traces of the last minute that are one request, and sums joined traces up in the row of the outermost, about 100
at once; again when one of them changes. Definer, as every step of the tick: no role may write the tables.';
revoke all on function telltale.tick_join_traces() from public, anon, authenticated;
grant execute on function telltale.tick_join_traces() to service_role;

create function telltale.tick_measure_clocks() returns jsonb
language plpgsql volatile security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
  v_done int := 0;
begin
  if (select count(*) from (select from telltale.processes where last_seen_at > telltale.clock() - interval '2 minutes'
      and source_id <> telltale.own_source()
      limit 2) as heard) < 2 then
    return jsonb_build_object('done', 0, 'more', false);
  end if;
  with recent as materialized (
    select j.spans from telltale.joined_spans_of(array(
      select t.trace_id from telltale.traces as t
      where t.changed_at > telltale.clock() - interval '20 seconds' and t.duration_ms is not null
      order by t.changed_at desc limit 200)) as j
  ), pair as (
    -- A call lies inside the span that waits for it: between the two differences lies what to add to its times.
    select (c.value ->> 'process')::uuid as process, (p.value ->> 'process')::uuid as reference,
      (p.value -> 'start_us')::bigint - (c.value -> 'start_us')::bigint as least,
      (p.value -> 'end_us')::bigint - (c.value -> 'end_us')::bigint as most
    from recent as r
    cross join lateral jsonb_each(r.spans) as c
    cross join lateral (select r.spans -> (c.value ->> 'parent_span_id') as value) as p
    where p.value is not null and c.value ->> 'process' <> p.value ->> 'process'
      and c.value ? 'end_us' and p.value ? 'end_us' and not c.value ? 'concluded' and not p.value ? 'concluded'
  ), tightest as (
    select distinct on (process, reference) process, reference,
      case when least <= 0 and most >= 0 then 0 else (least + most) / 2 end as shift,
      (most - least + 1) / 2 as width, count(*) over (partition by process, reference) as samples
    from pair where most >= least
    order by process, reference, most - least
  ), kept as (
    insert into telltale.clock_shifts as s (process_id, reference_process_id, shift_us, width_us, samples)
    select process, reference, shift, width, samples from tightest
    order by process, reference
    on conflict (process_id, reference_process_id) do update set
      samples = s.samples + excluded.samples,
      -- The closest look counts, as among the samples of NTP, until it is an hour old: clocks drift and are set.
      (shift_us, width_us, measured_at) = (select c.shift_us, c.width_us, c.measured_at from (
        values (excluded.shift_us, excluded.width_us, excluded.measured_at,
            excluded.width_us <= s.width_us or s.measured_at < excluded.measured_at - interval '1 hour'
            or abs(excluded.shift_us - s.shift_us) > excluded.width_us + s.width_us),
          (s.shift_us, s.width_us, s.measured_at, true)
        ) as c(shift_us, width_us, measured_at, fit) where c.fit limit 1)
    returning 1
  )
  select count(*) into v_done from kept;
  delete from telltale.clock_shifts where measured_at < telltale.clock() - interval '60 days';
  return jsonb_build_object('done', v_done, 'more', false);
end
$$;
comment on function telltale.tick_measure_clocks() is
  'Measures how far the clocks of processes are apart, by the newest traces that several of them recorded: a span called from
another lies inside it. 0 where the times as they are allow that, else the middle of what does. Definer, as every step.';
revoke all on function telltale.tick_measure_clocks() from public, anon, authenticated;
grant execute on function telltale.tick_measure_clocks() to service_role;

create function telltale.shifts_of(spans jsonb) returns table (process_id uuid, shift_us bigint)
language sql stable security definer rows 5
set search_path = ''
as $$
  with recursive called as materialized (
    select distinct on (c.value ->> 'process') (c.value ->> 'process')::uuid as process,
      (p.value ->> 'process')::uuid as reference
    from jsonb_each(spans) as c
    cross join lateral (select spans -> (c.value ->> 'parent_span_id') as value) as p
    where p.value is not null and c.value ->> 'process' <> p.value ->> 'process'
    order by c.value ->> 'process', (c.value -> 'start_us')::bigint, c.key collate "C"
  ), known as (
    select (spans -> telltale.head_key(spans) ->> 'process')::uuid as process, 0::bigint as shift, 0 as depth
    union all
    select called.process, known.shift + coalesce(s.shift_us, 0), known.depth + 1
    from known join called on called.reference = known.process
    left join telltale.clock_shifts as s on s.process_id = called.process and s.reference_process_id = called.reference
    where known.depth < 8
  )
  select distinct on (process) process, shift from known order by process, depth
$$;
comment on function telltale.shifts_of(jsonb) is
  'What to add to the times of each process of a trace so that they are by the clock of its head span''s process, in µs: the
stored shifts along the way that the calls took. Definer: part of the readers.';
revoke all on function telltale.shifts_of(jsonb) from public, anon, authenticated, service_role;

-- Lists show a request once.
alter function telltale.traces_where(jsonb, jsonb) rename to traces_matching;
create function telltale.traces_where(filter jsonb, place jsonb) returns text
language sql stable security definer
set search_path = ''
as $$
  select telltale.traces_matching(filter, place)
    -- Not `not exists`, nor `is null`: asked row by row along the index on traces, and taken for what most rows pass.
    || ' and coalesce((select false from telltale.trace_joins as j where j.inner_trace_id = t.trace_id), true)'
$$;
comment on function telltale.traces_where(jsonb, jsonb) is
  'A condition in SQL on a trace t, by a filter and the place of a cursor, that leaves out what is joined into another. Definer:
part of the readers.';
revoke all on function telltale.traces_where(jsonb, jsonb) from public, anon, authenticated, service_role;

create or replace function telltale.trace(trace_id text) returns jsonb
language plpgsql stable security definer
set search_path = ''
set timezone = 'UTC'
set jit = off
as $$
#variable_conflict use_column
declare
  root_id text;
  members text[];
  first_day date;
  last_day date;
  row_found telltale.traces;
  all_spans jsonb;
begin
  perform telltale.require_reader();
  root_id := telltale.root_trace_of(lower(trace.trace_id));
  select array_agg(m.trace_id), min(m.day), max(m.day) into members, first_day, last_day
  from telltale.joined_members(root_id) as m;
  select t.* into row_found from telltale.traces as t join telltale.trace_days as d on d.trace_id = t.trace_id and d.day = t.day
  where t.trace_id = root_id and d.trace_id = root_id;
  if row_found.trace_id is null then
    return null;
  end if;
  all_spans := case when cardinality(members) > 1 then telltale.joined_spans(root_id) else row_found.spans end;
  return jsonb_build_object(
    'trace', telltale.trace_row(row_found) || jsonb_build_object('joined', (
      select coalesce(jsonb_agg(jsonb_build_object('trace_id', m.trace_id, 'rule', m.rule)), '[]')
      from telltale.joined_members(root_id) as m where m.rule is not null))
    || case when cardinality(members) > 1 and row_found.sampled is null then (
      select jsonb_build_object('layers', s.layers, 'wait_ms', s.wait_ms, 'span_count', s.span_count, 'provider', s.provider,
        'model', s.model, 'tokens_in', s.tokens_in, 'tokens_out', s.tokens_out)
      from telltale.summaries_of(array[all_spans]) as s) else '{}' end
    || jsonb_build_object('spans', (
      select coalesce(jsonb_agg(
        jsonb_build_object('kind', 'work', 'end_us', null, 'parent_span_id', null)
        || s.value || jsonb_build_object('span_id', s.key, 'self_ms', trim_scale(self.self_us / 1000.0),
          'service', source.service, 'instance', source.instance, 'clock_offset_us', p.clock_offset_us,
          'shift_us', coalesce(shift.shift_us, 0))
        order by (s.value -> 'start_us')::bigint, s.key collate "C"), '[]')
      from jsonb_each(coalesce(all_spans, '{}')) as s
      left join telltale.self_times(coalesce(all_spans, '{}')) as self on self.span_id = s.key
      left join telltale.shifts_of(coalesce(all_spans, '{}')) as shift on shift.process_id = (s.value ->> 'process')::uuid
      left join telltale.processes as p on p.process_id = (s.value ->> 'process')::uuid
      left join telltale.sources as source on source.source_id = p.source_id)),
    'errors', coalesce((
      select jsonb_agg(telltale.error_row(listed.row) order by listed.at, listed.error_id)
      from (select e as row, e.at, e.error_id from telltale.errors as e where e.trace_id = any (members)
        and e.day between first_day - 1 and last_day + 2 order by e.at, e.error_id limit 1000) as listed), '[]'),
    'messages', coalesce((
      select jsonb_agg(to_jsonb(m) - 'day' order by m.at, m.message_id)
      from (select * from telltale.messages as m where m.trace_id = any (members)
        and m.day between first_day - 1 and last_day + 2 order by m.at, m.message_id limit 1000) as m), '[]'));
end
$$;
comment on function telltale.trace(text) is
  'One trace, null when there is none: {trace: {..., joined: [{trace_id, rule}], spans: [{span_id, ..., self_ms, process,
service, instance, clock_offset_us, shift_us, inferred}] by start}, errors, messages: the first 1,000 each}. A trace that is
joined into another answers as that one. *_us are µs since the epoch as the reporters'' clocks had them; shift_us is what to
add so that they are by the head''s clock; spans is empty where `sampled`: they were let go; inferred, of a span that hangs on its parent by inference, is the rule. Definer,
see the head of create_trace_reader; the first line refuses non-members.';

create view telltale.message_completeness with (security_invoker = true) as
select m.day, field.name as field, count(*) as messages, count(*) filter (where field.missing) as missing,
  round(count(*) filter (where field.missing)::numeric / count(*), 4) as missing_share
from telltale.messages as m
cross join lateral (values
  ('trace_id', m.trace_id is null),
  ('conversation_id', m.conversation_id is null),
  ('role', m.role is null),
  ('model_used', m.model_used is null),
  ('provider_used', m.provider_used is null),
  ('response_time_ms', m.response_time_ms is null),
  ('tool_name', m.tool_name is null),
  ('thinking_mode', m.thinking_mode is null),
  ('token_usage', m.token_usage is null or m.token_usage = 'null'),
  ('metadata', m.metadata = '{}')) as field(name, missing)
group by m.day, field.name;
comment on view telltale.message_completeness is
  'How often each field of the messages of a day was not known. One row a day and field; filter by day.';
comment on column telltale.message_completeness.day is 'UTC day.';
comment on column telltale.message_completeness.field is 'The field of telltale.messages.';
comment on column telltale.message_completeness.messages is 'Messages of that day.';
comment on column telltale.message_completeness.missing is 'Those of them in which it is null or empty.';
comment on column telltale.message_completeness.missing_share is 'missing / messages, four decimals.';
revoke all on telltale.message_completeness from public, anon, authenticated, service_role;
grant select on telltale.message_completeness to authenticated, service_role;
