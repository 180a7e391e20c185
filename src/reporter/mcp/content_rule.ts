import { contentRulesMax, nameBytesMax } from '../../core/limit.ts'
import { err, ok, type Result } from '../../core/result.ts'

/** Of which tools the operator wants arguments and results recorded. Secrets are taken out of them all the same. */
export type ContentRules = {
  /** Whether the content of calls of this tool is recorded; null is what has no tool, and is never wanted. */
  wants(tool: string | null): boolean
}

/** Content stays home: the default. */
export const noContent: ContentRules = { wants: () => false }

/**
 * Reads rules such as `tool=chat` or `tool=deb*`, in which `*` stands for any characters, also none. A text may hold
 * several with commas between, as TELLTALE_CONTENT does; blank texts hold none. Names count as they are written.
 */
export function parseContentRules(texts: readonly string[]): Result<ContentRules> {
  const patterns: (readonly string[])[] = []
  for (const rule of texts.flatMap((text) => text.split(','))) {
    const given = rule.trim()
    if (given === '') continue
    const pattern = /^tool=(.+)$/s.exec(given)?.[1]?.trim()
    if (!pattern || pattern.length > nameBytesMax) {
      return err(`Cannot read the content rule ${JSON.stringify(given.slice(0, nameBytesMax))}: it is no tool=NAME`)
    }
    patterns.push(pattern.split('*'))
  }
  if (patterns.length > contentRulesMax) {
    return err(`Cannot take ${patterns.length} content rules: ${contentRulesMax} are the most`)
  }
  if (patterns.length === 0) return ok(noContent)
  return ok({ wants: (tool) => tool !== null && patterns.some((parts) => isLike(tool, parts)) })
}

/** Whether the parts stand in the name in this order, the first at its start and the last at its end. */
function isLike(name: string, parts: readonly string[]): boolean {
  const [first = '', ...others] = parts
  const last = others.pop()
  if (last === undefined) return name === first
  if (!name.startsWith(first)) return false
  let at = first.length
  for (const part of others) {
    const found = name.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return name.length - last.length >= at && name.endsWith(last)
}
