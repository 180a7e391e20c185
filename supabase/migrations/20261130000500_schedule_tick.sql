-- Who ticks a hosted project: pg_cron asks every 10 s, and calls the function by pg_net only when work waits and nobody has claimed
-- the tick for 10 s, for function calls are counted. Where there is neither, as in plain PostgreSQL, nothing is scheduled.
-- Where the function is and what opens it stand in the Vault, as `telltale_tick_url` and `telltale_tick_key`.

create function telltale.does_work_wait() returns boolean
language plpgsql stable security definer
set search_path = ''
as $$
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
$$;
comment on function telltale.does_work_wait() is
  'Whether a tick would find something to do: minutes to sum up, hours to compute, days to make, calls of the silent to end; or
there was none for ten minutes. Definer: it tells no more than this.';
revoke all on function telltale.does_work_wait() from public, anon, authenticated;
grant execute on function telltale.does_work_wait() to service_role;

create function telltale.call_tick() returns boolean
language plpgsql volatile security definer
set search_path = ''
as $$
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
$$;
comment on function telltale.call_tick() is
  'Asks the edge for a tick when one is due and work waits; whether it did. False too where the Vault does not say where the edge is.
Definer: the Vault is for the owner.';
revoke all on function telltale.call_tick() from public, anon, authenticated, service_role;

do $$
begin
  if (select count(*) from pg_catalog.pg_available_extensions where name in ('pg_cron', 'pg_net')) < 2 then
    raise notice 'No pg_cron and pg_net: nothing here asks for ticks, so a timer must (the embedded stack and Workers have one)';
    return;
  end if;
  create extension if not exists pg_cron;
  create extension if not exists pg_net;
  execute $sql$ select cron.schedule('telltale-tick', '10 seconds', 'select telltale.call_tick()') $sql$;
  -- pg_cron keeps a line of every run, for ever.
  execute $sql$ select cron.schedule('telltale-tick-log', '17 * * * *',
    $cron$ delete from cron.job_run_details where end_time < now() - interval '1 day'
      and jobid in (select jobid from cron.job where jobname in ('telltale-tick', 'telltale-tick-log')) $cron$) $sql$;
exception when insufficient_privilege or undefined_file or object_not_in_prerequisite_state then
  raise notice 'pg_cron or pg_net cannot be used here: %', sqlerrm;
end
$$;
