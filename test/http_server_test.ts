import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { closeMsMax } from '../src/core/limit.ts'
import { type HttpServer, openHttpServer, refuseUpgrade, type Upgrade } from '../src/local/http_server.ts'

const servers: HttpServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
})

async function open(upgrade?: Upgrade): Promise<HttpServer> {
  const server = await openHttpServer({ host: '127.0.0.1', port: 0 }, () => new Response('in HTTP'), upgrade)
  servers.push(server)
  return server
}

/** Sends a request as it is, on a connection whose own side stays open, and answers what came until the server ended it. */
async function sendRaw({ url }: HttpServer, target: string, protocol: string) {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => undefined)
  socket.write(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`)
  let text = ''
  socket.on('data', (piece) => (text += piece))
  return { socket, ended: once(socket, 'end').then(() => text), answered: once(socket, 'data').then(() => text) }
}

const refusing: Upgrade = (_request, socket) => void refuseUpgrade(socket, new Response('no', { status: 404 }))

test('openHttpServer() survives an upgrade that throws, and refuses it', async () => {
  const server = await open(({ url = '' }) => void new URL(url, 'http://localhost'))
  const { socket, ended } = await sendRaw(server, '//', 'websocket')
  expect(await ended).toMatch(/^HTTP\/1\.1 400 /)
  socket.destroy()
  expect(await (await fetch(server.url)).text()).toBe('in HTTP')
})

test.each(['h2c', 'TLS/1.0, HTTP/1.1'])('openHttpServer() answers in HTTP whoever also offers %s', async (protocol) => {
  const { socket, answered } = await sendRaw(await open(refusing), '/', protocol)
  expect(await answered).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*in HTTP/)
  socket.destroy()
})

test('close() waits for nobody whose upgrade was refused and who never hangs up', async () => {
  const server = await open(refusing)
  const { socket, ended } = await sendRaw(server, '/', 'WebSocket')
  expect(await ended).toMatch(/^HTTP\/1\.1 404 [\s\S]*no$/)
  const startedAt = performance.now()
  await server.close()
  expect(performance.now() - startedAt).toBeLessThan(closeMsMax / 2)
  socket.destroy()
})

test('close() ends connections that were taken over and are left open', async () => {
  const server = await open((_request, socket) => void socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'))
  const { socket, answered } = await sendRaw(server, '/', 'websocket')
  expect(await answered).toMatch(/^HTTP\/1\.1 101 /)
  const startedAt = performance.now()
  await server.close()
  expect(performance.now() - startedAt).toBeLessThan(2 * closeMsMax)
  socket.destroy()
})
