import { describe, expect, it } from '@jest/globals';
import { deny } from '../../../../src/core/decision/decision.ts';
import type { Decision } from '../../../../src/core/decision/decision.ts';
import { checkMetrics } from '../../../../src/core/telemetry/metrics/check-metrics.ts';
import type { FinishedCheck } from '../../../../src/core/telemetry/finished-check.ts';
import { newMetrics } from '../../../../src/core/telemetry/metrics/metrics.ts';

const allow: Decision = { ...deny('internal', ''), kind: 'allow' as never, observed: null };
const unknown = deny('action.unknown', 'no route');
const traceId = 'a'.repeat(32);

const finished = (decision: Decision, facts: object = {}): FinishedCheck =>
  ({
    decisionId: 'd-1',
    decision,
    policySet: null,
    policyGeneration: null,
    cache: 'miss',
    traceId,
    took: { gatherMs: 1, decideMs: 2, settleMs: 4 },
    facts: { action: { id: 'payments.read' }, credential: unknown, secrets: [], reuse: [], nowMs: 1_500, ...facts },
  }) as unknown as FinishedCheck;

const countedAfter = (...checks: readonly FinishedCheck[]): string => {
  const metrics = newMetrics();
  const count = checkMetrics(metrics);
  for (const check of checks) count(check);
  return metrics.scrape('openmetrics').body;
};

describe('checkMetrics', () => {
  it.each([
    ['an allow', finished(allow), 'decision="allow",reason="none",action="payments.read"'],
    [
      'a denial by its reason',
      finished(deny('policy.forbidden', 'by `x`')),
      'decision="deny",reason="policy.forbidden",action="payments.read"',
    ],
    [
      'a call that is not an action of the catalog',
      finished(unknown, { action: unknown }),
      'decision="deny",reason="action.unknown",action="none"',
    ],
  ])('counts %s', (_name, check, labels) => {
    expect(countedAfter(check)).toContain(`\nremit_decisions_total{${labels}} 1\n`);
  });

  it('times the check and its stages in seconds, with the trace', () => {
    const body = countedAfter(finished(allow));
    expect(body).toContain('\nremit_check_duration_seconds_sum 0.007\n');
    expect(body).toContain(`le="0.01"} 1 # {trace_id="${traceId}"} 0.007 1.500\n`);
    expect(body).toContain('\nremit_check_stage_duration_seconds_sum{stage="settle"} 0.004\n');
  });

  it('counts a use of a token by its most serious class, and none without a token', () => {
    const classes = [[], ['first'], ['same-trace'], ['other-trace', 'other-connection'], ['other-trace']];
    const body = countedAfter(...classes.map((reuse) => finished(allow, { reuse })));
    expect(body).toContain('\nremit_token_uses_total{class="first"} 1\n');
    expect(body).toContain('\nremit_token_uses_total{class="same-trace"} 1\n');
    expect(body).toContain('\nremit_token_uses_total{class="other-trace"} 2\n');
    expect(body).toContain('\nremit_token_uses_total{class="other-connection"} 0\n');
  });

  it('counts static secrets by kind, and never by digest or name', () => {
    const secrets = [{ kind: 'api-key', where: 'header', name: 'x-api-key', digest: 'sha-256:d' }];
    const body = countedAfter(finished(deny('token.static-secret', 'an `api-key`'), { secrets }));
    expect(body).toContain('\nremit_static_secrets_total{kind="api-key",decision="deny"} 1\n');
    expect(body).not.toContain('sha-256:d');
  });

  it('counts each shape of an observed call that the catalog does not know once, whatever its path and values', () => {
    const call = (path: string, query: readonly string[], protocol = 'http') =>
      Object.assign(finished(unknown, { action: unknown, call: { host: 'old.acme.test', method: 'GET', path } }), {
        mode: { id: 'legacy' },
        shape: { protocol, query },
      });
    const body = countedAfter(
      call('/orders/1', []),
      call('/orders/2', []),
      call('/orders/2', ['page']),
      call('/a.B/C', [], 'grpc'),
      call('/a.B/D', [], 'grpc'),
      finished(allow),
    );
    expect(body).toContain('\nremit_observed_new_shapes_total 4\n');
    const flood = Array.from({ length: 5_000 }, (_, n) => call('/', [`key-${n}`]));
    expect(countedAfter(...flood)).toContain('\nremit_observed_new_shapes_total 4096\n');
  });

  it('counts an observed call by what enforcing would have answered', () => {
    const observed = (decision: Decision) => Object.assign(finished(decision), { mode: { id: 'legacy' } });
    const passed = { ...allow, observed: unknown } as Decision;
    const body = countedAfter(
      observed(passed),
      observed(allow),
      observed(deny('task.revoked', 'ended')),
      finished(allow),
    );
    expect(body).toContain('\nremit_observed_decisions_total{would="deny",reason="action.unknown"} 1\n');
    expect(body).toContain('\nremit_observed_decisions_total{would="allow",reason="none"} 1\n');
    expect(body).toContain('\nremit_observed_decisions_total{would="deny",reason="task.revoked"} 1\n');
    expect(body).toContain('\nremit_decisions_total{decision="allow",reason="none",action="payments.read"} 3\n');
  });
});
