-- What is watched, what was noticed, who is told and who must not be. The pass that judges is src/core/alert; it reads
-- alert_inputs(), and store_alert_outcome() takes what it came to, unless something changed in between (alert_state).
-- Nothing here is written by a role: all writers are definer.

create table telltale.alert_state (
  only_row boolean primary key default true,
  revision bigint not null default 1,
  pushed_revision bigint not null default 1,
  looked_at timestamptz,
  constraint alert_state_is_one_row check (only_row),
  constraint alert_state_pushes_what_it_has check (pushed_revision <= revision)
);
insert into telltale.alert_state default values;
comment on table telltale.alert_state is 'How often anything about alerts changed. One row, locked by whoever changes something.';
comment on column telltale.alert_state.only_row is 'True.';
comment on column telltale.alert_state.revision is 'Grows with every change: a pass that read an older one is not stored.';
comment on column telltale.alert_state.pushed_revision is 'The last one that the open pages were told of.';
comment on column telltale.alert_state.looked_at is 'When a pass last looked at all rules; null before the first.';

create table telltale.alert_rules (
  rule_id text collate "C" primary key,
  name text not null,
  enabled boolean not null default true,
  is_template boolean not null default false,
  kind text not null,
  metric text,
  filter jsonb not null default '{}',
  condition text,
  threshold double precision,
  clear_threshold double precision,
  min_count integer not null default 1,
  window_s integer not null default 300,
  for_s integer not null default 0,
  clear_for_s integer not null default 60,
  baseline_s integer not null default 21600,
  severity text not null default 'warning',
  group_by text[] not null default '{service,environment}',
  objective double precision,
  destinations uuid[],
  changed_at timestamptz not null default telltale.clock(),
  constraint alert_rules_have_plain_ids check (rule_id ~ '^[a-z][a-z0-9_]{0,63}$'),
  constraint alert_rules_have_short_names check (octet_length(name) between 1 and 256),
  constraint alert_rules_are_of_a_kind check (kind in ('metric', 'anomaly', 'slo', 'errors', 'no_data', 'gap', 'stuck',
    'starvation', 'leak')),
  constraint alert_rules_look_at_a_metric check (metric in ('error_rate', 'errors_per_minute', 'calls_per_minute',
    'mean_ms', 'p50_ms', 'p95_ms', 'p99_ms', 'bytes_per_second', 'tokens_per_minute', 'gauge', 'slow_rate', 'throughput')),
  constraint alert_rules_of_a_metric_say_when check (kind <> 'metric' or (metric is not null and metric <> 'slow_rate'
    and condition is not null and threshold is not null)),
  constraint alert_rules_of_a_gauge_name_it check (metric <> 'gauge' or (filter ? 'gauge' and condition <> 'above_baseline')),
  constraint alert_rules_of_an_slo_have_an_objective check (kind <> 'slo' or (objective is not null
    and metric in ('error_rate', 'slow_rate') and (metric = 'error_rate' or threshold is not null))),
  constraint alert_rules_allow_some_errors check (objective > 0 and objective < 1),
  constraint alert_rules_compare check (condition in ('above', 'below', 'above_baseline')),
  constraint alert_rules_have_finite_bounds check (abs(threshold) < 1e15 and abs(clear_threshold) < 1e15),
  constraint alert_rules_clear_on_the_good_side check (clear_threshold is null or threshold is null
    or case when condition = 'below' then clear_threshold >= threshold else clear_threshold <= threshold end),
  constraint alert_rules_have_a_filter check (jsonb_typeof(filter) = 'object' and octet_length(filter::text) <= 4096),
  constraint alert_rules_count_from_one check (min_count between 1 and 1000000),
  constraint alert_rules_look_back_a_day_at_most check (window_s between 30 and 86400),
  constraint alert_rules_wait_a_day_at_most check (for_s between 0 and 86400 and clear_for_s between 0 and 86400),
  constraint alert_rules_have_a_baseline_of_hours check (baseline_s between 3600 and 86400),
  constraint alert_rules_have_a_severity check (severity in ('info', 'warning', 'critical')),
  constraint alert_rules_group_by_known_things check (group_by <@ array['service', 'environment', 'subject'])
);
comment on table telltale.alert_rules is 'What is watched (src/core/alert/alert_rule.ts). Templates are shipped; they can be disabled, not removed.';
comment on column telltale.alert_rules.rule_id is 'Lower case words joined by _.';
comment on column telltale.alert_rules.name is 'For people.';
comment on column telltale.alert_rules.enabled is 'Whether it is looked at; disabling it resolves what it has open.';
comment on column telltale.alert_rules.is_template is 'Whether it was shipped.';
comment on column telltale.alert_rules.kind is 'A number, a burnt objective, or the presence of something: an anomaly, errors, a silence ...';
comment on column telltale.alert_rules.metric is 'Which number; of slo which calls are bad; null for the other kinds.';
comment on column telltale.alert_rules.filter is
  '{service, environment, not_environment, keys, error_type, tool: [text], gauge: text}: what it is about; all where absent.';
