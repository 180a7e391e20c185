/**
 * The directory that all files of a stack trace lie under, in the form of `plainPathOf`, ending in `/`; '' when they
 * share none. Files without any directory do not count. Two machines that run one project at different places print the
 * same paths below it.
 */
export function commonRootOf(files: readonly string[]): string {
  let root: string | null = null
  for (const file of files) {
    const path = plainPathOf(file)
    if (!path.includes('/')) continue
    const directory = path.slice(0, path.lastIndexOf('/') + 1)
    root = root === null ? directory : sharedOf(root, directory)
  }
  return root ?? ''
}

/**
 * A file's path below the root, to which the part of the root that belongs to the project is kept where a directory such
 * as `src` betrays it. Without a common root each path is cut by that directory alone, else to its name.
 */
export function pathBelow(root: string, file: string): string {
  const path = plainPathOf(file)
  if (root !== '' && path.startsWith(root)) return projectPartOf(root) + path.slice(root.length)
  const name = path.slice(path.lastIndexOf('/') + 1)
  return projectPartOf(path.slice(0, path.length - name.length)) + name
}

/** With `/` between, without scheme, host, drive and leading `./` and `/`. */
function plainPathOf(file: string): string {
  return file
    .replaceAll('\\', '/')
    .replace(/^[a-z][\w+.-]{1,30}:\/\/[^/]*/i, '')
    .replace(/^\/{0,3}[a-z]:(?=\/)/i, '')
    .replace(/\/(?:\.\/)+/g, '/')
    .replace(/^(?:\.{0,2}\/)+/, '')
}

/** Directories inside a project, under which its own code lies. */
const markers: ReadonlySet<string> = new Set(['src', 'lib', 'dist', 'test', 'tests', 'scripts', 'functions'])

/** Where machines keep programs: a `src` or `lib` in here is none of the project's. */
const places = /^(?:usr\/src\/app\/|usr\/src\/|usr\/local\/|usr\/|opt\/|srv\/|var\/task\/|app\/|workspace\/)/

/** Where people keep projects, `~/src/project/` among them. */
const homes = /^(?:mnt\/[a-z]\/)?(?:(?:Users|home)\/[^/]+\/|root\/)(?:(?:src|lib|dist|test|tests|scripts)\/[^/]+\/)?/i

/** Of a directory path: from the last marker on, '' without one. */
function projectPartOf(directory: string): string {
  const segments = directory.replace(homes, '').replace(places, '').split('/')
  for (let i = segments.length - 1; i >= 0; i -= 1) {
    if (markers.has(segments[i] as string)) return segments.slice(i).join('/')
  }
  return ''
}

/** The longest path of whole directories that both begin with. */
function sharedOf(a: string, b: string): string {
  let end = 0
  for (let i = 0; i < Math.min(a.length, b.length) && a[i] === b[i]; i += 1) if (a[i] === '/') end = i + 1
  return a.slice(0, end)
}
