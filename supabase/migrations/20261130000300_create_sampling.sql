-- Sampling: metrics count every request, detail is kept of those that matter. Five minutes after a trace was last touched the
-- tick decides; of a trace that nobody will miss only `spans` is emptied. Its row stays, with its breakdown, and says so.
-- By default every trace keeps its spans. What was decided holds until the trace is touched again.

create table telltale.sampling (
  sole boolean primary key default true,
  baseline_share double precision not null default 1,
  keep_errors boolean not null default true,
  keep_slow boolean not null default true,
  keep_anomalous boolean not null default true,
  changed_at timestamptz not null default telltale.clock(),
  decided_to timestamptz not null default telltale.clock(),
  decided_id text collate "C" not null default '',
  limits_at timestamptz not null default 'epoch',
  kept bigint not null default 0,
  emptied bigint not null default 0,
  constraint sampling_has_one_row check (sole),
  constraint sampling_keeps_a_share check (baseline_share between 0 and 1)
);
insert into telltale.sampling default values;
comment on table telltale.sampling is 'Whose spans are kept: one row, set by set_sampling. Pinned traces keep theirs always.';
comment on column telltale.sampling.sole is 'There is one row.';
comment on column telltale.sampling.baseline_share is 'Share of all traces that keep their spans, by chance, 0..1; 1: all do.';
comment on column telltale.sampling.keep_errors is 'Whether those keep them that failed or have an error recorded.';
comment on column telltale.sampling.keep_slow is 'Whether those do that took longer than 99 of 100 of their tool in the last six hours.';
comment on column telltale.sampling.keep_anomalous is 'Whether those do that lie in an anomaly of a series that counts them.';
comment on column telltale.sampling.changed_at is 'When the operator last set it.';
comment on column telltale.sampling.decided_to is 'Of traces that changed before this, by (changed_at, trace_id), it is decided.';
comment on column telltale.sampling.decided_id is 'The trace id that goes with decided_to.';
comment on column telltale.sampling.limits_at is 'When sampling_limits were last computed.';
comment on column telltale.sampling.kept is 'How many times it was decided that a trace keeps its spans.';
comment on column telltale.sampling.emptied is 'How many traces were emptied.';

create table telltale.sampling_limits (
  source_id uuid not null references telltale.sources on delete cascade,
  series_key text not null,
  p99_ms double precision not null,
  primary key (source_id, series_key)
);
comment on table telltale.sampling_limits is 'From when on a request is slow: p99 of its series over the last six hours.';
comment on column telltale.sampling_limits.source_id is 'Where it is counted.';
comment on column telltale.sampling_limits.series_key is 'all, or tool:X.';
comment on column telltale.sampling_limits.p99_ms is 'In ms. There is none of a series with fewer than 100 requests: those all count as slow.';

create table telltale.pinned_traces (
  trace_id text collate "C" primary key references telltale.trace_days on delete cascade,
  pinned_at timestamptz not null default telltale.clock(),
  pinned_by uuid
);
comment on table telltale.pinned_traces is 'Traces that keep their spans for as long as they are kept themselves.';
comment on column telltale.pinned_traces.trace_id is '32 hex digits.';
comment on column telltale.pinned_traces.pinned_at is 'When it was pinned.';
comment on column telltale.pinned_traces.pinned_by is 'The member who did.';

alter table telltale.sampling enable row level security;
alter table telltale.sampling_limits enable row level security;
alter table telltale.pinned_traces enable row level security;
revoke all on telltale.sampling, telltale.sampling_limits, telltale.pinned_traces from public, anon, authenticated, service_role;
grant select on telltale.sampling, telltale.sampling_limits, telltale.pinned_traces to authenticated, service_role;
create policy sampling_read on telltale.sampling for select to authenticated using ((select telltale.is_reader()));
create policy sampling_limits_read on telltale.sampling_limits for select to authenticated using ((select telltale.is_reader()));
create policy pinned_traces_read on telltale.pinned_traces for select to authenticated using ((select telltale.is_reader()));

create function telltale.sampling_rules() returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
  perform telltale.require_reader();
  return (
    select jsonb_build_object('baseline_share', baseline_share, 'keep_errors', keep_errors, 'keep_slow', keep_slow,
      'keep_anomalous', keep_anomalous, 'changed_at_us', telltale.us_of(changed_at), 'kept', kept, 'emptied', emptied,
      'pinned', (select count(*) from telltale.pinned_traces))
    from telltale.sampling);
