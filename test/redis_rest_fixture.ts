import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Redis } from '@upstash/redis'
import { createRedis, type RedisOptions } from '../src/local/embedded_redis.ts'
import { openHttpServer } from '../src/local/http_server.ts'
import { redisApp } from '../src/local/redis_rest.ts'
import { type RedisServer, startRedisServer } from './redis_server_fixture.ts'

/** What answers Upstash's REST, with the official client in front of it. */
export type RedisRest = {
  readonly url: string
  readonly token: string
  /** Replies as they are: no JSON parsed out of strings, no automatic pipelines, no second tries. */
  readonly raw: Redis
  /** As an application makes it. */
  readonly client: Redis
  close(): Promise<void>
}

const token = 'token-of-a-test'

function clientsOf(url: string): Pick<RedisRest, 'raw' | 'client'> {
  const plain = { automaticDeserialization: false, enableAutoPipelining: false, retry: false as const }
  return { raw: new Redis({ url, token, ...plain }), client: new Redis({ url, token, retry: false }) }
}

/** The embedded one. */
export async function openEmbeddedRedis(options: RedisOptions = {}): Promise<RedisRest> {
  const redis = createRedis(options)
  const server = await openHttpServer({ host: '127.0.0.1', port: 0 }, redisApp(redis, token).fetch)
  const close = async () => {
    await server.close()
    redis.close()
  }
  return { url: server.url, token, ...clientsOf(server.url), close }
}

/** A redis-server behind a front that knows nothing of ours but the protocol. */
export async function openRealRedis(): Promise<RedisRest> {
  const redis = await startRedisServer()
  const server = createServer((request, response) => {
    answerRequest(redis, request, response).catch((error: unknown) => response.destroy(error as Error))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  return {
    url,
    token,
    ...clientsOf(url),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await redis.stop()
    },
  }
}

async function answerRequest(redis: RedisServer, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = JSON.parse(Buffer.concat(chunks).toString()) as unknown[]
  const base64 = request.headers['upstash-encoding'] === 'base64'
  const argumentsOf = (command: unknown) => (command as unknown[]).map(String)
  const end = (text: string, status: number) => {
    response.writeHead(status, { 'Content-Type': 'application/json' })
    response.end(text)
  }
  if (request.url === '/pipeline') {
    const replies = await redis.send(body.map(argumentsOf), base64)
    return end(`[${replies.map(({ text }) => text).join(',')}]`, 200)
  }
  if (request.url === '/multi-exec') {
    const replies = await redis.send([['MULTI'], ...body.map(argumentsOf), ['EXEC']], base64)
    const refused = replies.slice(1, -1).find(({ isError }) => isError)
    return refused ? end(refused.text, 400) : end(`[${replies.at(-1)?.parts.join(',')}]`, 200)
  }
  const [reply] = await redis.send([argumentsOf(body)], base64)
  end(reply?.text ?? '', reply?.isError ? 400 : 200)
}
