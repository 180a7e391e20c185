const runners: ReadonlySet<string> = new Set([
  'node',
  'npx',
  'npm',
  'pnpm',
  'yarn',
  'bunx',
  'bun',
  'deno',
  'tsx',
  'python',
  'python3',
  'py',
  'uv',
  'uvx',
  'pipx',
  'docker',
  'cmd',
  'sh',
  'bash',
  'env',
])
const verbs: ReadonlySet<string> = new Set(['run', 'exec', 'x', 'dlx', 'tool', 'start', '/c', 'compose'])

/**
 * A name for a server from the command that starts it: the file's name without folder and extension, behind a runner
 * (`npx -y @scope/name`, `python -m name`) that of what is run. Works for paths of either kind of slash.
 */
export function serviceOf(command: string, args: readonly string[]): string {
  const own = baseOf(command)
  if (!runners.has(own.toLowerCase())) return own
  const run = args.find((arg) => !arg.startsWith('-') && !verbs.has(arg) && baseOf(arg) !== '')
  if (run === undefined) return own
  const name = baseOf(run)
  return runners.has(name.toLowerCase()) ? serviceOf(run, args.slice(args.indexOf(run) + 1)) : name
}

function baseOf(path: string): string {
  const last =
    path
      .split(/[\\/]/)
      .filter((part) => part !== '')
      .at(-1) ?? ''
  const stem = last.replace(/\.(exe|cmd|bat|ps1|[cm]?[jt]s|py)$/i, '').replace(/(?<=.)@[^@]*$/, '')
  if (stem !== 'index' && stem !== 'main' && stem !== '__main__') return stem
  // `.../server-everything/dist/index.js` is better named by its folder.
  const folders = path.split(/[\\/]/).slice(0, -1)
  return folders.findLast((folder) => !['', '.', '..', 'dist', 'build', 'src', 'lib', 'bin'].includes(folder)) ?? stem
}
