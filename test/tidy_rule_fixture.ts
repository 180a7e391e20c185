import { posix } from 'node:path'
import {
  codeExtension,
  type FileMap,
  isRelative,
  packageOf,
  resolvedPath,
  type Source,
  sourcesOf,
} from './tidy_source_fixture.ts'

/** Answers one line for each violation. */
export type Rule = (files: FileMap, sources: readonly Source[]) => readonly string[]

/** The rooms and whom each may ask, beside itself. `anything` is for what only looks on. */
const rooms: readonly { readonly name: string; readonly folder: string; readonly asks: readonly string[] }[] = [
  { name: 'core', folder: 'src/core/', asks: [] },
  { name: 'wire', folder: 'src/wire/', asks: ['core'] },
  { name: 'reporter', folder: 'src/reporter/', asks: ['core', 'wire'] },
  { name: 'functions', folder: 'functions/', asks: ['core', 'wire'] },
  { name: 'web', folder: 'web/', asks: ['core', 'wire'] },
  { name: 'tap', folder: 'src/tap/', asks: ['core', 'wire', 'reporter'] },
  { name: 'local', folder: 'src/local/', asks: ['core', 'wire', 'functions'] },
  { name: 'demo', folder: 'src/demo/', asks: ['core', 'reporter'] },
  { name: 'cli', folder: 'src/cli/', asks: ['core', 'wire', 'reporter', 'functions', 'tap', 'local', 'demo'] },
  { name: 'bin', folder: 'bin/', asks: [] },
]
const onlookers = /^(?:test|bench)\//
/** Scripts that make files for their room, with tools of development. They run before anything ships. */
const makers = /^src\/(?:wire\/generate_|reporter\/build)\w*\.(?:ts|mjs)$/

function roomOf(path: string) {
  return rooms.find(({ folder }) => path.startsWith(folder))
}

/** Data flows one way: a room asks only those that the table lists. The pure core has no package and no Node. */
export const importsKeepDirection: Rule = (_files, sources) =>
  sources.flatMap((source) => {
    const room = roomOf(source.path)
    if (!room || makers.test(source.path)) return []
    return source.imports.flatMap(({ specifier }) => {
      if (!isRelative(specifier)) {
        const closed =
          room.name === 'core' ||
          (room.name === 'reporter' && packageOf(specifier)) ||
          isNodeInBrowser(room.name, specifier)
        return closed ? [`${source.path}: ${room.name} may not import ${specifier}`] : []
      }
      const target = resolvedPath(source.path, specifier)
      const other = roomOf(target)
      if (!other) return /^(?:package\.json|supabase\/)/.test(target) ? [] : [`${source.path}: ${target} is in no room`]
      return other === room || room.asks.includes(other.name)
        ? []
        : [`${source.path}: ${room.name} may not import ${other.name} (${target})`]
    })
  })

function isNodeInBrowser(room: string, specifier: string): boolean {
  return room === 'web' && specifier.startsWith('node:')
}

/** No file needs itself to load. Types are erased and do not count. */
export const importsHaveNoCycle: Rule = (files, sources) => {
  const asked = new Map(
    sources.map(({ path, imports }) => [
      path,
      imports
        .filter(({ specifier, typeOnly }) => isRelative(specifier) && !typeOnly)
        .map(({ specifier }) => resolvedPath(path, specifier))
        .filter((target) => files.has(target)),
    ]),
  )
  const done = new Set<string>()
  const found: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    const since = trail.indexOf(path)
    if (since >= 0) found.push(`cycle: ${[...trail.slice(since), path].join(' -> ')}`)
    if (since >= 0 || done.has(path)) return
    for (const next of asked.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const path of asked.keys()) visit(path, [])
  return found
}

