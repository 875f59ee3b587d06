import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { KEYS_UNAVAILABLE, securityEventFrom } from '../../../src/issuer/signals/set.ts';
import { isSignalError } from '../../../src/issuer/signals/signal-error.ts';
import { subject } from '../../../src/issuer/signals/subject.ts';
import { eventTypes } from '../../../src/issuer/signals/event.ts';
import { defaultSignalEffects } from '../../../src/issuer/signals/effects.ts';
import { signed } from '../../builders/tokens.ts';
import { es, eventUri, setOf, signalServices, soundSet, transmitterIssuer } from './transmitter.ts';

const rules = signalServices();
const header = JSON.stringify({ typ: 'secevent+jwt', alg: 'ES256', kid: es.keyId });

describe('securityEventFrom', () => {
  it('returns transmitter, token, subject and event', async () => {
    expect(securityEventFrom(setOf({ jti: 'one' }), rules, Date.now())).toEqual({
      transmitter: rules.transmitters.get(transmitterIssuer),
      tokenId: 'one',
      issuedAtSeconds: expect.any(Number),
      subject: {
        format: 'iss_sub',
        members: [{ role: 'self', is: { format: 'iss_sub', issuer: transmitterIssuer, subject: 'alice' } }],
      },
      uri: eventUri('session-revoked'),
      known: {
        type: eventTypes.get(eventUri('session-revoked')),
        meaning: { isAdverse: true, risk: null, attests: {} },
      },
    });
  });

  it('returns an event or a refusal for any signed JSON, and never throws', async () => {
    const claim = fc.oneof(fc.jsonValue(), fc.constantFrom(...Object.values(soundSet())));
    const claims = fc.oneof(
      fc.jsonValue(),
      fc.record({ sub_id: claim, events: claim, aud: claim, iat: claim, jti: claim }, { requiredKeys: [] }),
    );
    await fc.assert(
      fc.asyncProperty(claims, async (value) => {
        const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value);
        const payload = JSON.stringify(isRecord ? { ...soundSet(), ...value } : value);
        const result = securityEventFrom(signed(es, header, payload), rules, Date.now());
        expect(result === KEYS_UNAVAILABLE || isSignalError(result) || 'transmitter' in result).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('refuses any text that is not a token', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), async (text) => {
        expect(isSignalError(securityEventFrom(text, rules, Date.now()))).toBe(true);
      }),
    );
  });
});

describe('subject', () => {
  it('returns a subject with at least one member or a problem for any JSON, and never throws', () => {
    const member = fc.record(
      {
        format: fc.constantFrom('jwt_id', 'opaque', 'uri', 'iss_sub', 'email', 'complex', '__proto__', 'constructor'),
        id: fc.jsonValue(),
        iss: fc.jsonValue(),
        sub: fc.string(),
        jti: fc.string(),
        uri: fc.string(),
        email: fc.string(),
        user: fc.jsonValue(),
        problem: fc.jsonValue(),
      },
      { requiredKeys: ['format'] },
    );
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), member), (value) => {
        const read = subject(value);
        expect('problem' in read || read.members.length > 0).toBe(true);
      }),
    );
  });
});

describe('eventTypes', () => {
  it('returns a meaning or a problem for any JSON, and never throws', () => {
    fc.assert(
      fc.property(fc.constantFrom(...eventTypes.values()), fc.jsonValue(), ({ meaning }, value) => {
        const read = meaning(value);
        expect('problem' in read || typeof read.isAdverse === 'boolean').toBe(true);
      }),
    );
  });

  it('has a default effect for each', () => {
    expect([...eventTypes.values()].map(({ name }) => name).toSorted()).toEqual(
      Object.keys(defaultSignalEffects).toSorted(),
    );
  });
});
