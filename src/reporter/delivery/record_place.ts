const [quote, comma, opened, backslash, closed, openedObject, closedObject] = [34, 44, 91, 92, 93, 123, 125]
const stepBytes = 16 * 1024
const recordsKey = /^"records"\s*:\s*$/

/** Where the records of a batch lie in its JSON: the first begins at `begin`, each ends at one of `ends`. */
export type RecordPlaces = { readonly begin: number; readonly ends: readonly number[] }

/**
 * Finds the records in the bytes of a batch without reading them, step by step, since a batch may have a megabyte. Null
 * where it has no list of that name.
 */
export function* placeRecords(body: Uint8Array): Generator<void, RecordPlaces | null> {
  const ends: number[] = []
  let begin = -1
  let keyAt = 0
  let depth = 0
  let quoted = false
  for (let i = 0, breath = stepBytes; i < body.length; i++) {
    if (i >= breath) {
      breath = i + stepBytes
      yield
    }
    const byte = body[i]
    if (quoted) {
      if (byte === backslash) i++
      else if (byte === quote) quoted = false
    } else if (byte === quote) {
      quoted = true
      if (depth === 1) keyAt = i
    } else if (byte === comma) {
      if (begin >= 0 && depth === 2) ends.push(i)
    } else if (byte === opened || byte === openedObject) {
      depth++
      if (byte === opened && depth === 2 && isRecords(body.subarray(keyAt, i))) begin = i + 1
    } else if (byte === closed || byte === closedObject) {
      depth--
      if (begin < 0 || depth > 1) continue
      if (ends.length > 0 || !isBlank(body.subarray(begin, i))) ends.push(i)
      return { begin, ends }
    }
  }
  return null
}

function isRecords(key: Uint8Array): boolean {
  return key.length < 32 && recordsKey.test(Buffer.from(key).toString('latin1'))
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte <= 32)
}
