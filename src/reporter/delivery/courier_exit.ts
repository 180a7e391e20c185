const savers = new Set<() => void>()
let listening = false

/**
 * Runs `save` when the process exits, whatever made it exit short of a signal that cannot be caught. One listener for
 * all of a process's reporters. Answers what takes it back.
 */
export function atExit(save: () => void): () => void {
  savers.add(save)
  if (!listening) process.on('exit', saveAll)
  listening = true
  return () => void savers.delete(save)
}

function saveAll(): void {
  for (const save of savers) {
    try {
      save()
    } catch {
      // The host exits; there is nobody left to tell.
    }
  }
}
