import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';

import { isDeny } from '../../../src/core/decision/decision.ts';
import { callerFrom, type IdentityRules, type PeerFacts } from '../../../src/core/identity/caller.ts';
import { leafCache } from '../../../src/core/identity/leaf-certificate.ts';
import { anyCharacter } from '../../builders/any-character.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';
import { NOW_MS } from './certificates.ts';
import {
  ACME,
  authority,
  GATEWAY,
  peerFacts,
  peerRules,
  PLANNER,
  planner,
  plannerElement,
  PROXY,
  spoofCorpus,
  THIEF,
  xfccFacts,
  xfccRules,
} from './spoof-corpus.ts';

const NOT_AFTER_MS = NOW_MS + 3_600_000;
const gateway = authority.issue({ uris: [GATEWAY] });

describe('callerFrom', () => {
  const unknown = { certificateSha256: null, certificateNotAfterMs: null };
  const hashed = { ...unknown, certificateSha256: planner.sha256 };
  const whole = { ...hashed, certificateNotAfterMs: NOT_AFTER_MS };

  it.each<[string, Partial<PeerFacts>, Partial<IdentityRules>, object]>([
    ['principal and certificate', {}, {}, whole],
    ['principal alone', { certificate: '' }, {}, unknown],
    ['a cached leaf', {}, { leafFrom: leafCache(1) }, whole],
    ['an xfcc that agrees', { xfcc: [plannerElement] }, {}, whole],
    ['an xfcc without the peer', { xfcc: [`By=${PROXY}`] }, {}, whole],
    ['an xfcc that agrees to the right', { xfcc: [`URI=${THIEF},URI=${PLANNER}`] }, {}, whole],
  ])('accepts in `peer` mode %s', (_, facts, rules, certificate) => {
    expect(callerFrom({ ...peerFacts, ...facts }, { ...peerRules, ...rules }, NOW_MS)).toEqual({
      id: PLANNER,
      trustDomain: ACME,
      source: 'peer',
      ...certificate,
    });
  });

  it.each<[string, Partial<PeerFacts>, object]>([
    ['the element of the pinned proxy', {}, hashed],
    ['an element without a hash', { xfcc: [`By=${PROXY};URI=${PLANNER}`] }, unknown],
    [
      'the rightmost element, whatever is left of it',
      { xfcc: [`By=${GATEWAY};URI=${THIEF},${plannerElement}`] },
      hashed,
    ],
    ['the claim of a forwarder', { principal: GATEWAY, certificate: gateway.urlEncodedPem }, hashed],
    ['the claim of a forwarder without its certificate', { principal: GATEWAY }, hashed],
    ['a principal that agrees', { principal: PLANNER }, hashed],
    ['a principal and certificate that agree', { principal: PLANNER, certificate: planner.urlEncodedPem }, whole],
  ])('accepts in `xfcc` mode %s', (_, facts, certificate) => {
    expect(callerFrom({ ...xfccFacts, ...facts }, xfccRules, NOW_MS)).toEqual({
      id: PLANNER,
      trustDomain: ACME,
      source: 'xfcc',
      ...certificate,
    });
  });

  it.each(spoofCorpus.map((spoof) => [spoof.rules.mode, spoof.attack, spoof] as const))(
    'denies in `%s` mode %s',
    (_mode, _attack, { facts, rules, reason, detail }) => {
      expect(callerFrom(facts, rules, NOW_MS)).toMatchObject({ kind: 'deny', reason, detail });
    },
  );

  it('denies every header in `xfcc` mode without a pinned proxy', () => {
    expect(callerFrom(xfccFacts, { ...xfccRules, proxyIds: [] }, NOW_MS)).toMatchObject({
      kind: 'deny',
      reason: 'identity.invalid',
      detail: '`By` of xfcc must be the pinned proxy, exactly once',
    });
  });

  // Issue 39, point 7: the tools of a namespace run as several service accounts, each with an Envoy of its own.
  it('takes the header of each pinned proxy in `xfcc` mode, and no other', () => {
    const other = mustSpiffeId('spiffe://acme.test/ns/mesh/sa/other');
    const rules = { ...xfccRules, proxyIds: [PROXY, other] };
    const by = (...proxies: readonly string[]) =>
      callerFrom(
        { ...xfccFacts, xfcc: [proxies.map((proxy) => `By=${proxy};URI=${PLANNER}`).join(',')] },
        rules,
        NOW_MS,
      );
    expect([by(PROXY), by(other)]).toMatchObject([{ id: PLANNER }, { id: PLANNER }]);
    expect(by('spiffe://acme.test/ns/mesh/sa/third')).toMatchObject({ reason: 'identity.invalid' });
    // A name of a certificate that adds the element of another pinned proxy after that of the real one.
    const detail = '`By` of xfcc must be the pinned proxy in the last element alone';
    expect([by(PROXY, other), by(other, PROXY)]).toMatchObject([{ detail }, { detail }]);
  });

  it('checks the validity of a cached leaf on each use', () => {
    const rules = { ...peerRules, leafFrom: leafCache(1) };
    const detail = 'the peer certificate has expired';
    expect(callerFrom(peerFacts, rules, NOT_AFTER_MS)).toMatchObject({ id: PLANNER });
    expect(callerFrom(peerFacts, rules, NOT_AFTER_MS + 1)).toMatchObject({ reason: 'identity.invalid', detail });
    expect(callerFrom(peerFacts, rules, Number.NaN)).toMatchObject({ kind: 'deny', reason: 'identity.invalid' });
  });

  it('reads no other caller from a header with one changed character, except in the name', () => {
    const characters = '\0\n\x7f !"#%&\'()*+,-./:;<=>?@[\\]^_`{|}~09AZaz'.split('');
    const offences: string[] = [];
    for (const header of [plannerElement, `By=${GATEWAY};URI=${THIEF},${plannerElement}`]) {
      for (let at = 0; at <= header.length; at += 1) {
        const changed = ['', ...characters].flatMap((character) => [
          header.slice(0, at) + character + header.slice(at),
          header.slice(0, at) + character + header.slice(at + 1),
        ]);
        for (const value of changed) {
          const caller = callerFrom({ ...xfccFacts, xfcc: [value] }, xfccRules, NOW_MS);
          if (isDeny(caller) || caller.id === PLANNER) continue;
          if (value !== header.replace(`URI=${PLANNER}`, `URI=${caller.id}`)) offences.push(value);
        }
      }
    }
    expect(offences).toEqual([]);
  });

  it('never throws, and accepts only callers by the rules', () => {
    const text = fc.oneof(
      fc.constantFrom('', PLANNER, THIEF, GATEWAY, plannerElement),
      fc.string({ unit: anyCharacter }),
    );
    const facts = fc.record<PeerFacts>({
      principal: text,
      certificate: fc.oneof(fc.constant(planner.urlEncodedPem), text),
      xfcc: fc.array(text, { maxLength: 2 }),
    });
    fc.assert(
      fc.property(facts, fc.constantFrom(peerRules, xfccRules), (facts, rules) => {
        const caller = callerFrom(facts, rules, NOW_MS);
        if (isDeny(caller)) return;
        expect(caller.source).toBe(rules.mode);
        if (rules.mode === 'peer') expect(caller.id).toBe(facts.principal);
        else expect([caller.id, facts.xfcc[0]]).toEqual([PLANNER, expect.stringContaining(PLANNER)]);
        // The certificate is the planner's alone.
        const isPlanners = facts.certificate === planner.urlEncodedPem && rules.mode === 'peer';
        expect(isPlanners ? caller.id : PLANNER).toBe(PLANNER);
      }),
      { numRuns: 1000 },
    );
  });
});
