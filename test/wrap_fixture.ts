// Starts `telltale wrap` alone, without the rest of the command line: node test/wrap_fixture.ts wrap -- CMD ARGS...
import { Command } from 'commander'
import { registerWrap } from '../src/cli/wrap.ts'

const program = new Command('telltale')
registerWrap(program)
await program.parseAsync()
