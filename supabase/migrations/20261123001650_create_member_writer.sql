-- Who may read, as the operator's commands ask and say it. Users themselves are Auth's.

create function telltale.add_member(user_id uuid, email text) returns boolean
language sql volatile security definer
set search_path = ''
as $$
  with added as (
    insert into telltale.members as m (user_id, email) values (add_member.user_id, add_member.email)
    on conflict on constraint members_pkey do nothing
    returning 1
  )
  select exists (select from added)
$$;
comment on function telltale.add_member(uuid, text) is
  'Lets a user of Supabase Auth read everything; false when the user may already. Definer: no role may write the table.';
revoke all on function telltale.add_member(uuid, text) from public, anon, authenticated;
grant execute on function telltale.add_member(uuid, text) to service_role;

create function telltale.remove_member(user_id uuid) returns boolean
language sql volatile security definer
set search_path = ''
as $$
  with removed as (
    delete from telltale.members as m where m.user_id = remove_member.user_id
    returning 1
  ), unseen as (
    delete from telltale.viewers as v where v.user_id = remove_member.user_id
  )
  select exists (select from removed)
$$;
comment on function telltale.remove_member(uuid) is
  'Takes the right to read from a user, at once and whatever tokens they hold; false when they had none. Definer: no role
may write the table.';
revoke all on function telltale.remove_member(uuid) from public, anon, authenticated;
grant execute on function telltale.remove_member(uuid) to service_role;

create function telltale.list_members() returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('user_id', user_id, 'email', email, 'added_at', added_at)
    order by added_at, user_id), '[]')
  from telltale.members
$$;
comment on function telltale.list_members() is
  'Everybody who may read, [{user_id, email, added_at}], longest first. Definer: for the operator alone, through this.';
revoke all on function telltale.list_members() from public, anon, authenticated;
grant execute on function telltale.list_members() to service_role;
