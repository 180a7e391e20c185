// Starts `telltale wrap` or `telltale tap` alone, without the rest of the command line:
// node test/wrap_fixture.ts wrap -- CMD ARGS...
import { Command } from 'commander'
import { registerTap } from '../src/cli/tap.ts'
import { registerWrap } from '../src/cli/wrap.ts'

const program = new Command('telltale')
registerWrap(program)
registerTap(program)
await program.parseAsync()
