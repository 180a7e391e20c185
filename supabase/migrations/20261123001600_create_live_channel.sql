-- Who may listen to the live view: members, on the private channel `telltale:live`, who also see and tell there which pages
-- have it open. Nobody but the secret key, which no policy binds, may send. The table belongs to Supabase Realtime; where there is no Realtime, there is no channel.

do $$
begin
  if to_regclass('realtime.messages') is null then
    raise notice 'No realtime.messages: this database has no channels, so the live view is not pushed';
    return;
  end if;
  create policy telltale_live_read on realtime.messages for select to authenticated
    using (extension in ('broadcast', 'presence') and realtime.topic() = 'telltale:live' and (select telltale.is_reader()));
  create policy telltale_live_present on realtime.messages for insert to authenticated
    with check (extension = 'presence' and realtime.topic() = 'telltale:live' and (select telltale.is_reader()));
exception when insufficient_privilege then
  raise exception 'Cannot create the policies of telltale:live on realtime.messages: role % may not', current_user
    using errcode = '42501', detail = sqlerrm,
      hint = 'Migrate as the owner of realtime.messages, or in a Supabase project as the role postgres.';
end
$$;
