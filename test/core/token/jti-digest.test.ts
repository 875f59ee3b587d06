import { describe, expect, it } from '@jest/globals';
import { jtiDigestOf } from '../../../src/core/token/jti-digest.ts';

describe('jtiDigestOf', () => {
  it('is the base64url SHA-256', () => {
    expect(jtiDigestOf('abc')).toBe('ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0');
  });
});
