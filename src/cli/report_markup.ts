import { safeText } from './tail_line.ts'

/** Text that is HTML already. */
export class Markup {
  readonly html: string

  constructor(html: string) {
    this.html = html
  }
}

export type Part = Markup | string | number | null | readonly Part[]

/** HTML in which every value that is no Markup is text: escaped, on one line, control and direction marks shown. */
export function markup(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(strings.reduce((html, text, at) => html + textOf(parts[at - 1] ?? null) + text))
}

function textOf(part: Part): string {
  if (part === null) return ''
  if (part instanceof Markup) return part.html
  if (Array.isArray(part)) return part.map(textOf).join('')
  return safeText(String(part)).replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