const vendorPackage = /^(?:@supabase\/|@upstash\/|@electric-sql\/|@cloudflare\/|pg$|wrangler$)/
const vendorWord = /^(?:Deno|EdgeRuntime)$|\b(?:SUPABASE|UPSTASH|CLOUDFLARE)_[A-Z]/
const vendorRoom =
  /^(?:functions\/store\/|functions\/worker\.ts$|functions\/\w+\/index\.ts$|src\/local\/|src\/cli\/|web\/api\.ts$|test\/|bench\/)/

/** A vendor has a name only where it is chosen. */
export const vendorsStayInTheirRooms: Rule = (_files, sources) =>
  sources
    .filter(({ path }) => !vendorRoom.test(path))
    .flatMap(({ path, imports, words }) => [
      ...imports
        .filter(({ specifier }) => vendorPackage.test(packageOf(specifier) ?? ''))
        .map(({ specifier }) => `${path}: imports the vendor ${specifier}`),
      ...words.filter((word) => vendorWord.test(word)).map((word) => `${path}: names the vendor of ${word}`),
    ])

const ruledFolder = /^(?:src|functions|web|test|bench|bin)\//
const snakeCase = /^[a-z0-9]+(?:_[a-z0-9]+)*$/
const emptyName = /(?:^|_)(?:utils?|helpers?|types?|common|managers?|misc|index)$/
/** Laid out and named as the operator's daemon is: hooks find their seams by these names. */
const lookalike = /^test\/exai\//
const denoEntry = /^functions\/[a-z_]+\/index\.ts$/

/** Files are called after what they are, in snake_case, and no two have one name. */
export const filesAreNamedWell: Rule = (files) => {
  const paths = [...files.keys()].filter(
    (path) => ruledFolder.test(path) && !denoEntry.test(path) && !lookalike.test(path),
  )
  const first = new Map<string, string>()
  return paths
    .filter((path) => codeExtension.test(path) || path.endsWith('.sql') || path.endsWith('.py'))
    .flatMap((path) => {
      const name = posix.basename(path)
      const stem = name.slice(0, name.lastIndexOf('.')).replace(/\.d$/, '')
      const twin = first.get(name)
      first.set(name, path)
      return [
        ...(snakeCase.test(stem) ? [] : [`${path}: is not snake_case`]),
        ...(emptyName.test(stem) ? [`${path}: says nothing about what is inside`] : []),
        ...(twin === undefined ? [] : [`${path}: has the name of ${twin}`]),
      ]
    })
}

type Manifest = {
  readonly dependencies?: { readonly [name: string]: string }
  readonly devDependencies?: { readonly [name: string]: string }
}

// The Node that bin/install.mjs looks for by its path, and types that come without an import.
const usedUnseen = new Set(['node', '@types/node'])

