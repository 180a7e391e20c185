-- What a rule would have seen: the past, as far as it is kept, in the shapes that src/core/alert/alert_replay.ts plays
-- again. Definer behind a first line that refuses non-members, as the readers of traces.

create function telltale.history_of_errors(since timestamptz, till timestamptz) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('service', e.service, 'environment', e.environment,
      'fingerprint', e.fingerprint, 'error_type', e.error_type, 'message', left(e.message, 500), 'trace_id', e.trace_id,
      'first_us', telltale.us_of(e.first_at), 'last_us', telltale.us_of(e.last_at), 'count', e.count, 'reopened_us', null,
      'ignored', false, 'seen', e.seen)), '[]')
    from (
      select r.fingerprint, s.service, s.environment, min(g.first_seen_at) as first_at, max(r.at) as last_at,
        count(*) as count, max(r.error_type) as error_type, max(r.message) as message, max(r.trace_id) as trace_id,
        jsonb_agg(distinct extract(epoch from date_trunc('minute', r.at))::bigint) as seen
      from telltale.errors as r
      join telltale.processes as p on p.process_id = r.process_id
      join telltale.sources as s on s.source_id = p.source_id
      join telltale.error_groups as g on g.fingerprint = r.fingerprint and g.source_id = s.source_id
      where r.at >= since and r.at < till
        and r.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
      group by r.fingerprint, s.service, s.environment
      order by max(r.at) desc limit 500
    ) as e
  );
end
$$;
comment on function telltale.history_of_errors(timestamptz, timestamptz) is
  '[ErrorSign with seen: the minutes, in s since the epoch, in which there was one] of 500 groups. Definer: part of the readers.';
revoke all on function telltale.history_of_errors(timestamptz, timestamptz) from public, anon, authenticated, service_role;

create function telltale.history_of_calls(since timestamptz, till timestamptz, least_ms double precision) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('service', s.service, 'environment', s.environment, 'tool', t.tool,
      'trace_id', t.trace_id, 'start_us', telltale.us_of(t.started_at), 'end_us', telltale.us_of(t.ended_at))), '[]')
    from (
      select r.* from telltale.traces as r
      where r.started_at >= since and r.started_at < till and (r.duration_ms is null or r.duration_ms >= least_ms)
        and r.day between (since at time zone 'UTC')::date - 1 and (till at time zone 'UTC')::date + 1
      order by r.started_at limit 1000
    ) as t
    join telltale.processes as p on p.process_id = t.process_id
    join telltale.sources as s on s.source_id = p.source_id
  );
end
$$;
comment on function telltale.history_of_calls(timestamptz, timestamptz, double precision) is
  '[LongCall with end_us, null where it has none] of 1,000 calls that took so many ms. Definer: part of the readers.';
revoke all on function telltale.history_of_calls(timestamptz, timestamptz, double precision)
  from public, anon, authenticated, service_role;

create function telltale.alert_history(rule_id text, since timestamptz, till timestamptz) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  v_rule telltale.alert_rules;
begin
  perform telltale.require_reader();
  select r.* into v_rule from telltale.alert_rules as r where r.rule_id = alert_history.rule_id;
  if not found then
    raise exception 'Cannot test rule: there is none of that id' using errcode = '22023';
  end if;
  if since >= till or till > since + interval '6 hours' then
    raise exception 'Cannot test rule: from is not before to, by at most six hours'
      using errcode = '22023', hint = 'Ask for a longer time in parts.';
  end if;
  return jsonb_build_object('rule', telltale.alert_rules_data(alert_history.rule_id) -> 0,
    'minutes', case when v_rule.kind in ('metric', 'slo') and v_rule.metric <> 'gauge'
      then telltale.alert_minutes(since, till - interval '1 microsecond', telltale.alert_key_patterns(alert_history.rule_id))
      else '[]' end,
    'errors', case when v_rule.kind in ('errors', 'leak') then telltale.history_of_errors(since, till) else '[]' end,
    'waits', case when v_rule.kind = 'starvation'
      then telltale.alert_waits(since, till, coalesce(v_rule.threshold, 0)) else '[]' end,
    'calls', case when v_rule.kind = 'stuck'
      then telltale.history_of_calls(since, till, 1000 * coalesce(v_rule.threshold, 0)) else '[]' end,
    'heard', case when v_rule.kind = 'no_data' then (
      select coalesce(jsonb_agg(distinct jsonb_build_object('service', s.service, 'environment', s.environment,
        'minute', extract(epoch from date_trunc('minute', b.received_at))::bigint)), '[]')
      from telltale.batches as b join telltale.processes as p on p.process_id = b.process_id
      join telltale.sources as s on s.source_id = p.source_id
      where b.received_at >= since and b.received_at < till) else '[]' end,
    'gauges', case when v_rule.metric = 'gauge' then (
      select coalesce(jsonb_agg(to_jsonb(d)), '[]') from (
        select distinct on (g.process_id, g.labels_hash, date_trunc('minute', g.at)) s.service, s.environment, g.name, g.value,
          telltale.us_of(g.at) as at_us,
          (select coalesce(string_agg(l.key || '=' || l.value, ' ' order by l.key), '') from jsonb_each_text(g.labels) as l) as labels
        from telltale.gauges as g join telltale.processes as p on p.process_id = g.process_id
        join telltale.sources as s on s.source_id = p.source_id
        where g.name = v_rule.filter ->> 'gauge' and g.at >= since and g.at < till
          and g.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
        order by g.process_id, g.labels_hash, date_trunc('minute', g.at), g.at desc
      ) as d) else '[]' end,
    'anomalies', case when v_rule.kind = 'anomaly' then telltale.alert_anomalies(since) else '[]' end);
end
$$;
comment on function telltale.alert_history(text, timestamptz, timestamptz) is
  'AlertHistory (src/core/alert/alert_replay.ts) of a rule: what it is judged from, from since to till, at most six hours.
Definer, see the head of this file.';
revoke all on function telltale.alert_history(text, timestamptz, timestamptz) from public, anon;
grant execute on function telltale.alert_history(text, timestamptz, timestamptz) to authenticated, service_role;
