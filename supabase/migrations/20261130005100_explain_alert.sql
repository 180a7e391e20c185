-- Why calls were slow when an alert of latency began: the tick asks (functions/action/explain_alerts.ts), the engine answers,
-- and the answer stands in the alert and in what is told of it.

create table telltale.alert_questions (
  alert_id uuid primary key references telltale.alerts on delete cascade,
  tries smallint not null,
  tried_at timestamptz not null,
  constraint alert_questions_were_asked check (tries > 0)
);
comment on table telltale.alert_questions is 'How often it was asked why, for an alert.';
comment on column telltale.alert_questions.alert_id is 'Which alert.';
comment on column telltale.alert_questions.tries is 'How often.';
comment on column telltale.alert_questions.tried_at is 'When last.';
alter table telltale.alert_questions enable row level security;
revoke all on telltale.alert_questions from public, anon, authenticated, service_role;
grant select on telltale.alert_questions to authenticated, service_role;
create policy alert_questions_read on telltale.alert_questions for select to authenticated using ((select telltale.is_reader()));

create function telltale.alert_question_filter(a telltale.alerts) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_strip_nulls(jsonb_build_object('service', nullif(a.service, ''), 'environment', nullif(a.environment, '')))
    || case
      -- A place in the session is compared with the other places since the trouble began.
      when s.kind = 'call' and s.name ~ '^[0-9]{1,9}$'
        then jsonb_build_object('call_number', s.name::bigint, 'from', telltale.us_of(a.started_at - interval '10 minutes'))
      else jsonb_build_object('after', telltale.us_of(a.started_at))
        || case when s.kind in ('tool', 'provider', 'model') and s.name <> 'other' then jsonb_build_object(s.kind, s.name) else '{}' end
      end
  from (select split_part(a.evidence ->> 'subject', ':', 1) as kind,
    substr(a.evidence ->> 'subject', strpos(a.evidence ->> 'subject', ':') + 1) as name) as s
$$;
comment on function telltale.alert_question_filter(telltale.alerts) is
  'The filter of why_data about an alert: the calls of its service and subject since it began, against those before.';
revoke all on function telltale.alert_question_filter(telltale.alerts) from public, anon, authenticated, service_role;

create function telltale.claim_alert_question(tries_max integer, gap_s integer) returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_alert telltale.alerts;
  v_tries integer;
  v_now timestamptz := telltale.clock();
begin
  select a.* into v_alert from telltale.alerts as a
  left join telltale.alert_questions as q on q.alert_id = a.alert_id
  where a.state in ('firing', 'acknowledged') and a.verdict is null
    and (a.topic = 'latency' or (a.topic = 'unusual' and a.evidence ->> 'metric' = 'p95_ms'))
    and coalesce(q.tries, 0) < tries_max
    and (q.tried_at is null or q.tried_at <= v_now - make_interval(secs => gap_s))
  order by q.tried_at nulls first, a.fired_at, a.alert_id
  limit 1;
  if not found then
    return null;
  end if;
  insert into telltale.alert_questions as q (alert_id, tries, tried_at) values (v_alert.alert_id, 1, v_now)
  on conflict (alert_id) do update set tries = q.tries + 1, tried_at = excluded.tried_at
  returning q.tries into v_tries;
  return jsonb_build_object('alert_id', v_alert.alert_id, 'last', v_tries >= tries_max,
    'filter', telltale.alert_question_filter(v_alert));
end
$$;
comment on function telltale.claim_alert_question(integer, integer) is
  'An alert of latency that is open and of which nobody said why yet, tried fewer than tries_max times and not within gap_s
seconds: {alert_id, filter: of why_data, last: it is not tried again}; null where there is none. Definer: for the edge alone.';
revoke all on function telltale.claim_alert_question(integer, integer) from public, anon, authenticated;
grant execute on function telltale.claim_alert_question(integer, integer) to service_role;

create function telltale.store_alert_verdict(alert_id uuid, verdict jsonb) returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  v_revision bigint;
begin
  select s.revision + 1 into v_revision from telltale.alert_state as s for update;
  update telltale.alerts as a set verdict = store_alert_verdict.verdict, revision = v_revision
  where a.alert_id = store_alert_verdict.alert_id and a.verdict is null and a.state <> 'resolved';
  if not found then
    return jsonb_build_object('stored', false);
  end if;
  update telltale.alert_state set revision = v_revision;
  -- What nobody was told yet says it from the beginning; what was sent stays as it was sent.
  update telltale.alert_notifications as n set payload = n.payload || jsonb_build_object('verdict', store_alert_verdict.verdict)
  where n.alert_id = store_alert_verdict.alert_id and n.state = 'waiting' and n.attempts = 0;
  return jsonb_build_object('stored', true);
end
$$;
comment on function telltale.store_alert_verdict(uuid, jsonb) is
  'Keeps why, a WhyAnswer, with an open alert that has none, and with the notifications of it that were never tried: {stored}.
Definer: no role may write the tables.';
revoke all on function telltale.store_alert_verdict(uuid, jsonb) from public, anon, authenticated;
grant execute on function telltale.store_alert_verdict(uuid, jsonb) to service_role;
