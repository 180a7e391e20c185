import { spawnSync } from 'node:child_process'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  redisBodyBytesMax,
  redisCommandsMax,
  redisKeysMax,
  redisReplyBytesMax,
  redisSweepMs,
} from '../src/core/limit.ts'
import { createRedis } from '../src/local/embedded_redis.ts'
import { redisApp } from '../src/local/redis_rest.ts'
import { openEmbeddedRedis, openRealRedis, type RedisRest } from './redis_rest_fixture.ts'
import { noRedisReason } from './redis_server_fixture.ts'

const token = 'secret-of-redis'
const authorization = { authorization: `Bearer ${token}` }
const full = "OOM command not allowed when used memory > 'maxmemory'."

let redis = createRedis()
let app = redisApp(redis, token)

beforeEach(() => {
  redis.close()
  redis = createRedis()
  app = redisApp(redis, token)
})
afterAll(() => redis.close())

async function ask(path: string, init: RequestInit = {}): Promise<{ status: number; body: unknown }> {
  const response = await app.request(path, { ...init, headers: { ...authorization, ...init.headers } })
  expect(response.headers.get('content-type')).toMatch(/^application\/json/)
  return { status: response.status, body: await response.json() }
}

function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  return ask(path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body), headers })
}

const base64 = { 'upstash-encoding': 'base64' }

describe('POST /', () => {
  test('runs one command and answers its result, or its error with 400', async () => {
    expect(await post('/', ['SET', 'foo', 'bar'])).toEqual({ status: 200, body: { result: 'OK' } })
    expect(await post('/', ['get', 'foo'])).toEqual({ status: 200, body: { result: 'bar' } })
    expect(await post('/', ['GET', 'none'])).toEqual({ status: 200, body: { result: null } })
    expect(await post('/', ['INCR', 'foo'])).toEqual({
      status: 400,
      body: { error: 'ERR value is not an integer or out of range' },
    })
    expect(await post('/', ['HGET', 'h', 'f'])).toEqual({
      status: 400,
      body: { error: "ERR unknown command 'HGET', with args beginning with: 'h' 'f' " },
    })
    expect((await ask('/', { method: 'PUT', body: '["PING"]' })).body).toEqual({ result: 'PONG' })
  })

  test('takes whatever is no string as its JSON text, numbers as they are written', async () => {
    const body = '["MGET", 1, 1.50, 9223372036854775807, true, null, {"a": [1, "ü"]}]'
    const names = ['1', '1.50', '9223372036854775807', 'true', 'null', '{"a":[1,"ü"]}']
    for (const name of names) await post('/', ['SET', name, `of ${name}`])
    expect((await post('/', body)).body).toEqual({ result: names.map((name) => `of ${name}`) })
  })

  test('answers integers with all their 64 bits', async () => {
    await post('/', ['SET', 'n', '9223372036854775806'])
    const response = await app.request('/incr/n', { headers: authorization })
    expect(await response.text()).toBe('{"result":9223372036854775807}')
  })

  const noCommands = ['', '{', '[]', '{}', '"GET"', 'null', '3', `${'['.repeat(200_000)}${']'.repeat(200_000)}`]
  test.for(noCommands.map((body) => [body.slice(0, 20), body] as const))(
    'refuses %s: it is no command',
    async ([, body]) => {
      for (const path of ['/', '/pipeline', '/multi-exec']) {
        const { status, body: answer } = await post(path, body)
        expect(status).toBe(400)
        expect(answer).toEqual({ error: expect.stringMatching(/^ERR /) })
      }
    },
  )

  test('takes a body at the limit and refuses one past it with 413', async () => {
    const bodyOf = (bytes: number) => JSON.stringify(['SET', 'k', 'x'.repeat(bytes - '["SET","k",""]'.length)])
    expect((await post('/', bodyOf(redisBodyBytesMax))).body).toEqual({ result: 'OK' })
    expect(await post('/', bodyOf(redisBodyBytesMax + 1))).toEqual({
      status: 413,
      body: { error: `ERR max request size exceeded. Limit: ${redisBodyBytesMax} bytes` },
    })
  })
})

