-- Who is told, and how that went. A notification is made in the transaction that stores the change that it tells of, under
-- a key of its own (alert, event, destination), so that no pass makes it twice. It is sent at least once: whoever takes it
-- has it for a minute, and who dies after sending it lets another send it again, under the same key and with the same body.

create table telltale.alert_destinations (
  destination_id uuid primary key default gen_random_uuid(),
  name text not null,
  kind text not null,
  url text not null,
  secret text,
  detail jsonb not null default '{}',
  severity text not null default 'info',
  created_at timestamptz not null default telltale.clock(),
  removed_at timestamptz,
  constraint alert_destinations_have_short_names check (name ~ '^[A-Za-z0-9][A-Za-z0-9_. -]{0,63}$'),
  constraint alert_destinations_are_of_a_kind check (kind in ('webhook', 'slack', 'discord', 'email')),
  constraint alert_destinations_have_addresses check (url ~ '^https?://[^/?#[:space:]@]+(/[^[:space:]]*)?$'
    and octet_length(url) <= 2048),
  constraint alert_destinations_have_short_secrets check (octet_length(secret) <= 1024),
  constraint alert_destinations_sign_what_they_send check (kind not in ('webhook', 'email') or secret is not null),
  constraint alert_destinations_have_details check (jsonb_typeof(detail) = 'object' and octet_length(detail::text) <= 4096),
  constraint alert_destinations_have_a_severity check (severity in ('info', 'warning', 'critical'))
);
create unique index alert_destinations_are_named_once on telltale.alert_destinations (name) where removed_at is null;
comment on table telltale.alert_destinations is 'Who is told. No role may read it: addresses and secrets are for the sender alone, see destinations().';
comment on column telltale.alert_destinations.destination_id is 'UUID.';
comment on column telltale.alert_destinations.name is 'For people.';
comment on column telltale.alert_destinations.kind is 'webhook (Standard Webhooks), slack, discord, or email by an HTTP API.';
comment on column telltale.alert_destinations.url is 'Where to POST; of slack and discord a secret in itself.';
comment on column telltale.alert_destinations.secret is 'What signs (webhook: whsec_...) or opens (email: the key of the API).';
comment on column telltale.alert_destinations.detail is 'Of email: {from, to: [address]}.';
comment on column telltale.alert_destinations.severity is 'The least that it is told of.';
comment on column telltale.alert_destinations.created_at is 'When it was made.';
comment on column telltale.alert_destinations.removed_at is 'When it was removed; null while it is told. The secret goes then.';

create table telltale.alert_notifications (
  notification_id text collate "C" primary key,
  alert_id uuid references telltale.alerts on delete cascade,
  destination_id uuid not null references telltale.alert_destinations,
  event text not null,
  payload jsonb not null,
  state text not null default 'waiting',
  created_at timestamptz not null default telltale.clock(),
  next_at timestamptz not null default telltale.clock(),
  leased_until timestamptz not null default '-infinity',
  attempts integer not null default 0,
  last_status integer,
  last_error text,
  last_at timestamptz,
  constraint alert_notifications_tell_of_an_event check (event in ('firing', 'resolved', 'test')),
  constraint alert_notifications_are_in_a_state check (state in ('waiting', 'sent', 'given_up')),
  constraint alert_notifications_count_from_zero check (attempts >= 0),
  constraint alert_notifications_have_short_errors check (octet_length(last_error) <= 1024)
);
create index alert_notifications_that_wait on telltale.alert_notifications (next_at) where state = 'waiting';
create index alert_notifications_by_time on telltale.alert_notifications (created_at, notification_id);
create index alert_notifications_by_alert on telltale.alert_notifications (alert_id) where alert_id is not null;
create index alert_notifications_by_destination on telltale.alert_notifications (destination_id);
comment on table telltale.alert_notifications is 'What was told to whom, and how it went; kept 30 days.';
comment on column telltale.alert_notifications.notification_id is 'alert, event and destination: the same however often it is sent.';
comment on column telltale.alert_notifications.alert_id is 'What it tells of; null for a test.';
comment on column telltale.alert_notifications.destination_id is 'Whom it tells.';
comment on column telltale.alert_notifications.event is 'firing, resolved, or test.';
comment on column telltale.alert_notifications.payload is 'The alert as it was then; frozen, so that every attempt says the same.';
comment on column telltale.alert_notifications.state is 'waiting; sent: it was answered with 2xx; given_up: after a day, or refused for good.';
comment on column telltale.alert_notifications.created_at is 'When it was made.';
comment on column telltale.alert_notifications.next_at is 'When it may be tried next.';
comment on column telltale.alert_notifications.leased_until is 'Until when somebody is at it.';
comment on column telltale.alert_notifications.attempts is 'How often it was tried.';
comment on column telltale.alert_notifications.last_status is 'What the last attempt was answered; null where it was not.';
comment on column telltale.alert_notifications.last_error is 'Why the last attempt failed, without the address; null when it did not.';
comment on column telltale.alert_notifications.last_at is 'When it was last tried.';

