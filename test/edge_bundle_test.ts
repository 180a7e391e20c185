import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { expect, test } from 'vitest'

// What runs on the edge is no Node: a Worker has no built-in modules by default, and neither eval nor new Function.

test.each(['ingest', 'tick', 'live', 'why', 'mcp'])(
  'functions/%s bundles for an edge runtime as it is, without Node and without eval',
  async (name) => {
    const { outputFiles, warnings } = await build({
      entryPoints: [fileURLToPath(new URL(`../functions/${name}/index.ts`, import.meta.url))],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'neutral',
      // A package may have files of its own for where there is no Node.
      conditions: ['workerd'],
      mainFields: ['module', 'main'],
      logLevel: 'silent',
    })
    expect(warnings).toEqual([])
    const text = outputFiles[0]?.text ?? ''
    expect(text).toContain('Deno.serve')
    // Methods called eval are no eval: the client of Redis has one, for scripts that run over there.
    expect(text).not.toMatch(/\bfrom\s*["']node:|\brequire\(["']node:|\bnew Function\(|(?<!\.|async )\beval\(/)
  },
)

test.each(['ingest', 'tick', 'live', 'why', 'mcp'])(
  'functions/%s/deno.json names the versions that are tested here',
  (name) => {
    const read = (path: string) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
    const { dependencies } = read('../package.json') as { dependencies: Record<string, string> }
    const { imports } = read(`../functions/${name}/deno.json`) as { imports: Record<string, string> }
    for (const [bare, specifier] of Object.entries(imports)) {
      const found = /^npm:((?:@[^/]+\/)?[^/@]+)@([^/]+)(\/.*)?$/.exec(specifier)
      expect([found?.[2], `${found?.[1]}${found?.[3] ?? ''}`], specifier).toEqual([
        dependencies[found?.[1] ?? ''],
        bare,
      ])
    }
  },
)
