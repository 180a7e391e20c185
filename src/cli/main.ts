import { runProgram } from './program.ts'

const stopMsMax = 10_000

// The launcher that runs us (bin/relaunch.mjs) holds the other end of an IPC channel. When it is killed outright, it
// cannot pass a signal on; the channel closes, and we stop as if told to.
if (process.channel) {
  process.once('disconnect', () => {
    if (!process.emit('SIGTERM', 'SIGTERM')) process.exit(143)
    setTimeout(() => process.exit(143), stopMsMax).unref()
  })
  process.channel.unref()
}

process.exitCode = await runProgram(process.argv.slice(2))
