export type ExaiFrame = { readonly [name: string]: unknown }

export type ExaiClient = {
  /** Every frame from the daemon, in the order of arrival. */
  readonly frames: readonly ExaiFrame[]
  readonly send: (frame: ExaiFrame) => void
  /** Sends a call and answers the first frame after it that ends a call (`call_tool_res`, or an error). */
  readonly call: (name: string, args?: ExaiFrame, more?: ExaiFrame) => Promise<ExaiFrame>
  readonly close: () => Promise<void>
}

/** A client of the daemon's own protocol, past its hello. `more` are further members of the hello. */
export async function connectExai(url: string, more: ExaiFrame = {}): Promise<ExaiClient> {
  const socket = new WebSocket(url)
  const frames: ExaiFrame[] = []
  const waiting: { readonly wants: (frame: ExaiFrame) => boolean; readonly take: (frame: ExaiFrame) => void }[] = []
  socket.addEventListener('message', ({ data }) => {
    const frame = JSON.parse(String(data)) as ExaiFrame
    frames.push(frame)
    const index = waiting.findIndex(({ wants }) => wants(frame))
    if (index >= 0) waiting.splice(index, 1)[0]?.take(frame)
  })
  const next = (wants: (frame: ExaiFrame) => boolean) =>
    new Promise<ExaiFrame>((take) => void waiting.push({ wants, take }))
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('error', reject)
  })
  const send = (frame: ExaiFrame) => socket.send(JSON.stringify(frame))
  const greeted = next((frame) => frame.op === 'hello_ack')
  send({ op: 'hello', token: '', protocolVersion: '1', capabilities: {}, clientInfo: { name: 'test' }, ...more })
  await greeted
  return {
    frames,
    send,
    call(name, args = {}, more = {}) {
      const answered = next((frame) => frame.op === 'call_tool_res' || 'error' in frame)
      send({ op: 'call_tool', name, arguments: args, ...more })
      return answered
    },
    close: () =>
      new Promise((resolve) => {
        socket.addEventListener('close', () => resolve())
        socket.close()
      }),
  }
}
