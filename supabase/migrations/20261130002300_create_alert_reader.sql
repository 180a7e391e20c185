-- What people ask of alerts, and say: members read, acknowledge and silence; rules and destinations are the operator's.
-- Definer behind a first line that refuses non-members, as the readers of traces.

create function telltale.caller_name() returns text
language sql stable security definer
set search_path = ''
as $$
  select case when telltale.caller_id() is null then 'operator' else coalesce(
    (select email from telltale.members where user_id = telltale.caller_id()), telltale.caller_id()::text) end
$$;
comment on function telltale.caller_name() is 'Who asks, for people: the member''s address or id, operator without a user. Definer: part of the readers.';
revoke all on function telltale.caller_name() from public, anon, authenticated, service_role;

create function telltale.alerts(filter jsonb default '{}', cursor text default null, n integer default 100) returns jsonb
language plpgsql stable security definer
set search_path = ''
set jit = off
as $$
declare
  size integer;
  place jsonb;
  since timestamptz;
  till timestamptz;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'state', 'severity', 'rule_id', 'service', 'environment', 'alert_id']);
  place := telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}');
  since := telltale.instant_of(filter, 'from');
  till := telltale.instant_of(filter, 'to');
  execute format(
    'with page as (
      select a as row, a.started_at, a.alert_id from telltale.alerts as a
      where ($1 is null or coalesce(a.resolved_at, ''infinity'') >= $1) and ($2 is null or a.started_at < $2)
        and ($3 is null or (a.started_at, a.alert_id) < (telltale.at_of(($3 ->> ''us'')::bigint), ($3 ->> ''id'')::uuid)) %s
      order by a.started_at desc, a.alert_id desc limit $4
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(telltale.alert_document(page.row) order by started_at desc, alert_id desc), ''[]''),
      ''next'', case when count(*) = $4 then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(started_at)), ''id'', (array_agg(alert_id order by started_at, alert_id))[1])) end,
      ''rev'', (select revision from telltale.alert_state))
    from page',
    telltale.matching(filter, 'state', 'a.state') || telltale.matching(filter, 'severity', 'a.severity')
      || telltale.matching(filter, 'rule_id', 'a.rule_id') || telltale.matching(filter, 'service', 'a.service')
      || telltale.matching(filter, 'environment', 'a.environment') || telltale.matching(filter, 'alert_id', 'a.alert_id::text'))
  using since, till, place, size into answer;
  return answer;
end
$$;
comment on function telltale.alerts(jsonb, text, integer) is
  'Alerts, those that began last first: {rows: [AlertDocument], next, rev}. Filter: from, to (open in between; ISO 8601 or µs), state,
severity, rule_id, service, environment, alert_id (each a string or an array). n is 1 to 1000. Definer, see the head of this file.';
revoke all on function telltale.alerts(jsonb, text, integer) from public, anon;
grant execute on function telltale.alerts(jsonb, text, integer) to authenticated, service_role;

create function telltale.open_alerts() returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
  perform telltale.require_reader();
  return telltale.alert_push();
end
$$;
comment on function telltale.open_alerts() is
  'AlertPush {rev, at_us, total, alerts}: what the page is pushed, for when it was not. Definer, see the head of this file.';
revoke all on function telltale.open_alerts() from public, anon;
grant execute on function telltale.open_alerts() to authenticated, service_role;

create function telltale.acknowledge_alert(alert_id uuid) returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_revision bigint;
  v_alert telltale.alerts;
begin
  perform telltale.require_reader();
  update telltale.alert_state as s set revision = s.revision + 1 returning s.revision into v_revision;
  update telltale.alerts as a set state = 'acknowledged', acknowledged_at = telltale.clock(),
    acknowledged_by = telltale.caller_name(), revision = v_revision
  where a.alert_id = acknowledge_alert.alert_id and a.state = 'firing';
  select a.* into v_alert from telltale.alerts as a where a.alert_id = acknowledge_alert.alert_id;
  if not found then
    raise exception 'Cannot acknowledge alert: there is none of that id' using errcode = '22023';
  end if;
  return telltale.alert_document(v_alert);
