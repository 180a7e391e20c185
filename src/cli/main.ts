import { obeyLauncher } from './launcher_leash.ts'
import { runProgram } from './program.ts'

obeyLauncher()
process.exitCode = await runProgram(process.argv.slice(2))
