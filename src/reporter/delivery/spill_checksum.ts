import * as zlib from 'node:zlib'

const table = tableOf(0xedb88320)

/** CRC-32 as in zlib (IEEE 802.3, reflected), an unsigned number. Node's own where it has one (20.15, 22.2). */
export const crc32: (bytes: Uint8Array) => number = typeof zlib.crc32 === 'function' ? zlib.crc32 : crc32ByTable

/** The same by a table, a byte at a time: for Node 20.0 to 20.14. */
export function crc32ByTable(bytes: Uint8Array): number {
  let rest = 0xffffffff
  for (let at = 0; at < bytes.length; at++) {
    rest = (table[(rest ^ (bytes[at] as number)) & 0xff] as number) ^ (rest >>> 8)
  }
  return (rest ^ 0xffffffff) >>> 0
}

function tableOf(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let rest = byte
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? polynomial ^ (rest >>> 1) : rest >>> 1
    return rest >>> 0
  })
}
