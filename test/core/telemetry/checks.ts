import type { Action } from '../../../src/core/action/http/http.ts';
import { deny } from '../../../src/core/decision/decision.ts';
import type { Decision } from '../../../src/core/decision/decision.ts';
import type { DecidedCheck } from '../../../src/core/decide/decided-check.ts';
import { placeOfCheck, traceCheck } from '../../../src/core/telemetry/spans/span.ts';
import type { CheckPlace, CheckTrace, Tracing } from '../../../src/core/telemetry/spans/span.ts';

/** The span that issued the token of every check here. */
export const issuance = { traceId: '1'.repeat(32), spanId: '1'.repeat(16) };

/** The span of the previous use. */
export const previousUse = { traceId: '2'.repeat(32), spanId: '2'.repeat(16) };

/** Envoy's span of the check, which Envoy did not sample. */
export const envoySpan = `00-${'3'.repeat(32)}-${'3'.repeat(16)}-00`;

/** What a check's span refers to, except its place. The application did sample. */
export const checkTrace: Omit<CheckTrace, 'place'> = {
  application: `00-${'4'.repeat(32)}-${'4'.repeat(16)}-01`,
  previousUse,
  startedMs: 2,
};

/** An allow. */
export const allow: Decision = { ...deny('internal', ''), kind: 'allow' as never, observed: null };

/** A decided check: the second use of a task token. */
export const judgementOf = (decision: Decision, mcp?: Action['mcp']): DecidedCheck =>
  ({
    decisionId: 'd-1',
    decision,
    policySet: 'sha-256:set',
    policyGeneration: 1,
    cache: 'hit',
    facts: {
      call: { method: 'GET', scheme: 'https', path: '/v1/payments', host: 'payments.acme.test', port: null },
      caller: { id: 'spiffe://acme.test/planner' },
      credential: {
        kind: 'task-token',
        taskId: 't-1',
        subject: 'spiffe://acme.test/planner',
        actors: [],
        intentHash: 'sha-256:intent',
        issuance,
        tokenId: 'a-secret-jti',
        useKey: 'use-key',
      },
      action: {
        id: 'payments.list',
        kind: 'http',
        isDecidedOnHeaders: false,
        template: '/v1/payments',
        endpoint: 'GET /v1/payments',
        ...(mcp === undefined ? {} : { mcp }),
      },
      task: undefined,
      use: 2,
      reuse: ['other-node', 'other-trace'],
      nowMs: 0,
    },
  }) as unknown as DecidedCheck;

/** Traces a check under Envoy's span; returns the place of its own span. */
export function traceUnderEnvoy(tracing: Tracing, judgement: DecidedCheck, on = checkTrace): CheckPlace {
  const place = placeOfCheck(tracing, envoySpan);
  traceCheck(tracing, judgement, { ...on, place });
  return place;
}
