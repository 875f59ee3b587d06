import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { oauthError } from '../../../src/authority/issuer/oauth-error.ts';
import { anyCharacter } from '../../builders/any-character.ts';

describe('oauthError', () => {
  it('makes every description conform to RFC 6749 section 5.2, with at most 300 characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter, maxLength: 1_000 }), (text) => {
        expect(oauthError('invalid_request', text).description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]{0,300}$/);
      }),
    );
  });
});
