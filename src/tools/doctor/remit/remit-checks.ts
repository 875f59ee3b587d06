import type { Check } from '../check.ts';
import type { Category } from '../codes.ts';
import { identity } from './identity.ts';
import { ledger } from './ledger.ts';
import { policies } from './policies.ts';
import type { RemitCheck } from './remit-check.ts';
import { issuer, lease, platform, telemetry, versions } from './roles.ts';
import {
  adminAddress,
  issuerSettings,
  openPermits,
  policyAccess,
  sealedState,
  stateAccess,
  stolenTokens,
} from './settings.ts';
import { sockets } from './sockets.ts';

const of = (category: Category, { title, run }: RemitCheck): Check => ({
  category,
  title,
  run: ({ remit }) => (remit === null ? null : run(remit)),
});

/** The checks of a Remit, in the order of the report. */
export const remitChecks: readonly Check[] = [
  of('socket', sockets),
  of('identity', identity),
  of('identity', stolenTokens),
  of('issuer', issuer),
  of('issuer', issuerSettings),
  of('policy', policies),
  of('policy', policyAccess),
  of('policy', openPermits),
  of('ledger', ledger),
  of('ledger', stateAccess),
  of('ledger', sealedState),
  of('lease', lease),
  of('telemetry', telemetry),
  of('version', versions),
  of('platform', platform),
  of('platform', adminAddress),
];
