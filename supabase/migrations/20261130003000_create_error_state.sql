-- What people said of error groups, and what has since shown otherwise. Whether a group is reopened follows from what was
-- said and from the errors alone: batches that come late, twice or in another order end in the same state. Of a group of
-- which nobody said anything there is no row: it is open.

create table telltale.error_group_states (
  fingerprint text collate "C" primary key,
  state text not null,
  set_at timestamptz not null,
  set_by text not null,
  revision bigint not null default 1,
  since timestamptz not null,
  version text,
  older_versions text[] not null default '{}',
  until timestamptz,
  count_max bigint,
  counted bigint not null default 0,
  reopened_at timestamptz,
  reopened_by jsonb,
  constraint error_group_states_are_open_resolved_or_ignored check (state in ('open', 'resolved', 'ignored')),
  constraint error_group_states_are_resolved_in_a_version check (version is null or state = 'resolved'),
  constraint error_group_states_are_ignored_until_one_of_two
    check (num_nonnulls(until, count_max) <= case state when 'ignored' then 1 else 0 end),
  constraint error_group_states_ignore_a_number check (count_max between 1 and 1000000),
  constraint error_group_states_count_what_they_ignore check (counted between 0 and coalesce(count_max, 0)),
  constraint error_group_states_know_a_few_older_versions check (cardinality(older_versions) <= 100),
  constraint error_group_states_are_set_by_somebody check (octet_length(set_by) between 1 and 320)
);
create index error_group_states_by_reopening on telltale.error_group_states (reopened_at);
comment on table telltale.error_group_states is
  'What was said last of an error group: one row for each of which somebody said something, whatever its sources.';
comment on column telltale.error_group_states.fingerprint is 'Which group.';
comment on column telltale.error_group_states.state is
  'What was said: open, resolved or ignored. It holds while reopened_at is null and `until` is not past; then the group is open.';
comment on column telltale.error_group_states.set_at is 'When it was said.';
comment on column telltale.error_group_states.set_by is 'Who said it: a member''s address, else the user id, else operator.';
comment on column telltale.error_group_states.revision is 'How often something was said of the group.';
comment on column telltale.error_group_states.since is
  'Errors later than this, by the reporters'' clocks, speak against it: of resolved, the time that was given, else when it was
said or the last error seen by then; of ignored until a time, that time; else infinity.';
comment on column telltale.error_group_states.version is
  'The service''s version that it was resolved in: errors from older versions do not speak against it. Null: errors from any do.';
comment on column telltale.error_group_states.older_versions is
  'The versions known to be older than that one when it was said, the last seen first: for versions that do not tell by themselves.';
comment on column telltale.error_group_states.until is 'Ignored until then; null without end.';
comment on column telltale.error_group_states.count_max is 'Ignored while fewer than so many more came; null without such a bound.';
comment on column telltale.error_group_states.counted is 'How many of count_max came.';
comment on column telltale.error_group_states.reopened_at is
  'When an error that speaks against what was said was stored, or the last of count_max; null while it holds.';
comment on column telltale.error_group_states.reopened_by is
  'The first error, by its own time, that speaks against it: {at_us, error_id, error_type, message, trace_id, service,
environment, version}; null where it was a number of them.';
alter table telltale.error_group_states enable row level security;
revoke all on telltale.error_group_states from public, anon, authenticated, service_role;
grant select on telltale.error_group_states to authenticated, service_role;
create policy error_group_states_read on telltale.error_group_states for select to authenticated
  using ((select telltale.is_reader()));

create function telltale.version_key(version text) returns text
language sql immutable strict parallel safe
set search_path = ''
as $$
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
$$;
comment on function telltale.version_key(text) is
  'A version of numbers with dots, such as v1.2.0-rc.1 or 1.2.0rc1, as text that sorts (by bytes) as versions do: a
pre-release before its release, a post-release after. Null of any other, such as a commit.';
revoke all on function telltale.version_key(text) from public, anon;
grant execute on function telltale.version_key(text) to authenticated, service_role;