describe('Upstash-Encoding: base64', () => {
  test('writes every string so, at any depth, and leaves OK, numbers, null and errors alone', async () => {
    expect((await post('/', ['SET', 'k', 'OK'], base64)).body).toEqual({ result: 'OK' })
    expect((await post('/', ['GET', 'k'], base64)).body).toEqual({ result: 'T0s=' })
    expect((await post('/', ['MGET', 'k', 'none'], base64)).body).toEqual({ result: ['T0s=', null] })
    expect((await post('/', ['PING'], base64)).body).toEqual({ result: 'UE9ORw==' })
    await post('/', ['XADD', 's', '1-1', 'f', 'ü'])
    expect((await post('/', ['XRANGE', 's', '-', '+'], base64)).body).toEqual({ result: [['MS0x', ['Zg==', 'w7w=']]] })
    expect((await post('/pipeline', [['DBSIZE'], ['GET', 's']], base64)).body).toEqual([
      { result: 2 },
      { error: 'WRONGTYPE Operation against a key holding the wrong kind of value' },
    ])
  })

  test('keeps bytes that are no text, which plain JSON cannot', async () => {
    await ask('/set/bin', { method: 'POST', body: new Uint8Array([0, 255, 254, 65]) })
    expect((await ask('/get/bin', { headers: base64 })).body).toEqual({ result: 'AP/+QQ==' })
    expect((await ask('/get/bin')).body).toEqual({ result: '\0\ufffd\ufffdA' })
  })
})

describe('/<command>/<argument>', () => {
  test('takes arguments from the path, then the body, then the query string', async () => {
    expect((await ask('/set/a%20key/a%2Fb?EX=100&NX=')).body).toEqual({ result: 'OK' })
    expect((await ask('/get/a%20key')).body).toEqual({ result: 'a/b' })
    expect((await ask('/TTL/a%20key')).body).toEqual({ result: 100 })
    expect((await ask('/set/a%20key/again?NX=')).body).toEqual({ result: null })
    await ask('/set/j?PX=5000', { method: 'POST', body: '{"é":1}' })
    expect((await ask('/get/j')).body).toEqual({ result: '{"é":1}' })
    expect((await ask('/get/%C3%A9%FF')).body).toEqual({ result: null })
    expect((await ask('/get')).body).toEqual({ error: "ERR wrong number of arguments for 'get' command" })
  })
})

describe('/pipeline and /multi-exec', () => {
  test('a pipeline answers each command by itself', async () => {
    const commands = [['SET', 'a', 'x'], ['INCR', 'a'], ['NO'], ['GET', 'a']]
    expect(await post('/pipeline', commands)).toEqual({
      status: 200,
      body: [
        { result: 'OK' },
        { error: 'ERR value is not an integer or out of range' },
        { error: "ERR unknown command 'NO', with args beginning with: " },
        { result: 'x' },
      ],
    })
  })

  test('a transaction goes on after an error, and does nothing when it could not begin', async () => {
    const running = [
      ['SET', 'a', 'x'],
      ['INCR', 'a'],
      ['GET', 'a'],
    ]
    expect((await post('/multi-exec', running)).body).toEqual([
      { result: 'OK' },
      { error: 'ERR value is not an integer or out of range' },
      { result: 'x' },
    ])
    expect(await post('/multi-exec', [['SET', 'a', 'y'], ['GET']])).toEqual({
      status: 400,
      body: { error: "ERR wrong number of arguments for 'get' command" },
    })
    expect((await ask('/get/a')).body).toEqual({ result: 'x' })
  })

  test('take as many commands as the limit allows, and no more', async () => {
    for (const path of ['/pipeline', '/multi-exec']) {
      const commands = Array.from({ length: redisCommandsMax }, () => ['PING'])
      expect((await post(path, commands)).body).toHaveLength(redisCommandsMax)
      expect((await post(path, [...commands, ['PING']])).status).toBe(400)
    }
  })

  test('an answer that grows past its limit ends in errors, and what is small still comes', async () => {
    await post('/', ['SET', 'big', 'x'.repeat(redisBodyBytesMax - 100)])
    const fitting = Math.floor(redisReplyBytesMax / redisBodyBytesMax)
    const commands = [...Array.from({ length: fitting + 1 }, () => ['GET', 'big']), ['PING']]
    const { body } = await post('/pipeline', commands)
    const answers = body as { result?: string; error?: string }[]
    expect(answers.filter(({ result }) => (result?.length ?? 0) > 100)).toHaveLength(fitting)
    expect(answers.at(-2)).toEqual({ error: `ERR max response size exceeded. Limit: ${redisReplyBytesMax} bytes` })
    expect(answers.at(-1)).toEqual({ result: 'PONG' })
  })
})

