import { sizedMembersMax } from '../../core/limit.ts'

/**
 * Bytes of a message as JSON in UTF-8, without making the JSON: each escape counts as what it stands for. Null where it
 * has more members than are counted in passing.
 * @throws what looking at the host's objects throws
 */
export function messageBytesOf(value: unknown): number | null {
  let members = 0
  let bytes = 0
  const stack: unknown[] = [value]
  while (stack.length > 0) {
    const next = stack.pop()
    if (typeof next === 'string') bytes += Buffer.byteLength(next) + 2
    else if (typeof next !== 'object' || next === null) bytes += next === undefined ? 4 : String(next).length
    else {
      const names = Array.isArray(next) ? null : Object.keys(next)
      const count = names?.length ?? (next as readonly unknown[]).length
      members += count
      if (members > sizedMembersMax) return null
      bytes += 1 + Math.max(1, count)
      if (names === null) stack.push(...(next as readonly unknown[]))
      else bytes += stackMembers(stack, next as Members, names)
    }
  }
  return bytes
}

type Members = { readonly [name: string]: unknown }

/** Bytes of the names of the members that JSON would have, with quotes and colons. */
function stackMembers(stack: unknown[], object: Members, names: readonly string[]): number {
  let bytes = 0
  for (const name of names) {
    const member = object[name]
    if (member === undefined) bytes -= 1
    else {
      bytes += Buffer.byteLength(name) + 3
      stack.push(member)
    }
  }
  return bytes
}
