/** Sends a verification event, by which an operator tries a receiver of signals before it is needed. */
import { Agent } from 'node:https';
import type { Ports } from '../../../core/runtime/ports.ts';
import type { TokenKeys } from '../keys/signing-keys.ts';
import type { SignalReceiver } from './delivery.ts';
import { pushSet } from './push.ts';
import type { Pushed } from './push.ts';

const VERIFICATION_EVENT = 'https://schemas.openid.net/secevent/ssf/event-type/verification';

/** What sends a verification event. */
export interface VerificationServices {
  readonly keys: Pick<TokenKeys, 'problem' | 'current'>;
  /** The URL of the issuer. */
  readonly issuer: string;
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
}

/** What became of a verification event. */
export type VerifiedReceiver = Pushed & { readonly jti: string };

/**
 * Sends a verification event, signed and pushed as each signal is, and waits for the answer, at most 10 s. It is not queued, and tried once. Never
 * rejects.
 *
 * @param state what the receiver has asked to be sent, by which it recognises the event; `null` if it has not asked
 * @see OpenID Shared Signals Framework 1.0 section 8.1.4 (7.1.4 in earlier drafts)
 */
export async function verifyReceiver(
  receiver: Omit<SignalReceiver, 'events'>,
  { issuer, keys, ports }: VerificationServices,
  state: string | null,
): Promise<VerifiedReceiver> {
  const jti = Buffer.from(ports.randomBytes(16)).toString('base64url');
  const unsigned = keys.problem();
  if (unsigned !== null) return { jti, result: 'failed', detail: unsigned };
  const claims = {
    iss: issuer,
    aud: receiver.audience,
    iat: Math.floor(ports.nowMs() / 1_000),
    jti,
    // The stream is the receiver.
    sub_id: { format: 'opaque', id: receiver.name },
    events: { [VERIFICATION_EVENT]: state === null ? {} : { state } },
  };
  const token = await keys
    .current()
    .sign(claims, 'secevent+jwt')
    .catch(() => null);
  // Without the error of the key, which could quote it.
  if (token === null) return { jti, result: 'failed', detail: 'the event cannot be signed with the key of the issuer' };
  const agent = new Agent();
  try {
    return { jti, ...(await pushSet(token, receiver, { signal: new AbortController().signal, agent })) };
  } finally {
    agent.destroy();
  }
}
