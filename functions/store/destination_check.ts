import { isAddress, isMetadataAddress, isPrivateAddress, isPrivateName } from '../../src/core/private_address.ts'

/** Where messages may go: to the public internet over TLS, or, with `allowsPrivate`, wherever but to link-local addresses. */
export type DestinationPolicy = {
  /** Whether an address, as text, must not be spoken to. */
  readonly isForbidden: (address: string) => boolean
  readonly allowsPlain: boolean
  readonly allowsPrivateNames: boolean
}

export function destinationPolicyOf(allowsPrivate: boolean): DestinationPolicy {
  return {
    isForbidden: allowsPrivate ? isMetadataAddress : isPrivateAddress,
    allowsPlain: allowsPrivate,
    allowsPrivateNames: allowsPrivate,
  }
}

/** Why an address must not be asked, as far as it tells itself; null where it may. Names are checked again once resolved. */
export function refusalOfUrl(
  url: URL,
  { isForbidden, allowsPlain, allowsPrivateNames }: DestinationPolicy,
): string | null {
  if (url.protocol !== 'https:' && !(allowsPlain && url.protocol === 'http:')) return 'it is not https'
  if (url.username !== '' || url.password !== '') return 'its address carries a password'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (isAddress(host)) return isForbidden(host) ? 'its address is private' : null
  if (/^metadata(?:\.|$)/i.test(host)) return 'its name is private'
  return !allowsPrivateNames && isPrivateName(host) ? 'its name is private' : null
}
