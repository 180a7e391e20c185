-- The tables of Supabase Auth, as far as the embedded stack has it, with Supabase's names and types. Run by the owner
-- before the migrations, and again at every start: it changes nothing where they exist, so that a project that Supabase
-- made is left as it is. Nobody but the owner has a right here; whoever wants to know a user asks Auth.

do $$
begin
  -- `create ... if not exists` asks for the right to create even where the thing exists.
  if pg_catalog.to_regnamespace('auth') is null then
    create schema auth;
    comment on schema auth is 'Supabase Auth: who signs in. Times are UTC.';
  end if;
  if pg_catalog.to_regclass('auth.users') is not null then
    return;
  end if;

  create table auth.users (
    instance_id uuid,
    id uuid primary key,
    aud character varying(255),
    role character varying(255),
    email character varying(255),
    encrypted_password character varying(255),
    email_confirmed_at timestamptz,
    last_sign_in_at timestamptz,
    raw_app_meta_data jsonb,
    raw_user_meta_data jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    banned_until timestamptz,
    is_sso_user boolean not null default false,
    deleted_at timestamptz,
    is_anonymous boolean not null default false
  );
  create unique index users_email_partial_key on auth.users (email) where is_sso_user = false;
  comment on table auth.users is 'Who may sign in. What a user may see is decided elsewhere (telltale.members).';
  comment on column auth.users.instance_id is 'Unused, as at Supabase: all zeros.';
  comment on column auth.users.id is 'The sub of the user''s tokens.';
  comment on column auth.users.aud is 'The aud of the user''s tokens: authenticated.';
  comment on column auth.users.role is 'The role that the user''s requests take: authenticated.';
  comment on column auth.users.email is 'In lower case.';
  comment on column auth.users.encrypted_password is 'A hash in PHC form, $scrypt$ln=..,r=..,p=..$salt$hash; null: no password.';
  comment on column auth.users.email_confirmed_at is 'When the address was confirmed; null: the user cannot sign in yet.';
  comment on column auth.users.last_sign_in_at is 'When the user last began a session.';
  comment on column auth.users.raw_app_meta_data is 'Set by the operator alone; in the tokens as app_metadata.';
  comment on column auth.users.raw_user_meta_data is 'Set by the user; in the tokens as user_metadata. Decides nothing.';
  comment on column auth.users.created_at is 'When it was made.';
  comment on column auth.users.updated_at is 'When it was last changed.';
  comment on column auth.users.banned_until is 'Until when the user may not sign in.';
  comment on column auth.users.is_sso_user is 'False: another identity provider is never asked.';
  comment on column auth.users.deleted_at is 'When it was deleted, where the row is kept.';
  comment on column auth.users.is_anonymous is 'False: everybody has an address.';

  create type auth.aal_level as enum ('aal1', 'aal2', 'aal3');
  create table auth.sessions (
    id uuid primary key,
    user_id uuid not null references auth.users (id) on delete cascade,
    created_at timestamptz,
    updated_at timestamptz,
    aal auth.aal_level,
    not_after timestamptz,
    refreshed_at timestamp without time zone,
    user_agent text,
    refresh_token_hmac_key text,
    refresh_token_counter bigint
  );
  create index sessions_user_id_idx on auth.sessions (user_id);
  create index sessions_not_after_idx on auth.sessions (not_after desc);
  comment on table auth.sessions is 'A sign-in that still holds. Without its row a session''s tokens open nothing at Auth.';
  comment on column auth.sessions.id is 'The session_id of its tokens.';
  comment on column auth.sessions.user_id is 'Whose it is.';
  comment on column auth.sessions.created_at is 'When the user signed in.';
  comment on column auth.sessions.updated_at is 'When it was last changed.';
  comment on column auth.sessions.aal is 'How sure it is who signed in: aal1, one factor.';
  comment on column auth.sessions.not_after is 'When it ends whatever happens; null: never.';
  comment on column auth.sessions.refreshed_at is 'When its tokens were last renewed.';
  comment on column auth.sessions.user_agent is 'What the client called itself when it signed in.';
  comment on column auth.sessions.refresh_token_hmac_key is 'Null here: refresh tokens are signed with a key outside of the database.';
  comment on column auth.sessions.refresh_token_counter is 'Which of its refresh tokens, from 0, is good; the tokens are not kept.';

  create table auth.refresh_tokens (
    instance_id uuid,
    id bigserial primary key,
    token character varying(255) unique,
    user_id character varying(255),
    revoked boolean,
    created_at timestamptz,
    updated_at timestamptz,
    parent character varying(255),
    session_id uuid references auth.sessions (id) on delete cascade
  );
  create index refresh_tokens_session_id_revoked_idx on auth.refresh_tokens (session_id, revoked);
  comment on table auth.refresh_tokens is 'Refresh tokens of the older form, one row each. Empty here: auth.sessions counts them.';
  comment on column auth.refresh_tokens.instance_id is 'Unused.';
  comment on column auth.refresh_tokens.id is 'A running number.';
  comment on column auth.refresh_tokens.token is 'The token.';
  comment on column auth.refresh_tokens.user_id is 'Whose it is.';
  comment on column auth.refresh_tokens.revoked is 'Whether it has been used.';
  comment on column auth.refresh_tokens.created_at is 'When it was made.';
  comment on column auth.refresh_tokens.updated_at is 'When it was last changed.';
  comment on column auth.refresh_tokens.parent is 'The token that it took the place of.';
  comment on column auth.refresh_tokens.session_id is 'The session that it renews.';

  create table auth.mfa_amr_claims (
    session_id uuid not null references auth.sessions (id) on delete cascade,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    authentication_method text not null,
    id uuid primary key,
    constraint mfa_amr_claims_session_id_authentication_method_pkey unique (session_id, authentication_method)
  );
  comment on table auth.mfa_amr_claims is 'How the user of a session proved who they are: the amr of its tokens.';
  comment on column auth.mfa_amr_claims.session_id is 'The session.';
  comment on column auth.mfa_amr_claims.created_at is 'When it was first proved so.';
  comment on column auth.mfa_amr_claims.updated_at is 'When it was last proved so.';
  comment on column auth.mfa_amr_claims.authentication_method is 'password, otp (a link), ...';
  comment on column auth.mfa_amr_claims.id is 'A UUID of its own.';

  create type auth.one_time_token_type as enum ('confirmation_token', 'reauthentication_token', 'recovery_token',
    'email_change_token_new', 'email_change_token_current', 'phone_change_token');
  create table auth.one_time_tokens (
    id uuid primary key,
    user_id uuid not null references auth.users (id) on delete cascade,
    token_type auth.one_time_token_type not null,
    token_hash text not null,
    relates_to text not null,
    created_at timestamp without time zone not null default now(),
    updated_at timestamp without time zone not null default now(),
    constraint one_time_tokens_token_hash_check check (char_length(token_hash) > 0)
  );
  create unique index one_time_tokens_user_id_token_type_key on auth.one_time_tokens (user_id, token_type);
  create index one_time_tokens_token_hash_hash_idx on auth.one_time_tokens using hash (token_hash);
  comment on table auth.one_time_tokens is 'Codes that sign in once. A user has one of a type at most: the newest.';
  comment on column auth.one_time_tokens.id is 'A UUID of its own.';
  comment on column auth.one_time_tokens.user_id is 'Whom it signs in.';
  comment on column auth.one_time_tokens.token_type is 'What it is for; recovery_token also stands for magic links, as at Supabase.';
  comment on column auth.one_time_tokens.token_hash is 'sha256 of what the link holds, 64 hex digits.';
  comment on column auth.one_time_tokens.relates_to is 'The address that it was made for.';
  comment on column auth.one_time_tokens.created_at is 'When it was made; it is good for ten minutes.';
  comment on column auth.one_time_tokens.updated_at is 'When it was last changed.';

  alter table auth.users enable row level security;
  alter table auth.sessions enable row level security;
  alter table auth.refresh_tokens enable row level security;
  alter table auth.mfa_amr_claims enable row level security;
  alter table auth.one_time_tokens enable row level security;
  revoke all on schema auth from public;
  revoke all on all tables in schema auth from public;
  revoke all on all sequences in schema auth from public;
end
$$;
