import type { Check } from '../check.ts';
import type { Category } from '../codes.ts';
import { identity } from './identity.ts';
import { ledger } from './ledger.ts';
import { policies } from './policies.ts';
import type { RemitCheck } from './remit-check.ts';
import { issuer, lease, platform, telemetry, versions } from './roles.ts';
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
  of('issuer', issuer),
  of('policy', policies),
  of('ledger', ledger),
  of('lease', lease),
  of('telemetry', telemetry),
  of('version', versions),
  of('platform', platform),
];
