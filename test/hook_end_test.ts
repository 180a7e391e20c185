import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type IngestFixture, startIngest } from './ingest_fixture.ts'
import { noPythonReason, type PythonRun, pythonFolder, runPython, telltalePy } from './python_fixture.ts'

// What a script does under `python telltale.py` is what it does alone; what ends it is recorded.

const hooked = test.skipIf(noPythonReason !== null)

let far: IngestFixture
let folder: string

beforeEach(async () => {
  far = await startIngest()
  folder = mkdtempSync(join(tmpdir(), 'telltale-hook-'))
})

afterEach(async () => {
  await far.close()
  rmSync(folder, { recursive: true })
})

function write(name: string, lines: readonly string[]): string {
  const path = join(folder, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, `${lines.join('\n')}\n`)
  return name
}

function run(args: readonly string[], env: { readonly [name: string]: string } = {}): Promise<PythonRun> {
  const reporting = { TELLTALE_INGEST_URL: far.url, TELLTALE_INGEST_KEY: far.key }
  return runPython(args, { cwd: folder, env: { PYTHONPATH: '', ...reporting, ...env } })
}

/** Runs it alone and hooked, and answers what it did, which has to be the same. */
async function same(args: readonly string[]): Promise<PythonRun> {
  const alone = await run(args)
  const under = await run([telltalePy, ...args])
  expect(under).toEqual(alone)
  return under
}

const told = () => far.errors().map(({ error_type, message }) => [error_type, message])

hooked('python telltale.py runs a script as Python does: its name, file, arguments, path and exit code', async () => {
  const seen = ['__name__', '__file__', 'sys.argv', 'sys.path[0]', '__main__.__file__', '__spec__', '__annotations__']
  write('neighbour.py', ['word = "found"'])
  write('plain.py', [
    'import sys, __main__, pickle, neighbour',
    'class Thing: pass',
    `print(${seen.join(', ')}, neighbour.word, sorted(vars()))`,
    'print(type(pickle.loads(pickle.dumps(Thing()))))',
  ])
  expect((await same(['plain.py', 'a', '-b', '--service'])).out).toContain('found')
  write('leave.py', ['import atexit, sys', 'atexit.register(print, "bye")', 'sys.exit(int(sys.argv[1]))'])
  expect(await same(['leave.py', '3'])).toMatchObject({ code: 3, out: 'bye\n' })
  write('complain.py', ['import sys', 'sys.exit("sorry")'])
  expect(await same(['complain.py'])).toMatchObject({ code: 1, err: 'sorry\n' })
  write('pkg/__init__.py', [])
  write('pkg/__main__.py', ['import sys', 'print(__name__, __package__, __spec__.name, sys.argv, sys.path[0])'])
  expect((await same(['-m', 'pkg', 'x'])).out).toContain('__main__ pkg pkg.__main__')
  expect(told()).toEqual([])
})

hooked(
  'python telltale.py prints and ends as Python does when nobody catches an exception, and records it',
  async () => {
    write('boom.py', ['def fall():', '    raise ValueError("no floor")', 'fall()'])
    expect(await same(['boom.py'])).toMatchObject({ code: 1 })
    write('wrong.py', ['x = = 1'])
    expect(await same(['wrong.py'])).toMatchObject({ code: 1 })
    write('own.py', [
      'import sys, traceback',
      'sys.excepthook = lambda kind, error, stack: print("own", traceback.extract_tb(stack)[0].name)',
      'def fall(): raise ValueError("mine")',
      'fall()',
    ])
    expect(await same(['own.py'])).toMatchObject({ code: 1, out: 'own <module>\n' })
    write('stopped.py', ['raise KeyboardInterrupt'])
    await same(['stopped.py'])
    expect(await run([telltalePy, 'nowhere.py'])).toMatchObject({ code: 2 })
    expect(told()).toEqual([
      ['ValueError', 'no floor'],
      ['SyntaxError', expect.stringContaining('invalid syntax')],
    ])
    expect(far.errors()[0]?.traceback).toMatch(/^Traceback .*\n {2}File ".*boom\.py", line 3, in <module>/)
    expect(far.errors()[0]?.context).toEqual({ uncaught: true })
  },
)

