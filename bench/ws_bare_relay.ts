// The least that a proxy of messages can be, to compare the tap with: node bench/ws_bare_relay.ts ws://127.0.0.1:PORT
import type { AddressInfo } from 'node:net'
import { WebSocket, WebSocketServer } from 'ws'

const target = process.argv[2] ?? ''
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false })
server.on('connection', (client) => {
  const far = new WebSocket(target, { perMessageDeflate: false })
  client.pause()
  far.on('open', () => client.resume())
  client.on('message', (data, binary) => far.send(data, { binary }))
  far.on('message', (data, binary) => client.send(data, { binary }))
  client.on('close', () => far.close())
  far.on('close', () => client.close())
})
server.on('listening', () => console.log(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`))
process.once('SIGTERM', () => process.exit(0))
