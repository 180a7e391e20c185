import { once } from 'node:events'
import { createServer } from 'node:net'

/** Whether a TCP port can be listened on now. */
export async function isFree(host: string, port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, host)
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}
