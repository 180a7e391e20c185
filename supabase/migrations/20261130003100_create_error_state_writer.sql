-- Saying of an error group that it is open, resolved or ignored. Members may, for themselves; the operator's commands may for
-- whoever runs them.

create function telltale.speaker(options jsonb) returns text
language plpgsql stable security definer
set search_path = ''
as $$
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
$$;
comment on function telltale.speaker(jsonb) is
  'Who sets a state: the member who calls, else `by` of the options, else operator. Definer: part of set_error_group_state.';
revoke all on function telltale.speaker(jsonb) from public, anon, authenticated, service_role;

create function telltale.older_versions(fingerprint text, version text) returns text[]
language sql stable security definer
set search_path = ''
as $$
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
$$;
comment on function telltale.older_versions(text, text) is
  'The versions of the group''s services whose first process started before the first of this version did, which may be still
to come: 100, the last seen first. Definer: part of set_error_group_state.';
revoke all on function telltale.older_versions(text, text) from public, anon, authenticated, service_role;

create function telltale.check_state(state text, options jsonb) returns void
language plpgsql stable
set search_path = ''
as $$
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
$$;
comment on function telltale.check_state(text, jsonb) is
  'Raises 22023 unless a state may be set with these options. Only set_error_group_state asks it.';
revoke all on function telltale.check_state(text, jsonb) from public, anon, authenticated, service_role;

create function telltale.set_error_group_state(fingerprint text, state text, options jsonb default '{}') returns jsonb
language plpgsql volatile security definer
set search_path = ''
set timezone = 'UTC'
as $$
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
$$;
comment on function telltale.set_error_group_state(text, text, jsonb) is
  'Says that an error group is open, resolved or ignored, in place of what was said before; {fingerprint, state, decision} as
error_groups() answers them. Options of resolved: version (errors of older ones do not reopen it), at (when it was; errors
after it reopen it); of ignored: until (a time to come) or count (while fewer than so many more come); of all, where no
member calls: by (who says it). Instants are ISO 8601 or µs. Raises 22023 for anything else, and where there is no such
group. Definer behind a first line that refuses non-members: no role may write the table.';
revoke all on function telltale.set_error_group_state(text, text, jsonb) from public, anon;
grant execute on function telltale.set_error_group_state(text, text, jsonb) to authenticated, service_role;
