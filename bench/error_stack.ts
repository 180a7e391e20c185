// Stack traces as runtimes print them: Python 3.11 and 3.13, Node, a browser's bundle, Firefox, Go, Java and Rust.
import type { Call } from './labelled_cause.ts'
import type { Draw } from './seeded_draw.ts'

export type Language = 'python' | 'node' | 'bundle' | 'firefox' | 'go' | 'java' | 'rust'

/** What differs between two errors of one cause. */
export type Occasion = {
  readonly place: Place
  /** From 0: later ones have other line numbers, hashes of builds, and one more frame around every request. */
  readonly release: number
  readonly draw: Draw
}

/** One exception: calls are innermost first. */
type Raised = { readonly type: string; readonly message: string; readonly calls: readonly Call[] }

/** Where a machine keeps the project, its packages and its language. */
export type Place = {
  readonly root: string
  readonly python: string
  readonly packages: string
  readonly modules: string
  readonly windows: boolean
  readonly carets: boolean
}

const venv = (python: string, packages: string, root: string, carets: boolean): Place => ({
  root,
  python,
  packages,
  modules: `${root}/node_modules`,
  windows: root.includes('\\'),
  carets,
})
export const places: readonly Place[] = [
  venv('/usr/local/lib/python3.11', '/usr/local/lib/python3.11/site-packages', '/app', false),
  venv('/usr/lib/python3.13', '/opt/venv/lib/python3.13/site-packages', '/opt/exai', true),
  venv(
    '/home/me/.pyenv/versions/3.11.7/lib/python3.11',
    '/home/me/work/exai-ws/.venv/lib/python3.11/site-packages',
    '/home/me/work/exai-ws',
    false,
  ),
  venv(
    '/home/you/.local/share/uv/python/cpython-3.13.1-linux-x86_64-gnu/lib/python3.13',
    '/home/you/.cache/pypoetry/virtualenvs/exai-Xy3-py3.13/lib/python3.13/site-packages',
    '/home/you/src/exai',
    true,
  ),
  venv(
    'C:\\Users\\me\\AppData\\Local\\Programs\\Python\\Python313\\Lib',
    'C:\\Project\\EX-AI\\.venv\\Lib\\site-packages',
    'C:\\Project\\EX-AI',
    true,
  ),
  venv('/opt/conda/lib/python3.11', '/opt/conda/lib/python3.11/site-packages', '/srv/www/daemon', false),
  venv(
    '/Library/Frameworks/Python.framework/Versions/3.13/lib/python3.13',
    '/Users/me/exai/venv/lib/python3.13/site-packages',
    '/Users/me/exai',
    true,
  ),
]

/** The first is the error, the others are its causes, each of the one before. */
export function printStack(language: Language, raised: readonly Raised[], occasion: Occasion): string {
  const shift = occasion.release * 11 + occasion.draw.int(0, 1) * occasion.release
  return printers[language](raised, { ...occasion, shift })
}

type Printing = Occasion & { readonly shift: number }
type Printer = (raised: readonly Raised[], printing: Printing) => string

const printers: { readonly [language in Language]: Printer } = {
  python: printPython,
  node: printNode,
  bundle: printBundle,
  firefox: (raised, printing) =>
    (raised[0]?.calls ?? [])
      .map(
        (call) =>
          `${call.fn}@http://${printing.draw.pick(['localhost:5173', 'dash.example.org'])}/${call.file.replace(/^[@#]/, 'node_modules/')}:${lineOf(call, printing)}:${printing.draw.int(1, 80)}`,
      )
      .join('\n'),
  go: printGo,
  java: printJava,
  rust: printRust,
}

