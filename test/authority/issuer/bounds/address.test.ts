import { describe, expect, it } from '@jest/globals';
import { clientAddressOf } from '../../../../src/authority/issuer/bounds/address.ts';

describe('clientAddressOf', () => {
  it.each<[string | undefined, string]>([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:db8::6', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
    [undefined, 'unknown'],
  ])('counts %s at %s', (address, counted) => {
    expect(clientAddressOf(address)).toBe(counted);
  });
});
