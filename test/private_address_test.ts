import { expect, test } from 'vitest'
import { isAddress, isMetadataAddress, isPrivateAddress, isPrivateName } from '../src/core/private_address.ts'

const forbidden = [
  '0.0.0.0',
  '10.0.0.1',
  '10.255.255.255',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.192',
  '192.168.1.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '0:0:0:0:0:ffff:a9fe:a9fe',
  '::127.0.0.1',
  '64:ff9b::10.0.0.1',
  '2002:7f00:1::',
  'fe80::1',
  'fe80::1%eth0',
  'fc00::1',
  'fd00:ec2::254',
  'ff02::1',
  '2001:db8::1',
  '100::1',
  'not an address',
  '',
  '1.2.3',
  '1.2.3.256',
  ':::',
  '1::2::3',
]
const allowed = [
  '1.1.1.1',
  '8.8.8.8',
  '100.63.255.255',
  '100.128.0.1',
  '172.15.255.255',
  '172.32.0.1',
  '192.169.0.1',
  '169.253.255.255',
  '223.255.255.255',
  '2606:4700:4700::1111',
  '2a00:1450:4001:829::200e',
  '::ffff:8.8.8.8',
  '64:ff9b::8.8.8.8',
  '2002:808:808::1',
]

test.each(forbidden)('isPrivateAddress() forbids %s', (address) => expect(isPrivateAddress(address)).toBe(true))
test.each(allowed)('isPrivateAddress() allows %s', (address) => expect(isPrivateAddress(address)).toBe(false))

test('isPrivateAddress() knows every address of the ranges, and their neighbours', () => {
  for (let i = 0; i < 256; i++) {
    expect(isPrivateAddress(`172.${i}.9.9`), `172.${i}`).toBe(i >= 16 && i <= 31)
    expect(isPrivateAddress(`100.${i}.9.9`), `100.${i}`).toBe(i >= 64 && i <= 127)
    expect(isPrivateAddress(`${i}.9.9.9`), `${i}`).toBe([0, 10, 127].includes(i) || i >= 224)
  }
})

test('isMetadataAddress() forbids what no setting allows, and nothing else', () => {
  for (const address of ['169.254.169.254', '::ffff:169.254.169.254', 'fd00:ec2::254', 'fe80::1']) {
    expect(isMetadataAddress(address), address).toBe(true)
  }
  for (const address of ['127.0.0.1', '10.0.0.1', '::1', 'fd00::1', '8.8.8.8']) {
    expect(isMetadataAddress(address), address).toBe(false)
  }
})

test('isAddress() and isPrivateName() tell addresses from names, and names that lead nowhere public', () => {
  for (const address of ['1.2.3.4', '::1', 'fe80::1']) expect(isAddress(address)).toBe(true)
  for (const name of ['example.com', '1.2.3.4.example', 'localhost']) expect(isAddress(name)).toBe(false)
  for (const name of [
    'localhost',
    'LOCALHOST',
    'printer',
    'a.local',
    'metadata.google.internal',
    'x.localhost.',
    'db.lan',
  ]) {
    expect(isPrivateName(name), name).toBe(true)
  }
  for (const name of ['example.com', 'hooks.slack.com.', 'local.example', 'internal.example.org']) {
    expect(isPrivateName(name), name).toBe(false)
  }
})
