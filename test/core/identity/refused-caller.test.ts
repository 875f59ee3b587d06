import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import type { PeerFacts } from '../../../src/core/identity/caller.ts';
import { refusedCallerFrom } from '../../../src/core/identity/refused-caller.ts';
import { anyCharacter } from '../../builders/any-character.ts';

const evil = 'spiffe://evil.test/ns/agents/sa/planner';
const nobody: PeerFacts = { principal: '', certificate: '', xfcc: [] };

describe('refusedCallerFrom', () => {
  it.each<[string, 'peer' | 'xfcc', Partial<PeerFacts>, string | null]>([
    ['the principal', 'peer', { principal: evil }, evil],
    ['a principal that is not a SPIFFE ID', 'peer', { principal: 'CN=planner,O=evil' }, 'CN=planner,O=evil'],
    ['nothing', 'peer', {}, null],
    ['an untrusted header', 'peer', { xfcc: [`URI=${evil}`] }, null],
    [
      'the header, if it is trusted',
      'xfcc',
      { principal: 'spiffe://acme.test/hop', xfcc: [`By=spiffe://acme.test/hop;URI=${evil}`] },
      evil,
    ],
    [
      'the hop, if its header is none',
      'xfcc',
      { principal: 'spiffe://acme.test/hop', xfcc: ['"'] },
      'spiffe://acme.test/hop',
    ],
    [
      'the hop, if there are two headers',
      'xfcc',
      { principal: 'spiffe://acme.test/hop', xfcc: ['a', 'b'] },
      'spiffe://acme.test/hop',
    ],
    ['a certificate that cannot be read', 'peer', { certificate: '%' }, null],
    ['control characters, replaced', 'peer', { principal: 'a\u001b[31m"\\\n\u202eb' }, 'a?[31m????b'],
    ['a long id, truncated', 'peer', { principal: 'x'.repeat(600) }, `${'x'.repeat(512)}…`],
  ])('returns the id of %s', (_name, mode, shown, id) => {
    const refusedCaller = refusedCallerFrom({ ...nobody, ...shown }, { mode }, '10.0.0.7');
    expect(refusedCaller).toEqual(id === null ? null : { id, address: '10.0.0.7' });
  });

  it('is bounded in length and alphabet for any input', () => {
    const shown = fc.string({ unit: anyCharacter, maxLength: 2_000 });
    fc.assert(
      fc.property(fc.constantFrom('peer', 'xfcc'), shown, shown, shown, (mode, principal, certificate, header) => {
        const refusedCaller = refusedCallerFrom({ principal, certificate, xfcc: [header] }, { mode }, null);
        expect(refusedCaller?.id ?? '').toMatch(/^[ !#-[\]-~]{0,512}…?$/);
      }),
    );
  });
});
