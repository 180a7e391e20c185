// Before every test file: what is generated is the same in every run. TELLTALE_SEED=n looks elsewhere.
import fc from 'fast-check'

fc.configureGlobal({ seed: Number(process.env.TELLTALE_SEED ?? 1) })