comment on column telltale.alert_rules.condition is 'On which side of the threshold is trouble; above_baseline: times what is usual.';
comment on column telltale.alert_rules.threshold is
  'In the unit of the metric; rates 0..1; s for no_data and stuck; ms for starvation and slow_rate; a score 0..1 for anomaly.';
comment on column telltale.alert_rules.clear_threshold is 'Where it counts as over; null: at the threshold.';
comment on column telltale.alert_rules.min_count is 'Of fewer calls nothing is concluded.';
comment on column telltale.alert_rules.window_s is 'How far back is looked, in s; of no_data how long a service must have gone on before.';
comment on column telltale.alert_rules.for_s is 'How long it must hold before the alert fires, in s.';
comment on column telltale.alert_rules.clear_for_s is 'How long it must be over before the alert resolves, in s.';
comment on column telltale.alert_rules.baseline_s is 'Of above_baseline: how far back what is usual is taken from, in s.';
comment on column telltale.alert_rules.severity is 'Of its alerts.';
comment on column telltale.alert_rules.group_by is 'What differs in none of these is one alert; subject is the series, error group, tool or permit.';
comment on column telltale.alert_rules.objective is 'Of slo: the share of calls that has to be good.';
comment on column telltale.alert_rules.destinations is 'Who is told; null: every destination of its severity.';
comment on column telltale.alert_rules.changed_at is 'When it was last changed.';

create table telltale.alerts (
  alert_id uuid primary key default gen_random_uuid(),
  rule_id text collate "C" not null references telltale.alert_rules on delete cascade,
  group_key text collate "C" not null,
  state text not null,
  severity text not null,
  topic text not null,
  service text not null,
  environment text not null,
  title text not null default '',
  evidence jsonb not null default '{}',
  verdict jsonb,
  started_at timestamptz not null,
  fired_at timestamptz,
  acknowledged_at timestamptz,
  acknowledged_by text,
  resolved_at timestamptz,
  seen_at timestamptz not null,
  clear_at timestamptz,
  notified boolean not null default false,
  silenced boolean not null default false,
  under uuid references telltale.alerts on delete set null,
  revision bigint not null,
  constraint alerts_are_in_a_state check (state in ('pending', 'firing', 'acknowledged', 'resolved')),
  constraint alerts_have_a_severity check (severity in ('info', 'warning', 'critical')),
  constraint alerts_fire_before_they_resolve check (state = 'pending' or fired_at is not null),
  constraint alerts_resolve_at_an_instant check ((state = 'resolved') = (resolved_at is not null)),
  constraint alerts_are_acknowledged_by_somebody check ((acknowledged_at is null) = (acknowledged_by is null)),
  constraint alerts_have_evidence check (jsonb_typeof(evidence) = 'object')
);
create unique index alerts_are_open_once on telltale.alerts (rule_id, group_key) where state <> 'resolved';
create index alerts_by_time on telltale.alerts (started_at, alert_id);
create index alerts_by_rule on telltale.alerts (rule_id);
create index alerts_by_leader on telltale.alerts (under) where under is not null;
comment on table telltale.alerts is 'What the rules noticed; kept 400 days after it resolved.';
comment on column telltale.alerts.alert_id is 'UUID.';
comment on column telltale.alerts.rule_id is 'Which rule.';
comment on column telltale.alerts.group_key is 'Which group of the rule, as JSON; of each at most one alert is open.';
comment on column telltale.alerts.state is 'pending: not for long enough; firing; acknowledged: somebody knows; resolved.';
comment on column telltale.alerts.severity is 'As the rule said when it began.';
comment on column telltale.alerts.topic is 'latency, errors, traffic, unusual, data, permits, stuck, resource: alerts of one topic and service are told of as one.';
comment on column telltale.alerts.service is 'Whose trouble it is.';
comment on column telltale.alerts.environment is 'Where.';
comment on column telltale.alerts.title is 'What is wrong, in one sentence.';
comment on column telltale.alerts.evidence is
  '{subject, metric, value (seen), expected: {low, mid, high}, count, others, trace_ids, link}, as when it was last breached.';