describe('who may ask, and how', () => {
  const refused = { error: 'WRONGPASS invalid or missing auth token' }
  test.for([
    [{}, '/ping'],
    [{ authorization: 'Bearer nope' }, '/ping'],
    [{ authorization: `Bearer ${token}x` }, '/ping'],
    [{ authorization: token }, '/ping'],
    [{ authorization: 'Bearer ' }, '/ping'],
    [{}, '/ping?_token=nope'],
    [{ authorization: 'Bearer nope' }, `/ping?_token=${token}`],
  ] as const)('%j %s is not let in', async ([headers, path]) => {
    const response = await app.request(path, { headers })
    expect(response.status).toBe(401)
    expect(await response.json()).toEqual(refused)
  })

  test('the token may stand in the query string, and is no argument then', async () => {
    const response = await app.request(`/echo/hi?_token=${token}`)
    expect(await response.json()).toEqual({ result: 'hi' })
  })

  test('other methods are refused with 405, and a pipeline cannot be fetched', async () => {
    expect((await ask('/', { method: 'DELETE' })).status).toBe(405)
    expect((await ask('/get/a', { method: 'PATCH' })).status).toBe(405)
    expect((await ask('/pipeline')).status).toBe(405)
    expect((await app.request('/ping', { method: 'HEAD', headers: authorization })).status).toBe(200)
  })
})