create function telltale.is_older_version(version text, than text, older text[]) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  select coalesce(case
    when version is null or than is null or version = than then false
    else coalesce(telltale.version_key(version) collate "C" < telltale.version_key(than) collate "C", version = any (older))
  end, false)
$$;
comment on function telltale.is_older_version(text, text, text[]) is
  'Whether a version is certainly older than another: by their numbers where both have them, else because it is among those
that were known to be. A version that nobody told is not.';
revoke all on function telltale.is_older_version(text, text, text[]) from public, anon;
grant execute on function telltale.is_older_version(text, text, text[]) to authenticated, service_role;

create function telltale.reopening_error(e telltale.errors, version text, service text, environment text) returns jsonb
language sql immutable
set search_path = ''
as $$
  select jsonb_build_object('at_us', telltale.us_of(e.at), 'error_id', e.error_id, 'error_type', e.error_type,
    'message', e.message, 'trace_id', e.trace_id, 'service', service, 'environment', environment, 'version', version)
$$;
comment on function telltale.reopening_error(telltale.errors, text, text, text) is
  'An error as error_group_states.reopened_by keeps it.';
revoke all on function telltale.reopening_error(telltale.errors, text, text, text) from public, anon, authenticated, service_role;

create function telltale.reopen_error_groups(errors jsonb, inserted jsonb, source uuid, version text) returns void
language plpgsql volatile security definer
set search_path = ''
set enable_seqscan = off
as $$
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
$$;
comment on function telltale.reopen_error_groups(jsonb, jsonb, uuid, text) is
  'Reopens the groups of ErrorRows of which something was said that the errors speak against; `inserted` are those that were
not stored before. Definer: part of ingest_batch.';
revoke all on function telltale.reopen_error_groups(jsonb, jsonb, uuid, text) from public, anon, authenticated, service_role;

create function telltale.state_of(s telltale.error_group_states) returns text
language sql stable
set search_path = ''
as $$
  select case when s.state is null or s.reopened_at is not null or s.until <= telltale.clock() then 'open' else s.state end
$$;
comment on function telltale.state_of(telltale.error_group_states) is
  'open, resolved or ignored, as it is now; open where nothing was said.';
revoke all on function telltale.state_of(telltale.error_group_states) from public, anon;
grant execute on function telltale.state_of(telltale.error_group_states) to authenticated, service_role;

create function telltale.state_row(s telltale.error_group_states) returns jsonb
language sql stable
set search_path = ''
set timezone = 'UTC'
as $$
  select case when s.state is not null then jsonb_build_object('said', s.state, 'set_at', s.set_at, 'set_by', s.set_by,
    'revision', s.revision, 'since', nullif(s.since, 'infinity'), 'version', s.version, 'until', s.until,
    'count_max', s.count_max, 'counted', s.counted, 'reopened_at', s.reopened_at, 'reopened_by', s.reopened_by) end
$$;
comment on function telltale.state_row(telltale.error_group_states) is
  'What was said of a group as the readers answer it, null where nothing was.';
revoke all on function telltale.state_row(telltale.error_group_states) from public, anon;
grant execute on function telltale.state_row(telltale.error_group_states) to authenticated, service_role;

create function telltale.error_group_changes(since timestamptz)
returns table (fingerprint text, service text, environment text, change text, at timestamptz, error_type text,
  message text, trace_id text, happened_at timestamptz, version text)
language plpgsql stable security definer
set search_path = ''
as $$
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
$$;
comment on function telltale.error_group_changes(timestamptz) is
  'What errors did since an instant, in no order: change is `new` (the first error of its kind from a service and environment)
or `regressed` (an error spoke against resolved or ignored). `at` is when it was stored, by this clock: a reader that goes
on from the greatest `at` it saw misses nothing but what was still being committed then, so it looks back a minute and
knows a change by (fingerprint, service, environment, change, at). happened_at is the reporter''s time of that error, which
of an import may be weeks ago; version the service''s. Definer behind a first line that refuses non-members.';
revoke all on function telltale.error_group_changes(timestamptz) from public, anon;
grant execute on function telltale.error_group_changes(timestamptz) to authenticated, service_role;
