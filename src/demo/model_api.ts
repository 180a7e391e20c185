import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { type Chance, latencyMs } from './chance.ts'
import { paced } from './pace.ts'

/** What an API is told to suffer from, so that the demonstration has failures to show. */
export const incidents = ['none', 'unavailable', 'hanging', 'busy_once'] as const
export type Incident = (typeof incidents)[number]

export type ModelRequest = {
  readonly model: string
  readonly prompt: string
  readonly incident: Incident
  /** From 1: a busy API takes the second attempt. */
  readonly attempt: number
}

export type ModelAnswer = {
  readonly text: string
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number }
}

const medianMs: { readonly [model: string]: number } = {
  'glm-4.5-flash': 180,
  'glm-4.6': 420,
  'kimi-k2': 380,
  'kimi-thinking': 800,
}

/** A model provider's HTTP API on this machine, which answers nonsense after the time that a real one would take. */
export async function startModelApi(chance: Chance): Promise<{ readonly url: string; close(): void }> {
  const server = createServer((request, response) => {
    answer(request, response, chance).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, chance: Chance): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const { model, prompt, incident, attempt } = JSON.parse(Buffer.concat(chunks).toString()) as ModelRequest
  if (incident === 'hanging') return
  if (incident === 'unavailable') return send(response, 503, { error: 'upstream model is overloaded' })
  if (incident === 'busy_once' && attempt === 1) return send(response, 429, { error: 'rate limit reached' })
  const thinking = paced(latencyMs(medianMs[model] ?? 300, chance))
  await wait(thinking * 0.4)
  response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
  await wait(thinking * 0.6)
  const words = 30 + Math.floor(chance() * 400)
  const body: ModelAnswer = {
    text: `A considered answer of ${words} words.`,
    usage: { prompt_tokens: 40 + Math.ceil(prompt.length / 4), completion_tokens: Math.ceil(words * 1.4) },
  }
  response.end(JSON.stringify(body))
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
