import { checkResponseBytes } from '../../src/sidecar/envoy/check/check-response.ts';
import { checkResponseFrom } from '../../src/sidecar/envoy/check/response.ts';

const decisionId = '0198f6c1-0000-7000-8000-000000000000';

/** The bytes of Remit's answer to an allowed call of the benchmark, with the ids or all labels as dynamic metadata. */
export const allowOf = (allowMetadata: 'ids' | 'all'): Buffer =>
  checkResponseFrom(
    {
      decision: { kind: 'allow', policyIds: [], observed: null },
      decisionId,
      taskId: decisionId,
      agent: 'spiffe://acme.test/ns/agents/sa/planner',
      action: 'files.read',
      resourceMetadataUrl: null,
      traceId: 'ab'.repeat(16),
      transactionToken: null,
      passing: [],
    },
    { helpUrl: null, allowMetadata },
  );

/** An allow that changes no header and has no metadata. */
export const emptyAllow: Buffer = checkResponseBytes({ kind: 'ok', headers: [], headersToRemove: [] }, []);
