/** What is certainly not the deployment's own: packages, the language's library, runtimes of engines and bundlers. */
const foreign = [
  /(?:^|[/\\])(?:node_modules|site-packages|dist-packages|\.pnpm|\.yarn)[/\\]/,
  /(?:^|[/\\])lib(?:64)?[/\\]python\d(?:\.\d{1,3})?[/\\]/,
  /[/\\]Python\d{1,4}(?:-\d\d)?[/\\]lib[/\\]/i,
  /[/\\]c?python[^/\\]{0,60}[/\\](?:[\d.]{1,20}[/\\])?(?:(?:x64|x86|arm64)[/\\])?Lib[/\\]/,
  /^(?:node|bun|deno|ext|native|chrome-extension|moz-extension|safari-extension|wasm):/,
  /^(?:node:)?internal[/\\]/,
  /^\[native code\]$/,
  /(?:^|[/\\])webpack[/\\](?:bootstrap|runtime)/,
  /^<(?!string>|stdin>)/,
  // Go: its library, wherever it is installed, and modules. Rust: its library and crates. PHP, Go and Ruby: copies.
  /[/\\](?:usr[/\\]local|Program Files|hostedtoolcache|sdk)[/\\]go[\d.]*[/\\](?:[\d.]{1,20}[/\\])?(?:(?:x64|arm64)[/\\])?src[/\\]/i,
  /[/\\](?:lib|libexec)[/\\](?:go[^/\\]{0,20}[/\\])?src[/\\](?:runtime|net|sync|internal|reflect|encoding|testing)[/\\]/,
  /[/\\]pkg[/\\]mod[/\\]/,
  /[/\\]rustc[/\\][\da-f]{7,40}[/\\]/,
  /[/\\]\.(?:cargo|rustup)[/\\](?:registry|git|toolchains)[/\\]/,
  /(?:^|[/\\])vendor[/\\]/,
  // Older Node names its own modules without a directory.
  /^(?:assert|async_hooks|child_process|dns|domain|events|fs|http|https|module|net|stream|timers|tls|util|vm|zlib)\.js$/,
]

/** Whether a file, as a stack trace prints it, is the deployment's own code. */
export function isOwnFile(file: string): boolean {
  return file !== '' && !foreign.some((pattern) => pattern.test(file))
}