function lineOf(call: Call, { shift }: Printing): number {
  return call.line + (/^[@#]/.test(call.file) ? 0 : shift)
}

/** `@` begins a file of a package, `#` one of the language. */
function fileOf({ file }: Call, place: Place, language: 'python' | 'node'): string {
  const [base, path] =
    file[0] === '@'
      ? [language === 'python' ? place.packages : place.modules, file.slice(1)]
      : file[0] === '#'
        ? [place.python, file.slice(1)]
        : [place.root, file]
  return place.windows ? `${base}\\${path.replaceAll('/', '\\')}` : `${base}/${path}`
}

function printPython(raised: readonly Raised[], printing: Printing): string {
  const { place } = printing
  return [...raised]
    .reverse()
    .map(({ type, message, calls }) => {
      const lines = collapsed([...calls].reverse()).flatMap(({ call, more }) => [
        `  File "${fileOf(call, place, 'python')}", line ${lineOf(call, printing)}, in ${call.fn}`,
        `    ${call.code ?? `return ${call.fn}_inner(request)`}`,
        ...(place.carets ? [`    ${'^'.repeat(8)}`] : []),
        ...(more > 0 ? [`  [Previous line repeated ${more} more times]`] : []),
      ])
      return ['Traceback (most recent call last):', ...lines, message === '' ? type : `${type}: ${message}`].join('\n')
    })
    .join('\n\nThe above exception was the direct cause of the following exception:\n\n')
}

/** As Python does it: after three equal frames one line says how many more there were. */
function collapsed(calls: readonly Call[]): { readonly call: Call; readonly more: number }[] {
  const kept: { call: Call; more: number; run: number }[] = []
  for (const call of calls) {
    const last = kept.at(-1)
    const run = last?.call === call ? last.run + 1 : 1
    if (run > 3 && last !== undefined) last.more += 1
    else kept.push({ call, more: 0, run })
  }
  return kept
}

/** At most ten frames, as V8 keeps them; where a promise was awaited later, those behind it are gone. */
function printNode(raised: readonly Raised[], printing: Printing): string {
  const { place, draw } = printing
  const text = (part: Raised, depth: number): string => {
    const indent = '    '.repeat(1) + '  '.repeat(depth)
    const calls = part.calls.slice(0, 10)
    const known = draw.int(0, 3) === 0 ? calls.slice(0, Math.max(4, calls.length - 1)) : calls
    return [
      `${part.type}: ${part.message}`,
      ...known.map((call) => {
        const at = call.file[0] === '#' ? `node:internal/${call.file.slice(1)}` : fileOf(call, place, 'node')
        return `${indent}at ${call.fn} (${at}:${lineOf(call, printing)}:${draw.int(2, 60)})`
      }),
      `${indent}at process.processTicksAndRejections (node:internal/process/task_queues:${draw.pick([95, 105])}:5)`,
    ].join('\n')
  }
  return raised.map((part, i) => (i === 0 ? text(part, 0) : `${'  '.repeat(i)}[cause]: ${text(part, i)}`)).join(' {\n')
}

/** One line without names that mean anything, in a file named after a hash: both change with every release. */
function printBundle(raised: readonly Raised[], { release, draw }: Printing): string {
  const names = ['a', 'e', 't.n', 'Ze', 'r', 'o.i', 'Object.s', 'Kt']
  const hash = `${release}f2a9c${release}b`
  const part = raised[0] as Raised
  const lines = part.calls.map(
    (call, i) =>
      `    at ${names[(i + release * 3 + call.line) % names.length]} (https://dash.example.org/assets/index-${hash}.js:1:${20_000 + release * 1_213 + call.line * 17})`,
  )
  const host = draw.pick(['', '    at new Promise (<anonymous>)'])
  return [`${part.type}: ${part.message}`, ...lines, ...(host === '' ? [] : [host])].join('\n')
}

function printGo(raised: readonly Raised[], printing: Printing): string {
  const { place, draw } = printing
  const part = raised[0] as Raised
  const hex = (): string => `0xc000${draw.hex(6)}`
  const frames = part.calls.flatMap((call) => {
    const file =
      call.file[0] === '#'
        ? `/usr/local/go/src/${call.file.slice(1)}`
        : call.file[0] === '@'
          ? `/go/pkg/mod/${call.file.slice(1)}`
          : `${place.windows ? 'C:/exai' : place.root}/${call.file}`
    return [
      `${call.fn}({${hex()}, ${hex()}}, ${draw.pick(['0x1', '...'])})`,
      `\t${file}:${lineOf(call, printing)} +0x${draw.hex(3)}`,
    ]
  })
  return [
    `panic: ${part.message}`,
    '',
    `goroutine ${draw.int(1, 900)} [running]:`,
    `panic({0x6${draw.hex(5)}?, ${hex()}?})`,
    `\t/usr/local/go/src/runtime/panic.go:${draw.pick([770, 914])} +0x132`,
    ...frames,
    `created by net/http.(*Server).Serve in goroutine ${draw.int(1, 9)}`,
    `\t/usr/local/go/src/net/http/server.go:${draw.pick([3285, 3086])} +0x4b4`,
  ].join('\n')
}

function printJava(raised: readonly Raised[], printing: Printing): string {
  const { draw } = printing
  return raised
    .map(({ type, message, calls }, i) =>
      [
        `${i === 0 ? '' : 'Caused by: '}${type}: ${message}`,
        ...calls.map((call) => {
          const file = call.file.replace(/^[@#]/, '').split('/').at(-1)
          const module = call.file[0] === '#' ? `java.base@${draw.pick(['17.0.9', '21.0.1'])}/` : ''
          const proxy = draw.hex(8)
          return `\tat ${module}${call.fn.replaceAll('PROXY', proxy).replaceAll('LAMBDA', String(draw.int(0, 9)))}(${file}:${lineOf(call, printing)})`
        }),
        ...(i === 0 ? [] : [`\t... ${draw.int(5, 60)} more`]),
      ].join('\n'),
    )
    .join('\n')
}

function printRust(raised: readonly Raised[], printing: Printing): string {
  const { place, draw } = printing
  const part = raised[0] as Raised
  const std = [
    ['rust_begin_unwind', 'std/src/panicking.rs', 645],
    ['core::panicking::panic_fmt', 'core/src/panicking.rs', 72],
  ] as const
  const hash = draw.pick(['07dca489ac2d933c78d3c5158e3f43beefeb02ce', '9fc6b43126469e3858e2fe86cafb4f0fd5068869'])
  const frames = [
    ...std.map(([fn, file, line]) => [fn, `/rustc/${hash}/library/${file}:${line}:5`] as const),
    ...part.calls.map((call) => {
      const home = place.windows ? 'C:\\Users\\me' : '/home/me'
      const file =
        call.file[0] === '#'
          ? `/rustc/${hash}/library/${call.file.slice(1)}`
          : call.file[0] === '@'
            ? `${home}/.cargo/registry/src/index.crates.io-6f17d22bba15001f/${call.file.slice(1)}`
            : draw.pick([`./${call.file}`, `${place.root}/${call.file}`])
      return [
        `${call.fn}${draw.pick(['', `::h${draw.hex(16)}`])}`,
        `${file}:${lineOf(call, printing)}:${draw.int(5, 40)}`,
      ] as const
    }),
  ]
  return [
    `thread '${draw.pick(['main', 'tokio-runtime-worker'])}' panicked at ${part.calls.find(({ file }) => !/^[@#]/.test(file))?.file ?? 'lib.rs'}:${draw.int(1, 90)}:14:`,
    part.message,
    'stack backtrace:',
    ...frames.flatMap(([fn, at], i) => [`${String(i).padStart(4)}: ${fn}`, `             at ${at}`]),
    'note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.',
  ].join('\n')
}
