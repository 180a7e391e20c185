import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectExai } from './exai_client_fixture.ts'
import { startExaiDaemon } from './exai_daemon_fixture.ts'
import { supplyOf, type WayIn } from './privacy_way_fixture.ts'
import { runPython, telltalePy } from './python_fixture.ts'

const pythonScript = `
import json, sys, itertools
import telltale
seeds = json.load(open(sys.argv[1]))
state = {"at": 0}
def seed():
    state["at"] += 1
    return seeds[(state["at"] - 1) % len(seeds)]
def s():
    return seed()["text"]
def bag():
    a, b = seed(), seed()
    return {"plain": a["text"], a["name"]: a["value"], b["text"]: 1, "deep": [{"deeper": b["text"], b["name"]: [b["value"]]}], "json": json.dumps({b["name"]: b["value"]})}
while state["at"] < len(seeds):
    with telltale.start_trace(s(), layer="tool", tool=s(), provider=s(), model=s(), request_id=s(), session=s(), attributes=bag()):
        with telltale.wait(s(), holder=s(), attributes=bag()):
            pass
        try:
            raise ValueError("Cannot call: " + s()) from KeyError(s())
        except ValueError as error:
            telltale.capture_error(error, context=bag())
        telltale.record_event(s(), s(), s(), s(), 1, error=s(), error_type=s(), error_traceback=s(), metadata=bag())
        telltale.record_message(conversation_id=s(), role=s(), model_used=s(), provider_used=s(), tool_name=s(), thinking_mode=s(), token_usage=bag(), metadata=bag())
        telltale.gauge(s()[:200], 1, {"a": s()[:200]})
telltale.flush(20)
telltale.close(10)
print(json.dumps(telltale.status()))
`

/** The Python reporter. */
export const byPython: WayIn = async (secrets, env) => {
  const dir = mkdtempSync(join(tmpdir(), 'telltale-privacy-'))
  const file = join(dir, 'seeds.json')
  writeFileSync(file, JSON.stringify(secrets))
  const own = { TELLTALE_INGEST_URL: env.TELLTALE_INGEST_URL, TELLTALE_INGEST_KEY: env.TELLTALE_INGEST_KEY }
  const more = { TELLTALE_OUTBOX_DIR: env.TELLTALE_OUTBOX_DIR ?? 'none', TELLTALE_SERVICE: 'privacy' }
  const run = await runPython(['-c', pythonScript, file], { env: { ...own, ...more }, msMax: 60_000 })
  rmSync(dir, { recursive: true, force: true })
  if (run.code !== 0) throw new Error(`Cannot report from Python: ${run.err}`)
  return run.out + run.err
}

/** The hooks of telltale.py in a daemon that knows nothing of them. `python` has its packages. */
export function byHooks(python: string): WayIn {
  return async (secrets, env) => {
    const supply = supplyOf(secrets)
    const s = supply.text
    const own = {
      TELLTALE_INGEST_URL: env.TELLTALE_INGEST_URL ?? '',
      TELLTALE_INGEST_KEY: env.TELLTALE_INGEST_KEY ?? '',
    }
    const names = { TELLTALE_ENVIRONMENT: s(), TELLTALE_INSTANCE: s(), TELLTALE_CONTENT: 'tool=*' }
    const quick = { EXAI_STORAGE_MS: '0', EXAI_API_MS: '0', EXAI_CACHE_TTL: '0', EXAI_PROGRESS_INTERVAL: '0.01' }
    const daemon = await startExaiDaemon({
      python,
      under: [telltalePy, '--service', s()],
      env: { ...own, ...names, ...quick, PYTHONHASHSEED: '1' },
    })
    const hello = { session_id: s(), token: s(), jwt: s(), clientInfo: { name: s(), version: s() } }
    const client = await connectExai(daemon.url, hello)
    for (let n = 0; supply.left > 0; n += 1) {
      const args = { ...supply.bag(), prompt: s(), continuation_id: s(), text: s(), drawer: s(), thinking_mode: s() }
      const calls: readonly (readonly [string, object])[] = [
        ['chat', args],
        ['chat', { ...args, prompt: `unstorable ${s()}` }],
        ['chat', { ...args, model: s() }],
        ['raising', args],
        ['fast', args],
        ['kimi_chat', args],
        ['glm_chat', args],
        [s(), args],
      ]
      const [name, given] = calls[n % calls.length] as readonly [string, object]
      // Of an id that is in flight the daemon gives another call's answer, after a tool that raised none at all.
      await client.call(name, { ...given }, { id: s(), request_id: `${n} ${s()}` })
      if (n % 50 === 0) client.send({ op: 'rotate_token', old: s(), new: s() })
      if (n % 51 === 0) client.send({ op: s() })
    }
    await client.close()
    const code = await daemon.close()
    if (code !== 0) throw new Error(`Cannot end the daemon: it left with ${code}: ${daemon.complaints()}`)
    return daemon.complaints()
  }
}
