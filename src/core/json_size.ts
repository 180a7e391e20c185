const encoder = new TextEncoder()

/** Bytes of the value as JSON in UTF-8. */
export function jsonBytesOf(value: unknown): number {
  return encoder.encode(JSON.stringify(value)).length
}
