import type { EdgeEnv } from './edge_env.ts'

/** Keeps the function alive for work that outlasts its answer, where the platform has such a thing. */
type Background = (work: Promise<unknown>) => void

/** Asks the project's own tick function for a pass, in the background. Whether it comes through is the tick's business. */
export function tickNudge({ url, secretKey }: Pick<EdgeEnv, 'url' | 'secretKey'>, background: Background): () => void {
  return () => {
    const headers = { apikey: secretKey }
    background(
      fetch(`${url}/functions/v1/tick`, { method: 'POST', headers })
        .then((answer) => answer.body?.cancel())
        .catch(() => {}),
    )
  }
}
