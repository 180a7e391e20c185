-- Ingest keys, who looks, and who ticks.

create table telltale.ingest_keys (
  key_id text collate "C" primary key,
  key_hash text not null,
  name text not null,
  created_at timestamptz not null default telltale.clock(),
  revoked_at timestamptz,
  constraint ingest_keys_have_ids_of_twelve check (key_id ~ '^[a-z0-9]{12}$'),
  constraint ingest_keys_are_kept_as_sha256 check (key_hash ~ '^[0-9a-f]{64}$'),
  constraint ingest_keys_have_short_names check (octet_length(name) between 1 and 256)
);
comment on table telltale.ingest_keys is 'Who may send. The key itself is not kept.';
comment on column telltale.ingest_keys.key_id is 'The public part of tt_<key_id>_<secret>.';
comment on column telltale.ingest_keys.key_hash is 'sha256 of the whole key, 64 hex digits.';
comment on column telltale.ingest_keys.name is 'For people.';
comment on column telltale.ingest_keys.created_at is 'When it was made.';
comment on column telltale.ingest_keys.revoked_at is 'When it was revoked; null while it is good.';

create table telltale.viewers (
  viewer_id uuid primary key,
  user_id uuid not null,
  seen_at timestamptz not null default telltale.clock(),
  present integer not null default 0,
  constraint viewers_see_no_fewer_than_none check (present >= 0)
);
create index viewers_by_last_seen on telltale.viewers (seen_at);
comment on table telltale.viewers is 'Visible pages that looked in the last minutes: while there is one, reporters send faster.';
comment on column telltale.viewers.viewer_id is 'UUID that the page minted.';
comment on column telltale.viewers.user_id is 'Whose page it is.';
comment on column telltale.viewers.present is 'How many pages it sees on the live channel, itself included; 0 while it has none.';
comment on column telltale.viewers.seen_at is 'When it last said so.';

create table telltale.tick_lease (
  only_row boolean primary key default true,
  holder text,
  claimed_at timestamptz not null default '-infinity',
  expires_at timestamptz not null default '-infinity',
  constraint tick_lease_is_one_row check (only_row)
);
insert into telltale.tick_lease default values;
comment on table telltale.tick_lease is 'Who runs the tick. One row.';
comment on column telltale.tick_lease.only_row is 'True.';
comment on column telltale.tick_lease.holder is 'Who has it, null when released.';
comment on column telltale.tick_lease.claimed_at is 'When it was last taken or renewed.';
comment on column telltale.tick_lease.expires_at is 'Until when it is the holder''s.';

alter table telltale.ingest_keys enable row level security;
alter table telltale.viewers enable row level security;
alter table telltale.tick_lease enable row level security;
revoke all on telltale.ingest_keys, telltale.viewers, telltale.tick_lease
  from public, anon, authenticated, service_role;
grant select on telltale.viewers, telltale.tick_lease to authenticated, service_role;
create policy viewers_read on telltale.viewers for select to authenticated using ((select telltale.is_reader()));
create policy tick_lease_read on telltale.tick_lease for select to authenticated using ((select telltale.is_reader()));

create function telltale.create_key(key_id text, key_hash text, name text) returns jsonb
language sql volatile security definer
set search_path = ''
as $$
  insert into telltale.ingest_keys (key_id, key_hash, name)
  values (create_key.key_id, create_key.key_hash, create_key.name)
  returning jsonb_build_object('key_id', key_id, 'name', name, 'created_at', created_at)
$$;
comment on function telltale.create_key(text, text, text) is
  'Keeps a new ingest key by its id (12 of [a-z0-9]) and sha256 (64 hex digits). Definer: no role may write the table.';
revoke all on function telltale.create_key(text, text, text) from public, anon, authenticated;
grant execute on function telltale.create_key(text, text, text) to service_role;

