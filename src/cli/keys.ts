import type { Command } from 'commander'
import { nameBytesMax } from '../core/limit.ts'
import { createIngestKey } from '../local/ingest_key.ts'
import { readSettings, type StackClient, stackClientOf } from './stack_client.ts'

type KeysOptions = { readonly json?: boolean }

/** A key as `telltale.keys()` tells of it; the key itself is not kept anywhere. */
type KeyEntry = {
  readonly key_id: string
  readonly name: string
  readonly created_at: string
  readonly revoked_at: string | null
}

/** `telltale keys create | list | revoke`: the keys with which reporters send, of the embedded stack or a hosted one. */
export function registerKeys(program: Command): void {
  const keys = program.command('keys').description('list, create and revoke ingest keys')
  keys
    .command('create')
    .description('make an ingest key and print it, this once')
    .argument('<name>', 'what it is for')
    .option('--json', 'as one JSON object')
    .action(async (name: string, options: KeysOptions) => createKey(await client(), name, options))
  keys
    .command('list')
    .description('list the ingest keys')
    .option('--json', 'as one JSON array')
    .action(async (options: KeysOptions) => listKeys(await client(), options))
  keys
    .command('revoke')
    .description('end an ingest key, for good; edges hear of it within seconds')
    .argument('<id>', 'as `telltale keys list` shows it, or the key itself')
    .option('--json', 'as one JSON object')
    .action(async (id: string, options: KeysOptions) => revokeKey(await client(), id, options))
}

async function client(): Promise<StackClient> {
  return stackClientOf(await readSettings())
}

async function createKey(stack: StackClient, name: string, { json }: KeysOptions): Promise<void> {
  const bytes = Buffer.byteLength(name)
  if (bytes < 1 || bytes > nameBytesMax) {
    throw new Error(`Cannot create key: its name is ${bytes} bytes long, wanted 1 to ${nameBytesMax}`)
  }
  const { id, text, hash } = createIngestKey()
  await stack.rpc('create_key', { key_id: id, key_hash: hash, name })
  print(json === true ? JSON.stringify({ key_id: id, name, key: text }) : text)
  if (json !== true) process.stderr.write(`telltale: this is key ${id} (${name}); it is not shown again\n`)
}

async function listKeys(stack: StackClient, { json }: KeysOptions): Promise<void> {
  const entries = (await stack.rpc('keys', {})) as readonly KeyEntry[]
  if (json === true) return print(JSON.stringify(entries))
  for (const { key_id, name, created_at, revoked_at } of entries) {
    const state = revoked_at === null ? '' : `  revoked ${dayOf(revoked_at)}`
    print(`${key_id}  made ${dayOf(created_at)}${state}  ${name}`)
  }
}

async function revokeKey(stack: StackClient, text: string, { json }: KeysOptions): Promise<void> {
  const id = /^tt_([a-z0-9]{12})_/.exec(text)?.[1] ?? text
  const revoked = await stack.rpc('revoke_key', { key_id: id })
  if (revoked !== true) throw new Error(`Cannot revoke key ${id}: there is none of that id`)
  print(json === true ? JSON.stringify({ key_id: id, revoked: true }) : `${id} is revoked`)
}

function dayOf(instant: string): string {
  return instant.slice(0, 10)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