comment on column telltale.alerts.verdict is 'Why: a WhyAnswer; null where nobody has asked.';
comment on column telltale.alerts.started_at is 'Since when the condition holds.';
comment on column telltale.alerts.fired_at is 'When it fired; null while it is pending.';
comment on column telltale.alerts.acknowledged_at is 'When somebody said that they know; null where nobody did.';
comment on column telltale.alerts.acknowledged_by is 'The e-mail address or id of whoever did; operator for the secret key.';
comment on column telltale.alerts.resolved_at is 'When it resolved.';
comment on column telltale.alerts.seen_at is 'When a pass last wrote it.';
comment on column telltale.alerts.clear_at is 'Since when the condition is over without a break; null while it holds.';
comment on column telltale.alerts.notified is 'Whether destinations were told that it fires.';
comment on column telltale.alerts.silenced is 'Whether a silence or a maintenance window keeps it from being told of.';
comment on column telltale.alerts.under is 'The alert that it was told of with; null where it stands for itself.';
comment on column telltale.alerts.revision is 'That of alert_state when it last changed for people.';

create table telltale.alert_silences (
  silence_id uuid primary key default gen_random_uuid(),
  rule_id text collate "C" references telltale.alert_rules on delete cascade,
  service text,
  environment text,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  repeat_s integer,
  reason text not null default '',
  made_by text not null,
  made_at timestamptz not null default telltale.clock(),
  constraint alert_silences_end_after_they_start check (ends_at > starts_at),
  constraint alert_silences_last_a_year_at_most check (ends_at <= starts_at + interval '366 days'),
  constraint alert_silences_repeat_after_they_end check (repeat_s between 3600 and 31622400
    and ends_at - starts_at <= repeat_s * interval '1 second'),
  constraint alert_silences_have_short_words check (octet_length(reason) <= 1024 and octet_length(service) <= 256
    and octet_length(environment) <= 256)
);
create index alert_silences_by_end on telltale.alert_silences (ends_at);
create index alert_silences_by_rule on telltale.alert_silences (rule_id) where rule_id is not null;
comment on table telltale.alert_silences is 'When nobody is told of what; with repeat_s a maintenance window. Alerts go on being judged and shown.';
comment on column telltale.alert_silences.silence_id is 'UUID.';
comment on column telltale.alert_silences.rule_id is 'Of which rule; null: of all.';
comment on column telltale.alert_silences.service is 'Of which service; null: of all.';
comment on column telltale.alert_silences.environment is 'Of which environment; null: of all.';
comment on column telltale.alert_silences.starts_at is 'From when on; may lie ahead.';
comment on column telltale.alert_silences.ends_at is 'Until when, exclusive.';
comment on column telltale.alert_silences.repeat_s is 'Again every so many s, such as 86400 or 604800; null: once.';
comment on column telltale.alert_silences.reason is 'For people.';
comment on column telltale.alert_silences.made_by is 'The e-mail address or id of whoever made it.';
comment on column telltale.alert_silences.made_at is 'When.';

create table telltale.alert_marks (
  rule_id text collate "C" not null references telltale.alert_rules on delete cascade,
  process_id uuid not null,
  lost bigint not null,
  grew_at timestamptz not null,
  primary key (rule_id, process_id)
);
comment on table telltale.alert_marks is 'What a rule has seen of a process''s losses, so that the same loss is told of once.';
comment on column telltale.alert_marks.rule_id is 'Which rule.';
comment on column telltale.alert_marks.process_id is 'Whose losses.';
comment on column telltale.alert_marks.lost is 'Missing batches and dropped records so far.';
comment on column telltale.alert_marks.grew_at is 'When they last became more.';

create table telltale.alert_stretches (
  service text not null,
  environment text not null,
  age_s integer not null,
  series jsonb not null,
  computed_at timestamptz not null,
  primary key (service, environment, age_s)
);
comment on table telltale.alert_stretches is
  'What was counted over long stretches, kept for five minutes: what is usual changes slowly, and costs much to add up.';
comment on column telltale.alert_stretches.service is 'Of which service.';
comment on column telltale.alert_stretches.environment is 'Of which environment.';
comment on column telltale.alert_stretches.age_s is
  '0: what is usual, the hours before the last ten minutes; 21600, 259200: from there to the next smaller age of a burn rate.';
