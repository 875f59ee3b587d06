import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Agent, AgentCall, AgentReply } from '../../src/dev/agent.ts';
import { DevDomain } from '../../src/dev/domain.ts';
import type { HostPort } from '../../src/tools/init/envoy-config.ts';
import type { RoutedServer } from '../../src/tools/init/server-routes.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import type { LineSink } from '../../src/core/telemetry/decision-log.ts';
import type { Ports } from '../../src/core/runtime/ports.ts';
import { withTimeForChecks } from '../dev/time-for-checks.ts';
import { tokenRequest } from '../../src/dev/issuer-request.ts';

/** The example policies. */
export const examples = resolve(import.meta.dirname, '../../cedar-policies');

/**
 * A trust domain with a real Envoy for one suite; throws where it cannot be started. Envoy waits 10 s for a check, so that a loaded machine
 * changes no answer.
 */
export async function startDomain(
  envoy: string,
  {
    envoyConfig = (text) => text,
    ...options
  }: {
    readonly folder: string;
    readonly log?: (line: string) => void;
    readonly stdout?: LineSink;
    readonly settings?: Readonly<Record<string, unknown>>;
    readonly policies?: string;
    readonly servers?: readonly RoutedServer[];
    readonly filesServer?: HostPort;
    readonly envoyConfig?: (shipped: string) => string;
    readonly collector?: HostPort;
    readonly environment?: Readonly<Record<string, string | undefined>>;
    readonly ports?: Ports;
  },
): Promise<DevDomain> {
  const started = await DevDomain.start({
    envoy,
    policies: examples,
    ports: systemPorts,
    environment: {},
    log: () => undefined,
    ...options,
    envoyConfig: (shipped) => envoyConfig(withTimeForChecks(shipped)),
  });
  if (!(started instanceof DevDomain)) throw new Error(started.problem);
  return started;
}

/** A temporary folder, deleted by `remove`. */
export async function scratchFolder(
  name: string,
): Promise<{ readonly folder: string; readonly remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), name));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** The declaration of an agent in these tests. */
export interface Declaration {
  readonly actions?: readonly string[];
  readonly purpose?: string;
  readonly constraints?: Readonly<Record<string, unknown>>;
  /** The server of the token. Default: payments. */
  readonly audience?: string;
}

/** Requests a token from the issuer. */
export function declare(agent: Agent, { stage }: DevDomain, declaration: Declaration = {}): Promise<AgentReply> {
  const { actions = ['payments.read', 'payments.create'], purpose = 'settle payment p-1', constraints } = declaration;
  const { audience = 'https://payments.acme.test' } = declaration;
  const request = tokenRequest(audience, { actions, purpose, constraints });
  return agent.call(stage.issuerPort, { host: stage.issuerHost, ...request });
}

/** A token with its task; throws where the issuer refuses. */
export async function mustDeclare(
  agent: Agent,
  domain: DevDomain,
  declaration: Declaration = {},
): Promise<{ readonly token: string; readonly taskId: string }> {
  const reply = await declare(agent, domain, declaration);
  const body = JSON.parse(reply.body);
  if (reply.status !== 200) throw new Error(`the issuer refused: ${reply.body}`);
  return { token: body.access_token, taskId: body.txn };
}

/** A call that makes a payment in EUR. */
export const payment = (amount: number) => ({
  method: 'POST',
  path: '/v1/payments',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ amount, currency: 'EUR' }),
});

/** Calls the payments server through Envoy; returns status and reason of the answer. */
export async function callPayments(
  agent: Agent,
  { stage }: DevDomain,
  {
    token,
    path = '/v1/payments/p-1',
    method = 'GET',
    headers = {},
    body,
  }: { readonly token: string } & Partial<Pick<AgentCall, 'path' | 'method' | 'headers' | 'body'>>,
): Promise<readonly [number, string | null]> {
  const reply = await agent.call(stage.envoyPort, {
    host: 'payments.acme.test',
    method,
    path,
    headers: { ...headers, authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body }),
  });
  return [reply.status, reply.status < 300 ? null : JSON.parse(reply.body).reason];
}
