import { isOwnFile } from './own_file.ts'
import type { StackFrame } from './stack_part.ts'

// Frames of Go, Java and Rust, and what their compilers add to names.

/**
 * `/app/route/table.go:41 +0x1d`, with `pkg.(*Table).Find(0xc000...)` on the line above; null for any other. What started a
 * goroutine is no frame of it.
 * Source: https://pkg.go.dev/runtime/debug#PrintStack
 */
export function goFrameOf(line: string, above: string): StackFrame | null {
  if (!line.includes('.go:')) return null
  const [, file, number] = /^(.{1,1000}\.go):(\d{1,9})(?: \+0x[\da-f]{1,16})?$/.exec(line) ?? []
  if (file === undefined || above.startsWith('created by ')) return null
  const [, name] = /^(\S{1,500})\(.*\)$/.exec(above) ?? []
  return { file, function: name ?? null, line: Number(number), in_app: isOwnFile(file) }
}

/**
 * `at java.base@17/java.util.List.get(List.java:9)`; null for any other. Lambdas are named after the method that they
 * stand in; proxies that are made at run time are nobody's own code.
 * Source: https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/lang/StackTraceElement.html
 */
export function javaFrameOf(line: string): StackFrame | null {
  // V8 sets a space before the bracket, and has most lines.
  if (!line.endsWith(')') || line.includes(' (')) return null
  const [, module, name = '', place = ''] =
    /^at (?:([\w.@-]{0,200})\/{1,2})?([\p{L}\p{N}_.$<>]{1,500})\(([\w.$ <>-]{1,200}(?::\d{1,9})?)\)$/u.exec(line) ?? []
  const segments = name.split('.')
  const method = segments.pop()
  const type = segments.pop()
  if (method === undefined || type === undefined || !javaPlace.test(place)) return null
  const [file = '', number] = place.split(':')
  const isFile = /\.\w+$/.test(file)
  return {
    file: isFile ? [...segments, file].join('/') : null,
    function: `${type.replace(/\$\$.*$/, '')}.${method.replace(/^lambda\$(\w+)\$\d+$/, '$1')}`,
    line: number === undefined ? null : Number(number),
    in_app: isFile && !module?.includes('@') && !javaForeign.test(name),
  }
}

const javaPlace = /^(?:[\w$-]+\.(?:java|kt|kts|scala|groovy|clj)(?::\d+)?|Native Method|Unknown Source|<generated>)$/
const javaForeign =
  /^(?:java|javax|jdk|sun|com\.sun|jakarta|kotlin|kotlinx|scala|groovy|clojure|io\.netty|reactor|org\.(?:springframework|apache|hibernate|junit|eclipse|slf4j))\./

/** `3: crate::module::function::h0123456789abcdef`, the line above a Rust frame's `at`; null for any other. */
export function rustNameOf(above: string): string | null {
  const [, name] = /^\d{1,5}: {1,6}(?:0x[\da-f]{1,16} - )?(\S.{0,500})$/.exec(above) ?? []
  return name?.replace(/::h[\da-f]{16}$/, '').replaceAll('::{{closure}}', '') ?? null
}