alter table telltale.alert_destinations enable row level security;
alter table telltale.alert_notifications enable row level security;
revoke all on telltale.alert_destinations, telltale.alert_notifications from public, anon, authenticated, service_role;
grant select on telltale.alert_notifications to authenticated, service_role;
create policy alert_notifications_read on telltale.alert_notifications for select to authenticated
  using ((select telltale.is_reader()));

create function telltale.severity_rank(severity text) returns integer
language sql immutable parallel safe
return case severity when 'critical' then 2 when 'warning' then 1 else 0 end;
comment on function telltale.severity_rank(text) is '0 info, 1 warning, 2 critical.';
revoke all on function telltale.severity_rank(text) from public, anon, authenticated, service_role;

create function telltale.alert_document(a telltale.alerts) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select jsonb_build_object('alert_id', a.alert_id, 'rule_id', a.rule_id,
    'rule', (select r.name from telltale.alert_rules as r where r.rule_id = a.rule_id), 'state', a.state,
    'severity', a.severity, 'topic', a.topic, 'service', a.service, 'environment', a.environment, 'title', a.title,
    'subject', a.evidence -> 'subject', 'metric', a.evidence -> 'metric', 'value', a.evidence -> 'value',
    'expected', a.evidence -> 'expected', 'count', a.evidence -> 'count', 'others', coalesce(a.evidence -> 'others', '[]'),
    'trace_ids', coalesce(a.evidence -> 'trace_ids', '[]'), 'link', a.evidence -> 'link', 'verdict', a.verdict,
    'started_us', telltale.us_of(a.started_at), 'fired_us', telltale.us_of(a.fired_at),
    'acknowledged_us', telltale.us_of(a.acknowledged_at), 'acknowledged_by', a.acknowledged_by,
    'resolved_us', telltale.us_of(a.resolved_at), 'silenced', a.silenced, 'under', a.under, 'revision', a.revision)
$$;
comment on function telltale.alert_document(telltale.alerts) is
  'AlertDocument (src/core/alert/alert_document.ts): what lists, pushes and notifications say of an alert. Definer: part of the readers.';
revoke all on function telltale.alert_document(telltale.alerts) from public, anon, authenticated, service_role;

create function telltale.alert_push() returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select jsonb_build_object('rev', (select revision from telltale.alert_state), 'at_us', telltale.us_of(telltale.clock()),
    'total', count(*), 'alerts', coalesce(jsonb_agg(telltale.alert_document(o.a) order by telltale.severity_rank((o.a).severity) desc,
      (o.a).fired_at desc, (o.a).alert_id) filter (where o.place <= 50), '[]'))
  from (
    select a, row_number() over (order by telltale.severity_rank(a.severity) desc, a.fired_at desc, a.alert_id) as place
    from telltale.alerts as a where a.state in ('firing', 'acknowledged')
  ) as o
$$;
comment on function telltale.alert_push() is
  'AlertPush {rev, at_us, total, alerts}: the 50 gravest that fire or are acknowledged, absolute; the highest rev wins. Definer:
part of the readers.';
revoke all on function telltale.alert_push() from public, anon, authenticated, service_role;