comment on column telltale.alert_stretches.series is 'As in rollup_minutes, the keys that rules name.';
comment on column telltale.alert_stretches.computed_at is 'When it was added up.';

alter table telltale.alert_state enable row level security;
alter table telltale.alert_rules enable row level security;
alter table telltale.alerts enable row level security;
alter table telltale.alert_silences enable row level security;
alter table telltale.alert_marks enable row level security;
alter table telltale.alert_stretches enable row level security;
revoke all on telltale.alert_state, telltale.alert_rules, telltale.alerts, telltale.alert_silences, telltale.alert_marks,
  telltale.alert_stretches from public, anon, authenticated, service_role;
grant select on telltale.alert_state, telltale.alert_rules, telltale.alerts, telltale.alert_silences, telltale.alert_marks,
  telltale.alert_stretches to authenticated, service_role;
create policy alert_state_read on telltale.alert_state for select to authenticated using ((select telltale.is_reader()));
create policy alert_rules_read on telltale.alert_rules for select to authenticated using ((select telltale.is_reader()));
create policy alerts_read on telltale.alerts for select to authenticated using ((select telltale.is_reader()));
create policy alert_silences_read on telltale.alert_silences for select to authenticated using ((select telltale.is_reader()));
create policy alert_marks_read on telltale.alert_marks for select to authenticated using ((select telltale.is_reader()));
create policy alert_stretches_read on telltale.alert_stretches for select to authenticated
  using ((select telltale.is_reader()));

-- The demo fails on purpose: nobody is woken for it.
insert into telltale.alert_rules (rule_id, name, is_template, enabled, kind, metric, filter, condition, threshold,
  clear_threshold, min_count, window_s, for_s, clear_for_s, severity, group_by, objective) values
  ('error_rate', 'Too many calls fail', true, true, 'metric', 'error_rate', '{"keys": ["all"], "not_environment": ["demo"]}',
    'above', 0.2, 0.1, 20, 300, 0, 120, 'critical', '{service,environment}', null),
  ('provider_failing', 'A provider fails', true, true, 'metric', 'error_rate',
    '{"keys": ["provider:*"], "not_environment": ["demo"]}',
    'above', 0.3, 0.15, 10, 180, 0, 120, 'critical', '{service,environment,subject}', null),
  ('slow', 'Slower than usual', true, true, 'metric', 'p95_ms',
    '{"keys": ["all", "provider:*", "tool:*"], "not_environment": ["demo"]}',
    'above_baseline', 2, 1.5, 10, 180, 0, 60, 'warning', '{service,environment}', null),
  ('anomaly', 'Something is unusual', true, true, 'anomaly', null, '{"not_environment": ["demo"]}',
    null, 0.9, 0.5, 1, 300, 0, 60, 'warning', '{service,environment}', null),
  ('new_error', 'A new error, or one that came back', true, true, 'errors', null, '{"not_environment": ["demo"]}',
    null, null, null, 1, 900, 0, 0, 'warning', '{service,environment,subject}', null),
  ('no_data', 'A service fell silent', true, true, 'no_data', null, '{"not_environment": ["demo"]}',
    null, 300, null, 1, 1800, 0, 0, 'warning', '{service,environment}', null),
  ('gap', 'Data is missing', true, true, 'gap', null, '{}', null, 0, null, 1, 600, 60, 0, 'warning',
    '{service,environment}', null),
  ('stuck_request', 'A call does not end', true, true, 'stuck', null, '{"not_environment": ["demo"]}',
    null, 300, null, 1, 300, 0, 30, 'warning', '{service,environment,subject}', null),
  ('permit_starvation', 'Calls wait too long for a permit', true, true, 'starvation', null,
    '{"not_environment": ["demo"]}', null, 10000, null, 3, 120, 0, 60, 'warning', '{service,environment,subject}', null),
  ('permit_leak', 'A permit was released while it was held', true, true, 'leak', null,
    '{"error_type": ["PermitReleasedWhileHeld"], "not_environment": ["demo"]}',
    null, null, null, 1, 600, 0, 0, 'critical', '{service,environment}', null),
  ('slo_errors', 'The error budget burns', true, false, 'slo', 'error_rate', '{"keys": ["all"], "not_environment": ["demo"]}',
    null, null, null, 50, 300, 0, 120, 'critical', '{service,environment}', 0.99);
