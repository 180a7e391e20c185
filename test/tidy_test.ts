import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { rules, violationsOf } from './tidy_rule_fixture.ts'
import { codeExtension, type FileMap, sourcesOf } from './tidy_source_fixture.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const skippedFolders = new Set(['node_modules', '.git', '.telltale', 'dist', 'coverage'])
const textFile = /\.(?:ts|mts|mjs|js|json|sql|md|py|html|css|toml|yml|yaml|sh)$|^\.ci\/run$|^\.(?:gitignore|npmrc)$/

function readRepository(): FileMap {
  const entries = readdirSync(root, { recursive: false, withFileTypes: true })
  const paths = entries.flatMap((entry) => (skippedFolders.has(entry.name) ? [] : pathsBelow(entry)))
  return new Map(
    paths.filter((path) => textFile.test(path)).map((path) => [path, readFileSync(join(root, path), 'utf8')]),
  )
}

function pathsBelow(entry: { name: string; isDirectory(): boolean }): string[] {
  if (!entry.isDirectory()) return [entry.name]
  return readdirSync(join(root, entry.name), { recursive: true, withFileTypes: true })
    .filter((below) => below.isFile())
    .map((below) => relative(root, join(below.parentPath, below.name)).split(sep).join('/'))
    .filter((path) => !path.split('/').some((part) => skippedFolders.has(part)))
}