end
$$;
comment on function telltale.sampling_rules() is
  '{baseline_share, keep_errors, keep_slow, keep_anomalous, changed_at_us, kept, emptied, pinned}: see telltale.sampling. Definer: as
the readers; the first line refuses non-members with 42501.';
revoke all on function telltale.sampling_rules() from public, anon;
grant execute on function telltale.sampling_rules() to authenticated, service_role;

create function telltale.set_sampling(rules jsonb) returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  wrong text;
begin
  select min(key) into wrong from jsonb_each(rules)
  where not case key when 'baseline_share' then jsonb_typeof(value) = 'number' and (value #>> '{}')::numeric between 0 and 1
    when 'keep_errors' then jsonb_typeof(value) = 'boolean' when 'keep_slow' then jsonb_typeof(value) = 'boolean'
    when 'keep_anomalous' then jsonb_typeof(value) = 'boolean' else false end;
  if wrong is not null or jsonb_typeof(rules) is distinct from 'object' then
    raise exception 'Cannot set sampling: % is %', coalesce(to_json(left(wrong, 100))::text, 'it'), coalesce(left((rules -> wrong)::text, 100), 'none')
      using errcode = '22023', hint = 'baseline_share is from 0 to 1; keep_errors, keep_slow, keep_anomalous are true or false.';
  end if;
  -- What is over is not decided anew by other rules.
  update telltale.sampling set
    decided_to = case when baseline_share = 1 then telltale.clock() - interval '5 minutes' else decided_to end,
    decided_id = case when baseline_share = 1 then '' else decided_id end,
    baseline_share = coalesce((rules ->> 'baseline_share')::double precision, baseline_share),
    keep_errors = coalesce((rules ->> 'keep_errors')::boolean, keep_errors),
    keep_slow = coalesce((rules ->> 'keep_slow')::boolean, keep_slow),
    keep_anomalous = coalesce((rules ->> 'keep_anomalous')::boolean, keep_anomalous),
    changed_at = telltale.clock();
  return telltale.sampling_rules();
end
$$;
comment on function telltale.set_sampling(jsonb) is
  'Sets some of baseline_share, keep_errors, keep_slow and keep_anomalous, for traces from now on; answers what sampling_rules() does.
Raises 22023 for anything else. Definer: no role may write the table.';
revoke all on function telltale.set_sampling(jsonb) from public, anon, authenticated;
grant execute on function telltale.set_sampling(jsonb) to service_role;

create function telltale.pin_trace(trace_id text, pinned boolean default true) returns boolean
language plpgsql volatile security definer
set search_path = ''
as $$
#variable_conflict use_variable
begin
  perform telltale.require_reader();
  if not pinned then
    delete from telltale.pinned_traces as p where p.trace_id = lower(pin_trace.trace_id);
    return found;
  end if;
  if (select count(*) from telltale.pinned_traces) >= 10000 then
    raise exception 'Cannot pin trace: 10000 are pinned already' using errcode = '22023', hint = 'Unpin some of them.';
  end if;
  insert into telltale.pinned_traces (trace_id, pinned_by)
  select d.trace_id, telltale.caller_id() from telltale.trace_days as d where d.trace_id = lower(pin_trace.trace_id)
  on conflict do nothing;
  return exists (select from telltale.pinned_traces as p where p.trace_id = lower(pin_trace.trace_id));
end
$$;
comment on function telltale.pin_trace(text, boolean) is
  'Lets a trace keep its spans, or no longer; whether it is pinned now, or was. A trace whose spans are gone does not get them back.
Definer: members may not write the table otherwise; the first line refuses non-members with 42501.';
revoke all on function telltale.pin_trace(text, boolean) from public, anon;
grant execute on function telltale.pin_trace(text, boolean) to authenticated, service_role;

create function telltale.compute_sampling_limits() returns void
language plpgsql volatile security definer
set search_path = ''
set jit = off
as $$
declare
  stats jsonb;
begin
  select telltale.cell_stats(array_agg(h.source_id || ' ' || c.key), array_agg(c.value), 1) into stats
  from telltale.rollup_hours as h cross join lateral jsonb_each(h.series) as c
  where h.hour > telltale.clock() - interval '6 hours' and h.hour <= telltale.clock()
    and (c.key = 'all' or starts_with(c.key, 'tool:'));
  delete from telltale.sampling_limits;
  insert into telltale.sampling_limits (source_id, series_key, p99_ms)
  select split_part(key, ' ', 1)::uuid, substr(key, 38), (value ->> 'p99_ms')::double precision
  from jsonb_each(coalesce(stats, '{}')) where (value ->> 'count')::numeric >= 100 and value ->> 'p99_ms' is not null;
end
$$;
comment on function telltale.compute_sampling_limits() is
  'Computes sampling_limits anew, from the hours. Definer: part of tick_decide_sampling.';
revoke all on function telltale.compute_sampling_limits() from public, anon, authenticated, service_role;

create function telltale.in_anomaly(trace_ids text[], days date[]) returns setof text
language plpgsql stable security definer rows 10
set search_path = ''
as $$
begin
  if to_regclass('telltale.anomalies') is null then
    return;
  end if;
  return query
    select t.trace_id
    from unnest(trace_ids, days) as asked(id, day)
    join telltale.traces as t on t.trace_id = asked.id and t.day = asked.day
    join telltale.processes as p on p.process_id = t.process_id
    join telltale.sources as s on s.source_id = p.source_id
    where exists (select from telltale.anomalies as a
      where a.service = s.service and a.environment = s.environment
        -- Whole minutes, and by the end: both a minute wider than they are.
        and a.started_at <= coalesce(t.ended_at, t.started_at) + interval '1 minute'
        and coalesce(a.ended_at, a.last_at) >= t.started_at - interval '1 minute'
        and (a.series_key in ('all', 'tool:' || t.tool, 'provider:' || t.provider, 'model:' || t.model,
            'call:' || coalesce(case when t.call_number > 5 then '6+' else t.call_number::text end, 'unknown'))
          or (starts_with(a.series_key, 'layer:') and t.layers ? substr(a.series_key, 7))));
end
$$;
comment on function telltale.in_anomaly(text[], date[]) is
  'Those of these traces that lie in an anomaly of a series that counts them. Definer: part of tick_decide_sampling.';
revoke all on function telltale.in_anomaly(text[], date[]) from public, anon, authenticated, service_role;

create function telltale.worth_keeping(rules telltale.sampling, trace_ids text[], days date[]) returns setof text
language plpgsql stable security definer rows 100
set search_path = ''
as $$
begin
  return query
    select t.trace_id
    from unnest(trace_ids, days) as asked(id, day)
    join telltale.traces as t on t.trace_id = asked.id and t.day = asked.day
    left join telltale.processes as p on p.process_id = t.process_id
    where t.duration_ms is null
      or exists (select from telltale.pinned_traces as pin where pin.trace_id = t.trace_id)
      or (rules.keep_errors and (t.outcome in ('tool_error', 'server_fault', 'timeout', 'interrupted')
        or exists (select from telltale.errors as e where e.trace_id = t.trace_id and e.day between t.day - 1 and t.day + 2)))
      or (rules.keep_slow and t.duration_ms > coalesce((select l.p99_ms from telltale.sampling_limits as l
        where l.source_id = p.source_id and l.series_key = coalesce('tool:' || t.tool, 'all')), 0))
    union all
    select a.id from telltale.in_anomaly(case when rules.keep_anomalous then trace_ids else '{}' end, days) as a(id);
end
$$;
comment on function telltale.worth_keeping(telltale.sampling, text[], date[]) is
  'Those of these traces that keep their spans by a rule. Definer: part of tick_decide_sampling.';
revoke all on function telltale.worth_keeping(telltale.sampling, text[], date[]) from public, anon, authenticated, service_role;

create function telltale.tick_decide_sampling() returns jsonb
language plpgsql volatile security definer
set search_path = ''
set lock_timeout = '2s'
set jit = off
as $$
#variable_conflict use_column
declare
  portion constant integer := 500;
  v_rules telltale.sampling;
  v_ids text[];
  v_days date[];
  v_last timestamptz;
  v_kept text[];
  v_emptied bigint;
begin
  lock table telltale.traces, telltale.errors, telltale.messages, telltale.gauges, telltale.rollup_minutes
    in row exclusive mode;
  select * into v_rules from telltale.sampling for no key update skip locked;
  if not found or v_rules.baseline_share = 1 then
    return jsonb_build_object('done', 0, 'more', false);
  end if;
  if v_rules.keep_slow and v_rules.limits_at not between telltale.clock() - interval '10 minutes' and telltale.clock() then
    perform telltale.compute_sampling_limits();
    update telltale.sampling set limits_at = telltale.clock();
  end if;
  -- After the clock went back: what it has come to once is looked at again, and decided as before.
  if v_rules.decided_to > telltale.clock() - interval '5 minutes' then
    v_rules.decided_to := telltale.clock() - interval '5 minutes';
    v_rules.decided_id := '';
  end if;
  select array_agg(trace_id order by changed_at, trace_id), array_agg(day order by changed_at, trace_id), max(changed_at)
  into v_ids, v_days, v_last
  from (
    select t.trace_id, t.day, t.changed_at from telltale.traces as t
    where t.duration_ms is not null and (t.changed_at, t.trace_id) > (v_rules.decided_to, v_rules.decided_id)
      and t.changed_at < telltale.clock() - interval '5 minutes'
    order by t.changed_at, t.trace_id limit portion
  ) as next;
  if v_ids is null then
    update telltale.sampling set (decided_to, decided_id) = row (v_rules.decided_to, v_rules.decided_id)
    where (decided_to, decided_id) <> (v_rules.decided_to, v_rules.decided_id);
    return jsonb_build_object('done', 0, 'more', false);
  end if;
  -- What is one request is kept whole: with one of joined traces all of them are.
  with recursive linked(id, other, depth) as (
    select id, id collate "C", 0 from unnest(v_ids) as i(id)
    union
    select l.id, j.other, l.depth + 1
    from linked as l
    cross join lateral (
      select outer_trace_id as other from telltale.trace_joins where inner_trace_id = l.other
      union all
      select inner_trace_id from telltale.trace_joins where outer_trace_id = l.other) as j
    where l.depth < 4
  ), member as materialized (
    select distinct l.id, l.other, d.day from linked as l join telltale.trace_days as d on d.trace_id = l.other
  ), whole as (
    select id, min(other) as least from member group by id
  ), kept as (
    select distinct id from member where other in (
      select w from telltale.worth_keeping(v_rules, array(select other from member), array(select day from member)) as w)
    union
    -- Chance is the id's own, so that asking again answers the same.
    select id from whole where (hashtextextended(least, 0) & 1048575) < v_rules.baseline_share * 1048576
  )
  select coalesce(array_agg(id), '{}') into v_kept from kept;
  with due as materialized (
    select t.trace_id, t.day, telltale.head_key(t.spans) as head, t.spans
    from unnest(v_ids, v_days) as i(id, day)
    join telltale.traces as t on t.trace_id = i.id and t.day = i.day and t.day = any (v_days)
    where i.id <> all (v_kept) and t.sampled is null
      -- Touched meanwhile: it is decided later.
      and t.changed_at <= v_last
    for no key update of t skip locked
  ), emptied as (
    update telltale.traces as t set spans = '{}',
      sampled = due.spans -> due.head || jsonb_build_object('span_id', due.head) - 'attributes'
    from due where t.trace_id = due.trace_id and t.day = due.day and t.day = any (v_days)
    returning 1
  )
  select count(*) into v_emptied from emptied;
  update telltale.sampling set decided_to = v_last, decided_id = v_ids[cardinality(v_ids)], emptied = emptied + v_emptied,
    kept = kept + cardinality(v_ids) - v_emptied;
  return jsonb_build_object('done', v_emptied, 'more', cardinality(v_ids) = portion);
end
$$;
comment on function telltale.tick_decide_sampling() is
  'Decides of up to 500 ended traces, in the order in which they were last touched, five minutes after that, whether they keep
their spans; done counts those that do not. One at a time: whoever comes second finds nothing to do. Definer, see the head of
create_tick.';
revoke all on function telltale.tick_decide_sampling() from public, anon, authenticated;
grant execute on function telltale.tick_decide_sampling() to service_role;