end
$$;
comment on function telltale.acknowledge_alert(uuid) is
  'Somebody knows: a firing alert becomes acknowledged, by whom and when; any other stays as it is. Answers its AlertDocument.
Definer, see the head of this file.';
revoke all on function telltale.acknowledge_alert(uuid) from public, anon;
grant execute on function telltale.acknowledge_alert(uuid) to authenticated, service_role;

create function telltale.silence_row(s telltale.alert_silences) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select jsonb_build_object('silence_id', s.silence_id, 'rule_id', s.rule_id, 'service', s.service,
    'environment', s.environment, 'starts_us', telltale.us_of(s.starts_at), 'ends_us', telltale.us_of(s.ends_at),
    'repeat_s', s.repeat_s, 'reason', s.reason, 'made_by', s.made_by, 'made_us', telltale.us_of(s.made_at))
$$;
comment on function telltale.silence_row(telltale.alert_silences) is 'A silence as the readers answer it. Definer: part of the readers.';
revoke all on function telltale.silence_row(telltale.alert_silences) from public, anon, authenticated, service_role;

create function telltale.silence(wanted jsonb) returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_row telltale.alert_silences;
  v_starts timestamptz;
  seconds bigint;
begin
  perform telltale.require_reader();
  perform telltale.check_filter(wanted, array['rule_id', 'service', 'environment', 'starts', 'seconds', 'repeat_s', 'reason']);
  v_starts := coalesce(telltale.instant_of(wanted, 'starts'), telltale.clock());
  seconds := telltale.whole_number_in(wanted, 'seconds');
  if seconds is null or seconds not between 60 and 31536000 then
    raise exception 'Cannot silence: seconds is %', wanted -> 'seconds'
      using errcode = '22023', hint = 'seconds is from 60 to 31536000.';
  end if;
  if (select count(*) from telltale.alert_silences where ends_at > telltale.clock() or repeat_s is not null) >= 200 then
    raise exception 'Cannot silence: there are 200 silences' using errcode = '22023', hint = 'End some of them first.';
  end if;
  if wanted ->> 'rule_id' is not null
    and not exists (select from telltale.alert_rules where rule_id = wanted ->> 'rule_id') then
    raise exception 'Cannot silence: there is no rule of that id' using errcode = '22023';
  end if;
  insert into telltale.alert_silences (rule_id, service, environment, starts_at, ends_at, repeat_s, reason, made_by)
  values (wanted ->> 'rule_id', wanted ->> 'service', wanted ->> 'environment', v_starts,
    v_starts + seconds * interval '1 second', telltale.whole_number_in(wanted, 'repeat_s')::integer,
    coalesce(wanted ->> 'reason', ''), telltale.caller_name())
  returning * into v_row;
  update telltale.alert_state set revision = revision + 1;
  return telltale.silence_row(v_row);
end
$$;
comment on function telltale.silence(jsonb) is
  'Keeps alerts from being told of: {rule_id, service, environment (all where absent), seconds, starts (now; ISO 8601 or µs),
repeat_s (once), reason}. Answers the silence. Definer, see the head of this file.';
revoke all on function telltale.silence(jsonb) from public, anon;
grant execute on function telltale.silence(jsonb) to authenticated, service_role;

create function telltale.end_silence(silence_id uuid) returns boolean
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  perform telltale.require_reader();
  delete from telltale.alert_silences as s where s.silence_id = end_silence.silence_id;
  if not found then
    return false;
  end if;
  update telltale.alert_state set revision = revision + 1;
  return true;
end
$$;
comment on function telltale.end_silence(uuid) is 'Ends a silence at once; false when there is none. Definer, see the head of this file.';
revoke all on function telltale.end_silence(uuid) from public, anon;
grant execute on function telltale.end_silence(uuid) to authenticated, service_role;

create function telltale.silences() returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
  perform telltale.require_reader();
  return (select coalesce(jsonb_agg(telltale.silence_row(s) order by s.ends_at, s.silence_id), '[]')
    from telltale.alert_silences as s where s.ends_at > telltale.clock() or s.repeat_s is not null);
