-- What Supabase Realtime keeps in a project's database, as far as private channels need it: the table whose row level
-- security says who may read and write a topic, and the function that tells a policy which topic is asked for. No message
-- is ever stored in it: rights are judged on a row that is rolled back.
-- Run by the owner before every migration; changes nothing where they exist already, as in every Supabase project.

do $$
begin
  if to_regclass('realtime.messages') is not null then
    return;
  end if;
  if to_regnamespace('realtime') is not null
    and not pg_catalog.has_schema_privilege(current_user, 'realtime', 'create')
  then
    raise exception 'Cannot create realtime.messages: the schema realtime belongs to another role, and its table is missing'
      using errcode = '42501', hint = 'In a Supabase project Realtime makes it when it first starts: open Realtime there once.';
  end if;

  create schema if not exists realtime;
  comment on schema realtime is 'As in a Supabase project: who may read and write a private channel.';
  grant usage on schema realtime to anon, authenticated, service_role;

  create table realtime.messages (
    topic text not null,
    extension text not null,
    payload jsonb,
    event text,
    private boolean default false,
    updated_at timestamp not null default now(),
    inserted_at timestamp not null default now(),
    id uuid not null default gen_random_uuid(),
    primary key (id, inserted_at)
  );
  comment on table realtime.messages is
    'Its policies are the rights on private channels: select to receive, insert to send. It stays empty.';
  alter table realtime.messages enable row level security;
  grant select, insert, update on realtime.messages to anon, authenticated, service_role;

  create or replace function realtime.topic() returns text
  language sql stable
  set search_path = ''
  as $topic$ select nullif(current_setting('realtime.topic', true), '') $topic$;
  comment on function realtime.topic() is 'The topic that is asked for, within a policy on realtime.messages.';
  grant execute on function realtime.topic() to anon, authenticated, service_role;
end
$$;