describe('createRedis()', () => {
  test('refuses to write past its memory, but reads and deletes, and takes up again what expired', () => {
    let now = 1_000_000
    const small = createRedis({ clock: () => now, bytesMax: 10_000 })
    expect(small.call(['SET', 'a', 'x'.repeat(9_000), 'PX', '50'])).toEqual({ status: 'OK' })
    expect(small.call(['SET', 'b', 'x'.repeat(2_000)])).toEqual({ error: full })
    expect(small.call(['XADD', 's', '*', 'f', 'x'.repeat(2_000)])).toEqual({ error: full })
    expect(small.transact([['PING'], ['SET', 'b', 'x'.repeat(2_000)]], () => undefined)).toEqual({ error: full })
    expect(small.call(['GET', 'a'])).toHaveLength(9_000)
    now += 51
    expect(small.call(['SET', 'b', 'x'.repeat(2_000)])).toEqual({ status: 'OK' })
    expect(small.call(['DEL', 'b'])).toBe(1)
    expect(small.call(['INFO', 'memory'])).toContain('used_memory:0\r\n')
    small.close()
  })

  test('counts what streams hold, and gives it back when they are cut or deleted', () => {
    const used = () => Number(/used_memory:(\d+)/.exec(String(redis.call(['INFO', 'memory'])))?.[1])
    for (let i = 1; i <= 50; i += 1) redis.call(['XADD', 's', `${i}-0`, 'field', 'x'.repeat(100)])
    const all = used()
    expect(all).toBeGreaterThan(50 * 105)
    redis.call(['XTRIM', 's', 'MAXLEN', '10'])
    expect(used()).toBeLessThan(all / 4)
    redis.call(['XDEL', 's', '50-0', '45-0', '3-0'])
    expect(redis.call(['XLEN', 's'])).toBe(8)
    redis.call(['SET', 's', 'x'])
    redis.call(['DEL', 's'])
    expect(used()).toBe(0)
  })

  test('holds no more keys than its limit', () => {
    for (let i = 0; i < redisKeysMax; i += 1) redis.call(['SET', `k${i}`, ''])
    expect(redis.call(['SET', 'one more', ''])).toEqual({ error: full })
    expect(redis.call(['DBSIZE'])).toBe(redisKeysMax)
    redis.call(['DEL', 'k0'])
    expect(redis.call(['SET', 'one more', ''])).toEqual({ status: 'OK' })
  })

  test('sweeps away what expired and nobody asks for, until it is closed', () => {
    vi.useFakeTimers()
    try {
      const swept = createRedis()
      for (let i = 0; i < 100; i += 1) swept.call(['SET', `k${i}`, 'x', 'PX', i < 90 ? '10' : '3600000'])
      expect(swept.call(['DBSIZE'])).toBe(100)
      vi.advanceTimersByTime(redisSweepMs * 3)
      expect(swept.call(['DBSIZE'])).toBe(10)
      swept.close()
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  test('lets its process end, closed or not', () => {
    const script = `import { createRedis } from ${JSON.stringify(new URL('../src/local/embedded_redis.ts', import.meta.url).href)}
      createRedis().call(['SET', 'a', 'x', 'PX', '100000'])`
    const { status, signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      timeout: 10_000,
    })
    expect({ status, signal, stderr: String(stderr) }).toEqual({ status: 0, signal: null, stderr: '' })
  })

  test('scan() passes no key over that stays, whatever comes and goes meanwhile', () => {
    for (let i = 0; i < 40; i += 1) redis.call(['SET', `k${i}`, ''])
    const seen = new Set<unknown>()
    let cursor = '0'
    let step = 0
    do {
      const [next, keys] = redis.call(['SCAN', cursor, 'COUNT', '3']) as [string, string[]]
      for (const key of keys) seen.add(key)
      redis.call(['DEL', `k${step}`])
      redis.call(['SET', `new${step}`, ''])
      redis.call(['SET', `k${39 - step}`, 'again'])
      step += 1
      cursor = next
    } while (cursor !== '0' && step < 20)
    for (let i = 20; i < 40; i += 1) expect(seen).toContain(`k${i}`)
  })

  test('refuses to wait in XREAD', () => {
    expect(redis.call(['XREAD', 'BLOCK', '0', 'STREAMS', 's', '$'])).toEqual({
      error: "ERR Command is not available: 'XREAD' with BLOCK",
    })
  })
})

const reason = noRedisReason()

for (const { name, open, why } of [
  { name: 'the embedded Redis', open: openEmbeddedRedis, why: null },
  { name: 'redis-server', open: openRealRedis, why: reason },
]) {
  describe.skipIf(why !== null)(`the official client before ${name}${why === null ? '' : `: ${why}`}`, () => {
    let rest: RedisRest
    beforeAll(async () => {
      rest = await open()
    })
    afterAll(() => rest?.close())

    test('reads and writes values, by itself, in automatic pipelines and in transactions', async () => {
      const { client } = rest
      expect(await client.set('v', { a: [1, 'ü'] }, { ex: 100 })).toBe('OK')
      expect(await client.get('v')).toEqual({ a: [1, 'ü'] })
      expect(await client.set('v', 1, { nx: true, px: 1_000 })).toBeNull()
      expect(await client.set('v', 'OK', { get: true, keepTtl: true })).toEqual({ a: [1, 'ü'] })
      expect(await Promise.all([client.get('v'), client.ttl('v'), client.incr('n'), client.type('v')])).toEqual([
        'OK',
        100,
        1,
        'string',
      ])
      expect(await client.multi().incrby('n', 5).mget('n', 'none').expire('n', 50, 'GT').exec()).toEqual([
        6,
        [6, null],
        0,
      ])
      await expect(client.multi().incr('n').exec()).resolves.toEqual([7])
      await expect(client.incr('v')).rejects.toThrow('value is not an integer or out of range')
      const kept = await client.pipeline().incr('v').get('n').exec({ keepErrors: true })
      expect(kept).toEqual([
        { error: 'ERR value is not an integer or out of range', result: undefined },
        { error: undefined, result: 7 },
      ])
    })

    test('adds to streams, cuts them and reads them', async () => {
      const { client } = rest
      const trim = { type: 'MAXLEN', comparison: '=', threshold: 2 } as const
      expect(await client.xadd('s', '1-*', { b: '{"x":1}' }, { trim })).toBe('1-0')
      expect(await client.xadd('s', '1-*', { b: 'ü' }, { trim })).toBe('1-1')
      expect(await client.xadd('s', '2-5', { b: 'three', c: 4 }, { trim })).toBe('2-5')
      expect(await client.xadd('none', '*', { b: 1 }, { nomkStream: true })).toBeNull()
      expect(await client.xrange('s', '-', '+')).toEqual({ '1-1': { b: 'ü' }, '2-5': { b: 'three', c: 4 } })
      expect(await client.xrange('s', '(1-1', '+', 5)).toEqual({ '2-5': { b: 'three', c: 4 } })
      expect(await client.xrevrange('s', '+', '-', 1)).toEqual({ '2-5': { b: 'three', c: 4 } })
      expect(await client.xread('s', '1-1')).toEqual([['s', [['2-5', ['b', 'three', 'c', 4]]]]])
      expect(await client.xtrim('s', { strategy: 'MAXLEN', exactness: '=', threshold: 1 })).toBe(1)
      expect(await client.xdel('s', '2-5')).toBe(1)
      expect(await client.xlen('s')).toBe(0)
      await expect(client.xadd('s', '2-5', { b: 1 })).rejects.toThrow(
        'equal or smaller than the target stream top item',
      )
    })
  })
}