create function telltale.exemplars_of(wanted text, subject text, service text, environment text, since timestamptz)
returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
begin
  return (
    select coalesce(jsonb_agg(e.trace_id order by e.place), '[]') from (
      select t.trace_id, row_number() over (order by case when wanted = 'slow' then t.duration_ms end desc nulls last,
        t.changed_at desc) as place
      from (
        select r.* from telltale.traces as r
        where r.duration_ms is not null and r.changed_at >= since and r.day >= (since at time zone 'UTC')::date - 1
          and (wanted = 'slow' or r.outcome in ('tool_error', 'server_fault', 'timeout', 'interrupted'))
          and (not starts_with(subject, 'tool:') or r.tool = substr(subject, 6))
          and (not starts_with(subject, 'provider:') or r.provider = substr(subject, 10))
          and (not starts_with(subject, 'model:') or r.model = substr(subject, 7))
        order by r.changed_at desc limit 500
      ) as t
      join telltale.processes as p on p.process_id = t.process_id
      join telltale.sources as s on s.source_id = p.source_id
      where s.service = exemplars_of.service and s.environment = exemplars_of.environment
      order by place limit 5
    ) as e
  );
end
$$;
comment on function telltale.exemplars_of(text, text, text, text, timestamptz) is
  'Five trace ids that stand for a series since then: the slow ones, the slowest first, or the failed ones, the latest first.
Definer: part of store_alert_outcome.';
revoke all on function telltale.exemplars_of(text, text, text, text, timestamptz)
  from public, anon, authenticated, service_role;

create function telltale.store_alert_outcome(outcome jsonb) returns jsonb
language plpgsql volatile security definer
set search_path = ''
set jit = off
as $$
#variable_conflict use_column
declare
  v_revision bigint;
  v_visible boolean;
  v_changes jsonb := coalesce(outcome -> 'changes', '[]');
  v_at timestamptz := telltale.at_of((outcome -> 'now_us')::bigint);
begin
  select revision into v_revision from telltale.alert_state for update;
  if v_revision <> (outcome -> 'revision')::bigint then
    return jsonb_build_object('stored', false, 'revision', v_revision);
  end if;
  v_visible := exists (select from jsonb_array_elements(v_changes) as c
    where (c.value -> 'visible')::boolean or c.value ->> 'notify' is not null);
  -- Also what nobody sees makes what was judged beside it void: the same alert must not be made twice.
  v_revision := v_revision + (jsonb_array_length(v_changes) > 0)::int;
  update telltale.alert_state set revision = v_revision, looked_at = v_at,
    -- Nobody needs to hear of what is not shown.
    pushed_revision = case when not v_visible and pushed_revision = v_revision - 1 then v_revision else pushed_revision end;
  delete from telltale.alerts as a using jsonb_array_elements(v_changes) as c
  where c.value ->> 'state' = 'dropped' and a.alert_id = (c.value ->> 'alert_id')::uuid and a.state = 'pending';
  with change as materialized (
    select c.*, case when c.seen is null then null else (c.seen - array['title', 'wanted']) || case
      when c.seen ->> 'wanted' is null or c.state = 'pending' then '{}'
      else jsonb_build_object('trace_ids', telltale.exemplars_of(c.seen ->> 'wanted', coalesce(c.seen ->> 'subject', ''),
        c.service, c.environment, telltale.at_of(c.started_us) - interval '2 minutes')) end end as evidence
    from jsonb_to_recordset(v_changes) as c(alert_id uuid, rule_id text, group_key text, state text, severity text,
      topic text, service text, environment text, started_us bigint, fired_us bigint, resolved_us bigint, clear_us bigint,
      silenced boolean, under text, notify text, visible boolean, seen jsonb)
    where c.state <> 'dropped'
  ), made as (
    insert into telltale.alerts as a (rule_id, group_key, state, severity, topic, service, environment, title, evidence,
      started_at, fired_at, seen_at, clear_at, silenced, notified, revision)
    select c.rule_id, c.group_key, c.state, c.severity, c.topic, c.service, c.environment, coalesce(c.seen ->> 'title', ''),
      coalesce(c.evidence, '{}'), telltale.at_of(c.started_us), telltale.at_of(c.fired_us), v_at, telltale.at_of(c.clear_us),
      c.silenced, c.notify is not distinct from 'firing', v_revision
    from change as c
    where c.alert_id is null and c.state <> 'resolved'
      and exists (select from telltale.alert_rules as r where r.rule_id = c.rule_id and r.enabled)
    on conflict do nothing
  )
  update telltale.alerts as a set state = c.state, started_at = telltale.at_of(c.started_us),
    fired_at = telltale.at_of(c.fired_us), resolved_at = telltale.at_of(c.resolved_us), seen_at = v_at,
    clear_at = telltale.at_of(c.clear_us), silenced = c.silenced, notified = a.notified or c.notify is not distinct from 'firing',
    title = coalesce(c.seen ->> 'title', a.title),
    -- What stood for it when it began still does when nothing stands for it any more.
    evidence = case when c.evidence is null then a.evidence
      when jsonb_array_length(coalesce(c.evidence -> 'trace_ids', '[]')) = 0
        then c.evidence || jsonb_build_object('trace_ids', coalesce(a.evidence -> 'trace_ids', '[]'))
      else c.evidence end,
    revision = case when c.visible then v_revision else a.revision end
  from change as c
  where c.alert_id = a.alert_id and a.state <> 'resolved';
  -- A leader may have been made only now: it is known by its rule and group.
  update telltale.alerts as a set under = l.alert_id
  from jsonb_to_recordset(v_changes) as c(rule_id text, group_key text, state text, under text)
  left join telltale.alerts as l on l.state <> 'resolved'
    and (l.alert_id::text = c.under or l.rule_id || ' ' || l.group_key = c.under)
  where a.rule_id = c.rule_id and a.group_key = c.group_key and a.state <> 'resolved' and c.state <> 'dropped'
    and a.under is distinct from l.alert_id and (c.under is null or l.alert_id is not null);
  perform telltale.make_notifications(v_changes);
  insert into telltale.alert_marks as m (rule_id, process_id, lost, grew_at)
  select k.rule_id, k.process, k.lost, telltale.at_of(k.grew_us)
  from jsonb_to_recordset(coalesce(outcome -> 'marks', '[]')) as k(rule_id text, process uuid, lost bigint, grew_us bigint)
  where exists (select from telltale.alert_rules as r where r.rule_id = k.rule_id)
  on conflict (rule_id, process_id) do update set lost = excluded.lost, grew_at = excluded.grew_at;
  return jsonb_build_object('stored', true, 'revision', v_revision);