describe('the repository', () => {
  const files = readRepository()
  const sources = sourcesOf(files)

  test('is all there to look at', () => {
    expect(files.has('package.json')).toBe(true)
    expect(sources.length).toBeGreaterThan(50)
  })

  for (const [name, rule] of Object.entries(rules)) {
    test(`keeps ${name}()`, () => expect(rule(files, sources)).toEqual([]))
  }

  test('exports no value that nothing else names', () => {
    const code = [...files].filter(([path]) => codeExtension.test(path))
    const wordsOf = new Map(code.map(([path, text]) => [path, new Set(text.match(/[\w$]+/g))]))
    const exported = code
      .filter(([path]) => /^(?:src|functions)\//.test(path) && !/_generated\.ts$/.test(path))
      .flatMap(([path, text]) => [...text.matchAll(exportedValue)].map((match) => ({ path, name: match[1] ?? '' })))
    expect(exported.length).toBeGreaterThan(200)
    const unnamed = exported.filter(({ path, name }) => {
      const own = path === 'src/core/limit.ts' && files.get(path)?.match(new RegExp(`\\b${name}\\b`, 'g'))
      // A bound that others keep is named by how it stands to them.
      if (own && own.length > 1) return false
      return ![...wordsOf].some(([other, words]) => other !== path && words.has(name))
    })
    expect(unnamed).toEqual([])
  })
})

const exportedValue = /^export (?:async )?(?:function\*?|const|let|class) (\w+)/gm

// A repository of a few files that keeps every rule; each plant breaks just the one that it is listed under.
const clean = {
  'package.json': '{"dependencies": {"hono": "1.0.0"}, "devDependencies": {"vitest": "1.0.0"}}',
  'package-lock.json': '{"packages": {"node_modules/hono": {"version": "1.0.0"}}}',
  'src/core/time.ts': '/** Supabase may be named in a comment, and /tmp and Deno too. */\nexport const now = 1\n',
  'src/wire/parse_time.ts': "import { now } from '../core/time.ts'\nexport const then = now\n",
  'functions/route/time_route.ts': "import { Hono } from 'hono'\nexport const app = new Hono()\n",
  'functions/ingest/index.ts': "import { app } from '../route/time_route.ts'\nDeno.serve(app.fetch)\n",
  'functions/tick/index.ts': "import { app } from '../route/time_route.ts'\nDeno.serve(app.fetch)\n",
  'test/time_test.ts': "import { test } from 'vitest'\nimport '../src/core/time.ts'\ntest('x', () => undefined)\n",
}

const plants: { readonly [rule: string]: readonly { readonly [path: string]: string }[] } = {
  importsKeepDirection: [
    { 'src/core/late.ts': "import { then } from '../wire/parse_time.ts'\nexport const x = then\n" },
    { 'src/core/late.ts': "import type { then } from '../wire/parse_time.ts'\nexport type X = typeof then\n" },
    { 'src/core/late.ts': "export const x = await import('../wire/parse_time.ts')\n" },
    { 'src/core/late.ts': "export { then } from '../wire/parse_time.ts'\n" },
    { 'src/core/late.ts': "import { readFileSync } from 'node:fs'\nexport const x = readFileSync\n" },
    { 'src/core/late.ts': "import { Hono } from 'hono'\nexport const x = Hono\n" },
    { 'src/reporter/late.ts': "import { Hono } from 'hono'\nexport const x = Hono\n" },
    { 'src/tap/late.ts': "export * from '../../functions/route/time_route.ts'\n" },
    { 'src/demo/late.ts': "export * from '../wire/parse_time.ts'\n" },
    { 'src/demo/late.ts': "export * from '../../test/time_test.ts'\n" },
    { 'web/late.ts': "export * from 'node:fs'\n" },
  ],
  importsHaveNoCycle: [
    {
      'src/core/hen.ts': "import { egg } from './egg.ts'\nexport const hen = egg\n",
      'src/core/egg.ts': "import { hen } from './hen.ts'\nexport const egg = hen\n",
    },
    { 'src/core/hen.ts': "export * from './hen.ts'\n" },
  ],
  vendorsStayInTheirRooms: [
    { 'functions/action/push.ts': 'export const env = Deno.env\n' },
    { 'src/wire/push.ts': "export const name = 'SUPABASE_URL'\n" },
    { 'functions/route/push.ts': 'export const url = (env: { UPSTASH_REDIS_REST_URL: string }) => env\n' },
    {
      'package.json': '{"dependencies": {"hono": "1", "@supabase/x-js": "1"}, "devDependencies": {"vitest": "1"}}',
      'functions/action/push.ts': "export * from '@supabase/x-js/y'\n",
    },
  ],
  filesAreNamedWell: [
    { 'src/core/timeOfDay.ts': '\n' },
    { 'src/core/time_utils.ts': '\n' },
    { 'src/core/index.ts': '\n' },
    { 'src/core/common.ts': '\n' },
    { 'src/wire/time.ts': '\n' },
  ],
  dependenciesAreListed: [
    { 'src/wire/parse_zod.ts': "export * from 'zod'\n" },
    { 'src/wire/parse_test.ts': "export * from 'vitest'\n" },
    { 'package.json': '{"dependencies": {"hono": "1", "left-pad": "1"}, "devDependencies": {"vitest": "1"}}' },
  ],
  filesAreShort: [
    { 'src/core/long.ts': 'export {}\n'.repeat(351) },
    { 'test/long_test.ts': 'export {}\n'.repeat(401) },
    { 'supabase/migrations/1_long.sql': 'select 1;\n'.repeat(701) },
  ],
  importsNameTheirFile: [{ 'src/wire/lazy.ts': "import '../core/time.js'\n" }],
  typesCanBeErased: [
    { 'src/core/colour.ts': 'export enum Colour { red }\n' },
    { 'src/core/colour.ts': 'export class Colour { constructor(readonly red: number) {} }\n' },
    { 'src/core/colour.ts': 'declare const dye: any\n@dye export class Colour {}\n' },
    { 'src/core/colour.ts': 'export namespace Colour { export const red = 1 }\n' },
  ],
  pathsAreOfNoMachine: [
    { 'README.md': `See ${'/ro'}ot/notes.\n` },
    { 'src/core/place.ts': `export const place = '${'/ho'}me/bob/telltale'\n` },
    { 'src/core/place.ts': `// found in ${'/Us'}ers/bob/telltale\n` },
  ],
  lockIsPortable: [
    {
      'package-lock.json': '{"packages": {"node_modules/hono": {"version": "1", "resolved": "http://mirror.test/h"}}}',
    },
    { 'package-lock.json': '{"packages": {"node_modules/a": {"version": "1", "optionalDependencies": {"b": "1"}}}}' },
  ],
  nothingIsLeftForLater: [{ 'src/core/later.ts': `// ${'TO'}${'DO'}: think\n` }, { 'README.md': `${'FIX'}${'ME'}\n` }],
}

describe('the rules', () => {
  for (const [name, rule] of Object.entries(rules)) {
    test(`${name}() finds what is planted, and nothing in a clean place`, () => {
      expect(violationsOf(rule, new Map(Object.entries(clean)))).toEqual([])
      expect(plants[name]?.length).toBeGreaterThan(0)
      for (const plant of plants[name] ?? []) {
        const files = new Map(Object.entries({ ...clean, ...plant }))
        for (const [other, otherRule] of Object.entries(rules)) {
          const found = violationsOf(otherRule, files)
          if (other === name) expect(found, JSON.stringify(plant)).toHaveLength(1)
          else if (name !== 'importsNameTheirFile') expect(found, `${other} in ${JSON.stringify(plant)}`).toEqual([])
        }
      }
    })
  }
})
