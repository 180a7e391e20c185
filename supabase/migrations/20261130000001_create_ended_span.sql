-- An import may bring what is stored already, in other batches than it came in: the rows are the same, and what has been
-- counted must not be counted again. The edge asks this of imports alone.

create function telltale.ended_spans(trace_ids text[]) returns jsonb
language sql stable security definer
set search_path = ''
set enable_seqscan = off
as $$
  select coalesce(jsonb_object_agg(t.trace_id, (
    select coalesce(jsonb_agg(s.key), '[]') from jsonb_each(t.spans) as s where s.value ->> 'end_us' is not null)), '{}')
  from unnest(trace_ids) as wanted(trace_id)
  -- offset 0: each is looked up by its key, where a join would read all that are there.
  cross join lateral (select d.day from telltale.trace_days as d where d.trace_id = wanted.trace_id offset 0) as d
  cross join lateral (
    select t.trace_id, t.spans from telltale.traces as t where t.trace_id = wanted.trace_id and t.day = d.day offset 0) as t
$$;
comment on function telltale.ended_spans(text[]) is
  'Of those of the traces that are stored, the ids of their spans that have ended: {trace_id: [span_id]}. Definer: tables have
no read grants for it; the edge, which asks, is service_role.';
revoke all on function telltale.ended_spans(text[]) from public, anon, authenticated;
grant execute on function telltale.ended_spans(text[]) to service_role;