end
$$;
comment on function telltale.silences() is 'Those that are not over, the first to end first. Definer, see the head of this file.';
revoke all on function telltale.silences() from public, anon;
grant execute on function telltale.silences() to authenticated, service_role;

create function telltale.rules() returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
  perform telltale.require_reader();
  return (select coalesce(jsonb_agg(to_jsonb(r) - 'changed_at' || jsonb_build_object('changed_us', telltale.us_of(r.changed_at),
    'open', (select count(*) from telltale.alerts as a where a.rule_id = r.rule_id and a.state in ('firing', 'acknowledged')))
    order by r.is_template desc, r.rule_id), '[]') from telltale.alert_rules as r);
end
$$;
comment on function telltale.rules() is '[AlertRule] with is_template, changed_us and how many of its alerts are open. Definer, see the head of this file.';
revoke all on function telltale.rules() from public, anon;
grant execute on function telltale.rules() to authenticated, service_role;

create function telltale.set_rule(rule jsonb) returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  v_row telltale.alert_rules;
begin
  perform telltale.check_filter(rule, array['rule_id', 'name', 'enabled', 'kind', 'metric', 'filter', 'condition', 'threshold',
    'clear_threshold', 'min_count', 'window_s', 'for_s', 'clear_for_s', 'baseline_s', 'severity', 'group_by', 'objective',
    'destinations']);
  perform telltale.check_filter(coalesce(rule -> 'filter', '{}'), array['service', 'environment', 'not_environment', 'keys',
    'error_type', 'tool', 'gauge']);
  perform telltale.texts_in(rule -> 'filter', k) from unnest(array['service', 'environment', 'not_environment', 'keys',
    'error_type', 'tool', 'gauge']) as k;
  if exists (select from jsonb_each(rule -> 'filter') as f where jsonb_typeof(f.value) <> case f.key when 'gauge' then 'string' else 'array' end) then
    raise exception 'Cannot set rule: its filter is %', rule -> 'filter'
      using errcode = '22023', hint = 'Each member is an array of strings, gauge a string.';
  end if;
  select * into v_row from telltale.alert_rules as r where r.rule_id = rule ->> 'rule_id';
  if not found then
    if (select count(*) from telltale.alert_rules) >= 200 then
      raise exception 'Cannot add rule: there are 200' using errcode = '22023';
    end if;
    v_row := jsonb_populate_record(null::telltale.alert_rules, '{"enabled": true, "is_template": false, "filter": {},
      "min_count": 1, "window_s": 300, "for_s": 0, "clear_for_s": 60, "baseline_s": 21600, "severity": "warning",
      "group_by": ["service", "environment"]}');
  elsif rule ? 'kind' and v_row.is_template and rule ->> 'kind' <> v_row.kind then
    raise exception 'Cannot set rule: % is a template', v_row.rule_id
      using errcode = '22023', hint = 'A template can be changed in everything but its kind. Take another id for your own.';
  end if;
  v_row := jsonb_populate_record(v_row, rule);
  v_row.name := coalesce(v_row.name, v_row.rule_id);
  v_row.changed_at := telltale.clock();
  insert into telltale.alert_rules select v_row.*
  on conflict (rule_id) do update set name = excluded.name, enabled = excluded.enabled, kind = excluded.kind,
    metric = excluded.metric, filter = excluded.filter, condition = excluded.condition, threshold = excluded.threshold,
    clear_threshold = excluded.clear_threshold, min_count = excluded.min_count, window_s = excluded.window_s,
    for_s = excluded.for_s, clear_for_s = excluded.clear_for_s, baseline_s = excluded.baseline_s, severity = excluded.severity,
    group_by = excluded.group_by, objective = excluded.objective, destinations = excluded.destinations,
    changed_at = excluded.changed_at;
  delete from telltale.alert_stretches;
  update telltale.alert_state set revision = revision + 1;
  return to_jsonb(v_row) - 'changed_at';
