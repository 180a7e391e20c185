import { createHash, timingSafeEqual } from 'node:crypto'
import { type Context, Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { redisBodyBytesMax, redisCommandsMax, redisReplyBytesMax } from '../core/limit.ts'
import { isFailure, type Redis } from './embedded_redis.ts'
import { bytesOf, bytesOfSegment, commandOf, jsonOfReply, parseRequest, sizeOfReply } from './redis_encoding.ts'
import type { Failure, Reply } from './redis_reply.ts'

type RefusalStatus = 400 | 401 | 405 | 413 | 500

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT'])
const unparsed = 'ERR failed to parse request: a command is a JSON array of its name and arguments'

/**
 * Upstash's REST API over a Redis: one command as a JSON array in the body of `/` or in the path, many in `/pipeline`,
 * and a transaction in `/multi-exec`. Answers `{result}` or `{error}`, which is 400 when it is the whole answer.
 * Not served: `/monitor`, `/subscribe`, replies in RESP2.
 * @see https://upstash.com/docs/redis/features/restapi
 */
export function redisApp(redis: Pick<Redis, 'call' | 'transact'>, token: string): Hono {
  const app = new Hono()
  app.onError((error) => {
    process.stderr.write(`telltale: ${error.stack ?? error.message}\n`)
    return refusal(500, 'ERR internal error, told on the standard error of telltale')
  })
  app.use(onlyWith(token), onlyMethods())
  app.use(
    bodyLimit({
      maxSize: redisBodyBytesMax,
      onError: () => refusal(413, `ERR max request size exceeded. Limit: ${redisBodyBytesMax} bytes`),
    }),
  )
  app.all('/pipeline', async (context) => {
    const commands = await readCommands(context)
    if ('error' in commands) return refusal(400, commands.error)
    const answers = new AnswerList(isBase64(context))
    for (const command of commands) answers.add(redis.call(command))
    return answer(answers.text)
  })
  app.all('/multi-exec', async (context) => {
    const commands = await readCommands(context)
    if ('error' in commands) return refusal(400, commands.error)
    const answers = new AnswerList(isBase64(context))
    const failure = redis.transact(commands, (reply) => answers.add(reply))
    return failure === null ? answer(answers.text) : refusal(400, failure.error)
  })
  app.all('/*', async (context) => {
    const command = await readCommand(context)
    if (command === null) return refusal(400, unparsed)
    const reply = bounded(redis.call(command), 0).reply
    return answer(jsonOfReply(reply, isBase64(context)), isFailure(reply) ? 400 : 200)
  })
  return app
}

function onlyWith(token: string): MiddlewareHandler {
  const digestOf = (text: string) => createHash('sha256').update(text).digest()
  const wanted = digestOf(token)
  return async ({ req }, next) => {
    const bearer = /^Bearer +(\S+) *$/i.exec(req.header('authorization') ?? '')?.[1]
    const given = bearer ?? req.query('_token') ?? ''
    // Digests have one length, and comparing them takes one time wherever they differ.
    if (timingSafeEqual(digestOf(given), wanted)) return next()
    return refusal(401, 'WRONGPASS invalid or missing auth token')
  }
}

function onlyMethods(): MiddlewareHandler {
  return async ({ req }, next) => {
    const many = req.path === '/pipeline' || req.path === '/multi-exec'
    if (methods.has(req.method) && !(many && req.method !== 'POST' && req.method !== 'PUT')) return next()
    return refusal(405, `ERR method ${req.method} not allowed`)
  }
}

/** The command of the body, or of the path with the body as a last argument before those of the query string. */
async function readCommand({ req }: Context): Promise<readonly string[] | null> {
  const url = new URL(req.url)
  if (url.pathname === '/') return commandOf(parsedOf(await req.text()))
  const body = Buffer.from(await req.arrayBuffer()).toString('latin1')
  const options = [...url.searchParams].filter(([name]) => name !== '_token')
  return [
    ...url.pathname.slice(1).split('/').map(bytesOfSegment),
    ...(body === '' ? [] : [body]),
    ...options.flatMap((pair) => pair.filter((text) => text !== '').map(bytesOf)),
  ]
}

async function readCommands({ req }: Context): Promise<Failure | readonly (readonly string[])[]> {
  const list = parsedOf(await req.text())
  if (!Array.isArray(list) || list.length === 0) return { error: unparsed }
  if (list.length > redisCommandsMax) return { error: `ERR too many commands. Limit: ${redisCommandsMax}` }
  const commands = list.map(commandOf)
  return commands.every((command) => command !== null) ? commands : { error: unparsed }
}

/** Null when it is no JSON, or nested too deeply to be read. */
function parsedOf(text: string): unknown {
  try {
    return parseRequest(text)
  } catch {
    return null
  }
}

/** The answers to many commands. Each is written before the next comes, so that many large ones are never held. */
class AnswerList {
  readonly #base64: boolean
  readonly #texts: string[] = []
  #size = 0

  constructor(base64: boolean) {
    this.#base64 = base64
  }

  get text(): string {
    return `[${this.#texts.join(',')}]`
  }

  add(given: Reply): void {
    const { reply, size } = bounded(given, this.#size)
    this.#size = size
    this.#texts.push(jsonOfReply(reply, this.#base64))
  }
}

/** The reply, or an error when all so far would make the answer too large. */
function bounded(reply: Reply, before: number): { readonly reply: Reply; readonly size: number } {
  const size = before + sizeOfReply(reply)
  if (size <= redisReplyBytesMax) return { reply, size }
  return { reply: { error: `ERR max response size exceeded. Limit: ${redisReplyBytesMax} bytes` }, size: before }
}

function isBase64({ req }: Context): boolean {
  return req.header('upstash-encoding')?.toLowerCase() === 'base64'
}

function answer(text: string, status: 200 | 400 = 200): Response {
  return new Response(text, { status, headers: { 'Content-Type': 'application/json' } })
}

function refusal(status: RefusalStatus, error: string): Response {
  return Response.json({ error }, { status })
}
