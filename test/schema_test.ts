import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { testDatabases } from './postgres_fixture.ts'
import { schemaPath, schemaTextOf } from './schema_fixture.ts'

for (const { name, open, reason } of testDatabases) {
  describe.skipIf(reason !== null)(name, () => {
    test('schema.sql is what the migrations leave; if it should change: node test/schema_fixture.ts', async () => {
      const database = await open()
      try {
        expect(await schemaTextOf(database)).toBe(readFileSync(schemaPath, 'utf8'))
      } finally {
        await database.close()
      }
    })
  })
}
