import type { Command } from 'commander'
import { authAdminOf, createCode } from './open.ts'
import { readSettings, stackClientOf } from './stack_client.ts'

type MembersOptions = { readonly json?: boolean }

/** A member as `telltale.list_members()` tells of one. */
type MemberEntry = { readonly user_id: string; readonly email: string | null; readonly added_at: string }

/** `telltale members list | add | remove`: who may see the dashboard, of the embedded stack or a hosted one. */
export function registerMembers(program: Command): void {
  const members = program.command('members').description('list, add and remove who may see the dashboard')
  members
    .command('list')
    .description('list the members')
    .option('--json', 'as one JSON array')
    .action((options: MembersOptions) => listMembers(options))
  members
    .command('add')
    .description('let somebody see the dashboard, and print a link that signs them in')
    .argument('<email>', 'who; a user of that address is made where there is none')
    .option('--json', 'as one JSON object')
    .action((email: string, options: MembersOptions) => addMember(email, options))
  members
    .command('remove')
    .description('take the right to see the dashboard away; the user stays a user of Auth')
    .argument('<member>', 'address or user id, as `telltale members list` shows it')
    .option('--json', 'as one JSON object')
    .action((member: string, options: MembersOptions) => removeMember(member, options))
}

async function listMembers({ json }: MembersOptions): Promise<void> {
  const entries = (await stackClientOf(await readSettings()).rpc('list_members', {})) as readonly MemberEntry[]
  if (json === true) return print(JSON.stringify(entries))
  for (const { user_id, email, added_at } of entries) {
    print(`${user_id}  added ${added_at.slice(0, 10)}  ${email ?? ''}`)
  }
}

async function addMember(address: string, { json }: MembersOptions): Promise<void> {
  const settings = await readSettings()
  const email = address.trim().toLowerCase()
  const admin = await authAdminOf(settings)
  const { error } = await admin.createUser({ email, email_confirm: true })
  if (error && error.code !== 'email_exists') throw new Error(`Cannot add ${email}: ${error.message}`)
  const { userId, code, expiresAt } = await createCode(admin, email)
  const added = await stackClientOf(settings).rpc('add_member', { user_id: userId, email })
  const dashboard = settings.TELLTALE_URL?.replace(/\/+$/, '')
  const url = dashboard === undefined ? null : `${dashboard}/#code=${code}`
  if (json === true) return print(JSON.stringify({ user_id: userId, email, added, url, expires_at: expiresAt }))
  process.stderr.write(`telltale: ${email} ${added === true ? 'is a member now' : 'was a member already'}\n`)
  if (url !== null) print(url)
}

async function removeMember(member: string, { json }: MembersOptions): Promise<void> {
  const stack = stackClientOf(await readSettings())
  const entries = (await stack.rpc('list_members', {})) as readonly MemberEntry[]
  const wanted = member.trim().toLowerCase()
  const meant = entries.filter(({ user_id, email }) => user_id === wanted || email?.toLowerCase() === wanted)
  if (meant.length === 0) throw new Error(`Cannot remove ${member}: it is no member`)
  for (const { user_id } of meant) await stack.rpc('remove_member', { user_id })
  const userIds = meant.map(({ user_id }) => user_id)
  print(json === true ? JSON.stringify({ removed: userIds }) : `${member} is no member any more`)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
