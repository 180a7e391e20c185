-- What the read functions share: filters, pages and cursors. A wrong one raises 22023 and says in the hint what is right.

create function telltale.check_filter(filter jsonb, allowed text[]) returns void
language plpgsql immutable
set search_path = ''
as $$
declare
  wrong text;
begin
  if jsonb_typeof(filter) <> 'object' then
    raise exception 'Cannot read filter: it is of type %', jsonb_typeof(filter)
      using errcode = '22023', hint = 'An object with any of: ' || array_to_string(allowed, ', ');
  end if;
  select k into wrong from jsonb_object_keys(filter) as k where k <> all (allowed) order by k limit 1;
  if found then
    raise exception 'Cannot read filter: it has a key %', to_json(wrong)
      using errcode = '22023', hint = 'Allowed are: ' || array_to_string(allowed, ', ');
  end if;
end
$$;
comment on function telltale.check_filter(jsonb, text[]) is 'Raises 22023 unless the filter is an object with none but these keys.';
revoke all on function telltale.check_filter(jsonb, text[]) from public, anon;
grant execute on function telltale.check_filter(jsonb, text[]) to authenticated, service_role;

create function telltale.page_size(n integer) returns integer
language plpgsql immutable
set search_path = ''
as $$
begin
  if n not between 1 and 1000 then
    raise exception 'Cannot read page: n is %', n using errcode = '22023', hint = 'n is from 1 to 1000, or null for 100.';
  end if;
  return coalesce(n, 100);
end
$$;
comment on function telltale.page_size(integer) is 'How many rows a page has: n, or 100; raises 22023 outside 1..1000.';
revoke all on function telltale.page_size(integer) from public, anon;
grant execute on function telltale.page_size(integer) to authenticated, service_role;

create function telltale.cursor_of(place jsonb) returns text
language sql immutable strict
set search_path = ''
as $$ select translate(encode(convert_to(place::text, 'UTF8'), 'base64'), E'+/=\n', '-_') $$;
comment on function telltale.cursor_of(jsonb) is 'A place in a list as opaque text that fits into a URL.';
revoke all on function telltale.cursor_of(jsonb) from public, anon;
grant execute on function telltale.cursor_of(jsonb) to authenticated, service_role;

create function telltale.place_of(cursor text, shape jsonb) returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
  place jsonb;
  base64 text := translate(cursor, '-_', '+/');
begin
  if cursor is null then
    return null;
  end if;
  begin
    place := convert_from(decode(base64 || repeat('=', (4 - length(base64) % 4) % 4), 'base64'), 'UTF8')::jsonb;
  exception
    when data_exception then place := null;
  end;
  if jsonb_typeof(place) = 'object'
    and not exists (select from jsonb_each_text(shape) as s where coalesce(place ->> s.key, '') !~ s.value) then
    return place;
  end if;
  raise exception 'Cannot read cursor: %', to_json(left(cursor, 100))
    using errcode = '22023', hint = 'A cursor is the `next` of the page before, from the same function; null begins.';
end
$$;
comment on function telltale.place_of(text, jsonb) is
  'The place that a cursor means, null of null; raises 22023 unless it has the keys of `shape` and their values match its patterns.';
revoke all on function telltale.place_of(text, jsonb) from public, anon;
grant execute on function telltale.place_of(text, jsonb) to authenticated, service_role;

create function telltale.instant_of(filter jsonb, key text) returns timestamptz
language plpgsql stable
set search_path = ''
set timezone = 'UTC'
as $$
declare
  value text := filter ->> key;
begin
  if value is null then
    return null;
  end if;
  if value ~ '^-?[0-9]{1,16}$' then
    return telltale.at_of(value::bigint);
  end if;
  if value !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' then
    raise invalid_datetime_format;
  end if;
  return value::timestamptz;
exception
  when data_exception then
    raise exception 'Cannot read filter: % is %', key, filter -> key
      using errcode = '22023', hint = 'An instant is ISO 8601 text, such as 2026-11-23T18:00:00Z, or µs since the epoch.';
end
$$;
comment on function telltale.instant_of(jsonb, text) is
  'The instant under a key of a filter, ISO 8601 (UTC where it names no zone) or µs since the epoch; null when absent.';
revoke all on function telltale.instant_of(jsonb, text) from public, anon;
grant execute on function telltale.instant_of(jsonb, text) to authenticated, service_role;

create function telltale.texts_in(filter jsonb, key text) returns text[]
language plpgsql immutable
set search_path = ''
as $$
declare
  value jsonb := filter -> key;
