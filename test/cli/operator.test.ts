import { describe, expect, it } from '@jest/globals';
import { operatorOf } from '../../src/cli/operator.ts';

describe('operatorOf', () => {
  it.each<[string, string | undefined, string | undefined, string]>([
    ['the account', undefined, undefined, 'operator root'],
    ['the caller of sudo', undefined, 'ada', 'operator ada (account root)'],
    ['a name', ' Ada Lovelace ', 'grace', 'operator Ada Lovelace (account root)'],
    ['the name of the account', 'root', undefined, 'operator root'],
    ['the account, if SUDO_USER is not a valid name', undefined, 'a\nb', 'operator root'],
  ])('names %s', (_name, by, sudo, operator) => {
    expect(operatorOf(by, { environment: { SUDO_USER: sudo }, account: 'root' })).toBe(operator);
  });

  it.each(['', '  ', 'a\nb', '\u202eada', 'x'.repeat(129)])('refuses %j', (by) => {
    expect(operatorOf(by, { environment: {}, account: 'root' })).toEqual({
      problem: 'must be a name of 1 to 128 printable characters',
    });
  });
});
