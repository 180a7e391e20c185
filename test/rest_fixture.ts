import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { importJWK, SignJWT } from 'jose'
import pg from 'pg'
import { createCallerReader } from '../src/local/claims.ts'
import { openHttpServer } from '../src/local/http_server.ts'
import { openPgliteDatabase } from '../src/local/pglite_database.ts'
import { type ProjectKeys, readProjectKeys } from '../src/local/project_key.ts'
import { restApp, restSchema } from '../src/local/rest.ts'
import { createCatalogue } from '../src/local/rest_catalogue.ts'
import { gatewayOf } from './gateway_fixture.ts'

/** A project whose schema telltale has the functions of `contractSql`; embedded, or the hosted one of the environment. */
export type RestProject = {
  readonly url: string
  readonly publishableKey: string
  readonly secretKey: string
  /** Runs SQL as the owner. */
  exec(text: string): Promise<void>
  /** A user's token, null where the project's signing key is not ours to use. */
  signToken: ((claims: Record<string, unknown>, expiresIn?: string) => Promise<string>) | null
  close(): Promise<void>
}

/** With SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, SUPABASE_SECRET_KEY and DATABASE_URL: that project. */
export async function openRestProject(): Promise<RestProject> {
  const { SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, SUPABASE_SECRET_KEY, DATABASE_URL } = process.env
  if (SUPABASE_URL && SUPABASE_PUBLISHABLE_KEY && SUPABASE_SECRET_KEY && DATABASE_URL) {
    const client = new pg.Client({ connectionString: DATABASE_URL })
    await client.connect()
    const exec = async (text: string) => void (await client.query(text))
    await exec(contractSql)
    return {
      url: SUPABASE_URL,
      publishableKey: SUPABASE_PUBLISHABLE_KEY,
      secretKey: SUPABASE_SECRET_KEY,
      exec,
      signToken: null,
      async close() {
        await exec(contractEndSql)
        await client.end()
      },
    }
  }
  return openEmbedded()
}

async function openEmbedded(): Promise<RestProject> {
  const dir = join(tmpdir(), `telltale-rest-${randomUUID()}`)
  const keys = await readProjectKeys(dir)
  const database = await openPgliteDatabase({ dir, password: keys.databasePassword })
  await database.exec(rolesSql)
  await database.exec(contractSql)
  const rest = restApp({
    database,
    catalogue: createCatalogue(database, restSchema),
    readCaller: createCallerReader(keys),
  })
  const app = gatewayOf({ rest: rest.fetch })
  const server = await openHttpServer({ host: '127.0.0.1', port: 0 }, app.fetch)
  return {
    url: server.url,
    publishableKey: keys.publishableKey,
    secretKey: keys.secretKey,
    exec: database.exec,
    signToken: (claims, expiresIn) => signToken(keys, claims, expiresIn),
    async close() {
      await server.close()
      await database.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** A token as the project's Auth would sign it. */
export async function signToken(keys: ProjectKeys, claims: Record<string, unknown>, expiresIn = '1h'): Promise<string> {
  const { signingKey } = keys
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', ...(signingKey.kid === undefined ? {} : { kid: signingKey.kid }) })
    .setIssuedAt()
    .setExpirationTime(expiresIn)
    .sign(await importJWK(signingKey, 'ES256'))
}

const rolesSql = `
  create role anon nologin noinherit;
  create role authenticated nologin noinherit;
  create role service_role nologin noinherit bypassrls;
  create schema telltale;
  grant usage on schema telltale to authenticated, service_role;`

const contractEndSql = `
  drop table if exists telltale.contract_notes cascade;
  revoke usage on schema telltale from anon;
  do $$
  declare f record;
  begin
    for f in select oid::regprocedure as name from pg_proc
      where pronamespace = 'telltale'::regnamespace and proname like 'contract\\_%'
    loop
      execute 'drop function ' || f.name;
    end loop;
  end $$;
  notify pgrst, 'reload schema';`

const contractSql = `
  ${contractEndSql}
  grant usage on schema telltale to anon;
  create table telltale.contract_notes (id int generated always as identity, note text unique);
  create function telltale.contract_echo(value jsonb) returns jsonb language sql immutable as 'select value';
  create function telltale.contract_add(a int, b int default 10) returns int language sql immutable as 'select a + b';
  create function telltale.contract_text(value text) returns text language sql immutable as 'select value';
  create function telltale.contract_nothing() returns void language sql volatile as '';
  create function telltale.contract_days(days date[]) returns int language sql immutable as 'select cardinality(days)';
  create function telltale.contract_sum(variadic v int[]) returns bigint language sql immutable as 'select sum(x) from unnest(v) x';
  create function telltale.contract_pair(out a int, out b text) language sql stable as $$ select 1, 'one' $$;
  create function telltale.contract_people(from_id int default 1) returns table (id int, name text) language sql stable
    as $$ select i, (array['ann', 'bob', 'cy', 'dee', 'eve, the last'])[i] from generate_series(from_id, 5) as i $$;
  create function telltale.contract_many(n int) returns setof int language sql immutable as 'select generate_series(1, n)';
  create function telltale.contract_write(note text) returns int language sql volatile
    as 'insert into telltale.contract_notes (note) values (note) returning id';
  create function telltale.contract_write_all(note text) returns setof telltale.contract_notes language sql volatile
    as $$ insert into telltale.contract_notes (note) values (note), (note || '2') returning * $$;
  create function telltale.contract_notes_written() returns bigint language sql stable
    as 'select count(*) from telltale.contract_notes';
  create function telltale.contract_sneak(note text) returns int language sql stable
    as 'select telltale.contract_write(note)';
  create function telltale.contract_raise(code text, message text, detail text default '', hint text default '') returns void
    language plpgsql volatile
    as $$ begin raise exception using errcode = code, message = message, detail = detail, hint = hint; end $$;
  create function telltale.contract_over(a int) returns text language sql immutable as $$ select 'one' $$;
  create function telltale.contract_over(a int, b int) returns text language sql immutable as $$ select 'two' $$;
  create function telltale.contract_either(a int) returns text language sql immutable as $$ select 'int' $$;
  create function telltale.contract_either(a text) returns text language sql immutable as $$ select 'text' $$;
  create function telltale.contract_caller() returns jsonb language sql stable as $$
    select jsonb_build_object('user', current_user,
      'claims', current_setting('request.jwt.claims', true)::jsonb,
      'headers', current_setting('request.headers', true)::jsonb,
      'method', current_setting('request.method', true),
      'path', current_setting('request.path', true)) $$;
  create function telltale.contract_secret() returns int language sql stable as 'select 42';
  revoke all on function telltale.contract_secret() from public;
  grant execute on function telltale.contract_secret() to service_role;
  grant all on telltale.contract_notes to service_role;
  do $$
  declare f record;
  begin
    for f in select oid::regprocedure as name from pg_proc
      where pronamespace = 'telltale'::regnamespace and proname like 'contract\\_%' and proname <> 'contract_secret'
    loop
      execute 'grant execute on function ' || f.name || ' to anon, authenticated, service_role';
    end loop;
  end $$;
  notify pgrst, 'reload schema';`