hooked(
  'install() records what falls in threads, tasks and logs, once each, and changes nothing that is printed',
  async () => {
    write('ends.py', [
      'import asyncio, gc, logging, threading',
      'def worker(): raise RuntimeError("in a thread")',
      'thread = threading.Thread(target=worker, name="w1"); thread.start(); thread.join()',
      'async def bad(): raise KeyError("in a task")',
      'async def main():',
      '    task = asyncio.create_task(bad()); await asyncio.sleep(0.01); del task; gc.collect()',
      'asyncio.run(main())',
      'logging.basicConfig(level="DEBUG", format="%(levelname)s %(message)s %(funcName)s")',
      'log = logging.getLogger("shop")',
      'def sell():',
      '    try:',
      '        1 / 0',
      '    except ZeroDivisionError as error:',
      '        log.debug("hidden", exc_info=True)',
      '        log.error("again %s", 7, exc_info=error)',
      'sell()',
      'def complain(): log.error("plain %s", 7)',
      'complain()',
      'log.warning("nothing")',
    ])
    const { err } = await run([telltalePy, 'ends.py'])
    const alone = await run(['ends.py'])
    const steady = (text: string) => text.replace(/0x[0-9a-f]+|\(w1\)/g, '')
    expect(steady(err)).toBe(steady(alone.err))
    expect(told()).toEqual([
      ['RuntimeError', 'in a thread'],
      ['KeyError', "'in a task'"],
      ['ZeroDivisionError', 'division by zero'],
      ['LoggedError', 'plain 7'],
    ])
    expect(far.errors()[2]?.context).toEqual({ logged: 'hidden', logger: 'shop', level: 'DEBUG' })
    expect(far.errors()[3]?.traceback).toMatch(/ends\.py", line 17, in complain$/)
  },
)

hooked('install() is one reporter for the script that imports telltale, and may be called again', async () => {
  write('asks.py', [
    'import sys, telltale',
    'before = sys.excepthook, list(sys.meta_path)',
    'print(telltale.install(), (sys.excepthook, sys.meta_path) == before, sys.modules["telltale"] is telltale)',
    'with telltale.start_trace("tools/call mine", tool="mine"): pass',
  ])
  expect((await run([telltalePy, '--service', 'shop', 'asks.py'])).out).toBe('True True True\n')
  expect(far.spans()).toMatchObject([{ name: 'tools/call mine', tool: 'mine', outcome: 'ok' }])
  expect(far.batches[0]?.source.service).toBe('shop')
})

hooked('install() hooks classes of modules that are loaded before and after it, each only if it is there', async () => {
  const monitor = [
    'class ConnectionMonitor:',
    '    def record_event(self, connection_type, direction, script_name, function_name, data_size_bytes, **more):',
    '        return direction',
    'keep = ConnectionMonitor.record_event',
  ]
  write('early/connection_monitor.py', monitor)
  write('late/connection_monitor.py', [...monitor, 'origin = __spec__.loader.get_filename()'])
  write('odd/connection_monitor.py', ['ConnectionMonitor = "a text"'])
  write('odd/semaphores.py', ['class SemaphoreGuard: pass'])
  write('loads.py', [
    'from early.connection_monitor import ConnectionMonitor as Early',
    'import telltale; telltale.install()',
    'from late.connection_monitor import ConnectionMonitor as Late, origin',
    'import odd.connection_monitor, odd.semaphores',
    'print(Early().record_event("kimi", "send", "a.py", "f", 1), Late().record_event("glm", "error", "b.py", "g", 2))',
    'print(origin.endswith("connection_monitor.py"))',
  ])
  const { out, err } = await run(['loads.py'], { PYTHONPATH: pythonFolder })
  expect([out, err]).toEqual(['send error\nTrue\n', ''])
  const events = far.batches.flatMap(({ records }) => records.filter(({ type }) => type === 'event'))
  expect(events).toMatchObject([{ connection_type: 'kimi' }, { connection_type: 'glm' }])
})

hooked(
  'install() tells of an exception once, with its traceback, though monitor, log and block tell of it too',
  async () => {
    write('app/connection_monitor.py', [
      'class ConnectionMonitor:',
      '    def record_event(self, connection_type, direction, script_name, function_name, data_size_bytes, **more): pass',
    ])
    write('told.py', [
      'import logging, telltale',
      'telltale.install()',
      'from app.connection_monitor import ConnectionMonitor',
      'monitor = ConnectionMonitor()',
      'def save(): raise OSError("no space")',
      'try:',
      '    with telltale.start_trace("request"):',
      '        try: save()',
      '        except OSError as error:',
      '            facts = {"error_message": str(error), "error_type": "OSError"}',
      '            monitor.record_event("supabase", "error", "s.py", "save", 0, error="OSError: no space", metadata=facts)',
      '            logging.getLogger("app").error("Cannot save: %s", error)',
      '            raise',
      'except OSError: pass',
      'try: save()',
      'except OSError: logging.getLogger("app").error("Something else went wrong")',
      'monitor.record_event("redis", "error", "r.py", "ping", 0, error="no answer")',
    ])
    const { code } = await run(['told.py'], { PYTHONPATH: pythonFolder })
    expect(code).toBe(0)
    expect(told().sort()).toEqual([
      ['LoggedError', 'Something else went wrong'],
      ['OSError', 'no space'],
    ])
    const [error] = far.errors().filter(({ error_type }) => error_type === 'OSError')
    expect(error?.traceback).toMatch(/told\.py", line 5, in save/)
    expect(error?.context).toMatchObject({ connection_type: 'supabase', script_name: 's.py', function_name: 'save' })
    const events = far.batches.flatMap(({ records }) => records.filter(({ type }) => type === 'event'))
    expect(events).toMatchObject([
      { connection_type: 'supabase', error: null, metadata: { error_message: 'no space' } },
      { connection_type: 'redis', error: 'no answer' },
    ])
  },
)

hooked('install() hooks nothing when TELLTALE_DISABLED is set or no key is there', async () => {
  write('bare.py', [
    'import asyncio, logging, sys, telltale',
    'print(telltale.install(), sys.excepthook is sys.__excepthook__)',
    'print(any(finder.__module__ == "telltale" for finder in sys.meta_path if isinstance(finder, type)))',
    'print(hasattr(logging.Logger.handle, "_telltale_hook"))',
  ])
  for (const env of [{ TELLTALE_DISABLED: '1' }, { TELLTALE_INGEST_KEY: '' }]) {
    expect((await run([telltalePy, 'bare.py'], env)).out).toBe('False True\nFalse\nFalse\n')
  }
  expect(far.attempts).toEqual([])
})

hooked(
  'install() records each call of a provider once, streams included, and changes nothing of what is answered',
  async () => {
    const script = fileURLToPath(new URL('./hook_python/provider_script.py', import.meta.url))
    const { out, err } = await run([script], { PYTHONPATH: pythonFolder })
    expect([out, err]).toEqual(["four\n['one', 'two', 'caught', 'done']\n[1, 2]\n", ''])
    const calls = far.spans().filter(({ layer, kind }) => layer === 'api' && kind === 'work')
    expect(calls).toMatchObject([
      { name: 'chat kimi', provider: 'KIMI', model: 'kimi-2', tokens_in: 3, tokens_out: 1, bytes_in: 4, bytes_out: 4 },
      { model: 'kimi', outcome: 'ok', attributes: { 'telltale.chunk_count': 3 } },
      { model: 'kimi', outcome: 'ok', attributes: { 'telltale.chunk_count': 2 } },
    ])
    expect(far.errors()).toEqual([])
  },
)
