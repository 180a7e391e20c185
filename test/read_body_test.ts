import { expect, test } from 'vitest'
import { readBody } from '../functions/route/read_body.ts'

function slowRequest(pauseMs: number, pieces: readonly string[]): Request {
  const left = [...pieces]
  const body = new ReadableStream({
    async pull(controller) {
      const piece = left.shift()
      if (piece === undefined) return controller.close()
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
      controller.enqueue(new TextEncoder().encode(piece))
    },
  })
  const headers = { 'content-type': 'application/json' }
  return new Request('http://edge/ingest', { method: 'POST', headers, body, duplex: 'half' } as RequestInit)
}

test('readBody() waits for a body that comes in pieces', async () => {
  const read = await readBody(slowRequest(1, ['{"a"', ':', '1}']))
  expect(read.ok && new TextDecoder().decode(read.value)).toBe('{"a":1}')
})

test('readBody() gives up a body that takes too long, and takes no part of it for the whole', async () => {
  expect(await readBody(slowRequest(60_000, ['{}']), 20)).toMatchObject({ ok: false, error: { status: 408 } })
  const half = readBody(slowRequest(15, ['{}', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ']), 40)
  expect(await half).toMatchObject({ ok: false, error: { status: 408 } })
})
