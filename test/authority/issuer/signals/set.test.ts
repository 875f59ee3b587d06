import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { KEYS_UNAVAILABLE, securityEventFrom } from '../../../../src/authority/issuer/signals/set.ts';
import { isSignalError } from '../../../../src/authority/issuer/signals/signal-error.ts';
import { subject } from '../../../../src/authority/issuer/signals/subject.ts';
import { eventTypes } from '../../../../src/authority/issuer/signals/event.ts';
import { defaultSignalEffects } from '../../../../src/authority/issuer/signals/effects.ts';
import { signed } from '../../../builders/tokens.ts';
import { es, eventUri, setOf, signalServices, soundSet, transmitterIssuer } from './transmitter.ts';

const rules = signalServices();
const clocks = () => ({ nowMs: Date.now(), floorMs: Date.now() });
const header = JSON.stringify({ typ: 'secevent+jwt', alg: 'ES256', kid: es.keyId });

describe('securityEventFrom', () => {
  it('returns transmitter, token, subject and event', async () => {
    expect(securityEventFrom(setOf({ jti: 'one' }), rules, clocks())).toEqual({
      transmitter: rules.transmitters.get(transmitterIssuer),
      tokenId: 'one',
      issuedAtSeconds: expect.any(Number),
      subject: {
        format: 'iss_sub',
        members: [{ role: 'self', is: { format: 'iss_sub', issuer: transmitterIssuer, subject: 'alice' } }],
      },
      uri: eventUri('session-revoked'),
      isAhead: false,
      known: {
        type: eventTypes.get(eventUri('session-revoked')),
        meaning: { isAdverse: true, risk: null, attests: {} },
      },
    });
  });

  const hourAhead = { iat: Math.floor(Date.now() / 1_000) + 3_600 };
  it.each<[string, Readonly<Record<string, unknown>>]>([
    ['session-revoked', {}],
    ['risk-level-change', { principal: 'USER', current_level: 'MEDIUM' }],
  ])('takes %s from an hour ahead, since the clock here may be behind', (name, payload) => {
    const set = setOf({ ...hourAhead, events: { [eventUri(name)]: payload } });
    expect(securityEventFrom(set, rules, clocks())).toMatchObject({ isAhead: true });
  });

  it.each<[string, Readonly<Record<string, unknown>>]>([
    ['session-established', {}],
    ['risk-level-change', { principal: 'USER', current_level: 'LOW' }],
    ['device-compliance-change', { previous_status: 'not-compliant', current_status: 'compliant' }],
  ])('refuses %s from an hour ahead, which takes nothing away', (name, payload) => {
    const set = setOf({ ...hourAhead, events: { [eventUri(name)]: payload } });
    expect(securityEventFrom(set, rules, clocks())).toMatchObject({
      err: 'invalid_request',
      description: 'claim `iat` is in the future',
    });
  });

  it('judges the age of an event by the floor, not by a wall clock that is ahead', () => {
    const nowMs = Date.now();
    const set = setOf({ iat: Math.floor(nowMs / 1_000) - 3_600 });
    const short = { ...rules, maxAgeSeconds: 3_700 };
    expect(securityEventFrom(set, short, { nowMs: nowMs + 3_600_000, floorMs: nowMs })).toHaveProperty('tokenId');
    expect(securityEventFrom(set, short, { nowMs, floorMs: nowMs + 3_600_000 })).toHaveProperty('err');
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
        const result = securityEventFrom(signed(es, header, payload), rules, clocks());
        expect(result === KEYS_UNAVAILABLE || isSignalError(result) || 'transmitter' in result).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('refuses any text that is not a token', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), async (text) => {
        expect(isSignalError(securityEventFrom(text, rules, clocks()))).toBe(true);
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
