// Starts `telltale tap` alone, without the rest of the command line: node test/tap_fixture.ts tap --listen ... --target ...
import { Command } from 'commander'
import { registerTap } from '../src/cli/tap.ts'

const program = new Command('telltale')
registerTap(program)
await program.parseAsync()
