import { randomUUID } from 'node:crypto';
import type { SpiffeId } from '../../../../src/core/identity/spiffe-id.ts';
import { defaultSignalEffects, type SignalEffects } from '../../../../src/authority/issuer/signals/effects.ts';
import type { SignalServices } from '../../../../src/authority/issuer/signals/signal-services.ts';
import { SignalsUnderWay } from '../../../../src/authority/issuer/signals/under-way.ts';
import { jtiDigestOf } from '../../../../src/core/token/jti-digest.ts';
import type { Store } from '../../../../src/core/state/store.ts';
import { stateAt, type Task } from '../../../../src/core/task/task.ts';
import { KeyRing } from '../../../../src/core/token/jose/keys.ts';
import { taskNumber, tokenNumber } from '../../../builders/task.ts';
import { es256Key, jwksOf, rs256Key, signed, type TestKey } from '../../../builders/tokens.ts';
import { type Answer, type Bench, issuerUrl } from '../bench.ts';
import { must, mustFind } from '../../../builders/must.ts';
import { stillPorts } from '../../../builders/still-ports.ts';

export const transmitterIssuer = 'https://idp.acme.test';
export const receiver = 'https://issuer.acme.test/signals';

export const es = es256Key('idp-es');
export const rs = rs256Key('idp-rs');

/** The URI of an event by name. */
export const eventUri = (name: string, family: 'caep' | 'risc' | 'ssf' = 'caep'): string =>
  `https://schemas.openid.net/secevent/${family}/event-type/${name}`;

/** Signal services with one transmitter with two keys, and `https://lost.test`, whose keys are not available. */
export const signalServices = (effects: Partial<SignalEffects> = {}): SignalServices => {
  const keys = new KeyRing(
    [
      {
        issuer: transmitterIssuer,
        kind: 'external',
        algorithms: ['ES256', 'RS256'],
        source: { kind: 'static', jwks: jwksOf(es, rs) },
      },
      {
        issuer: 'https://lost.test',
        kind: 'external',
        algorithms: ['ES256'],
        source: { kind: 'remote', fetch: () => Promise.reject(new Error('down')) },
      },
    ],
    {
      ports: stillPorts,
      after: () => () => undefined,
      onProblem: () => undefined,
    },
  );
  const transmitters = [transmitterIssuer, 'https://lost.test'].map(
    (issuer) => [issuer, { issuer, audience: receiver, subjectIssuers: new Set([issuer]) }] as const,
  );
  return {
    transmitters: new Map(transmitters),
    keys,
    maxAgeSeconds: 86_400,
    clockSkewSeconds: 60,
    stopMinutes: null,
    effects: { ...defaultSignalEffects, ...effects },
    underWay: new SignalsUnderWay(),
  };
};

export type Members = Readonly<Record<string, unknown>>;

/** The claims of a valid token: a session of alice was revoked. */
export const soundSet = (): Members => ({
  iss: transmitterIssuer,
  aud: receiver,
  iat: Math.floor(Date.now() / 1_000),
  jti: randomUUID(),
  sub_id: { format: 'iss_sub', iss: transmitterIssuer, sub: 'alice' },
  events: { [eventUri('session-revoked')]: {} },
});

/** A signed valid token with changed claims and header members; `undefined` omits one. */
export const setOf = (claims: Members = {}, header: Members = {}, key: TestKey = es): string =>
  signed(
    key,
    JSON.stringify({ typ: 'secevent+jwt', alg: key.algorithm, kid: key.keyId, ...header }),
    JSON.stringify({ ...soundSet(), ...claims }),
  );

export const setHeaders = { 'content-type': 'application/secevent+jwt' };

export const push = (
  bench: Bench,
  body: string,
  headers: Readonly<Record<string, string>> = setHeaders,
): Promise<Answer> => bench.ask('/signals', { method: 'POST', body, headers });

let number = 0;

/** A new committed task with one token. */
export function newTask(store: Store, change: Partial<Task> = {}): { readonly task: Task; readonly tokenId: string } {
  number += 1;
  const nowMs = store.nowMs();
  const task = taskNumber(number, {
    issuer: issuerUrl,
    createdAtMs: nowMs,
    lastUsedMs: nowMs,
    deadlineMs: nowMs + 900_000,
    agent: 'spiffe://acme.test/ns/agents/sa/planner' as SpiffeId,
    detailsJson: JSON.stringify([
      { type: 'urn:remit:task', locations: ['https://payments.acme.test'], actions: ['payments.read'] },
    ]),
    ...change,
  });
  const tokenId = `token-${number}-0123456789`;
  must(
    store.insertTask(
      task,
      { ...tokenNumber(number), jtiDigest: jtiDigestOf(tokenId), expiresAtMs: nowMs + 300_000 },
      [],
    ),
  );
  return { task, tokenId };
}

/** The stored task. */
export function taskNow(store: Store, { id }: Pick<Task, 'id'>): Task {
  const task = mustFind(store.taskOf(issuerUrl, id));
  return { ...task, state: stateAt(task, store.nowMs()) };
}

/** The records of a task as JSON, oldest first. */
export function recordsOf(store: Store, taskId: string): readonly Members[] {
  const records = must(store.recordsOf(taskId, 100));
  return records.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()) as Members);
}
