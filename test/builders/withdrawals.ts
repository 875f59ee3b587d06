import { randomUUID } from 'node:crypto';
import type { Agent, AgentReply } from '../../src/dev/agent.ts';
import { es256Key, jwksOf, signed } from './tokens.ts';

/** A task with its token. */
export interface Declared {
  readonly token: string;
  readonly taskId: string;
}

/** Where requests that take rights away are sent: an issuer, by its port. */
export interface Withdrawing {
  readonly agent: Agent;
  /** A workload of `issuer.operators`. */
  readonly operator: Agent;
  readonly port: number;
  readonly host: string;
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };
const TASK = { token_type_hint: 'urn:remit:task' };
export const IDP = 'https://idp.acme.test';
export const RECEIVER = 'https://issuer.acme.test/signals';
const idp = es256Key('idp');
/** The keys of the transmitter of these signals. */
export const idpJwks = jwksOf(idp);

const form = ({ agent, port, host }: Withdrawing, parameters: Readonly<Record<string, string>>): Promise<AgentReply> =>
  agent.call(port, {
    host,
    method: 'POST',
    path: '/oauth/revoke',
    headers: FORM,
    body: new URLSearchParams(parameters).toString(),
  });

const event =
  (name: string, by: 'agent' | 'operator' = 'agent'): Withdrawal['ask'] =>
  (at, { taskId }) =>
    at[by].call(at.port, { host: at.host, method: 'POST', path: `/tasks/${taskId}/${name}` });

const signal =
  (name: string, payload: object, iatSeconds: () => number = () => Date.now() / 1_000): Withdrawal['ask'] =>
  ({ agent, port, host }, { taskId }) => {
    const claims = {
      iss: IDP,
      aud: RECEIVER,
      iat: Math.floor(iatSeconds()),
      jti: randomUUID(),
      sub_id: { format: 'opaque', id: taskId },
      events: { [`https://schemas.openid.net/secevent/caep/event-type/${name}`]: payload },
    };
    const header = JSON.stringify({ typ: 'secevent+jwt', alg: idp.algorithm, kid: idp.keyId });
    const headers = { 'content-type': 'application/secevent+jwt' };
    const body = signed(idp, header, JSON.stringify(claims));
    return agent.call(port, { host, method: 'POST', path: '/signals', headers, body });
  };

/** A request that takes rights away, and the reason of every use after it. */
export interface Withdrawal {
  readonly name: string;
  readonly ask: (at: Withdrawing, task: Declared) => Promise<AgentReply>;
  /** What the answer says, besides its success. */
  readonly says: object;
  readonly reason: string;
}

const revoked = { revoked: true };

/** Each request of the issuer that takes rights away. */
export const withdrawals: readonly Withdrawal[] = [
  { name: 'revoke a token', ask: (at, { token }) => form(at, { token }), says: revoked, reason: 'token.revoked' },
  {
    name: 'revoke a task by its token',
    ask: (at, { token }) => form(at, { token, ...TASK }),
    says: revoked,
    reason: 'task.revoked',
  },
  {
    name: 'revoke a task by its id',
    ask: (at, { taskId }) => form(at, { token: taskId, ...TASK }),
    says: revoked,
    reason: 'task.revoked',
  },
  {
    name: 'revoke a refresh token',
    ask: (at, { taskId }) => form(at, { token: `remit-refresh-${taskId}` }),
    says: revoked,
    reason: 'task.revoked',
  },
  { name: 'suspend', ask: event('suspend'), says: { state: 'suspended' }, reason: 'task.suspended' },
  {
    name: 'suspend by an operator',
    ask: event('suspend', 'operator'),
    says: { state: 'suspended' },
    reason: 'task.suspended',
  },
  { name: 'cancel', ask: event('cancel'), says: { state: 'cancelled' }, reason: 'task.cancelled' },
  {
    name: 'cancel by an operator',
    ask: event('cancel', 'operator'),
    says: { state: 'cancelled' },
    reason: 'task.cancelled',
  },
  { name: 'complete', ask: event('complete'), says: { state: 'completed' }, reason: 'task.completed' },
  {
    name: 'a changed context',
    ask: ({ agent, port, host }, { taskId }) =>
      agent.call(port, {
        host,
        method: 'PUT',
        path: `/tasks/${taskId}/context`,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ context: { model: 'another' } }),
      }),
    says: { state: 'revoked' },
    reason: 'task.revoked',
  },
  { name: 'a signal that revokes', ask: signal('session-revoked', {}), says: {}, reason: 'task.revoked' },
  {
    name: 'a signal that suspends',
    ask: signal('token-claims-change', { claims: { role: 'none' } }),
    says: {},
    reason: 'task.suspended',
  },
];

/** What introspection says of a token. */
export async function introspected({ agent, port, host }: Withdrawing, { token }: Declared): Promise<unknown> {
  const body = new URLSearchParams({ token }).toString();
  const reply = await agent.call(port, { host, method: 'POST', path: '/oauth/introspect', headers: FORM, body });
  return JSON.parse(reply.body).active;
}
