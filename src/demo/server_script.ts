import { join } from 'node:path'
import type { Client } from '@modelcontextprotocol/sdk/client/index.js'

/** One step of a scripted client. It may fail: that the server refuses is part of the demonstration. */
export type Step = (client: Client, folder: string) => Promise<unknown>

/** A real MCP server from npm, and what a client does with it. */
export type ServerScript = {
  readonly service: string
  /** The package's script under node_modules. */
  readonly script: string
  readonly args: (folder: string) => readonly string[]
  readonly env: (folder: string) => { readonly [name: string]: string }
  readonly steps: readonly Step[]
}

function call(name: string, given: object | ((folder: string) => object), timeoutMs = 10_000): Step {
  return (client, folder) => {
    const values = typeof given === 'function' ? given(folder) : given
    return client.callTool({ name, arguments: { ...values } }, undefined, { timeout: timeoutMs })
  }
}

/** A call whose caller loses patience and says so. */
function cancelled(name: string, given: object, afterMs: number): Step {
  return async (client) => {
    await client.callTool({ name, arguments: { ...given } }, undefined, { signal: AbortSignal.timeout(afterMs) })
  }
}

const filesystem: ServerScript = {
  service: 'filesystem',
  script: '@modelcontextprotocol/server-filesystem/dist/index.js',
  args: (folder) => [folder],
  env: () => ({}),
  steps: [
    (client) => client.listTools(),
    call('write_file', (folder) => ({ path: join(folder, 'notes.md'), content: '# Notes\n\nThe import stops.\n' })),
    call('read_text_file', (folder) => ({ path: join(folder, 'notes.md') })),
    call('read_text_file', (folder) => ({ path: join(folder, 'report.md') })),
    call('list_directory', (folder) => ({ path: folder })),
    call('edit_file', (folder) => ({ path: join(folder, 'notes.md'), edits: [{ oldText: 'absent', newText: 'x' }] })),
    call('search_files', (folder) => ({ path: folder, pattern: '**/*.md' })),
    call('read_text_file', (folder) => ({ path: join(folder, '..', 'elsewhere.md') })),
    call('directory_tree', (folder) => ({ path: folder })),
  ],
}

const everything: ServerScript = {
  service: 'everything',
  script: '@modelcontextprotocol/server-everything/dist/index.js',
  args: () => ['stdio'],
  env: () => ({}),
  steps: [
    (client) => client.listTools(),
    call('echo', { message: 'hello' }),
    call('get-sum', { a: 2, b: 40 }),
    call('get-sum', { a: 'two', b: 40 }),
    // Not the third: what makes third calls slow is to be found, and has one cause.
    (client) =>
      client.callTool({ name: 'trigger-long-running-operation', arguments: { duration: 2, steps: 4 } }, undefined, {
        onprogress: () => undefined,
      }),
    call('trigger-long-running-operation', { duration: 2, steps: 2 }, 700),
    call('conjure', { what: 'a tool that is not there' }),
    cancelled('trigger-long-running-operation', { duration: 1, steps: 1 }, 300),
    (client) => client.readResource({ uri: 'demo://resource/nowhere' }),
    call('echo', { message: 'good bye' }),
  ],
}

const memory: ServerScript = {
  service: 'memory',
  script: '@modelcontextprotocol/server-memory/dist/index.js',
  args: () => [],
  env: (folder) => ({ MEMORY_FILE_PATH: join(folder, 'memory.jsonl') }),
  steps: [
    call('create_entities', {
      entities: [{ name: 'importer', entityType: 'service', observations: ['runs every night'] }],
    }),
    call('search_nodes', { query: 'importer' }),
    call('add_observations', { observations: [{ entityName: 'nobody', contents: ['was never created'] }] }),
    call('create_relations', { relations: [{ from: 'importer', to: 'storage', relationType: 'writes to' }] }),
    call('read_graph', {}),
    call('open_nodes', { names: ['importer', 'storage'] }),
  ],
}

export const serverScripts: readonly ServerScript[] = [filesystem, everything, memory]