create function telltale.revoke_key(key_id text) returns boolean
language sql volatile security definer
set search_path = ''
as $$
  with revoked as (
    update telltale.ingest_keys as k set revoked_at = coalesce(k.revoked_at, telltale.clock())
    where k.key_id = revoke_key.key_id
    returning 1
  )
  select exists (select from revoked)
$$;
comment on function telltale.revoke_key(text) is
  'Ends an ingest key, for good; false when there is none. Definer: no role may write the table.';
revoke all on function telltale.revoke_key(text) from public, anon, authenticated;
grant execute on function telltale.revoke_key(text) to service_role;

create function telltale.read_key(key_id text) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select jsonb_build_object('key_id', k.key_id, 'key_hash', k.key_hash, 'revoked', k.revoked_at is not null)
  from telltale.ingest_keys as k
  where k.key_id = read_key.key_id
$$;
comment on function telltale.read_key(text) is
  'KeyRow {key_id, key_hash, revoked}, null when there is none. Definer: hashes are for the edge alone, through this.';
revoke all on function telltale.read_key(text) from public, anon, authenticated;
grant execute on function telltale.read_key(text) to service_role;

create function telltale.keys() returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('key_id', key_id, 'name', name, 'created_at', created_at,
    'revoked_at', revoked_at) order by created_at, key_id), '[]')
  from telltale.ingest_keys
$$;
comment on function telltale.keys() is 'All ingest keys without their hashes, oldest first. Definer: no role may read the table.';
revoke all on function telltale.keys() from public, anon, authenticated;
grant execute on function telltale.keys() to service_role;

create function telltale.see(viewer_id uuid, present integer default 0) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
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
$$;
comment on function telltale.see(uuid, integer) is
  'The heartbeat of a visible page, to be called every 20 s; `present`: how many pages it sees on the live channel. Definer: members may not write the table otherwise.';
revoke all on function telltale.see(uuid, integer) from public, anon;
grant execute on function telltale.see(uuid, integer) to authenticated, service_role;

create function telltale.is_watched() returns boolean
language sql stable security definer
set search_path = ''
as $$ select exists (select from telltale.viewers where seen_at > telltale.clock() - interval '60 seconds') $$;
comment on function telltale.is_watched() is
  'Whether a visible page looked within 60 s. Definer: it tells everybody who may call it no more than this.';
revoke all on function telltale.is_watched() from public, anon, authenticated;
grant execute on function telltale.is_watched() to service_role;

create function telltale.claim_tick(holder text, seconds integer) returns boolean
language plpgsql volatile security definer
set search_path = ''
as $$
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
$$;
comment on function telltale.claim_tick(text, integer) is
  'Takes or renews the lease for so many seconds, 1 to 600; false while another has it. Definer: no role may write the table.';
revoke all on function telltale.claim_tick(text, integer) from public, anon, authenticated;
grant execute on function telltale.claim_tick(text, integer) to service_role;

create function telltale.release_tick(holder text) returns boolean
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  update telltale.tick_lease as l set holder = null, expires_at = telltale.clock() where l.holder = release_tick.holder;
  return found;
end
$$;
comment on function telltale.release_tick(text) is
  'Gives the lease back; false when it was not the holder''s any more. Definer: no role may write the table.';
revoke all on function telltale.release_tick(text) from public, anon, authenticated;
grant execute on function telltale.release_tick(text) to service_role;

create function telltale.is_tick_due() returns boolean
language sql stable security definer
set search_path = ''
as $$
  select (expires_at <= telltale.clock() or expires_at > telltale.clock() + interval '600 seconds')
    and claimed_at not between telltale.clock() - interval '10 seconds' and telltale.clock() + interval '10 seconds'
  from telltale.tick_lease
$$;
comment on function telltale.is_tick_due() is
  'Whether nobody has claimed the tick for 10 s. Definer: it tells no more than this.';
revoke all on function telltale.is_tick_due() from public, anon, authenticated;
grant execute on function telltale.is_tick_due() to service_role;
