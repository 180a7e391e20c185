// Builds the reporter for other people's processes: plain JavaScript for Node 20 and newer, as an ES module and as
// CommonJS, with its types. Writes dist/reporter beside package.json. Usage: node src/reporter/build.mjs [OUT]
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))
const out = resolve(root, process.argv[2] ?? 'dist/reporter')
rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })

const common = {
  entryPoints: [join(root, 'src/reporter/reporter.ts')],
  bundle: true,
  platform: 'node',
  target: 'node20',
  // A dependency that is no part of Node would stay an import that nobody can resolve: refuse to build instead.
  external: ['node:*'],
  legalComments: 'none',
  sourcemap: true,
  logLevel: 'warning',
}
await build({ ...common, format: 'esm', outfile: join(out, 'reporter.js') })
await build({ ...common, format: 'cjs', outfile: join(out, 'reporter.cjs') })

const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
const { compilerOptions } = JSON.parse(readFileSync(join(root, 'tsconfig.json'), 'utf8'))
const project = join(root, `node_modules/.reporter_types_${process.pid}.json`)
writeFileSync(
  project,
  JSON.stringify({
    compilerOptions: {
      ...compilerOptions,
      noEmit: false,
      declaration: true,
      emitDeclarationOnly: true,
      typeRoots: [join(root, 'node_modules/@types')],
      rootDir: join(root, 'src'),
      outDir: join(out, 'types'),
    },
    files: [join(root, 'src/reporter/reporter.ts')],
  }),
)
try {
  execFileSync(process.execPath, [compiler, '-p', project], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
} finally {
  rmSync(project)
}

// The compiler leaves `.ts` in the imports of declarations; there they have to name what is there.
for (const name of readdirSync(join(out, 'types'), { recursive: true, encoding: 'utf8' })) {
  if (!name.endsWith('.d.ts')) continue
  const file = join(out, 'types', name)
  writeFileSync(file, readFileSync(file, 'utf8').replace(/(from '\.[^']*)\.ts'/g, "$1.js'"))
}

const types = './types/reporter/reporter.d.ts'
const { version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const manifest = {
  name: 'telltale-reporter',
  version,
  license,
  type: 'module',
  engines: { node: '>=20' },
  types,
  exports: { '.': { types, import: './reporter.js', require: './reporter.cjs' } },
}
writeFileSync(join(out, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
