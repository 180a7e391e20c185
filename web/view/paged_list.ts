import type { Page } from './answer.ts'

// A list that is read page by page and whose first page is read again as it grows.

/**
 * The first page asked again, and behind it what was loaded before. Where the two do not meet, only the first page. What
 * was loaded among the rows of the first page and is not there any more has gone.
 */
export function refreshedPage<Row>(
  loaded: Page<Row> | null,
  first: Page<Row>,
  idOf: (row: Row) => string,
  rowsMax: number,
): Page<Row> {
  if (loaded === null || first.next === null) return first
  const fresh = new Set(first.rows.map(idOf))
  const meeting = loaded.rows.findLastIndex((row) => fresh.has(idOf(row)))
  if (meeting < 0) return first
  const older = loaded.rows.slice(meeting + 1)
  return older.length === 0 ? first : { rows: [...first.rows, ...older].slice(0, rowsMax), next: loaded.next }
}

/** What was loaded, and the page after it. */
export function extendedPage<Row>(
  loaded: Page<Row>,
  page: Page<Row>,
  idOf: (row: Row) => string,
  rowsMax: number,
): Page<Row> {
  const known = new Set(loaded.rows.map(idOf))
  const rows = [...loaded.rows, ...page.rows.filter((row) => !known.has(idOf(row)))].slice(0, rowsMax)
  return { rows, next: rows.length >= rowsMax ? null : page.next }
}
