-- Merging and reading histograms and series. Values are put into buckets in TypeScript alone (src/core/histogram.ts): ln
-- here would misplace exact powers of two. Aggregates collect first and group once: merging pairwise is quadratic.
-- Sums stop at 2^53 - 1 as they do there, so that merging is associative for every input.

create function telltale.histogram_of_parts(parts jsonb[]) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
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
$$;
comment on function telltale.histogram_of_parts(jsonb[]) is 'The final step of histogram_merge: {z, sum, b} of all parts.';
revoke all on function telltale.histogram_of_parts(jsonb[]) from public, anon;
grant execute on function telltale.histogram_of_parts(jsonb[]) to authenticated, service_role;

create aggregate telltale.histogram_merge(jsonb) (
  sfunc = pg_catalog.array_append, stype = jsonb[], initcond = '{}', finalfunc = telltale.histogram_of_parts
);
comment on aggregate telltale.histogram_merge(jsonb) is
  'Base-2 exponential histograms at scale 5 in µs, {z: zeros, sum, b: {index: count}}, added up. Empty input gives the empty one.';
revoke all on function telltale.histogram_merge(jsonb) from public, anon;
grant execute on function telltale.histogram_merge(jsonb) to authenticated, service_role;

create function telltale.histogram_quantile(histogram jsonb, q double precision) returns double precision
language plpgsql immutable parallel safe
set search_path = ''
as $$
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
$$;
comment on function telltale.histogram_quantile(jsonb, double precision) is
  'The q-quantile in µs, null when empty: nearest rank as percentile_disc, read as the middle of its bucket, 2^((i+0.5)/32);
relative error at most 1.1 %.';
revoke all on function telltale.histogram_quantile(jsonb, double precision) from public, anon;
grant execute on function telltale.histogram_quantile(jsonb, double precision) to authenticated, service_role;

create function telltale.series_of_parts(parts jsonb[]) returns jsonb
language plpgsql immutable parallel safe
set search_path = ''
as $$
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
$$;
comment on function telltale.series_of_parts(jsonb[]) is 'The final step of series_merge: the cells of all parts, key by key.';
revoke all on function telltale.series_of_parts(jsonb[]) from public, anon;
grant execute on function telltale.series_of_parts(jsonb[]) to authenticated, service_role;

create aggregate telltale.series_merge(jsonb) (
  sfunc = pg_catalog.array_append, stype = jsonb[], initcond = '{}', finalfunc = telltale.series_of_parts
);
comment on aggregate telltale.series_merge(jsonb) is
  'Series, {key: {count, errors, bytes_in, bytes_out, tokens_in, tokens_out, latency}}, added up cell by cell. Empty input gives {}.';
revoke all on function telltale.series_merge(jsonb) from public, anon;
grant execute on function telltale.series_merge(jsonb) to authenticated, service_role;

create function telltale.renamed_series(series jsonb, renamed jsonb) returns jsonb
language sql immutable parallel safe
set search_path = ''
as $$
  select telltale.series_merge(jsonb_build_object(coalesce(renamed ->> key, key), value)) from jsonb_each(series)
$$;
comment on function telltale.renamed_series(jsonb, jsonb) is
  'A series with its keys renamed as {old: new} says; cells that meet under one key are added up.';
revoke all on function telltale.renamed_series(jsonb, jsonb) from public, anon;
grant execute on function telltale.renamed_series(jsonb, jsonb) to service_role;
