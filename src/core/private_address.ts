// Which addresses and names lead into a network of somebody's own, so that no destination of messages may be there. The
// ranges are those of the IANA registries of special purpose addresses (RFC 6890 and its updates).

type Range = { readonly network: bigint; readonly bits: number }

const v4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
].map((text) => rangeOf(text, 32))

/** Only 2000::/3 is the public internet; of it these are not. */
const v6 = ['2001::/23', '2001:db8::/32', '3fff::/20'].map((text) => rangeOf(text, 128))
const publicV6 = rangeOf('2000::/3', 128)
/** Addresses that carry one of the other kind inside: where it lies in them, counted from the left. */
const carriers = [
  { range: rangeOf('2002::/16', 128), shift: 80n },
  { range: rangeOf('64:ff9b::/96', 128), shift: 0n },
]
const metadata = ['169.254.0.0/16', 'fd00:ec2::/32', 'fe80::/10']

/** Whether an IP address, as text, is anything but one of the public internet. Text that is no address counts as private. */
export function isPrivateAddress(address: string): boolean {
  const four = bitsOfV4(address)
  if (four !== null) return v4.some((range) => isIn(four, range, 32))
  const six = bitsOfV6(address)
  if (six === null) return true
  const mapped = mappedIn(six)
  if (mapped !== null) return v4.some((range) => isIn(mapped, range, 32))
  return !isIn(six, publicV6, 128) || v6.some((range) => isIn(six, range, 128))
}

/** Whether it is link-local or of a cloud's metadata, which no setting allows. */
export function isMetadataAddress(address: string): boolean {
  const four = bitsOfV4(address) ?? mappedIn(bitsOfV6(address) ?? 0n)
  const six = bitsOfV6(address)
  return metadata.some((text) =>
    text.includes(':')
      ? six !== null && isIn(six, rangeOf(text, 128), 128)
      : four !== null && isIn(four, rangeOf(text, 32), 32),
  )
}

/** Whether a host is written as an address; without the brackets of a URL. */
export function isAddress(host: string): boolean {
  return bitsOfV4(host) !== null || bitsOfV6(host) !== null
}

/** Whether a name is one that only a network of somebody's own can resolve. */
export function isPrivateName(host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, '')
  return (
    !name.includes('.') ||
    /(?:^|\.)(?:localhost|local|localdomain|internal|intranet|lan|home|corp|private|arpa)$/.test(name)
  )
}

function mappedIn(six: bigint): bigint | null {
  // ::ffff:0:0/96, and the older ::/96, but for :: and ::1.
  if (six >> 32n === 0xffffn || (six >> 32n === 0n && six > 1n)) return six & 0xffff_ffffn
  for (const { range, shift } of carriers) if (isIn(six, range, 128)) return (six >> shift) & 0xffff_ffffn
  return null
}

function bitsOfV4(text: string): bigint | null {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number)
  if (parts === undefined || parts.some((part) => part > 255)) return null
  return parts.reduce((bits, part) => (bits << 8n) | BigInt(part), 0n)
}

function bitsOfV6(text: string): bigint | null {
  // A zone, fe80::1%eth0, names a link of this machine; the address stays what it is.
  const whole = text.replace(/%.*$/, '')
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(whole)
  const tail = dotted === null ? null : bitsOfV4(dotted[2] ?? '')
  if (dotted !== null && tail === null) return null
  const hex =
    dotted === null || tail === null
      ? whole
      : `${dotted[1]}${(tail >> 16n).toString(16)}:${(tail & 0xffffn).toString(16)}`
  const halves = hex.split('::')
  if (!hex.includes(':') || halves.length > 2) return null
  const groupsOf = (half: string | undefined) => (half === undefined || half === '' ? [] : half.split(':'))
  const [head, rest] = [groupsOf(halves[0]), groupsOf(halves[1])]
  const missing = 8 - head.length - rest.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  const groups = [...head, ...Array.from({ length: halves.length === 1 ? 0 : missing }, () => '0'), ...rest]
  if (groups.some((group) => !/^[0-9a-f]{1,4}$/i.test(group))) return null
  return groups.reduce((bits, group) => (bits << 16n) | BigInt(`0x${group}`), 0n)
}

function rangeOf(text: string, width: number): Range {
  const [address = '', bits = ''] = text.split('/')
  return { network: (width === 32 ? bitsOfV4(address) : bitsOfV6(address)) ?? 0n, bits: Number(bits) }
}

function isIn(address: bigint, { network, bits }: Range, width: number): boolean {
  const shift = BigInt(width - bits)
  return address >> shift === network >> shift
}