end
$$;
comment on function telltale.set_rule(jsonb) is
  'Adds a rule, or changes those columns of one that are given. Answers all of it. Definer: the operator alone, no role may write
the table.';
revoke all on function telltale.set_rule(jsonb) from public, anon, authenticated;
grant execute on function telltale.set_rule(jsonb) to service_role;

create function telltale.remove_rule(rule_id text) returns boolean
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  delete from telltale.alert_rules as r where r.rule_id = remove_rule.rule_id and not r.is_template;
  if not found then
    return false;
  end if;
  update telltale.alert_state set revision = revision + 1;
  return true;
end
$$;
comment on function telltale.remove_rule(text) is
  'Removes a rule with its alerts; false for a template, which can only be disabled, or where there is none. Definer: the operator alone.';
revoke all on function telltale.remove_rule(text) from public, anon, authenticated;
grant execute on function telltale.remove_rule(text) to service_role;

create function telltale.masked_url(url text) returns text
language sql immutable strict parallel safe
set search_path = ''
as $$ select substring(url from '^https?://[^/]+') || case when url ~ '^https?://[^/]+/.' then '/...' else '' end $$;
comment on function telltale.masked_url(text) is 'An address without what may open it: its path and query.';
revoke all on function telltale.masked_url(text) from public, anon, authenticated, service_role;

create function telltale.destination_row(d telltale.alert_destinations) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select jsonb_build_object('destination_id', d.destination_id, 'name', d.name, 'kind', d.kind,
    'url', telltale.masked_url(d.url), 'severity', d.severity, 'to', coalesce(d.detail -> 'to', '[]'),
    'created_us', telltale.us_of(d.created_at))
$$;
comment on function telltale.destination_row(telltale.alert_destinations) is
  'A destination without its secrets: of its address the host alone. Definer: part of the readers.';
revoke all on function telltale.destination_row(telltale.alert_destinations) from public, anon, authenticated, service_role;

create function telltale.destinations() returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
begin
  perform telltale.require_reader();
  return (select coalesce(jsonb_agg(telltale.destination_row(d) order by d.name), '[]')
    from telltale.alert_destinations as d where d.removed_at is null);
end
$$;
comment on function telltale.destinations() is
  '[{destination_id, name, kind, url: of it the host alone, severity, to, created_us}]. Definer, see the head of this file.';
revoke all on function telltale.destinations() from public, anon;
grant execute on function telltale.destinations() to authenticated, service_role;

create function telltale.add_destination(wanted jsonb) returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_row telltale.alert_destinations;
begin
  perform telltale.check_filter(wanted, array['name', 'kind', 'url', 'secret', 'detail', 'severity']);
  if (select count(*) from telltale.alert_destinations where removed_at is null) >= 50 then
    raise exception 'Cannot add destination: there are 50' using errcode = '22023';
  end if;
  if exists (select from telltale.alert_destinations where name = wanted ->> 'name' and removed_at is null) then
    raise exception 'Cannot add destination: there is one of that name' using errcode = '22023';
  end if;
  insert into telltale.alert_destinations (name, kind, url, secret, detail, severity)
  values (wanted ->> 'name', wanted ->> 'kind', wanted ->> 'url', wanted ->> 'secret', coalesce(wanted -> 'detail', '{}'),
    coalesce(wanted ->> 'severity', 'info'))
  returning * into v_row;
  return telltale.destination_row(v_row);
end
$$;
comment on function telltale.add_destination(jsonb) is
  'Keeps a destination: {name, kind, url, secret, detail, severity}. The secret can be written, never read. Definer: the operator
alone.';
revoke all on function telltale.add_destination(jsonb) from public, anon, authenticated;
grant execute on function telltale.add_destination(jsonb) to service_role;

create function telltale.remove_destination(name text) returns boolean
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  update telltale.alert_destinations as d set removed_at = telltale.clock(), url = telltale.masked_url(d.url),
    secret = case when d.secret is null then null else 'removed' end
  where d.name = remove_destination.name and d.removed_at is null;
  return found;