end
$$;
comment on function telltale.store_alert_outcome(jsonb) is
  'Stores an AlertOutcome (src/core/alert/alert_pass.ts), with the notifications that it asks for, unless anything changed
since the revision that it was judged from: {stored, revision}. Definer: no role may write the tables.';
revoke all on function telltale.store_alert_outcome(jsonb) from public, anon, authenticated;
grant execute on function telltale.store_alert_outcome(jsonb) to service_role;

create function telltale.make_notifications(changes jsonb) returns void
language sql volatile security definer
set search_path = ''
as $$
  insert into telltale.alert_notifications (notification_id, alert_id, destination_id, event, payload)
  select a.alert_id || ':' || c.notify || ':' || d.destination_id, a.alert_id, d.destination_id, c.notify,
    telltale.alert_document(a)
  from jsonb_to_recordset(changes) as c(alert_id uuid, rule_id text, group_key text, notify text)
  join telltale.alerts as a on a.alert_id = c.alert_id
    or (c.alert_id is null and a.rule_id = c.rule_id and a.group_key = c.group_key and a.state <> 'resolved')
  join telltale.alert_rules as r on r.rule_id = a.rule_id
  join telltale.alert_destinations as d on d.removed_at is null
    and telltale.severity_rank(d.severity) <= telltale.severity_rank(a.severity)
    and (r.destinations is null or d.destination_id = any (r.destinations))
  where c.notify is not null
  on conflict (notification_id) do nothing
$$;
comment on function telltale.make_notifications(jsonb) is
  'One notification for each change that asks for one and each destination that it concerns, once. Definer: part of
store_alert_outcome.';
revoke all on function telltale.make_notifications(jsonb) from public, anon, authenticated, service_role;

create function telltale.claim_alert_push() returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select case when s.pushed_revision < s.revision and telltale.is_watched() then telltale.alert_push() end
  from telltale.alert_state as s
$$;
comment on function telltale.claim_alert_push() is
  'AlertPush where the open pages do not know the last revision, null where they do or there are none. Definer: for the edge alone.';
revoke all on function telltale.claim_alert_push() from public, anon, authenticated;
grant execute on function telltale.claim_alert_push() to service_role;

