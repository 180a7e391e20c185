-- The schema, who may read it, and the small functions that everything else stands on.
-- Rights: anon and public have none. A member (role authenticated) reads by row level security. service_role reads, and
-- writes through functions alone, so that no secret key can put a row where ingest_batch would not.

create schema if not exists telltale;
comment on schema telltale is 'Telltale: what an MCP server did, 30 days in detail. Times are UTC.';
revoke all on schema telltale from public;
grant usage on schema telltale to authenticated, service_role;

create function telltale.clock() returns timestamptz
language sql stable parallel safe
return now();
comment on function telltale.clock() is
  'What time it is: that of the transaction. Nothing here asks another clock, so that a test can replace this one.';
revoke all on function telltale.clock() from public, anon;
grant execute on function telltale.clock() to authenticated, service_role;

create table telltale.members (
  user_id uuid primary key,
  email text,
  added_at timestamptz not null default telltale.clock(),
  constraint members_have_short_emails check (octet_length(email) <= 320)
);
comment on table telltale.members is 'Who may read. A row here is the right to see everything in this schema.';
comment on column telltale.members.user_id is 'The user''s id in Supabase Auth: the sub of the token.';
comment on column telltale.members.email is 'For people who read this table; decides nothing.';
comment on column telltale.members.added_at is 'When the member was added.';
alter table telltale.members enable row level security;
revoke all on telltale.members from public, anon, authenticated, service_role;
grant select on telltale.members to authenticated, service_role;

create function telltale.caller_id() returns uuid
language sql stable
set search_path = ''
as $$
  select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid
$$;
comment on function telltale.caller_id() is 'The user id of the caller''s token, null without one.';
revoke all on function telltale.caller_id() from public, anon;
grant execute on function telltale.caller_id() to authenticated, service_role;

create function telltale.is_reader() returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
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
$$;
comment on function telltale.is_reader() is
  'Whether the caller may read: a member, or a role that row level security does not bind. Definer: it reads the members
for callers who may not. It goes by the role that was set, which a definer function does not change.';
revoke all on function telltale.is_reader() from public, anon;
grant execute on function telltale.is_reader() to authenticated, service_role;

create policy members_read on telltale.members for select to authenticated using ((select telltale.is_reader()));

create function telltale.require_reader() returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if not telltale.is_reader() then
    raise exception 'Cannot read telltale: the caller is not a member'
      using errcode = '42501', hint = 'Ask the operator to add your user id to telltale.members.';
  end if;
end
$$;
comment on function telltale.require_reader() is 'The first line of every function that reads: raises 42501 for non-members.';
revoke all on function telltale.require_reader() from public, anon;
grant execute on function telltale.require_reader() to authenticated, service_role;

create function telltale.at_of(us bigint) returns timestamptz
language sql immutable strict parallel safe
return to_timestamp(us / 1000000.0::double precision);
comment on function telltale.at_of(bigint) is 'The instant that is so many µs after the epoch. Exact up to 2^53 µs.';
revoke all on function telltale.at_of(bigint) from public, anon;
grant execute on function telltale.at_of(bigint) to authenticated, service_role;

create function telltale.us_of(at timestamptz) returns bigint
language sql immutable strict parallel safe
set search_path = ''
as $$ select (extract(epoch from at) * 1000000)::bigint $$;
comment on function telltale.us_of(timestamptz) is 'µs since the epoch.';
revoke all on function telltale.us_of(timestamptz) from public, anon;
grant execute on function telltale.us_of(timestamptz) to authenticated, service_role;

create function telltale.day_of(us bigint) returns date
language sql immutable strict parallel safe
return date '1970-01-01' + floor(us / 86400000000.0::double precision)::int;
comment on function telltale.day_of(bigint) is 'The UTC day of an instant in µs since the epoch.';
revoke all on function telltale.day_of(bigint) from public, anon;
grant execute on function telltale.day_of(bigint) to authenticated, service_role;

create function telltale.today() returns date
language sql stable
set search_path = ''
as $$ select (telltale.clock() at time zone 'UTC')::date $$;
comment on function telltale.today() is 'The UTC day of this transaction.';
revoke all on function telltale.today() from public, anon;
grant execute on function telltale.today() to authenticated, service_role;