end
$$;
comment on function telltale.remove_destination(text) is
  'Tells it no more, and forgets its secrets; its log stays. False when there is none. Definer: the operator alone.';
revoke all on function telltale.remove_destination(text) from public, anon, authenticated;
grant execute on function telltale.remove_destination(text) to service_role;

create function telltale.test_destination(name text) returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_id text := 'test:' || gen_random_uuid();
begin
  insert into telltale.alert_notifications (notification_id, destination_id, event, payload)
  select v_id, d.destination_id, 'test', jsonb_build_object('alert_id', null, 'rule_id', null, 'rule', 'Test',
    'state', 'firing', 'severity', 'info', 'topic', null, 'service', 'telltale', 'environment', 'test',
    'title', 'This is a test of the destination ' || d.name, 'subject', null, 'metric', null, 'value', null,
    'expected', null, 'count', 0, 'others', '[]'::jsonb, 'trace_ids', '[]'::jsonb, 'link', '/alerts', 'verdict', null,
    'started_us', telltale.us_of(telltale.clock()), 'fired_us', telltale.us_of(telltale.clock()), 'acknowledged_us', null,
    'acknowledged_by', null, 'resolved_us', null, 'silenced', false, 'under', null, 'revision', 0)
  from telltale.alert_destinations as d where d.name = test_destination.name and d.removed_at is null;
  if not found then
    raise exception 'Cannot test destination: there is none of that name' using errcode = '22023';
  end if;
  return jsonb_build_object('notification_id', v_id);
end
$$;
comment on function telltale.test_destination(text) is
  'Has the next tick tell a destination something harmless: {notification_id}, see deliveries(). Definer: the operator alone.';
revoke all on function telltale.test_destination(text) from public, anon, authenticated;
grant execute on function telltale.test_destination(text) to service_role;

create function telltale.deliveries(filter jsonb default '{}', cursor text default null, n integer default 100) returns jsonb
language plpgsql stable security definer
set search_path = ''
as $$
declare
  size integer;
  place jsonb;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['state', 'event', 'alert_id', 'destination', 'notification_id']);
  place := telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "."}');
  execute format(
    'with page as (
      select o.*, d.name, d.kind from telltale.alert_notifications as o
      join telltale.alert_destinations as d on d.destination_id = o.destination_id
      where ($1 is null or (o.created_at, o.notification_id) < (telltale.at_of(($1 ->> ''us'')::bigint), $1 ->> ''id'')) %s
      order by o.created_at desc, o.notification_id desc limit $2
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(jsonb_build_object(''notification_id'', notification_id, ''alert_id'', alert_id,
        ''destination'', name, ''kind'', kind, ''event'', event, ''title'', payload -> ''title'', ''state'', state,
        ''attempts'', attempts, ''status'', last_status, ''error'', last_error, ''created_us'', telltale.us_of(created_at),
        ''last_us'', telltale.us_of(last_at), ''next_us'', case when state = ''waiting'' then telltale.us_of(next_at) end)
        order by created_at desc, notification_id desc), ''[]''),
      ''next'', case when count(*) = $2 then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(created_at)), ''id'', (array_agg(notification_id order by created_at, notification_id))[1])) end)
    from page',
    telltale.matching(filter, 'state', 'o.state') || telltale.matching(filter, 'event', 'o.event')
      || telltale.matching(filter, 'alert_id', 'o.alert_id::text') || telltale.matching(filter, 'destination', 'd.name')
      || telltale.matching(filter, 'notification_id', 'o.notification_id'))
  using place, size into answer;
  return answer;
end
$$;
comment on function telltale.deliveries(jsonb, text, integer) is
  'What was told to whom, the newest first: {rows: [{notification_id, alert_id, destination, kind, event, title, state, attempts,
status, error, created_us, last_us, next_us}], next}. Filter: state, event, alert_id, destination, notification_id (each a string or
an array). n is 1 to 1000. Definer, see the head of this file.';
revoke all on function telltale.deliveries(jsonb, text, integer) from public, anon;
grant execute on function telltale.deliveries(jsonb, text, integer) to authenticated, service_role;
