-- The schema telltale as the migrations leave it. Written by `node test/schema_fixture.ts`; do not edit.

create table telltale.admitted_names (
  source_id uuid not null,
  series_key text not null,
  admitted_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.admitted_names add constraint admitted_names_have_a_kind CHECK ((series_key ~ '^(tool|provider|model|layer|connection|cache):'::text));
alter table telltale.admitted_names add constraint admitted_names_pkey PRIMARY KEY (source_id, series_key);
alter table telltale.admitted_names add constraint admitted_names_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id) ON DELETE CASCADE;
alter table telltale.admitted_names enable row level security;
create policy admitted_names_read on telltale.admitted_names for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.admitted_names to authenticated;
grant select on telltale.admitted_names to service_role;
comment on table telltale.admitted_names is 'The names that a source''s metrics are kept under: the first 64 tools, 16 providers, 32 models, 16 layers, 16
connections and 16 results of caches (src/core/limit.ts). Those that come later are counted under `other`. The table of traces keeps every name.';
comment on column telltale.admitted_names.source_id is 'Whose name it is.';
comment on column telltale.admitted_names.series_key is 'The series key, such as tool:read_file.';
comment on column telltale.admitted_names.admitted_at is 'When it was first seen.';

create table telltale.alert_destinations (
  destination_id uuid not null default gen_random_uuid(),
  name text not null,
  kind text not null,
  url text not null,
  secret text,
  detail jsonb not null default '{}'::jsonb,
  severity text not null default 'info'::text,
  created_at timestamp with time zone not null default telltale.clock(),
  removed_at timestamp with time zone
);
alter table telltale.alert_destinations add constraint alert_destinations_are_of_a_kind CHECK ((kind = ANY (ARRAY['webhook'::text, 'slack'::text, 'discord'::text, 'email'::text])));
alter table telltale.alert_destinations add constraint alert_destinations_have_a_severity CHECK ((severity = ANY (ARRAY['info'::text, 'warning'::text, 'critical'::text])));
alter table telltale.alert_destinations add constraint alert_destinations_have_addresses CHECK (((url ~ '^https?://[^/?#[:space:]@]+(/[^[:space:]]*)?$'::text) AND (octet_length(url) <= 2048)));
alter table telltale.alert_destinations add constraint alert_destinations_have_details CHECK (((jsonb_typeof(detail) = 'object'::text) AND (octet_length((detail)::text) <= 4096)));
alter table telltale.alert_destinations add constraint alert_destinations_have_short_names CHECK ((name ~ '^[A-Za-z0-9][A-Za-z0-9_. -]{0,63}$'::text));
alter table telltale.alert_destinations add constraint alert_destinations_have_short_secrets CHECK ((octet_length(secret) <= 1024));
alter table telltale.alert_destinations add constraint alert_destinations_pkey PRIMARY KEY (destination_id);
alter table telltale.alert_destinations add constraint alert_destinations_sign_what_they_send CHECK (((kind <> ALL (ARRAY['webhook'::text, 'email'::text])) OR (secret IS NOT NULL)));
CREATE UNIQUE INDEX alert_destinations_are_named_once ON telltale.alert_destinations USING btree (name) WHERE (removed_at IS NULL);
alter table telltale.alert_destinations enable row level security;
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

create table telltale.alert_marks (
  rule_id text collate "C" not null,
  process_id uuid not null,
  lost bigint not null,
  grew_at timestamp with time zone not null
);
alter table telltale.alert_marks add constraint alert_marks_pkey PRIMARY KEY (rule_id, process_id);
alter table telltale.alert_marks add constraint alert_marks_rule_id_fkey FOREIGN KEY (rule_id) REFERENCES telltale.alert_rules(rule_id) ON DELETE CASCADE;
alter table telltale.alert_marks enable row level security;
create policy alert_marks_read on telltale.alert_marks for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.alert_marks to authenticated;
grant select on telltale.alert_marks to service_role;
comment on table telltale.alert_marks is 'What a rule has seen of a process''s losses, so that the same loss is told of once.';
comment on column telltale.alert_marks.rule_id is 'Which rule.';
comment on column telltale.alert_marks.process_id is 'Whose losses.';
comment on column telltale.alert_marks.lost is 'Missing batches and dropped records so far.';
comment on column telltale.alert_marks.grew_at is 'When they last became more.';

create table telltale.alert_notifications (
  notification_id text collate "C" not null,
  alert_id uuid,
  destination_id uuid not null,
  event text not null,
  payload jsonb not null,
  state text not null default 'waiting'::text,
  created_at timestamp with time zone not null default telltale.clock(),
  next_at timestamp with time zone not null default telltale.clock(),
  leased_until timestamp with time zone not null default '-infinity'::timestamp with time zone,
  attempts integer not null default 0,
  last_status integer,
  last_error text,
  last_at timestamp with time zone
);
alter table telltale.alert_notifications add constraint alert_notifications_alert_id_fkey FOREIGN KEY (alert_id) REFERENCES telltale.alerts(alert_id) ON DELETE CASCADE;
alter table telltale.alert_notifications add constraint alert_notifications_are_in_a_state CHECK ((state = ANY (ARRAY['waiting'::text, 'sent'::text, 'given_up'::text])));
alter table telltale.alert_notifications add constraint alert_notifications_count_from_zero CHECK ((attempts >= 0));
alter table telltale.alert_notifications add constraint alert_notifications_destination_id_fkey FOREIGN KEY (destination_id) REFERENCES telltale.alert_destinations(destination_id);
alter table telltale.alert_notifications add constraint alert_notifications_have_short_errors CHECK ((octet_length(last_error) <= 1024));
alter table telltale.alert_notifications add constraint alert_notifications_pkey PRIMARY KEY (notification_id);
alter table telltale.alert_notifications add constraint alert_notifications_tell_of_an_event CHECK ((event = ANY (ARRAY['firing'::text, 'resolved'::text, 'test'::text])));
CREATE INDEX alert_notifications_by_alert ON telltale.alert_notifications USING btree (alert_id) WHERE (alert_id IS NOT NULL);
CREATE INDEX alert_notifications_by_destination ON telltale.alert_notifications USING btree (destination_id);
CREATE INDEX alert_notifications_by_time ON telltale.alert_notifications USING btree (created_at, notification_id);
CREATE INDEX alert_notifications_that_wait ON telltale.alert_notifications USING btree (next_at) WHERE (state = 'waiting'::text);
alter table telltale.alert_notifications enable row level security;
create policy alert_notifications_read on telltale.alert_notifications for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.alert_notifications to authenticated;
grant select on telltale.alert_notifications to service_role;
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

create table telltale.alert_questions (
  alert_id uuid not null,
  tries smallint not null,
  tried_at timestamp with time zone not null
);
alter table telltale.alert_questions add constraint alert_questions_alert_id_fkey FOREIGN KEY (alert_id) REFERENCES telltale.alerts(alert_id) ON DELETE CASCADE;
alter table telltale.alert_questions add constraint alert_questions_pkey PRIMARY KEY (alert_id);
alter table telltale.alert_questions add constraint alert_questions_were_asked CHECK ((tries > 0));
alter table telltale.alert_questions enable row level security;
create policy alert_questions_read on telltale.alert_questions for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.alert_questions to authenticated;
grant select on telltale.alert_questions to service_role;
comment on table telltale.alert_questions is 'How often it was asked why, for an alert.';
comment on column telltale.alert_questions.alert_id is 'Which alert.';
comment on column telltale.alert_questions.tries is 'How often.';
comment on column telltale.alert_questions.tried_at is 'When last.';

create table telltale.alert_rules (
  rule_id text collate "C" not null,
  name text not null,
  enabled boolean not null default true,
  is_template boolean not null default false,
  kind text not null,
  metric text,
  filter jsonb not null default '{}'::jsonb,
  condition text,
  threshold double precision,
  clear_threshold double precision,
  min_count integer not null default 1,
  window_s integer not null default 300,
  for_s integer not null default 0,
  clear_for_s integer not null default 60,
  baseline_s integer not null default 21600,
  severity text not null default 'warning'::text,
  group_by text[] not null default '{service,environment}'::text[],
  objective double precision,
  destinations uuid[],
  changed_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.alert_rules add constraint alert_rules_allow_some_errors CHECK (((objective > (0)::double precision) AND (objective < (1)::double precision)));
alter table telltale.alert_rules add constraint alert_rules_are_of_a_kind CHECK ((kind = ANY (ARRAY['metric'::text, 'anomaly'::text, 'slo'::text, 'errors'::text, 'no_data'::text, 'gap'::text, 'stuck'::text, 'starvation'::text, 'leak'::text])));
alter table telltale.alert_rules add constraint alert_rules_clear_on_the_good_side CHECK (((clear_threshold IS NULL) OR (threshold IS NULL) OR
CASE
    WHEN (condition = 'below'::text) THEN (clear_threshold >= threshold)
    ELSE (clear_threshold <= threshold)
END));
alter table telltale.alert_rules add constraint alert_rules_compare CHECK ((condition = ANY (ARRAY['above'::text, 'below'::text, 'above_baseline'::text])));
alter table telltale.alert_rules add constraint alert_rules_count_from_one CHECK (((min_count >= 1) AND (min_count <= 1000000)));
alter table telltale.alert_rules add constraint alert_rules_group_by_known_things CHECK ((group_by <@ ARRAY['service'::text, 'environment'::text, 'subject'::text]));
alter table telltale.alert_rules add constraint alert_rules_have_a_baseline_of_hours CHECK (((baseline_s >= 3600) AND (baseline_s <= 86400)));
alter table telltale.alert_rules add constraint alert_rules_have_a_filter CHECK (((jsonb_typeof(filter) = 'object'::text) AND (octet_length((filter)::text) <= 4096)));
alter table telltale.alert_rules add constraint alert_rules_have_a_severity CHECK ((severity = ANY (ARRAY['info'::text, 'warning'::text, 'critical'::text])));
alter table telltale.alert_rules add constraint alert_rules_have_finite_bounds CHECK (((abs(threshold) < ('1000000000000000'::numeric)::double precision) AND (abs(clear_threshold) < ('1000000000000000'::numeric)::double precision)));
alter table telltale.alert_rules add constraint alert_rules_have_plain_ids CHECK ((rule_id ~ '^[a-z][a-z0-9_]{0,63}$'::text));
alter table telltale.alert_rules add constraint alert_rules_have_short_names CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 256)));
alter table telltale.alert_rules add constraint alert_rules_look_at_a_metric CHECK ((metric = ANY (ARRAY['error_rate'::text, 'errors_per_minute'::text, 'calls_per_minute'::text, 'mean_ms'::text, 'p50_ms'::text, 'p95_ms'::text, 'p99_ms'::text, 'bytes_per_second'::text, 'tokens_per_minute'::text, 'gauge'::text, 'slow_rate'::text, 'throughput'::text])));
alter table telltale.alert_rules add constraint alert_rules_look_back_a_day_at_most CHECK (((window_s >= 30) AND (window_s <= 86400)));
alter table telltale.alert_rules add constraint alert_rules_of_a_gauge_name_it CHECK (((metric <> 'gauge'::text) OR ((filter ? 'gauge'::text) AND (condition <> 'above_baseline'::text))));
alter table telltale.alert_rules add constraint alert_rules_of_a_metric_say_when CHECK (((kind <> 'metric'::text) OR ((metric IS NOT NULL) AND (metric <> 'slow_rate'::text) AND (condition IS NOT NULL) AND (threshold IS NOT NULL))));
alter table telltale.alert_rules add constraint alert_rules_of_an_slo_have_an_objective CHECK (((kind <> 'slo'::text) OR ((objective IS NOT NULL) AND (metric = ANY (ARRAY['error_rate'::text, 'slow_rate'::text])) AND ((metric = 'error_rate'::text) OR (threshold IS NOT NULL)))));
alter table telltale.alert_rules add constraint alert_rules_pkey PRIMARY KEY (rule_id);
alter table telltale.alert_rules add constraint alert_rules_wait_a_day_at_most CHECK ((((for_s >= 0) AND (for_s <= 86400)) AND ((clear_for_s >= 0) AND (clear_for_s <= 86400))));
alter table telltale.alert_rules enable row level security;
create policy alert_rules_read on telltale.alert_rules for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.alert_rules to authenticated;
grant select on telltale.alert_rules to service_role;
comment on table telltale.alert_rules is 'What is watched (src/core/alert/alert_rule.ts). Templates are shipped; they can be disabled, not removed.';
comment on column telltale.alert_rules.rule_id is 'Lower case words joined by _.';
comment on column telltale.alert_rules.name is 'For people.';
comment on column telltale.alert_rules.enabled is 'Whether it is looked at; disabling it resolves what it has open.';
comment on column telltale.alert_rules.is_template is 'Whether it was shipped.';
comment on column telltale.alert_rules.kind is 'A number, a burnt objective, or the presence of something: an anomaly, errors, a silence ...';
comment on column telltale.alert_rules.metric is 'Which number; of slo which calls are bad; null for the other kinds.';
comment on column telltale.alert_rules.filter is '{service, environment, not_environment, keys, error_type, tool: [text], gauge: text}: what it is about; all where absent.';
comment on column telltale.alert_rules.condition is 'On which side of the threshold is trouble; above_baseline: times what is usual.';
comment on column telltale.alert_rules.threshold is 'In the unit of the metric; rates 0..1; s for no_data and stuck; ms for starvation and slow_rate; a score 0..1 for anomaly.';
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

create table telltale.alert_silences (
  silence_id uuid not null default gen_random_uuid(),
  rule_id text collate "C",
  service text,
  environment text,
  starts_at timestamp with time zone not null,
  ends_at timestamp with time zone not null,
  repeat_s integer,
  reason text not null default ''::text,
  made_by text not null,
  made_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.alert_silences add constraint alert_silences_end_after_they_start CHECK ((ends_at > starts_at));
alter table telltale.alert_silences add constraint alert_silences_have_short_words CHECK (((octet_length(reason) <= 1024) AND (octet_length(service) <= 256) AND (octet_length(environment) <= 256)));
alter table telltale.alert_silences add constraint alert_silences_last_a_year_at_most CHECK ((ends_at <= (starts_at + '366 days'::interval)));
alter table telltale.alert_silences add constraint alert_silences_pkey PRIMARY KEY (silence_id);
alter table telltale.alert_silences add constraint alert_silences_repeat_after_they_end CHECK ((((repeat_s >= 3600) AND (repeat_s <= 31622400)) AND ((ends_at - starts_at) <= ((repeat_s)::double precision * '00:00:01'::interval))));
alter table telltale.alert_silences add constraint alert_silences_rule_id_fkey FOREIGN KEY (rule_id) REFERENCES telltale.alert_rules(rule_id) ON DELETE CASCADE;
CREATE INDEX alert_silences_by_end ON telltale.alert_silences USING btree (ends_at);
CREATE INDEX alert_silences_by_rule ON telltale.alert_silences USING btree (rule_id) WHERE (rule_id IS NOT NULL);
alter table telltale.alert_silences enable row level security;
create policy alert_silences_read on telltale.alert_silences for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.alert_silences to authenticated;
grant select on telltale.alert_silences to service_role;
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

create table telltale.alert_state (
  only_row boolean not null default true,
  revision bigint not null default 1,
  pushed_revision bigint not null default 1,
  looked_at timestamp with time zone
);
alter table telltale.alert_state add constraint alert_state_is_one_row CHECK (only_row);
alter table telltale.alert_state add constraint alert_state_pkey PRIMARY KEY (only_row);
alter table telltale.alert_state add constraint alert_state_pushes_what_it_has CHECK ((pushed_revision <= revision));
alter table telltale.alert_state enable row level security;
create policy alert_state_read on telltale.alert_state for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.alert_state to authenticated;
grant select on telltale.alert_state to service_role;
comment on table telltale.alert_state is 'How often anything about alerts changed. One row, locked by whoever changes something.';
comment on column telltale.alert_state.only_row is 'True.';
comment on column telltale.alert_state.revision is 'Grows with every change: a pass that read an older one is not stored.';
comment on column telltale.alert_state.pushed_revision is 'The last one that the open pages were told of.';
comment on column telltale.alert_state.looked_at is 'When a pass last looked at all rules; null before the first.';

create table telltale.alert_stretches (
  service text not null,
  environment text not null,
  age_s integer not null,
  series jsonb not null,
  computed_at timestamp with time zone not null
);
alter table telltale.alert_stretches add constraint alert_stretches_pkey PRIMARY KEY (service, environment, age_s);
alter table telltale.alert_stretches enable row level security;
create policy alert_stretches_read on telltale.alert_stretches for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.alert_stretches to authenticated;
grant select on telltale.alert_stretches to service_role;
comment on table telltale.alert_stretches is 'What was counted over long stretches, kept for five minutes: what is usual changes slowly, and costs much to add up.';
comment on column telltale.alert_stretches.service is 'Of which service.';
comment on column telltale.alert_stretches.environment is 'Of which environment.';
comment on column telltale.alert_stretches.age_s is '0: what is usual, the hours before the last ten minutes; 21600, 259200: from there to the next smaller age of a burn rate.';
comment on column telltale.alert_stretches.series is 'As in rollup_minutes, the keys that rules name.';
comment on column telltale.alert_stretches.computed_at is 'When it was added up.';

create table telltale.alerts (
  alert_id uuid not null default gen_random_uuid(),
  rule_id text collate "C" not null,
  group_key text collate "C" not null,
  state text not null,
  severity text not null,
  topic text not null,
  service text not null,
  environment text not null,
  title text not null default ''::text,
  evidence jsonb not null default '{}'::jsonb,
  verdict jsonb,
  started_at timestamp with time zone not null,
  fired_at timestamp with time zone,
  acknowledged_at timestamp with time zone,
  acknowledged_by text,
  resolved_at timestamp with time zone,
  seen_at timestamp with time zone not null,
  clear_at timestamp with time zone,
  notified boolean not null default false,
  silenced boolean not null default false,
  under uuid,
  revision bigint not null
);
alter table telltale.alerts add constraint alerts_are_acknowledged_by_somebody CHECK (((acknowledged_at IS NULL) = (acknowledged_by IS NULL)));
alter table telltale.alerts add constraint alerts_are_in_a_state CHECK ((state = ANY (ARRAY['pending'::text, 'firing'::text, 'acknowledged'::text, 'resolved'::text])));
alter table telltale.alerts add constraint alerts_fire_before_they_resolve CHECK (((state = 'pending'::text) OR (fired_at IS NOT NULL)));
alter table telltale.alerts add constraint alerts_have_a_severity CHECK ((severity = ANY (ARRAY['info'::text, 'warning'::text, 'critical'::text])));
alter table telltale.alerts add constraint alerts_have_evidence CHECK ((jsonb_typeof(evidence) = 'object'::text));
alter table telltale.alerts add constraint alerts_pkey PRIMARY KEY (alert_id);
alter table telltale.alerts add constraint alerts_resolve_at_an_instant CHECK (((state = 'resolved'::text) = (resolved_at IS NOT NULL)));
alter table telltale.alerts add constraint alerts_rule_id_fkey FOREIGN KEY (rule_id) REFERENCES telltale.alert_rules(rule_id) ON DELETE CASCADE;
alter table telltale.alerts add constraint alerts_under_fkey FOREIGN KEY (under) REFERENCES telltale.alerts(alert_id) ON DELETE SET NULL;
CREATE UNIQUE INDEX alerts_are_open_once ON telltale.alerts USING btree (rule_id, group_key) WHERE (state <> 'resolved'::text);
CREATE INDEX alerts_by_leader ON telltale.alerts USING btree (under) WHERE (under IS NOT NULL);
CREATE INDEX alerts_by_rule ON telltale.alerts USING btree (rule_id);
CREATE INDEX alerts_by_time ON telltale.alerts USING btree (started_at, alert_id);
alter table telltale.alerts enable row level security;
create policy alerts_read on telltale.alerts for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.alerts to authenticated;
grant select on telltale.alerts to service_role;
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
comment on column telltale.alerts.evidence is '{subject, metric, value (seen), expected: {low, mid, high}, count, others, trace_ids, link}, as when it was last breached.';
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

create table telltale.anomalies (
  anomaly_id uuid not null,
  service text not null,
  environment text not null,
  series_key text not null,
  metric text not null,
  score double precision not null,
  expected jsonb not null,
  seen double precision not null,
  started_at timestamp with time zone not null,
  last_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  incident_id uuid not null,
  place integer not null default 1
);
alter table telltale.anomalies add constraint anomalies_end_after_they_start CHECK (((started_at <= last_at) AND (last_at <= ended_at)));
alter table telltale.anomalies add constraint anomalies_expect_a_range CHECK ((expected ?& ARRAY['low'::text, 'mid'::text, 'high'::text]));
alter table telltale.anomalies add constraint anomalies_have_a_place CHECK ((place >= 1));
alter table telltale.anomalies add constraint anomalies_incident_id_fkey FOREIGN KEY (incident_id) REFERENCES telltale.incidents(incident_id) ON DELETE CASCADE;
alter table telltale.anomalies add constraint anomalies_measure_something CHECK ((metric = ANY (ARRAY['p95_ms'::text, 'error_rate'::text, 'throughput'::text, 'gauge'::text])));
alter table telltale.anomalies add constraint anomalies_pkey PRIMARY KEY (anomaly_id);
alter table telltale.anomalies add constraint anomalies_score_from_0_to_1 CHECK (((score >= (0)::double precision) AND (score <= (1)::double precision)));
CREATE INDEX anomalies_by_incident ON telltale.anomalies USING btree (incident_id, place);
CREATE INDEX anomalies_by_series ON telltale.anomalies USING btree (service, environment, series_key, metric, started_at);
CREATE INDEX anomalies_by_start ON telltale.anomalies USING btree (started_at DESC, anomaly_id DESC);
CREATE UNIQUE INDEX anomalies_that_last ON telltale.anomalies USING btree (service, environment, series_key, metric) WHERE (ended_at IS NULL);
alter table telltale.anomalies enable row level security;
create policy anomalies_read on telltale.anomalies for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.anomalies to authenticated;
grant select on telltale.anomalies to service_role;
comment on table telltale.anomalies is 'Times in which a series was not as expected; kept 400 days. At most one of a series lasts.';
comment on column telltale.anomalies.anomaly_id is 'Derived from the series and the start.';
comment on column telltale.anomalies.service is 'Where it happens.';
comment on column telltale.anomalies.environment is 'And where that runs.';
comment on column telltale.anomalies.series_key is 'Which series: see telltale.detector_series.';
comment on column telltale.anomalies.metric is 'p95_ms (ms), error_rate (0..1), throughput (requests a minute), gauge (the unit that its name says).';
comment on column telltale.anomalies.score is 'How unlikely it was at its worst, 0..1. From 0.975 on it is worth an alert (anomalyAlertScore in src/core/limit.ts).';
comment on column telltale.anomalies.expected is '{low, mid, high} in the metric''s unit, when it was at its worst.';
comment on column telltale.anomalies.seen is 'What was seen then, in the metric''s unit.';
comment on column telltale.anomalies.started_at is 'Start of the first minute that was abnormal.';
comment on column telltale.anomalies.last_at is 'Until when it was seen to be abnormal: the end of a minute, or the last look.';
comment on column telltale.anomalies.ended_at is 'When it was over; null while it lasts.';
comment on column telltale.anomalies.incident_id is 'What it is part of.';
comment on column telltale.anomalies.place is 'Its place in the incident: 1 is the likeliest root.';

create table telltale.batches (
  batch_id uuid not null,
  process_id uuid not null,
  key_id text not null,
  seq bigint not null,
  piece_index integer not null,
  piece_count integer not null,
  made_at timestamp with time zone not null,
  received_at timestamp with time zone not null default telltale.clock(),
  ack jsonb not null
);
alter table telltale.batches add constraint batches_are_a_piece_of_a_whole CHECK (((piece_index >= 1) AND (piece_index <= piece_count)));
alter table telltale.batches add constraint batches_count_from_one CHECK ((seq >= 1));
alter table telltale.batches add constraint batches_pkey PRIMARY KEY (batch_id);
CREATE INDEX batches_by_receipt ON telltale.batches USING btree (received_at);
CREATE INDEX batches_in_pieces ON telltale.batches USING btree (process_id, seq) WHERE (piece_count > 1);
alter table telltale.batches enable row level security;
create policy batches_read on telltale.batches for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.batches to authenticated;
grant select on telltale.batches to service_role;
comment on table telltale.batches is 'Every batch taken in the last 30 days, so that one sent again changes nothing and is answered what it was the first time.';
comment on column telltale.batches.batch_id is 'As the reporter froze it before the first attempt.';
comment on column telltale.batches.process_id is 'Which process sent it.';
comment on column telltale.batches.key_id is 'The ingest key that it came with.';
comment on column telltale.batches.seq is 'Sequence number in its process, from 1; the pieces of a cut batch share it.';
comment on column telltale.batches.piece_index is 'Which piece, from 1.';
comment on column telltale.batches.piece_count is 'Of how many pieces; 1 for a whole batch.';
comment on column telltale.batches.made_at is 'When it was made, by the process''s clock.';
comment on column telltale.batches.received_at is 'When it was stored.';
comment on column telltale.batches.ack is 'What its first attempt was answered: {accepted, rejected, renamed}.';

create table telltale.clock_shifts (
  process_id uuid not null,
  reference_process_id uuid not null,
  shift_us bigint not null,
  width_us bigint not null,
  samples bigint not null default 1,
  measured_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.clock_shifts add constraint clock_shifts_pkey PRIMARY KEY (process_id, reference_process_id);
CREATE INDEX clock_shifts_by_time ON telltale.clock_shifts USING btree (measured_at);
alter table telltale.clock_shifts enable row level security;
create policy clock_shifts_read on telltale.clock_shifts for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.clock_shifts to authenticated;
grant select on telltale.clock_shifts to service_role;
comment on table telltale.clock_shifts is 'How far the clock of a process is from that of the process that calls it, as spans inside spans tell.';
comment on column telltale.clock_shifts.process_id is 'The process whose times are to be shifted.';
comment on column telltale.clock_shifts.reference_process_id is 'The process that called it, whose clock the times are shifted to.';
comment on column telltale.clock_shifts.shift_us is 'What to add to its times, in µs; 0 where the clocks may as well agree.';
comment on column telltale.clock_shifts.width_us is 'How far off the shift may be at most, in µs, each way.';
comment on column telltale.clock_shifts.samples is 'How many pairs of spans were looked at.';
comment on column telltale.clock_shifts.measured_at is 'When the pair that it rests on was looked at.';

create table telltale.detector_series (
  service text not null,
  environment text not null,
  series_key text not null,
  metric text not null,
  state jsonb not null,
  look_above double precision,
  seen_at timestamp with time zone not null,
  anomaly_id uuid
);
alter table telltale.detector_series add constraint detector_series_have_short_keys CHECK ((octet_length(series_key) <= 1024));
alter table telltale.detector_series add constraint detector_series_have_small_states CHECK ((octet_length((state)::text) <= 8192));
alter table telltale.detector_series add constraint detector_series_measure_something CHECK ((metric = ANY (ARRAY['p95_ms'::text, 'error_rate'::text, 'throughput'::text, 'gauge'::text])));
alter table telltale.detector_series add constraint detector_series_pkey PRIMARY KEY (service, environment, series_key, metric);
alter table telltale.detector_series add constraint detector_series_service_environment_fkey FOREIGN KEY (service, environment) REFERENCES telltale.detectors(service, environment) ON DELETE CASCADE;
CREATE INDEX detector_series_by_sight ON telltale.detector_series USING btree (seen_at);
alter table telltale.detector_series enable row level security;
create policy detector_series_read on telltale.detector_series for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.detector_series to authenticated;
grant select on telltale.detector_series to service_role;
comment on table telltale.detector_series is 'What the detector remembers of each series that it watches; at most 180 of calls and 60 gauges in each.';
comment on column telltale.detector_series.service is 'Whose series it is.';
comment on column telltale.detector_series.environment is 'And where that runs.';
comment on column telltale.detector_series.series_key is 'all, layer:X, tool:X, provider:X, call:N, or gauge:<name>, with @<instance> where several instances have it.';
comment on column telltale.detector_series.metric is 'p95_ms, error_rate, throughput or gauge.';
comment on column telltale.detector_series.state is 'The detector''s own, see src/core/anomaly/detector.ts.';
comment on column telltale.detector_series.look_above is 'The running minute is worth a look when its value is above this, in the metric''s unit; null: never.';
comment on column telltale.detector_series.seen_at is 'The last minute in which there was something of it.';
comment on column telltale.detector_series.anomaly_id is 'Its anomaly that lasts, or the last one that ended.';

create table telltale.detectors (
  service text not null,
  environment text not null,
  revision bigint not null default 0,
  committed_to timestamp with time zone not null,
  looked_at timestamp with time zone not null
);
alter table telltale.detectors add constraint detectors_commit_whole_minutes CHECK ((EXTRACT(second FROM committed_to) = (0)::numeric));
alter table telltale.detectors add constraint detectors_pkey PRIMARY KEY (service, environment);
alter table telltale.detectors enable row level security;
create policy detectors_read on telltale.detectors for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.detectors to authenticated;
grant select on telltale.detectors to service_role;
comment on table telltale.detectors is 'How far the detector of a service in an environment has come.';
comment on column telltale.detectors.service is 'Whose series it watches.';
comment on column telltale.detectors.environment is 'And where that runs.';
comment on column telltale.detectors.revision is 'Grows with each look that was stored: a look that read an older one is not stored.';
comment on column telltale.detectors.committed_to is 'The states know every minute before this one, and will not learn of what comes for them later.';
comment on column telltale.detectors.looked_at is 'When it last looked; the one that looked longest ago is next.';

create table telltale.error_group_states (
  fingerprint text collate "C" not null,
  state text not null,
  set_at timestamp with time zone not null,
  set_by text not null,
  revision bigint not null default 1,
  since timestamp with time zone not null,
  version text,
  older_versions text[] not null default '{}'::text[],
  until timestamp with time zone,
  count_max bigint,
  counted bigint not null default 0,
  reopened_at timestamp with time zone,
  reopened_by jsonb
);
alter table telltale.error_group_states add constraint error_group_states_are_ignored_until_one_of_two CHECK ((num_nonnulls(until, count_max) <=
CASE state
    WHEN 'ignored'::text THEN 1
    ELSE 0
END));
alter table telltale.error_group_states add constraint error_group_states_are_open_resolved_or_ignored CHECK ((state = ANY (ARRAY['open'::text, 'resolved'::text, 'ignored'::text])));
alter table telltale.error_group_states add constraint error_group_states_are_resolved_in_a_version CHECK (((version IS NULL) OR (state = 'resolved'::text)));
alter table telltale.error_group_states add constraint error_group_states_are_set_by_somebody CHECK (((octet_length(set_by) >= 1) AND (octet_length(set_by) <= 320)));
alter table telltale.error_group_states add constraint error_group_states_count_what_they_ignore CHECK (((counted >= 0) AND (counted <= COALESCE(count_max, (0)::bigint))));
alter table telltale.error_group_states add constraint error_group_states_ignore_a_number CHECK (((count_max >= 1) AND (count_max <= 1000000)));
alter table telltale.error_group_states add constraint error_group_states_know_a_few_older_versions CHECK ((cardinality(older_versions) <= 100));
alter table telltale.error_group_states add constraint error_group_states_pkey PRIMARY KEY (fingerprint);
CREATE INDEX error_group_states_by_reopening ON telltale.error_group_states USING btree (reopened_at);
alter table telltale.error_group_states enable row level security;
create policy error_group_states_read on telltale.error_group_states for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.error_group_states to authenticated;
grant select on telltale.error_group_states to service_role;
comment on table telltale.error_group_states is 'What was said last of an error group: one row for each of which somebody said something, whatever its sources.';
comment on column telltale.error_group_states.fingerprint is 'Which group.';
comment on column telltale.error_group_states.state is 'What was said: open, resolved or ignored. It holds while reopened_at is null and `until` is not past; then the group is open.';
comment on column telltale.error_group_states.set_at is 'When it was said.';
comment on column telltale.error_group_states.set_by is 'Who said it: a member''s address, else the user id, else operator.';
comment on column telltale.error_group_states.revision is 'How often something was said of the group.';
comment on column telltale.error_group_states.since is 'Errors later than this, by the reporters'' clocks, speak against it: of resolved, the time that was given, else when it was
said or the last error seen by then; of ignored until a time, that time; else infinity.';
comment on column telltale.error_group_states.version is 'The service''s version that it was resolved in: errors from older versions do not speak against it. Null: errors from any do.';
comment on column telltale.error_group_states.older_versions is 'The versions known to be older than that one when it was said, the last seen first: for versions that do not tell by themselves.';
comment on column telltale.error_group_states.until is 'Ignored until then; null without end.';
comment on column telltale.error_group_states.count_max is 'Ignored while fewer than so many more came; null without such a bound.';
comment on column telltale.error_group_states.counted is 'How many of count_max came.';
comment on column telltale.error_group_states.reopened_at is 'When an error that speaks against what was said was stored, or the last of count_max; null while it holds.';
comment on column telltale.error_group_states.reopened_by is 'The first error, by its own time, that speaks against it: {at_us, error_id, error_type, message, trace_id, service,
environment, version}; null where it was a number of them.';

create table telltale.error_groups (
  fingerprint text collate "C" not null,
  source_id uuid not null,
  first_seen_at timestamp with time zone not null,
  last_seen_at timestamp with time zone not null,
  count bigint not null,
  sample jsonb not null,
  first_version text,
  last_version text,
  noticed_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.error_groups add constraint error_groups_count_from_zero CHECK ((count >= 0));
alter table telltale.error_groups add constraint error_groups_end_after_they_begin CHECK ((last_seen_at >= first_seen_at));
alter table telltale.error_groups add constraint error_groups_pkey PRIMARY KEY (fingerprint, source_id);
alter table telltale.error_groups add constraint error_groups_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id) ON DELETE CASCADE;
CREATE INDEX error_groups_by_last_seen ON telltale.error_groups USING btree (last_seen_at);
CREATE INDEX error_groups_by_notice ON telltale.error_groups USING btree (noticed_at);
CREATE INDEX error_groups_by_source ON telltale.error_groups USING btree (source_id);
alter table telltale.error_groups enable row level security;
create policy error_groups_read on telltale.error_groups for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.error_groups to authenticated;
grant select on telltale.error_groups to service_role;
comment on table telltale.error_groups is 'Errors of one fingerprint from one source. Outlives the errors themselves.';
comment on column telltale.error_groups.fingerprint is 'What its errors have in common.';
comment on column telltale.error_groups.source_id is 'Where they came from.';
comment on column telltale.error_groups.first_seen_at is 'When the first of them happened.';
comment on column telltale.error_groups.last_seen_at is 'When the last of them happened.';
comment on column telltale.error_groups.count is 'How many errors were stored.';
comment on column telltale.error_groups.sample is 'The last of them: {error_id, error_type, message, culprit, trace_id}; of two at one instant the greater text.';
comment on column telltale.error_groups.first_version is 'The service''s version that the first of them came from, null where it told none; of two at one instant the lesser text.';
comment on column telltale.error_groups.last_version is 'The service''s version that the last of them came from, null where it told none; of two at one instant the greater text.';
comment on column telltale.error_groups.noticed_at is 'When the first of them to arrive was stored.';

create table telltale.errors (
  error_id uuid not null,
  fingerprint text collate "C" not null,
  day date not null,
  at timestamp with time zone not null,
  process_id uuid not null,
  trace_id text collate "C",
  span_id text,
  error_type text not null,
  message text not null,
  traceback text,
  culprit text,
  context jsonb not null default '{}'::jsonb,
  connection_type text,
  direction text,
  script_name text,
  function_name text,
  data_size_bytes bigint,
  response_time_ms double precision,
  metadata jsonb
) partition by LIST (day);
alter table telltale.errors add constraint errors_have_versioned_fingerprints CHECK ((fingerprint ~ '^v[0-9]+:.+'::text));
alter table telltale.errors add constraint errors_pkey PRIMARY KEY (error_id, fingerprint, day);
CREATE INDEX errors_by_fingerprint ON ONLY telltale.errors USING btree (fingerprint, at, error_id);
CREATE INDEX errors_by_time ON ONLY telltale.errors USING btree (at, error_id);
CREATE INDEX errors_by_trace ON ONLY telltale.errors USING btree (trace_id) WHERE (trace_id IS NOT NULL);
CREATE INDEX errors_by_word ON ONLY telltale.errors USING gin (telltale.words_of(VARIADIC ARRAY[error_type, message, culprit]));
alter table telltale.errors enable row level security;
create policy errors_read on telltale.errors for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.errors to authenticated;
grant select on telltale.errors to service_role;
comment on table telltale.errors is 'One row for each failure; an event with an error is one too.';
comment on column telltale.errors.error_id is 'UUID that the recorder gave it; the event''s id where it came as an event.';
comment on column telltale.errors.fingerprint is 'What it has in common with others: v1: and 32 hex digits, see src/core/fingerprint.ts.';
comment on column telltale.errors.day is 'Its partition: the UTC day of `at`.';
comment on column telltale.errors.at is 'When it happened, by the reporter''s clock.';
comment on column telltale.errors.process_id is 'The process that recorded it.';
comment on column telltale.errors.trace_id is 'The request that it happened in, null outside of any.';
comment on column telltale.errors.span_id is 'The span that it happened in.';
comment on column telltale.errors.error_type is 'Class or code.';
comment on column telltale.errors.message is 'Redacted text, at most 8 KiB.';
comment on column telltale.errors.traceback is 'Redacted stack trace as the language prints it, at most 64 KiB.';
comment on column telltale.errors.culprit is 'The innermost frame of the application''s own code.';
comment on column telltale.errors.context is 'Everything else that was recorded.';
comment on column telltale.errors.connection_type is 'Of an event: such as websocket or redis. Null where it came as an error, as are the next six.';
comment on column telltale.errors.direction is 'Of an event: send, receive, error, connect ...';
comment on column telltale.errors.script_name is 'Of an event: the script that recorded it.';
comment on column telltale.errors.function_name is 'Of an event: the function that recorded it.';
comment on column telltale.errors.data_size_bytes is 'Of an event: size in bytes.';
comment on column telltale.errors.response_time_ms is 'Of an event: response time in ms.';
comment on column telltale.errors.metadata is 'Of an event: its metadata.';

create table telltale.gauges (
  process_id uuid not null,
  name text collate "C" not null,
  labels_hash uuid not null,
  at timestamp with time zone not null,
  day date not null,
  value double precision not null,
  labels jsonb not null default '{}'::jsonb
) partition by LIST (day);
alter table telltale.gauges add constraint gauges_pkey PRIMARY KEY (process_id, name, labels_hash, at, day);
CREATE INDEX gauges_by_name ON ONLY telltale.gauges USING btree (name, at);
CREATE INDEX gauges_by_time ON ONLY telltale.gauges USING btree (at);
alter table telltale.gauges enable row level security;
create policy gauges_read on telltale.gauges for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.gauges to authenticated;
grant select on telltale.gauges to service_role;
comment on table telltale.gauges is 'Sampled resources of single processes: one row for process, name, labels and instant.';
comment on column telltale.gauges.process_id is 'The process that sampled it.';
comment on column telltale.gauges.name is 'What was sampled; the unit is part of the name, such as redis_memory_mb.';
comment on column telltale.gauges.labels_hash is 'md5 of `labels`, which may be too long for a key.';
comment on column telltale.gauges.at is 'When it was sampled, by the reporter''s clock.';
comment on column telltale.gauges.day is 'Its partition: the UTC day of `at`.';
comment on column telltale.gauges.value is 'In the unit that the name says. Of two samples of one instant the greater.';
comment on column telltale.gauges.labels is 'What tells samples of one name apart.';

create table telltale.hours_due (
  hour timestamp with time zone not null,
  source_id uuid not null,
  due_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.hours_due add constraint hours_due_pkey PRIMARY KEY (hour, source_id);
alter table telltale.hours_due add constraint hours_due_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id) ON DELETE CASCADE;
CREATE INDEX hours_due_by_source ON telltale.hours_due USING btree (source_id);
alter table telltale.hours_due enable row level security;
create policy hours_due_read on telltale.hours_due for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.hours_due to authenticated;
grant select on telltale.hours_due to service_role;
comment on table telltale.hours_due is 'Hours with a minute that changed since they were computed.';
comment on column telltale.hours_due.hour is 'Start of the hour, UTC.';
comment on column telltale.hours_due.source_id is 'Where it was counted.';
comment on column telltale.hours_due.due_at is 'When a minute of it last changed.';

create table telltale.incidents (
  incident_id uuid not null,
  service text not null,
  environment text not null,
  series_key text not null,
  metric text not null,
  score double precision not null,
  anomalies integer not null,
  started_at timestamp with time zone not null,
  last_at timestamp with time zone not null,
  ended_at timestamp with time zone
);
alter table telltale.incidents add constraint incidents_end_after_they_start CHECK (((started_at <= last_at) AND (last_at <= ended_at)));
alter table telltale.incidents add constraint incidents_have_anomalies CHECK ((anomalies >= 1));
alter table telltale.incidents add constraint incidents_pkey PRIMARY KEY (incident_id);
alter table telltale.incidents add constraint incidents_score_from_0_to_1 CHECK (((score >= (0)::double precision) AND (score <= (1)::double precision)));
CREATE INDEX incidents_by_start ON telltale.incidents USING btree (started_at DESC, incident_id DESC);
CREATE INDEX incidents_that_last ON telltale.incidents USING btree (service, environment) WHERE (ended_at IS NULL);
alter table telltale.incidents enable row level security;
create policy incidents_read on telltale.incidents for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.incidents to authenticated;
grant select on telltale.incidents to service_role;
comment on table telltale.incidents is 'Anomalies of one service and environment that began close together or belong to one another; kept 400 days.';
comment on column telltale.incidents.incident_id is 'Derived from its first anomaly.';
comment on column telltale.incidents.service is 'Where it happens.';
comment on column telltale.incidents.environment is 'And where that runs.';
comment on column telltale.incidents.series_key is 'The likeliest root: the series of its anomaly at place 1.';
comment on column telltale.incidents.metric is 'And what of it was abnormal.';
comment on column telltale.incidents.score is 'The greatest of its anomalies'' scores, 0..1.';
comment on column telltale.incidents.anomalies is 'How many there are.';
comment on column telltale.incidents.started_at is 'When the first of them began.';
comment on column telltale.incidents.last_at is 'Until when anything was seen to be abnormal.';
comment on column telltale.incidents.ended_at is 'When the last of them ended; null while one lasts.';

create table telltale.ingest_keys (
  key_id text collate "C" not null,
  key_hash text not null,
  name text not null,
  created_at timestamp with time zone not null default telltale.clock(),
  revoked_at timestamp with time zone
);
alter table telltale.ingest_keys add constraint ingest_keys_are_kept_as_sha256 CHECK ((key_hash ~ '^[0-9a-f]{64}$'::text));
alter table telltale.ingest_keys add constraint ingest_keys_have_ids_of_twelve CHECK ((key_id ~ '^[a-z0-9]{12}$'::text));
alter table telltale.ingest_keys add constraint ingest_keys_have_short_names CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 256)));
alter table telltale.ingest_keys add constraint ingest_keys_pkey PRIMARY KEY (key_id);
alter table telltale.ingest_keys enable row level security;
comment on table telltale.ingest_keys is 'Who may send. The key itself is not kept.';
comment on column telltale.ingest_keys.key_id is 'The public part of tt_<key_id>_<secret>.';
comment on column telltale.ingest_keys.key_hash is 'sha256 of the whole key, 64 hex digits.';
comment on column telltale.ingest_keys.name is 'For people.';
comment on column telltale.ingest_keys.created_at is 'When it was made.';
comment on column telltale.ingest_keys.revoked_at is 'When it was revoked; null while it is good.';

create table telltale.members (
  user_id uuid not null,
  email text,
  added_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.members add constraint members_have_short_emails CHECK ((octet_length(email) <= 320));
alter table telltale.members add constraint members_pkey PRIMARY KEY (user_id);
alter table telltale.members enable row level security;
create policy members_read on telltale.members for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.members to authenticated;
grant select on telltale.members to service_role;
comment on table telltale.members is 'Who may read. A row here is the right to see everything in this schema.';
comment on column telltale.members.user_id is 'The user''s id in Supabase Auth: the sub of the token.';
comment on column telltale.members.email is 'For people who read this table; decides nothing.';
comment on column telltale.members.added_at is 'When the member was added.';

create view telltale.message_completeness with (security_invoker=true) as
 SELECT m.day,
    field.name AS field,
    count(*) AS messages,
    count(*) FILTER (WHERE field.missing) AS missing,
    round(((count(*) FILTER (WHERE field.missing))::numeric / (count(*))::numeric), 4) AS missing_share
   FROM (telltale.messages m
     CROSS JOIN LATERAL ( VALUES ('trace_id'::text,(m.trace_id IS NULL)), ('conversation_id'::text,(m.conversation_id IS NULL)), ('role'::text,(m.role IS NULL)), ('model_used'::text,(m.model_used IS NULL)), ('provider_used'::text,(m.provider_used IS NULL)), ('response_time_ms'::text,(m.response_time_ms IS NULL)), ('tool_name'::text,(m.tool_name IS NULL)), ('thinking_mode'::text,(m.thinking_mode IS NULL)), ('token_usage'::text,((m.token_usage IS NULL) OR (m.token_usage = 'null'::jsonb))), ('metadata'::text,(m.metadata = '{}'::jsonb))) field(name, missing))
  GROUP BY m.day, field.name;
grant select on telltale.message_completeness to authenticated;
grant select on telltale.message_completeness to service_role;
comment on table telltale.message_completeness is 'How often each field of the messages of a day was not known. One row a day and field; filter by day.';
comment on column telltale.message_completeness.day is 'UTC day.';
comment on column telltale.message_completeness.field is 'The field of telltale.messages.';
comment on column telltale.message_completeness.messages is 'Messages of that day.';
comment on column telltale.message_completeness.missing is 'Those of them in which it is null or empty.';
comment on column telltale.message_completeness.missing_share is 'missing / messages, four decimals.';

create table telltale.messages (
  message_id text collate "C" not null,
  day date not null,
  at timestamp with time zone not null,
  process_id uuid not null,
  trace_id text collate "C",
  span_id text,
  conversation_id text,
  role text,
  model_used text,
  provider_used text,
  response_time_ms double precision,
  tool_name text,
  thinking_mode text,
  token_usage jsonb,
  metadata jsonb not null default '{}'::jsonb
) partition by LIST (day);
alter table telltale.messages add constraint messages_pkey PRIMARY KEY (message_id, day);
CREATE INDEX messages_by_conversation ON ONLY telltale.messages USING btree (conversation_id, at) WHERE (conversation_id IS NOT NULL);
CREATE INDEX messages_by_time ON ONLY telltale.messages USING btree (at, message_id);
CREATE INDEX messages_by_trace ON ONLY telltale.messages USING btree (trace_id) WHERE (trace_id IS NOT NULL);
alter table telltale.messages enable row level security;
create policy messages_read on telltale.messages for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.messages to authenticated;
grant select on telltale.messages to service_role;
comment on table telltale.messages is 'One row for each message to or from a model; its metadata, not its text.';
comment on column telltale.messages.message_id is 'As the recorder named it.';
comment on column telltale.messages.day is 'Its partition: the UTC day of `at`.';
comment on column telltale.messages.at is 'When it was said, by the reporter''s clock.';
comment on column telltale.messages.process_id is 'The process that recorded it.';
comment on column telltale.messages.trace_id is 'The request that it belongs to.';
comment on column telltale.messages.span_id is 'The span that it belongs to.';
comment on column telltale.messages.conversation_id is 'The conversation that it belongs to.';
comment on column telltale.messages.role is 'user, assistant, system or tool.';
comment on column telltale.messages.model_used is 'The model that answered.';
comment on column telltale.messages.provider_used is 'The provider that served it.';
comment on column telltale.messages.response_time_ms is 'How long the model took, in ms.';
comment on column telltale.messages.tool_name is 'The tool that spoke.';
comment on column telltale.messages.thinking_mode is 'The mode that the model was asked to think in.';
comment on column telltale.messages.token_usage is 'Tokens as the provider counted them.';
comment on column telltale.messages.metadata is 'Everything else that was recorded.';

create table telltale.partition_days (
  day date not null,
  made_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.partition_days add constraint partition_days_pkey PRIMARY KEY (day);
alter table telltale.partition_days enable row level security;
create policy partition_days_read on telltale.partition_days for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.partition_days to authenticated;
grant select on telltale.partition_days to service_role;
comment on table telltale.partition_days is 'The UTC days whose partitions exist.';
comment on column telltale.partition_days.day is 'UTC day.';
comment on column telltale.partition_days.made_at is 'When its partitions were made.';

create table telltale.pinned_traces (
  trace_id text collate "C" not null,
  pinned_at timestamp with time zone not null default telltale.clock(),
  pinned_by uuid
);
alter table telltale.pinned_traces add constraint pinned_traces_pkey PRIMARY KEY (trace_id);
alter table telltale.pinned_traces add constraint pinned_traces_trace_id_fkey FOREIGN KEY (trace_id) REFERENCES telltale.trace_days(trace_id) ON DELETE CASCADE;
alter table telltale.pinned_traces enable row level security;
create policy pinned_traces_read on telltale.pinned_traces for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.pinned_traces to authenticated;
grant select on telltale.pinned_traces to service_role;
comment on table telltale.pinned_traces is 'Traces that keep their spans for as long as they are kept themselves.';
comment on column telltale.pinned_traces.trace_id is '32 hex digits.';
comment on column telltale.pinned_traces.pinned_at is 'When it was pinned.';
comment on column telltale.pinned_traces.pinned_by is 'The member who did.';

create table telltale.processes (
  process_id uuid not null,
  source_id uuid not null,
  version text,
  started_at timestamp with time zone not null,
  host text,
  pid bigint,
  sdk text not null,
  first_seen_at timestamp with time zone not null default telltale.clock(),
  last_seen_at timestamp with time zone not null default telltale.clock(),
  renewed_at timestamp with time zone,
  running jsonb not null default '[]'::jsonb,
  running_total bigint not null default 0,
  running_seq bigint not null default 0,
  pace_ms integer not null default 15000,
  seqs int8multirange not null default '{}'::int8multirange,
  seqs_forgotten bigint not null default 0,
  recorded bigint not null default 0,
  dropped jsonb not null default '{}'::jsonb,
  counters_seq bigint not null default 0,
  stored bigint not null default 0,
  rejected bigint not null default 0,
  clock_offset_us bigint
);
alter table telltale.processes add constraint processes_count_from_zero CHECK ((LEAST(recorded, stored, rejected, running_seq, counters_seq) >= 0));
alter table telltale.processes add constraint processes_drop_for_a_reason CHECK ((jsonb_typeof(dropped) = 'object'::text));
alter table telltale.processes add constraint processes_list_what_runs CHECK ((jsonb_typeof(running) = 'array'::text));
alter table telltale.processes add constraint processes_pkey PRIMARY KEY (process_id);
alter table telltale.processes add constraint processes_run_at_least_what_they_list CHECK ((running_total >= jsonb_array_length(running)));
alter table telltale.processes add constraint processes_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id);
CREATE INDEX processes_by_last_seen ON telltale.processes USING btree (last_seen_at);
CREATE INDEX processes_by_source ON telltale.processes USING btree (source_id);
CREATE INDEX processes_with_running_calls ON telltale.processes USING btree (renewed_at) WHERE (running_total > 0);
alter table telltale.processes enable row level security;
create policy processes_read on telltale.processes for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.processes to authenticated;
grant select on telltale.processes to service_role;
comment on table telltale.processes is 'One row for each process that ever sent a batch in the last 60 days.';
comment on column telltale.processes.process_id is 'UUID minted when the process started, and again after fork.';
comment on column telltale.processes.source_id is 'Where its metrics belong; as its first batch said.';
comment on column telltale.processes.version is 'The service''s version, as its first batch said.';
comment on column telltale.processes.started_at is 'When the process started, by its own clock.';
comment on column telltale.processes.host is 'Host name, null when unknown.';
comment on column telltale.processes.pid is 'Process id on that host, null when unknown.';
comment on column telltale.processes.sdk is 'Name and version of the reporter, such as telltale-js/0.1.0.';
comment on column telltale.processes.first_seen_at is 'When its first batch arrived.';
comment on column telltale.processes.last_seen_at is 'When its last batch arrived.';
comment on column telltale.processes.renewed_at is 'When the last batch arrived that was fresh enough to speak for what runs now; null before the first such.';
comment on column telltale.processes.running is 'What it runs now: [{trace_id, span_id, layer, name, tool, session, start_us}], one entry a trace, at most 1,000. Replaced
whole by a batch of greater seq that is not stale on arrival; emptied when it is not renewed in time.';
comment on column telltale.processes.running_total is 'The true number of running calls; `running` may list fewer.';
comment on column telltale.processes.running_seq is 'The seq of the batch that `running` came with.';
comment on column telltale.processes.pace_ms is 'How often it was asked to send while calls run, in ms.';
comment on column telltale.processes.seqs is 'The sequence numbers of its batches that arrived whole. Holes are gaps; see gaps().';
comment on column telltale.processes.seqs_forgotten is 'How many missing numbers were closed because `seqs` had more than 1,000 ranges: they are lost for certain.';
comment on column telltale.processes.recorded is 'How many records it made so far, by its own count at counters_seq.';
comment on column telltale.processes.dropped is 'How many records it gave up so far, by reason, at counters_seq.';
comment on column telltale.processes.counters_seq is 'The greatest seq seen; recorded and dropped are as of this batch.';
comment on column telltale.processes.stored is 'How many of its records were accepted.';
comment on column telltale.processes.rejected is 'How many of its records were refused one by one.';
comment on column telltale.processes.clock_offset_us is 'About how many µs its clock is behind the edge''s: the least of (received - sent), followed slowly upwards, and at once
by more than 30 s. Null: unknown.
Applied when reading, never when storing.';

create table telltale.rollup_hours (
  hour timestamp with time zone not null,
  source_id uuid not null,
  series jsonb not null,
  computed_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.rollup_hours add constraint rollup_hours_are_whole_hours CHECK (((EXTRACT(minute FROM hour) = (0)::numeric) AND (EXTRACT(second FROM hour) = (0)::numeric)));
alter table telltale.rollup_hours add constraint rollup_hours_pkey PRIMARY KEY (hour, source_id);
alter table telltale.rollup_hours add constraint rollup_hours_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id) ON DELETE CASCADE;
CREATE INDEX rollup_hours_by_source ON telltale.rollup_hours USING btree (source_id);
alter table telltale.rollup_hours enable row level security;
create policy rollup_hours_read on telltale.rollup_hours for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.rollup_hours to authenticated;
grant select on telltale.rollup_hours to service_role;
comment on table telltale.rollup_hours is 'Hours, computed from their minutes; kept 400 days. The minutes are the truth while they last.';
comment on column telltale.rollup_hours.hour is 'Start of the hour, UTC.';
comment on column telltale.rollup_hours.source_id is 'Where it was counted.';
comment on column telltale.rollup_hours.series is 'As in rollup_minutes.';
comment on column telltale.rollup_hours.computed_at is 'When it was last computed.';

create table telltale.rollup_minutes (
  minute timestamp with time zone not null,
  day date not null,
  source_id uuid not null,
  batch_id uuid,
  series jsonb not null
) partition by LIST (day);
alter table telltale.rollup_minutes add constraint rollup_minutes_are_whole_minutes CHECK ((EXTRACT(second FROM minute) = (0)::numeric));
alter table telltale.rollup_minutes add constraint rollup_minutes_lie_in_their_day CHECK ((day = ((minute AT TIME ZONE 'UTC'::text))::date));
alter table telltale.rollup_minutes add constraint rollup_minutes_map_keys_to_cells CHECK ((jsonb_typeof(series) = 'object'::text));
CREATE INDEX rollup_minutes_by_minute ON ONLY telltale.rollup_minutes USING btree (minute, source_id);
CREATE INDEX rollup_minutes_not_yet_compacted ON ONLY telltale.rollup_minutes USING btree (minute, source_id) WHERE (batch_id IS NOT NULL);
alter table telltale.rollup_minutes enable row level security;
create policy rollup_minutes_read on telltale.rollup_minutes for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.rollup_minutes to authenticated;
grant select on telltale.rollup_minutes to service_role;
comment on table telltale.rollup_minutes is 'Parts of minutes: the sum of all rows of a minute and source is what happened in it. Counts every request.';
comment on column telltale.rollup_minutes.minute is 'Start of the minute.';
comment on column telltale.rollup_minutes.day is 'Its partition: the UTC day of the minute.';
comment on column telltale.rollup_minutes.source_id is 'Where it was counted.';
comment on column telltale.rollup_minutes.batch_id is 'The batch that brought this part; null for a sum that the tick made.';
comment on column telltale.rollup_minutes.series is '{key: {count, errors, bytes_in, bytes_out, tokens_in, tokens_out, latency: histogram in µs}}; keys as in src/core/window.ts.';

create table telltale.sampling (
  sole boolean not null default true,
  baseline_share double precision not null default 1,
  keep_errors boolean not null default true,
  keep_slow boolean not null default true,
  keep_anomalous boolean not null default true,
  changed_at timestamp with time zone not null default telltale.clock(),
  decided_to timestamp with time zone not null default telltale.clock(),
  decided_id text collate "C" not null default ''::text,
  limits_at timestamp with time zone not null default '1970-01-01 00:00:00+00'::timestamp with time zone,
  kept bigint not null default 0,
  emptied bigint not null default 0
);
alter table telltale.sampling add constraint sampling_has_one_row CHECK (sole);
alter table telltale.sampling add constraint sampling_keeps_a_share CHECK (((baseline_share >= (0)::double precision) AND (baseline_share <= (1)::double precision)));
alter table telltale.sampling add constraint sampling_pkey PRIMARY KEY (sole);
alter table telltale.sampling enable row level security;
create policy sampling_read on telltale.sampling for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.sampling to authenticated;
grant select on telltale.sampling to service_role;
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
  source_id uuid not null,
  series_key text not null,
  p99_ms double precision not null
);
alter table telltale.sampling_limits add constraint sampling_limits_pkey PRIMARY KEY (source_id, series_key);
alter table telltale.sampling_limits add constraint sampling_limits_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id) ON DELETE CASCADE;
alter table telltale.sampling_limits enable row level security;
create policy sampling_limits_read on telltale.sampling_limits for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.sampling_limits to authenticated;
grant select on telltale.sampling_limits to service_role;
comment on table telltale.sampling_limits is 'From when on a request is slow: p99 of its series over the last six hours.';
comment on column telltale.sampling_limits.source_id is 'Where it is counted.';
comment on column telltale.sampling_limits.series_key is 'all, or tool:X.';
comment on column telltale.sampling_limits.p99_ms is 'In ms. There is none of a series with fewer than 100 requests: those all count as slow.';

create table telltale.source_clocks (
  source_id uuid not null,
  from_minute timestamp with time zone not null,
  to_minute timestamp with time zone,
  shift interval not null,
  measured_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.source_clocks add constraint source_clocks_are_off_by_at_most_a_day CHECK (((shift >= '-1 days'::interval) AND (shift <= '1 day'::interval)));
alter table telltale.source_clocks add constraint source_clocks_end_after_they_begin CHECK ((to_minute >= from_minute));
alter table telltale.source_clocks add constraint source_clocks_pkey PRIMARY KEY (source_id, from_minute);
alter table telltale.source_clocks add constraint source_clocks_source_id_fkey FOREIGN KEY (source_id) REFERENCES telltale.sources(source_id) ON DELETE CASCADE;
CREATE UNIQUE INDEX source_clocks_that_last ON telltale.source_clocks USING btree (source_id) WHERE (to_minute IS NULL);
alter table telltale.source_clocks enable row level security;
create policy source_clocks_read on telltale.source_clocks for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.source_clocks to authenticated;
grant select on telltale.source_clocks to service_role;
comment on table telltale.source_clocks is 'When the clock of a source was off by a minute or more.';
comment on column telltale.source_clocks.source_id is 'Whose clock.';
comment on column telltale.source_clocks.from_minute is 'The first minute that is to be moved, as the source named it.';
comment on column telltale.source_clocks.to_minute is 'The first one that is not any more; null: it is off still.';
comment on column telltale.source_clocks.shift is 'What to add to its minutes: whole minutes, at most a day either way.';
comment on column telltale.source_clocks.measured_at is 'When it was last seen to be so.';

create table telltale.sources (
  source_id uuid not null,
  service text not null,
  environment text not null,
  instance text not null,
  created_at timestamp with time zone not null default telltale.clock()
);
alter table telltale.sources add constraint sources_are_told_apart_by_service_environment_and_instance UNIQUE (service, environment, instance);
alter table telltale.sources add constraint sources_pkey PRIMARY KEY (source_id);
alter table telltale.sources enable row level security;
create policy sources_read on telltale.sources for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.sources to authenticated;
grant select on telltale.sources to service_role;
comment on table telltale.sources is 'Where metrics come from. A source that changes its version stays one source.';
comment on column telltale.sources.source_id is 'Derived from the three names, see source_id_of: the same in any order of arrival.';
comment on column telltale.sources.service is 'What runs, such as exai.';
comment on column telltale.sources.environment is 'Such as production; demo is what `telltale start` shows on an empty store.';
comment on column telltale.sources.instance is 'Which of several, such as a host or container name.';
comment on column telltale.sources.created_at is 'When its first batch arrived.';

create view telltale.spans with (security_invoker=true) as
 SELECT t.trace_id,
    s.key AS span_id,
    (s.value ->> 'parent_span_id'::text) AS parent_span_id,
    (s.value ->> 'layer'::text) AS layer,
    COALESCE((s.value ->> 'kind'::text), 'work'::text) AS kind,
    (s.value ->> 'name'::text) AS name,
    telltale.at_of(((s.value -> 'start_us'::text))::bigint) AS started_at,
    telltale.at_of(((s.value -> 'end_us'::text))::bigint) AS ended_at,
    (((((s.value -> 'end_us'::text))::bigint - ((s.value -> 'start_us'::text))::bigint))::double precision / (1000.0)::double precision) AS duration_ms,
    (s.value ->> 'outcome'::text) AS outcome,
    COALESCE(((s.value -> 'entry'::text))::boolean, false) AS entry,
    (s.value ->> 'tool'::text) AS tool,
    (s.value ->> 'provider'::text) AS provider,
    (s.value ->> 'model'::text) AS model,
    ((s.value -> 'tokens_in'::text))::bigint AS tokens_in,
    ((s.value -> 'tokens_out'::text))::bigint AS tokens_out,
    (s.value ->> 'holder'::text) AS holder,
    COALESCE((s.value -> 'attributes'::text), '{}'::jsonb) AS attributes,
    ((s.value ->> 'process'::text))::uuid AS process_id,
    COALESCE(((s.value -> 'concluded'::text))::boolean, false) AS concluded,
    t.day
   FROM (telltale.traces t
     CROSS JOIN LATERAL jsonb_each(t.spans) s(key, value));
grant select on telltale.spans to authenticated;
grant select on telltale.spans to service_role;
comment on table telltale.spans is 'The spans of every trace, one row each, for people and SQL. Filter by trace_id or day: it unfolds what it reads.';
comment on column telltale.spans.trace_id is '32 hex digits.';
comment on column telltale.spans.span_id is '16 hex digits.';
comment on column telltale.spans.parent_span_id is 'The span that it hangs on, null for a root.';
comment on column telltale.spans.layer is 'shim, websocket, tool, provider, api, storage, or a deployment''s own.';
comment on column telltale.spans.kind is 'work, or wait: the request waited.';
comment on column telltale.spans.name is 'What was done.';
comment on column telltale.spans.started_at is 'By the reporter''s clock.';
comment on column telltale.spans.ended_at is 'By the reporter''s clock; null while it runs.';
comment on column telltale.spans.duration_ms is 'In ms, to the µs; null while it runs.';
comment on column telltale.spans.outcome is 'How it ended, null while it runs or where nobody said.';
comment on column telltale.spans.entry is 'Whether it is the span of the outermost recorder.';
comment on column telltale.spans.tool is 'The tool, where it says.';
comment on column telltale.spans.provider is 'The provider, where it says.';
comment on column telltale.spans.model is 'The model, where it says.';
comment on column telltale.spans.tokens_in is 'Tokens sent to a model.';
comment on column telltale.spans.tokens_out is 'Tokens a model answered with.';
comment on column telltale.spans.holder is 'Of a wait span: who held what it waited for.';
comment on column telltale.spans.attributes is 'Everything else that was recorded.';
comment on column telltale.spans.process_id is 'The process that recorded it.';
comment on column telltale.spans.concluded is 'Whether the tick ended it because its process fell silent.';
comment on column telltale.spans.day is 'The partition of its trace.';

create table telltale.tick_lease (
  only_row boolean not null default true,
  holder text,
  claimed_at timestamp with time zone not null default '-infinity'::timestamp with time zone,
  expires_at timestamp with time zone not null default '-infinity'::timestamp with time zone
);
alter table telltale.tick_lease add constraint tick_lease_is_one_row CHECK (only_row);
alter table telltale.tick_lease add constraint tick_lease_pkey PRIMARY KEY (only_row);
alter table telltale.tick_lease enable row level security;
create policy tick_lease_read on telltale.tick_lease for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.tick_lease to authenticated;
grant select on telltale.tick_lease to service_role;
comment on table telltale.tick_lease is 'Who runs the tick. One row.';
comment on column telltale.tick_lease.only_row is 'True.';
comment on column telltale.tick_lease.holder is 'Who has it, null when released.';
comment on column telltale.tick_lease.claimed_at is 'When it was last taken or renewed.';
comment on column telltale.tick_lease.expires_at is 'Until when it is the holder''s.';

create table telltale.trace_days (
  trace_id text collate "C" not null,
  day date not null
);
alter table telltale.trace_days add constraint trace_days_pkey PRIMARY KEY (trace_id);
CREATE INDEX trace_days_by_day ON telltale.trace_days USING btree (day);
alter table telltale.trace_days enable row level security;
create policy trace_days_read on telltale.trace_days for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.trace_days to authenticated;
grant select on telltale.trace_days to service_role;
comment on table telltale.trace_days is 'In which partition each trace lies: the UTC day of the start that its first batch saw.';
comment on column telltale.trace_days.trace_id is '32 hex digits (W3C trace context).';
comment on column telltale.trace_days.day is 'UTC day of its partition; at most one day from that of its true start.';

create table telltale.trace_joins (
  inner_trace_id text collate "C" not null,
  outer_trace_id text collate "C" not null,
  outer_span_id text not null,
  rule text not null,
  day date not null,
  joined_at timestamp with time zone not null default telltale.clock(),
  summed_at timestamp with time zone
);
alter table telltale.trace_joins add constraint trace_joins_are_of_two CHECK ((inner_trace_id <> outer_trace_id));
alter table telltale.trace_joins add constraint trace_joins_have_a_rule CHECK ((rule = ANY (ARRAY['arguments'::text, 'session'::text])));
alter table telltale.trace_joins add constraint trace_joins_pkey PRIMARY KEY (inner_trace_id);
CREATE INDEX trace_joins_by_day ON telltale.trace_joins USING btree (day);
CREATE INDEX trace_joins_by_outer ON telltale.trace_joins USING btree (outer_trace_id);
alter table telltale.trace_joins enable row level security;
create policy trace_joins_read on telltale.trace_joins for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.trace_joins to authenticated;
grant select on telltale.trace_joins to service_role;
comment on table telltale.trace_joins is 'Two traces that are one request: inferred, for no trace context went from one recorder to the other.';
comment on column telltale.trace_joins.inner_trace_id is 'The trace of the recorder further in.';
comment on column telltale.trace_joins.outer_trace_id is 'The trace that it is shown in.';
comment on column telltale.trace_joins.outer_span_id is 'The span there that the inner trace hangs on.';
comment on column telltale.trace_joins.rule is 'What they have in common beside tool and overlap in time: arguments (their salted hash), or session.';
comment on column telltale.trace_joins.day is 'The partition of the outer trace; the join is kept as long.';
comment on column telltale.trace_joins.joined_at is 'When it was inferred.';
comment on column telltale.trace_joins.summed_at is 'When the outer row last summed up both; null before the first time.';

create table telltale.traces (
  trace_id text collate "C" not null /* storage m */,
  day date not null,
  started_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  duration_ms double precision,
  wait_ms double precision not null,
  process_id uuid not null,
  revision bigint not null default 1,
  changed_at timestamp with time zone not null default telltale.clock(),
  changed_xid xid8 not null default pg_current_xact_id(),
  bytes_in bigint,
  bytes_out bigint,
  tokens_in bigint,
  tokens_out bigint,
  call_number bigint,
  span_count integer not null,
  spans_dropped integer not null default 0,
  name text not null /* storage m */,
  outcome text /* storage m */,
  request_id text /* storage m */,
  session_key text /* storage m */,
  session_rule text /* storage m */,
  tool text /* storage m */,
  provider text /* storage m */,
  model text /* storage m */,
  layers jsonb not null /* storage m */,
  spans jsonb not null /* storage m */,
  sampled jsonb /* storage m */
) partition by LIST (day);
alter table telltale.traces add constraint traces_break_down_by_layer CHECK ((jsonb_typeof(layers) = 'object'::text));
alter table telltale.traces add constraint traces_end_as_outcomes_are_named CHECK ((outcome = ANY (ARRAY['ok'::text, 'tool_error'::text, 'empty'::text, 'truncated'::text, 'caller_fault'::text, 'server_fault'::text, 'timeout'::text, 'cancelled'::text, 'interrupted'::text])));
alter table telltale.traces add constraint traces_have_spans CHECK (((span_count >= 1) AND (jsonb_typeof(spans) = 'object'::text)));
alter table telltale.traces add constraint traces_have_w3c_ids CHECK ((trace_id ~ '^[0-9a-f]{32}$'::text));
alter table telltale.traces add constraint traces_pkey PRIMARY KEY (trace_id, day);
CREATE INDEX traces_by_change ON ONLY telltale.traces USING btree (changed_at, trace_id) WHERE (duration_ms IS NOT NULL);
CREATE INDEX traces_by_request ON ONLY telltale.traces USING btree (request_id, started_at, trace_id) WHERE (request_id IS NOT NULL);
CREATE INDEX traces_by_session ON ONLY telltale.traces USING btree (session_key, started_at, trace_id) WHERE (session_key IS NOT NULL);
CREATE INDEX traces_by_start ON ONLY telltale.traces USING btree (started_at, trace_id);
CREATE INDEX traces_by_tool ON ONLY telltale.traces USING btree (tool, started_at, trace_id) WHERE (tool IS NOT NULL);
CREATE INDEX traces_by_word ON ONLY telltale.traces USING gin (telltale.words_of(VARIADIC ARRAY[name, tool, provider, model, request_id, session_key]));
CREATE INDEX traces_that_failed ON ONLY telltale.traces USING btree (started_at, trace_id) WHERE (outcome = ANY (ARRAY['tool_error'::text, 'server_fault'::text, 'timeout'::text, 'interrupted'::text]));
CREATE INDEX traces_that_run ON ONLY telltale.traces USING btree (process_id, changed_at) WHERE (duration_ms IS NULL);
alter table telltale.traces enable row level security;
create policy traces_read on telltale.traces for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.traces to authenticated;
grant select on telltale.traces to service_role;
comment on table telltale.traces is 'One row for each request through the system.';
comment on column telltale.traces.trace_id is '32 hex digits (W3C trace context).';
comment on column telltale.traces.day is 'Its partition, from trace_days.';
comment on column telltale.traces.started_at is 'The least start of its spans, by the reporter''s clock.';
comment on column telltale.traces.ended_at is 'The greatest end of its spans, by the reporter''s clock; null while none has ended.';
comment on column telltale.traces.duration_ms is 'Duration of its head span in ms, to the µs; null while that runs. The head is the first entry span, else the first root.';
comment on column telltale.traces.wait_ms is 'Self time of its wait spans in ms.';
comment on column telltale.traces.process_id is 'The process that recorded the head span.';
comment on column telltale.traces.revision is 'How many batches have changed the row.';
comment on column telltale.traces.changed_at is 'When the row was last changed, by this server''s clock.';
comment on column telltale.traces.changed_xid is 'The transaction that last changed it: how tail() finds rows that were committed late.';
comment on column telltale.traces.bytes_in is 'Bytes of the request.';
comment on column telltale.traces.bytes_out is 'Bytes of the answer.';
comment on column telltale.traces.tokens_in is 'Tokens sent to models.';
comment on column telltale.traces.tokens_out is 'Tokens that models answered with.';
comment on column telltale.traces.call_number is 'Position of the call in its session, from 1; null when the recorder does not say.';
comment on column telltale.traces.span_count is 'How many spans it has.';
comment on column telltale.traces.spans_dropped is 'How many spans were left out because it had 10,000 already.';
comment on column telltale.traces.name is 'Name of the head span.';
comment on column telltale.traces.outcome is 'How the head span ended; null while it runs.';
comment on column telltale.traces.request_id is 'The caller''s own id of the request: any text, not unique.';
comment on column telltale.traces.session_key is 'Which conversation it belongs to.';
comment on column telltale.traces.session_rule is 'How the session key was found: continuation, conversation, explicit, mcp or connection.';
comment on column telltale.traces.tool is 'The tool that was called.';
comment on column telltale.traces.provider is 'The provider that served it.';
comment on column telltale.traces.model is 'The model that answered.';
comment on column telltale.traces.layers is 'Self time in ms by layer, and `unexplained`: what no root span covers. Layers of 0 are absent.';
comment on column telltale.traces.spans is 'Its spans by span id, as StoredSpan in src/core/trace.ts; the view telltale.spans unfolds them.';
comment on column telltale.traces.sampled is 'Null: its spans are there. Else they were let go, and this is its head span, for an end that comes late: all else stays.';

create table telltale.viewers (
  viewer_id uuid not null,
  user_id uuid not null,
  seen_at timestamp with time zone not null default telltale.clock(),
  present integer not null default 0
);
alter table telltale.viewers add constraint viewers_pkey PRIMARY KEY (viewer_id);
alter table telltale.viewers add constraint viewers_see_no_fewer_than_none CHECK ((present >= 0));
CREATE INDEX viewers_by_last_seen ON telltale.viewers USING btree (seen_at);
alter table telltale.viewers enable row level security;
create policy viewers_read on telltale.viewers for select to authenticated using (( SELECT telltale.is_reader() AS is_reader));
grant select on telltale.viewers to authenticated;
grant select on telltale.viewers to service_role;
comment on table telltale.viewers is 'Visible pages that looked in the last minutes: while there is one, reporters send faster.';
comment on column telltale.viewers.viewer_id is 'UUID that the page minted.';
comment on column telltale.viewers.user_id is 'Whose page it is.';
comment on column telltale.viewers.seen_at is 'When it last said so.';
comment on column telltale.viewers.present is 'How many pages it sees on the live channel, itself included; 0 while it has none.';

CREATE OR REPLACE FUNCTION telltale.abnormal_where(filter jsonb, place jsonb, id text)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  since timestamptz := telltale.instant_of(filter, 'from');
  till timestamptz := telltale.instant_of(filter, 'to');
  score_min numeric := telltale.number_in(filter, 'score_min');
  condition text := 'true';
begin
  if since is not null then
    condition := condition || format(' and coalesce(t.ended_at, ''infinity'') >= %L', since);
  end if;
  if till is not null then
    condition := condition || format(' and t.started_at < %L', till);
  end if;
  if score_min is not null then
    condition := condition || format(' and t.score >= %L::double precision', score_min);
  end if;
  if coalesce(jsonb_typeof(filter -> 'open'), 'null') not in ('null', 'boolean') then
    raise exception 'Cannot read filter: open is %', filter -> 'open'
      using errcode = '22023', hint = 'open is true or false.';
  end if;
  if filter ->> 'open' is not null then
    condition := condition || case when (filter -> 'open')::boolean then ' and t.ended_at is null'
      else ' and t.ended_at is not null' end;
  end if;
  if place is not null then
    condition := condition || format(' and (t.started_at, t.%I) < (%L, %L::uuid)', id,
      telltale.at_of((place ->> 'us')::bigint), place ->> 'id');
  end if;
  return condition || telltale.matching(filter, 'service', 't.service')
    || telltale.matching(filter, 'environment', 't.environment')
    || telltale.matching(filter, 'series_key', 't.series_key') || telltale.matching(filter, 'metric', 't.metric');
end
$function$;
grant execute on function telltale.abnormal_where(jsonb,jsonb,text) to authenticated;
grant execute on function telltale.abnormal_where(jsonb,jsonb,text) to service_role;
comment on function telltale.abnormal_where(jsonb,jsonb,text) is 'The condition on anomalies or incidents t that a filter and a place in their list are; id is the name of their key.';

CREATE OR REPLACE FUNCTION telltale.acknowledge_alert(alert_id uuid)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.acknowledge_alert(uuid) to authenticated;
grant execute on function telltale.acknowledge_alert(uuid) to service_role;
comment on function telltale.acknowledge_alert(uuid) is 'Somebody knows: a firing alert becomes acknowledged, by whom and when; any other stays as it is. Answers its AlertDocument.
Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.add_destination(wanted jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.add_destination(jsonb) to service_role;
comment on function telltale.add_destination(jsonb) is 'Keeps a destination: {name, kind, url, secret, detail, severity}. The secret can be written, never read. Definer: the operator
alone.';

CREATE OR REPLACE FUNCTION telltale.add_member(user_id uuid, email text)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  with added as (
    insert into telltale.members as m (user_id, email) values (add_member.user_id, add_member.email)
    on conflict on constraint members_pkey do nothing
    returning 1
  )
  select exists (select from added)
$function$;
grant execute on function telltale.add_member(uuid,text) to service_role;
comment on function telltale.add_member(uuid,text) is 'Lets a user of Supabase Auth read everything; false when the user may already. Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.admit_names(source uuid, keys text[])
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
declare
  unknown text[];
  renamed jsonb;
begin
  select array_agg(k order by k collate "C") into unknown
  from unnest(keys) as k
  where split_part(k, ':', 1) in ('tool', 'provider', 'model', 'layer', 'connection', 'cache')
    and k <> split_part(k, ':', 1) || ':other'
    and not exists (select from telltale.admitted_names as n where n.source_id = source and n.series_key = k);
  if unknown is null then
    return '{}';
  end if;
  -- Names are only ever added, so that a kind seen to be full stays full, and its newcomers need no lock.
  if exists (
    select from unnest(unknown) as k
    where (select count(*) from telltale.admitted_names as n
      where n.source_id = source and n.series_key like split_part(k, ':', 1) || ':%')
      < telltale.names_max(split_part(k, ':', 1))
  ) then
    perform from telltale.sources where source_id = source for no key update;
    insert into telltale.admitted_names (source_id, series_key)
    select source, fresh.key
    from (
      select k as key, split_part(k, ':', 1) as kind,
        row_number() over (partition by split_part(k, ':', 1) order by k collate "C") as place
      from unnest(unknown) as k
      where not exists (select from telltale.admitted_names as n where n.source_id = source and n.series_key = k)
    ) as fresh
    where fresh.place + (select count(*) from telltale.admitted_names as n
      where n.source_id = source and n.series_key like fresh.kind || ':%') <= telltale.names_max(fresh.kind)
    order by fresh.key collate "C"
    on conflict do nothing;
  end if;
  select jsonb_object_agg(k, split_part(k, ':', 1) || ':other') into renamed
  from unnest(unknown) as k
  where not exists (select from telltale.admitted_names as n where n.source_id = source and n.series_key = k);
  return coalesce(renamed, '{}');
end
$function$;
comment on function telltale.admit_names(uuid,text[]) is 'Admits series keys of a source while their kind has room; {key: its kind:other} of those that had to stay out. Definer:
part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.alert_anomalies(since timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  answer jsonb := '[]';
begin
  if to_regclass('telltale.anomalies') is not null then
    execute $query$
      select coalesce(jsonb_agg(jsonb_build_object('service', a.service, 'environment', a.environment,
        'anomaly_id', a.anomaly_id, 'incident_id', a.incident_id, 'series_key', a.series_key, 'metric', a.metric,
        'score', a.score, 'seen', a.seen, 'started_us', telltale.us_of(a.started_at), 'ended_us', telltale.us_of(a.ended_at),
        'expected', jsonb_build_object('low', a.expected -> 'low', 'mid', a.expected -> 'mid', 'high', a.expected -> 'high'))), '[]')
      from (select * from telltale.anomalies where ended_at is null or ended_at >= $1
        order by started_at desc limit 200) as a $query$ into answer using since;
  end if;
  return answer;
end
$function$;
comment on function telltale.alert_anomalies(timestamp with time zone) is '[AnomalySign]: 200 of those that last or ended since; none where no detector is installed. Definer: part of alert_inputs.';

CREATE OR REPLACE FUNCTION telltale.alert_burns(patterns text[])
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  now_at timestamptz := telltale.clock();
begin
  return (
    select coalesce(jsonb_agg(to_jsonb(b)), '[]') from (
      select s.service, s.environment, t.age_s, telltale.series_merge(t.series) as series
      from (
        select m.source_id, telltale.picked_series(m.series, patterns) as series,
          case when m.minute >= now_at - interval '5 minutes' then 300
            when m.minute >= now_at - interval '30 minutes' then 1800 else 3600 end as age_s
        from telltale.rollup_minutes as m
        where m.minute >= now_at - interval '1 hour' and m.minute <= now_at
          and m.day between ((now_at - interval '1 hour') at time zone 'UTC')::date and (now_at at time zone 'UTC')::date
        offset 0
      ) as t
      join telltale.sources as s on s.source_id = t.source_id
      where t.series is not null
      group by s.service, s.environment, t.age_s
      union all
      select service, environment, age_s, series from telltale.alert_stretches where age_s > 0
    ) as b
  );
end
$function$;
comment on function telltale.alert_burns(text[]) is '[{service, environment, age_s, series}]: what was counted up to so many s ago, from the next smaller age on. Definer: part
of alert_inputs.';

CREATE OR REPLACE FUNCTION telltale.alert_calls()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return (
    with running as materialized (
      select s.service, s.environment, coalesce(p.clock_offset_us, 0) as offset_us, c.value as call
      from telltale.processes as p
      join telltale.sources as s on s.source_id = p.source_id
      cross join lateral jsonb_array_elements(p.running) as c
      where p.running_total > 0 and telltale.is_alive(p)
      order by (c.value -> 'start_us')::bigint limit 500
    ), known as (
      select r.*, t.tool, t.started_at, t.spans -> (r.call ->> 'span_id') ->> 'holder' as holder
      from running as r
      left join telltale.trace_days as d on d.trace_id = r.call ->> 'trace_id'
      left join telltale.traces as t on t.trace_id = d.trace_id and t.day = d.day
    )
    select jsonb_build_object(
      'calls', coalesce(jsonb_agg(jsonb_build_object('service', service, 'environment', environment,
        'tool', coalesce(call ->> 'tool', tool), 'trace_id', call -> 'trace_id',
        'start_us', least((call -> 'start_us')::bigint, telltale.us_of(started_at)) + offset_us)), '[]'),
      'waits', coalesce(jsonb_agg(jsonb_build_object('service', service, 'environment', environment,
        'permit', call -> 'name', 'trace_id', call -> 'trace_id', 'start_us', (call -> 'start_us')::bigint + offset_us,
        'end_us', null, 'holder', holder)) filter (where starts_with(call ->> 'name', 'permit ')), '[]'))
    from known
  );
end
$function$;
comment on function telltale.alert_calls() is '{calls: [LongCall], waits: [LongWait]} of the 500 calls that have run longest, by the edge''s clock. Definer: part of alert_inputs.';

CREATE OR REPLACE FUNCTION telltale.alert_document(a telltale.alerts)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select jsonb_build_object('alert_id', a.alert_id, 'rule_id', a.rule_id,
    'rule', (select r.name from telltale.alert_rules as r where r.rule_id = a.rule_id), 'state', a.state,
    'severity', a.severity, 'topic', a.topic, 'service', a.service, 'environment', a.environment, 'title', a.title,
    'subject', a.evidence -> 'subject', 'metric', a.evidence -> 'metric', 'value', a.evidence -> 'value',
    'expected', a.evidence -> 'expected', 'count', a.evidence -> 'count', 'others', coalesce(a.evidence -> 'others', '[]'),
    'trace_ids', coalesce(a.evidence -> 'trace_ids', '[]'), 'link', a.evidence -> 'link', 'verdict', a.verdict,
    'started_us', telltale.us_of(a.started_at), 'fired_us', telltale.us_of(a.fired_at),
    'acknowledged_us', telltale.us_of(a.acknowledged_at), 'acknowledged_by', a.acknowledged_by,
    'resolved_us', telltale.us_of(a.resolved_at), 'silenced', a.silenced, 'under', a.under, 'revision', a.revision)
$function$;
comment on function telltale.alert_document(telltale.alerts) is 'AlertDocument (src/core/alert/alert_document.ts): what lists, pushes and notifications say of an alert. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.alert_errors(since timestamp with time zone, till timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('service', e.service, 'environment', e.environment,
      'fingerprint', e.fingerprint, 'error_type', e.sample -> 'error_type', 'message', left(e.sample ->> 'message', 500),
      'trace_id', e.sample -> 'trace_id', 'first_us', telltale.us_of(e.first_at), 'last_us', telltale.us_of(e.last_at),
      'count', e.count, 'reopened_us', telltale.us_of(e.reopened_at), 'ignored', e.ignored)
      order by e.last_at desc, e.fingerprint), '[]')
    from (
      select l.*, s.reopened_at, coalesce(s.state = 'ignored' and s.reopened_at is null
        and coalesce(s.until, 'infinity') > telltale.clock(), false) as ignored
      from (
        -- When it was first stored, not when it first happened: what comes late is as new as it is to whoever is told.
        -- But of what an import brings from before yesterday nobody is woken.
        select g.fingerprint, s.service, s.environment, min(g.noticed_at) as first_at, max(g.last_seen_at) as last_at,
          sum(g.count) as count, (array_agg(g.sample order by g.last_seen_at desc))[1] as sample
        from telltale.error_groups as g join telltale.sources as s on s.source_id = g.source_id
        where g.fingerprint in (
          select r.fingerprint from telltale.error_groups as r
          where (r.last_seen_at >= since or r.noticed_at >= since) and r.last_seen_at >= till - interval '1 day'
          order by r.last_seen_at desc limit 200)
        group by g.fingerprint, s.service, s.environment
        having max(g.last_seen_at) >= till - interval '1 day' and min(g.noticed_at) <= till
      ) as l
      left join telltale.error_group_states as s on s.fingerprint = l.fingerprint
    ) as e
  );
end
$function$;
comment on function telltale.alert_errors(timestamp with time zone,timestamp with time zone) is '[ErrorSign]: the 200 groups that were last seen, of those seen or first stored since and not first after till, nor last seen a day
before; first_us is when it was first stored. Definer: part of alert_inputs.';

CREATE OR REPLACE FUNCTION telltale.alert_history(rule_id text, since timestamp with time zone, till timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.alert_history(text,timestamp with time zone,timestamp with time zone) to authenticated;
grant execute on function telltale.alert_history(text,timestamp with time zone,timestamp with time zone) to service_role;
comment on function telltale.alert_history(text,timestamp with time zone,timestamp with time zone) is 'AlertHistory (src/core/alert/alert_replay.ts) of a rule: what it is judged from, from since to till, at most six hours.
Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.alert_inputs()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  now_at timestamptz := telltale.clock();
  v_state telltale.alert_state;
  patterns text[] := telltale.alert_key_patterns(null);
  kinds text[];
  with_burns boolean;
  with_gauges boolean;
  metric_s integer;
  errors_s integer;
  waits_s integer;
  least_ms double precision;
  running jsonb := '{"calls": [], "waits": []}';
begin
  select * into v_state from telltale.alert_state;
  select coalesce(array_agg(distinct kind), '{}'), coalesce(bool_or(metric = 'gauge'), false),
    coalesce(max(window_s) filter (where kind = 'metric'), 0),
    coalesce(max(window_s) filter (where kind in ('errors', 'leak')), 0),
    coalesce(max(window_s) filter (where kind = 'starvation'), 0),
    min(threshold) filter (where kind = 'starvation')
  into kinds, with_gauges, metric_s, errors_s, waits_s, least_ms
  from telltale.alert_rules where enabled;
  with_burns := 'slo' = any (kinds);
  perform telltale.refresh_stretches(patterns, with_burns);
  if kinds && array['stuck', 'starvation'] then
    running := telltale.alert_calls();
  end if;
  return jsonb_build_object('now_us', telltale.us_of(now_at), 'revision', v_state.revision,
    'pushed_revision', v_state.pushed_revision, 'watched', telltale.is_watched(),
    'rules', telltale.alert_rules_data(null), 'open', telltale.alert_open(),
    'silences', (
      select coalesce(jsonb_agg(jsonb_build_object('silence_id', s.silence_id, 'rule_id', s.rule_id, 'service', s.service,
        'environment', s.environment, 'starts_us', telltale.us_of(s.starts_at), 'ends_us', telltale.us_of(s.ends_at),
        'repeat_s', s.repeat_s) order by s.silence_id), '[]')
      from telltale.alert_silences as s where s.ends_at > now_at or s.repeat_s is not null),
    'marks', (
      select coalesce(jsonb_agg(jsonb_build_object('rule_id', m.rule_id, 'process', m.process_id, 'lost', m.lost,
        'grew_us', telltale.us_of(m.grew_at))), '[]')
      from telltale.alert_marks as m
      join telltale.processes as p on p.process_id = m.process_id and p.last_seen_at > now_at - interval '1 hour'),
    'minutes', case when metric_s = 0 then '[]'
      else telltale.alert_minutes(date_trunc('minute', now_at - metric_s * interval '1 second'), now_at, patterns) end,
    'baselines', (
      select coalesce(jsonb_agg(jsonb_build_object('service', t.service, 'environment', t.environment, 'series', t.series)), '[]')
      from telltale.alert_stretches as t where t.age_s = 0),
    'burns', case when with_burns then telltale.alert_burns(patterns) else '[]' end,
    'services', case when 'no_data' = any (kinds) then telltale.alert_services() else '[]' end,
    'losses', case when 'gap' = any (kinds) then telltale.alert_losses() else '[]' end,
    'calls', running -> 'calls',
    'waits', (running -> 'waits') || case when least_ms is null then '[]'
      else telltale.alert_waits(now_at - waits_s * interval '1 second', now_at, least_ms) end,
    'errors', case when errors_s = 0 then '[]'
      else telltale.alert_errors(now_at - errors_s * interval '1 second', now_at) end,
    'gauges', case when with_gauges then (
      select coalesce(jsonb_agg(jsonb_build_object('service', g.value -> 'service', 'environment', g.value -> 'environment',
        'name', g.value -> 'name', 'at_us', g.value -> 'at_us', 'value', g.value -> 'value',
        'labels', (select coalesce(string_agg(l.key || '=' || l.value, ' ' order by l.key), '')
          from jsonb_each_text(g.value -> 'labels') as l))), '[]')
      from jsonb_array_elements(telltale.live_gauges()) as g
      where g.value ->> 'name' in (select filter ->> 'gauge' from telltale.alert_rules where enabled)) else '[]' end,
    'anomalies', case when 'anomaly' = any (kinds) then telltale.alert_anomalies(now_at - interval '1 hour') else '[]' end);
end
$function$;
grant execute on function telltale.alert_inputs() to service_role;
comment on function telltale.alert_inputs() is 'AlertInputs (src/core/alert/alert_input.ts) of now, with pushed_revision and watched. Volatile: it adds up again what it
keeps of long stretches. Definer: for the edge alone.';

CREATE OR REPLACE FUNCTION telltale.alert_key_patterns(only_rule text)
 RETURNS text[]
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(array_agg(distinct case when k like '%*'
    then replace(replace(replace(left(k, -1), '\', '\\'), '_', '\_'), '%', '\%') || '%'
    else replace(replace(replace(k, '\', '\\'), '_', '\_'), '%', '\%') end), '{}')
  from telltale.alert_rules as r
  cross join lateral jsonb_array_elements_text(coalesce(r.filter -> 'keys', '["all"]')) as k
  where case when only_rule is null then r.enabled else r.rule_id = only_rule end and r.kind in ('metric', 'slo')
$function$;
comment on function telltale.alert_key_patterns(text) is 'The series keys that the enabled rules, or the one of that id, name, as patterns of LIKE. Definer: part of alert_inputs.';

CREATE OR REPLACE FUNCTION telltale.alert_losses()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('process', l.process_id, 'service', s.service, 'environment', s.environment,
    'lost', l.lost, 'seen_us', telltale.us_of(l.last_seen_at)) order by l.process_id), '[]')
  from (
    select p.process_id, p.source_id, p.last_seen_at, p.seqs_forgotten
      + coalesce((select sum(upper(r) - lower(r)) from unnest(case when isempty(p.seqs) then p.seqs
          else int8multirange(int8range(1, upper(p.seqs))) - p.seqs end) as r), 0)
      + coalesce((select sum(d.value::numeric) from jsonb_each_text(p.dropped) as d), 0) as lost
    from telltale.processes as p
    where p.last_seen_at > telltale.clock() - interval '1 hour'
    order by p.last_seen_at desc limit 1000
  ) as l
  join telltale.sources as s on s.source_id = l.source_id
  where l.lost > 0 or exists (select from telltale.alert_marks as m where m.process_id = l.process_id)
$function$;
comment on function telltale.alert_losses() is '[Loss] of processes that were heard within the hour and lost something, or had. Definer: part of alert_inputs.';

CREATE OR REPLACE FUNCTION telltale.alert_minutes(since timestamp with time zone, till timestamp with time zone, patterns text[])
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('minute', extract(epoch from m.minute)::bigint, 'service', m.service,
      'environment', m.environment, 'series', m.series) order by m.minute, m.service, m.environment), '[]')
    from (
      select p.minute, s.service, s.environment, telltale.series_merge(p.series) as series
      from (
        select r.minute, r.source_id, telltale.picked_series(r.series, patterns) as series
        from telltale.rollup_minutes as r
        where r.minute >= since and r.minute <= till
          and r.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
        offset 0
      ) as p
      join telltale.sources as s on s.source_id = p.source_id
      where p.series is not null
      group by p.minute, s.service, s.environment
    ) as m
  );
end
$function$;
comment on function telltale.alert_minutes(timestamp with time zone,timestamp with time zone,text[]) is '[MinuteSeries] of the minutes that start from since to till, both inclusive; the one that runs is as it is now. Definer:
part of alert_inputs.';

CREATE OR REPLACE FUNCTION telltale.alert_open()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('alert_id', a.alert_id, 'rule_id', a.rule_id, 'group_key', a.group_key,
    'state', a.state, 'severity', a.severity, 'topic', a.topic, 'service', a.service, 'environment', a.environment,
    'started_us', telltale.us_of(a.started_at), 'fired_us', telltale.us_of(a.fired_at), 'seen_us', telltale.us_of(a.seen_at),
    'clear_us', telltale.us_of(a.clear_at), 'notified', a.notified, 'silenced', a.silenced, 'under', a.under,
    'under_resolved_us', telltale.us_of(l.resolved_at)) order by a.started_at, a.alert_id), '[]')
  from telltale.alerts as a left join telltale.alerts as l on l.alert_id = a.under
  where a.state <> 'resolved'
$function$;
comment on function telltale.alert_open() is '[OpenAlert]: those that are not resolved. Definer: part of alert_inputs.';

CREATE OR REPLACE FUNCTION telltale.alert_push()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select jsonb_build_object('rev', (select revision from telltale.alert_state), 'at_us', telltale.us_of(telltale.clock()),
    'total', count(*), 'alerts', coalesce(jsonb_agg(telltale.alert_document(o.a) order by telltale.severity_rank((o.a).severity) desc,
      (o.a).fired_at desc, (o.a).alert_id) filter (where o.place <= 50), '[]'))
  from (
    select a, row_number() over (order by telltale.severity_rank(a.severity) desc, a.fired_at desc, a.alert_id) as place
    from telltale.alerts as a where a.state in ('firing', 'acknowledged')
  ) as o
$function$;
comment on function telltale.alert_push() is 'AlertPush {rev, at_us, total, alerts}: the 50 gravest that fire or are acknowledged, absolute; the highest rev wins. Definer:
part of the readers.';

CREATE OR REPLACE FUNCTION telltale.alert_question_filter(a telltale.alerts)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
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
$function$;
comment on function telltale.alert_question_filter(telltale.alerts) is 'The filter of why_data about an alert: the calls of its service and subject since it began, against those before.';

CREATE OR REPLACE FUNCTION telltale.alert_rules_data(only_rule text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(to_jsonb(r) - array['changed_at'] order by r.rule_id), '[]')
  from telltale.alert_rules as r
  where case when only_rule is null then r.enabled else r.rule_id = only_rule end
$function$;
comment on function telltale.alert_rules_data(text) is '[AlertRule]: the enabled ones, or the one of that id. Definer: part of alert_inputs.';

CREATE OR REPLACE FUNCTION telltale.alert_services()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('service', h.service, 'environment', h.environment,
    'heard_us', telltale.us_of(h.heard_at), 'steady_s', extract(epoch from h.steady)::bigint)
    order by h.service, h.environment), '[]')
  from (
    select s.service, s.environment, max(p.last_seen_at) as heard_at, max(p.last_seen_at - p.first_seen_at) as steady
    from telltale.processes as p join telltale.sources as s on s.source_id = p.source_id
    where p.last_seen_at > telltale.clock() - interval '1 day'
    group by s.service, s.environment
    order by heard_at desc limit 500
  ) as h
$function$;
comment on function telltale.alert_services() is '[HeardService] of the last day. Definer: part of alert_inputs.';

CREATE OR REPLACE FUNCTION telltale.alert_waits(since timestamp with time zone, till timestamp with time zone, least_ms double precision)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('service', s.service, 'environment', s.environment,
      'permit', w.value -> 'name', 'trace_id', t.trace_id, 'holder', w.value -> 'holder',
      'start_us', (w.value -> 'start_us')::bigint, 'end_us', (w.value -> 'end_us')::bigint)), '[]')
    from (
      select r.trace_id, r.process_id, r.spans from telltale.traces as r
      where r.duration_ms is not null and r.changed_at >= since and r.changed_at <= till and r.wait_ms >= least_ms
      order by r.changed_at desc limit 200
    ) as t
    join telltale.processes as p on p.process_id = t.process_id
    join telltale.sources as s on s.source_id = p.source_id
    cross join lateral jsonb_each(t.spans) as w
    where w.value ->> 'kind' = 'wait' and starts_with(w.value ->> 'name', 'permit ')
      and (w.value -> 'end_us')::bigint - (w.value -> 'start_us')::bigint >= least_ms * 1000
  );
end
$function$;
comment on function telltale.alert_waits(timestamp with time zone,timestamp with time zone,double precision) is '[LongWait] that ended in calls changed from since to till and took so many ms, of 200 calls. Definer: part of alert_inputs.';

CREATE OR REPLACE FUNCTION telltale.alerts(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.alerts(jsonb,text,integer) to authenticated;
grant execute on function telltale.alerts(jsonb,text,integer) to service_role;
comment on function telltale.alerts(jsonb,text,integer) is 'Alerts, those that began last first: {rows: [AlertDocument], next, rev}. Filter: from, to (open in between; ISO 8601 or µs), state,
severity, rule_id, service, environment, alert_id (each a string or an array). n is 1 to 1000. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.anomalies(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  size integer;
  condition text;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'service', 'environment', 'series_key', 'metric', 'incident_id',
    'score_min', 'open']);
  condition := telltale.abnormal_where(filter,
    telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}'), 'anomaly_id')
    || telltale.matching(filter, 'incident_id', 't.incident_id::text');
  execute format(
    'with page as (
      select t as row, t.started_at, t.anomaly_id from telltale.anomalies as t
      where %s order by t.started_at desc, t.anomaly_id desc limit %s
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(telltale.anomaly_row(page.row) order by started_at desc, anomaly_id desc), ''[]''),
      ''next'', case when count(*) = %s then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(started_at)), ''id'', (array_agg(anomaly_id order by started_at, anomaly_id))[1])) end)
    from page', condition, size, size) into answer;
  return answer;
end
$function$;
grant execute on function telltale.anomalies(jsonb,text,integer) to authenticated;
grant execute on function telltale.anomalies(jsonb,text,integer) to service_role;
comment on function telltale.anomalies(jsonb,text,integer) is 'Anomalies, the last begun first: {rows, next}. Filter: from, to (those that lasted at some time between; ISO 8601 or µs),
service, environment, series_key, metric, incident_id (each a string or an array), score_min (0..1), open (whether it
lasts). n is 1 to 1000. Definer: as the readers of traces, the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.anomaly_row(a telltale.anomalies)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
  select to_jsonb(a) || jsonb_build_object('started_at_us', telltale.us_of(a.started_at),
    'last_at_us', telltale.us_of(a.last_at), 'ended_at_us', telltale.us_of(a.ended_at))
$function$;
grant execute on function telltale.anomaly_row(telltale.anomalies) to authenticated;
grant execute on function telltale.anomaly_row(telltale.anomalies) to service_role;
comment on function telltale.anomaly_row(telltale.anomalies) is 'An anomaly as the readers answer it; *_at is ISO 8601 in UTC, *_at_us µs since the epoch.';

CREATE OR REPLACE FUNCTION telltale.are_admitted(keys text[], sources uuid[])
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select not exists (
    select from unnest(keys) as k(key)
    cross join lateral (select split_part(k.key, ':', 1)) as name(kind)
    join telltale.sources as s on sources is null or s.source_id = any (sources)
    where k.key <> name.kind || ':other'
      and not exists (select from telltale.admitted_names as n where n.source_id = s.source_id and n.series_key = k.key)
      and (select count(*) from telltale.admitted_names as n
        where n.source_id = s.source_id and n.series_key like name.kind || ':%') >= telltale.names_max(name.kind))
$function$;
comment on function telltale.are_admitted(text[],uuid[]) is 'Whether these sources count under each of these keys all that it names: a source with no room for a name counts it as
`other`. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.at_of(us bigint)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN to_timestamp(((us)::double precision / (1000000.0)::double precision));
grant execute on function telltale.at_of(bigint) to authenticated;
grant execute on function telltale.at_of(bigint) to service_role;
comment on function telltale.at_of(bigint) is 'The instant that is so many µs after the epoch. Exact up to 2^53 µs.';

CREATE OR REPLACE FUNCTION telltale.breakdowns_of(traces jsonb[])
 RETURNS TABLE(place bigint, layers jsonb, wait_ms numeric)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE ROWS 100
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  return query
  with span as materialized (
    select * from telltale.self_times_of(traces)
  ), root as (
    select place, started_us, stopped_us,
      coalesce(max(stopped_us) over (partition by place order by started_us, stopped_us
        rows between unbounded preceding and 1 preceding), started_us) as reached
    from span
    where root
  ), amount as (
    select place, wait, layer, self_us as us from span where self_us > 0
    union all
    select place, false, 'unexplained',
      max(stopped_us) - min(started_us) - sum(greatest(0, stopped_us - greatest(started_us, reached)))
    from root
    group by place
  ), total as (
    select place, layer, sum(us) as us, sum(us) filter (where wait) as waited
    from amount group by place, layer having sum(us) > 0
  ), summed as (
    select place, jsonb_object_agg(layer, trim_scale(us / 1000.0)) as layers, sum(waited) as waited from total group by place
  )
  select t.place, coalesce(layers, '{}'), trim_scale(coalesce(waited, 0) / 1000.0)
  from generate_series(1, cardinality(traces)::bigint) as t(place) left join summed on summed.place = t.place;
end
$function$;
grant execute on function telltale.breakdowns_of(jsonb[]) to service_role;
comment on function telltale.breakdowns_of(jsonb[]) is 'Where the time of traces went: layers {layer: ms of self time, unexplained: ms that no root covers}, and ms of waiting.';

CREATE OR REPLACE FUNCTION telltale.call_rank(session text, started timestamp with time zone, trace text, upto integer DEFAULT 100000)
 RETURNS bigint
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select 1 + count(*) from (
    select from telltale.traces as t
    where t.session_key = session and (t.started_at, t.trace_id) < (started, trace)
      -- What is joined into another is no call of its own.
      and coalesce((select false from telltale.trace_joins as j where j.inner_trace_id = t.trace_id), true)
    limit upto
  ) as earlier
$function$;
comment on function telltale.call_rank(text,timestamp with time zone,text,integer) is 'The position of a trace in its session, from 1, by (started_at, trace_id): for traces whose recorder sent no call number.
Counts no further than `upto`. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.call_steps(calls integer[], durations double precision[])
 RETURNS TABLE(call integer, n bigint, before_n bigint, p50_ms double precision, before_p50_ms double precision, superiority double precision, p double precision)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE ROWS 10
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
#variable_conflict use_column
begin
  return query
  with sample as materialized (
    select call, ms from unnest(calls, durations) as s(call, ms)
  ), pooled as (
    select call, true as later, ms from sample
    union all
    select call + 1, false, ms from sample
  ), ranked as (
    select call, later, ms, rank() over (partition by call order by ms) as least,
      count(*) over (partition by call, ms) as alike
    from pooled
  ), pair as (
    select call, count(*) filter (where later) as n, count(*) filter (where not later) as before_n,
      percentile_disc(0.5) within group (order by ms) filter (where later) as p50,
      percentile_disc(0.5) within group (order by ms) filter (where not later) as before_p50,
      sum(least + (alike - 1) / 2.0) filter (where later)::double precision as ranks,
      sum(alike::double precision * alike - 1) as ties
    from ranked group by call
  ), test as (
    select call, n, before_n, p50, before_p50,
      (ranks - n * (n + 1) / 2.0) / (n * before_n::double precision) as superiority,
      case when ties < (n + before_n) * ((n + before_n)::double precision ^ 2 - 1) then
        greatest(0, abs(ranks - n * (n + 1) / 2.0 - n * before_n / 2.0) - 0.5)
        / sqrt(n * before_n / 12.0 * (n + before_n + 1 - ties / ((n + before_n) * (n + before_n - 1.0)))) else 0 end as z
    from pair where n > 0 and before_n > 0
  ), tail as (
    select *, coalesce(telltale.normal_tails(z), 0) as alone from test
  ), corrected as (
    -- Holm: the least of m by m, the next by m - 1, and none below one that came before it.
    select *, least(1, max(alone * ((select count(*) from tail) - place + 1)) over (order by place)) as p
    from (select *, row_number() over (order by alone, call) as place from tail) as t
  )
  select call, n, before_n, p50, before_p50, superiority, p from corrected order by call;
end
$function$;
grant execute on function telltale.call_steps(integer[],double precision[]) to authenticated;
grant execute on function telltale.call_steps(integer[],double precision[]) to service_role;
comment on function telltale.call_steps(integer[],double precision[]) is 'Of samples (ms) at positions, each position against the one before it, where both have any: the medians, how often the later
of two taken at random is the greater (ties half), and how likely it is that nothing sets them apart: the rank test of Mann and
Whitney, by its normal approximation with ties and continuity corrected, and for the number of tests by Holm.';

CREATE OR REPLACE FUNCTION telltale.call_tick()
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  v_url text;
  v_key text;
begin
  if not telltale.is_tick_due() or not telltale.does_work_wait() then
    return false;
  end if;
  if to_regclass('vault.decrypted_secrets') is null or to_regnamespace('net') is null then
    return false;
  end if;
  execute $sql$ select max(decrypted_secret) filter (where name = 'telltale_tick_url'),
    max(decrypted_secret) filter (where name = 'telltale_tick_key') from vault.decrypted_secrets $sql$ into v_url, v_key;
  if v_url is null or v_key is null then
    return false;
  end if;
  execute 'select net.http_post(url => $1, body => ''{}''::jsonb, headers => $2, timeout_milliseconds => 30000)'
  using v_url, jsonb_build_object('apikey', v_key, 'Content-Type', 'application/json');
  return true;
end
$function$;
comment on function telltale.call_tick() is 'Asks the edge for a tick when one is due and work waits; whether it did. False too where the Vault does not say where the edge is.
Definer: the Vault is for the owner.';

CREATE OR REPLACE FUNCTION telltale.caller_id()
 RETURNS uuid
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid
$function$;
grant execute on function telltale.caller_id() to authenticated;
grant execute on function telltale.caller_id() to service_role;
comment on function telltale.caller_id() is 'The user id of the caller''s token, null without one.';

CREATE OR REPLACE FUNCTION telltale.caller_name()
 RETURNS text
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select case when telltale.caller_id() is null then 'operator' else coalesce(
    (select email from telltale.members where user_id = telltale.caller_id()), telltale.caller_id()::text) end
$function$;
comment on function telltale.caller_name() is 'Who asks, for people: the member''s address or id, operator without a user. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.cell_stats(places text[], cells jsonb[], seconds double precision)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
begin
  return (
    with cell as materialized (
      select c.place, c.cell from unnest(places, cells) as c(place, cell)
    ), bucket as (
      select place, index, least(sum(n), 9007199254740991) as n
      from (
        -- Zeros lie below the least index that a double can have.
        select place, -40000 as index, (cell -> 'latency' -> 'z')::bigint as n from cell
        union all
        select cell.place, b.key::int, b.value::bigint
        from cell cross join lateral jsonb_each(cell.cell -> 'latency' -> 'b') as b
      ) as counts
      group by place, index
    ), running as (
      select place, case when index = -40000 then 0 else power(2::double precision, (index + 0.5::double precision) / 32) end
        as us, sum(n) over (partition by place order by index) as seen, sum(n) over (partition by place) as total
      from bucket
    ), quantile as (
      select place, nullif(max(total), 0) as total, array[
        min(us) filter (where seen >= greatest(1, ceil(0.5 * total::double precision))),
        min(us) filter (where seen >= greatest(1, ceil(0.95 * total::double precision))),
        min(us) filter (where seen >= greatest(1, ceil(0.99 * total::double precision)))] as us
      from running group by place
    ), summed as (
      select place,
        least(sum((cell -> 'count')::bigint), 9007199254740991) as count,
        least(sum((cell -> 'errors')::bigint), 9007199254740991) as errors,
        least(sum((cell -> 'bytes_in')::bigint), 9007199254740991) as bytes_in,
        least(sum((cell -> 'bytes_out')::bigint), 9007199254740991) as bytes_out,
        least(sum((cell -> 'tokens_in')::bigint), 9007199254740991) as tokens_in,
        least(sum((cell -> 'tokens_out')::bigint), 9007199254740991) as tokens_out,
        least(sum((cell -> 'latency' -> 'sum')::bigint), 9007199254740991) as us
      from cell group by place
    )
    select coalesce(jsonb_object_agg(s.place, telltale.stats_of(s.count, s.errors, seconds, s.us / q.total, q.us,
      s.bytes_in, s.bytes_out, s.tokens_in, s.tokens_out)), '{}')
    from summed as s join quantile as q on q.place = s.place
  );
end
$function$;
comment on function telltale.cell_stats(text[],jsonb[],double precision) is '{place: Stats} of cells of series, those of one place added up: what series_merge and histogram_quantile answer, for all
places at once, since to start a query costs far more than a row in it.';

CREATE OR REPLACE FUNCTION telltale.cells_between(keys text[], since timestamp with time zone, till timestamp with time zone, sources uuid[], whole_hours boolean)
 RETURNS TABLE(at timestamp with time zone, key text, cell jsonb)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  -- Offset 0: each look into a series unpacks all of it, so there is one.
  select c.at, c.key, c.cell
  from (
    select r.at, k.key, r.series -> k.key as cell
    from telltale.rollups_between(since, till, sources, whole_hours) as r cross join unnest(keys) as k(key)
    offset 0
  ) as c
  where c.cell is not null
$function$;
comment on function telltale.cells_between(text[],timestamp with time zone,timestamp with time zone,uuid[],boolean) is 'The cells of these series keys in rollups_between. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.check_filter(filter jsonb, allowed text[])
 RETURNS void
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  wrong text;
begin
  if jsonb_typeof(filter) <> 'object' then
    raise exception 'Cannot read filter: it is of type %', jsonb_typeof(filter)
      using errcode = '22023', hint = 'An object with any of: ' || array_to_string(allowed, ', ');
  end if;
  select k into wrong from jsonb_object_keys(filter) as k where k <> all (allowed) order by k limit 1;
  if found then
    raise exception 'Cannot read filter: it has a key %', to_json(wrong)
      using errcode = '22023', hint = 'Allowed are: ' || array_to_string(allowed, ', ');
  end if;
end
$function$;
grant execute on function telltale.check_filter(jsonb,text[]) to authenticated;
grant execute on function telltale.check_filter(jsonb,text[]) to service_role;
comment on function telltale.check_filter(jsonb,text[]) is 'Raises 22023 unless the filter is an object with none but these keys.';

CREATE OR REPLACE FUNCTION telltale.check_state(state text, options jsonb)
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  v_count bigint;
begin
  if state is null or state not in ('open', 'resolved', 'ignored') then
    raise exception 'Cannot set state: it is %', coalesce(to_json(state)::text, 'null')
      using errcode = '22023', hint = 'A state is open, resolved or ignored.';
  end if;
  perform telltale.check_filter(options, array['by'] || case state
    when 'resolved' then array['version', 'at'] when 'ignored' then array['until', 'count'] else '{}' end);
  if exists (select from jsonb_each(options) as o
    where o.key in ('by', 'version') and jsonb_typeof(o.value) not in ('string', 'null'))
    or octet_length(options ->> 'version') not between 1 and 256 then
    raise exception 'Cannot set state: by or version is no text, or too long'
      using errcode = '22023', hint = 'by and version are texts; a version has 1 to 256 bytes.';
  end if;
  if telltale.instant_of(options, 'until') <= telltale.clock() then
    raise exception 'Cannot set state: until is past' using errcode = '22023', hint = 'until is a time to come.';
  end if;
  v_count := telltale.whole_number_in(options, 'count');
  if v_count not between 1 and 1000000 then
    raise exception 'Cannot set state: count is %', v_count using errcode = '22023', hint = 'count is from 1 to 1000000.';
  end if;
  if options ->> 'until' is not null and v_count is not null then
    raise exception 'Cannot set state: it is ignored until a time and under a count'
      using errcode = '22023', hint = 'Give until or count, or neither of them.';
  end if;
end
$function$;
comment on function telltale.check_state(text,jsonb) is 'Raises 22023 unless a state may be set with these options. Only set_error_group_state asks it.';

CREATE OR REPLACE FUNCTION telltale.claim_alert_push()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select case when s.pushed_revision < s.revision and telltale.is_watched() then telltale.alert_push() end
  from telltale.alert_state as s
$function$;
grant execute on function telltale.claim_alert_push() to service_role;
comment on function telltale.claim_alert_push() is 'AlertPush where the open pages do not know the last revision, null where they do or there are none. Definer: for the edge alone.';

CREATE OR REPLACE FUNCTION telltale.claim_alert_question(tries_max integer, gap_s integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.claim_alert_question(integer,integer) to service_role;
comment on function telltale.claim_alert_question(integer,integer) is 'An alert of latency that is open and of which nobody said why yet, tried fewer than tries_max times and not within gap_s
seconds: {alert_id, filter: of why_data, last: it is not tried again}; null where there is none. Definer: for the edge alone.';

CREATE OR REPLACE FUNCTION telltale.claim_notifications(n integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.claim_notifications(integer) to service_role;
comment on function telltale.claim_notifications(integer) is 'Takes up to n notifications that are due, for a minute, with what is needed to send them: [Notification] (functions/store/port.ts).
Gives up what is a day old, and deletes what is past its time. Definer: for the edge alone.';

CREATE OR REPLACE FUNCTION telltale.claim_tick(holder text, seconds integer)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  if holder is null or seconds is null or seconds not between 1 and 600 then
    raise exception 'Cannot claim tick: % s is not from 1 to 600', seconds using errcode = '22023';
  end if;
  update telltale.tick_lease as l
  set holder = claim_tick.holder, claimed_at = telltale.clock(),
    expires_at = telltale.clock() + seconds * interval '1 second'
  where l.expires_at <= telltale.clock() or l.holder is null or l.holder = claim_tick.holder
    -- No lease is that long: the clock went back, and whoever held it may be gone for good.
    or l.expires_at > telltale.clock() + interval '600 seconds';
  return found;
end
$function$;
grant execute on function telltale.claim_tick(text,integer) to service_role;
comment on function telltale.claim_tick(text,integer) is 'Takes or renews the lease for so many seconds, 1 to 600; false while another has it. Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.clock()
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN now();
grant execute on function telltale.clock() to authenticated;
grant execute on function telltale.clock() to service_role;
comment on function telltale.clock() is 'What time it is: that of the transaction. Nothing here asks another clock, so that a test can replace this one.';

CREATE OR REPLACE FUNCTION telltale.clocks_off(since timestamp with time zone, till timestamp with time zone, sources uuid[])
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('service', service, 'environment', environment, 'instance', instance,
    'offset_ms', ms) order by abs(ms) desc, service, environment, instance), '[]')
  from (
    select s.service, s.environment, s.instance, -extract(epoch from c.shift)::bigint * 1000 as ms
    from telltale.source_clocks as c join telltale.sources as s on s.source_id = c.source_id
    where c.source_id = any (telltale.skewed_between(since, till, sources)) and c.from_minute + c.shift < till
      and coalesce(c.to_minute + c.shift, 'infinity') > since
    order by abs(extract(epoch from c.shift)) desc limit 100
  ) as listed
$function$;
comment on function telltale.clocks_off(timestamp with time zone,timestamp with time zone,uuid[]) is '[{service, environment, instance, offset_ms: how far its clock is ahead, to the minute}], those that are off most first, at most
100. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.compare(a jsonb DEFAULT '{}'::jsonb, b jsonb DEFAULT '{}'::jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  noise constant double precision := 0.05;
  keys_max constant integer := 32;
  sides jsonb := '{}';
  side record;
  asked record;
  compared jsonb;
  tests bigint;
begin
  perform telltale.require_reader();
  for side in select name, coalesce(filter, '{}') as filter from (values ('a', a), ('b', b)) as v(name, filter) loop
    perform telltale.check_filter(side.filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
      'min_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
    select * into asked from telltale.range_of(side.filter);
    sides := sides || jsonb_build_object(side.name, jsonb_build_object('filter', side.filter,
      'from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
      'seconds', telltale.seconds_of(asked.since, asked.till), 'step', telltale.step_of(side.filter, null),
      'source', case when telltale.series_keys_of(side.filter, telltale.sources_of(side.filter)) is null then 'traces'
        else 'parts' end));
  end loop;
  with row as materialized (
    select 'a' as side, m.* from telltale.measured(sides -> 'a' -> 'filter', (sides -> 'a' -> 'step')::int) as m
    union all
    select 'b', m.* from telltale.measured(sides -> 'b' -> 'filter', (sides -> 'b' -> 'step')::int) as m
  ), listed as (
    select key from (
      select key, row_number() over (partition by split_part(key, ':', 1) order by sum(sums[1]) desc, key collate "C") as place
      from row where sums is not null group by key
    ) as ranked where place <= keys_max
    union select 'all'
  ), summed as (
    select side, key, array[sum(sums[1]), sum(sums[2]), sum(sums[3]), sum(sums[4]), sum(sums[5]), sum(sums[6]), sum(sums[7])]
      as sums, count(*) as blocks
    from row join listed using (key) where sums is not null group by side, key
  ), spread as (
    -- How far each ratio of two sums may be off, from how much it differs from block to block of time (ratio estimator).
    select side, key, measure, ratio, present, sqrt(blocks / nullif(blocks - 1, 0) * sum(off * off) / nullif(whole * whole, 0)) as error
    from (
      select row.side, key, measure, whole, whole_of / nullif(whole, 0) as ratio,
        case measure when 'per_second' then span.blocks else s.blocks end as blocks, s.blocks as present,
        part - whole_of / nullif(whole, 0) * of as off
      from row join summed as s using (side, key)
      cross join lateral (select (sides -> row.side -> 'seconds')::double precision as seconds,
        (sides -> row.side -> 'step')::double precision as step) as asked
      cross join lateral (select ceil(asked.seconds / asked.step) as blocks) as span
      cross join lateral (values
        ('per_second', row.sums[1]::double precision, asked.seconds / span.blocks, s.sums[1]::double precision, asked.seconds),
        ('tokens_in_per_call', row.sums[5]::double precision, row.sums[1]::double precision, s.sums[5]::double precision,
          s.sums[1]::double precision),
        ('tokens_out_per_call', row.sums[6]::double precision, row.sums[1]::double precision, s.sums[6]::double precision,
          s.sums[1]::double precision)) as ratio(measure, part, of, whole_of, whole)
      where row.sums is not null
      union all
      -- Blocks in which nothing happened count too.
      select s.side, key, 'per_second', asked.seconds, s.sums[1]::double precision / asked.seconds, ceil(asked.seconds / asked.step),
        s.blocks, s.sums[1]::double precision / asked.seconds * asked.seconds / ceil(asked.seconds / asked.step)
      from summed as s
      cross join lateral (select (sides -> s.side -> 'seconds')::double precision as seconds,
        (sides -> s.side -> 'step')::double precision as step) as asked
      cross join lateral generate_series(s.blocks + 1, ceil(asked.seconds / asked.step)::bigint)
    ) as part
    group by side, key, measure, ratio, present, blocks, whole
  ), latency as materialized (
    select key, us, coalesce(sum(n) filter (where side = 'a'), 0) as a, coalesce(sum(n) filter (where side = 'b'), 0) as b
    from row join listed using (key) where us is not null group by key, us
  ), running as (
    select *, sum(a) over up as a_seen, sum(b) over up as b_seen, sum(a) over whole as a_all, sum(b) over whole as b_all
    from latency window up as (partition by key order by us), whole as (partition by key)
  ), distribution as (
    select key, max(a_all) as a_n, max(b_all) as b_n,
      array[min(us) filter (where a_seen >= greatest(1, ceil(a_all * 0.5)) and a_all > 0),
        min(us) filter (where a_seen >= greatest(1, ceil(a_all * 0.95)) and a_all > 0),
        min(us) filter (where a_seen >= greatest(1, ceil(a_all * 0.99)) and a_all > 0)] as a_us,
      array[min(us) filter (where b_seen >= greatest(1, ceil(b_all * 0.5)) and b_all > 0),
        min(us) filter (where b_seen >= greatest(1, ceil(b_all * 0.95)) and b_all > 0),
        min(us) filter (where b_seen >= greatest(1, ceil(b_all * 0.99)) and b_all > 0)] as b_us,
      sum(a * (us / 1000) ^ 2)::double precision as a_squares, sum(b * (us / 1000) ^ 2)::double precision as b_squares,
      sum(a * us / 1000)::double precision as a_sum, sum(b * us / 1000)::double precision as b_sum,
      -- Mann and Whitney: how often one of b is slower than one of a, ties counting half.
      sum(b * (a_seen - a / 2)) as wins, sum((a + b) ^ 3 - (a + b)) as ties
    from running group by key
  ), tail as (
    -- Of each quantile of both together: how many of either lie above it.
    select key, q, max(a_all) as a_n, max(b_all) as b_n,
      max(a_all) - min(a_seen) filter (where a_seen + b_seen >= ceil((a_all + b_all) * q)) as a_above,
      max(b_all) - min(b_seen) filter (where a_seen + b_seen >= ceil((a_all + b_all) * q)) as b_above
    from running cross join unnest(array[0.5, 0.95, 0.99]) as q group by key, q
  ), stats as (
    select key, telltale.side_stats(x.sums, d.a_n, d.a_us, (sides -> 'a' -> 'seconds')::double precision) as a,
      telltale.side_stats(y.sums, d.b_n, d.b_us, (sides -> 'b' -> 'seconds')::double precision) as b
    from listed
    left join (select * from summed where side = 'a') as x using (key)
    left join (select * from summed where side = 'b') as y using (key)
    left join distribution as d using (key)
  ), test as (
    select key, 'error_rate' as measure, (b ->> 'error_rate')::numeric - (a ->> 'error_rate')::numeric as difference,
      (b ->> 'error_rate')::numeric / nullif((a ->> 'error_rate')::numeric, 0) as ratio,
      telltale.p_of_shares((a ->> 'errors')::numeric, (a ->> 'count')::numeric, (b ->> 'errors')::numeric, (b ->> 'count')::numeric) as p
    from stats
    union all
    select key, name, (b ->> name)::numeric - (a ->> name)::numeric,
      (b ->> name)::numeric / nullif((a ->> name)::numeric, 0), telltale.p_of_shares(a_above, a_n, b_above, b_n)
    from stats join tail using (key)
    cross join lateral (select 'p' || trim_scale(q * 100) || '_ms' as name) as named
    where stats.a ->> name is not null and stats.b ->> name is not null
    union all
    select key, 'mean_ms', (a_b.b - a_b.a)::numeric, (a_b.b / nullif(a_b.a, 0))::numeric, case when a_n >= 30 and b_n >= 30 then
      coalesce(telltale.p_of_z((b_sum / b_n - a_sum / a_n) / nullif(sqrt(
        greatest(0, a_squares - a_sum * a_sum / a_n) / (a_n - 1) / a_n
        + greatest(0, b_squares - b_sum * b_sum / b_n) / (b_n - 1) / b_n), 0)), 1) end
    from stats join distribution using (key)
    cross join lateral (select (a ->> 'mean_ms')::double precision as a, (b ->> 'mean_ms')::double precision as b) as a_b
    where a_n > 0 and b_n > 0
    union all
    select key, 'latency', (2 * wins / (a_n * b_n) - 1), null, case when a_n >= 5 and b_n >= 5 then
      coalesce(telltale.p_of_z((wins - a_n * b_n / 2)::double precision / nullif(sqrt(
        (a_n * b_n / 12 * (a_n + b_n + 1 - ties / ((a_n + b_n) * (a_n + b_n - 1))))::double precision), 0)), 1) end
    from distribution where a_n > 0 and b_n > 0
    union all
    select key, measure, (y.ratio - x.ratio)::numeric, (y.ratio / nullif(x.ratio, 0))::numeric,
      case when least(x.present, y.present) >= 5 then
        coalesce(telltale.p_of_z((y.ratio - x.ratio) / nullif(sqrt(x.error ^ 2 + y.error ^ 2), 0)), 1) end
    from (select * from spread where side = 'a') as x join (select * from spread where side = 'b') as y using (key, measure)
  ), corrected as (
    -- Holm: of so many tests the least p counts times their number, the next times one fewer.
    select *, case when p is not null then max(least(1, p * (made - place + 1))) over (order by place) end as corrected
    from (
      select *, count(p) over () as made, row_number() over (order by p nulls last, key collate "C", measure) as place from test
    ) as ranked
  ), told as (
    select key, max(made) as made, jsonb_object_agg(measure, jsonb_build_object('difference', round(difference, 6),
      'ratio', round(ratio, 6), 'p', round(corrected::numeric, 6), 'differs', corrected < noise)) as changes
    from corrected group by key
  )
  select max(told.made), jsonb_object_agg(s.key, jsonb_build_object('key', coalesce(nullif(substr(s.key,
      strpos(s.key, ':') + 1), ''), s.key), 'a', s.a, 'b', s.b, 'changes', coalesce(told.changes, '{}')))
  into tests, compared
  from stats as s left join told on told.key = s.key;
  return jsonb_build_object('a', (sides -> 'a') - array['filter', 'seconds', 'step'],
    'b', (sides -> 'b') - array['filter', 'seconds', 'step'], 'noise', noise, 'comparisons', coalesce(tests, 0),
    'total', (compared -> 'all') - 'key')
    || (select jsonb_object_agg(kind || 's', (
      select coalesce(jsonb_agg(value order by (value -> 'a' -> 'count')::numeric + (value -> 'b' -> 'count')::numeric desc,
        key collate "C"), '[]')
      from jsonb_each(compared) where starts_with(key, kind || ':')))
      from unnest(array['layer', 'tool', 'provider', 'model', 'call']) as kind);
end
$function$;
grant execute on function telltale.compare(jsonb,jsonb) to authenticated;
grant execute on function telltale.compare(jsonb,jsonb) to service_role;
comment on function telltale.compare(jsonb,jsonb) is '{a, b: {from_us, to_us, source: parts | traces}, noise, comparisons, total: {a: Stats, b: Stats, changes: {measure:
{difference: b - a, ratio: b / a, p, differs}}}, layers, tools, providers, models, calls: [{key: the name, a, b, changes}], 32 each,
the most counted first}. Measures: per_second, error_rate, mean_ms, p50_ms, p95_ms, p99_ms, latency (how much more often one of b
is slower than one of a than the other way round, -1 to 1), tokens_in_per_call, tokens_out_per_call. differs: p is below noise;
null where there is too little to tell. p is how likely chance alone does as much, corrected (Holm) for all comparisons of the
answer. Tests: shares of errors, and of requests above each quantile of both together: two proportions; mean: by the spread of
the histogram; latency: ranks (Mann-Whitney, with ties); rates and tokens: by how they differ between at least 5 steps of time.
A filter is as for overview. Definer, see the file''s head; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.compute_sampling_limits()
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
comment on function telltale.compute_sampling_limits() is 'Computes sampling_limits anew, from the hours. Definer: part of tick_decide_sampling.';

CREATE OR REPLACE FUNCTION telltale.concluded_rows(calls jsonb, process uuid)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(row || telltale.summary_of(row -> 'spans') || jsonb_build_object('trace_id', trace_id)
    order by trace_id collate "C"), '[]')
  from (
    select c.value ->> 'trace_id' as trace_id, jsonb_build_object('spans', jsonb_object_agg(span.id, span.value)) as row
    from jsonb_array_elements(calls) as c
    -- The stored span, where there is one: it knows its parent, and whether it is the entry.
    cross join lateral (
      select c.value ->> 'span_id' as id, coalesce(
        (select t.spans -> (c.value ->> 'span_id') from telltale.trace_days as d
          join telltale.traces as t on t.trace_id = d.trace_id and t.day = d.day
          where d.trace_id = c.value ->> 'trace_id'),
        jsonb_strip_nulls(jsonb_build_object('layer', c.value -> 'layer', 'name', c.value -> 'name',
          'tool', c.value -> 'tool', 'start_us', c.value -> 'start_us', 'process', process))) as value
      union all
      -- Every other span of the same process that is still open there ended with it.
      select s.key, s.value from telltale.trace_days as d
      join telltale.traces as t on t.trace_id = d.trace_id and t.day = d.day
      cross join lateral jsonb_each(t.spans) as s
      where d.trace_id = c.value ->> 'trace_id' and s.key <> c.value ->> 'span_id'
        and s.value ->> 'process' = process::text
    ) as open
    cross join lateral (
      select open.id, open.value || jsonb_build_object('outcome', 'interrupted', 'concluded', true,
        'end_us', greatest((open.value -> 'start_us')::bigint,
          (select telltale.us_of(p.renewed_at) - coalesce(p.clock_offset_us, 0) from telltale.processes as p
            where p.process_id = process))) as value
    ) as span
    where open.value ->> 'end_us' is null
    group by c.value ->> 'trace_id'
  ) as interrupted
$function$;
comment on function telltale.concluded_rows(jsonb,uuid) is 'TraceRows that end what a process ran when it fell silent, at the time of its last sign of life by its own clock. Definer:
part of tick_mark_interrupted.';

CREATE OR REPLACE FUNCTION telltale.counted_where(filter jsonb, since timestamp with time zone, till timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select telltale.traces_where(filter || jsonb_build_object('from', telltale.us_of(since), 'to', telltale.us_of(till)), null)
    || ' and t.duration_ms is not null and not (t.outcome = ''interrupted'' and coalesce(t.sampled ? ''concluded'', false))
      and not (t.outcome = ''interrupted'' and exists (
      select from jsonb_each(t.spans) as s
      where s.value ? ''concluded'' and s.value ->> ''process'' = t.process_id::text
        and (s.value -> ''end_us'')::bigint - (s.value -> ''start_us'')::bigint = round(t.duration_ms * 1000)))'
$function$;
comment on function telltale.counted_where(jsonb,timestamp with time zone,timestamp with time zone) is 'A condition in SQL on a trace t: it began in this stretch of time, the filter finds it, and it counts, which what still runs
and what the tick concluded does not. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.create_key(key_id text, key_hash text, name text)
 RETURNS jsonb
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  insert into telltale.ingest_keys (key_id, key_hash, name)
  values (create_key.key_id, create_key.key_hash, create_key.name)
  returning jsonb_build_object('key_id', key_id, 'name', name, 'created_at', created_at)
$function$;
grant execute on function telltale.create_key(text,text,text) to service_role;
comment on function telltale.create_key(text,text,text) is 'Keeps a new ingest key by its id (12 of [a-z0-9]) and sha256 (64 hex digits). Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.critical_path(trace_id text)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  root_id text;
  all_spans jsonb;
begin
  perform telltale.require_reader();
  root_id := telltale.root_trace_of(lower(critical_path.trace_id));
  all_spans := telltale.joined_spans(root_id);
  if all_spans is null then
    return null;
  end if;
  return (
    with part as materialized (
      select * from telltale.critical_path_of(all_spans)
    ), whole as (
      select nullif(sum(end_us - start_us), 0) as us from part
    ), own as (
      select span_id, sum(end_us - start_us) as us from part group by span_id
    ), self as (
      select s.span_id, s.layer, s.wait, s.self_us, coalesce(o.us, 0) as us
      from telltale.self_times_of(array[all_spans]) as s left join own as o on o.span_id = s.span_id
    )
    select jsonb_build_object('trace_id', root_id, 'start_us', (select min(start_us) from part),
      'end_us', (select max(end_us) from part), 'total_ms', trim_scale(coalesce((select us from whole), 0) / 1000.0),
      'unexplained_ms', trim_scale(coalesce((select us from own where span_id is null), 0) / 1000.0),
      'parts', coalesce((select jsonb_agg(jsonb_build_object('span_id', p.span_id, 'start_us', p.start_us, 'end_us', p.end_us,
        'moved_us', p.moved_us) order by p.part) from part as p), '[]'),
      'spans', coalesce((select jsonb_agg(jsonb_build_object('span_id', s.span_id, 'layer', s.layer,
        'kind', case when s.wait then 'wait' else 'work' end, 'name', all_spans -> s.span_id -> 'name',
        'self_ms', trim_scale(s.self_us / 1000.0), 'path_ms', trim_scale(s.us / 1000.0),
        'share', round(coalesce(s.us / (select us from whole), 0), 6)) order by s.us desc, s.self_us desc, s.span_id collate "C")
        from self as s), '[]'))
  );
end
$function$;
grant execute on function telltale.critical_path(text) to authenticated;
grant execute on function telltale.critical_path(text) to service_role;
comment on function telltale.critical_path(text) is 'The critical path of a trace, null when there is none: {trace_id: of the outermost that it is joined into, start_us, end_us,
total_ms, unexplained_ms of it, parts: [{span_id, start_us, end_us, moved_us}] in order (see critical_path_of), spans: [{span_id,
layer, kind, name, self_ms, path_ms: how much of its self time is on the path, share of the path}] of every ended span, what is
most on the path first}. Definer, see the head of create_trace_reader; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.critical_path_of(spans jsonb)
 RETURNS TABLE(part integer, span_id text, start_us bigint, end_us bigint, moved_us bigint)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  -- Of each span, by its number: children stand together, those that end last first.
  v_ids text[];
  v_starts bigint[];
  v_stops bigint[];
  v_moves bigint[];
  v_ranks bigint[];
  v_firsts bigint[];
  v_lasts bigint[];
  v_roots bigint;
  -- The stretches that are being walked, each within the one before: which span, from where, how far back it got, from which
  -- child on the rest is to be looked at, and which of those looked at began first.
  d integer := 1;
  d_span bigint[];
  d_start bigint[];
  d_stop bigint[];
  d_reached bigint[];
  d_moved bigint[];
  d_next bigint[];
  d_last bigint[];
  d_best bigint[] := array[0];
  d_best_start bigint[] := array[null::bigint];
  v_child bigint;
  v_start bigint;
  v_stop bigint;
  v_end bigint;
  -- The parts, the last first.
  p_span bigint[] := '{}';
  p_start bigint[] := '{}';
  p_stop bigint[] := '{}';
  p_moved bigint[] := '{}';
begin
  with span as materialized (
    select key as id, nullif(value ->> 'parent_span_id', key) as parent_id, value ->> 'process' as process,
      coalesce(value -> 'attributes' -> 'telltale.derived' = 'true', false) as derived,
      (value -> 'start_us')::bigint as start, greatest((value -> 'start_us')::bigint, (value -> 'end_us')::bigint) as stop
    from jsonb_each(spans) where value ->> 'end_us' is not null
  ), seen as (
    select s.*, p.start as outer_start, p.stop as outer_stop,
      s.process is distinct from p.process and s.stop - s.start <= p.stop - p.start as foreign_fit
    from span as s left join span as p on p.id = s.parent_id
    where (s.parent_id is null or not spans ? s.parent_id or p.id is not null)
      and not (s.derived and s.parent_id is not null and spans ? s.parent_id and exists (
        select from span as o where o.parent_id = s.parent_id and o.process <> s.process and not o.derived))
  ), moved as (
    select id, case when spans ? parent_id then parent_id end as parent_id, start, stop,
      case when parent_id is null or not spans ? parent_id or not foreign_fit then 0
        when start < outer_start then outer_start - start
        when stop > outer_stop then outer_stop - stop else 0 end as move
    from seen
  ), numbered as materialized (
    select *, row_number() over (order by parent_id is not null, parent_id collate "C", stop + move desc, id collate "C") as nth,
      row_number() over (order by id collate "C") as rank
    from moved
  ), kin as (
    select parent_id, min(nth) as first, max(nth) as last from numbered where parent_id is not null group by parent_id
  )
  select array_agg(n.id order by n.nth), array_agg(n.start order by n.nth), array_agg(n.stop order by n.nth),
    array_agg(n.move order by n.nth), array_agg(n.rank order by n.nth), array_agg(coalesce(k.first, 1) order by n.nth),
    array_agg(coalesce(k.last, 0) order by n.nth), count(*) filter (where n.parent_id is null)
  into v_ids, v_starts, v_stops, v_moves, v_ranks, v_firsts, v_lasts, v_roots
  from numbered as n left join kin as k on k.parent_id = n.id;
  if coalesce(v_roots, 0) = 0 then
    return;
  end if;
  select array[min(s)], array[max(e)] into d_start, d_stop from unnest(v_starts[1:v_roots], v_stops[1:v_roots]) as r(s, e);
  d_span := array[0];
  d_reached := d_stop;
  d_moved := array[0];
  d_next := array[1];
  d_last := array[v_roots];
  while d > 0 loop
    if d_reached[d] <= d_start[d] then
      d := d - 1;
      continue;
    end if;
    -- Of the children that ended at this moment or later, the one that began first.
    v_end := d_start[d];
    while d_next[d] <= d_last[d] loop
      v_child := d_next[d];
      v_start := greatest(v_starts[v_child] + v_moves[v_child] + d_moved[d], d_start[d]);
      v_stop := least(v_stops[v_child] + v_moves[v_child] + d_moved[d], d_stop[d]);
      if v_start < v_stop then
        if v_stop < d_reached[d] then
          v_end := v_stop;
          exit;
        end if;
        if d_best[d] = 0 or v_start < d_best_start[d]
          or (v_start = d_best_start[d] and v_ranks[v_child] < v_ranks[d_best[d]]) then
          d_best[d] := v_child;
          d_best_start[d] := v_start;
        end if;
      end if;
      d_next[d] := v_child + 1;
    end loop;
    if d_best[d] = 0 or d_best_start[d] >= d_reached[d] then
      -- None ran: the span itself, down to where the next child ended.
      p_span := p_span || d_span[d];
      p_start := p_start || v_end;
      p_stop := p_stop || d_reached[d];
      p_moved := p_moved || d_moved[d];
      d_reached[d] := v_end;
    else
      v_child := d_best[d];
      v_stop := d_reached[d];
      d_reached[d] := d_best_start[d];
      d := d + 1;
      d_span[d] := v_child;
      d_start[d] := d_best_start[d - 1];
      d_stop[d] := v_stop;
      d_reached[d] := v_stop;
      d_moved[d] := d_moved[d - 1] + v_moves[v_child];
      d_next[d] := v_firsts[v_child];
      d_last[d] := v_lasts[v_child];
      d_best[d] := 0;
      d_best_start[d] := null;
    end if;
  end loop;
  return query
    select (cardinality(p_span) - p.nth + 1)::int, n.id, p.start, p.stop, p.moved
    from unnest(p_span, p_start, p_stop, p_moved) with ordinality as p(span, start, stop, moved, nth)
    left join unnest(v_ids) with ordinality as n(id, nth) on n.nth = p.span
    order by p.nth desc;
end
$function$;
grant execute on function telltale.critical_path_of(jsonb) to service_role;
comment on function telltale.critical_path_of(jsonb) is 'The critical path of the spans of a trace, in order and without gaps from the first start to the last end of its ended roots:
from the end back through whatever child ran last, cut to that moment, and where none ran through the span itself; span_id null
where no root ran. Times in µs by the clocks of the roots; moved_us is what was added to the times of the span''s own process.
What still runs, is shadowed or hangs on no root is on no path.';

CREATE OR REPLACE FUNCTION telltale.cursor_of(place jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE STRICT
 SET search_path TO ''
AS $function$ select translate(encode(convert_to(place::text, 'UTF8'), 'base64'), E'+/=\n', '-_') $function$;
grant execute on function telltale.cursor_of(jsonb) to authenticated;
grant execute on function telltale.cursor_of(jsonb) to service_role;
comment on function telltale.cursor_of(jsonb) is 'A place in a list as opaque text that fits into a URL.';

CREATE OR REPLACE FUNCTION telltale.cut_text(text text, bytes_max integer)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$
  select case when octet_length(text) <= bytes_max then text else (
    -- No further than to the end of a character: the byte behind it does not continue one.
    select convert_from(substring(bytes from 1 for max(n)), 'UTF8')
    from generate_series(bytes_max - 3, bytes_max) as n
    where get_byte(bytes, n) & 192 <> 128
    group by bytes)
  end
  from convert_to(text, 'UTF8') as bytes
$function$;
grant execute on function telltale.cut_text(text,integer) to authenticated;
grant execute on function telltale.cut_text(text,integer) to service_role;
comment on function telltale.cut_text(text,integer) is 'The text, or as many of its first characters as fit into so many bytes (at least 4).';

CREATE OR REPLACE FUNCTION telltale.day_of(us bigint)
 RETURNS date
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN ('1970-01-01'::date + (floor(((us)::double precision / (86400000000.0)::double precision)))::integer);
grant execute on function telltale.day_of(bigint) to authenticated;
grant execute on function telltale.day_of(bigint) to service_role;
comment on function telltale.day_of(bigint) is 'The UTC day of an instant in µs since the epoch.';

CREATE OR REPLACE FUNCTION telltale.days_missing(batch jsonb)
 RETURNS date[]
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
begin
  return (
    select array_agg(day order by day)
    from (
      select coalesce((select d.day from telltale.trace_days as d where d.trace_id = t.value ->> 'trace_id'),
        telltale.day_of((t.value -> 'started_at_us')::bigint)) as day
      from jsonb_array_elements(batch -> 'traces') as t
      union
      select telltale.day_of((r.value -> 'at_us')::bigint)
      from (values ('errors'), ('messages'), ('gauges')) as kind(name)
      cross join lateral jsonb_array_elements(batch -> kind.name) as r
      union
      select telltale.day_of((p.value -> 'minute')::bigint * 1000000) from jsonb_array_elements(batch -> 'parts') as p
    ) as wanted
    where not exists (select from telltale.partition_days as made where made.day = wanted.day)
  );
end
$function$;
comment on function telltale.days_missing(jsonb) is 'The UTC days of BatchRows that have no partitions yet, null when all have. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.deliveries(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.deliveries(jsonb,text,integer) to authenticated;
grant execute on function telltale.deliveries(jsonb,text,integer) to service_role;
comment on function telltale.deliveries(jsonb,text,integer) is 'What was told to whom, the newest first: {rows: [{notification_id, alert_id, destination, kind, event, title, state, attempts,
status, error, created_us, last_us, next_us}], next}. Filter: state, event, alert_id, destination, notification_id (each a string or
an array). n is 1 to 1000. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.destination_row(d telltale.alert_destinations)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select jsonb_build_object('destination_id', d.destination_id, 'name', d.name, 'kind', d.kind,
    'url', telltale.masked_url(d.url), 'severity', d.severity, 'to', coalesce(d.detail -> 'to', '[]'),
    'created_us', telltale.us_of(d.created_at))
$function$;
comment on function telltale.destination_row(telltale.alert_destinations) is 'A destination without its secrets: of its address the host alone. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.destinations()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform telltale.require_reader();
  return (select coalesce(jsonb_agg(telltale.destination_row(d) order by d.name), '[]')
    from telltale.alert_destinations as d where d.removed_at is null);
end
$function$;
grant execute on function telltale.destinations() to authenticated;
grant execute on function telltale.destinations() to service_role;
comment on function telltale.destinations() is '[{destination_id, name, kind, url: of it the host alone, severity, to, created_us}]. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.detector_anomaly(a telltale.anomalies)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select jsonb_build_object('anomaly_id', a.anomaly_id, 'series_key', a.series_key, 'metric', a.metric, 'score', a.score,
    'expected', a.expected, 'seen', a.seen, 'started_at', extract(epoch from a.started_at)::double precision,
    'last_at', extract(epoch from a.last_at)::double precision,
    'ended_at', extract(epoch from a.ended_at)::double precision, 'incident_id', a.incident_id, 'place', a.place)
$function$;
grant execute on function telltale.detector_anomaly(telltale.anomalies) to service_role;
comment on function telltale.detector_anomaly(telltale.anomalies) is 'An anomaly as the detector takes and gives it; times are s since the epoch.';

CREATE OR REPLACE FUNCTION telltale.detector_cells(service text, environment text, since timestamp with time zone, till timestamp with time zone)
 RETURNS TABLE(series_key text, at bigint, count bigint, errors bigint, p95_ms double precision)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
begin
  return query
  with cell as materialized (
    select c.key, m.minute, (c.value -> 'count')::bigint as count, (c.value -> 'errors')::bigint as errors,
      c.value -> 'latency' as latency
    from telltale.sources as s
    join telltale.rollup_minutes as m on m.source_id = s.source_id
    cross join lateral jsonb_each(m.series) as c
    where s.service = detector_cells.service and s.environment = detector_cells.environment
      and m.minute >= since and m.minute < till
      and m.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
      and (c.key = 'all' or split_part(c.key, ':', 1) in ('layer', 'tool', 'provider', 'call'))
  ), counted as (
    select key, minute, sum(count)::bigint as count, sum(errors)::bigint as errors, sum((latency -> 'z')::bigint) as zeros
    from cell group by key, minute
  ), bucket as (
    select cell.key, cell.minute, b.key::int as index, sum(b.value::bigint) as n
    from cell cross join lateral jsonb_each(cell.latency -> 'b') as b
    group by 1, 2, 3
  ), running as (
    select b.key, b.minute, b.index, c.zeros + sum(b.n) over (partition by b.key, b.minute order by b.index) as seen,
      c.zeros + sum(b.n) over (partition by b.key, b.minute) as total
    from bucket as b join counted as c on c.key = b.key and c.minute = b.minute
  ), ranked as (
    -- The least that one call alone cannot make: of few calls the greatest is not looked at.
    select r.key, r.minute, min(r.index) as index
    from running as r
    where r.seen >= greatest(1, least(ceil(0.95 * r.total), r.total - 1 - floor(r.total / 40)))
    group by r.key, r.minute
  )
  select c.key, extract(epoch from c.minute)::bigint, c.count, c.errors,
    power(2::double precision, (r.index + 0.5::double precision) / 32) / 1000
  from counted as c left join ranked as r on r.key = c.key and r.minute = c.minute;
end
$function$;
comment on function telltale.detector_cells(text,text,timestamp with time zone,timestamp with time zone) is 'The minutes [since, till) of the series that are watched: start (s since the epoch), calls, failures, and their p95 in ms,
which of less than 40 calls is at most the second greatest. Definer: part of detector_work.';

CREATE OR REPLACE FUNCTION telltale.detector_gauges(service text, environment text, since timestamp with time zone, till timestamp with time zone)
 RETURNS TABLE(series_key text, at bigint, value double precision)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
begin
  return query
  select left('gauge:' || g.name || case when g.labels - 'instance' = '{}' then '' else (g.labels - 'instance')::text end
      || '@' || coalesce(g.labels ->> 'instance', s.instance), 1000),
    (floor(extract(epoch from g.at) / 60) * 60)::bigint, avg(g.value)
  from telltale.gauges as g
  join telltale.processes as p on p.process_id = g.process_id
  join telltale.sources as s on s.source_id = p.source_id
  where s.service = detector_gauges.service and s.environment = detector_gauges.environment
    and g.at >= since and g.at < till
    and g.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
    and g.value between -1e300 and 1e300
  group by 1, 2;
end
$function$;
comment on function telltale.detector_gauges(text,text,timestamp with time zone,timestamp with time zone) is 'The mean of each gauge''s samples in each minute of [since, till), by name, labels and instance. Definer: part of
detector_work.';

CREATE OR REPLACE FUNCTION telltale.detector_next()
 RETURNS telltale.detectors
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
#variable_conflict use_column
declare
  v_now timestamptz := telltale.clock();
  v_next telltale.detectors;
begin
  insert into telltale.detectors (service, environment, committed_to, looked_at)
  select s.service, s.environment,
    coalesce((select min(m.minute) from telltale.rollup_minutes as m where m.source_id = any (array_agg(s.source_id))
      and m.minute >= date_trunc('minute', v_now - interval '1 day')
      and m.day between ((v_now - interval '1 day') at time zone 'UTC')::date and (v_now at time zone 'UTC')::date),
      date_trunc('minute', v_now - interval '10 minutes')), '-infinity'
  from telltale.sources as s
  where not exists (select from telltale.detectors as d where d.service = s.service and d.environment = s.environment)
    and exists (select from telltale.processes as p
      where p.source_id = s.source_id and p.last_seen_at > v_now - interval '1 day')
  group by s.service, s.environment
  order by s.service, s.environment
  on conflict (service, environment) do nothing;
  select d.* into v_next from telltale.detectors as d
  where telltale.is_detector_due(d)
  order by d.looked_at, d.service, d.environment
  limit 1 for no key update of d skip locked;
  if not found then
    return null;
  end if;
  -- Whatever becomes of this look, the others come first then.
  update telltale.detectors as d set looked_at = v_now
  where d.service = v_next.service and d.environment = v_next.environment;
  return v_next;
end
$function$;
comment on function telltale.detector_next() is 'The detector that is due and looked longest ago; one is made for whoever sent something in the last
day. Null: none is due. Definer: part of detector_work.';

CREATE OR REPLACE FUNCTION telltale.detector_work()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_now timestamptz := telltale.clock();
  v_minute timestamptz := date_trunc('minute', v_now);
  v_next telltale.detectors := telltale.detector_next();
  v_from timestamptz;
  v_to timestamptz;
  v_learned jsonb := '[]';
  v_looked jsonb := '[]';
  v_series jsonb;
begin
  if v_next.service is null then
    return null;
  end if;
  v_from := greatest(v_next.committed_to, date_trunc('minute', v_now - interval '1 day'));
  v_to := least(v_from + interval '60 minutes', date_trunc('minute', v_now - interval '120 seconds'));
  if v_to >= v_from + interval '300 seconds' then
    with point as (
      select c.series_key, c.at, jsonb_build_array(c.at, c.count, c.errors, c.p95_ms) as values, c.count as weight
      from telltale.detector_cells(v_next.service, v_next.environment, v_from, v_to) as c
      union all
      select g.series_key, g.at, jsonb_build_array(g.at, g.value), 1
      from telltale.detector_gauges(v_next.service, v_next.environment, v_from, v_to) as g
    ), listed as (
      select p.series_key, jsonb_agg(p.values order by p.at) as points, sum(p.weight) as weight,
        exists (select from telltale.detector_series as d where d.service = v_next.service
          and d.environment = v_next.environment and d.series_key = p.series_key) as known
      from point as p group by p.series_key
    ), ranked as (
      select l.*, row_number() over (partition by starts_with(l.series_key, 'gauge:')
        order by l.known desc, l.weight desc, l.series_key) as place
      from listed as l
    )
    select coalesce(jsonb_agg(jsonb_build_array(series_key, points) order by place, series_key), '[]')
    into v_learned from ranked
    where place <= case when starts_with(series_key, 'gauge:') then 60 else 180 end;
  else
    v_to := null;
  end if;
  -- A detector that is behind does not know yet what is usual.
  if coalesce(v_to, v_from) >= v_minute - interval '720 seconds' then
    select coalesce(jsonb_agg(jsonb_build_array(series_key, points) order by series_key), '[]') into v_looked
    from (
      select c.series_key, jsonb_agg(jsonb_build_array(c.at, c.count, c.errors, c.p95_ms) order by c.at) as points
      from telltale.detector_cells(v_next.service, v_next.environment,
        greatest(coalesce(v_to, v_from), v_minute - interval '1 minute'), v_minute + interval '1 minute') as c
      group by c.series_key
    ) as looked;
  end if;
  with open as (
    select a.* from telltale.anomalies as a
    where a.service = v_next.service and a.environment = v_next.environment and a.ended_at is null
  ), suspect as (
    select l.value ->> 0 as series_key, max((p.value ->> 3)::double precision) as p95_ms,
      max((p.value ->> 2)::double precision / greatest(1, (p.value ->> 1)::double precision)) as error_rate
    from jsonb_array_elements(v_looked) as l cross join lateral jsonb_array_elements(l.value -> 1) as p
    group by 1
  ), needed as (
    select d.series_key, d.metric, d.state, d.anomaly_id
    from telltale.detector_series as d
    left join suspect as s on s.series_key = d.series_key
    where d.service = v_next.service and d.environment = v_next.environment
      and ((v_to is not null and (d.metric = 'throughput' or d.series_key in (select l.value ->> 0
          from jsonb_array_elements(v_learned) as l)))
        or d.look_above < case d.metric when 'p95_ms' then s.p95_ms when 'error_rate' then s.error_rate end
        or exists (select from open as o where o.series_key = d.series_key and o.metric = d.metric))
    union all
    select o.series_key, o.metric, null, o.anomaly_id from open as o
    where not exists (select from telltale.detector_series as d where d.service = o.service
      and d.environment = o.environment and d.series_key = o.series_key and d.metric = o.metric)
  )
  select coalesce(jsonb_agg(jsonb_build_object('series_key', n.series_key, 'metric', n.metric, 'state', n.state,
    'anomaly', (select telltale.detector_anomaly(a) from telltale.anomalies as a
      where a.anomaly_id = coalesce((select o.anomaly_id from open as o
        where o.series_key = n.series_key and o.metric = n.metric), n.anomaly_id)))
    order by n.series_key, n.metric), '[]')
  into v_series from needed as n;
  return jsonb_build_object('service', v_next.service, 'environment', v_next.environment, 'revision', v_next.revision,
    'from', extract(epoch from v_from)::bigint, 'to', extract(epoch from v_to)::bigint,
    'now', extract(epoch from v_now)::double precision, 'learn', v_learned, 'look', v_looked, 'series', v_series,
    'more', coalesce(v_to, v_from) < v_minute - interval '720 seconds' or exists (select from telltale.detectors as d
      where (d.service, d.environment) <> (v_next.service, v_next.environment) and telltale.is_detector_due(d)),
    'known', (select jsonb_build_object('calls', count(*) filter (where d.metric <> 'gauge'),
        'gauges', count(*) filter (where d.metric = 'gauge'))
      from telltale.detector_series as d where d.service = v_next.service and d.environment = v_next.environment),
    'recent', (select coalesce(jsonb_agg(telltale.detector_anomaly(a)), '[]') from (
      select m.* from telltale.anomalies as m
      where m.incident_id in (
        select i.incident_id from telltale.incidents as i
        where i.service = v_next.service and i.environment = v_next.environment
          and (i.ended_at is null or i.ended_at >= v_from - interval '180 seconds'))
      order by m.started_at desc, m.anomaly_id limit 500) as a));
end
$function$;
grant execute on function telltale.detector_work() to service_role;
comment on function telltale.detector_work() is 'What the detector of one service and environment has to look at, null where none is due: {service, environment, revision,
from, to: the minutes to learn, to null: none yet, now, more: whether another is due, learn, look: [[series key, [[at, calls, failures, p95 in ms] or
[at, gauge]]]], series: [{series_key, metric, state, anomaly}] that need one, known: {calls, gauges}: how many there are, recent: anomalies
of incidents that last or ended just now}. At most an hour of 180 series and 60 gauges is learned at once, those known and the
busiest first; minutes that ended less than 120 s ago are not learned, and 300 s of them at once, since states are large. Times are
s since the epoch. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.does_work_wait()
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  return exists (select from telltale.hours_due)
    or exists (select from telltale.rollup_minutes as m
      where m.batch_id is not null and m.minute < telltale.clock() - interval '2 minutes'
        and m.day > telltale.today() - 31)
    or not exists (select from telltale.partition_days as d where d.day = telltale.today() + 2)
    or exists (select from telltale.processes as p where p.running_total > 0 and not telltale.is_alive(p))
    -- What measures, looks and forgets by itself has a turn when nothing else does.
    or (select claimed_at < telltale.clock() - interval '10 minutes' from telltale.tick_lease);
end
$function$;
grant execute on function telltale.does_work_wait() to service_role;
comment on function telltale.does_work_wait() is 'Whether a tick would find something to do: minutes to sum up, hours to compute, days to make, calls of the silent to end; or
there was none for ten minutes. Definer: it tells no more than this.';

CREATE OR REPLACE FUNCTION telltale.drop_partitions(before date)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '500ms'
AS $function$
declare
  old date;
  parent text;
begin
  if before is null or before > telltale.today() - 30 then
    raise exception 'Cannot drop partitions: those before % are not all older than 30 days', before
      using errcode = '22023';
  end if;
  select day into old from telltale.partition_days where day < before order by day limit 1;
  if not found then
    return 0;
  end if;
  perform pg_advisory_xact_lock(8467125001);
  -- The same order in which ingest_batch takes them. Whoever then looks at partition_days sees what is true.
  lock table telltale.traces, telltale.errors, telltale.messages, telltale.gauges, telltale.rollup_minutes
    in access exclusive mode;
  delete from telltale.partition_days where day = old;
  if not found then
    return 0;
  end if;
  delete from telltale.trace_days where day <= old;
  foreach parent in array array['traces', 'errors', 'messages', 'gauges', 'rollup_minutes'] loop
    execute format('drop table telltale.%I', parent || to_char(old, '_YYYYMMDD'));
  end loop;
  return 1;
end
$function$;
comment on function telltale.drop_partitions(date) is 'Drops the partitions of the oldest UTC day before `before`, which is at least 30 days back, if there is one; how many days
it dropped. Raises 55P03 when it does not get its locks in half a second. Definer: only the owner may drop.';

CREATE OR REPLACE FUNCTION telltale.due_sums(n integer)
 RETURNS TABLE(root text, members text[], cut boolean)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
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
$function$;
comment on function telltale.due_sums(integer) is 'The outermost traces of up to n joins of which a side has changed since they were summed up, with all that is joined into them.
Definer: part of tick_join_traces.';

CREATE OR REPLACE FUNCTION telltale.end_silence(silence_id uuid)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform telltale.require_reader();
  delete from telltale.alert_silences as s where s.silence_id = end_silence.silence_id;
  if not found then
    return false;
  end if;
  update telltale.alert_state set revision = revision + 1;
  return true;
end
$function$;
grant execute on function telltale.end_silence(uuid) to authenticated;
grant execute on function telltale.end_silence(uuid) to service_role;
comment on function telltale.end_silence(uuid) is 'Ends a silence at once; false when there is none. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.ended_spans(trace_ids text[])
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
  select coalesce(jsonb_object_agg(t.trace_id, (
    select coalesce(jsonb_agg(s.key), '[]') from jsonb_each(t.spans) as s where s.value ->> 'end_us' is not null)), '{}')
  from unnest(trace_ids) as wanted(trace_id)
  -- offset 0: each is looked up by its key, where a join would read all that are there.
  cross join lateral (select d.day from telltale.trace_days as d where d.trace_id = wanted.trace_id offset 0) as d
  cross join lateral (
    select t.trace_id, t.spans from telltale.traces as t where t.trace_id = wanted.trace_id and t.day = d.day offset 0) as t
$function$;
grant execute on function telltale.ended_spans(text[]) to service_role;
comment on function telltale.ended_spans(text[]) is 'Of those of the traces that are stored, the ids of their spans that have ended: {trace_id: [span_id]}. Definer: tables have
no read grants for it; the edge, which asks, is service_role.';

CREATE OR REPLACE FUNCTION telltale.error_counts(fingerprint text, filter jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  till timestamptz := coalesce(telltale.instant_of(filter, 'to'), telltale.clock());
  since timestamptz := coalesce(telltale.instant_of(filter, 'from'), till - interval '1 day');
  step integer;
  first bigint;
  points integer;
  counted jsonb;
begin
  -- Errors are kept for 30 days, and some come from a clock that is a day ahead.
  since := greatest(since, (telltale.today() - 30)::timestamp at time zone 'UTC');
  till := greatest(since, least(till, telltale.clock() + interval '2 days'));
  step := telltale.error_step(till - since);
  first := floor(extract(epoch from since) / step);
  points := ceil(extract(epoch from till) / step) - first;
  execute format(
    'select jsonb_object_agg(place, n) from (
      select floor(extract(epoch from t.at) / %s)::bigint - %s as place, count(*) as n from telltale.errors as t
      where t.fingerprint = %L and t.at >= %L and t.at < %L and t.day between %L and %L %s
      group by 1) as counted', step, first, fingerprint, since, till, (since at time zone 'UTC')::date,
    (till at time zone 'UTC')::date, telltale.processes_where(filter)) into counted;
  return jsonb_build_object('from_us', first * step * 1000000, 'step_s', step, 'values', (
    select coalesce(jsonb_agg(coalesce((counted -> place::text)::bigint, 0) order by place), '[]')
    from generate_series(0, points - 1) as place));
end
$function$;
comment on function telltale.error_counts(text,jsonb) is 'How many errors of a group happened from `from` (a day before `to`, unless given) to `to` (now) of a filter, in its
environment and service: {from_us, step_s, values: at most 49 numbers of a whole step each}, of the errors that are kept.
Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.error_group(fingerprint text, filter jsonb DEFAULT '{}'::jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  group_row jsonb;
  since timestamptz;
  till timestamptz;
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to']);
  -- The row tells of all times; only what is counted is of the time asked for.
  group_row := telltale.error_groups(jsonb_build_object('fingerprint', fingerprint), null, 1) -> 'rows' -> 0;
  if group_row is null or fingerprint is null then
    return null;
  end if;
  till := coalesce(telltale.instant_of(filter, 'to'), telltale.clock() + interval '2 days');
  since := greatest(coalesce(telltale.instant_of(filter, 'from'), '-infinity'),
    (telltale.today() - 30)::timestamp at time zone 'UTC');
  return group_row || jsonb_build_object('counts', telltale.error_counts(fingerprint, filter),
    'versions', telltale.error_versions(fingerprint, since, till), 'touched', telltale.error_touched(fingerprint, since, till));
end
$function$;
grant execute on function telltale.error_group(text,jsonb) to authenticated;
grant execute on function telltale.error_group(text,jsonb) to service_role;
comment on function telltale.error_group(text,jsonb) is 'One error group, null when there is none: as a row of error_groups() with counts of the time asked for, and versions
(error_versions) and touched (error_touched) of the errors that are kept of it. Filter: from, to (ISO 8601 or µs). Definer,
see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.error_group_changes(since timestamp with time zone)
 RETURNS TABLE(fingerprint text, service text, environment text, change text, at timestamp with time zone, error_type text, message text, trace_id text, happened_at timestamp with time zone, version text)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  perform telltale.require_reader();
  return query
    select fresh.fingerprint, fresh.service, fresh.environment, 'new', fresh.noticed_at, fresh.sample ->> 'error_type',
      fresh.sample ->> 'message', fresh.sample ->> 'trace_id', fresh.first_seen_at, fresh.first_version
    from (
      select distinct on (g.fingerprint, s.service, s.environment) g.*, s.service, s.environment
      from telltale.error_groups as g join telltale.sources as s on s.source_id = g.source_id
      where g.noticed_at > error_group_changes.since
      order by g.fingerprint, s.service, s.environment, g.noticed_at, g.source_id
    ) as fresh
    where not exists (
      select from telltale.error_groups as g join telltale.sources as s on s.source_id = g.source_id
      where g.fingerprint = fresh.fingerprint and s.service = fresh.service and s.environment = fresh.environment
        and g.noticed_at <= error_group_changes.since)
    union all
    select t.fingerprint, coalesce(t.reopened_by ->> 'service', last.service),
      coalesce(t.reopened_by ->> 'environment', last.environment), 'regressed', t.reopened_at,
      coalesce(t.reopened_by, last.sample) ->> 'error_type', coalesce(t.reopened_by, last.sample) ->> 'message',
      coalesce(t.reopened_by, last.sample) ->> 'trace_id',
      coalesce(telltale.at_of((t.reopened_by -> 'at_us')::bigint), last.last_seen_at),
      case when t.reopened_by is null then last.last_version else t.reopened_by ->> 'version' end
    from telltale.error_group_states as t
    left join lateral (
      select g.*, s.service, s.environment
      from telltale.error_groups as g join telltale.sources as s on s.source_id = g.source_id
      where g.fingerprint = t.fingerprint order by g.last_seen_at desc, g.source_id limit 1
    ) as last on true
    where t.reopened_at > error_group_changes.since;
end
$function$;
grant execute on function telltale.error_group_changes(timestamp with time zone) to authenticated;
grant execute on function telltale.error_group_changes(timestamp with time zone) to service_role;
comment on function telltale.error_group_changes(timestamp with time zone) is 'What errors did since an instant, in no order: change is `new` (the first error of its kind from a service and environment)
or `regressed` (an error spoke against resolved or ignored). `at` is when it was stored, by this clock: a reader that goes
on from the greatest `at` it saw misses nothing but what was still being committed then, so it looks back a minute and
knows a change by (fingerprint, service, environment, change, at). happened_at is the reporter''s time of that error, which
of an import may be weeks ago; version the service''s. Definer behind a first line that refuses non-members.';

CREATE OR REPLACE FUNCTION telltale.error_groups(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
 SET jit TO 'off'
AS $function$
declare
  size integer;
  place jsonb;
  since timestamptz;
  till timestamptz;
  words tsquery;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'fingerprint', 'error_type', 'environment', 'service', 'text',
    'state']);
  place := telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^v[0-9]+:"}');
  since := telltale.instant_of(filter, 'from');
  till := telltale.instant_of(filter, 'to');
  words := telltale.query_of(filter ->> 'text');
  execute format(
    'with grouped as (
      select g.fingerprint, min(g.first_seen_at) as first_seen_at, max(g.last_seen_at) as last_seen_at,
        sum(g.count) as count, (array_agg(g.sample order by g.last_seen_at desc, g.sample::text collate "C" desc))[1] as sample,
        jsonb_agg(distinct s.service) as services, jsonb_agg(distinct s.environment) as environments,
        (array_agg(g.first_version order by g.first_seen_at, g.first_version collate "C"))[1] as first_version,
        (array_agg(g.last_version order by g.last_seen_at desc, g.last_version collate "C" desc nulls last))[1] as last_version
      from telltale.error_groups as g join telltale.sources as s on s.source_id = g.source_id
      where true %s
      group by g.fingerprint
    ), page as (
      select grouped.*, said, telltale.state_of(said) as state
      from grouped left join telltale.error_group_states as said using (fingerprint)
      where ($1 is null or last_seen_at >= $1) and ($2 is null or first_seen_at < $2)
        and ($3 is null or telltale.words_of(sample ->> ''error_type'', sample ->> ''message'', sample ->> ''culprit'') @@ $3)
        and ($4 is null or (last_seen_at, fingerprint) < (telltale.at_of(($4 ->> ''us'')::bigint), $4 ->> ''id'')) %s
      order by last_seen_at desc, fingerprint desc limit $5
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(jsonb_build_object(
        ''fingerprint'', fingerprint, ''error_type'', sample -> ''error_type'', ''message'', sample -> ''message'',
        ''culprit'', sample -> ''culprit'', ''error_id'', sample -> ''error_id'', ''trace_id'', sample -> ''trace_id'',
        ''first_seen_at'', first_seen_at, ''last_seen_at'', last_seen_at, ''count'', count,
        ''services'', services, ''environments'', environments, ''first_version'', first_version,
        ''last_version'', last_version, ''state'', state, ''decision'', telltale.state_row(said),
        ''counts'', telltale.error_counts(fingerprint, $6)) order by last_seen_at desc, fingerprint desc), ''[]''),
      ''next'', case when count(*) = $5 then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(last_seen_at)), ''id'',
        (array_agg(fingerprint order by last_seen_at, fingerprint))[1])) end)
    from page',
    telltale.matching(filter, 'environment', 's.environment') || telltale.matching(filter, 'service', 's.service')
      || telltale.matching(filter, 'fingerprint', 'g.fingerprint'),
    telltale.matching(filter, 'error_type', 'sample ->> ''error_type''')
      || telltale.matching(filter, 'state', 'telltale.state_of(said)'))
  using since, till, words, place, size, filter into answer;
  return answer;
end
$function$;
grant execute on function telltale.error_groups(jsonb,text,integer) to authenticated;
grant execute on function telltale.error_groups(jsonb,text,integer) to service_role;
comment on function telltale.error_groups(jsonb,text,integer) is 'Errors by what they have in common, the last seen first: {rows: [{fingerprint, error_type, message, culprit, error_id,
trace_id (of the last one), first_seen_at, last_seen_at, count, services, environments, first_version, last_version, state
(open, resolved or ignored), decision (what was said, see error_group_states; null where nothing was), counts (of the time
asked for, see error_counts)}], next}. Filter: from, to (seen in between; ISO 8601 or µs), fingerprint, error_type,
environment, service, state (each a string or an array), text. n is 1 to 1000. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.error_row(e telltale.errors)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
  select to_jsonb(e) - 'day' || jsonb_build_object('at_us', telltale.us_of(e.at), 'service', s.service,
    'environment', s.environment, 'instance', s.instance)
  from (select) as one
  left join telltale.processes as p on p.process_id = e.process_id
  left join telltale.sources as s on s.source_id = p.source_id
$function$;
comment on function telltale.error_row(telltale.errors) is 'An error as the readers answer it; at is ISO 8601 in UTC, at_us µs since the epoch. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.error_step(stretch interval)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$
  select min(s) from unnest(array[30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400, 864000]) as s
  where s = 864000 or extract(epoch from stretch) <= 48 * s
$function$;
grant execute on function telltale.error_step(interval) to authenticated;
grant execute on function telltale.error_step(interval) to service_role;
comment on function telltale.error_step(interval) is 'The width of a count in s, so that 48 of them reach over the stretch.';

CREATE OR REPLACE FUNCTION telltale.error_touched(fingerprint text, since timestamp with time zone, till timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return (
    with latest as (
      select e.trace_id, e.at from telltale.errors as e
      where e.fingerprint = error_touched.fingerprint and e.at >= since and e.at < till
        and e.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
      order by e.at desc, e.error_id desc limit 1000
    ), touched as (
      select l.trace_id, l.at, t.tool, t.session_key
      from latest as l
      join telltale.trace_days as d on d.trace_id = l.trace_id
      join telltale.traces as t on t.trace_id = d.trace_id and t.day = d.day
    ), tools as (
      select tool as name, count(distinct trace_id) as n, max(at) as last_at from touched where tool is not null group by 1
    ), sessions as (
      select session_key as name, count(distinct trace_id) as n, max(at) as last_at
      from touched where session_key is not null group by 1
    )
    select jsonb_build_object('errors', (select count(*) from latest),
      'requests', (select count(distinct trace_id) from latest),
      'tools', jsonb_build_object('total', (select count(*) from tools), 'rows', (
        select coalesce(jsonb_agg(jsonb_build_object('name', name, 'requests', n, 'last_us', telltale.us_of(last_at))
          order by n desc, name collate "C"), '[]')
        from (select * from tools order by n desc, name collate "C" limit 10) as most)),
      'sessions', jsonb_build_object('total', (select count(*) from sessions), 'rows', (
        select coalesce(jsonb_agg(jsonb_build_object('name', name, 'requests', n, 'last_us', telltale.us_of(last_at))
          order by last_at desc, name collate "C"), '[]')
        from (select * from sessions order by last_at desc, name collate "C" limit 10) as last)))
  );
end
$function$;
comment on function telltale.error_touched(text,timestamp with time zone,timestamp with time zone) is 'Whom the latest 1,000 errors of a group touched: {errors (how many were looked at), requests, tools: {total, rows: the ten
with the most requests, {name, requests, last_us}}, sessions: the same, the ten seen last}. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.error_versions(fingerprint text, since timestamp with time zone, till timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return (
    with made as (
      select e.process_id, count(*) as n, min(e.at) as first_at, max(e.at) as last_at
      from telltale.errors as e
      where e.fingerprint = error_versions.fingerprint and e.at >= since and e.at < till
        and e.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
      group by 1
    ), versions as (
      select p.version, s.service, sum(made.n) as n, min(made.first_at) as first_at, max(made.last_at) as last_at
      from made
      join telltale.processes as p on p.process_id = made.process_id
      join telltale.sources as s on s.source_id = p.source_id
      group by 1, 2
    )
    select jsonb_build_object('total', count(*), 'rows', coalesce(jsonb_agg(jsonb_build_object('version', version,
      'service', service, 'count', n, 'first_us', telltale.us_of(first_at), 'last_us', telltale.us_of(last_at))
      order by last_at desc, version collate "C", service) filter (where place <= 10), '[]'))
    from (
      select *, row_number() over (order by last_at desc, version collate "C", service) as place from versions
    ) as ranked
  );
end
$function$;
comment on function telltale.error_versions(text,timestamp with time zone,timestamp with time zone) is 'The services and versions that a group''s errors came from, the last seen first: {total, rows: ten of {version (null where
none was told), service, count, first_us, last_us}}. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.errors(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  size integer;
  place jsonb;
  since timestamptz;
  till timestamptz;
  words tsquery;
  condition text := 'true';
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'fingerprint', 'error_type', 'trace_id', 'connection_type',
    'environment', 'service', 'text']);
  place := telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}');
  since := telltale.instant_of(filter, 'from');
  till := telltale.instant_of(filter, 'to');
  words := telltale.query_of(filter ->> 'text');
  if since is not null then
    condition := condition || format(' and t.at >= %L and t.day >= %L', since, (since at time zone 'UTC')::date);
  end if;
  if till is not null then
    condition := condition || format(' and t.at < %L and t.day <= %L', till, (till at time zone 'UTC')::date);
  end if;
  condition := condition || telltale.matching(filter, 'fingerprint', 't.fingerprint')
    || telltale.matching(filter, 'error_type', 't.error_type')
    || telltale.matching(filter, 'trace_id', 't.trace_id')
    || telltale.matching(filter, 'connection_type', 't.connection_type')
    || telltale.processes_where(filter);
  if words is not null then
    condition := condition || format(' and telltale.words_of(t.error_type, t.message, t.culprit) @@ %L', words);
  end if;
  if place is not null then
    condition := condition || format(' and (t.at, t.error_id) < (%L, %L::uuid) and t.day <= %L',
      telltale.at_of((place ->> 'us')::bigint), place ->> 'id', telltale.day_of((place ->> 'us')::bigint));
  end if;
  execute format(
    'with page as (
      select t as row, t.at, t.error_id from telltale.errors as t where %s order by t.at desc, t.error_id desc limit %s
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(telltale.error_row(page.row) order by at desc, error_id desc), ''[]''),
      ''next'', case when count(*) = %s then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(at)), ''id'', (array_agg(error_id order by at, error_id))[1])) end)
    from page', condition, size, size) into answer;
  return answer;
end
$function$;
grant execute on function telltale.errors(jsonb,text,integer) to authenticated;
grant execute on function telltale.errors(jsonb,text,integer) to service_role;
comment on function telltale.errors(jsonb,text,integer) is 'Errors, newest first: {rows, next}. Filter: from, to (ISO 8601 or µs), fingerprint, error_type, trace_id, connection_type,
environment, service (each a string or an array), text. n is 1 to 1000. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.exemplars_of(wanted text, subject text, service text, environment text, since timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
comment on function telltale.exemplars_of(text,text,text,text,timestamp with time zone) is 'Five trace ids that stand for a series since then: the slow ones, the slowest first, or the failed ones, the latest first.
Definer: part of store_alert_outcome.';

CREATE OR REPLACE FUNCTION telltale.export_page(kind text, filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
 SET jit TO 'off'
AS $function$
declare
  size integer;
  place jsonb;
  since timestamptz;
  till timestamptz;
  after timestamptz;
  condition text := 'true';
  id text;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  if coalesce(kind, '') not in ('traces', 'errors', 'messages', 'gauges') then
    raise exception 'Cannot read page: kind is %', to_json(left(kind, 100))
      using errcode = '22023', hint = 'One of traces, errors, messages and gauges.';
  end if;
  if kind = 'traces' then
    perform telltale.check_filter(filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
      'min_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
    condition := telltale.traces_where(filter, null);
  else
    perform telltale.check_filter(filter, array['from', 'to', 'environment', 'service']);
    since := telltale.instant_of(filter, 'from');
    till := telltale.instant_of(filter, 'to');
    if since is not null then
      condition := condition || format(' and t.at >= %L and t.day >= %L', since, (since at time zone 'UTC')::date);
    end if;
    if till is not null then
      condition := condition || format(' and t.at < %L and t.day <= %L', till, (till at time zone 'UTC')::date);
    end if;
    condition := condition || telltale.processes_where(filter);
  end if;
  place := telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "."}');
  after := telltale.at_of((place ->> 'us')::bigint);
  -- An id that tells rows of one instant apart, in an order that never changes.
  id := case kind when 'traces' then 't.trace_id' when 'errors' then 't.error_id::text || t.fingerprint'
    when 'messages' then 't.message_id' else 't.process_id::text || t.labels_hash::text || t.name' end;
  if place is not null then
    condition := condition || format(' and t.%1$I >= %2$L and t.day >= %3$L and (t.%1$I, (%4$s) collate "C") > (%2$L, %5$L)',
      case kind when 'traces' then 'started_at' else 'at' end, after,
      (after at time zone 'UTC')::date - case kind when 'traces' then 1 else 0 end, id, place ->> 'id');
  end if;
  execute format(
    'with listed as (
      select t as row, t.%1$I as at, (%2$s) collate "C" as id, %3$s as weight from telltale.%4$I as t
      where %5$s order by 2, 3 limit %6$s
    ), page as (
      select listed.*, sum(weight) over (order by at, id) as total from listed
    ), kept as (
      select * from page where total <= 10000 or total = weight
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(telltale.export_row(kept.row) order by at, id), ''[]''),
      ''processes'', telltale.export_processes(coalesce(jsonb_agg(telltale.export_process_ids(kept.row)), ''[]'')),
      ''next'', case when count(*) > 0 and (count(*) = %6$s or count(*) < (select count(*) from listed))
        then telltale.cursor_of(jsonb_build_object(''us'', telltale.us_of(max(at)),
          ''id'', (array_agg(id order by at desc, id desc))[1])) end)
    from kept',
    case kind when 'traces' then 'started_at' else 'at' end, id,
    case kind when 'traces' then 't.span_count' else '1' end, kind, condition, size)
  into answer;
  return answer;
end
$function$;
grant execute on function telltale.export_page(text,jsonb,text,integer) to authenticated;
grant execute on function telltale.export_page(text,jsonb,text,integer) to service_role;
comment on function telltale.export_page(text,jsonb,text,integer) is 'All that is stored of one kind (traces, errors, messages, gauges), oldest first, as it was recorded: {rows, processes: {id:
{source, process}} of all that the rows name, next: null at the end}. At most n rows, 1 to 1000, and 10,000 spans unless one
trace alone has more. Filter: from, to, environment, service, and for traces what traces() takes. Definer: as the readers of
traces, the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.export_process_ids(t anyelement)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select case when to_jsonb(t) ? 'spans'
    then (select jsonb_agg(distinct s.value -> 'process') from jsonb_each(to_jsonb(t) -> 'spans') as s)
    else jsonb_build_array(to_jsonb(t) -> 'process_id') end
$function$;
comment on function telltale.export_process_ids(anyelement) is 'The processes that a row names: its own, or those of its spans. Definer: part of export_page.';

CREATE OR REPLACE FUNCTION telltale.export_processes(ids jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_object_agg(p.process_id, jsonb_build_object(
    'source', jsonb_build_object('service', s.service, 'instance', s.instance, 'environment', s.environment,
      'version', p.version),
    'process', jsonb_build_object('id', p.process_id, 'started_at_us', telltale.us_of(p.started_at), 'host', p.host,
      'pid', p.pid, 'sdk', p.sdk))), '{}')
  from telltale.processes as p
  join telltale.sources as s on s.source_id = p.source_id
  where p.process_id in (
    select (named.value #>> '{}')::uuid
    from jsonb_array_elements(ids) as listed cross join lateral jsonb_array_elements(listed.value) as named
    where named.value <> 'null')
$function$;
comment on function telltale.export_processes(jsonb) is '{process id: {source, process}} of the processes in an array of arrays of ids. Definer: part of export_page.';

CREATE OR REPLACE FUNCTION telltale.export_row(t telltale.errors)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select to_jsonb(t) - array['day', 'at', 'fingerprint', 'culprit'] || jsonb_build_object('at_us', telltale.us_of(t.at))
$function$;
CREATE OR REPLACE FUNCTION telltale.export_row(t telltale.gauges)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select to_jsonb(t) - array['day', 'at', 'labels_hash'] || jsonb_build_object('at_us', telltale.us_of(t.at))
$function$;
CREATE OR REPLACE FUNCTION telltale.export_row(t telltale.messages)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$ select to_jsonb(t) - array['day', 'at'] || jsonb_build_object('at_us', telltale.us_of(t.at)) $function$;
CREATE OR REPLACE FUNCTION telltale.export_row(t telltale.traces)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$ select jsonb_build_object('trace_id', t.trace_id, 'spans', t.spans) $function$;
comment on function telltale.export_row(telltale.errors) is 'An error as export_page answers it. Definer: part of export_page.';
comment on function telltale.export_row(telltale.gauges) is 'A gauge as export_page answers it. Definer: part of export_page.';
comment on function telltale.export_row(telltale.messages) is 'A message as export_page answers it. Definer: part of export_page.';
comment on function telltale.export_row(telltale.traces) is 'A trace as export_page answers it. Definer: part of export_page.';

CREATE OR REPLACE FUNCTION telltale.gaps(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
declare
  size integer;
  place jsonb;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['environment', 'service', 'process']);
  place := telltale.place_of(cursor, '{"id": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}');
  execute format(
    'with hole as (
      select p.process_id, p.source_id, p.last_seen_at, p.recorded, p.stored, p.rejected, p.dropped, p.seqs_forgotten,
        case when isempty(p.seqs) then p.seqs else int8multirange(int8range(1, upper(p.seqs))) - p.seqs end as missing
      from telltale.processes as p
      where $1 is null or p.process_id > $1
    ), page as (
      select h.*, s.service, s.environment, s.instance
      from hole as h join telltale.sources as s on s.source_id = h.source_id
      where (not isempty(h.missing) or h.seqs_forgotten > 0 or h.dropped <> ''{}'' or h.rejected > 0) %s
      order by h.process_id limit $2
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(jsonb_build_object(
        ''process'', process_id, ''service'', service, ''environment'', environment, ''instance'', instance,
        ''last_seen_at'', last_seen_at, ''recorded'', recorded, ''stored'', stored, ''rejected'', rejected,
        ''dropped'', dropped,
        ''missing'', seqs_forgotten + coalesce((select sum(upper(r) - lower(r)) from unnest(missing) as r), 0),
        ''gaps'', coalesce((select jsonb_agg(jsonb_build_array(lower(r), upper(r) - 1) order by r)
          from (select r from unnest(missing) as r order by r limit 100) as first), ''[]'')) order by process_id), ''[]''),
      ''next'', case when count(*) = $2 then telltale.cursor_of(jsonb_build_object(''id'', max(process_id::text))) end)
    from page',
    telltale.matching(filter, 'environment', 's.environment') || telltale.matching(filter, 'service', 's.service')
      || telltale.matching(filter, 'process', 'h.process_id::text'))
  using (place ->> 'id')::uuid, size into answer;
  return answer;
end
$function$;
grant execute on function telltale.gaps(jsonb,text,integer) to authenticated;
grant execute on function telltale.gaps(jsonb,text,integer) to service_role;
comment on function telltale.gaps(jsonb,text,integer) is 'Processes that lost, dropped or had refused anything: {rows: [{process, service, environment, instance, last_seen_at,
recorded, stored, rejected, dropped, missing (batches), gaps: [[first seq, last seq]], the first 100}], next}. Filter:
environment, service, process. n is 1 to 1000. Definer, see the head of create_trace_reader.';

CREATE OR REPLACE FUNCTION telltale.gauges_between(names text[], since timestamp with time zone, till timestamp with time zone, sources uuid[])
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return (
    select coalesce(jsonb_object_agg(name, instances), '{}')
    from (
      select name, jsonb_agg(jsonb_build_object('service', service, 'environment', environment, 'instance', instance,
        'labels', labels, 'samples', samples, 'mean', mean, 'max', top, 'last', last, 'last_at_us', telltale.us_of(last_at))
        order by service, environment, instance, labels) as instances
      from (
        select g.name, s.service, s.environment, s.instance, g.labels, count(*) as samples,
          round(avg(g.value)::numeric, 3) as mean, max(g.value) as top,
          (array_agg(g.value order by g.at desc, g.process_id))[1] as last, max(g.at) as last_at,
          row_number() over (partition by g.name order by max(g.at) desc, s.service, s.environment, s.instance, g.labels) as place
        from telltale.gauges as g
        join telltale.processes as p on p.process_id = g.process_id
        join telltale.sources as s on s.source_id = p.source_id
        where g.name = any (names) and g.at >= since and g.at < till
          and g.day between (since at time zone 'UTC')::date and (till at time zone 'UTC')::date
          and (sources is null or s.source_id = any (sources))
        group by g.name, s.service, s.environment, s.instance, g.labels
      ) as sampled
      where place <= 50
      group by name
    ) as listed
  );
end
$function$;
comment on function telltale.gauges_between(text[],timestamp with time zone,timestamp with time zone,uuid[]) is '{name: [{service, environment, instance, labels, samples, mean, max, last, last_at_us}]} of these gauges, for each the 50
instances that were sampled last. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.head_key(spans jsonb)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select s.key from jsonb_each(spans) as s
  order by (s.value -> 'entry' = 'true') desc nulls last,
    (nullif(s.value ->> 'parent_span_id', s.key) is null or not spans ? (s.value ->> 'parent_span_id')) desc,
    (s.value -> 'start_us')::bigint, s.key collate "C"
  limit 1
$function$;
comment on function telltale.head_key(jsonb) is 'The id of the head span: the first entry, else the first root, else the first.';

CREATE OR REPLACE FUNCTION telltale.health_of(total jsonb, before jsonb, recent jsonb, lost jsonb, silent interval)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  reasons text[] := '{}';
  status text := 'degraded';
begin
  if (recent ->> 'count')::numeric >= 5 and (recent ->> 'error_rate')::numeric > 0.2 then
    status := 'failing';
    reasons := reasons || format('%s of %s requests failed in the last five minutes (%s).', recent ->> 'errors',
      recent ->> 'count', telltale.percent_of((recent ->> 'error_rate')::numeric));
  end if;
  if silent >= interval '5 minutes' and (total ->> 'count')::numeric > 0 then
    status := 'silent';
    reasons := format('Nothing has been received for %s minutes.', floor(extract(epoch from silent) / 60)) || reasons;
  end if;
  if (total ->> 'error_rate')::numeric > 0.02 then
    reasons := reasons || format('%s of %s requests failed in the whole time (%s).', total ->> 'errors', total ->> 'count',
      telltale.percent_of((total ->> 'error_rate')::numeric));
  end if;
  if least((total ->> 'count')::numeric, (before ->> 'count')::numeric) >= 20
    and (total ->> 'p95_ms')::numeric > 2 * (before ->> 'p95_ms')::numeric then
    reasons := reasons || format('The slowest twentieth of requests took over %s ms, against %s ms in the time before.',
      round((total ->> 'p95_ms')::numeric), round((before ->> 'p95_ms')::numeric));
  end if;
  if (lost ->> 'missing')::numeric > 0 then
    reasons := reasons || format('Batches that never arrived: %s.', lost ->> 'missing');
  end if;
  if (lost ->> 'dropped')::numeric > 0 then
    reasons := reasons || format('Records that reporters had to give up: %s.', lost ->> 'dropped');
  end if;
  return jsonb_build_object('status', case when reasons = '{}' then 'ok' else status end, 'reasons', to_jsonb(reasons));
end
$function$;
grant execute on function telltale.health_of(jsonb,jsonb,jsonb,jsonb,interval) to authenticated;
grant execute on function telltale.health_of(jsonb,jsonb,jsonb,jsonb,interval) to service_role;
comment on function telltale.health_of(jsonb,jsonb,jsonb,jsonb,interval) is '{status, reasons: [sentence]}. silent: no batch for five minutes, though the range has requests; else failing: of at least
five requests in the last five minutes more than 20 % failed; else degraded: more than 2 % of all failed, or p95 is more than
twice that of the time before (at least 20 requests in each), or batches are missing or records dropped; else ok. `silent` is
for how long nothing has arrived, null for a range that ended before.';

CREATE OR REPLACE FUNCTION telltale.heat_columns(axis text, since timestamp with time zone, till timestamp with time zone, traces text[], starts timestamp with time zone[], calls bigint[], names text[])
 RETURNS TABLE(trace_id text, x integer, key text, filter jsonb)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE ROWS 10000
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
#variable_conflict use_column
declare
  step bigint;
begin
  if axis = 'time' then
    select s into step from unnest(array[1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400,
      604800]) as s where extract(epoch from till - since) <= 60 * s or s = 604800 order by s limit 1;
    return query
      select t.id, place::int, null::text, jsonb_build_object(
        'from', greatest(telltale.us_of(since), (first + place) * step * 1000000),
        'to', least(telltale.us_of(till), (first + place + 1) * step * 1000000))
      from (select floor(extract(epoch from since) / step)::bigint as first,
        ceil(extract(epoch from till) / step)::bigint - floor(extract(epoch from since) / step)::bigint - 1 as last) as r
      cross join lateral generate_series(0, r.last) as place
      left join unnest(traces, starts) as t(id, at) on floor(extract(epoch from t.at) / step)::bigint - r.first = place;
  elsif axis = 'call_number' then
    return query
      select t.id, case when t.call is null then 7 else least(t.call, 6) end::int, case when t.call is null then 'unknown' when t.call > 5 then '6+'
        else t.call::text end, case when t.call <= 5 then jsonb_build_object('call_number', t.call) end
      from unnest(traces, calls) as t(id, call);
  else
    return query
      with named as (
        select t.id, t.name from unnest(traces, names) as t(id, name)
      ), placed as (
        select name, row_number() over (order by count(*) desc, name collate "C") as place from named
        where name is not null group by name
      )
      select n.id, case when p.place is null then 26 else least(p.place, 25) end::int, case when p.place <= 24 then n.name when p.place is null then 'unknown'
        else 'other' end, case when p.place <= 24 then jsonb_build_object(axis, n.name) end
      from named as n left join placed as p on p.name = n.name;
  end if;
end
$function$;
grant execute on function telltale.heat_columns(text,timestamp with time zone,timestamp with time zone,text[],timestamp with time zone[],bigint[],text[]) to service_role;
comment on function telltale.heat_columns(text,timestamp with time zone,timestamp with time zone,text[],timestamp with time zone[],bigint[],text[]) is 'In which column of a heatmap each of these traces is (by its start, its call number or a name of it), and the filter that finds
the column''s traces, null where none does. Of time there is also a row, without a trace, for a column that has none.';

CREATE OR REPLACE FUNCTION telltale.heatmap(filter jsonb DEFAULT '{}'::jsonb, x text DEFAULT 'time'::text, y text DEFAULT 'latency'::text)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
#variable_conflict use_column
declare
  asked record;
begin
  perform telltale.require_reader();
  filter := coalesce(heatmap.filter, '{}');
  perform telltale.check_filter(heatmap.filter, telltale.lens_keys());
  if coalesce(heatmap.x <> all (array['time', 'call_number', 'tool', 'provider', 'model']), true) then
    raise exception 'Cannot read heatmap: x is %', to_json(left(heatmap.x, 100))
      using errcode = '22023', hint = 'x is time, call_number, tool, provider or model.';
  end if;
  if coalesce(heatmap.y <> all (array['layer', 'latency']), true) then
    raise exception 'Cannot read heatmap: y is %', to_json(left(heatmap.y, 100))
      using errcode = '22023', hint = 'y is layer or latency.';
  end if;
  select * into asked from telltale.lens_range(heatmap.filter);
  return (
    with sample as materialized (
      select * from telltale.lens_traces(heatmap.filter, asked.since, asked.till, 10000)
    ), numbered as materialized (
      select s.*, c.call_number as nth from sample as s
      left join telltale.lens_calls(case when heatmap.x = 'call_number' then
          (select array_agg(distinct session_key) from sample where session_key is not null and call_number is null) end,
        (select array_agg(distinct session_key) from sample where session_key is not null and call_number is null),
        asked.since, asked.till) as c on c.trace_id = s.trace_id
    ), listed as (
      select array_agg(trace_id order by trace_id) as traces, array_agg(started_at order by trace_id) as starts,
        array_agg(coalesce(call_number, nth) order by trace_id) as calls,
        array_agg(case heatmap.x when 'tool' then tool when 'provider' then provider when 'model' then model end order by trace_id)
          as names
      from numbered
    ), found as materialized (
      select h.* from listed as l
      cross join lateral telltale.heat_columns(heatmap.x, asked.since, asked.till, l.traces, l.starts, l.calls, l.names) as h
    ), trace as materialized (
      select f.x, s.layers, s.duration_ms, s.failed, width_bucket(s.duration_ms, telltale.latency_edges()) as y
      from found as f join sample as s on s.trace_id = f.trace_id
    ), cell as materialized (
      select t.x, t.y, null::text as layer, count(*) as n, count(*) filter (where t.failed) as errors,
        null::double precision as self_ms, null::double precision as p50_ms, null::double precision as p95_ms
      from trace as t where heatmap.y = 'latency' group by t.x, t.y
      union all
      select c.x, (row_number() over (order by c.layer collate "C"))::int, c.layer, c.seen, null, c.self_ms, c.p50_ms, c.p95_ms
      from telltale.layer_cells((select array_agg(x) from trace where heatmap.y = 'layer'),
        (select array_agg(layers) from trace where heatmap.y = 'layer'), null) as c
    ), line as (
      -- The rows that have anything, and of latencies those between.
      select y, null::text as layer from generate_series((select min(y) from cell where layer is null),
        (select max(y) from cell where layer is null)) as y
      union all
      select (row_number() over (order by layer collate "C"))::int, layer from (select distinct layer from cell where layer is not null) as l
    ), row_place as (
      select *, row_number() over (order by y) - 1 as place from line
    ), stand as (
      select x, key, filter, row_number() over (order by x) - 1 as place from found group by x, key, filter
    ), summed as (
      select x, count(*) as n, sum(duration_ms) as ms from trace group by x
    )
    select jsonb_build_object('x', heatmap.x, 'y', heatmap.y, 'from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
      'matched', coalesce((select max(matched) from sample), 0), 'read', (select count(*) from sample),
      'columns', coalesce((select jsonb_agg(jsonb_build_object('key', s.key, 'n', coalesce(c.n, 0),
        'total_ms', telltale.ms_of(coalesce(c.ms, 0)), 'filter', s.filter) order by s.place)
        from stand as s left join summed as c on c.x = s.x), '[]'),
      'rows', coalesce((select jsonb_agg(case when r.layer is not null
        then jsonb_build_object('key', r.layer, 'min_ms', null, 'max_ms', null, 'filter',
          jsonb_build_object('layer', r.layer))
        else jsonb_build_object('key', null, 'min_ms', (telltale.latency_edges())[r.y], 'max_ms', (telltale.latency_edges())[r.y + 1],
          'filter', jsonb_strip_nulls(jsonb_build_object('min_duration_ms', (telltale.latency_edges())[r.y],
            'max_duration_ms', (telltale.latency_edges())[r.y + 1]))) end order by r.place) from row_place as r), '[]'),
      'cells', coalesce((select jsonb_agg(case when c.layer is null
        then jsonb_build_object('x', s.place, 'y', r.place, 'n', c.n, 'errors', c.errors)
        else jsonb_build_object('x', s.place, 'y', r.place, 'n', c.n, 'self_ms', telltale.ms_of(c.self_ms),
          'p50_ms', telltale.ms_of(c.p50_ms), 'p95_ms', telltale.ms_of(c.p95_ms)) end order by s.place, r.place)
        from cell as c join stand as s on s.x = c.x
        join row_place as r on case when c.layer is null then r.y = c.y else r.layer = c.layer end), '[]'))
  );
end
$function$;
grant execute on function telltale.heatmap(jsonb,text,text) to authenticated;
grant execute on function telltale.heatmap(jsonb,text,text) to service_role;
comment on function telltale.heatmap(jsonb,text,text) is 'Calls in columns by x (time, call_number, tool, provider, model) and rows by y: {x, y, from_us, to_us, matched: traces that
count, read: those looked at, columns: [{key: name, null for time, n, total_ms, filter}], rows: [{key: layer, min_ms, max_ms, filter}],
cells: [{x, y: which column and row, from 0, ...}], those that have any}. By latency a cell has n and errors, and n add up to read;
min_ms is in the row, max_ms in the next, null where there is no bound. By layer it has n: calls that spent time there, self_ms:
their sum, p50_ms and p95_ms over all calls of the column. filter is what to set to see the calls of a column or row, null where
no filter does (other, unknown, 6+); a region is those of its columns and rows together. Of names the 24 most called
have a column. At most 10,000 traces are read. Filter: as traces; from is 15 minutes ago and to is now unless given. Definer, see
the file''s head; the first line refuses non-members with 42501.';

create aggregate telltale.histogram_merge(jsonb) (sfunc = array_append, stype = jsonb[], initcond = '{}', finalfunc = telltale.histogram_of_parts);
grant execute on function telltale.histogram_merge(jsonb) to authenticated;
grant execute on function telltale.histogram_merge(jsonb) to service_role;
comment on function telltale.histogram_merge(jsonb) is 'Base-2 exponential histograms at scale 5 in µs, {z: zeros, sum, b: {index: count}}, added up. Empty input gives the empty one.';

CREATE OR REPLACE FUNCTION telltale.histogram_of_parts(parts jsonb[])
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
begin
  return (
    select jsonb_build_object(
      'z', least(coalesce(sum((part -> 'z')::numeric), 0), 9007199254740991),
      'sum', least(coalesce(sum((part -> 'sum')::numeric), 0), 9007199254740991),
      'b', coalesce((
        select jsonb_object_agg(index, least(n, 9007199254740991))
        from (
          select bucket.key as index, sum(bucket.value::numeric) as n
          from unnest(parts) as p(part) cross join lateral jsonb_each(p.part -> 'b') as bucket
          group by bucket.key
        ) as counts
      ), '{}')
    )
    from unnest(parts) as p(part)
  );
end
$function$;
grant execute on function telltale.histogram_of_parts(jsonb[]) to authenticated;
grant execute on function telltale.histogram_of_parts(jsonb[]) to service_role;
comment on function telltale.histogram_of_parts(jsonb[]) is 'The final step of histogram_merge: {z, sum, b} of all parts.';

CREATE OR REPLACE FUNCTION telltale.histogram_quantile(histogram jsonb, q double precision)
 RETURNS double precision
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
begin
  if q is null or q < 0 or q > 1 then
    raise exception 'Cannot read quantile: % is not in 0..1', q using errcode = '22023';
  end if;
  return (
    with bucket as (
      select null::int as index, (histogram -> 'z')::numeric as n
      union all
      select key::int, value::numeric from jsonb_each(histogram -> 'b')
    ), running as (
      select index, sum(n) over (order by index nulls first) as seen, sum(n) over () as total from bucket
    )
    select case when index is null then 0 else power(2::double precision, (index + 0.5::double precision) / 32) end
    from running
    where total > 0 and seen >= greatest(1, ceil(q * total::double precision))
    order by index nulls first
    limit 1
  );
end
$function$;
grant execute on function telltale.histogram_quantile(jsonb,double precision) to authenticated;
grant execute on function telltale.histogram_quantile(jsonb,double precision) to service_role;
comment on function telltale.histogram_quantile(jsonb,double precision) is 'The q-quantile in µs, null when empty: nearest rank as percentile_disc, read as the middle of its bucket, 2^((i+0.5)/32);
relative error at most 1.1 %.';

CREATE OR REPLACE FUNCTION telltale.history_of_calls(since timestamp with time zone, till timestamp with time zone, least_ms double precision)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
comment on function telltale.history_of_calls(timestamp with time zone,timestamp with time zone,double precision) is '[LongCall with end_us, null where it has none] of 1,000 calls that took so many ms. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.history_of_errors(since timestamp with time zone, till timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
comment on function telltale.history_of_errors(timestamp with time zone,timestamp with time zone) is '[ErrorSign with seen: the minutes, in s since the epoch, in which there was one] of 500 groups. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.holders(filter jsonb DEFAULT '{}'::jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
declare
  asked record;
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, telltale.lens_keys());
  select * into asked from telltale.lens_range(filter);
  return (
    with sample as materialized (
      select * from telltale.lens_traces(filter, asked.since, asked.till, 10000)
    ), wait as materialized (
      select w.*, s.tool, w.self_us / 1000.0::double precision as ms
      from telltale.lens_waits((select array_agg(trace_id) from sample where wait_ms > 0),
        (select array_agg(day) from sample where wait_ms > 0), 50000) as w
      join sample as s on s.trace_id = w.trace_id
      where w.self_us > 0
    ), held as (
      select name, layer, holder, count(*) as n, count(distinct trace_id) as traces, sum(ms) as ms, max(ms) as most_ms,
        percentile_disc(array[0.5, 0.95]) within group (order by ms) as quantiles,
        (array_agg(trace_id order by ms desc, trace_id))[1] as longest
      from wait group by name, layer, holder
    ), listed as materialized (
      select *, row_number() over (order by ms desc, name collate "C", layer collate "C", holder collate "C") as place from held
    ), waiter as (
      select name, layer, holder, tool, count(*) as n, sum(ms) as ms,
        row_number() over (partition by name, layer, holder order by sum(ms) desc, tool collate "C") as place
      from wait group by name, layer, holder, tool
    )
    select jsonb_build_object('from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
      'matched', coalesce((select max(matched) from sample), 0), 'read', (select count(*) from sample),
      'total_ms', telltale.ms_of((select coalesce(sum(duration_ms), 0) from sample)),
      'wait_ms', telltale.ms_of((select coalesce(sum(ms), 0) from wait)),
      'rows', coalesce((
        select jsonb_agg(jsonb_build_object('name', l.name, 'layer', l.layer, 'holder', l.holder, 'n', l.n, 'traces', l.traces,
          'total_ms', telltale.ms_of(l.ms), 'share', round((l.ms / (select sum(ms) from wait))::numeric, 6),
          'p50_ms', telltale.ms_of(l.quantiles[1]), 'p95_ms', telltale.ms_of(l.quantiles[2]), 'max_ms', telltale.ms_of(l.most_ms),
          'longest_trace_id', l.longest, 'tools', (
            select jsonb_agg(jsonb_build_object('tool', w.tool, 'n', w.n, 'total_ms', telltale.ms_of(w.ms)) order by w.place)
            from waiter as w where w.place <= 5 and w.name = l.name and w.layer = l.layer
              and w.holder is not distinct from l.holder)) order by l.place)
        from listed as l where l.place <= 200), '[]'),
      'rest', (select jsonb_build_object('n', coalesce(sum(l.n), 0), 'total_ms', telltale.ms_of(coalesce(sum(l.ms), 0)))
        from listed as l where l.place > 200))
  );
end
$function$;
grant execute on function telltale.holders(jsonb) to authenticated;
grant execute on function telltale.holders(jsonb) to service_role;
comment on function telltale.holders(jsonb) is 'Who held what was waited for: {from_us, to_us, matched, read, total_ms: of these traces, wait_ms: of all their waits, rows:
[{name of the wait, layer, holder (null: nobody was named), n waits, traces, total_ms, share of wait_ms, p50_ms, p95_ms, max_ms,
longest_trace_id, tools: [{tool, n, total_ms}] the 5 that waited longest}] the 200 that took longest, rest: {n, total_ms} of the
others}. At most 10,000 traces are read, and the waits of as many as have 50,000 spans. Filter: as traces; from is 15 minutes
ago and to is now unless given. Definer, see the file''s head; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.in_anomaly(trace_ids text[], days date[])
 RETURNS SETOF text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER ROWS 10
 SET search_path TO ''
AS $function$
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
$function$;
comment on function telltale.in_anomaly(text[],date[]) is 'Those of these traces that lie in an anomaly of a series that counts them. Definer: part of tick_decide_sampling.';

CREATE OR REPLACE FUNCTION telltale.incident_row(i telltale.incidents)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
  select to_jsonb(i) || jsonb_build_object('started_at_us', telltale.us_of(i.started_at),
    'last_at_us', telltale.us_of(i.last_at), 'ended_at_us', telltale.us_of(i.ended_at),
    'members', coalesce((select jsonb_agg(telltale.anomaly_row(a) order by a.place, a.anomaly_id)
      from (select * from telltale.anomalies as m where m.incident_id = i.incident_id
        order by m.place, m.anomaly_id limit 100) as a), '[]'))
$function$;
comment on function telltale.incident_row(telltale.incidents) is 'An incident as the readers answer it, with its first 100 anomalies as members, the likeliest root first. Definer: part of
the readers.';

CREATE OR REPLACE FUNCTION telltale.incidents(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  size integer;
  condition text;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'service', 'environment', 'series_key', 'metric', 'score_min',
    'open']);
  condition := telltale.abnormal_where(filter,
    telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}'), 'incident_id');
  execute format(
    'with page as (
      select t as row, t.started_at, t.incident_id from telltale.incidents as t
      where %s order by t.started_at desc, t.incident_id desc limit %s
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(telltale.incident_row(page.row) order by started_at desc, incident_id desc), ''[]''),
      ''next'', case when count(*) = %s then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(started_at)), ''id'', (array_agg(incident_id order by started_at, incident_id))[1])) end)
    from page', condition, size, size) into answer;
  return answer;
end
$function$;
grant execute on function telltale.incidents(jsonb,text,integer) to authenticated;
grant execute on function telltale.incidents(jsonb,text,integer) to service_role;
comment on function telltale.incidents(jsonb,text,integer) is 'Incidents, the last begun first: {rows, next}, each with its anomalies as members, the likeliest root first. Filter: as
anomalies() without incident_id; series_key and metric are the root''s. n is 1 to 1000. Definer: as the readers of traces,
the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.inferred_joins(since timestamp with time zone, n integer DEFAULT 1000)
 RETURNS TABLE(inner_trace_id text, outer_trace_id text, outer_span_id text, rule text, day date)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER ROWS 10
 SET search_path TO ''
AS $function$
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
$function$;
comment on function telltale.inferred_joins(timestamp with time zone,integer) is 'Which of the n traces that changed last, since an instant, are one request seen by two recorders: same environment and tool,
begun while the other ran, further in by its layer (or shorter and inside it, of one layer, service and host), and with the same
arguments by their salted hash, else of one session. Where several fit, the nearest by start. Of each process 32 alike are
compared at a time. Definer: part of tick_join_traces.';

CREATE OR REPLACE FUNCTION telltale.ingest_batch(batch jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
 SET enable_seqscan TO 'off'
 SET jit TO 'off'
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
#variable_conflict use_column
declare
  v_batch uuid := (batch ->> 'batch_id')::uuid;
  v_process uuid := (batch -> 'process' ->> 'id')::uuid;
  v_from jsonb := batch -> 'source';
  v_source uuid := telltale.source_id_of(v_from ->> 'service', v_from ->> 'environment', v_from ->> 'instance');
  v_missing date[];
  v_renamed jsonb;
  v_ack jsonb;
begin
  select ack into v_ack from telltale.batches where batch_id = v_batch;
  if found then
    return telltale.reply_of('repeated', v_ack);
  end if;
  lock table telltale.traces, telltale.errors, telltale.messages, telltale.gauges, telltale.rollup_minutes
    in row exclusive mode;
  v_missing := telltale.days_missing(batch);
  if v_missing is not null then
    raise exception 'Cannot store batch: there are no partitions for %', array_to_string(v_missing, ',')
      using errcode = 'TT001', detail = array_to_string(v_missing, ','), hint = 'Call make_partitions and try again.';
  end if;
  v_ack := jsonb_build_object('accepted', batch -> 'accepted', 'rejected', batch -> 'rejected', 'renamed', '{}'::jsonb);
  insert into telltale.batches (batch_id, process_id, key_id, seq, piece_index, piece_count, made_at, received_at, ack)
  values (v_batch, v_process, batch ->> 'key_id', (batch -> 'seq')::bigint, (batch -> 'piece' -> 0)::int,
    (batch -> 'piece' -> 1)::int, telltale.at_of((batch -> 'made_at_us')::bigint), telltale.clock(), v_ack)
  on conflict (batch_id) do nothing;
  if not found then
    select ack into v_ack from telltale.batches where batch_id = v_batch;
    return telltale.reply_of('repeated', v_ack);
  end if;
  -- Held so that prune does not take the source away before something refers to it.
  loop
    perform from telltale.sources where source_id = v_source for key share;
    exit when found;
    insert into telltale.sources (source_id, service, environment, instance)
    values (v_source, v_from ->> 'service', v_from ->> 'environment', v_from ->> 'instance')
    on conflict do nothing;
  end loop;
  v_renamed := telltale.admit_names(v_source, (
    select array_agg(distinct k) from jsonb_array_elements(batch -> 'parts') as p
    cross join lateral jsonb_object_keys(p.value -> 'series') as k));
  if v_renamed <> '{}' then
    v_ack := v_ack || jsonb_build_object('renamed', v_renamed);
    update telltale.batches set ack = v_ack where batch_id = v_batch;
  end if;
  perform telltale.store_process(batch, v_source);
  perform telltale.store_traces(batch -> 'traces');
  perform telltale.store_errors(batch -> 'errors', v_process, v_source, v_from ->> 'version');
  perform telltale.store_samples(batch -> 'messages', batch -> 'gauges', v_process);
  insert into telltale.rollup_minutes (minute, day, source_id, batch_id, series)
  select telltale.at_of(p.minute * 1000000), telltale.day_of(p.minute * 1000000), v_source, v_batch,
    case when v_renamed = '{}' then p.series else telltale.renamed_series(p.series, v_renamed) end
  from jsonb_to_recordset(batch -> 'parts') as p(minute bigint, series jsonb);
  return telltale.reply_of('stored', v_ack);
end
$function$;
grant execute on function telltale.ingest_batch(jsonb) to service_role;
comment on function telltale.ingest_batch(jsonb) is 'Stores BatchRows (functions/store/port.ts) and answers IngestReply. A batch id that is known changes nothing and is answered
what it was first. Raises TT001, detail YYYY-MM-DD,..., before any write when partitions are missing. Definer: no role may
write the tables, so that rows come only this way.';

CREATE OR REPLACE FUNCTION telltale.ingest_lag()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select case when count(*) > 0 then
    jsonb_build_object('p50', percentile_disc(0.5) within group (order by ms), 'max', max(ms)) end
  from (
    -- A clock that is off by seconds is set right; below that the offset may as well be the way here.
    select greatest(0, round(extract(epoch from b.received_at - b.made_at) * 1000
      - case when abs(p.clock_offset_us) > 1000000 then p.clock_offset_us / 1000.0 else 0 end, 3)) as ms
    from telltale.batches as b join telltale.processes as p on p.process_id = b.process_id
    where b.received_at > telltale.clock() - interval '1 minute'
  ) as lag
$function$;
comment on function telltale.ingest_lag() is '{p50, max} in ms from when a batch was made to when it was stored, over the last minute; null without any. Definer: part of
live_data.';

CREATE OR REPLACE FUNCTION telltale.instant_of(filter jsonb, key text)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
declare
  value text := filter ->> key;
begin
  if value is null then
    return null;
  end if;
  if value ~ '^-?[0-9]{1,16}$' then
    return telltale.at_of(value::bigint);
  end if;
  if value !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' then
    raise invalid_datetime_format;
  end if;
  return value::timestamptz;
exception
  when data_exception then
    raise exception 'Cannot read filter: % is %', key, filter -> key
      using errcode = '22023', hint = 'An instant is ISO 8601 text, such as 2026-11-23T18:00:00Z, or µs since the epoch.';
end
$function$;
grant execute on function telltale.instant_of(jsonb,text) to authenticated;
grant execute on function telltale.instant_of(jsonb,text) to service_role;
comment on function telltale.instant_of(jsonb,text) is 'The instant under a key of a filter, ISO 8601 (UTC where it names no zone) or µs since the epoch; null when absent.';

CREATE OR REPLACE FUNCTION telltale.is_alive(p telltale.processes)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$ select p.renewed_at > telltale.clock() - greatest(60000, 4 * p.pace_ms) * interval '1 millisecond' $function$;
comment on function telltale.is_alive(telltale.processes) is 'Whether what a process lists still runs, as far as anybody knows: it was renewed within 60 s or four flushes.';

CREATE OR REPLACE FUNCTION telltale.is_detector_due(d telltale.detectors)
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select (d.looked_at <= telltale.clock() - interval '4 seconds' or d.committed_to < telltale.clock() - interval '720 seconds')
    and (exists (select from telltale.sources as s join telltale.processes as p on p.source_id = s.source_id
        where s.service = d.service and s.environment = d.environment
          and p.last_seen_at > telltale.clock() - interval '1 day')
      or exists (select from telltale.anomalies as a
        where a.service = d.service and a.environment = d.environment and a.ended_at is null))
$function$;
comment on function telltale.is_detector_due(telltale.detectors) is 'Whether it looked 4 s ago or is behind, and there is something to look at: somebody sent something in the last day, or an
anomaly lasts. Definer: part of detector_work.';

CREATE OR REPLACE FUNCTION telltale.is_older_version(version text, than text, older text[])
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select coalesce(case
    when version is null or than is null or version = than then false
    else coalesce(telltale.version_key(version) collate "C" < telltale.version_key(than) collate "C", version = any (older))
  end, false)
$function$;
grant execute on function telltale.is_older_version(text,text,text[]) to authenticated;
grant execute on function telltale.is_older_version(text,text,text[]) to service_role;
comment on function telltale.is_older_version(text,text,text[]) is 'Whether a version is certainly older than another: by their numbers where both have them, else because it is among those
that were known to be. A version that nobody told is not.';

CREATE OR REPLACE FUNCTION telltale.is_reader()
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  caller name := coalesce(nullif(current_setting('role', true), 'none'), session_user);
begin
  if caller = 'authenticated' then
    return exists (select from telltale.members where user_id = telltale.caller_id());
  end if;
  return exists (select from pg_catalog.pg_roles where rolname = caller and (rolsuper or rolbypassrls));
exception
  -- A token whose sub is no uuid is nobody's.
  when invalid_text_representation then return false;
end
$function$;
grant execute on function telltale.is_reader() to authenticated;
grant execute on function telltale.is_reader() to service_role;
comment on function telltale.is_reader() is 'Whether the caller may read: a member, or a role that row level security does not bind. Definer: it reads the members
for callers who may not. It goes by the role that was set, which a definer function does not change.';

CREATE OR REPLACE FUNCTION telltale.is_tick_due()
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select (expires_at <= telltale.clock() or expires_at > telltale.clock() + interval '600 seconds')
    and claimed_at not between telltale.clock() - interval '10 seconds' and telltale.clock() + interval '10 seconds'
  from telltale.tick_lease
$function$;
grant execute on function telltale.is_tick_due() to service_role;
comment on function telltale.is_tick_due() is 'Whether nobody has claimed the tick for 10 s. Definer: it tells no more than this.';

CREATE OR REPLACE FUNCTION telltale.is_watched()
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$ select exists (select from telltale.viewers where seen_at > telltale.clock() - interval '60 seconds') $function$;
grant execute on function telltale.is_watched() to service_role;
comment on function telltale.is_watched() is 'Whether a visible page looked within 60 s. Definer: it tells everybody who may call it no more than this.';

CREATE OR REPLACE FUNCTION telltale.joined_members(root text)
 RETURNS TABLE(trace_id text, outer_span_id text, rule text, day date)
 LANGUAGE sql
 STABLE SECURITY DEFINER ROWS 2
 SET search_path TO ''
AS $function$
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
$function$;
comment on function telltale.joined_members(text) is 'A trace and all that is joined into it: at most 100, outermost first, with the span that each hangs on. Definer: part of the
readers.';

CREATE OR REPLACE FUNCTION telltale.joined_spans(root text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$ select s.spans from telltale.joined_spans_of(array[root]) as s $function$;
comment on function telltale.joined_spans(text) is 'joined_spans_of one trace. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.joined_spans_of(roots text[])
 RETURNS TABLE(root text, spans jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
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
$function$;
comment on function telltale.joined_spans_of(text[]) is 'The spans of each of these traces and of all that is joined into it (at most 100), as stored; a span that hangs on its parent
by inference says by which rule in `inferred`. All at once: planning for partitions costs more than reading. Definer: part of
the readers and of the tick.';

CREATE OR REPLACE FUNCTION telltale.keys()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('key_id', key_id, 'name', name, 'created_at', created_at,
    'revoked_at', revoked_at) order by created_at, key_id), '[]')
  from telltale.ingest_keys
$function$;
grant execute on function telltale.keys() to service_role;
comment on function telltale.keys() is 'All ingest keys without their hashes, oldest first. Definer: no role may read the table.';

CREATE OR REPLACE FUNCTION telltale.latency_edges()
 RETURNS double precision[]
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ARRAY[(1)::double precision, (1.5)::double precision, (2)::double precision, (3)::double precision, (5)::double precision, (7)::double precision, (10)::double precision, (15)::double precision, (20)::double precision, (30)::double precision, (50)::double precision, (70)::double precision, (100)::double precision, (150)::double precision, (200)::double precision, (300)::double precision, (500)::double precision, (700)::double precision, ('1000'::numeric)::double precision, ('1500'::numeric)::double precision, ('2000'::numeric)::double precision, ('3000'::numeric)::double precision, ('5000'::numeric)::double precision, ('7000'::numeric)::double precision, ('10000'::numeric)::double precision, ('15000'::numeric)::double precision, ('20000'::numeric)::double precision, ('30000'::numeric)::double precision, ('50000'::numeric)::double precision, ('70000'::numeric)::double precision, ('100000'::numeric)::double precision, ('150000'::numeric)::double precision, ('200000'::numeric)::double precision, ('300000'::numeric)::double precision, ('500000'::numeric)::double precision, ('700000'::numeric)::double precision, ('1000000'::numeric)::double precision, ('1500000'::numeric)::double precision, ('2000000'::numeric)::double precision, ('3000000'::numeric)::double precision, ('5000000'::numeric)::double precision, ('7000000'::numeric)::double precision, ('10000000'::numeric)::double precision, ('15000000'::numeric)::double precision, ('20000000'::numeric)::double precision, ('30000000'::numeric)::double precision, ('50000000'::numeric)::double precision, ('70000000'::numeric)::double precision];
grant execute on function telltale.latency_edges() to authenticated;
grant execute on function telltale.latency_edges() to service_role;
comment on function telltale.latency_edges() is 'Where one row of a heatmap of latencies ends and the next begins, in ms: six steps to a power of ten.';

CREATE OR REPLACE FUNCTION telltale.layer_cells(columns integer[], breakdowns jsonb[], waits jsonb[])
 RETURNS TABLE(x integer, layer text, n bigint, seen bigint, self_ms double precision, p50_ms double precision, p95_ms double precision, wait_ms double precision, wait_p50_ms double precision, wait_p95_ms double precision)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE ROWS 100
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
#variable_conflict use_column
begin
  return query
  with trace as materialized (
    select t.x, t.layers, t.waits from unnest(columns, breakdowns, waits) as t(x, layers, waits)
  ), counted as (
    select x, count(*) as n, greatest(1, ceil(0.5 * count(*)))::bigint as half, greatest(1, ceil(0.95 * count(*)))::bigint as most
    from trace group by x
  ), part as (
    select t.x, l.key as layer, l.value::double precision as ms, coalesce((t.waits -> l.key)::double precision, 0) as waited
    from trace as t cross join lateral jsonb_each(t.layers) as l
  ), sorted as (
    select x, layer, count(*) as seen, sum(ms) as ms, array_agg(ms order by ms) as all_ms, sum(waited) as waited,
      array_agg(waited order by waited) filter (where waited > 0) as all_waited
    from part group by x, layer
  )
  -- Where a trace spent no time in a layer, that is a time of 0: these come first, and need no row.
  select s.x, s.layer, c.n, s.seen, s.ms, coalesce(s.all_ms[c.half - (c.n - s.seen)], 0),
    coalesce(s.all_ms[c.most - (c.n - s.seen)], 0), s.waited,
    coalesce(s.all_waited[c.half - (c.n - cardinality(s.all_waited))], 0),
    coalesce(s.all_waited[c.most - (c.n - cardinality(s.all_waited))], 0)
  from sorted as s join counted as c on c.x = s.x;
end
$function$;
grant execute on function telltale.layer_cells(integer[],jsonb[],jsonb[]) to authenticated;
grant execute on function telltale.layer_cells(integer[],jsonb[],jsonb[]) to service_role;
comment on function telltale.layer_cells(integer[],jsonb[],jsonb[]) is 'Traces by column and layer, given as three arrays: the column, the layer breakdown (ms), and the waits in it ({layer: ms}, or
null). n traces of the column, `seen` of them with time in the layer; self_ms and the wait_ms in it are sums, quantiles (nearest
rank) are over all n: no time is a time of 0.';

CREATE OR REPLACE FUNCTION telltale.lens_calls(sessions text[], unnumbered text[], since timestamp with time zone, till timestamp with time zone)
 RETURNS TABLE(trace_id text, call_number bigint, before_id text, before_tool text, before_outcome text, gap_us bigint, before_running boolean)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER ROWS 5000
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
#variable_conflict use_column
declare
  first_at timestamptz := since - interval '1 day';
begin
  return query
  with seen as (
    select t.trace_id, t.session_key, t.started_at, t.call_number, t.duration_ms, t.ended_at, t.tool, t.outcome
    from telltale.traces as t
    where t.session_key = any (sessions) and t.started_at >= first_at and t.started_at < till
      and t.day between (first_at at time zone 'UTC')::date - 1 and (till at time zone 'UTC')::date + 1
      and not exists (select from telltale.trace_joins as j where j.inner_trace_id = t.trace_id)
  ), earlier as (
    select k.key, e.calls
    from unnest(unnumbered) as k(key)
    cross join lateral (
      select count(*) as calls from (
        select from telltale.traces as t
        where t.session_key = k.key and t.started_at < first_at and t.day <= (first_at at time zone 'UTC')::date + 1
          and not exists (select from telltale.trace_joins as j where j.inner_trace_id = t.trace_id)
        limit 100000) as old) as e
  ), placed as (
    select s.*, row_number() over w as nth, lag(s.trace_id) over w as before_id, lag(s.tool) over w as before_tool,
      lag(s.outcome) over w as before_outcome, lag(s.duration_ms is null) over w as before_open,
      lag(s.ended_at) over w as before_ended_at
    from seen as s
    window w as (partition by s.session_key order by s.started_at, s.trace_id)
  )
  select p.trace_id, coalesce(p.call_number, p.nth + coalesce(e.calls, 0)), p.before_id, p.before_tool, p.before_outcome,
    case when not p.before_open then telltale.us_of(p.started_at) - telltale.us_of(p.before_ended_at) end,
    p.before_id is not null and (p.before_open or p.before_ended_at > p.started_at)
  from placed as p left join earlier as e on e.key = p.session_key
  where p.started_at >= since;
end
$function$;
comment on function telltale.lens_calls(text[],text[],timestamp with time zone,timestamp with time zone) is 'Of the calls of these sessions in a stretch of time: the number, as recorded or else ranked (for which `unnumbered` are to
list their sessions), and the call before it in its session: gap_us from its end (the last of its spans'') to this start,
negative where it still ran, null where it has not ended. One that began more than a day before the stretch is not looked for.
Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.lens_keys()
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ARRAY['from'::text, 'to'::text, 'tool'::text, 'provider'::text, 'model'::text, 'layer'::text, 'outcome'::text, 'min_duration_ms'::text, 'max_duration_ms'::text, 'session'::text, 'call_number'::text, 'request_id'::text, 'environment'::text, 'service'::text, 'text'::text];
grant execute on function telltale.lens_keys() to authenticated;
grant execute on function telltale.lens_keys() to service_role;
comment on function telltale.lens_keys() is 'The keys of the filter of a lens: those of traces().';

CREATE OR REPLACE FUNCTION telltale.lens_range(filter jsonb, OUT since timestamp with time zone, OUT till timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  -- Refuses what no reader of metrics takes.
  perform telltale.range_of(filter);
  till := coalesce(telltale.instant_of(filter, 'to'), telltale.clock());
  since := coalesce(telltale.instant_of(filter, 'from'), till - interval '15 minutes');
end
$function$;
grant execute on function telltale.lens_range(jsonb) to authenticated;
grant execute on function telltale.lens_range(jsonb) to service_role;
comment on function telltale.lens_range(jsonb) is 'The stretch of time that a filter means, to exclusive, as it says it: a region of a heatmap is no whole minutes.';

CREATE OR REPLACE FUNCTION telltale.lens_spans(traces text[], days date[], spans_max integer)
 RETURNS TABLE(trace_id text, spans jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
#variable_conflict use_column
declare
  joined text[];
begin
  select coalesce(array_agg(distinct j.outer_trace_id), '{}') into joined
  from telltale.trace_joins as j where j.outer_trace_id = any (traces);
  return query
  with asked as (
    select a.id, a.day from unnest(traces, days) as a(id, day)
  ), alone as (
    select t.trace_id, t.spans, t.span_count from telltale.traces as t
    join asked as a on a.id = t.trace_id and a.day = t.day
    where t.day between (select min(day) from asked) and (select max(day) from asked)
  ), within as (
    select s.trace_id, s.spans, sum(s.span_count) over (order by hashtextextended(s.trace_id, 0), s.trace_id) - s.span_count
      as before
    from alone as s
  )
  select w.trace_id, coalesce(j.spans, w.spans)
  from within as w left join telltale.joined_spans_of(joined) as j on j.root = w.trace_id
  where w.before < spans_max;
end
$function$;
comment on function telltale.lens_spans(text[],date[],integer) is 'The spans of these traces with what is joined into them, of no more traces than have about spans_max. Definer: part of the
readers.';

CREATE OR REPLACE FUNCTION telltale.lens_traces(filter jsonb, since timestamp with time zone, till timestamp with time zone, traces_max integer, spans_max integer DEFAULT NULL::integer)
 RETURNS TABLE(matched bigint, emptied bigint, trace_id text, day date, started_at timestamp with time zone, duration_ms double precision, wait_ms double precision, failed boolean, tool text, provider text, model text, session_key text, session_rule text, call_number bigint, layers jsonb, spans jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER ROWS 5000
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
begin
  return query execute format(
    'with hit as materialized (
      select t.trace_id, t.day, t.span_count, t.sampled is not null as emptied, hashtextextended(t.trace_id, 0) as lot
      from telltale.traces as t where %s
    ), lots as (
      select *, count(*) over () as matched, count(*) filter (where emptied) over () as all_emptied from hit
      order by $2 is not null and emptied, lot, trace_id limit $1
    ), chosen as materialized (
      select *, sum(span_count) over (order by emptied, lot, trace_id) - span_count as before from lots
    )
    select c.matched, c.all_emptied, t.trace_id, t.day, t.started_at, t.duration_ms, t.wait_ms,
      coalesce(t.outcome = any (array[''tool_error'', ''server_fault'', ''timeout'', ''interrupted'']), false),
      t.tool, t.provider, t.model, t.session_key, t.session_rule, t.call_number, t.layers,
      case when $2 is not null then t.spans end
    from chosen as c join telltale.traces as t on t.trace_id = c.trace_id and t.day = c.day
    where ($2 is null or c.before < $2) and t.day between $3 and $4',
    telltale.counted_where(filter, since, till))
  using traces_max, spans_max, (since at time zone 'UTC')::date - 1, (till at time zone 'UTC')::date + 1;
end
$function$;
comment on function telltale.lens_traces(jsonb,timestamp with time zone,timestamp with time zone,integer,integer) is 'The traces of a filter and a stretch of time that count, at most traces_max, how many match, and how many of these kept no
spans. Spans, as stored, come with spans_max alone, and then no more traces than have about so many, those without spans last. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.lens_waits(traces text[], days date[], spans_max integer)
 RETURNS TABLE(trace_id text, span_id text, layer text, name text, holder text, self_us bigint)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER ROWS 5000
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
#variable_conflict use_column
begin
  return query
  with trace as materialized (
    select * from telltale.lens_spans(traces, days, spans_max)
  ), wait as materialized (
    select t.trace_id, s.key as span_id, s.value, s.value -> 'attributes' ? 'telltale.derived' as derived
    from trace as t cross join lateral jsonb_each(t.spans) as s
    where s.value ->> 'kind' = 'wait' and s.value ? 'end_us'
  ), parent as (
    select t.trace_id, s.value ->> 'parent_span_id' as span_id
    from trace as t cross join lateral jsonb_each(t.spans) as s
    where s.value ? 'end_us'
  ), hard as materialized (
    -- Nearly no wait has children: all but these are as long as they last.
    select distinct w.trace_id from wait as w
    where w.derived or exists (select from parent as p where p.trace_id = w.trace_id and p.span_id = w.span_id)
  ), place as materialized (
    select t.trace_id, t.spans, row_number() over (order by t.trace_id) as place
    from trace as t join hard as h on h.trace_id = t.trace_id
  ), known as (
    select p.trace_id, s.span_id, s.self_us
    from telltale.self_times_of((select array_agg(spans order by place) from place)) as s
    join place as p on p.place = s.place
    where s.wait
  )
  select w.trace_id, w.span_id, w.value ->> 'layer', w.value ->> 'name', w.value ->> 'holder',
    coalesce(k.self_us, greatest(0, (w.value -> 'end_us')::bigint - (w.value -> 'start_us')::bigint))
  from wait as w left join known as k on k.trace_id = w.trace_id and k.span_id = w.span_id;
end
$function$;
comment on function telltale.lens_waits(text[],date[],integer) is 'The wait spans of these traces that have an end, with their self time in µs as self_times_of tells it: those of a trace add up
to its wait_ms. Of no more traces than have about spans_max spans. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.list_members()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('user_id', user_id, 'email', email, 'added_at', added_at)
    order by added_at, user_id), '[]')
  from telltale.members
$function$;
grant execute on function telltale.list_members() to service_role;
comment on function telltale.list_members() is 'Everybody who may read, [{user_id, email, added_at}], longest first. Definer: for the operator alone, through this.';

CREATE OR REPLACE FUNCTION telltale.live_batches()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(jsonb_build_object('batch_id', b.batch_id, 'service', s.service, 'environment', s.environment,
    'received_at_us', telltale.us_of(b.received_at), 'records', (
      select coalesce(sum(n.value::bigint), 0) from jsonb_each_text(b.ack -> 'accepted') as n))
    order by b.received_at desc, b.batch_id), '[]')
  from (select * from telltale.batches order by received_at desc limit 50) as b
  join telltale.processes as p on p.process_id = b.process_id
  join telltale.sources as s on s.source_id = p.source_id
$function$;
comment on function telltale.live_batches() is '[RecentBatch], newest first: the last 50; records are those accepted. Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.live_data(viewer_id uuid DEFAULT NULL::uuid, minutes integer DEFAULT 60, present integer DEFAULT 0)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.live_data(uuid,integer,integer) to authenticated;
grant execute on function telltale.live_data(uuid,integer,integer) to service_role;
comment on function telltale.live_data(uuid,integer,integer) is 'LiveData (src/core/live_snapshot.ts): at_us, minutes, running, sessions, gauges, ended, errors, batches, ingest_lag_ms, gaps (of the
processes heard of in the last day), last_received_at_us, real. `minutes` says how far back the minutes go: a page that has
them asks for fewer. Notes that the page viewer_id looks, as see() does, where one
is given and the token names a user. Definer, see the head of this file; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.live_ended()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
comment on function telltale.live_ended() is '[EndedTrace], newest first: the 50 ended traces that changed last. at_us is when the head ended, as far as it is the first
span to start. Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.live_errors()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
comment on function telltale.live_errors() is '[LiveError], newest first: the last 20, their tracebacks cut to 4 KB. Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.live_gauges()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
comment on function telltale.live_gauges() is '[LiveGauge] by name: the last value of 200 series (process, name, labels) that were sampled in the last ten minutes.
Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.live_minutes(minutes integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
comment on function telltale.live_minutes(integer) is 'The last so many minutes (0 to 60, else it raises 22023) and from the current one on, oldest first: [{minute: s since the epoch,
series}], those in which something was counted, of all sources together. Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.live_running()
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
comment on function telltale.live_running() is '[ProcessRunning] of the living, the last renewed first: 100 processes, those that run something before those that do not
(whose empty list ends what an older one says), 100 calls of each; total is the true number. Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.live_sessions()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
comment on function telltale.live_sessions() is '[ActiveSession], the last active first: 50 of the sessions in which a call ended in the last ten minutes (as far as the
newest 500 calls tell) or runs now. calls and tokens are those of the last day, at most 1,000 calls; tool and model are
those last used, client is who called last, where its recorder knows. Definer: part of live_data.';

CREATE OR REPLACE FUNCTION telltale.lost_by(sources uuid[], since timestamp with time zone, till timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select jsonb_build_object('processes', count(*), 'missing', coalesce(sum(missing), 0),
    'dropped', coalesce(sum(dropped), 0))
  from (
    select telltale.missing_batches(p.seqs, p.seqs_forgotten) as missing, p.rejected,
      (select coalesce(sum(d.value::numeric), 0) from jsonb_each_text(p.dropped) as d) as dropped
    from telltale.processes as p
    where p.last_seen_at >= since and p.first_seen_at < till and (sources is null or p.source_id = any (sources))
  ) as sender
  where missing > 0 or dropped > 0 or rejected > 0
$function$;
comment on function telltale.lost_by(uuid[],timestamp with time zone,timestamp with time zone) is '{processes: how many that were heard of in between miss batches, dropped records or had some refused, missing: batches,
dropped: records}. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.make_notifications(changes jsonb)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
comment on function telltale.make_notifications(jsonb) is 'One notification for each change that asks for one and each destination that it concerns, once. Definer: part of
store_alert_outcome.';

CREATE OR REPLACE FUNCTION telltale.make_partitions(days date[])
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '5s'
AS $function$
declare
  wanted date;
  parent text;
  part text;
  made jsonb := '[]';
begin
  -- 30 days back, not the 29 that a record may be old: midnight may pass between the edge's check and this one.
  select d into wanted from unnest(days) as d
  where d is null or d < telltale.today() - 30 or d > telltale.today() + 3 limit 1;
  if found then
    raise exception 'Cannot make partitions: % is not from 30 days back to 3 days ahead of %', wanted, telltale.today()
      using errcode = '22023';
  end if;
  perform pg_advisory_xact_lock(8467125001);
  for wanted in
    select distinct d from unnest(days) as d
    where not exists (select from telltale.partition_days as p where p.day = d)
    order by d
  loop
    foreach parent in array array['traces', 'errors', 'messages', 'gauges', 'rollup_minutes'] loop
      part := parent || to_char(wanted, '_YYYYMMDD');
      execute format('create table telltale.%I (like telltale.%I including defaults including constraints
        including indexes including storage including comments) with (toast_tuple_target = 256)', part, parent);
      execute format('alter table telltale.%I enable row level security', part);
      execute format('revoke all on telltale.%I from public, anon, authenticated, service_role', part);
      execute format('comment on table telltale.%I is %L', part, format('The rows of %s of the UTC day %s.', parent, wanted));
      execute format('alter table telltale.%I attach partition telltale.%I for values in (%L)', parent, part, wanted);
    end loop;
    insert into telltale.partition_days (day) values (wanted);
    made := made || to_jsonb(wanted);
  end loop;
  return jsonb_build_object('made', made);
end
$function$;
grant execute on function telltale.make_partitions(date[]) to service_role;
comment on function telltale.make_partitions(date[]) is 'Makes the partitions of UTC days from 30 back to 3 ahead, raises 22023 for others; {made: [days]}. Definer: only the owner
of a table may attach to it.';

CREATE OR REPLACE FUNCTION telltale.masked_url(url text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$ select substring(url from '^https?://[^/]+') || case when url ~ '^https?://[^/]+/.' then '/...' else '' end $function$;
comment on function telltale.masked_url(text) is 'An address without what may open it: its path and query.';

CREATE OR REPLACE FUNCTION telltale.matching(filter jsonb, key text, expression text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  texts text[] := telltale.texts_in(filter, key);
begin
  return case
    when texts is null then ''
    -- One value by `=`, so that an index gives the rows in their order.
    when cardinality(texts) = 1 then format(' and %s = %L', expression, texts[1])
    else format(' and %s = any (%L::text[])', expression, texts)
  end;
end
$function$;
grant execute on function telltale.matching(jsonb,text,text) to authenticated;
grant execute on function telltale.matching(jsonb,text,text) to service_role;
comment on function telltale.matching(jsonb,text,text) is 'A condition in SQL: the expression equals the string, or one of the strings, under a key of the filter; nothing when absent.';

CREATE OR REPLACE FUNCTION telltale.measured(filter jsonb, block_s integer)
 RETURNS TABLE(key text, block bigint, us double precision, n numeric, sums numeric[])
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  asked record;
  sources uuid[] := telltale.sources_of(filter);
  keys text[];
  kinds text[] := array['all', 'layer', 'tool', 'provider', 'model', 'call'];
begin
  select * into asked from telltale.range_of(filter);
  keys := telltale.series_keys_of(filter, sources);
  if keys is not null then
    return query select * from telltale.measured_cells(keys, sources, asked.since, asked.till, block_s);
    if keys = array['all'] then
      return;
    end if;
    kinds := array_remove(array_remove(kinds, 'all'), split_part(keys[1], ':', 1));
  end if;
  return query select * from telltale.measured_samples(telltale.samples_of(filter, asked.since, asked.till, kinds), block_s);
end
$function$;
comment on function telltale.measured(jsonb,integer) is 'What a filter finds, as measured_cells has it: from the parts, and from the traces what no series key says. Definer: part of
the readers.';

CREATE OR REPLACE FUNCTION telltale.measured_cells(keys text[], sources uuid[], since timestamp with time zone, till timestamp with time zone, block_s integer)
 RETURNS TABLE(key text, block bigint, us double precision, n numeric, sums numeric[])
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
  with cell as materialized (
    select named.key, floor(extract(epoch from found.at) / block_s)::bigint as block, found.cell
    from (
      select r.at, c.key, c.value as cell
      from telltale.rollups_between(since, till, sources, block_s % 3600 = 0) as r
      cross join lateral jsonb_each(r.series) as c
      where keys = array['all'] and c.key ~ '^(all$|(layer|tool|provider|model|call):)'
      union all
      select c.at, c.key, c.cell from telltale.cells_between(case when keys <> array['all'] then keys end, since, till, sources,
        block_s % 3600 = 0) as c
    ) as found
    -- What a filter asks for is the whole, and one of its kind.
    cross join lateral unnest(case when keys = array['all'] then array[found.key] else array[found.key, 'all'] end) as named(key)
  )
  select key, block, null::double precision, null::numeric, array[
    sum((cell -> 'count')::bigint), sum((cell -> 'errors')::bigint), sum((cell -> 'bytes_in')::bigint),
    sum((cell -> 'bytes_out')::bigint), sum((cell -> 'tokens_in')::bigint), sum((cell -> 'tokens_out')::bigint),
    sum((cell -> 'latency' -> 'sum')::bigint)]
  from cell group by key, block
  union all
  select key, null, case when index is null then 0 else power(2::double precision, (index + 0.5::double precision) / 32) end,
    sum(n), null
  from (
    select cell.key, null::int as index, (cell -> 'latency' -> 'z')::bigint as n from cell
    union all
    select cell.key, b.key::int, b.value::bigint from cell cross join lateral jsonb_each(cell.cell -> 'latency' -> 'b') as b
  ) as bucket
  where n > 0
  group by key, index
$function$;
comment on function telltale.measured_cells(text[],uuid[],timestamp with time zone,timestamp with time zone,integer) is 'What was counted under series keys (all of them where keys is {all}, else these and their sum as all), as two kinds of
rows: for key and block of time (its number since the epoch) sums [count, errors, bytes_in, bytes_out, tokens_in, tokens_out,
latency in µs]; for key and latency `us` the number n of requests that took it. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.measured_samples(samples text, block_s integer)
 RETURNS TABLE(key text, block bigint, us double precision, n numeric, sums numeric[])
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
begin
  return query execute format(
    'with sample as materialized (%s)
    select key, floor(extract(epoch from at) / $1)::bigint, null::double precision, null::numeric, array[
      count(*)::numeric, count(*) filter (where outcome in (''tool_error'', ''server_fault'', ''timeout'', ''interrupted'')),
      coalesce(sum(bytes_in), 0), coalesce(sum(bytes_out), 0), coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0),
      coalesce(sum(us) filter (where us >= 0), 0)::numeric]
    from sample group by 1, 2
    union all
    select key, null, us, count(*)::numeric, null from sample where us >= 0 group by key, us', samples)
  using block_s;
end
$function$;
comment on function telltale.measured_samples(text,integer) is 'The same of samples (see samples_of). Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.merge_errors(errors jsonb, process uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
begin
  insert into telltale.errors as e (error_id, fingerprint, day, at, process_id, trace_id, span_id, error_type, message,
    traceback, culprit, context, connection_type, direction, script_name, function_name, data_size_bytes,
    response_time_ms, metadata)
  select distinct on (r.error_id, r.fingerprint collate "C", telltale.day_of(r.at_us))
    r.error_id, r.fingerprint, telltale.day_of(r.at_us), telltale.at_of(r.at_us), process, r.trace_id, r.span_id,
    r.error_type, r.message, r.traceback, r.culprit, coalesce(r.context, '{}'), r.connection_type, r.direction,
    r.script_name, r.function_name, r.data_size_bytes, r.response_time_ms, nullif(r.metadata, 'null')
  from jsonb_to_recordset(errors) as r(error_id uuid, fingerprint text, at_us bigint, trace_id text, span_id text,
    error_type text, message text, traceback text, culprit text, context jsonb, connection_type text, direction text,
    script_name text, function_name text, data_size_bytes bigint, response_time_ms double precision, metadata jsonb)
  order by r.error_id, r.fingerprint collate "C", telltale.day_of(r.at_us), to_jsonb(r)::text collate "C" desc
  on conflict (error_id, fingerprint, day) do update set
    at = excluded.at, process_id = excluded.process_id, trace_id = excluded.trace_id, span_id = excluded.span_id,
    error_type = excluded.error_type, message = excluded.message, traceback = excluded.traceback,
    culprit = excluded.culprit, context = excluded.context, connection_type = excluded.connection_type,
    direction = excluded.direction, script_name = excluded.script_name, function_name = excluded.function_name,
    data_size_bytes = excluded.data_size_bytes, response_time_ms = excluded.response_time_ms,
    metadata = excluded.metadata
  where to_jsonb(excluded)::text collate "C" > to_jsonb(e)::text collate "C";
end
$function$;
comment on function telltale.merge_errors(jsonb,uuid) is 'Of two errors with one key but different content the greater stays: by the text of the row as jsonb, by bytes. Definer:
part of ingest_batch, and rare.';

CREATE OR REPLACE FUNCTION telltale.merge_spans(a jsonb, b jsonb, spans_max integer DEFAULT 10000)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select m.spans from telltale.merged_spans(array[a], array[b], spans_max) as m $function$;
grant execute on function telltale.merge_spans(jsonb,jsonb,integer) to service_role;
comment on function telltale.merge_spans(jsonb,jsonb,integer) is 'Two objects of spans of one trace as one; see merged_spans.';

CREATE OR REPLACE FUNCTION telltale.merge_traces(traces jsonb, others text[])
 RETURNS text[]
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_first date;
  v_last date;
  v_after text := '';
  v_held int;
  v_ids text[];
  v_days date[];
  v_dropped int[];
  v_revisions bigint[];
  v_stored jsonb[];
  v_sent jsonb[];
  v_merged jsonb[];
  v_sampled jsonb[];
  v_all text[] := '{}';
begin
  -- A first and a last day, since of all the partitions only those between are then opened.
  select min(d.day), max(d.day) into v_first, v_last
  from jsonb_array_elements(traces) as r
  cross join lateral (select day from telltale.trace_days where trace_id = r.value ->> 'trace_id' offset 0) as d
  where r.value ->> 'trace_id' <> all (others);
  loop
    -- All rows are locked at once, but no more of them are held in memory than have about 20,000 spans.
    with held as materialized (
      select t.*, r.sent
      from (
        select value ->> 'trace_id' as trace_id, value -> 'spans' as sent,
          (select d.day from telltale.trace_days as d where d.trace_id = value ->> 'trace_id') as day
        from jsonb_array_elements(traces)
        where value ->> 'trace_id' <> all (others) and value ->> 'trace_id' collate "C" > v_after
        order by value ->> 'trace_id' collate "C"
      ) as r
      cross join lateral (
        select t.trace_id, t.day, t.spans_dropped, t.revision, t.span_count, t.sampled,
          -- Of one whose spans were let go the head is known.
          case when t.sampled is null then t.spans
            else jsonb_build_object(t.sampled ->> 'span_id', t.sampled - 'span_id') end as spans
        from telltale.traces as t
        where t.trace_id = r.trace_id and t.day = r.day and t.day between v_first and v_last
        for no key update
      ) as t
    ), weighed as (
      select *, sum(span_count) over (order by trace_id) - span_count as before from held
    )
    select (select count(*) from held), array_agg(trace_id), array_agg(day), array_agg(spans_dropped),
      array_agg(revision), array_agg(spans), array_agg(sent), array_agg(sampled)
    into v_held, v_ids, v_days, v_dropped, v_revisions, v_stored, v_sent, v_sampled
    from weighed where before < 20000;
    exit when v_held = 0;
    select array_agg(m.spans order by m.place), array_agg(m.dropped + v_dropped[m.place] order by m.place)
    into v_merged, v_dropped from telltale.merged_spans(v_stored, v_sent) as m;
    -- Every row is there and locked. An update would open all partitions, an insert opens those that it writes.
    insert into telltale.traces as t (trace_id, day, started_at, ended_at, duration_ms, wait_ms, process_id,
      bytes_in, bytes_out, tokens_in, tokens_out, call_number, span_count, spans_dropped, revision, name, outcome,
      request_id, session_key, session_rule, tool, provider, model, layers, spans)
    select m.trace_id, m.day, telltale.at_of(s.started_at_us), telltale.at_of(s.ended_at_us), s.duration_ms, s.wait_ms,
      s.process::uuid, s.bytes_in, s.bytes_out, s.tokens_in, s.tokens_out, s.call_number, s.span_count, m.dropped,
      m.revision + 1, s.name, s.outcome, s.request_id, s.session_key, s.session_rule, s.tool, s.provider, s.model,
      s.layers, m.spans
    from telltale.summaries_of(v_merged) as s
    join unnest(v_ids, v_days, v_dropped, v_revisions, v_merged) with ordinality
      as m(trace_id, day, dropped, revision, spans, place) on m.place = s.place
    on conflict (trace_id, day) do update set
      (started_at, ended_at, duration_ms, wait_ms, process_id, bytes_in, bytes_out, tokens_in, tokens_out, call_number,
        span_count, spans_dropped, revision, name, outcome, request_id, session_key, session_rule, tool, provider,
        model, layers, spans, changed_at, changed_xid) = row (
      excluded.started_at, excluded.ended_at, excluded.duration_ms, excluded.wait_ms, excluded.process_id,
      excluded.bytes_in, excluded.bytes_out, excluded.tokens_in, excluded.tokens_out, excluded.call_number,
      excluded.span_count, excluded.spans_dropped, excluded.revision, excluded.name, excluded.outcome,
      excluded.request_id, excluded.session_key, excluded.session_rule, excluded.tool, excluded.provider,
      excluded.model, excluded.layers, excluded.spans, excluded.changed_at, excluded.changed_xid)
      where t.sampled is null;
    if cardinality(array_remove(v_sampled, null)) > 0 then
      perform telltale.retime_sampled(v_ids, v_days, v_merged, v_sampled);
    end if;
    v_all := v_all || v_ids;
    exit when v_held = cardinality(v_ids);
    v_after := v_ids[cardinality(v_ids)];
  end loop;
  return v_all;
end
$function$;
comment on function telltale.merge_traces(jsonb,text[]) is 'Locks the rows that exist of TraceRows, in order of trace id, but for those of others, and merges the spans into them;
the trace ids of those it found. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.merged_spans(stored jsonb[], sent jsonb[], spans_max integer DEFAULT 10000)
 RETURNS TABLE(place bigint, spans jsonb, dropped integer)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE ROWS 100
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  -- Greater wins whole: (rank: pending 0, concluded by the tick 1, ended 2; end; text by bytes).
  return query
  with change as (
    select place, jsonb_object_agg(id, theirs) as spans, count(*) filter (where ours is null) as fresh
    from (
      select place, id, theirs, ours,
        case when theirs ->> 'end_us' is null then 0 when theirs -> 'concluded' = 'true' then 1 else 2 end as their_rank,
        case when ours ->> 'end_us' is null then 0 when ours -> 'concluded' = 'true' then 1 else 2 end as our_rank
      from (
        select t.place, b.key as id, b.value as theirs, t.a -> b.key as ours
        from unnest(stored, sent) with ordinality as t(a, b, place) cross join lateral jsonb_each(t.b) as b
        offset 0
      ) as pair
    ) as version
    where ours is null
      or their_rank > our_rank
      or (their_rank = our_rank and (
        coalesce((theirs -> 'end_us')::numeric, 0) > coalesce((ours -> 'end_us')::numeric, 0)
        or (coalesce((theirs -> 'end_us')::numeric, 0) = coalesce((ours -> 'end_us')::numeric, 0)
          and theirs::text collate "C" > ours::text collate "C")))
    group by place
  ), counted as (
    select t.place, t.a, change.spans as b, change.fresh,
      spans_max - case when change.fresh > 0 then (select count(*) from jsonb_object_keys(t.a)) end as room
    from unnest(stored) with ordinality as t(a, place) left join change on change.place = t.place
  )
  select c.place,
    case when c.b is null then c.a
      when c.fresh > c.room then c.a || coalesce((
        select jsonb_object_agg(key, value)
        from (select key, value, row_number() over (partition by c.a ? key order by key collate "C") as nth
          from jsonb_each(c.b)) as s
        where c.a ? key or nth <= c.room), '{}')
      else c.a || c.b end,
    greatest(0, c.fresh - greatest(0, c.room))::int
  from counted as c;
end
$function$;
grant execute on function telltale.merged_spans(jsonb[],jsonb[],integer) to service_role;
comment on function telltale.merged_spans(jsonb[],jsonb[],integer) is 'Objects of spans keyed by span id, stored and sent ones of the same traces, as one: of each span the stronger version.
Past spans_max spans of a trace further new ids are left out; `dropped` counts them.';

CREATE OR REPLACE FUNCTION telltale.merged_stats(stats jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select jsonb_build_object('count', sum(count), 'error_rate', round(sum(errors) / nullif(sum(count), 0), 6),
    'mean_ms', round(sum(mean_ms * count) / nullif(sum(count) filter (where mean_ms is not null), 0), 3))
  from (
    select (value ->> 'count')::numeric as count, (value ->> 'errors')::numeric as errors, (value ->> 'mean_ms')::numeric as mean_ms
    from jsonb_array_elements(stats)
  ) as one
$function$;
grant execute on function telltale.merged_stats(jsonb) to authenticated;
grant execute on function telltale.merged_stats(jsonb) to service_role;
comment on function telltale.merged_stats(jsonb) is 'Of [Stats] {count, error_rate, mean_ms} of all together: a provider may be written in more than one way.';

CREATE OR REPLACE FUNCTION telltale.missing_batches(seqs int8multirange, forgotten bigint)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select forgotten + coalesce((
    select sum(upper(r) - lower(r))
    from unnest(case when not isempty(seqs) then int8multirange(int8range(1, upper(seqs))) - seqs end) as r), 0)::bigint
$function$;
grant execute on function telltale.missing_batches(int8multirange,bigint) to authenticated;
grant execute on function telltale.missing_batches(int8multirange,bigint) to service_role;
comment on function telltale.missing_batches(int8multirange,bigint) is 'How many sequence numbers below the greatest are missing, and how many were given up: seqs and seqs_forgotten of a process.';

CREATE OR REPLACE FUNCTION telltale.most_counted(stats jsonb, kind text)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select coalesce(jsonb_agg(value || jsonb_build_object('key', name) order by count desc, name collate "C"), '[]')
  from (
    select substr(key, length(kind) + 2) as name, value, (value ->> 'count')::numeric as count
    from jsonb_each(stats)
    where starts_with(key, kind || ':')
    order by (value ->> 'count')::numeric desc, key collate "C" limit 100
  ) as listed
$function$;
grant execute on function telltale.most_counted(jsonb,text) to authenticated;
grant execute on function telltale.most_counted(jsonb,text) to service_role;
comment on function telltale.most_counted(jsonb,text) is 'Of {series key: Stats} the 100 of a kind with the greatest count, as [{key: the name alone, ...Stats}].';

CREATE OR REPLACE FUNCTION telltale.moved_minutes(skewed uuid[], since timestamp with time zone, till timestamp with time zone, whole_hours boolean)
 RETURNS TABLE(at timestamp with time zone, series jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  kept timestamptz := (telltale.today() - 30)::timestamp at time zone 'UTC';
  by_hour boolean := whole_hours and (till - since > interval '2 days' or since < kept);
begin
  if by_hour then
    -- So far back, and over so long, to the hour.
    return query
      select h.hour + s.shift, h.series from telltale.rollup_hours as h
      left join telltale.source_clocks as c on c.source_id = h.source_id
        and h.hour >= date_trunc('hour', c.from_minute, 'UTC') and h.hour < coalesce(c.to_minute, 'infinity')
      cross join lateral (select coalesce(round(extract(epoch from c.shift) / 3600) * interval '1 hour', interval '0') as shift) as s
      where h.source_id = any (skewed) and h.hour + s.shift >= since and h.hour + s.shift < till
        and h.hour between since - interval '1 day' and till + interval '1 day';
    return;
  end if;
  return query
    select m.minute + s.shift, m.series from telltale.rollup_minutes as m
    left join telltale.source_clocks as c on c.source_id = m.source_id
      and m.minute >= c.from_minute and m.minute < coalesce(c.to_minute, 'infinity')
    cross join lateral (select coalesce(c.shift, interval '0') as shift) as s
    where m.source_id = any (skewed) and m.minute + s.shift >= since and m.minute + s.shift < till
      and m.minute between since - interval '1 day' and till + interval '1 day'
      and m.day between ((since - interval '1 day') at time zone 'UTC')::date and ((till + interval '1 day') at time zone 'UTC')::date;
end
$function$;
comment on function telltale.moved_minutes(uuid[],timestamp with time zone,timestamp with time zone,boolean) is 'The minutes of these sources that belong to a stretch of time once their clocks are set right. With whole_hours over more than
two days, or further back than minutes go: their computed hours, moved by whole hours. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.ms_of(ms double precision)
 RETURNS numeric
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN trim_scale(round((ms)::numeric, 3));
grant execute on function telltale.ms_of(double precision) to authenticated;
grant execute on function telltale.ms_of(double precision) to service_role;
comment on function telltale.ms_of(double precision) is 'ms to the µs, as they are answered.';

CREATE OR REPLACE FUNCTION telltale.names_max(kind text)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$
  select case kind when 'tool' then 64 when 'provider' then 16 when 'model' then 32 when 'layer' then 16
    when 'connection' then 16 when 'cache' then 16 end
$function$;
grant execute on function telltale.names_max(text) to authenticated;
grant execute on function telltale.names_max(text) to service_role;
comment on function telltale.names_max(text) is 'How many names of a kind a source may have; see src/core/limit.ts.';

CREATE OR REPLACE FUNCTION telltale.no_stats()
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select telltale.stats_of(0, 0, 1, null, null, 0, 0, 0, 0) $function$;
comment on function telltale.no_stats() is 'Stats of nothing.';

CREATE OR REPLACE FUNCTION telltale.normal_tails(z double precision)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select t * exp(-z * z / 2 - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
    + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277)))))))))
  from (select 1 / (1 + 0.5 * abs(z) / sqrt(2::double precision))) as u(t)
  -- Further out it is less than a double can hold.
  where abs(z) < 37
$function$;
grant execute on function telltale.normal_tails(double precision) to authenticated;
grant execute on function telltale.normal_tails(double precision) to service_role;
comment on function telltale.normal_tails(double precision) is 'How much of a standard normal distribution lies at least |z| from its middle, to seven digits (erfc as Numerical Recipes 6.2
has it); null where that is nothing.';

CREATE OR REPLACE FUNCTION telltale.note_alert_push(revision bigint)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  update telltale.alert_state as s set pushed_revision = least(s.revision, greatest(s.pushed_revision, note_alert_push.revision))
$function$;
grant execute on function telltale.note_alert_push(bigint) to service_role;
comment on function telltale.note_alert_push(bigint) is 'The open pages know this revision now. Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.note_deliveries(deliveries jsonb)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.note_deliveries(jsonb) to service_role;
comment on function telltale.note_deliveries(jsonb) is 'How attempts went: [{notification_id, attempt, ok, final, status, error, retry_ms}]; answers how many were noted. Definer: no
role may write the table.';

CREATE OR REPLACE FUNCTION telltale.number_in(filter jsonb, key text)
 RETURNS numeric
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  value numeric;
begin
  value := (filter ->> key)::numeric;
  -- NaN and the infinities too: numeric has them, and NaN is greater than all.
  if value not between -1e15 and 1e15 then
    raise numeric_value_out_of_range;
  end if;
  return value;
exception
  when data_exception then
    raise exception 'Cannot read filter: % is %', key, filter -> key
      using errcode = '22023', hint = key || ' is a number of at most 1e15.';
end
$function$;
grant execute on function telltale.number_in(jsonb,text) to authenticated;
grant execute on function telltale.number_in(jsonb,text) to service_role;
comment on function telltale.number_in(jsonb,text) is 'The number under a key of a filter, null when absent; raises 22023 for anything else, and beyond 1e15 either way.';

CREATE OR REPLACE FUNCTION telltale.older_versions(fingerprint text, version text)
 RETURNS text[]
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(array_agg(known.version order by known.last_seen_at desc, known.version collate "C"), '{}')
  from (
    select p.version, max(p.last_seen_at) as last_seen_at
    from telltale.processes as p
    join telltale.sources as s on s.source_id = p.source_id
    where p.version <> older_versions.version and s.service in (
      select named.service from telltale.error_groups as g join telltale.sources as named on named.source_id = g.source_id
      where g.fingerprint = older_versions.fingerprint)
    group by p.version
    having min(p.started_at) < coalesce((
      select min(same.started_at) from telltale.processes as same where same.version = older_versions.version), 'infinity')
    order by max(p.last_seen_at) desc, p.version collate "C" limit 100
  ) as known
$function$;
comment on function telltale.older_versions(text,text) is 'The versions of the group''s services whose first process started before the first of this version did, which may be still
to come: 100, the last seen first. Definer: part of set_error_group_state.';

CREATE OR REPLACE FUNCTION telltale.open_alerts()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform telltale.require_reader();
  return telltale.alert_push();
end
$function$;
grant execute on function telltale.open_alerts() to authenticated;
grant execute on function telltale.open_alerts() to service_role;
comment on function telltale.open_alerts() is 'AlertPush {rev, at_us, total, alerts}: what the page is pushed, for when it was not. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.overview(filter jsonb DEFAULT '{}'::jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  asked record;
  sources uuid[];
  keys text[];
  by_key jsonb;
  total jsonb;
  before jsonb;
  recent jsonb;
  clocks jsonb;
  health jsonb := '{"status": "empty", "reasons": ["Nothing has ever been received."]}';
  received timestamptz;
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
    'min_duration_ms', 'max_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
  select * into asked from telltale.range_of(filter);
  sources := telltale.sources_of(filter);
  keys := telltale.series_keys_of(filter, sources);
  by_key := telltale.stats_by_key(filter, keys, sources, asked.since, asked.till);
  total := coalesce(by_key -> 'all', telltale.stats_between(filter, keys, sources, asked.since, asked.till));
  before := telltale.stats_between(filter, keys, sources, asked.since - (asked.till - asked.since), asked.since);
  select max(p.last_seen_at) into received from telltale.processes as p
  where (sources is null or p.source_id = any (sources)) and p.source_id <> telltale.own_source();
  if received is not null then
    recent := telltale.stats_between(filter, keys, sources,
      greatest(asked.since, date_trunc('minute', least(asked.till, telltale.clock())) - interval '5 minutes'), asked.till);
    health := telltale.health_of(total, before, recent, telltale.lost_by(sources, asked.since, asked.till),
      case when asked.till >= telltale.clock() then telltale.clock() - received end);
  end if;
  clocks := telltale.clocks_off(asked.since, asked.till, sources);
  if clocks <> '[]' then
    health := jsonb_build_object('status', case when health ->> 'status' = 'ok' then 'degraded' else health ->> 'status' end,
      'reasons', (health -> 'reasons') || to_jsonb(format('The clock of %s is %s minutes %s: its requests are counted when they really ended.',
        concat_ws(' on ', clocks -> 0 ->> 'service', clocks -> 0 ->> 'instance'), abs((clocks -> 0 -> 'offset_ms')::bigint) / 60000,
        case when (clocks -> 0 -> 'offset_ms')::bigint > 0 then 'ahead' else 'behind' end)));
  end if;
  return jsonb_build_object('from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
    'source', case when keys is null then 'traces' else 'parts' end, 'total', total, 'before', before,
    'layers', telltale.most_counted(by_key, 'layer'), 'tools', telltale.most_counted(by_key, 'tool'),
    'providers', telltale.most_counted(by_key, 'provider'), 'models', telltale.most_counted(by_key, 'model'),
    'calls', telltale.most_counted(by_key, 'call'), 'connections', telltale.most_counted(by_key, 'connection'),
    'caches', telltale.most_counted(by_key, 'cache'),
    'health', health, 'clocks', clocks, 'last_received_at_us', telltale.us_of(received),
    'environments', coalesce((select jsonb_agg(name order by name collate "C") from (
      select distinct s.environment as name from telltale.sources as s
      where s.source_id <> telltale.own_source() order by 1 limit 100) as listed), '[]'),
    'services', coalesce((select jsonb_agg(name order by name collate "C") from (
      select distinct s.service as name from telltale.sources as s
      where s.source_id <> telltale.own_source() order by 1 limit 100) as listed), '[]'));
end
$function$;
grant execute on function telltale.overview(jsonb) to authenticated;
grant execute on function telltale.overview(jsonb) to service_role;
comment on function telltale.overview(jsonb) is '{from_us, to_us (whole minutes, to exclusive), source: parts | traces, total: Stats, before: Stats of as long a time before,
layers, tools, providers, models, calls, connections, caches: [{key: the name, ...Stats}], at most 100 each, the most counted
first, health: see health_of, clocks: those off by a minute or more, see clocks_off, last_received_at_us, environments, services: [name], of all}. Stats: see stats_of. Filter: as traces;
from is 15 minutes ago and to is now unless given. Parts count a request when it ended, traces when it started; with one
tool, provider, model, layer or call number the lists of the other kinds are from traces. Definer, see the file''s head.';

CREATE OR REPLACE FUNCTION telltale.own_source()
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select telltale.source_id_of('telltale', 'telltale', 'telltale') $function$;
grant execute on function telltale.own_source() to authenticated;
grant execute on function telltale.own_source() to service_role;
comment on function telltale.own_source() is 'The source of Telltale''s own resources: its gauges are shown, but it sends no batches and is no sign of life of a daemon.';

CREATE OR REPLACE FUNCTION telltale.p_of_shares(a numeric, a_of numeric, b numeric, b_of numeric)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  -- Yates' correction: without it few requests would make much of little.
  select case when a_of >= 5 and b_of >= 5 then coalesce(telltale.p_of_z(
    greatest(0, abs(a / a_of - b / b_of) - (1 / a_of + 1 / b_of) / 2)::double precision
    / nullif(sqrt((pooled * (1 - pooled) * (1 / a_of + 1 / b_of))::double precision), 0)), 1) end
  from (select (a + b) / nullif(a_of + b_of, 0) as pooled) as together
$function$;
grant execute on function telltale.p_of_shares(numeric,numeric,numeric,numeric) to authenticated;
grant execute on function telltale.p_of_shares(numeric,numeric,numeric,numeric) to service_role;
comment on function telltale.p_of_shares(numeric,numeric,numeric,numeric) is 'Of a in a_of and b in b_of: how likely chance alone makes shares so different (two-proportion test, pooled, corrected for
continuity). Null where either is of fewer than 5.';

CREATE OR REPLACE FUNCTION telltale.p_of_z(z double precision)
 RETURNS double precision
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$
  -- Chebyshev fit to erfc(x), Numerical Recipes 6.2: relative error below 1.2e-7. Past 25 exp() would underflow.
  select least(1, t * exp(-x * x - 1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
    + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))))))
  from (select least(abs(z) / sqrt(2::double precision), 25) as x) as scaled
  cross join lateral (select 1 / (1 + x / 2) as t) as inverse
$function$;
grant execute on function telltale.p_of_z(double precision) to authenticated;
grant execute on function telltale.p_of_z(double precision) to service_role;
comment on function telltale.p_of_z(double precision) is 'How likely a standard normal value is at least as far from 0 as z, on either side: 1 at 0, at least 1e-272.';

CREATE OR REPLACE FUNCTION telltale.page_size(n integer)
 RETURNS integer
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
begin
  if n not between 1 and 1000 then
    raise exception 'Cannot read page: n is %', n using errcode = '22023', hint = 'n is from 1 to 1000, or null for 100.';
  end if;
  return coalesce(n, 100);
end
$function$;
grant execute on function telltale.page_size(integer) to authenticated;
grant execute on function telltale.page_size(integer) to service_role;
comment on function telltale.page_size(integer) is 'How many rows a page has: n, or 100; raises 22023 outside 1..1000.';

CREATE OR REPLACE FUNCTION telltale.percent_of(share numeric)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select trim_scale(round(share * 100, 1))::text || ' %' $function$;
grant execute on function telltale.percent_of(numeric) to authenticated;
grant execute on function telltale.percent_of(numeric) to service_role;
comment on function telltale.percent_of(numeric) is 'A share of 1 as people read it, such as 2.5 %.';

CREATE OR REPLACE FUNCTION telltale.performance_metrics("from" text DEFAULT NULL::text, "to" text DEFAULT NULL::text, filter jsonb DEFAULT '{}'::jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  resources constant text[] := array['redis_memory_mb', 'redis_key_count', 'supabase_pool_active', 'supabase_pool_idle',
    'websocket_connections'];
  view jsonb;
  total jsonb;
  gauges jsonb;
  providers jsonb;
  minutes numeric;
begin
  perform telltale.require_reader();
  perform telltale.check_filter(coalesce(filter, '{}'), array['environment', 'service']);
  filter := coalesce(filter, '{}') || jsonb_strip_nulls(jsonb_build_object('from', "from", 'to', "to"));
  view := telltale.overview(filter);
  total := view -> 'total';
  minutes := telltale.seconds_of(telltale.at_of((view -> 'from_us')::bigint), telltale.at_of((view -> 'to_us')::bigint))::numeric / 60;
  gauges := telltale.gauges_between(resources || array['realtime_connections', 'database_mb'],
    telltale.at_of((view -> 'from_us')::bigint), telltale.at_of((view -> 'to_us')::bigint), telltale.sources_of(filter));
  -- Known by name however a daemon writes it; those that an operator asks for are there with or without calls.
  select jsonb_object_agg(name, stats) into providers from (
    select name, jsonb_build_object('count', coalesce((p ->> 'count')::numeric, 0),
      'average_latency_ms', p -> 'mean_ms', 'error_rate', p -> 'error_rate') as stats
    from (select distinct lower(value ->> 'key') as name from jsonb_array_elements(view -> 'providers')
      union values ('glm'), ('kimi')) as named
    left join lateral (
      select telltale.merged_stats(jsonb_agg(value)) as p from jsonb_array_elements(view -> 'providers')
      where lower(value ->> 'key') = name) as found on true
  ) as each;
  return jsonb_build_object('from_us', view -> 'from_us', 'to_us', view -> 'to_us',
    'latency_p50_ms', total -> 'p50_ms', 'latency_p95_ms', total -> 'p95_ms', 'latency_p99_ms', total -> 'p99_ms',
    'requests_per_second', total -> 'per_second',
    'bytes_per_second', round(((total ->> 'bytes_in')::numeric + (total ->> 'bytes_out')::numeric) / greatest(minutes * 60, 1), 3),
    'error_rate', total -> 'error_rate', 'errors_per_minute', round((total ->> 'errors')::numeric / greatest(minutes, 1 / 60.0), 6),
    'glm_latency_avg_ms', providers -> 'glm' -> 'average_latency_ms', 'glm_error_rate', providers -> 'glm' -> 'error_rate',
    'kimi_latency_avg_ms', providers -> 'kimi' -> 'average_latency_ms', 'kimi_error_rate', providers -> 'kimi' -> 'error_rate',
    'providers', providers, 'database_mb', coalesce(gauges -> 'database_mb', '[]'),
    'realtime_connections', coalesce(gauges -> 'realtime_connections', '[]'))
    || (select jsonb_object_agg(name, coalesce(gauges -> name, '[]')) from unnest(resources) as name);
end
$function$;
grant execute on function telltale.performance_metrics(text,text,jsonb) to authenticated;
grant execute on function telltale.performance_metrics(text,text,jsonb) to service_role;
comment on function telltale.performance_metrics(text,text,jsonb) is 'The operator''s sixteen metrics from..to (ISO 8601 or µs; the last 15 minutes unless given): latency_p50_ms, latency_p95_ms,
latency_p99_ms, requests_per_second, bytes_per_second, error_rate, errors_per_minute; redis_memory_mb, redis_key_count,
supabase_pool_active, supabase_pool_idle, websocket_connections: each [{service, environment, instance, labels, samples, mean,
max, last, last_at_us}], those of service telltale being Telltale''s own; glm_latency_avg_ms, glm_error_rate, kimi_latency_avg_ms,
kimi_error_rate, and of every provider providers {name in lower case: {count, average_latency_ms, error_rate}}. Beside them
realtime_connections (pages) and database_mb. Filter: environment, service. Null: nothing was counted. Definer, see the
head of create_series_reader; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.picked_series(series jsonb, patterns text[])
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$ select jsonb_object_agg(key, value) from jsonb_each(series) where key like any (patterns) $function$;
comment on function telltale.picked_series(jsonb,text[]) is 'The cells of these keys; null where there is none.';

CREATE OR REPLACE FUNCTION telltale.pin_trace(trace_id text, pinned boolean DEFAULT true)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.pin_trace(text,boolean) to authenticated;
grant execute on function telltale.pin_trace(text,boolean) to service_role;
comment on function telltale.pin_trace(text,boolean) is 'Lets a trace keep its spans, or no longer; whether it is pinned now, or was. A trace whose spans are gone does not get them back.
Definer: members may not write the table otherwise; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.place_of(cursor text, shape jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  place jsonb;
  base64 text := translate(cursor, '-_', '+/');
begin
  if cursor is null then
    return null;
  end if;
  begin
    place := convert_from(decode(base64 || repeat('=', (4 - length(base64) % 4) % 4), 'base64'), 'UTF8')::jsonb;
  exception
    when data_exception then place := null;
  end;
  if jsonb_typeof(place) = 'object'
    and not exists (select from jsonb_each_text(shape) as s where coalesce(place ->> s.key, '') !~ s.value) then
    return place;
  end if;
  raise exception 'Cannot read cursor: %', to_json(left(cursor, 100))
    using errcode = '22023', hint = 'A cursor is the `next` of the page before, from the same function; null begins.';
end
$function$;
grant execute on function telltale.place_of(text,jsonb) to authenticated;
grant execute on function telltale.place_of(text,jsonb) to service_role;
comment on function telltale.place_of(text,jsonb) is 'The place that a cursor means, null of null; raises 22023 unless it has the keys of `shape` and their values match its patterns.';

CREATE OR REPLACE FUNCTION telltale.processes_where(filter jsonb)
 RETURNS text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  if filter ->> 'environment' is null and filter ->> 'service' is null then
    return '';
  end if;
  return ' and t.process_id in (select p.process_id from telltale.processes as p
    join telltale.sources as s on s.source_id = p.source_id where true'
    || telltale.matching(filter, 'environment', 's.environment') || telltale.matching(filter, 'service', 's.service') || ')';
end
$function$;
comment on function telltale.processes_where(jsonb) is 'A condition in SQL on t.process_id, by the environment and service of a filter. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.query_of(words text)
 RETURNS tsquery
 LANGUAGE sql
 IMMUTABLE STRICT
 SET search_path TO ''
AS $function$
  select case when numnode(q) = 0 then q else (q::text || ':*')::tsquery end
  from (select plainto_tsquery('pg_catalog.simple', words) as q) as parsed
$function$;
grant execute on function telltale.query_of(text) to authenticated;
grant execute on function telltale.query_of(text) to service_role;
comment on function telltale.query_of(text) is 'All of the words, the last of them as a beginning.';

CREATE OR REPLACE FUNCTION telltale.range_of(filter jsonb, step_s integer DEFAULT 60, OUT since timestamp with time zone, OUT till timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  width integer := step_s;
begin
  till := coalesce(telltale.instant_of(filter, 'to'), telltale.clock());
  since := coalesce(telltale.instant_of(filter, 'from'), till - interval '15 minutes');
  if since >= till then
    raise exception 'Cannot read filter: from is not before to'
      using errcode = '22023', hint = 'from is before to; to is now, and from 15 minutes before it, unless they are given.';
  end if;
  if since < till - interval '400 days' then
    raise exception 'Cannot read filter: from is more than 400 days before to'
      using errcode = '22023', hint = 'No metrics are kept for longer than 400 days.';
  end if;
  -- Of a time whose minutes are gone there are whole hours.
  if telltale.day_of(telltale.us_of(since)) < telltale.today() - 30 then
    width := greatest(step_s, 3600);
  end if;
  since := to_timestamp(floor(extract(epoch from since) / width) * width);
  till := to_timestamp(ceil(extract(epoch from till) / step_s) * step_s);
end
$function$;
grant execute on function telltale.range_of(jsonb,integer) to authenticated;
grant execute on function telltale.range_of(jsonb,integer) to service_role;
comment on function telltale.range_of(jsonb,integer) is 'The stretch of time that a filter means, to exclusive, in whole steps (in s, from the epoch on): from rounded down, to
rounded up. Raises 22023 unless from is before to, by at most 400 days.';

CREATE OR REPLACE FUNCTION telltale.read_key(key_id text)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select jsonb_build_object('key_id', k.key_id, 'key_hash', k.key_hash, 'revoked', k.revoked_at is not null)
  from telltale.ingest_keys as k
  where k.key_id = read_key.key_id
$function$;
grant execute on function telltale.read_key(text) to service_role;
comment on function telltale.read_key(text) is 'KeyRow {key_id, key_hash, revoked}, null when there is none. Definer: hashes are for the edge alone, through this.';

CREATE OR REPLACE FUNCTION telltale.refresh_stretches(patterns text[], with_burns boolean)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  now_at timestamptz := telltale.clock();
  usual_s integer := coalesce((select max(baseline_s) from telltale.alert_rules
    where enabled and condition = 'above_baseline'), 0);
begin
  -- A clock that went back makes what is there look fresh for ever.
  if exists (select from telltale.alert_stretches where computed_at > now_at - interval '5 minutes' and computed_at <= now_at) then
    return;
  end if;
  delete from telltale.alert_stretches;
  insert into telltale.alert_stretches (service, environment, age_s, series, computed_at)
  select s.service, s.environment, t.age_s, telltale.series_merge(t.series), now_at
  from (
    -- What is usual: the minutes of the hour before the last ten minutes, and before them whole hours.
    select 0 as age_s, m.source_id, telltale.picked_series(m.series, patterns) as series
    from telltale.rollup_minutes as m
    where usual_s > 0 and m.minute >= now_at - interval '70 minutes' and m.minute < now_at - interval '10 minutes'
      and m.day between ((now_at - interval '70 minutes') at time zone 'UTC')::date and (now_at at time zone 'UTC')::date
    union all
    select 0, h.source_id, telltale.picked_series(h.series, patterns) from telltale.rollup_hours as h
    where usual_s > 0 and h.hour >= now_at - usual_s * interval '1 second' and h.hour < now_at - interval '130 minutes'
    union all
    select 21600, m.source_id, telltale.picked_series(m.series, patterns) from telltale.rollup_minutes as m
    where with_burns and m.minute >= now_at - interval '6 hours' and m.minute < now_at - interval '1 hour'
      and m.day between ((now_at - interval '6 hours') at time zone 'UTC')::date and (now_at at time zone 'UTC')::date
    union all
    select 259200, h.source_id, telltale.picked_series(h.series, patterns) from telltale.rollup_hours as h
    where with_burns and h.hour >= now_at - interval '3 days' and h.hour < now_at - interval '7 hours'
  ) as t
  join telltale.sources as s on s.source_id = t.source_id
  where t.series is not null
  group by s.service, s.environment, t.age_s
  on conflict (service, environment, age_s) do nothing;
end
$function$;
comment on function telltale.refresh_stretches(text[],boolean) is 'Adds up the long stretches again when they are older than five minutes. An hour that a stretch begins in the midst of is
left out rather than counted twice. Definer: part of alert_inputs.';

CREATE OR REPLACE FUNCTION telltale.release_tick(holder text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  update telltale.tick_lease as l set holder = null, expires_at = telltale.clock() where l.holder = release_tick.holder;
  return found;
end
$function$;
grant execute on function telltale.release_tick(text) to service_role;
comment on function telltale.release_tick(text) is 'Gives the lease back; false when it was not the holder''s any more. Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.remove_destination(name text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  update telltale.alert_destinations as d set removed_at = telltale.clock(), url = telltale.masked_url(d.url),
    secret = case when d.secret is null then null else 'removed' end
  where d.name = remove_destination.name and d.removed_at is null;
  return found;
end
$function$;
grant execute on function telltale.remove_destination(text) to service_role;
comment on function telltale.remove_destination(text) is 'Tells it no more, and forgets its secrets; its log stays. False when there is none. Definer: the operator alone.';

CREATE OR REPLACE FUNCTION telltale.remove_member(user_id uuid)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  with removed as (
    delete from telltale.members as m where m.user_id = remove_member.user_id
    returning 1
  ), unseen as (
    delete from telltale.viewers as v where v.user_id = remove_member.user_id
  )
  select exists (select from removed)
$function$;
grant execute on function telltale.remove_member(uuid) to service_role;
comment on function telltale.remove_member(uuid) is 'Takes the right to read from a user, at once and whatever tokens they hold; false when they had none. Definer: no role
may write the table.';

CREATE OR REPLACE FUNCTION telltale.remove_rule(rule_id text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  delete from telltale.alert_rules as r where r.rule_id = remove_rule.rule_id and not r.is_template;
  if not found then
    return false;
  end if;
  update telltale.alert_state set revision = revision + 1;
  return true;
end
$function$;
grant execute on function telltale.remove_rule(text) to service_role;
comment on function telltale.remove_rule(text) is 'Removes a rule with its alerts; false for a template, which can only be disabled, or where there is none. Definer: the operator alone.';

CREATE OR REPLACE FUNCTION telltale.renamed_series(series jsonb, renamed jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select telltale.series_merge(jsonb_build_object(coalesce(renamed ->> key, key), value)) from jsonb_each(series)
$function$;
grant execute on function telltale.renamed_series(jsonb,jsonb) to service_role;
comment on function telltale.renamed_series(jsonb,jsonb) is 'A series with its keys renamed as {old: new} says; cells that meet under one key are added up.';

CREATE OR REPLACE FUNCTION telltale.reopen_error_groups(errors jsonb, inserted jsonb, source uuid, version text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_version text := version;
  v_held text[];
begin
  select array_agg(held.fingerprint) into v_held from (
    select s.fingerprint from telltale.error_group_states as s
    where s.fingerprint = any (array(select e.value ->> 'fingerprint' from jsonb_array_elements(errors) as e))
    order by s.fingerprint for no key update
  ) as held;
  update telltale.error_group_states as s set
    counted = found.counted,
    reopened_by = found.first,
    reopened_at = case when found.first is not null or found.counted = s.count_max
      then coalesce(s.reopened_at, telltale.clock()) end
  from (
    select h.fingerprint,
      least(coalesce(h.count_max, 0), h.counted + (
        select count(*) from jsonb_to_recordset(inserted) as i(fingerprint text, at timestamptz)
        where i.fingerprint = h.fingerprint and i.at > h.since)) as counted,
      (
        select speaking.error
        from (
          select h.reopened_by as error where h.reopened_by is not null
          union all
          select telltale.reopening_error(jsonb_populate_record(null::telltale.errors,
            e.value || jsonb_build_object('at', telltale.at_of((e.value -> 'at_us')::bigint))),
            v_version, o.service, o.environment)
          from jsonb_array_elements(errors) as e
          join telltale.sources as o on o.source_id = source
          where e.value ->> 'fingerprint' = h.fingerprint and h.count_max is null
            and telltale.at_of((e.value -> 'at_us')::bigint) > h.since
            and not telltale.is_older_version(v_version, h.version, h.older_versions)
        ) as speaking
        order by (speaking.error -> 'at_us')::bigint, speaking.error::text collate "C" limit 1
      ) as first
    from telltale.error_group_states as h
    where h.fingerprint = any (v_held)
  ) as found
  where s.fingerprint = found.fingerprint
    and (s.counted, s.reopened_by) is distinct from (found.counted, found.first);
end
$function$;
comment on function telltale.reopen_error_groups(jsonb,jsonb,uuid,text) is 'Reopens the groups of ErrorRows of which something was said that the errors speak against; `inserted` are those that were
not stored before. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.reopening_error(e telltale.errors, version text, service text, environment text)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE
 SET search_path TO ''
AS $function$
  select jsonb_build_object('at_us', telltale.us_of(e.at), 'error_id', e.error_id, 'error_type', e.error_type,
    'message', e.message, 'trace_id', e.trace_id, 'service', service, 'environment', environment, 'version', version)
$function$;
comment on function telltale.reopening_error(telltale.errors,text,text,text) is 'An error as error_group_states.reopened_by keeps it.';

CREATE OR REPLACE FUNCTION telltale.reply_of(status text, ack jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select ack || jsonb_build_object('status', status, 'watched', telltale.is_watched(), 'tick_due', telltale.is_tick_due())
$function$;
comment on function telltale.reply_of(text,jsonb) is 'IngestReply of a stored ack. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.require_reader()
 RETURNS void
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
begin
  if not telltale.is_reader() then
    raise exception 'Cannot read telltale: the caller is not a member'
      using errcode = '42501', hint = 'Ask the operator to add your user id to telltale.members.';
  end if;
end
$function$;
grant execute on function telltale.require_reader() to authenticated;
grant execute on function telltale.require_reader() to service_role;
comment on function telltale.require_reader() is 'The first line of every function that reads: raises 42501 for non-members.';

CREATE OR REPLACE FUNCTION telltale.retime_sampled(ids text[], days date[], merged jsonb[], heads jsonb[])
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
begin
  -- The breakdown and what was summed up stay as they were when all spans were there.
  update telltale.traces as t set
    started_at = least(t.started_at, telltale.at_of(s.started_at_us)),
    ended_at = greatest(t.ended_at, telltale.at_of(s.ended_at_us)),
    duration_ms = coalesce(s.duration_ms, t.duration_ms),
    outcome = case when s.duration_ms is null then t.outcome else s.outcome end,
    sampled = (m.spans -> h.head) - 'attributes' || jsonb_build_object('span_id', h.head),
    revision = t.revision + 1, changed_at = telltale.clock(), changed_xid = pg_current_xact_id()
  from telltale.summaries_of(merged) as s
  join unnest(ids, days, merged, heads) with ordinality as m(id, day, spans, head, place) on m.place = s.place
  cross join lateral (select telltale.head_key(m.spans) as head) as h
  where m.head is not null and t.trace_id = m.id and t.day = m.day and t.day = any (days);
end
$function$;
comment on function telltale.retime_sampled(text[],date[],jsonb[],jsonb[]) is 'What came late for traces whose spans were let go: their times and outcome follow, nothing else does. `merged` is the head that
is known and what came. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.revoke_key(key_id text)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
  with revoked as (
    update telltale.ingest_keys as k set revoked_at = coalesce(k.revoked_at, telltale.clock())
    where k.key_id = revoke_key.key_id
    returning 1
  )
  select exists (select from revoked)
$function$;
grant execute on function telltale.revoke_key(text) to service_role;
comment on function telltale.revoke_key(text) is 'Ends an ingest key, for good; false when there is none. Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.rollups_between(since timestamp with time zone, till timestamp with time zone, sources uuid[], whole_hours boolean)
 RETURNS TABLE(at timestamp with time zone, series jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  first_hour timestamptz := date_trunc('hour', since + interval '59 minutes', 'UTC');
  last_hour timestamptz := date_trunc('hour', till, 'UTC');
  skewed uuid[] := telltale.skewed_between(since, till, sources);
begin
  if skewed <> '{}' then
    return query select * from telltale.moved_minutes(skewed, since, till, whole_hours);
  end if;
  if not whole_hours or first_hour >= last_hour then
    first_hour := till;
    last_hour := till;
  end if;
  return query
    select m.minute, m.series from telltale.rollup_minutes as m
    where m.minute >= since and m.minute < first_hour and (sources is null or m.source_id = any (sources))
      and m.source_id <> all (skewed)
      and m.day between (since at time zone 'UTC')::date and (first_hour at time zone 'UTC')::date;
  if last_hour < till then
    return query
      select m.minute, m.series from telltale.rollup_minutes as m
      where m.minute >= last_hour and m.minute < till and (sources is null or m.source_id = any (sources))
        and m.source_id <> all (skewed)
        and m.day between (last_hour at time zone 'UTC')::date and (till at time zone 'UTC')::date;
  end if;
  if first_hour = last_hour then
    return;
  end if;
  return query
    with changed as materialized (
      select h.hour, h.source_id from telltale.hours_due as h
      join telltale.partition_days as kept on kept.day = (h.hour at time zone 'UTC')::date
      where h.hour >= first_hour and h.hour < last_hour
      union
      select date_trunc('hour', m.minute, 'UTC'), m.source_id from telltale.rollup_minutes as m
      where m.batch_id is not null and m.minute >= first_hour and m.minute < last_hour
        and m.day between (first_hour at time zone 'UTC')::date and (last_hour at time zone 'UTC')::date
    )
    select h.hour, h.series from telltale.rollup_hours as h
    where h.hour >= first_hour and h.hour < last_hour and (sources is null or h.source_id = any (sources))
      and h.source_id <> all (skewed)
      and not exists (select from changed as c where c.hour = h.hour and c.source_id = h.source_id)
    union all
    select m.minute, m.series from changed as c
    join telltale.rollup_minutes as m on m.source_id = c.source_id and m.day = (c.hour at time zone 'UTC')::date
      and m.minute >= c.hour and m.minute < c.hour + interval '1 hour'
    where (sources is null or c.source_id = any (sources)) and c.source_id <> all (skewed)
      and m.day between (first_hour at time zone 'UTC')::date and (last_hour at time zone 'UTC')::date;
end
$function$;
comment on function telltale.rollups_between(timestamp with time zone,timestamp with time zone,uuid[],boolean) is 'What was counted from since (whole minutes) up to till, as rows that add up to it. With whole_hours, each whole hour of a
source comes from rollup_hours, unless it is due to be computed again or has a part that the tick has not summed: then, and
at the ends, its minutes come. So an hour is one row, and nothing is missing or counted twice. The minutes of a source whose clock is off by minutes are where
they belong. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.root_trace_of(trace_id text)
 RETURNS text
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  with recursive up as (
    select root_trace_of.trace_id collate "C" as id, 0 as height
    union all
    select j.outer_trace_id, up.height + 1 from up join telltale.trace_joins as j on j.inner_trace_id = up.id
    where up.height < 8
  )
  select id from up order by height desc limit 1
$function$;
comment on function telltale.root_trace_of(text) is 'The outermost trace that a trace is joined into, itself where it is in none. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.rules()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform telltale.require_reader();
  return (select coalesce(jsonb_agg(to_jsonb(r) - 'changed_at' || jsonb_build_object('changed_us', telltale.us_of(r.changed_at),
    'open', (select count(*) from telltale.alerts as a where a.rule_id = r.rule_id and a.state in ('firing', 'acknowledged')))
    order by r.is_template desc, r.rule_id), '[]') from telltale.alert_rules as r);
end
$function$;
grant execute on function telltale.rules() to authenticated;
grant execute on function telltale.rules() to service_role;
comment on function telltale.rules() is '[AlertRule] with is_template, changed_us and how many of its alerts are open. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.sample_stats(samples text, place text, seconds double precision)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  answer jsonb;
begin
  execute format(
    'select coalesce(jsonb_object_agg(place, stats), ''{}'')
    from (
      select %s as place, telltale.stats_of(count(*), count(*) filter (
          where outcome in (''tool_error'', ''server_fault'', ''timeout'', ''interrupted'')), $1,
        (avg(us) filter (where us >= 0))::numeric,
        percentile_disc(array[0.5, 0.95, 0.99]) within group (order by us) filter (where us >= 0),
        sum(bytes_in), sum(bytes_out), sum(tokens_in), sum(tokens_out)) as stats
      from (%s) as sample
      group by 1
    ) as counted', place, samples) into answer using seconds;
  return answer;
end
$function$;
comment on function telltale.sample_stats(text,text,double precision) is 'Stats of samples (see samples_of) by an expression in SQL: {value: Stats}. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.samples_of(filter jsonb, since timestamp with time zone, till timestamp with time zone, kinds text[])
 RETURNS text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  of_call constant text := 'outcome, bytes_in, bytes_out, tokens_in, tokens_out, us from call';
  of_span constant text := 'value ->> ''outcome'', (value -> ''bytes_in'')::bigint, (value -> ''bytes_out'')::bigint,
    (value -> ''tokens_in'')::bigint, (value -> ''tokens_out'')::bigint,
    ((value -> ''end_us'')::bigint - (value -> ''start_us'')::bigint)::double precision from span';
  branch jsonb := jsonb_build_object(
    'all', 'select at, ''all'' as key, ' || of_call,
    'tool', 'select at, ''tool:'' || tool as key, ' || of_call || ' where tool is not null',
    'call', 'select at, ''call:'' || case when call_number is null then ''unknown'' when call_number > 5 then ''6+''
      else call_number::text end as key, ' || of_call,
    'layer', 'select at, ''layer:'' || (value ->> ''layer'') as key, ' || of_span,
    'provider', 'select at, ''provider:'' || (value ->> ''provider'') as key, ' || of_span
      || ' where value ->> ''layer'' = ''api'' and value ? ''provider''',
    'model', 'select at, ''model:'' || (value ->> ''model'') as key, ' || of_span
      || ' where value ->> ''layer'' = ''api'' and value ? ''model''');
begin
  return format(
    'with call as (
      select t.started_at as at, t.tool, t.call_number, t.outcome, t.bytes_in, t.bytes_out, t.tokens_in, t.tokens_out,
        t.duration_ms * 1000 as us, t.spans
      from telltale.traces as t
      where %s
    ), span as (
      select call.at, s.value from call cross join lateral jsonb_each(call.spans) as s
      where s.value ? ''end_us'' and not s.value ? ''concluded''
    )
    select at, key, outcome, bytes_in, bytes_out, tokens_in, tokens_out, us from (
      select null::timestamptz as at, null as key, null as outcome, null::bigint as bytes_in, null::bigint as bytes_out,
        null::bigint as tokens_in, null::bigint as tokens_out, null::double precision as us where false
      %s) as sample',
    telltale.counted_where(filter, since, till),
    (select string_agg('union all ' || (branch ->> kind), ' ') from unnest(kinds) as kind where branch ? kind));
end
$function$;
comment on function telltale.samples_of(jsonb,timestamp with time zone,timestamp with time zone,text[]) is 'A query in SQL for what the traces of a filter add to the series keys of these kinds (all, tool, call, layer, provider,
model): (at, key, outcome, bytes_in, bytes_out, tokens_in, tokens_out, us), as src/core/window.ts counts spans, but under the
start of the trace and, under all, tool and call, by its row. What still runs and what the tick concluded counts nowhere. The
spans of a trace that were let go are gone here too: layers, providers and models count those that kept them.
Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.sampling_rules()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform telltale.require_reader();
  return (
    select jsonb_build_object('baseline_share', baseline_share, 'keep_errors', keep_errors, 'keep_slow', keep_slow,
      'keep_anomalous', keep_anomalous, 'changed_at_us', telltale.us_of(changed_at), 'kept', kept, 'emptied', emptied,
      'pinned', (select count(*) from telltale.pinned_traces))
    from telltale.sampling);
end
$function$;
grant execute on function telltale.sampling_rules() to authenticated;
grant execute on function telltale.sampling_rules() to service_role;
comment on function telltale.sampling_rules() is '{baseline_share, keep_errors, keep_slow, keep_anomalous, changed_at_us, kept, emptied, pinned}: see telltale.sampling. Definer: as
the readers; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.seconds_of(since timestamp with time zone, till timestamp with time zone)
 RETURNS double precision
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$ select extract(epoch from least(till, greatest(telltale.clock(), since + interval '1 second')) - since)::double precision $function$;
grant execute on function telltale.seconds_of(timestamp with time zone,timestamp with time zone) to authenticated;
grant execute on function telltale.seconds_of(timestamp with time zone,timestamp with time zone) to service_role;
comment on function telltale.seconds_of(timestamp with time zone,timestamp with time zone) is 'How long a stretch of time is in s, as far as it has passed; at least 1.';

CREATE OR REPLACE FUNCTION telltale.see(viewer_id uuid, present integer DEFAULT 0)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  v_user uuid := telltale.caller_id();
begin
  perform telltale.require_reader();
  if v_user is null then
    raise exception 'Cannot note a viewer: the token names no user' using errcode = '22023';
  end if;
  -- A member keeps at most 32 pages, so that nobody can fill the table.
  delete from telltale.viewers as v where v.user_id = v_user and v.viewer_id in (
    select o.viewer_id from telltale.viewers as o
    where o.user_id = v_user and o.viewer_id <> see.viewer_id
    order by o.seen_at desc offset 31
  );
  insert into telltale.viewers as v (viewer_id, user_id, present)
  values (see.viewer_id, v_user, least(greatest(see.present, 0), 100000))
  on conflict on constraint viewers_pkey do update set seen_at = telltale.clock(), present = excluded.present
  where v.user_id = v_user;
end
$function$;
grant execute on function telltale.see(uuid,integer) to authenticated;
grant execute on function telltale.see(uuid,integer) to service_role;
comment on function telltale.see(uuid,integer) is 'The heartbeat of a visible page, to be called every 20 s; `present`: how many pages it sees on the live channel. Definer: members may not write the table otherwise.';

CREATE OR REPLACE FUNCTION telltale.self_times(spans jsonb)
 RETURNS TABLE(span_id text, self_us bigint)
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select s.span_id, s.self_us from telltale.self_times_of(array[spans]) as s $function$;
grant execute on function telltale.self_times(jsonb) to service_role;
comment on function telltale.self_times(jsonb) is 'The self time in µs of every span of one trace that has an end.';

CREATE OR REPLACE FUNCTION telltale.self_times_of(traces jsonb[])
 RETURNS TABLE(place bigint, span_id text, layer text, wait boolean, root boolean, started_us bigint, stopped_us bigint, self_us bigint)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  return query
  with span as materialized (
    select t.place, key as id, nullif(value ->> 'parent_span_id', key) as parent_id,
      t.spans ? (value ->> 'parent_span_id') as held, value ->> 'layer' as layer,
      value ->> 'process' as process, coalesce(value ->> 'kind' = 'wait', false) as wait,
      coalesce(value -> 'attributes' -> 'telltale.derived' = 'true', false) as derived,
      (value -> 'start_us')::bigint as start, (value -> 'end_us')::bigint as stop
    from unnest(traces) with ordinality as t(spans, place) cross join lateral jsonb_each(t.spans)
    where value ->> 'end_us' is not null
  ), whole as (
    -- An end before its start is no time.
    select place, id, parent_id, held, layer, process, wait, start, greatest(start, stop) as stop,
      -- What a recorder derived does not count where the process that it is of has recorded the call by itself.
      derived and held and exists (select from span as seen where seen.place = span.place
        and seen.parent_id = span.parent_id and seen.process <> span.process and not seen.derived) as shadowed
    from span
  ), covered as (
    -- A child clipped to its parent. The clocks of two processes differ: a child of another process that fits into its
    -- parent and does not lie in it is first moved by the least time that puts it there.
    select p.place, p.id,
      greatest(p.start, case when moved and c.start < p.start then p.start
        when moved and c.stop > p.stop then p.stop - (c.stop - c.start) else c.start end) as start,
      least(p.stop, case when moved and c.start < p.start then p.start + (c.stop - c.start)
        when moved and c.stop > p.stop then p.stop else c.stop end) as stop
    from whole as c
    join whole as p on p.id = c.parent_id and p.place = c.place and not c.shadowed
    cross join lateral (select c.process <> p.process and c.stop - c.start <= p.stop - p.start) as skew(moved)
  ), shadow as (
    select place, id, sum(greatest(0, stop - greatest(start, reached)))::bigint as us
    from (
      select place, id, start, stop,
        coalesce(max(stop) over (partition by place, id order by start, stop
          rows between unbounded preceding and 1 preceding), start) as reached
      from covered
      where start < stop
    ) as child
    group by place, id
  )
  select w.place, w.id, w.layer, w.wait, w.parent_id is null or not w.held, w.start, w.stop,
    case when w.shadowed then 0 else w.stop - w.start - coalesce(shadow.us, 0) end
  from whole as w
  left join shadow on shadow.id = w.id and shadow.place = w.place;
end
$function$;
grant execute on function telltale.self_times_of(jsonb[]) to service_role;
comment on function telltale.self_times_of(jsonb[]) is 'Of every span of these traces that has an end: its interval (µs since the epoch, stopped_us at least started_us), whether
it hangs on no other, and its self time in µs: its duration minus the union of its ended direct children, each clipped to
it.';

CREATE OR REPLACE FUNCTION telltale.series(filter jsonb DEFAULT '{}'::jsonb, key text DEFAULT 'all'::text, step_s integer DEFAULT NULL::integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  asked record;
  step integer;
  sources uuid[];
  keys text[];
  counted jsonb;
  nothing jsonb := telltale.no_stats();
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
    'min_duration_ms', 'max_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
  if coalesce(key, '') !~ '^(all|(layer|tool|provider|model|connection|cache):.+|call:([1-5]|6[+]|unknown))$' then
    raise exception 'Cannot read series: key is %', to_json(left(key, 100))
      using errcode = '22023', hint = 'all, or layer:, tool:, provider:, model:, connection:, cache: and a name, or call:1 to
call:5, call:6+, call:unknown.';
  end if;
  step := telltale.step_of(filter, step_s);
  select * into asked from telltale.range_of(filter, step);
  sources := telltale.sources_of(filter);
  keys := telltale.series_keys_of(filter, sources);
  if key <> 'all' then
    -- A filter and a key of another kind: only the traces know both.
    keys := case when (keys = array['all'] and telltale.are_admitted(array[key], sources)) or key = any (keys)
      then array[key] end;
  end if;
  if keys is null and key ~ '^(connection|cache):' then
    raise exception 'Cannot read series: connections and caches are not counted by what the filter asks for'
      using errcode = '22023', hint = 'With a connection or a cache the filter has from, to, environment and service alone.
One that its source had no room for is counted under connection:other or cache:other.';
  end if;
  if keys is null then
    counted := telltale.sample_stats(
      format('select at, us, outcome, bytes_in, bytes_out, tokens_in, tokens_out from (%s) as every where key = %L',
        telltale.samples_of(filter, asked.since, asked.till, array[split_part(key, ':', 1)]), key),
      format('floor(extract(epoch from at) / %s)::bigint', step), step);
  else
    select telltale.cell_stats(array_agg(floor(extract(epoch from c.at) / step)::bigint::text), array_agg(c.cell), step)
    into counted from telltale.cells_between(keys, asked.since, asked.till, sources, step % 3600 = 0) as c;
  end if;
  return jsonb_build_object('from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till), 'step_s', step,
    'key', key, 'source', case when keys is null then 'traces' else 'parts' end,
    'points', (
      select jsonb_agg((coalesce(counted -> place::text, nothing) - array['error_rate', 'per_second'])
        || jsonb_build_object('at_us', place * step * 1000000) order by place)
      from generate_series((extract(epoch from asked.since) / step)::bigint,
        (extract(epoch from asked.till) / step)::bigint - 1) as place));
end
$function$;
grant execute on function telltale.series(jsonb,text,integer) to authenticated;
grant execute on function telltale.series(jsonb,text,integer) to service_role;
comment on function telltale.series(jsonb,text,integer) is '{from_us, to_us (whole steps, to exclusive), step_s, key, source: parts | traces, points: [{at_us, count, errors, mean_ms,
p50_ms, p95_ms, p99_ms, bytes_in, bytes_out, tokens_in, tokens_out}]}: a point for every step, also where nothing was
counted; steps begin at multiples of step_s since the epoch. key is a series key, counted within the filter; see overview
for it, and step_of for step_s. Definer, see the head of this file; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.series_keys_of(filter jsonb, sources uuid[])
 RETURNS text[]
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  call bigint := telltale.whole_number_in(filter, 'call_number');
  keys text[] := '{}';
  kinds integer := (call is not null)::int;
  kind text;
  names text[];
begin
  if exists (select from unnest(array['outcome', 'session', 'request_id', 'min_duration_ms', 'max_duration_ms', 'text']) as k
    where filter ->> k is not null) or call not between 1 and 5 then
    return null;
  end if;
  if call is not null then
    keys := array['call:' || call];
  end if;
  foreach kind in array array['tool', 'provider', 'model', 'layer'] loop
    names := telltale.texts_in(filter, kind);
    if names is not null then
      kinds := kinds + 1;
      keys := keys || array(select distinct kind || ':' || name from unnest(names) as name);
    end if;
  end loop;
  if kinds > 1 or not telltale.are_admitted(keys, sources) then
    return null;
  end if;
  return case when kinds = 0 then array['all'] else keys end;
end
$function$;
comment on function telltale.series_keys_of(jsonb,uuid[]) is 'The series keys whose cells add up to what a filter asks for: `all`, or those of its tool, provider, model, layer or call
number. Null where none can: two of these, an outcome, a session, a call beyond the fifth, a name not admitted. Definer:
part of the readers.';

create aggregate telltale.series_merge(jsonb) (sfunc = array_append, stype = jsonb[], initcond = '{}', finalfunc = telltale.series_of_parts);
grant execute on function telltale.series_merge(jsonb) to authenticated;
grant execute on function telltale.series_merge(jsonb) to service_role;
comment on function telltale.series_merge(jsonb) is 'Series, {key: {count, errors, bytes_in, bytes_out, tokens_in, tokens_out, latency}}, added up cell by cell. Empty input gives {}.';

CREATE OR REPLACE FUNCTION telltale.series_of_parts(parts jsonb[])
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
begin
  if cardinality(parts) = 1 then
    return parts[1];
  end if;
  return (
    with cell as materialized (
      select c.key, c.value from unnest(parts) as p(part) cross join lateral jsonb_each(p.part) as c
    ), bucket as (
      select key, jsonb_object_agg(index, least(n, 9007199254740991)) as b
      from (
        select cell.key, b.key as index, sum(b.value::numeric) as n
        from cell cross join lateral jsonb_each(cell.value -> 'latency' -> 'b') as b
        group by cell.key, b.key
      ) as counts
      group by key
    ), total as (
      select key,
        least(sum((value -> 'count')::numeric), 9007199254740991) as count,
        least(sum((value -> 'errors')::numeric), 9007199254740991) as errors,
        least(sum((value -> 'bytes_in')::numeric), 9007199254740991) as bytes_in,
        least(sum((value -> 'bytes_out')::numeric), 9007199254740991) as bytes_out,
        least(sum((value -> 'tokens_in')::numeric), 9007199254740991) as tokens_in,
        least(sum((value -> 'tokens_out')::numeric), 9007199254740991) as tokens_out,
        least(sum((value -> 'latency' -> 'z')::numeric), 9007199254740991) as z,
        least(sum((value -> 'latency' -> 'sum')::numeric), 9007199254740991) as sum
      from cell group by key
    )
    select coalesce(jsonb_object_agg(t.key, jsonb_build_object(
      'count', t.count, 'errors', t.errors, 'bytes_in', t.bytes_in, 'bytes_out', t.bytes_out,
      'tokens_in', t.tokens_in, 'tokens_out', t.tokens_out,
      'latency', jsonb_build_object('z', t.z, 'sum', t.sum, 'b', coalesce(bucket.b, '{}'))
    )), '{}')
    from total as t left join bucket on bucket.key = t.key
  );
end
$function$;
grant execute on function telltale.series_of_parts(jsonb[]) to authenticated;
grant execute on function telltale.series_of_parts(jsonb[]) to service_role;
comment on function telltale.series_of_parts(jsonb[]) is 'The final step of series_merge: the cells of all parts, key by key.';

CREATE OR REPLACE FUNCTION telltale.session_lens(filter jsonb DEFAULT '{}'::jsonb, calls integer DEFAULT 5)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
declare
  asked record;
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, telltale.lens_keys());
  calls := coalesce(calls, 5);
  if calls not between 1 and 50 then
    raise exception 'Cannot read session lens: calls is %', calls
      using errcode = '22023', hint = 'calls is how many call numbers have a row of their own: 1 to 50, or null for 5.';
  end if;
  select * into asked from telltale.lens_range(filter);
  return (
    with sample as materialized (
      select * from telltale.lens_traces(filter, asked.since, asked.till, 10000)
    ), placed as materialized (
      select c.* from telltale.lens_calls(
        (select array_agg(distinct session_key) from sample where session_key is not null),
        (select array_agg(distinct session_key) from sample where session_key is not null and call_number is null),
        asked.since, asked.till) as c
    ), wait as materialized (
      select trace_id, jsonb_object_agg(layer, us / 1000.0) as layers from (
        select w.trace_id, w.layer, sum(w.self_us) as us
        from telltale.lens_waits((select array_agg(trace_id) from sample where wait_ms > 0),
          (select array_agg(day) from sample where wait_ms > 0), 50000) as w
        group by w.trace_id, w.layer
      ) as summed group by trace_id
    ), call as materialized (
      -- Row calls + 1 is of all later ones, row 0 of those without a number.
      select s.*, least(coalesce(s.call_number, p.call_number, 0), calls + 1)::int as x, w.layers as waits,
        p.before_id, p.before_tool, p.before_outcome, p.gap_us / 1000.0 as gap_ms, coalesce(p.before_running, false) as before_running
      from sample as s
      left join placed as p on p.trace_id = s.trace_id
      left join wait as w on w.trace_id = s.trace_id
    ), cell as materialized (
      select c.* from telltale.layer_cells((select array_agg(x order by trace_id) from call),
        (select array_agg(layers order by trace_id) from call), (select array_agg(waits order by trace_id) from call)) as c
    ), step as (
      select s.*, moved.layer, moved.ms as layer_ms, moved.waited
      from telltale.call_steps((select array_agg(x) from call where x > 0), (select array_agg(duration_ms) from call where x > 0)) as s
      left join lateral (
        -- The layer whose median went the same way the furthest, and whether its waits did more than half of it.
        select now.layer, now.p50_ms - coalesce(was.p50_ms, 0) as ms,
          now.wait_p50_ms - coalesce(was.wait_p50_ms, 0) as waited
        from (select layer from cell where cell.x in (s.call, s.call - 1) group by layer) as l
        cross join lateral (select l.layer, coalesce(max(c.p50_ms), 0) as p50_ms, coalesce(max(c.wait_p50_ms), 0) as wait_p50_ms
          from cell as c where c.x = s.call and c.layer = l.layer) as now
        left join cell as was on was.x = s.call - 1 and was.layer = l.layer
        order by (now.p50_ms - coalesce(was.p50_ms, 0)) * sign(s.p50_ms - s.before_p50_ms) desc, now.layer collate "C" limit 1
      ) as moved on true
    ), tool as (
      select x, jsonb_agg(jsonb_build_object('tool', tool, 'n', n) order by place) as tools from (
        select x, tool, count(*) as n, row_number() over (partition by x order by count(*) desc, tool collate "C") as place
        from call group by x, tool) as counted
      where place <= 3 group by x
    ), previous as (
      select x, jsonb_agg(jsonb_build_object('tool', before_tool, 'outcome', before_outcome, 'n', n, 'running', running,
        'gap_p50_ms', telltale.ms_of(gap), 'p50_ms', telltale.ms_of(p50)) order by place) as list
      from (
        select x, before_tool, before_outcome, count(*) as n, count(*) filter (where before_running) as running,
          percentile_disc(0.5) within group (order by gap_ms)::double precision as gap,
          percentile_disc(0.5) within group (order by duration_ms) as p50,
          row_number() over (partition by x order by count(*) desc, before_tool collate "C", before_outcome collate "C") as place
        from call where before_id is not null group by x, before_tool, before_outcome) as counted
      where place <= 5 group by x
    ), bucket as (
      select x, count(*) as n, count(*) filter (where failed) as errors, sum(duration_ms) as total_ms, sum(wait_ms) as wait_ms,
        sum(coalesce((layers ->> 'unexplained')::double precision, 0)) as unexplained_ms,
        percentile_disc(array[0.5, 0.95]) within group (order by duration_ms) as quantiles,
        count(before_id) as preceded, count(*) filter (where before_running) as running,
        percentile_disc(0.5) within group (order by gap_ms)::double precision as gap
      from call group by x
    )
    select jsonb_build_object('from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
      'matched', coalesce((select max(matched) from sample), 0), 'read', (select count(*) from sample),
      'waits_unknown', (select count(*) from call where wait_ms > 0 and waits is null),
      'rules', coalesce((
        select jsonb_agg(jsonb_build_object('rule', rule, 'sessions', sessions, 'n', n) order by n desc, rule collate "C")
        from (select session_rule as rule, count(distinct session_key) as sessions, count(*) as n from call group by 1) as r), '[]'),
      'layers', coalesce((select jsonb_agg(layer order by layer collate "C") from (select distinct layer from cell) as l), '[]'),
      'calls', coalesce((
        select jsonb_agg(jsonb_build_object(
          'call', case when b.x = 0 then 'unknown' when b.x > calls then (calls + 1) || '+' else b.x::text end,
          'n', b.n, 'errors', b.errors, 'total_ms', telltale.ms_of(b.total_ms), 'p50_ms', telltale.ms_of(b.quantiles[1]),
          'p95_ms', telltale.ms_of(b.quantiles[2]), 'wait_ms', telltale.ms_of(b.wait_ms),
          'unexplained_ms', telltale.ms_of(b.unexplained_ms), 'tools', t.tools,
          'step', case when s.call is not null then jsonb_build_object(
            'few', least(s.n, s.before_n) < 8, 'p', s.p, 'superiority', round(s.superiority::numeric, 4),
            'change_ms', telltale.ms_of(s.p50_ms - s.before_p50_ms), 'layer', s.layer, 'layer_change_ms', telltale.ms_of(s.layer_ms),
            'waiting', abs(s.waited) * 2 > abs(s.layer_ms),
            'changed', least(s.n, s.before_n) >= 8 and s.p < 0.01 and abs(s.superiority - 0.5) >= 0.2
              and abs(s.p50_ms - s.before_p50_ms) >= greatest(1, 0.2 * least(s.p50_ms, s.before_p50_ms))) end,
          'previous', case when b.preceded > 0 then jsonb_build_object('n', b.preceded, 'running', b.running,
            'gap_p50_ms', telltale.ms_of(b.gap), 'list', p.list) end) order by b.x = 0, b.x)
        from bucket as b left join tool as t on t.x = b.x left join previous as p on p.x = b.x left join step as s on s.call = b.x),
        '[]'),
      'cells', coalesce((
        select jsonb_agg(jsonb_build_object(
          'call', case when c.x = 0 then 'unknown' when c.x > calls then (calls + 1) || '+' else c.x::text end,
          'layer', c.layer, 'n', c.n, 'seen', c.seen, 'self_ms', telltale.ms_of(c.self_ms),
          'work_ms', telltale.ms_of(c.self_ms - c.wait_ms), 'wait_ms', telltale.ms_of(c.wait_ms), 'p50_ms', telltale.ms_of(c.p50_ms),
          'p95_ms', telltale.ms_of(c.p95_ms), 'wait_p50_ms', telltale.ms_of(c.wait_p50_ms),
          'wait_p95_ms', telltale.ms_of(c.wait_p95_ms)) order by c.x = 0, c.x, c.layer collate "C")
        from cell as c), '[]'))
  );
end
$function$;
grant execute on function telltale.session_lens(jsonb,integer) to authenticated;
grant execute on function telltale.session_lens(jsonb,integer) to service_role;
comment on function telltale.session_lens(jsonb,integer) is '{from_us, to_us, matched: traces that count, read: those looked at, waits_unknown: those of them whose waits are not known by
layer, rules: [{rule, sessions, n}], layers: [name], calls: [{call: 1 to `calls`, 6+ (all later ones), unknown; n, errors,
total_ms, p50_ms, p95_ms, wait_ms, unexplained_ms, tools: [{tool, n}] the 3 most called, step, previous}], cells: [{call, layer,
n, seen, self_ms = work_ms + wait_ms (sums), p50_ms, p95_ms of self time, wait_p50_ms, wait_p95_ms}], see layer_cells}.
step, against the call number before: {changed, few: under 8 calls on a side, p (corrected), superiority, change_ms of the
median, layer: where it changed most, layer_change_ms, waiting: more than half of that by waiting}; see call_steps. changed is:
p < 0.01, superiority at least 0.2 from even, and the medians apart by 1 ms and a fifth of the lesser. previous, of the calls
that had one before them: {n, running: how often that still ran, gap_p50_ms, list: [{tool, outcome, n, running, gap_p50_ms,
p50_ms of the calls after it}] the 5 most common}; see lens_calls. At most 10,000 traces are read, and the waits of as many as
have 50,000 spans. Filter: as traces; from is 15 minutes ago and to is now unless given. Definer, see the file''s head; the
first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.session_timeline(session text, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
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
$function$;
grant execute on function telltale.session_timeline(text,text,integer) to authenticated;
grant execute on function telltale.session_timeline(text,text,integer) to service_role;
comment on function telltale.session_timeline(text,text,integer) is 'The calls of a session in order: {session, rules: by which its key was found, rows: [{trace_id, call_number (as recorded, else
ranked), session_rule, started_at_us, ended_at_us (its last span), duration_ms, wait_ms, name, tool, provider, model, outcome,
layers, overlap_ms: how long the call before it still ran beside it, previous: {trace_id, tool, outcome, gap_ms from its end,
negative where it still ran, null where it has not ended, running: whether it did}}], next}. What still runs has null for its
duration. n is 1 to 1000. Definer, see the file''s head; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.sessions(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
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
$function$;
grant execute on function telltale.sessions(jsonb,text,integer) to authenticated;
grant execute on function telltale.sessions(jsonb,text,integer) to service_role;
comment on function telltale.sessions(jsonb,text,integer) is 'Sessions by their calls that match, the one with the latest call first: {rows: [{session_key, session_rule, calls, errors,
started_at_us, last_started_at_us, ended_at_us, total_ms, wait_ms, p50_ms, max_ms, slowest_trace_id, tools: up to 5 names,
tool_count}], next}. Filter: as traces; from is 15 minutes ago and to is now unless given. n is 1 to 1000. Definer, see the
file''s head; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.set_error_group_state(fingerprint text, state text, options jsonb DEFAULT '{}'::jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
#variable_conflict use_column
declare
  v_print text := fingerprint;
  v_options jsonb := coalesce(options, '{}');
  v_version text := v_options ->> 'version';
  v_until timestamptz;
  v_count bigint;
  v_last timestamptz;
  v_row telltale.error_group_states;
begin
  perform telltale.require_reader();
  perform telltale.check_state(set_error_group_state.state, v_options);
  v_until := telltale.instant_of(v_options, 'until');
  v_count := telltale.whole_number_in(v_options, 'count');
  -- Whoever stores an error of the group now either was first, and is seen here, or waits and sees what was said.
  select max(held.last_seen_at) into v_last from (
    select g.last_seen_at from telltale.error_groups as g where g.fingerprint = v_print
    order by g.source_id for no key update
  ) as held;
  if v_last is null then
    raise exception 'Cannot set state: there is no error group %', to_json(left(v_print, 100))
      using errcode = '22023', hint = 'A fingerprint is as error_groups() answers it.';
  end if;
  insert into telltale.error_group_states as s (fingerprint, state, set_at, set_by, since, version, older_versions, until,
    count_max)
  select v_print, set_error_group_state.state, telltale.clock(), telltale.speaker(v_options),
    case
      when set_error_group_state.state = 'resolved'
        then coalesce(telltale.instant_of(v_options, 'at'), greatest(telltale.clock(), v_last))
      when v_until is not null then v_until
      when v_count is not null then greatest(telltale.clock(), v_last)
      else 'infinity' end,
    v_version, case when v_version is null then '{}' else telltale.older_versions(v_print, v_version) end, v_until, v_count
  on conflict (fingerprint) do update set
    (state, set_at, set_by, revision, since, version, older_versions, until, count_max, counted, reopened_at, reopened_by)
      = row (excluded.state, excluded.set_at, excluded.set_by, s.revision + 1, excluded.since, excluded.version,
        excluded.older_versions, excluded.until, excluded.count_max, 0, null, null)
  returning * into v_row;
  -- A time that is past: what came since may speak against it already.
  if v_row.since < v_last then
    update telltale.error_group_states as s set reopened_by = first.error, reopened_at = telltale.clock()
    from (
      select telltale.reopening_error(e, p.version, o.service, o.environment) as error
      from telltale.errors as e
      left join telltale.processes as p on p.process_id = e.process_id
      left join telltale.sources as o on o.source_id = p.source_id
      where e.fingerprint = v_print and e.at > v_row.since and e.day >= (v_row.since at time zone 'UTC')::date
        and not telltale.is_older_version(p.version, v_row.version, v_row.older_versions)
      order by e.at, telltale.reopening_error(e, p.version, o.service, o.environment)::text collate "C" limit 1
    ) as first
    where s.fingerprint = v_print
    returning s.* into v_row;
  end if;
  select s.* into v_row from telltale.error_group_states as s where s.fingerprint = v_print;
  return jsonb_build_object('fingerprint', v_print, 'state', telltale.state_of(v_row), 'decision', telltale.state_row(v_row));
end
$function$;
grant execute on function telltale.set_error_group_state(text,text,jsonb) to authenticated;
grant execute on function telltale.set_error_group_state(text,text,jsonb) to service_role;
comment on function telltale.set_error_group_state(text,text,jsonb) is 'Says that an error group is open, resolved or ignored, in place of what was said before; {fingerprint, state, decision} as
error_groups() answers them. Options of resolved: version (errors of older ones do not reopen it), at (when it was; errors
after it reopen it); of ignored: until (a time to come) or count (while fewer than so many more come); of all, where no
member calls: by (who says it). Instants are ISO 8601 or µs. Raises 22023 for anything else, and where there is no such
group. Definer behind a first line that refuses non-members: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.set_rule(rule jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.set_rule(jsonb) to service_role;
comment on function telltale.set_rule(jsonb) is 'Adds a rule, or changes those columns of one that are given. Answers all of it. Definer: the operator alone, no role may write
the table.';

CREATE OR REPLACE FUNCTION telltale.set_sampling(rules jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.set_sampling(jsonb) to service_role;
comment on function telltale.set_sampling(jsonb) is 'Sets some of baseline_share, keep_errors, keep_slow and keep_anomalous, for traces from now on; answers what sampling_rules() does.
Raises 22023 for anything else. Definer: no role may write the table.';

CREATE OR REPLACE FUNCTION telltale.severity_rank(severity text)
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE severity WHEN 'critical'::text THEN 2 WHEN 'warning'::text THEN 1 ELSE 0 END;
comment on function telltale.severity_rank(text) is '0 info, 1 warning, 2 critical.';

CREATE OR REPLACE FUNCTION telltale.shifts_of(spans jsonb)
 RETURNS TABLE(process_id uuid, shift_us bigint)
 LANGUAGE sql
 STABLE SECURITY DEFINER ROWS 5
 SET search_path TO ''
AS $function$
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
$function$;
comment on function telltale.shifts_of(jsonb) is 'What to add to the times of each process of a trace so that they are by the clock of its head span''s process, in µs: the
stored shifts along the way that the calls took. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.side_stats(sums numeric[], latencies numeric, quantiles_us double precision[], seconds double precision)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select telltale.stats_of(sums[1], sums[2], seconds, sums[7] / nullif(latencies, 0), quantiles_us, sums[3], sums[4], sums[5],
    sums[6])
$function$;
comment on function telltale.side_stats(numeric[],numeric,double precision[],double precision) is 'Stats (see stats_of) of sums as measured_cells has them. Part of compare.';

CREATE OR REPLACE FUNCTION telltale.silence(wanted jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.silence(jsonb) to authenticated;
grant execute on function telltale.silence(jsonb) to service_role;
comment on function telltale.silence(jsonb) is 'Keeps alerts from being told of: {rule_id, service, environment (all where absent), seconds, starts (now; ISO 8601 or µs),
repeat_s (once), reason}. Answers the silence. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.silence_row(s telltale.alert_silences)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select jsonb_build_object('silence_id', s.silence_id, 'rule_id', s.rule_id, 'service', s.service,
    'environment', s.environment, 'starts_us', telltale.us_of(s.starts_at), 'ends_us', telltale.us_of(s.ends_at),
    'repeat_s', s.repeat_s, 'reason', s.reason, 'made_by', s.made_by, 'made_us', telltale.us_of(s.made_at))
$function$;
comment on function telltale.silence_row(telltale.alert_silences) is 'A silence as the readers answer it. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.silences()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
begin
  perform telltale.require_reader();
  return (select coalesce(jsonb_agg(telltale.silence_row(s) order by s.ends_at, s.silence_id), '[]')
    from telltale.alert_silences as s where s.ends_at > telltale.clock() or s.repeat_s is not null);
end
$function$;
grant execute on function telltale.silences() to authenticated;
grant execute on function telltale.silences() to service_role;
comment on function telltale.silences() is 'Those that are not over, the first to end first. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.skewed_between(since timestamp with time zone, till timestamp with time zone, sources uuid[])
 RETURNS uuid[]
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select coalesce(array_agg(distinct c.source_id), '{}') from telltale.source_clocks as c
  where c.from_minute < till + interval '1 day' and coalesce(c.to_minute, 'infinity') > since - interval '1 day'
    and (sources is null or c.source_id = any (sources))
$function$;
comment on function telltale.skewed_between(timestamp with time zone,timestamp with time zone,uuid[]) is 'The sources some of whose minutes around a stretch of time are to be moved. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.slope_of(measure text, places bigint[], points double precision[])
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  with point as materialized (
    select x, y from unnest(places, points) as p(x, y) where y is not null
  ), pair as (
    select (q.y - p.y) / (q.x - p.x) as slope, sign(q.y - p.y) as rises from point as p join point as q on q.x > p.x
  ), slope as (
    select percentile_cont(0.5) within group (order by slope) as step, sum(rises) as s from pair
  ), residual as (
    select x, y - step * x as e from point cross join slope
  ), likeness as (
    -- Neighbours that resemble one another say less than so many points would: their variance is so much greater.
    select greatest(0, least(0.95, coalesce(corr(e, before), 0))) as r
    from (select e, lag(e) over (order by x) as before from residual) as neighbour
  ), size as (
    select (select count(*) from point) as n,
      (select coalesce(sum(t * (t - 1.0) * (2 * t + 5)), 0) from (select count(*) as t from point group by y) as tied) as ties
  )
  select jsonb_build_object('measure', measure, 'step', step, 'n', n, 'p', case when n >= 8 then
    coalesce(telltale.p_of_z(greatest(0, abs(s) - 1) / nullif(sqrt(
      (n * (n - 1.0) * (2 * n + 5) - ties)::double precision / 18 * (1 + r) / (1 - r)), 0)), 1) end)
  from slope cross join likeness cross join size
$function$;
comment on function telltale.slope_of(text,bigint[],double precision[]) is '{measure, step: the median of all slopes between two points (Theil-Sen), n: points, p: how likely chance alone does as much
(Mann-Kendall, with ties, widened by how much neighbours resemble each other); null of fewer than 8 points}. Part of trend.';

CREATE OR REPLACE FUNCTION telltale.source_id_of(service text, environment text, instance text)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$ select md5(jsonb_build_array(service, environment, instance)::text)::uuid $function$;
grant execute on function telltale.source_id_of(text,text,text) to authenticated;
grant execute on function telltale.source_id_of(text,text,text) to service_role;
comment on function telltale.source_id_of(text,text,text) is 'The id of a source: md5 of its three names as a JSON array.';

CREATE OR REPLACE FUNCTION telltale.sources_of(filter jsonb)
 RETURNS uuid[]
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  environments text[] := telltale.texts_in(filter, 'environment');
  services text[] := telltale.texts_in(filter, 'service');
begin
  if environments is null and services is null then
    return null;
  end if;
  return array(
    select s.source_id from telltale.sources as s
    where (environments is null or s.environment = any (environments)) and (services is null or s.service = any (services)));
end
$function$;
comment on function telltale.sources_of(jsonb) is 'The sources that a filter means by environment and service, null for all. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.span_paths(traces jsonb[], depth integer)
 RETURNS TABLE(place bigint, path text[], wait boolean, self_us bigint, folded boolean)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE ROWS 10000
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
#variable_conflict use_column
begin
  return query
  with recursive span as materialized (
    select s.place, s.span_id, s.wait, s.self_us, s.root,
      jsonb_build_array(case when s.wait then 'wait' else 'work' end, s.layer, t.spans -> s.span_id ->> 'name')::text as step,
      case when not s.root then t.spans -> s.span_id ->> 'parent_span_id' end as parent_id
    from telltale.self_times_of(traces) as s
    join unnest(traces) with ordinality as t(spans, place) on t.place = s.place
  ), top as (
    -- Below nothing that has ended: a root, or a child of what still runs.
    select s.* from span as s left join span as p on p.place = s.place and p.span_id = s.parent_id
    where p.span_id is null
  ), reached as (
    select place, span_id, array[step] as path, wait, self_us, false as folded from top
    union all
    select s.place, s.span_id, case when cardinality(r.path) < depth then r.path || s.step else r.path end, s.wait, s.self_us,
      cardinality(r.path) >= depth
    from reached as r join span as s on s.place = r.place and s.parent_id = r.span_id
  )
  select r.place, r.path, r.wait, r.self_us, r.folded from reached as r
  union all
  -- Parents that go round in a circle hang on nothing.
  select s.place, array[s.step], s.wait, s.self_us, false from span as s
  where not exists (select from reached as r where r.place = s.place and r.span_id = s.span_id);
end
$function$;
grant execute on function telltale.span_paths(jsonb[],integer) to service_role;
comment on function telltale.span_paths(jsonb[],integer) is 'Every ended span of these traces with its self time and its path from the top, each step [kind, layer, name] as JSON. What lies deeper than
so many steps is folded: it has the path of the last of them.';

CREATE OR REPLACE FUNCTION telltale.speaker(options jsonb)
 RETURNS text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  v_user uuid := telltale.caller_id();
begin
  if v_user is null then
    return coalesce(nullif(telltale.cut_text(options ->> 'by', 320), ''), 'operator');
  end if;
  if options ->> 'by' is not null then
    raise exception 'Cannot set state: `by` is given by a member'
      using errcode = '22023', hint = 'Members speak for themselves; leave `by` out.';
  end if;
  return coalesce((select nullif(m.email, '') from telltale.members as m where m.user_id = v_user), v_user::text);
end
$function$;
comment on function telltale.speaker(jsonb) is 'Who sets a state: the member who calls, else `by` of the options, else operator. Definer: part of set_error_group_state.';

CREATE OR REPLACE FUNCTION telltale.state_of(s telltale.error_group_states)
 RETURNS text
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$
  select case when s.state is null or s.reopened_at is not null or s.until <= telltale.clock() then 'open' else s.state end
$function$;
grant execute on function telltale.state_of(telltale.error_group_states) to authenticated;
grant execute on function telltale.state_of(telltale.error_group_states) to service_role;
comment on function telltale.state_of(telltale.error_group_states) is 'open, resolved or ignored, as it is now; open where nothing was said.';

CREATE OR REPLACE FUNCTION telltale.state_row(s telltale.error_group_states)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
  select case when s.state is not null then jsonb_build_object('said', s.state, 'set_at', s.set_at, 'set_by', s.set_by,
    'revision', s.revision, 'since', nullif(s.since, 'infinity'), 'version', s.version, 'until', s.until,
    'count_max', s.count_max, 'counted', s.counted, 'reopened_at', s.reopened_at, 'reopened_by', s.reopened_by) end
$function$;
grant execute on function telltale.state_row(telltale.error_group_states) to authenticated;
grant execute on function telltale.state_row(telltale.error_group_states) to service_role;
comment on function telltale.state_row(telltale.error_group_states) is 'What was said of a group as the readers answer it, null where nothing was.';

CREATE OR REPLACE FUNCTION telltale.stats_between(filter jsonb, keys text[], sources uuid[], since timestamp with time zone, till timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  seconds double precision := telltale.seconds_of(since, till);
  counted jsonb;
begin
  if keys is null then
    counted := telltale.sample_stats(telltale.samples_of(filter, since, till, array['all']), 'key', seconds);
  else
    select telltale.cell_stats(array_agg('all'::text), array_agg(c.cell), seconds) into counted
    from telltale.cells_between(keys, since, till, sources, true) as c;
  end if;
  return coalesce(counted -> 'all', telltale.no_stats());
end
$function$;
comment on function telltale.stats_between(jsonb,text[],uuid[],timestamp with time zone,timestamp with time zone) is 'Stats of a stretch of time: of these series keys together, or where they are null of the traces that the filter finds.
Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.stats_by_key(filter jsonb, keys text[], sources uuid[], since timestamp with time zone, till timestamp with time zone)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  seconds double precision := telltale.seconds_of(since, till);
  counted jsonb := '{}';
begin
  if keys = array['all'] then
    select telltale.cell_stats(array_agg(c.key), array_agg(c.value), seconds) into counted
    from telltale.rollups_between(since, till, sources, true) as r cross join lateral jsonb_each(r.series) as c;
    return counted;
  end if;
  if keys is not null then
    select telltale.cell_stats(array_agg(c.key), array_agg(c.cell), seconds) into counted
    from telltale.cells_between(keys, since, till, sources, true) as c;
  end if;
  return telltale.sample_stats(telltale.samples_of(filter, since, till, array(
    select kind from unnest(array['tool', 'call', 'layer', 'provider', 'model']) as kind
    where keys is null or kind is distinct from split_part(keys[1], ':', 1))), 'key', seconds) || counted;
end
$function$;
comment on function telltale.stats_by_key(jsonb,text[],uuid[],timestamp with time zone,timestamp with time zone) is '{series key: Stats} of a stretch of time. What keys do not say, such as the layers of one tool, the traces of the filter do.
Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.stats_of(count numeric, errors numeric, seconds double precision, mean_us numeric, quantiles_us double precision[], bytes_in numeric, bytes_out numeric, tokens_in numeric, tokens_out numeric)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$
  select jsonb_build_object('count', coalesce(count, 0), 'errors', coalesce(errors, 0),
    'error_rate', round(errors / nullif(count, 0), 6),
    'per_second', round((coalesce(count, 0)::double precision / greatest(seconds, 1))::numeric, 6),
    'mean_ms', round(mean_us / 1000, 3),
    'p50_ms', round(quantiles_us[1]::numeric / 1000, 3), 'p95_ms', round(quantiles_us[2]::numeric / 1000, 3),
    'p99_ms', round(quantiles_us[3]::numeric / 1000, 3),
    'bytes_in', coalesce(bytes_in, 0), 'bytes_out', coalesce(bytes_out, 0),
    'tokens_in', coalesce(tokens_in, 0), 'tokens_out', coalesce(tokens_out, 0))
$function$;
comment on function telltale.stats_of(numeric,numeric,double precision,numeric,double precision[],numeric,numeric,numeric,numeric) is 'Stats {count, errors, error_rate, per_second, mean_ms, p50_ms, p95_ms, p99_ms, bytes_in, bytes_out, tokens_in, tokens_out}
of a stretch of so many seconds. error_rate and the latencies (ms, to the µs) are null where nothing was counted.';

CREATE OR REPLACE FUNCTION telltale.step_of(filter jsonb, step_s integer)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
declare
  asked record;
  least_s integer;
  step integer := step_s;
begin
  select * into asked from telltale.range_of(filter);
  least_s := case when telltale.day_of(telltale.us_of(asked.since)) < telltale.today() - 30 then 3600 else 60 end;
  if step is null then
    select s into step from unnest(array[60, 300, 900, 3600, 14400, 86400]) as s
    where s >= least_s and extract(epoch from asked.till - asked.since) + 2 * (s - 60) <= 120 * s or s = 86400
    order by s limit 1;
  end if;
  if step not between least_s and 31622400 or step % least_s <> 0 then
    raise exception 'Cannot read series: step_s is %', step
      using errcode = '22023', hint = format('step_s is a multiple of %s, or null to have it chosen.', least_s);
  end if;
  if ceil(extract(epoch from asked.till - asked.since) / step) > 1500 then
    raise exception 'Cannot read series: it has more than 1500 points'
      using errcode = '22023', hint = 'Take a greater step_s.';
  end if;
  return step;
end
$function$;
grant execute on function telltale.step_of(jsonb,integer) to authenticated;
grant execute on function telltale.step_of(jsonb,integer) to service_role;
comment on function telltale.step_of(jsonb,integer) is 'How far apart the points of a series are, in s: step_s, or the least of 60, 300, 900, 3600, 14400, 86400 with at most 120
points. Raises 22023 unless it is a multiple of a minute (of an hour where minutes are gone) and gives at most 1,500 points.';

CREATE OR REPLACE FUNCTION telltale.store_alert_outcome(outcome jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.store_alert_outcome(jsonb) to service_role;
comment on function telltale.store_alert_outcome(jsonb) is 'Stores an AlertOutcome (src/core/alert/alert_pass.ts), with the notifications that it asks for, unless anything changed
since the revision that it was judged from: {stored, revision}. Definer: no role may write the tables.';

CREATE OR REPLACE FUNCTION telltale.store_alert_verdict(alert_id uuid, verdict jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.store_alert_verdict(uuid,jsonb) to service_role;
comment on function telltale.store_alert_verdict(uuid,jsonb) is 'Keeps why, a WhyAnswer, with an open alert that has none, and with the notifications of it that were never tried: {stored}.
Definer: no role may write the tables.';

CREATE OR REPLACE FUNCTION telltale.store_detections(findings jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_service constant text := findings ->> 'service';
  v_environment constant text := findings ->> 'environment';
begin
  update telltale.detectors as d set revision = d.revision + 1,
    committed_to = coalesce(to_timestamp((findings ->> 'to')::double precision), d.committed_to)
  where d.service = v_service and d.environment = v_environment and d.revision = (findings ->> 'revision')::bigint;
  if not found then
    return false;
  end if;
  insert into telltale.incidents (incident_id, service, environment, series_key, metric, score, anomalies, started_at, last_at)
  select distinct on (a.incident_id) a.incident_id, v_service, v_environment, a.series_key, a.metric, a.score, 1,
    to_timestamp(a.started_at), to_timestamp(a.last_at)
  from jsonb_to_recordset(findings -> 'anomalies') as a(incident_id uuid, series_key text, metric text,
    score double precision, started_at double precision, last_at double precision, place integer)
  order by a.incident_id, a.place
  on conflict (incident_id) do nothing;
  insert into telltale.anomalies as t (anomaly_id, service, environment, series_key, metric, score, expected, seen,
    started_at, last_at, ended_at, incident_id, place)
  select a.anomaly_id, v_service, v_environment, a.series_key, a.metric, a.score, a.expected, a.seen,
    to_timestamp(a.started_at), to_timestamp(a.last_at), to_timestamp(a.ended_at), a.incident_id, a.place
  from jsonb_to_recordset(findings -> 'anomalies') as a(anomaly_id uuid, series_key text, metric text,
    score double precision, expected jsonb, seen double precision, started_at double precision, last_at double precision,
    ended_at double precision, incident_id uuid, place integer)
  on conflict (anomaly_id) do update set score = excluded.score, expected = excluded.expected, seen = excluded.seen,
    started_at = excluded.started_at, last_at = excluded.last_at, ended_at = excluded.ended_at, place = excluded.place;
  update telltale.incidents as i set series_key = w.series_key, metric = w.metric, score = w.score, anomalies = w.anomalies,
    started_at = w.started_at, last_at = w.last_at, ended_at = w.ended_at
  from (
    select a.incident_id, (array_agg(a.series_key order by a.place, a.anomaly_id))[1] as series_key,
      (array_agg(a.metric order by a.place, a.anomaly_id))[1] as metric, max(a.score) as score, count(*) as anomalies,
      min(a.started_at) as started_at, max(a.last_at) as last_at,
      case when bool_and(a.ended_at is not null) then max(a.ended_at) end as ended_at
    from telltale.anomalies as a
    where a.incident_id in (select (f.value ->> 'incident_id')::uuid
      from jsonb_array_elements(findings -> 'anomalies') as f)
    group by a.incident_id
  ) as w
  where i.incident_id = w.incident_id;
  insert into telltale.detector_series as t (service, environment, series_key, metric, state, look_above, seen_at, anomaly_id)
  select v_service, v_environment, s.series_key, s.metric, s.state, s.look_above, to_timestamp(s.seen_at), s.anomaly_id
  from jsonb_to_recordset(findings -> 'series') as s(series_key text, metric text, state jsonb,
    look_above double precision, seen_at double precision, anomaly_id uuid)
  where s.state is not null
  on conflict (service, environment, series_key, metric) do update set state = excluded.state,
    look_above = excluded.look_above, seen_at = excluded.seen_at, anomaly_id = excluded.anomaly_id;
  return true;
end
$function$;
grant execute on function telltale.store_detections(jsonb) to service_role;
comment on function telltale.store_detections(jsonb) is 'Stores what a look found, {service, environment, revision, to, series: [{series_key, metric, state, look_above, seen_at,
anomaly_id}], anomalies: [as detector_anomaly]}, and answers true; or stores nothing, where the revision is no longer the
one that was read. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.store_errors(errors jsonb, process uuid, source uuid, version text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_inserted jsonb;
begin
  if jsonb_array_length(errors) = 0 then
    return;
  end if;
  with fresh as (
    insert into telltale.errors (error_id, fingerprint, day, at, process_id, trace_id, span_id, error_type, message,
      traceback, culprit, context, connection_type, direction, script_name, function_name, data_size_bytes,
      response_time_ms, metadata)
    select r.error_id, r.fingerprint, telltale.day_of(r.at_us), telltale.at_of(r.at_us), process, r.trace_id, r.span_id,
      r.error_type, r.message, r.traceback, r.culprit, coalesce(r.context, '{}'), r.connection_type, r.direction,
      r.script_name, r.function_name, r.data_size_bytes, r.response_time_ms, nullif(r.metadata, 'null')
    from jsonb_to_recordset(errors) as r(error_id uuid, fingerprint text, at_us bigint, trace_id text, span_id text,
      error_type text, message text, traceback text, culprit text, context jsonb, connection_type text, direction text,
      script_name text, function_name text, data_size_bytes bigint, response_time_ms double precision, metadata jsonb)
    order by r.error_id, r.fingerprint collate "C", r.at_us, to_jsonb(r)::text collate "C" desc
    on conflict (error_id, fingerprint, day) do nothing
    returning error_id, fingerprint, at
  )
  select coalesce(jsonb_agg(to_jsonb(fresh)), '[]') into v_inserted from fresh;
  if jsonb_array_length(v_inserted) < jsonb_array_length(errors) then
    perform telltale.merge_errors(errors, process);
  end if;
  insert into telltale.error_groups as g (fingerprint, source_id, first_seen_at, last_seen_at, count, sample,
    first_version, last_version)
  select r.fingerprint, source, telltale.at_of(min(r.at_us)), telltale.at_of(max(r.at_us)),
    (select count(*) from jsonb_array_elements(v_inserted) as i where i.value ->> 'fingerprint' = r.fingerprint),
    (array_agg(r.sample order by r.at_us desc, r.sample::text collate "C" desc))[1], version, version
  from (
    select e.value ->> 'fingerprint' as fingerprint, (e.value -> 'at_us')::bigint as at_us,
      jsonb_build_object('error_id', e.value -> 'error_id', 'error_type', e.value -> 'error_type',
        'message', e.value -> 'message', 'culprit', e.value -> 'culprit', 'trace_id', e.value -> 'trace_id') as sample
    from jsonb_array_elements(errors) as e
  ) as r
  group by r.fingerprint
  order by r.fingerprint collate "C"
  on conflict (fingerprint, source_id) do update set
    first_seen_at = least(g.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(g.last_seen_at, excluded.last_seen_at),
    count = g.count + excluded.count,
    sample = case
      when (excluded.last_seen_at, excluded.sample::text collate "C") > (g.last_seen_at, g.sample::text collate "C")
      then excluded.sample else g.sample end,
    first_version = case
      when (excluded.first_seen_at, coalesce(excluded.first_version, '') collate "C")
        < (g.first_seen_at, coalesce(g.first_version, '') collate "C")
      then excluded.first_version else g.first_version end,
    last_version = case
      when (excluded.last_seen_at, coalesce(excluded.last_version, '') collate "C")
        > (g.last_seen_at, coalesce(g.last_version, '') collate "C")
      then excluded.last_version else g.last_version end;
  -- Seldom: something was said of a group that does not cover what came.
  if exists (
    select from jsonb_array_elements(errors) as e
    join telltale.error_group_states as s on s.fingerprint = e.value ->> 'fingerprint'
    where s.since < telltale.at_of((e.value -> 'at_us')::bigint)
      and (s.reopened_at is null or (s.reopened_by -> 'at_us')::bigint >= (e.value -> 'at_us')::bigint)
  ) then
    perform telltale.reopen_error_groups(errors, v_inserted, source, version);
  end if;
end
$function$;
comment on function telltale.store_errors(jsonb,uuid,uuid,text) is 'Inserts ErrorRows and counts into their groups those that were new; reopens the groups that they show to be open. Definer:
part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.store_process(batch jsonb, source uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_process uuid := (batch -> 'process' ->> 'id')::uuid;
  v_seq bigint := (batch -> 'seq')::bigint;
  v_pieces int := (batch -> 'piece' -> 1)::int;
  v_sent bigint := coalesce((batch ->> 'sent_at_us')::bigint, (batch -> 'received_at_us')::bigint);
  v_offset bigint := (batch -> 'received_at_us')::bigint - (batch ->> 'sent_at_us')::bigint;
  v_pace int := coalesce((batch ->> 'flush_ms')::int, 15000);
  v_whole boolean;
  v_seqs int8multirange;
begin
  insert into telltale.processes (process_id, source_id, version, started_at, host, pid, sdk)
  values (v_process, source, batch -> 'source' ->> 'version',
    telltale.at_of((batch -> 'process' -> 'started_at_us')::bigint), batch -> 'process' ->> 'host',
    (batch -> 'process' ->> 'pid')::bigint, batch -> 'process' ->> 'sdk')
  on conflict (process_id) do nothing;
  perform from telltale.processes where process_id = v_process for no key update;
  -- Of a batch that was cut, the pieces are parts of one whole; the last to come sees the others, for it waited above.
  v_whole := v_pieces = 1 or (
    select sum(1.0 / piece_count) > 0.999999
    from (select distinct piece_index, piece_count from telltale.batches
      where process_id = v_process and seq = v_seq and piece_count > 1) as piece);
  update telltale.processes as p set
    last_seen_at = greatest(p.last_seen_at, telltale.clock()),
    pace_ms = v_pace,
    recorded = case when newer.counters then (batch -> 'counters' -> 'recorded')::bigint else p.recorded end,
    dropped = case when newer.counters then batch -> 'counters' -> 'dropped' else p.dropped end,
    counters_seq = greatest(p.counters_seq, v_seq),
    stored = p.stored + (select coalesce(sum(n.value::bigint), 0) from jsonb_each(batch -> 'accepted') as n),
    rejected = p.rejected + jsonb_array_length(batch -> 'rejected'),
    seqs = case when v_whole then p.seqs + int8multirange(int8range(v_seq, v_seq, '[]')) else p.seqs end,
    renewed_at = case when newer.fresh then telltale.clock() else p.renewed_at end,
    running = case when newer.running then batch -> 'running' else p.running end,
    running_total = case when newer.running then (batch -> 'running_total')::bigint else p.running_total end,
    running_seq = case when newer.running then v_seq else p.running_seq end,
    clock_offset_us = case
      when v_offset is null then p.clock_offset_us
      -- Nothing is under way for half a minute: its clock was set.
      when p.clock_offset_us is null or v_offset <= p.clock_offset_us or v_offset > p.clock_offset_us + 30000000 then v_offset
      else p.clock_offset_us + (v_offset - p.clock_offset_us) / 16 end
  from (
    select
      (v_seq, (batch -> 'counters')::text collate "C") > (o.counters_seq,
        jsonb_build_object('recorded', o.recorded, 'dropped', o.dropped)::text collate "C") as counters,
      state.fresh,
      state.fresh and v_seq > o.running_seq as running
    from telltale.processes as o
    -- A list that was old when it was sent says nothing about now.
    cross join lateral (select v_sent - (batch -> 'made_at_us')::bigint
      <= greatest(60000000, 4000 * v_pace::bigint)) as state(fresh)
    where o.process_id = v_process
  ) as newer
  where p.process_id = v_process
  returning p.seqs into v_seqs;
  if (select count(*) from unnest(v_seqs)) > 1000 then
    update telltale.processes as p set
      seqs = p.seqs + int8multirange(int8range(closed.first, closed.next)),
      seqs_forgotten = p.seqs_forgotten + closed.next - closed.first
    from (
      select upper(r.range) as first, lead(lower(r.range)) over (order by r.range) as next
      from unnest(v_seqs) as r(range)
      order by r.range limit 1
    ) as closed
    where p.process_id = v_process;
  end if;
end
$function$;
comment on function telltale.store_process(jsonb,uuid) is 'The part of ingest_batch that keeps the process: its counters, its sequence numbers, what it runs now, its clock. Definer:
part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.store_resources(gauges jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
AS $function$
declare
  v_gauges jsonb;
begin
  lock table telltale.gauges in row exclusive mode;
  if jsonb_array_length(gauges) > 16 then
    raise exception 'Cannot store resources: there are more than 16' using errcode = '22023';
  end if;
  select coalesce(jsonb_agg(jsonb_build_object('name', g.value ->> 'name', 'at_us', telltale.us_of(telltale.clock()),
    'value', (g.value ->> 'value')::double precision, 'labels', coalesce(g.value -> 'labels', '{}'))), '[]')
  into v_gauges
  from jsonb_array_elements(gauges) as g
  where exists (select from telltale.partition_days as d where d.day = telltale.today());
  perform telltale.store_samples('[]', v_gauges, '7e117a1e-0000-8000-8000-000000000001');
  return jsonb_build_object('done', jsonb_array_length(v_gauges));
end
$function$;
grant execute on function telltale.store_resources(jsonb) to service_role;
comment on function telltale.store_resources(jsonb) is 'Stores at most 16 gauges [{name, value, labels}] of now as Telltale''s own; {done}. Definer: no role may write the tables.';

CREATE OR REPLACE FUNCTION telltale.store_samples(messages jsonb, gauges jsonb, process uuid)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
begin
  if jsonb_array_length(messages) > 0 then
    insert into telltale.messages as m (message_id, day, at, process_id, trace_id, span_id, conversation_id, role,
      model_used, provider_used, response_time_ms, tool_name, thinking_mode, token_usage, metadata)
    select distinct on (r.message_id collate "C", telltale.day_of(r.at_us))
      r.message_id, telltale.day_of(r.at_us), telltale.at_of(r.at_us), process, r.trace_id, r.span_id,
      r.conversation_id, r.role, r.model_used, r.provider_used, r.response_time_ms, r.tool_name, r.thinking_mode,
      nullif(r.token_usage, 'null'), coalesce(r.metadata, '{}')
    from jsonb_to_recordset(messages) as r(message_id text, at_us bigint, trace_id text, span_id text,
      conversation_id text, role text, model_used text, provider_used text, response_time_ms double precision,
      tool_name text, thinking_mode text, token_usage jsonb, metadata jsonb)
    order by r.message_id collate "C", telltale.day_of(r.at_us), to_jsonb(r)::text collate "C" desc
    on conflict (message_id, day) do update set
      at = excluded.at, process_id = excluded.process_id, trace_id = excluded.trace_id, span_id = excluded.span_id,
      conversation_id = excluded.conversation_id, role = excluded.role, model_used = excluded.model_used,
      provider_used = excluded.provider_used, response_time_ms = excluded.response_time_ms,
      tool_name = excluded.tool_name, thinking_mode = excluded.thinking_mode, token_usage = excluded.token_usage,
      metadata = excluded.metadata
    where to_jsonb(excluded)::text collate "C" > to_jsonb(m)::text collate "C";
  end if;
  if jsonb_array_length(gauges) > 0 then
    insert into telltale.gauges as g (process_id, name, labels_hash, at, day, value, labels)
    select distinct on (r.name collate "C", r.labels, r.at_us)
      process, r.name, md5(r.labels::text)::uuid, telltale.at_of(r.at_us), telltale.day_of(r.at_us), r.value, r.labels
    from jsonb_to_recordset(gauges) as r(name text, at_us bigint, value double precision, labels jsonb)
    order by r.name collate "C", r.labels, r.at_us, r.value desc
    on conflict (process_id, name, labels_hash, at, day) do update set value = excluded.value
    where excluded.value > g.value;
  end if;
end
$function$;
comment on function telltale.store_samples(jsonb,jsonb,uuid) is 'Inserts messages and gauges; of two with one key but different content the greater stays. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.store_status()
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
declare
  counted bigint;
begin
  perform telltale.require_reader();
  select count(*) into counted from (select from telltale.trace_days limit 10000) as listed;
  if counted = 10000 then
    select greatest(counted, reltuples::bigint) into counted from pg_catalog.pg_class
    where oid = 'telltale.trace_days'::regclass;
  end if;
  return jsonb_build_object(
    'traces', counted,
    'environments', coalesce((select jsonb_agg(distinct environment) from telltale.sources
      where source_id <> telltale.own_source()), '[]'),
    'last_received_at', (select max(received_at) from telltale.batches),
    'real', exists (select from telltale.sources as s join telltale.processes as p on p.source_id = s.source_id
      where s.environment <> 'demo' and s.source_id <> telltale.own_source()));
end
$function$;
grant execute on function telltale.store_status() to authenticated;
grant execute on function telltale.store_status() to service_role;
comment on function telltale.store_status() is '{traces: how many (an estimate above 10,000), environments, last_received_at (UTC), real: whether anything but the demo ever
sent}. Definer, see the head of create_trace_reader.';

CREATE OR REPLACE FUNCTION telltale.store_traces(traces jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET enable_seqscan TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_count int := jsonb_array_length(traces);
  v_new text[];
  v_stored text[] := '{}';
begin
  if v_count = 0 then
    return;
  end if;
  with made as (
    insert into telltale.trace_days (trace_id, day)
    select r.value ->> 'trace_id', telltale.day_of((r.value -> 'started_at_us')::bigint)
    from jsonb_array_elements(traces) as r
    order by r.value ->> 'trace_id' collate "C"
    on conflict (trace_id) do nothing
    returning trace_id
  )
  select coalesce(array_agg(trace_id), '{}') into v_new from made;
  -- Once is enough, unless a row is missing whose day is known and another writer puts it there meanwhile.
  loop
    if cardinality(v_new) < v_count then
      v_stored := v_stored || telltale.merge_traces(traces, v_stored || v_new);
      exit when cardinality(v_stored) = v_count;
    end if;
    with put as (
      insert into telltale.traces (trace_id, day, started_at, ended_at, duration_ms, wait_ms, process_id,
        bytes_in, bytes_out, tokens_in, tokens_out, call_number, span_count, name, outcome, request_id, session_key,
        session_rule, tool, provider, model, layers, spans)
      select r.trace_id, (select d.day from telltale.trace_days as d where d.trace_id = r.trace_id),
        telltale.at_of(r.started_at_us), telltale.at_of(r.ended_at_us), r.duration_ms, r.wait_ms, r.process, r.bytes_in,
        r.bytes_out, r.tokens_in, r.tokens_out, r.call_number, r.span_count, r.name, r.outcome, r.request_id,
        r.session_key, r.session_rule, r.tool, r.provider, r.model, r.layers, r.spans
      from jsonb_to_recordset(traces) as r(trace_id text, started_at_us bigint, ended_at_us bigint,
        duration_ms double precision, wait_ms double precision, process uuid, bytes_in bigint, bytes_out bigint,
        tokens_in bigint, tokens_out bigint, call_number bigint, span_count integer, name text, outcome text,
        request_id text, session_key text, session_rule text, tool text, provider text, model text, layers jsonb,
        spans jsonb)
      where r.trace_id <> all (v_stored)
      order by r.trace_id collate "C"
      on conflict (trace_id, day) do nothing
      returning trace_id
    )
    select v_stored || coalesce(array_agg(trace_id), '{}') into v_stored from put;
    exit when cardinality(v_stored) = v_count;
    v_new := '{}';
  end loop;
end
$function$;
comment on function telltale.store_traces(jsonb) is 'Inserts TraceRows, or merges their spans into the rows that exist. Definer: part of ingest_batch.';

CREATE OR REPLACE FUNCTION telltale.summaries_of(traces jsonb[])
 RETURNS TABLE(place bigint, started_at_us bigint, ended_at_us bigint, duration_ms numeric, wait_ms numeric, name text, outcome text, request_id text, session_key text, session_rule text, call_number bigint, tool text, provider text, model text, bytes_in bigint, bytes_out bigint, tokens_in bigint, tokens_out bigint, span_count integer, layers jsonb, process text)
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE ROWS 100
 SET search_path TO ''
AS $function$
#variable_conflict use_column
begin
  return query
  with span as (
    -- Offset 0, here and above: so that what is sorted is a span a row, not all spans of its trace.
    select place, value, start, row_number() over (partition by place order by start, key collate "C") as nth, root
    from (
      select t.place, key, value, (value -> 'start_us')::bigint as start,
        nullif(value ->> 'parent_span_id', key) is null or not t.spans ? (value ->> 'parent_span_id') as root
      from unnest(traces) with ordinality as t(spans, place) cross join lateral jsonb_each(t.spans)
      offset 0
    ) as unfolded
  ), found as (
    -- Of the head, and of each fact, the number of the first span that has it.
    select place, array_agg(value) as spans, count(*) as span_count, min(start) as started_at_us,
      max((value -> 'end_us')::bigint) as ended_at_us,
      coalesce(min(nth) filter (where value -> 'entry' = 'true'), min(nth) filter (where root), 1) as head_nth,
      min(nth) filter (where value ? 'request_id') as request_id,
      min(nth) filter (where value ? 'session_key') as session_key,
      min(nth) filter (where value ? 'call_number') as call_number,
      min(nth) filter (where value ? 'tool') as tool,
      min(nth) filter (where value ? 'provider') as provider,
      min(nth) filter (where value ? 'model') as model,
      min(nth) filter (where value ? 'bytes_in') as bytes_in,
      min(nth) filter (where value ? 'bytes_out') as bytes_out,
      sum((value -> 'tokens_in')::bigint) filter (where value ->> 'layer' = 'api') as tokens_in,
      sum((value -> 'tokens_out')::bigint) filter (where value ->> 'layer' = 'api') as tokens_out
    from span
    group by place
  )
  select f.place, f.started_at_us, f.ended_at_us,
    trim_scale(((head -> 'end_us')::numeric - (head -> 'start_us')::numeric) / 1000.0), b.wait_ms,
    head ->> 'name', case when head ? 'end_us' then head ->> 'outcome' end,
    case when head ? 'request_id' then head else f.spans[f.request_id] end ->> 'request_id',
    session ->> 'session_key', session ->> 'session_rule',
    (case when head ? 'call_number' then head else f.spans[f.call_number] end -> 'call_number')::bigint,
    case when head ? 'tool' then head else f.spans[f.tool] end ->> 'tool',
    case when head ? 'provider' then head else f.spans[f.provider] end ->> 'provider',
    case when head ? 'model' then head else f.spans[f.model] end ->> 'model',
    (case when head ? 'bytes_in' then head else f.spans[f.bytes_in] end -> 'bytes_in')::bigint,
    (case when head ? 'bytes_out' then head else f.spans[f.bytes_out] end -> 'bytes_out')::bigint,
    coalesce((head -> 'tokens_in')::bigint, f.tokens_in::bigint),
    coalesce((head -> 'tokens_out')::bigint, f.tokens_out::bigint),
    f.span_count::int, b.layers, head ->> 'process'
  from (select *, spans[head_nth] as first from found offset 0) as f
  join telltale.breakdowns_of(traces) as b on b.place = f.place
  cross join lateral (select f.first, case when f.first ? 'session_key' then f.first else f.spans[f.session_key] end)
    as chosen(head, session);
end
$function$;
grant execute on function telltale.summaries_of(jsonb[]) to service_role;
comment on function telltale.summaries_of(jsonb[]) is 'What the spans of traces add up to, as TraceSummary in src/core/trace.ts has it. *_us are µs since the epoch, *_ms ms.
Used where rows merge; the edge computes the same for a trace that it sees whole.';

CREATE OR REPLACE FUNCTION telltale.summary_of(spans jsonb)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select to_jsonb(s) - 'place' from telltale.summaries_of(array[spans]) as s $function$;
grant execute on function telltale.summary_of(jsonb) to service_role;
comment on function telltale.summary_of(jsonb) is 'What the spans of one trace add up to, as one object; see summaries_of.';

CREATE OR REPLACE FUNCTION telltale.tail(cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
 SET jit TO 'off'
AS $function$
declare
  size integer;
  place jsonb;
  head timestamptz;
  seen pg_snapshot;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  place := telltale.place_of(cursor,
    '{"us": "^[0-9]{1,16}$", "id": "^[0-9a-f]{0,32}$", "seen": "^[0-9]+:[0-9]+:[0-9,]*$"}');
  head := telltale.at_of((place ->> 'us')::bigint);
  seen := (place ->> 'seen')::pg_snapshot;
  with fresh as (
    (select t.* from telltale.traces as t
    where place is not null and t.duration_ms is not null and (t.changed_at, t.trace_id) > (head, place ->> 'id')
    order by t.changed_at, t.trace_id limit size)
    union all
    (select t.* from telltale.traces as t
    where place is null and t.duration_ms is not null
    order by t.changed_at desc, t.trace_id desc limit size)
    union all
    -- Written before the head but committed after the page that ended there: a writer has 2 s for its turn.
    (select t.* from telltale.traces as t
    where place is not null and t.duration_ms is not null
      and t.changed_at > head - interval '30 seconds' and (t.changed_at, t.trace_id) <= (head, place ->> 'id')
      and not pg_visible_in_snapshot(t.changed_xid, seen))
  )
  select jsonb_build_object(
    'rows', coalesce(jsonb_agg(jsonb_build_object(
      'trace_id', t.trace_id, 'revision', t.revision, 'at', t.ended_at, 'at_us', telltale.us_of(t.ended_at),
      'service', s.service, 'environment', s.environment, 'instance', s.instance, 'session_key', t.session_key,
      'call_number', coalesce(t.call_number,
        case when t.session_key is not null then telltale.call_rank(t.session_key, t.started_at, t.trace_id) end),
      'tool', t.tool, 'name', t.name, 'outcome', t.outcome, 'duration_ms', t.duration_ms, 'layers', t.layers,
      'error', (
        select jsonb_build_object('error_type', e.error_type, 'message', e.message, 'culprit', e.culprit)
        from telltale.errors as e
        where e.trace_id = t.trace_id and e.day between t.day - 1 and t.day + 2
        order by e.at, e.error_id limit 1)
      ) order by t.changed_at, t.trace_id), '[]'),
    'next', telltale.cursor_of(jsonb_build_object(
      'us', greatest(coalesce(max(telltale.us_of(t.changed_at)), 0), coalesce((place ->> 'us')::bigint, 0)),
      'id', case when max(t.changed_at) > coalesce(head, '-infinity')
        or (max(t.changed_at) = head and (array_agg(t.trace_id order by t.changed_at desc, t.trace_id desc))[1] > place ->> 'id')
        then (array_agg(t.trace_id order by t.changed_at desc, t.trace_id desc))[1] else coalesce(place ->> 'id', '') end,
      'seen', pg_current_snapshot()::text)))
  into answer
  from fresh as t
  left join telltale.processes as p on p.process_id = t.process_id
  left join telltale.sources as s on s.source_id = p.source_id;
  return answer;
end
$function$;
grant execute on function telltale.tail(text,integer) to authenticated;
grant execute on function telltale.tail(text,integer) to service_role;
comment on function telltale.tail(text,integer) is 'Traces whose head has ended, in the order in which they changed, oldest first: {rows, next}. A null cursor gives the last
n. A trace that changes again comes again with a greater revision; one that was committed late comes late, but it comes.
Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.test_destination(name text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.test_destination(text) to service_role;
comment on function telltale.test_destination(text) is 'Has the next tick tell a destination something harmless: {notification_id}, see deliveries(). Definer: the operator alone.';

CREATE OR REPLACE FUNCTION telltale.texts_in(filter jsonb, key text)
 RETURNS text[]
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  value jsonb := filter -> key;
begin
  if coalesce(jsonb_typeof(value), 'null') = 'null' then
    return null;
  end if;
  if jsonb_typeof(value) = 'string' then
    return array[filter ->> key];
  end if;
  if jsonb_typeof(value) = 'array' then
    if not exists (select from jsonb_array_elements(value) as v where jsonb_typeof(v.value) <> 'string') then
      return array(select jsonb_array_elements_text(value));
    end if;
  end if;
  raise exception 'Cannot read filter: % is %', key, value
    using errcode = '22023', hint = key || ' is a string or an array of strings.';
end
$function$;
grant execute on function telltale.texts_in(jsonb,text) to authenticated;
grant execute on function telltale.texts_in(jsonb,text) to service_role;
comment on function telltale.texts_in(jsonb,text) is 'The string, or the strings, under a key of a filter, null when absent; raises 22023 for anything else.';

CREATE OR REPLACE FUNCTION telltale.tick_compact_minutes()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  v_minutes bigint;
begin
  -- A deleted part is deleted once, whoever gets it: what several compactors take adds up to what was there.
  with due as materialized (
    select distinct m.minute, m.source_id from telltale.rollup_minutes as m
    where m.batch_id is not null and m.minute < telltale.clock() - interval '2 minutes'
    order by m.minute, m.source_id
    limit 200
  ), taken as (
    delete from telltale.rollup_minutes as m using due
    where m.minute = due.minute and m.source_id = due.source_id and m.day = (due.minute at time zone 'UTC')::date
    returning m.minute, m.day, m.source_id, m.series
  ), summed as (
    insert into telltale.rollup_minutes (minute, day, source_id, batch_id, series)
    select minute, day, source_id, null, telltale.series_merge(series) from taken group by minute, day, source_id
    returning minute, source_id
  ), hours as (
    -- Not `do nothing`: it must wait for whoever computes the hour now without these parts.
    insert into telltale.hours_due as h (hour, source_id)
    select distinct date_trunc('hour', minute, 'UTC'), source_id from summed order by 1, 2
    on conflict (hour, source_id) do update set due_at = excluded.due_at
  )
  select count(*) into v_minutes from due;
  return jsonb_build_object('done', v_minutes, 'more', v_minutes = 200);
end
$function$;
grant execute on function telltale.tick_compact_minutes() to service_role;
comment on function telltale.tick_compact_minutes() is 'Replaces the parts of up to 200 minutes that ended at least a minute ago by their sums, in one statement. Definer, see the
head of this file.';

CREATE OR REPLACE FUNCTION telltale.tick_decide_sampling()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.tick_decide_sampling() to service_role;
comment on function telltale.tick_decide_sampling() is 'Decides of up to 500 ended traces, in the order in which they were last touched, five minutes after that, whether they keep
their spans; done counts those that do not. One at a time: whoever comes second finds nothing to do. Definer, see the head of
create_tick.';

CREATE OR REPLACE FUNCTION telltale.tick_drop_partitions()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  v_before date := telltale.today() - 30;
  v_dropped int;
  v_days bigint;
begin
  -- First the days of the traces, in portions, so that what is left to do under the lock is little.
  delete from telltale.trace_days where trace_id in (
    select trace_id from telltale.trace_days where day < v_before
      and day in (select day from telltale.partition_days where day < v_before)
    limit 20000);
  get diagnostics v_days = row_count;
  if v_days = 20000 then
    return jsonb_build_object('done', 0, 'more', true);
  end if;
  begin
    v_dropped := telltale.drop_partitions(v_before);
  exception
    when lock_not_available or deadlock_detected then
      return jsonb_build_object('done', 0, 'more', false);
  end;
  return jsonb_build_object('done', v_dropped, 'more',
    exists (select from telltale.partition_days where day < v_before));
end
$function$;
grant execute on function telltale.tick_drop_partitions() to service_role;
comment on function telltale.tick_drop_partitions() is 'Drops the partitions of one day that is more than 30 days back; gives way to whoever holds a lock for half a second, until
the next tick. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.tick_join_traces()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
 SET jit TO 'off'
 SET enable_seqscan TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.tick_join_traces() to service_role;
comment on function telltale.tick_join_traces() is 'Joins the traces of the last minute that are one request, and sums joined traces up in the row of the outermost, about 100
at once; again when one of them changes. Definer, as every step of the tick: no role may write the tables.';

CREATE OR REPLACE FUNCTION telltale.tick_make_partitions()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  made jsonb;
begin
  made := telltale.make_partitions(array(select telltale.today() + ahead from generate_series(-1, 3) as ahead));
  return jsonb_build_object('done', jsonb_array_length(made -> 'made'), 'more', false);
end
$function$;
grant execute on function telltale.tick_make_partitions() to service_role;
comment on function telltale.tick_make_partitions() is 'Makes the partitions from yesterday to 3 days ahead; older ones are made when a record asks. Definer, see the file''s head.';

CREATE OR REPLACE FUNCTION telltale.tick_mark_interrupted()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_process telltale.processes;
  v_unlisted jsonb;
  v_rows jsonb;
begin
  lock table telltale.traces, telltale.errors, telltale.messages, telltale.gauges, telltale.rollup_minutes
    in row exclusive mode;
  -- One process a call: its row, then its traces, in the order that ingest_batch keeps.
  -- A call may run though no list names it: lists are cut, and one that was old on arrival was not kept.
  select p.* into v_process from telltale.processes as p
  cross join lateral (select telltale.clock() - greatest(60000, 4 * p.pace_ms) * interval '1 millisecond') as bound(at)
  where coalesce(p.renewed_at, p.last_seen_at) < bound.at
    and (p.running_total > 0 or exists (select from telltale.traces as t
      where t.process_id = p.process_id and t.duration_ms is null and t.changed_at < bound.at))
  order by p.process_id limit 1
  for no key update of p skip locked;
  if not found then
    return jsonb_build_object('done', 0, 'more', false);
  end if;
  select coalesce(jsonb_agg(jsonb_build_object('trace_id', t.trace_id, 'span_id', t.span_id)), '[]') into v_unlisted
  from (
    select r.trace_id, (select s.key from jsonb_each(r.spans) as s
      where s.value ->> 'end_us' is null and s.value ->> 'process' = v_process.process_id::text limit 1) as span_id
    from telltale.traces as r
    where r.process_id = v_process.process_id and r.duration_ms is null
      and not exists (select from jsonb_array_elements(v_process.running) as c where c.value ->> 'trace_id' = r.trace_id)
    order by r.changed_at limit 1000
  ) as t;
  v_rows := telltale.concluded_rows(v_process.running || v_unlisted, v_process.process_id);
  -- A call whose day has no partition any more, or never had, is older than anything that is kept.
  select coalesce(jsonb_agg(r.value order by r.value ->> 'trace_id' collate "C"), '[]') into v_rows
  from jsonb_array_elements(v_rows) as r
  where exists (select from telltale.partition_days as made where made.day = coalesce(
    (select d.day from telltale.trace_days as d where d.trace_id = r.value ->> 'trace_id'),
    telltale.day_of((r.value -> 'started_at_us')::bigint)));
  perform telltale.store_traces(v_rows);
  update telltale.processes set running = '[]', running_total = 0 where process_id = v_process.process_id;
  return jsonb_build_object('done', jsonb_array_length(v_rows), 'more', true);
end
$function$;
grant execute on function telltale.tick_mark_interrupted() to service_role;
comment on function telltale.tick_mark_interrupted() is 'Ends what a process ran that has not renewed it for 60 s or four flushes, listed or not: outcome interrupted, concluded,
which any reported end beats. One process a call, at most 1,000 calls that no list names; done counts traces. Definer, see
the head of this file.';

CREATE OR REPLACE FUNCTION telltale.tick_measure_clocks()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.tick_measure_clocks() to service_role;
comment on function telltale.tick_measure_clocks() is 'Measures how far the clocks of processes are apart, by the newest traces that several of them recorded: a span called from
another lies inside it. 0 where the times as they are allow that, else the middle of what does. Definer, as every step.';

CREATE OR REPLACE FUNCTION telltale.tick_measure_resources(instance text DEFAULT 'database'::text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET lock_timeout TO '2s'
AS $function$
declare
  own_process constant uuid := '7e117a1e-0000-8000-8000-000000000001';
  v_gauges jsonb;
begin
  lock table telltale.gauges in row exclusive mode;
  insert into telltale.sources (source_id, service, environment, instance)
  values (telltale.own_source(), 'telltale', 'telltale', 'telltale') on conflict do nothing;
  insert into telltale.processes (process_id, source_id, started_at, sdk, last_seen_at)
  values (own_process, telltale.own_source(), telltale.clock(), 'telltale-tick', 'epoch') on conflict do nothing;
  -- Whoever moves it on has the turn; so too after the clock went back.
  update telltale.processes as p set last_seen_at = telltale.clock()
  where p.process_id = own_process
    and p.last_seen_at not between telltale.clock() - interval '60 seconds' and telltale.clock() + interval '60 seconds'
    and exists (select from telltale.partition_days as d where d.day = telltale.today());
  if not found then
    return jsonb_build_object('due', false, 'done', 0, 'more', false);
  end if;
  select jsonb_agg(jsonb_build_object('name', name, 'at_us', telltale.us_of(telltale.clock()), 'value', value,
    'labels', jsonb_build_object('instance', instance)))
  into v_gauges
  from (
    select count(*) filter (where state = 'active') as active, count(*) filter (where state like 'idle%') as idle
    from pg_catalog.pg_stat_activity where datname = current_database() and coalesce(backend_type, 'client backend') = 'client backend'
  ) as pool
  cross join lateral (values ('supabase_pool_active', active::double precision), ('supabase_pool_idle', idle),
    ('database_mb', round(pg_database_size(current_database()) / 1048576.0, 3)),
    -- The pages that have the channel open know each other; the most that one of them sees.
    ('realtime_connections', (select coalesce(max(v.present), 0) from telltale.viewers as v
      where v.seen_at > telltale.clock() - interval '60 seconds'))) as measured(name, value);
  perform telltale.store_samples('[]', v_gauges, own_process);
  return jsonb_build_object('due', true, 'done', jsonb_array_length(v_gauges), 'more', false);
end
$function$;
grant execute on function telltale.tick_measure_resources(text) to service_role;
comment on function telltale.tick_measure_resources(text) is '{done, more, due}: due where 60 s have passed since the last time; then done counts the gauges of the database that were stored:
its connections, its size in MB, and how many pages have the live channel open. `instance` is where it is. The rest of the step is
functions/action/measure_resources.ts. Definer: no role may write the tables.';

CREATE OR REPLACE FUNCTION telltale.tick_measure_skews()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
declare
  v_changed bigint;
  v_begun bigint;
begin
  perform pg_advisory_xact_lock(8467125002);
  -- Of the processes of a source that are heard, the one whose clock is off least speaks for it.
  with heard as (
    select distinct on (p.source_id) p.source_id, p.clock_offset_us * interval '1 microsecond' as off
    from telltale.processes as p
    where p.last_seen_at > telltale.clock() - interval '10 minutes' and p.clock_offset_us is not null
    order by p.source_id, abs(p.clock_offset_us), p.process_id
  ), ended as (
    -- Not at every wavering around half a minute.
    update telltale.source_clocks as c set to_minute = greatest(c.from_minute, date_trunc('minute', telltale.clock() - h.off))
    from heard as h
    where c.source_id = h.source_id and c.to_minute is null and (h.off between interval '-30 seconds' and interval '30 seconds'
      or h.off - c.shift not between interval '-45 seconds' and interval '45 seconds')
    returning 1
  )
  select count(*) into v_changed from ended;
  insert into telltale.source_clocks as c (source_id, from_minute, shift)
  select p.source_id, greatest(p.from_minute, (select max(before.to_minute) from telltale.source_clocks as before
      where before.source_id = p.source_id)), p.shift
  from (
    select distinct on (p.source_id) p.source_id, p.clock_offset_us,
      make_interval(mins => greatest(-1440, least(1440, round(p.clock_offset_us / 60e6)))::int) as shift,
      -- A process that is new was off from its start; with one that was heard before, its clock has been set just now.
      date_trunc('minute', case when p.first_seen_at > telltale.clock() - interval '15 minutes' then p.started_at
        else telltale.clock() - p.clock_offset_us * interval '1 microsecond' end) as from_minute
    from telltale.processes as p
    where p.last_seen_at > telltale.clock() - interval '10 minutes' and p.clock_offset_us is not null
    order by p.source_id, abs(p.clock_offset_us), p.process_id
  ) as p
  where abs(p.clock_offset_us) >= 60000000
    and not exists (select from telltale.source_clocks as open where open.source_id = p.source_id and open.to_minute is null)
  on conflict (source_id, from_minute) do update set to_minute = null, shift = excluded.shift, measured_at = telltale.clock();
  get diagnostics v_begun = row_count;
  delete from telltale.source_clocks where to_minute < telltale.clock() - interval '31 days';
  return jsonb_build_object('done', v_changed + v_begun, 'more', false);
end
$function$;
grant execute on function telltale.tick_measure_skews() to service_role;
comment on function telltale.tick_measure_skews() is 'Notes of each source that is heard from when on its clock is off by a minute or more, and when it is right again; done counts what
changed. Definer, see the head of create_tick.';

CREATE OR REPLACE FUNCTION telltale.tick_prune()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  portion constant int := 5000;
  n bigint;
  done bigint := 0;
  more boolean := false;
begin
  delete from telltale.batches where batch_id in (
    select batch_id from telltale.batches where received_at < telltale.clock() - interval '30 days' limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.trace_days where trace_id in (
    select trace_id from telltale.trace_days as d where d.day < telltale.today() - 30
      and not exists (select from telltale.partition_days as p where p.day = d.day)
    limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.rollup_hours where (hour, source_id) in (
    select hour, source_id from telltale.rollup_hours where hour < telltale.clock() - interval '400 days'
    limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.hours_due where hour < telltale.clock() - interval '31 days';
  delete from telltale.processes where process_id in (
    select process_id from telltale.processes where last_seen_at < telltale.clock() - interval '60 days'
    limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.error_groups where (fingerprint, source_id) in (
    select fingerprint, source_id from telltale.error_groups where last_seen_at < telltale.clock() - interval '400 days'
    limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.error_group_states as t
  where not exists (select from telltale.error_groups as g where g.fingerprint = t.fingerprint);
  get diagnostics n = row_count;
  done := done + n;
  delete from telltale.incidents where incident_id in (
    select incident_id from telltale.incidents where last_at < telltale.clock() - interval '400 days'
    limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.detector_series where (service, environment, series_key, metric) in (
    select service, environment, series_key, metric from telltale.detector_series
    where seen_at < telltale.clock() - interval '7 days' limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.detectors where (service, environment) in (
    select d.service, d.environment from telltale.detectors as d
    where d.looked_at < telltale.clock() - interval '7 days' limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  delete from telltale.viewers where seen_at < telltale.clock() - interval '10 minutes';
  get diagnostics n = row_count;
  done := done + n;
  delete from telltale.sources where source_id in (
    select s.source_id from telltale.sources as s
    where s.created_at < telltale.clock() - interval '60 days'
      and not exists (select from telltale.processes as p where p.source_id = s.source_id)
      and not exists (select from telltale.rollup_hours as h where h.source_id = s.source_id)
      and not exists (select from telltale.error_groups as g where g.source_id = s.source_id)
    limit portion for update skip locked);
  get diagnostics n = row_count;
  done := done + n; more := more or n = portion;
  return jsonb_build_object('done', done, 'more', more);
end
$function$;
grant execute on function telltale.tick_prune() to service_role;
comment on function telltale.tick_prune() is 'Deletes, 5,000 rows of a table at a time, batches after 30 days, hours, error groups and incidents after 400, silent
processes after 60, series that the detector sees no more after 7, viewers after 10 minutes, what was said of groups that are
gone, and sources that nothing refers to any more. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.tick_recompute_hours()
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  v_due jsonb;
begin
  with due as (
    select h.hour, h.source_id from telltale.hours_due as h order by h.hour, h.source_id limit 50 for update skip locked
  ), taken as (
    delete from telltale.hours_due as h using due where h.hour = due.hour and h.source_id = due.source_id
    returning h.hour, h.source_id
  )
  select coalesce(jsonb_agg(to_jsonb(taken)), '[]') into v_due from taken;
  -- A statement of its own, so that it sees every part that marked one of these hours.
  insert into telltale.rollup_hours as r (hour, source_id, series)
  select due.hour, due.source_id, telltale.series_merge(m.series)
  from jsonb_to_recordset(v_due) as due(hour timestamptz, source_id uuid)
  join telltale.rollup_minutes as m on m.source_id = due.source_id
    and m.minute >= due.hour and m.minute < due.hour + interval '1 hour' and m.day = (due.hour at time zone 'UTC')::date
  group by due.hour, due.source_id
  order by due.hour, due.source_id
  on conflict (hour, source_id) do update set series = excluded.series, computed_at = telltale.clock();
  return jsonb_build_object('done', jsonb_array_length(v_due), 'more', jsonb_array_length(v_due) = 50);
end
$function$;
grant execute on function telltale.tick_recompute_hours() to service_role;
comment on function telltale.tick_recompute_hours() is 'Computes up to 50 hours with a changed minute from their minutes. Definer, see the head of this file.';

CREATE OR REPLACE FUNCTION telltale.time_tree(filter jsonb DEFAULT '{}'::jsonb, depth integer DEFAULT 6)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
declare
  asked record;
begin
  perform telltale.require_reader();
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, telltale.lens_keys());
  depth := coalesce(depth, 6);
  if depth not between 1 and 12 then
    raise exception 'Cannot read tree: depth is %', depth using errcode = '22023', hint = 'depth is 1 to 12, or null for 6.';
  end if;
  select * into asked from telltale.lens_range(filter);
  return (
    with sample as materialized (
      select * from telltale.lens_traces(filter, asked.since, asked.till, 3000, 20000)
    ), trace as materialized (
      -- Of those that are joined, the spans of all; those whose spans were not kept have none.
      select s.trace_id, coalesce(j.spans, s.spans) as spans, row_number() over (order by s.trace_id) as place,
        (select sum(l.value::double precision) from jsonb_each(s.layers) as l) * 1000 as us
      from sample as s
      left join telltale.joined_spans_of((
        select array_agg(distinct i.outer_trace_id) from telltale.trace_joins as i join sample as o on o.trace_id = i.outer_trace_id
      )) as j on j.root = s.trace_id
      where s.spans <> '{}'
    ), part as materialized (
      select p.place, p.path, bool_or(p.wait) as wait, sum(p.self_us) as us, sum(p.self_us) filter (where p.wait) as waited,
        count(*) as spans, count(*) filter (where p.folded) as folded
      from telltale.span_paths((select array_agg(spans order by place) from trace), depth) as p
      group by p.place, p.path
    ), unexplained as (
      select t.place, greatest(0, round((t.us - coalesce(s.us, 0))::numeric)) as us
      from trace as t left join (select place, sum(us) as us from part group by place) as s on s.place = t.place
    ), whole as (
      select nullif((select coalesce(sum(us), 0) from part) + (select coalesce(sum(us), 0) from unexplained), 0) as us
    ), own as (
      select path, sum(us) as us, sum(coalesce(waited, 0)) as waited, sum(spans) as spans, sum(folded) as folded from part group by path
    ), below as (
      -- What a trace spent at a path or anywhere below it.
      select place, path[1:level] as path, sum(us) as us, sum(coalesce(waited, 0)) as waited
      from part cross join lateral generate_series(1, cardinality(path)) as level
      group by 1, 2
    ), node as (
      select b.path, count(*) as n, sum(b.us) as us, sum(b.waited) as waited,
        percentile_disc(array[0.5, 0.95]) within group (order by b.us) as quantiles
      from below as b group by b.path
    ), shown as materialized (
      -- Above what is shown is never what is not: that took at least as long.
      select * from node order by us desc, cardinality(path), path collate "C" limit 300
    ), line as (
      select s.*, coalesce(o.us, 0) as own_us, coalesce(o.spans, 0) as spans, coalesce(o.folded, 0) as folded,
        s.us - coalesce(o.us, 0) - coalesce((
          select sum(c.us) from shown as c where cardinality(c.path) = cardinality(s.path) + 1
            and c.path[1:cardinality(s.path)] = s.path), 0) as rest_us
      from shown as s left join own as o on o.path = s.path
    )
    select jsonb_build_object('from_us', telltale.us_of(asked.since), 'to_us', telltale.us_of(asked.till),
      'matched', coalesce((select max(matched) from sample), 0), 'read', (select count(*) from trace),
      'emptied', coalesce((select max(emptied) from sample), 0),
      'total_ms', trim_scale(round(coalesce((select us from whole), 0) / 1000, 3)),
      'unexplained', (select jsonb_build_object('total_ms', trim_scale(round(coalesce(sum(us), 0) / 1000, 3)),
        'share', round(coalesce(sum(us) / (select us from whole), 0), 6), 'n', count(*) filter (where us > 0)) from unexplained),
      'nodes', coalesce((
        select jsonb_agg(jsonb_build_object(
          'path', (select jsonb_agg(step::jsonb order by level) from unnest(l.path) with ordinality as p(step, level)),
          'n', l.n, 'spans', l.spans, 'folded', l.folded, 'total_ms', trim_scale(round(l.us / 1000, 3)),
          'share', round(coalesce(l.us / (select us from whole), 0), 6), 'self_ms', trim_scale(round(l.own_us / 1000, 3)),
          'wait_ms', trim_scale(round(l.waited / 1000, 3)), 'work_ms', trim_scale(round((l.us - l.waited) / 1000, 3)),
          'rest_ms', trim_scale(round(l.rest_us / 1000, 3)), 'p50_ms', trim_scale(round(l.quantiles[1] / 1000, 3)),
          'p95_ms', trim_scale(round(l.quantiles[2] / 1000, 3))) order by l.path collate "C")
        from line as l), '[]'))
  );
end
$function$;
grant execute on function telltale.time_tree(jsonb,integer) to authenticated;
grant execute on function telltale.time_tree(jsonb,integer) to service_role;
comment on function telltale.time_tree(jsonb,integer) is 'The spans of many traces as one tree by path: {from_us, to_us, matched: traces that count, read: those whose spans were,
emptied: those that kept none, for the sampling keeps what failed or was slow and few of the others,
total_ms: of all self time and what no span explains, unexplained: {total_ms, share, n traces}, nodes: [{path: [[kind, layer,
name]], n traces, spans, folded: of these, such as lie deeper than `depth`, total_ms = wait_ms + work_ms of it and all
below it, share of the whole, self_ms of it alone, rest_ms: below it, in what is not listed, p50_ms, p95_ms of the total in a
trace that has it}] by path, the 300 that took longest}. The shares of the top nodes and of unexplained add up to 1. At most
3,000 traces are read, and no more than have 20,000 spans. Filter: as traces; from is 15 minutes ago and to is now unless given.
Definer, see the file''s head; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.today()
 RETURNS date
 LANGUAGE sql
 STABLE
 SET search_path TO ''
AS $function$ select (telltale.clock() at time zone 'UTC')::date $function$;
grant execute on function telltale.today() to authenticated;
grant execute on function telltale.today() to service_role;
comment on function telltale.today() is 'The UTC day of this transaction.';

CREATE OR REPLACE FUNCTION telltale.trace(trace_id text)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.trace(text) to authenticated;
grant execute on function telltale.trace(text) to service_role;
comment on function telltale.trace(text) is 'One trace, null when there is none: {trace: {..., joined: [{trace_id, rule}], spans: [{span_id, ..., self_ms, process,
service, instance, clock_offset_us, shift_us, inferred}] by start}, errors, messages: the first 1,000 each}. A trace that is
joined into another answers as that one. *_us are µs since the epoch as the reporters'' clocks had them; shift_us is what to
add so that they are by the head''s clock; spans is empty where `sampled`: they were let go; inferred, of a span that hangs on its parent by inference, is the rule. Definer,
see the head of create_trace_reader; the first line refuses non-members.';

CREATE OR REPLACE FUNCTION telltale.trace_row(t telltale.traces)
 RETURNS jsonb
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET "TimeZone" TO 'UTC'
AS $function$
  select jsonb_build_object(
    'trace_id', t.trace_id, 'started_at', t.started_at, 'started_at_us', telltale.us_of(t.started_at),
    'ended_at', t.ended_at, 'ended_at_us', telltale.us_of(t.ended_at), 'duration_ms', t.duration_ms,
    'wait_ms', t.wait_ms, 'name', t.name, 'outcome', t.outcome, 'request_id', t.request_id,
    'session_key', t.session_key, 'session_rule', t.session_rule,
    'call_number', coalesce(t.call_number,
      case when t.session_key is not null then telltale.call_rank(t.session_key, t.started_at, t.trace_id) end),
    'tool', t.tool, 'provider', t.provider, 'model', t.model, 'bytes_in', t.bytes_in, 'bytes_out', t.bytes_out,
    'tokens_in', t.tokens_in, 'tokens_out', t.tokens_out, 'span_count', t.span_count,
    'spans_dropped', t.spans_dropped, 'sampled', t.sampled is not null, 'layers', t.layers, 'process', t.process_id, 'service', s.service,
    'environment', s.environment, 'instance', s.instance, 'revision', t.revision)
  from (select) as one
  left join telltale.processes as p on p.process_id = t.process_id
  left join telltale.sources as s on s.source_id = p.source_id
$function$;
comment on function telltale.trace_row(telltale.traces) is 'A trace without its spans, as the readers answer it; sampled: they were let go. Instants are ISO 8601 in UTC, *_us µs since the epoch, *_ms ms.
Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.traces(filter jsonb DEFAULT '{}'::jsonb, cursor text DEFAULT NULL::text, n integer DEFAULT 100)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  size integer;
  answer jsonb;
begin
  perform telltale.require_reader();
  size := telltale.page_size(n);
  filter := coalesce(filter, '{}');
  perform telltale.check_filter(filter, array['from', 'to', 'tool', 'provider', 'model', 'layer', 'outcome',
    'min_duration_ms', 'max_duration_ms', 'session', 'call_number', 'request_id', 'environment', 'service', 'text']);
  execute format(
    'with page as (
      select t as row, t.started_at, t.trace_id from telltale.traces as t where %s
      order by t.started_at desc, t.trace_id desc limit %s
    )
    select jsonb_build_object(
      ''rows'', coalesce(jsonb_agg(telltale.trace_row(page.row) order by started_at desc, trace_id desc), ''[]''),
      ''next'', case when count(*) = %s then telltale.cursor_of(jsonb_build_object(
        ''us'', telltale.us_of(min(started_at)), ''id'',
        (array_agg(trace_id order by started_at, trace_id))[1])) end)
    from page',
    telltale.traces_where(filter, telltale.place_of(cursor, '{"us": "^[0-9]{1,16}$", "id": "^[0-9a-f]{32}$"}')), size, size) into answer;
  return answer;
end
$function$;
grant execute on function telltale.traces(jsonb,text,integer) to authenticated;
grant execute on function telltale.traces(jsonb,text,integer) to service_role;
comment on function telltale.traces(jsonb,text,integer) is 'Traces without their spans, newest first: {rows, next}. Filter: from, to (of the start; ISO 8601 or µs), tool, provider,
model, layer, outcome, session, request_id, environment, service (each a string or an array), min_duration_ms,
max_duration_ms (exclusive), call_number, text (all words, of names and errors). n is 1 to 1000. Definer, see the head of this file; the first line refuses
non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.traces_matching(filter jsonb, place jsonb)
 RETURNS text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
declare
  since timestamptz := telltale.instant_of(filter, 'from');
  till timestamptz := telltale.instant_of(filter, 'to');
  duration numeric := telltale.number_in(filter, 'min_duration_ms');
  below numeric := telltale.number_in(filter, 'max_duration_ms');
  call bigint := telltale.whole_number_in(filter, 'call_number');
  words tsquery := telltale.query_of(filter ->> 'text');
  layers text[] := telltale.texts_in(filter, 'layer');
  condition text := 'true';
begin
  if since is not null then
    condition := condition || format(' and t.started_at >= %L and t.day >= %L', since, (since at time zone 'UTC')::date - 1);
  end if;
  if till is not null then
    condition := condition || format(' and t.started_at < %L and t.day <= %L', till, (till at time zone 'UTC')::date + 1);
  end if;
  condition := condition || telltale.matching(filter, 'tool', 't.tool')
    || telltale.matching(filter, 'provider', 't.provider')
    || telltale.matching(filter, 'model', 't.model')
    || telltale.matching(filter, 'outcome', 't.outcome')
    || telltale.matching(filter, 'session', 't.session_key')
    || telltale.matching(filter, 'request_id', 't.request_id')
    || telltale.processes_where(filter);
  if layers is not null then
    condition := condition || format(' and t.layers ?| %L', layers);
  end if;
  if duration is not null then
    condition := condition || format(' and t.duration_ms >= %L::double precision', duration);
  end if;
  if below is not null then
    condition := condition || format(' and t.duration_ms < %L::double precision', below);
  end if;
  if call is not null then
    condition := condition || format(' and coalesce(t.call_number, case when t.session_key is not null
      then telltale.call_rank(t.session_key, t.started_at, t.trace_id, %L) end) = %L', greatest(1, least(call, 100000)), call);
  end if;
  if words is not null then
    -- Not `or`, which would go through all traces by their start and read the words of each.
    condition := condition || format(' and (t.trace_id, t.day) in (
      select w.trace_id, w.day from telltale.traces as w
      where telltale.words_of(w.name, w.tool, w.provider, w.model, w.request_id, w.session_key) @@ %L
      union all
      select d.trace_id, d.day from telltale.errors as e join telltale.trace_days as d on d.trace_id = e.trace_id
      where telltale.words_of(e.error_type, e.message, e.culprit) @@ %L)', words, words);
  end if;
  if place is not null then
    condition := condition || format(' and (t.started_at, t.trace_id) < (%L, %L) and t.day <= %L',
      telltale.at_of((place ->> 'us')::bigint), place ->> 'id', telltale.day_of((place ->> 'us')::bigint) + 1);
  end if;
  return condition;
end
$function$;
comment on function telltale.traces_matching(jsonb,jsonb) is 'A condition in SQL on a trace t, by a filter and the place of a cursor. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.traces_where(filter jsonb, place jsonb)
 RETURNS text
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
  select telltale.traces_matching(filter, place)
    -- Not `not exists`, nor `is null`: asked row by row along the index on traces, and taken for what most rows pass.
    || ' and coalesce((select false from telltale.trace_joins as j where j.inner_trace_id = t.trace_id), true)'
$function$;
comment on function telltale.traces_where(jsonb,jsonb) is 'A condition in SQL on a trace t, by a filter and the place of a cursor, that leaves out what is joined into another. Definer:
part of the readers.';

CREATE OR REPLACE FUNCTION telltale.trend(filter jsonb DEFAULT '{}'::jsonb, key text DEFAULT 'all'::text, step_s integer DEFAULT NULL::integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
declare
  noise constant double precision := 0.05;
  answer jsonb;
  step bigint;
  trends jsonb;
begin
  answer := telltale.series(filter, key, step_s);
  step := (answer -> 'step_s')::bigint;
  if jsonb_array_length(answer -> 'points') > 400 then
    raise exception 'Cannot tell trend: it has more than 400 points' using errcode = '22023', hint = 'Take a greater step_s.';
  end if;
  with point as (
    select (p.value -> 'at_us')::bigint / 1000000 / step as place, (p.value ->> 'count')::double precision as count,
      (p.value ->> 'errors')::double precision / nullif((p.value ->> 'count')::double precision, 0) as error_rate,
      (p.value ->> 'p50_ms')::double precision as p50, (p.value ->> 'p95_ms')::double precision as p95
    from jsonb_array_elements(answer -> 'points') as p
    -- A step that is not over says nothing yet.
    where (p.value -> 'at_us')::bigint + step * 1000000 <= telltale.us_of(telltale.clock())
  ), slope as (
    select telltale.slope_of(name, array_agg(place order by place), array_agg(value order by place)) as told
    from point cross join lateral (values ('count', count), ('error_rate', error_rate), ('p50_ms', p50), ('p95_ms', p95))
      as v(name, value)
    group by name
  ), corrected as (
    select told, max(least(1, p * (made - place + 1))) over (order by place) as p
    from (
      select told, (told ->> 'p')::double precision as p, count(told ->> 'p') over () as made,
        row_number() over (order by (told ->> 'p')::double precision nulls last, told ->> 'measure') as place
      from slope
    ) as ranked
  )
  select jsonb_object_agg(told ->> 'measure', jsonb_build_object(
    'per_hour', round((told ->> 'step')::numeric * 3600 / step, 6), 'points', told -> 'n',
    'change', round((told ->> 'step')::numeric * ((told -> 'n')::int - 1), 6),
    'p', case when told ->> 'p' is not null then round(p::numeric, 6) end,
    'differs', case when told ->> 'p' is not null then p < noise end))
  into trends from corrected;
  return answer || jsonb_build_object('noise', noise, 'trends', coalesce(trends, '{}'), 'points', (
    select coalesce(jsonb_agg(p.value - array['mean_ms', 'p99_ms', 'bytes_in', 'bytes_out', 'tokens_in', 'tokens_out']
      order by (p.value -> 'at_us')::bigint), '[]')
    from jsonb_array_elements(answer -> 'points') as p));
end
$function$;
grant execute on function telltale.trend(jsonb,text,integer) to authenticated;
grant execute on function telltale.trend(jsonb,text,integer) to service_role;
comment on function telltale.trend(jsonb,text,integer) is '{from_us, to_us, step_s, key, source, points: [{at_us, count, errors, p50_ms, p95_ms}], noise, trends: {count, error_rate,
p50_ms, p95_ms: {per_hour: slope, change: over all steps together, points: how many were looked at, p, differs}}}. The slope is the median of
those between all pairs of steps (Theil-Sen), so that single spikes do not move it; differs: p is below noise (Mann-Kendall,
corrected for four measures, and for steps that resemble their neighbours); null of fewer than 8 steps. At most 400 steps, else it
raises 22023. As series() otherwise. Definer: as series, which refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.us_of(at timestamp with time zone)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$ select (extract(epoch from at) * 1000000)::bigint $function$;
grant execute on function telltale.us_of(timestamp with time zone) to authenticated;
grant execute on function telltale.us_of(timestamp with time zone) to service_role;
comment on function telltale.us_of(timestamp with time zone) is 'µs since the epoch.';

CREATE OR REPLACE FUNCTION telltale.version_key(version text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO ''
AS $function$
  -- Numbers filled up to ten digits compare as text; '~' after a release is greater than what comes before one.
  select (
    select string_agg(lpad(coalesce(split_part(part[1], '.', n), ''), 10, '0'), '.' order by n)
    from generate_series(1, 6) as n
  ) || case
    when part[2] = '' then '~'
    when part[2] ~* '^[.-]?(post|sp|patch)' then '~~'
    else '' end || (
    select coalesce(string_agg(case when token[1] ~ '^[0-9]' then lpad(token[1], 10, '0') else lower(token[1]) end, ' '
      order by place), '')
    from regexp_matches(part[2], '[0-9]{1,10}|[a-zA-Z]+', 'g') with ordinality as tokens(token, place))
  -- Without a dot only a plain number is one: 3f2a9c1 is a commit.
  from regexp_matches(version, '^[vV]?(?=[0-9]+(?:[.]|$))([0-9]{1,10}(?:[.][0-9]{1,10}){0,5})'
    || '((?:[.-]?[a-zA-Z][0-9a-zA-Z.-]*|-[0-9a-zA-Z.-]+)?)(?:[+].*)?$') as parsed(part)
$function$;
grant execute on function telltale.version_key(text) to authenticated;
grant execute on function telltale.version_key(text) to service_role;
comment on function telltale.version_key(text) is 'A version of numbers with dots, such as v1.2.0-rc.1 or 1.2.0rc1, as text that sorts (by bytes) as versions do: a
pre-release before its release, a post-release after. Null of any other, such as a commit.';

CREATE OR REPLACE FUNCTION telltale.whole_number_in(filter jsonb, key text)
 RETURNS bigint
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO ''
AS $function$
declare
  value numeric := telltale.number_in(filter, key);
begin
  if value <> trunc(value) then
    raise exception 'Cannot read filter: % is %', key, filter -> key
      using errcode = '22023', hint = key || ' is a whole number.';
  end if;
  return value;
end
$function$;
grant execute on function telltale.whole_number_in(jsonb,text) to authenticated;
grant execute on function telltale.whole_number_in(jsonb,text) to service_role;
comment on function telltale.whole_number_in(jsonb,text) is 'The whole number under a key of a filter, null when absent; raises 22023 for anything else.';

CREATE OR REPLACE FUNCTION telltale.why_data(filter jsonb DEFAULT '{}'::jsonb, traces_max integer DEFAULT 3000)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
 SET jit TO 'off'
AS $function$
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
$function$;
grant execute on function telltale.why_data(jsonb,integer) to authenticated;
grant execute on function telltale.why_data(jsonb,integer) to service_role;
comment on function telltale.why_data(jsonb,integer) is 'WhyData (src/core/why/why_data.ts): the question, how many calls match, up to traces_max of them with their spans, and the
processes that recorded them. Filter: one of call_number, after (ISO 8601 or µs), above_ms, trace_id, region {from, to, min_ms,
max_ms}, or none, says which calls are the slow ones; from, to, tool, provider, model, session, service, environment say
among which. Definer, see the head of this file; the first line refuses non-members with 42501.';

CREATE OR REPLACE FUNCTION telltale.why_question_of(filter jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER
 SET search_path TO ''
AS $function$
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
$function$;
comment on function telltale.why_question_of(jsonb) is 'WhyQuestion of a filter. Without `from` the range begins a day before the newest call of it, before `after`, or before the
call asked about; without `to` it has no end. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.why_region_of(filter jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET search_path TO ''
AS $function$
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
$function$;
grant execute on function telltale.why_region_of(jsonb) to authenticated;
grant execute on function telltale.why_region_of(jsonb) to service_role;
comment on function telltale.why_region_of(jsonb) is 'The region of a heatmap under `region` of a filter: {from_us, to_us, min_ms, max_ms}, null when absent; raises 22023 for an
empty one.';

CREATE OR REPLACE FUNCTION telltale.why_traces(filter jsonb, question jsonb, traces_max integer, spans_max integer)
 RETURNS TABLE(matched bigint, call jsonb, spans jsonb)
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER ROWS 5000
 SET search_path TO ''
 SET jit TO 'off'
 SET work_mem TO '64MB'
AS $function$
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
$function$;
comment on function telltale.why_traces(jsonb,jsonb,integer,integer) is 'The ended calls that a filter and its question mean, by start: how many match, and of at most traces_max of them (and about
spans_max spans) WhyTrace without its spans, and the spans, joined ones included. Beyond that a sample by the hash of the
trace id, the same each time, half of it for the calls that the question names; of a range with more than 200,000 traces the
latest. Predecessors and what ran are told among all traces from an hour before the range on. Definer: part of the readers.';

CREATE OR REPLACE FUNCTION telltale.words_of(VARIADIC texts text[])
 RETURNS tsvector
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO ''
AS $function$ select to_tsvector('pg_catalog.simple', array_to_string(texts, ' ')) $function$;
grant execute on function telltale.words_of(text[]) to authenticated;
grant execute on function telltale.words_of(text[]) to service_role;
comment on function telltale.words_of(text[]) is 'What text search finds in these texts: their words as they are, in lower case.';

CREATE OR REPLACE FUNCTION telltale.worth_keeping(rules telltale.sampling, trace_ids text[], days date[])
 RETURNS SETOF text
 LANGUAGE plpgsql
 STABLE SECURITY DEFINER ROWS 100
 SET search_path TO ''
AS $function$
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
$function$;
comment on function telltale.worth_keeping(telltale.sampling,text[],date[]) is 'Those of these traces that keep their spans by a rule. Definer: part of tick_decide_sampling.';
