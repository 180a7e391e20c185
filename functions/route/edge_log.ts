/** One line about what went wrong: never a key, a body, or a message that may quote one. */
export type EdgeLog = (entry: { readonly request_id: string; readonly what: string; readonly detail: string }) => void

export const consoleLog: EdgeLog = (entry) => console.error(JSON.stringify(entry))

/** Where an unforeseen error came from: its name and frames, without its message, which may quote what was sent. */
export function originOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return [error.name, ...frames.slice(0, 8).map((frame) => frame.trim())].join(' ')
}
