import type { SignalName } from '../../../core/task/cause.ts';

/**
 * The effect of an event on the tasks it is about:
 *
 * - `revoke` ends them, or revokes only the token if the subject is a token
 * - `suspend` suspends them until they are resumed
 * - `ask` asks the policies again and revokes the tasks that they refuse
 * - `risk` sets `context.risk` of policies to the level of the event, or to high if it has none
 * - `attest` adds the event's values to `context.attested`, attested by its transmitter
 * - `stop-agent` and `stop-user` stop the agent or the user that it names, or whose token or task it names (`stop-subject.ts`)
 * - `ignore` only records the event
 */
export type SignalEffect = 'revoke' | 'suspend' | 'ask' | 'risk' | 'attest' | StopEffect | 'ignore';

/** An effect on more than the tasks that an event is about. */
export type StopEffect = 'stop-agent' | 'stop-user';

/** Whether an effect is a stop. */
export const isStopEffect = (effect: SignalEffect): effect is StopEffect =>
  effect === 'stop-agent' || effect === 'stop-user';

/** The effect of every event, by its name. */
export type SignalEffects = Readonly<Record<SignalName, SignalEffect>>;

/** Default effects: loss of access revokes, reduced trust suspends. */
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