/** Every package that is imported is listed, what runs outside of tests for good; every one that is listed is used. */
export const dependenciesAreListed: Rule = (files, sources) => {
  const { dependencies = {}, devDependencies = {} } = JSON.parse(files.get('package.json') ?? '{}') as Manifest
  const unlisted = sources.flatMap(({ path, imports }) =>
    imports.flatMap(({ specifier }) => {
      const name = packageOf(specifier)
      if (name === null || Object.hasOwn(dependencies, name)) return []
      const forTools = onlookers.test(path) || !path.includes('/') || makers.test(path)
      return forTools && Object.hasOwn(devDependencies, name) ? [] : [`${path}: ${name} is not listed for it`]
    }),
  )
  const said = sources.flatMap(({ imports, words }) => [...imports.map(({ specifier }) => specifier), ...words])
  const unused = [...Object.keys(dependencies), ...Object.keys(devDependencies)]
    .filter((name) => !usedUnseen.has(name))
    .filter((name) => {
      const meant = name.replace(/^@types\//, '')
      return !said.some((word) => word === meant || word.includes(`${meant}/`))
    })
    .map((name) => `package.json: ${name} is used nowhere`)
  return [...unlisted, ...unused]
}

const linesMax = 350
// A test file may be a longer table.
const testLinesMax = 400
const generatedLinesMax = 12_000
/** What is one file by its nature: a Python daemon takes its reporter as one, and bounds are seen beside each other. */
const wholeFiles: { readonly [path: string]: number } = { 'src/python/telltale.py': 5_500, 'src/core/limit.ts': 520 }
const migrationLinesMax = 700

export const filesAreShort: Rule = (files) =>
  [...files].flatMap(([path, text]) => {
    if (!codeExtension.test(path) && !/\.(?:sql|py)$/.test(path)) return []
    const max =
      wholeFiles[path] ??
      (/_generated\.ts$|schema\.sql$/.test(path)
        ? generatedLinesMax
        : path.endsWith('.sql')
          ? migrationLinesMax
          : onlookers.test(path)
            ? testLinesMax
            : linesMax)
    const lines = text.split('\n').length - 1
    return lines > max ? [`${path}: has ${lines} lines, more than ${max}`] : []
  })

/** What is imported is called by its whole name. */
export const importsNameTheirFile: Rule = (_files, sources) =>
  sources.flatMap(({ path, imports }) =>
    imports
      .filter(({ specifier }) => isRelative(specifier) && !/\.(?:ts|mjs|json|css)$/.test(specifier))
      .map(({ specifier }) => `${path}: ${specifier} has no extension`),
  )

export const typesCanBeErased: Rule = (_files, sources) =>
  sources.flatMap(({ path, inerasable }) => inerasable.map((form) => `${path}: ${form} cannot be erased`))

const machinePath =
  /(?<![\w.~)\]}$\\-])\/(?:root|work|tmp\/tt|Users\/(?!ada\b|me\b)|home\/(?!ada\b|you\b|me\b|app\b|user\b))(?=[/\w])/g

/** The repository knows no machine. People called ada, you, me, user or app may have a home, in examples. */
export const pathsAreOfNoMachine: Rule = (files) =>
  [...files].flatMap(([path, text]) =>
    [...text.matchAll(machinePath)].map((match) => {
      const around = text.slice(match.index, match.index + 40).split(/\s/, 1)[0]
      return `${path}: ${around} is a path of one machine`
    }),
  )

type Lock = {
  readonly packages?: {
    readonly [path: string]: {
      readonly version?: string
      readonly resolved?: string
      readonly optionalDependencies?: { readonly [name: string]: string }
    }
  }
}

/** The lockfile names no host, and every optional package, without which `npm ci` refuses to run. */
export const lockIsPortable: Rule = (files) => {
  const { packages = {} } = JSON.parse(files.get('package-lock.json') ?? '{}') as Lock
  return Object.entries(packages).flatMap(([path, entry]) => [
    ...(entry.resolved === undefined || entry.resolved.startsWith('https://registry.npmjs.org/')
      ? []
      : [`package-lock.json: ${path} comes from ${entry.resolved}`]),
    ...Object.keys(entry.optionalDependencies ?? {})
      .filter(
        (name) => !packages[`node_modules/${name}`]?.version && !packages[`${path}/node_modules/${name}`]?.version,
      )
      .map((name) => `package-lock.json: ${name}, optional for ${path}, is missing`),
  ])
}

const promise = /\b(?:TO[D]O|FIX[M]E|X[X]X)\b/

export const nothingIsLeftForLater: Rule = (files) =>
  [...files].flatMap(([path, text]) =>
    path === 'package-lock.json'
      ? []
      : text.split('\n').flatMap((line, at) => (promise.test(line) ? [`${path}:${at + 1}: ${line.trim()}`] : [])),
  )

export const rules: { readonly [name: string]: Rule } = {
  importsKeepDirection,
  importsHaveNoCycle,
  vendorsStayInTheirRooms,
  filesAreNamedWell,
  dependenciesAreListed,
  filesAreShort,
  importsNameTheirFile,
  typesCanBeErased,
  pathsAreOfNoMachine,
  lockIsPortable,
  nothingIsLeftForLater,
}

export function violationsOf(rule: Rule, files: FileMap): readonly string[] {
  return rule(files, sourcesOf(files))
}
