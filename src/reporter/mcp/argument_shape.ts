import { argumentNamesMax, attributeKeyBytesMax } from '../../core/limit.ts'
import { cutText } from '../text_cut.ts'

/**
 * The shape of a tool's arguments: of each its JSON type, with its size where it has one (characters of a string,
 * members of an array or object). Never what it says.
 */
export function shapeOf(args: { readonly [key: string]: unknown }): { readonly [name: string]: string } {
  const names = Object.keys(args)
  const shape: [string, string][] = names
    .slice(0, argumentNamesMax)
    .map((name) => [cutText(name, attributeKeyBytesMax), shapeOfValue(args[name])])
  if (names.length > argumentNamesMax) shape.push(['…', `${names.length - argumentNamesMax} more`])
  return Object.fromEntries(shape)
}

function shapeOfValue(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return `string(${value.length})`
  if (Array.isArray(value)) return `array(${value.length})`
  if (typeof value === 'object') return `object(${Object.keys(value).length})`
  return typeof value
}
