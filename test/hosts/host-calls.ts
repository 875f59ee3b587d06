import type { AgentReply, AgentCall } from '../../src/dev/agent.ts';
import { HOST } from './host-domain.ts';

/** Status and reason of an answer; the reason is null where the answer is none of Remit. */
export function statusAndReason({ status, body }: AgentReply): readonly [number, string | null] {
  try {
    const { reason } = JSON.parse(body);
    return [status, typeof reason === 'string' ? reason : null];
  } catch {
    return [status, null];
  }
}

/** A call of the tool server with a token. */
export const withToken = (token: string, call: Partial<AgentCall> = {}): AgentCall => ({
  host: HOST,
  path: '/v1/payments/p-1',
  ...call,
  headers: { ...call.headers, authorization: `Bearer ${token}` },
});
