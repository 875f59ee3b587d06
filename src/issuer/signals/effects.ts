import type { SignalName } from '../../task/cause.ts';

/**
 * What an event does to the tasks it is about.
 *
 * - `revoke` ends them, or revokes the one token where the subject is a token
 * - `suspend` stops them until they are resumed
 * - `ask` asks the policies again whether they may go on, and revokes those that may not
 * - `risk` sets the level that the policies read as `context.risk`: the level the event names, else high
 * - `attest` makes what the event says now attested by its transmitter (`context.attested`), for the policies to decide by
 * - `ignore` does nothing; the event is recorded
 */
export type SignalEffect = 'revoke' | 'suspend' | 'ask' | 'risk' | 'attest' | 'ignore';

/** The effect of every event, by its name. */
export type SignalEffects = Readonly<Record<SignalName, SignalEffect>>;

/** What events do unless the operator says otherwise: who has lost access ends, what has lost standing waits. */
export const defaultSignalEffects: SignalEffects = {
  'session-revoked': 'revoke',
  'credential-change': 'revoke',
  'token-claims-change': 'suspend',
  'assurance-level-change': 'suspend',
  'device-compliance-change': 'suspend',
  'risk-level-change': 'risk',
  'session-established': 'ignore',
  'session-presented': 'ignore',
  'account-disabled': 'revoke',
  'account-purged': 'revoke',
  'account-credential-change-required': 'suspend',
  'credential-compromise': 'revoke',
  'sessions-revoked': 'revoke',
  verification: 'ignore',
  'stream-updated': 'ignore',
};
