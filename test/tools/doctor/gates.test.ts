import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { LOST_COMMITS } from '../../../src/core/fleet/fleet-report.ts';
import { CATEGORIES, isOfRemit } from '../../../src/tools/doctor/codes.ts';
import { NO_FACTS } from '../../../src/tools/doctor/facts.ts';
import { unmetGates } from '../../../src/tools/doctor/remit/gates.ts';
import { remitChecks } from '../../../src/tools/doctor/remit/remit-checks.ts';
import type { LiveRemit } from '../../../src/tools/doctor/remit/remit-facts.ts';

const served = ['gates.ts', 'policy-gate.ts'].map((file) =>
  readFileSync(resolve(import.meta.dirname, '../../../src/serve', file), 'utf8'),
);
/** The names of all gates of `/readyz`. */
const GATES = [...served.join('\n').matchAll(/\bname: '([a-z-]+)'/g)]
  .flatMap(([, name = '']) => name)
  .concat(LOST_COMMITS);

const liveWith = (...unmet: LiveRemit['unmet']): LiveRemit => ({
  admin: '127.0.0.1:9471',
  unmet,
  samples: new Map(),
  trialGroups: 0,
  fleet: null,
});

/** The codes of all checks of a Remit with this unmet gate, and without `/fleet`. */
const codesAt = (gate: string): readonly string[] => {
  const remit = { live: liveWith([gate, 'why']), host: null, nowMs: 0, version: '0.1.0' };
  return remitChecks
    .flatMap(({ run }) => run({ ...NO_FACTS, remit }) ?? [])
    .flatMap(({ code, where }) => (where.startsWith('gate/') ? [code] : []));
};

describe('unmetGates', () => {
  it('are those of `/readyz`', () => {
    expect(GATES.toSorted()).toEqual([
      'authority',
      'database',
      'database-lost-commits',
      'drain',
      'keys',
      'lease',
      'ledger',
      'mesh',
      'policies',
      'position',
      'records',
      'signing-key',
      'state',
      'svid',
    ]);
  });

  it.each(GATES)('finds `%s` once, in the check of its category, and knows it', (gate) => {
    const [code = '', ...others] = codesAt(gate);
    expect(others).toEqual([]);
    expect(code).not.toBe('platform.not-ready');
    expect(isOfRemit(CATEGORIES.find((category) => code.startsWith(`${category}.`)) ?? 'envoy')).toBe(true);
  });

  it.each(['', 'a-later-gate', 'constructor', '__proto__', 'Keys', ' keys'])(
    'takes `%s` for a gate that is not known',
    (gate) => {
      expect(codesAt(gate)).toEqual(['platform.not-ready']);
    },
  );

  it('names the gate and what is missing, and what to do', () => {
    expect(unmetGates(liveWith(['keys', 'no keys of `https://iam.acme.test`']), 'issuer')).toEqual([
      {
        code: 'issuer.keys-missing',
        where: 'gate/keys',
        message: 'Remit is not ready: no keys of `https://iam.acme.test`',
        fix: expect.stringContaining('`acceptedIssuers`'),
      },
    ]);
    expect(unmetGates(liveWith(['keys', 'x']), 'ledger')).toEqual([]);
    expect(unmetGates(liveWith(), 'issuer')).toEqual([]);
  });
});