begin
  if coalesce(jsonb_typeof(value), 'null') = 'null' then
    return null;
  end if;
  if jsonb_typeof(value) = 'string' then
    return array[filter ->> key];
  end if;
  if jsonb_typeof(value) = 'array' then
    if not exists (select from jsonb_array_elements(value) as v where jsonb_typeof(v.value) <> 'string') then
      return array(select jsonb_array_elements_text(value));
    end if;
  end if;
  raise exception 'Cannot read filter: % is %', key, value
    using errcode = '22023', hint = key || ' is a string or an array of strings.';
end
$$;
comment on function telltale.texts_in(jsonb, text) is
  'The string, or the strings, under a key of a filter, null when absent; raises 22023 for anything else.';
revoke all on function telltale.texts_in(jsonb, text) from public, anon;
grant execute on function telltale.texts_in(jsonb, text) to authenticated, service_role;

create function telltale.matching(filter jsonb, key text, expression text) returns text
language plpgsql immutable
set search_path = ''
as $$
declare
  texts text[] := telltale.texts_in(filter, key);
begin
  return case
    when texts is null then ''
    -- One value by `=`, so that an index gives the rows in their order.
    when cardinality(texts) = 1 then format(' and %s = %L', expression, texts[1])
    else format(' and %s = any (%L::text[])', expression, texts)
  end;
end
$$;
comment on function telltale.matching(jsonb, text, text) is
  'A condition in SQL: the expression equals the string, or one of the strings, under a key of the filter; nothing when absent.';
revoke all on function telltale.matching(jsonb, text, text) from public, anon;
grant execute on function telltale.matching(jsonb, text, text) to authenticated, service_role;

create function telltale.number_in(filter jsonb, key text) returns numeric
language plpgsql immutable
set search_path = ''
as $$
declare
  value numeric;
begin
  value := (filter ->> key)::numeric;
  -- NaN and the infinities too: numeric has them, and NaN is greater than all.
  if value not between -1e15 and 1e15 then
    raise numeric_value_out_of_range;
  end if;
  return value;
exception
  when data_exception then
    raise exception 'Cannot read filter: % is %', key, filter -> key
      using errcode = '22023', hint = key || ' is a number of at most 1e15.';
end
$$;
comment on function telltale.number_in(jsonb, text) is
  'The number under a key of a filter, null when absent; raises 22023 for anything else, and beyond 1e15 either way.';
revoke all on function telltale.number_in(jsonb, text) from public, anon;
grant execute on function telltale.number_in(jsonb, text) to authenticated, service_role;

create function telltale.whole_number_in(filter jsonb, key text) returns bigint
language plpgsql immutable
set search_path = ''
as $$
declare
  value numeric := telltale.number_in(filter, key);
begin
  if value <> trunc(value) then
    raise exception 'Cannot read filter: % is %', key, filter -> key
      using errcode = '22023', hint = key || ' is a whole number.';
  end if;
  return value;
end
$$;
comment on function telltale.whole_number_in(jsonb, text) is
  'The whole number under a key of a filter, null when absent; raises 22023 for anything else.';
revoke all on function telltale.whole_number_in(jsonb, text) from public, anon;
grant execute on function telltale.whole_number_in(jsonb, text) to authenticated, service_role;

create function telltale.query_of(words text) returns tsquery
language sql immutable strict
set search_path = ''
as $$
  select case when numnode(q) = 0 then q else (q::text || ':*')::tsquery end
  from (select plainto_tsquery('pg_catalog.simple', words) as q) as parsed
$$;
comment on function telltale.query_of(text) is 'All of the words, the last of them as a beginning.';
revoke all on function telltale.query_of(text) from public, anon;
grant execute on function telltale.query_of(text) to authenticated, service_role;

create function telltale.words_of(variadic texts text[]) returns tsvector
language sql immutable parallel safe
set search_path = ''
as $$ select to_tsvector('pg_catalog.simple', array_to_string(texts, ' ')) $$;
comment on function telltale.words_of(text[]) is 'What text search finds in these texts: their words as they are, in lower case.';
revoke all on function telltale.words_of(text[]) from public, anon;
grant execute on function telltale.words_of(text[]) to authenticated, service_role;

create index traces_by_word on telltale.traces
  using gin (telltale.words_of(name, tool, provider, model, request_id, session_key));
create index errors_by_word on telltale.errors using gin (telltale.words_of(error_type, message, culprit));
