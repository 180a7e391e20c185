import { serveStdio } from '@modelcontextprotocol/server/stdio'
import type { Command } from 'commander'
import { mcpServerOf } from '../../functions/action/mcp_server.ts'
import { type Ask, CallerError } from '../../functions/store/caller_port.ts'
import { RpcError, readSettings, stackClientOf } from './stack_client.ts'

export function registerMcp(program: Command): void {
  program
    .command('mcp')
    .description('serve what is stored to an agent, as an MCP server on stdio; it can read and change nothing')
    .action(async () => {
      const server = serveStdio(() => mcpServerOf(ask), {
        onerror: (error) => process.stderr.write(`telltale: ${error.message}\n`),
      })
      await new Promise<void>((resolve) => {
        process.stdin.once('end', resolve)
        for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve())
      })
      await server.close()
    })
}

/** With the operator's own key. The settings are read anew each time: a stack that was set up anew has new ones. */
const ask: Ask = async (name, args) => {
  try {
    return await stackClientOf(await readSettings()).rpc(name, args)
  } catch (error) {
    if (error instanceof RpcError) throw new CallerError(error.retryable ? 'unavailable' : 'refused', error.message)
    throw error
  }
}