create function telltale.note_alert_push(revision bigint) returns void
language sql volatile security definer
set search_path = ''
as $$
  update telltale.alert_state as s set pushed_revision = least(s.revision, greatest(s.pushed_revision, note_alert_push.revision))
$$;
comment on function telltale.note_alert_push(bigint) is 'The open pages know this revision now. Definer: no role may write the table.';
revoke all on function telltale.note_alert_push(bigint) from public, anon, authenticated;
grant execute on function telltale.note_alert_push(bigint) to service_role;

create function telltale.claim_notifications(n integer) returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  answer jsonb;
begin
  delete from telltale.alert_notifications where notification_id in (
    select notification_id from telltale.alert_notifications where created_at < telltale.clock() - interval '30 days'
    order by created_at limit 500);
  delete from telltale.alerts where alert_id in (
    select alert_id from telltale.alerts where started_at < telltale.clock() - interval '400 days' and state = 'resolved'
    order by started_at limit 500);
  delete from telltale.alert_silences where ends_at < telltale.clock() - interval '30 days' and repeat_s is null;
  delete from telltale.alert_marks where grew_at < telltale.clock() - interval '60 days';
  update telltale.alert_notifications as o set state = 'given_up', last_error = coalesce(last_error, 'It was not tried in time')
  where o.state = 'waiting' and (o.created_at < telltale.clock() - interval '1 day'
    or exists (select from telltale.alert_destinations as d where d.destination_id = o.destination_id and d.removed_at is not null));
  with due as (
    select o.notification_id from telltale.alert_notifications as o
    where o.state = 'waiting' and o.next_at <= telltale.clock() and o.leased_until <= telltale.clock()
      -- That it is over is told after that it began.
      and not exists (select from telltale.alert_notifications as f where o.event = 'resolved' and f.event = 'firing'
        and f.alert_id = o.alert_id and f.destination_id = o.destination_id and f.state = 'waiting')
    order by o.next_at, o.notification_id limit n for update skip locked
  ), taken as (
    update telltale.alert_notifications as o set leased_until = telltale.clock() + interval '60 seconds', attempts = o.attempts + 1,
      last_at = telltale.clock()
    from due where o.notification_id = due.notification_id
    returning o.*
  )
  select coalesce(jsonb_agg(jsonb_build_object('notification_id', t.notification_id, 'attempt', t.attempts, 'event', t.event,
    'alert', t.payload, 'created_us', telltale.us_of(t.created_at), 'kind', d.kind, 'url', d.url, 'secret', d.secret,
    'detail', d.detail) order by t.next_at, t.notification_id), '[]')
  into answer
  from taken as t join telltale.alert_destinations as d on d.destination_id = t.destination_id;
  return answer;
end
$$;
comment on function telltale.claim_notifications(integer) is
  'Takes up to n notifications that are due, for a minute, with what is needed to send them: [Notification] (functions/store/port.ts).
Gives up what is a day old, and deletes what is past its time. Definer: for the edge alone.';
revoke all on function telltale.claim_notifications(integer) from public, anon, authenticated;
grant execute on function telltale.claim_notifications(integer) to service_role;

create function telltale.note_deliveries(deliveries jsonb) returns integer
language plpgsql volatile security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  n integer;
begin
  update telltale.alert_notifications as o set
    state = case when d.ok then 'sent' when d.final then 'given_up' else 'waiting' end,
    last_status = d.status, last_error = left(d.error, 300), leased_until = '-infinity',
    next_at = telltale.clock() + least(coalesce(d.retry_ms, 0), 86400000) * interval '1 millisecond'
  from jsonb_to_recordset(deliveries) as d(notification_id text, attempt integer, ok boolean, final boolean, status integer,
    error text, retry_ms bigint)
  where o.notification_id = d.notification_id and o.state = 'waiting'
    -- Who took it after the lease of another had ended says how it went; but what arrived has arrived.
    and (d.ok or o.attempts = d.attempt);
  get diagnostics n = row_count;
  return n;
end
$$;
comment on function telltale.note_deliveries(jsonb) is
  'How attempts went: [{notification_id, attempt, ok, final, status, error, retry_ms}]; answers how many were noted. Definer: no
role may write the table.';
revoke all on function telltale.note_deliveries(jsonb) from public, anon, authenticated;
grant execute on function telltale.note_deliveries(jsonb) to service_role;
