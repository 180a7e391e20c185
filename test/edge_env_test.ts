import { expect, test } from 'vitest'
import { readEdgeEnv } from '../functions/store/edge_env.ts'
import { embeddedFlushMs, hostedFlushMs, hostedPushMs, pushMsMin } from '../src/core/limit.ts'

const url = 'https://project.supabase.co'
const read = (env: Record<string, string>) => readEdgeEnv((name) => env[name])

test.each<[string, Record<string, string>, string]>([
  [
    'the default of the new keys',
    { SUPABASE_SECRET_KEYS: '{"a":"sb_secret_a","default":"sb_secret_d"}' },
    'sb_secret_d',
  ],
  ['the first of the new keys', { SUPABASE_SECRET_KEYS: '{"a":"sb_secret_a"}' }, 'sb_secret_a'],
  ['the one key', { SUPABASE_SECRET_KEY: 'sb_secret_k' }, 'sb_secret_k'],
  ['the legacy key', { SUPABASE_SERVICE_ROLE_KEY: 'eyJ' }, 'eyJ'],
  ['a new key before a legacy one', { SUPABASE_SERVICE_ROLE_KEY: 'eyJ', SUPABASE_SECRET_KEYS: '{"default":"n"}' }, 'n'],
  ['the legacy key beside an empty list', { SUPABASE_SERVICE_ROLE_KEY: 'eyJ', SUPABASE_SECRET_KEYS: '{}' }, 'eyJ'],
  ['the legacy key beside what is no JSON', { SUPABASE_SERVICE_ROLE_KEY: 'eyJ', SUPABASE_SECRET_KEYS: '{' }, 'eyJ'],
])('readEdgeEnv() takes %s', (_, env, secretKey) => {
  const rest = {
    flushMs: hostedFlushMs,
    redis: null,
    pushMs: hostedPushMs,
    publishableKey: '',
    pageUrl: null,
    allowsPrivateDestinations: false,
  }
  expect(read({ SUPABASE_URL: `${url}/`, ...env })).toEqual({ url, secretKey, ...rest })
})

test('readEdgeEnv() takes the key that is no secret as it takes the secret one, and where the dashboard is', () => {
  const env = { SUPABASE_URL: url, SUPABASE_SECRET_KEY: 'k' }
  expect(read({ ...env, SUPABASE_PUBLISHABLE_KEYS: '{"default":"sb_publishable_d"}' }).publishableKey).toBe(
    'sb_publishable_d',
  )
  expect(read({ ...env, SUPABASE_ANON_KEY: 'a', SUPABASE_PUBLISHABLE_KEY: 'p' }).publishableKey).toBe('p')
  expect(read({ ...env, SUPABASE_ANON_KEY: 'a' }).publishableKey).toBe('a')
  expect(read({ ...env, TELLTALE_URL: 'https://telltale.example/' }).pageUrl).toBe('https://telltale.example')
  expect(read({ ...env, TELLTALE_URL: 'telltale' }).pageUrl).toBe(null)
  expect(read({ ...env, TELLTALE_ALLOW_PRIVATE_DESTINATIONS: '1' }).allowsPrivateDestinations).toBe(true)
})

test('readEdgeEnv() takes the pace from TELLTALE_FLUSH_MS when it is one', () => {
  const env = { SUPABASE_URL: url, SUPABASE_SECRET_KEY: 'k' }
  expect(read({ ...env, TELLTALE_FLUSH_MS: '250' }).flushMs).toBe(embeddedFlushMs)
  expect(read({ ...env, TELLTALE_PUSH_MS: '250' }).pushMs).toBe(pushMsMin)
  for (const text of ['', '0', '-1', 'soon', '1e9.5', '249']) {
    expect(read({ ...env, TELLTALE_FLUSH_MS: text }).flushMs).toBe(hostedFlushMs)
    expect(read({ ...env, TELLTALE_PUSH_MS: text }).pushMs).toBe(hostedPushMs)
  }
})

test('readEdgeEnv() takes the address and the token of Redis, both or neither', () => {
  const env = { SUPABASE_URL: url, SUPABASE_SECRET_KEY: 'k' }
  const redis = { UPSTASH_REDIS_REST_URL: 'https://eu1.upstash.io/', UPSTASH_REDIS_REST_TOKEN: 'tok' }
  expect(read({ ...env, ...redis }).redis).toEqual({ url: 'https://eu1.upstash.io', token: 'tok' })
  expect(read({ ...env, ...redis, UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:8080/redis' }).redis?.url).toBe(
    'http://127.0.0.1:8080/redis',
  )
  const broken = [{ UPSTASH_REDIS_REST_URL: '' }, { UPSTASH_REDIS_REST_TOKEN: '' }, { UPSTASH_REDIS_REST_URL: 'eu1' }]
  for (const changes of broken) {
    expect(() => read({ ...env, ...redis, ...changes })).toThrow('UPSTASH_REDIS_REST_TOKEN are set')
  }
})

test('readEdgeEnv() throws without an address or a key, and quotes neither', () => {
  expect(() => read({ SUPABASE_SECRET_KEY: 'k' })).toThrow('SUPABASE_URL')
  expect(() => read({ SUPABASE_URL: url, SUPABASE_SECRET_KEYS: '["not", {"a": 1}' })).toThrow('SUPABASE_SECRET_KEYS')
})
