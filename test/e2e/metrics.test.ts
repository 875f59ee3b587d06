import { beforeAll, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import { playStory } from '../../src/dev/story.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, mustDeclare, payment, scratchFolder, startDomain } from './domain.ts';

describeWith(envoyPart(), 'GET /metrics', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  let taskId: string | null;
  let traceIds: readonly string[] = [];

  beforeAll(async () => {
    domain = await startDomain(envoy, { folder: scratch.folder });
    const played = await playStory(domain.stage, () => undefined);
    taskId = played.taskId;
    traceIds = played.steps.flatMap(({ decision }) => decision?.traceId ?? []);
    await domain.remit.flush();
  });

  it('counts refusals of the server separately from decisions', async () => {
    const crowded = await scratchFolder('remit-crowded-');
    const other = await startDomain(envoy, { folder: crowded.folder, settings: { extAuthz: { checksInFlight: 1 } } });
    const { planner } = other.stage;
    const { token } = await mustDeclare(planner, other);
    // Each waits for the disk, so that others find it in progress.
    const pay = { token, ...payment(1) };
    const replies = await Promise.all(Array.from({ length: 20 }, () => callPayments(planner, other, pay)));
    const refused = replies.filter(([, reason]) => reason === 'overloaded').length;
    const response = await fetch(`http://127.0.0.1:${other.remit.adminPort}/metrics`);
    const lines = (await response.text()).split('\n');
    await other.stop();
    await crowded.remove();
    expect(refused).toBeGreaterThan(0);
    expect(lines).toContain(`remit_server_refusals_total{cause="full"} ${refused}`);
    expect(lines).toContain(
      `remit_decisions_total{decision="allow",reason="none",action="payments.create"} ${20 - refused}`,
    );
  });

  const scrape = async (accept: string): Promise<readonly [string, string]> => {
    const response = await fetch(`http://127.0.0.1:${domain.remit.adminPort}/metrics`, { headers: { accept } });
    return [response.headers.get('content-type') ?? '', await response.text()];
  };

  it.each([
    ['an allow', 'remit_decisions_total{decision="allow",reason="none",action="payments.read"} 2'],
    ['an allow of high risk', 'remit_decisions_total{decision="allow",reason="none",action="payments.create"} 1'],
    ['a policy', 'remit_decisions_total{decision="deny",reason="policy.forbidden",action="payments.create"} 1'],
    ['a stolen token', 'remit_binding_violations_total 1'],
    ['a granted intent', 'remit_intents_total{decision="allow"} 1'],
    ['a refused intent', 'remit_intents_total{decision="deny"} 1'],
    ['a token', 'remit_tokens_issued_total 1'],
    ['no token that its issuer does not know', 'remit_cache_requests_total{cache="token",result="miss"} 0'],
    ['a first use', 'remit_token_uses_total{class="first"} 1'],
    ['an end', 'remit_task_ends_total{state="completed",cause="agent"} 1'],
    ['no open task', 'remit_tasks{state="active"} 0'],
    ['a gate', 'remit_dependency_up{name="policies"} 1'],
    ['an empty queue', 'remit_ledger_queued 0'],
    ['no check in flight', 'remit_checks_in_flight 0'],
  ])('counts %s of the story', async (_name, line) => {
    expect((await scrape('text/plain'))[1].split('\n')).toContain(line);
  });

  it('exports the age of policies, the end of the SVID, and the versions', async () => {
    const [, body] = await scrape('text/plain');
    expect(body).toMatch(/\nremit_policy_info\{hash="sha-256:[\w-]+"\} 1\n/);
    expect(body).toMatch(/\nremit_policy_age_seconds \d/);
    expect(body).toMatch(/\nremit_build_info\{version="\d+\.\d+\.\d+",node="\d+\.\d+\.\d+"\} 1\n/);
    const ends = Number(/\nremit_svid_expiry_timestamp_seconds (\S+)\n/.exec(body)?.[1]);
    expect(ends).toBeGreaterThan(Date.now() / 1000);
    expect(Number(/\nprocess_resident_memory_bytes (\S+)\n/.exec(body)?.[1])).toBeGreaterThan(1e6);
  });

  it('answers with OpenMetrics and the trace of a check if a scraper accepts it', async () => {
    const [contentType, body] = await scrape('application/openmetrics-text;version=1.0.0,text/plain;q=0.5');
    expect(contentType).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8');
    expect(body.endsWith('\n# EOF\n')).toBe(true);
    const exemplars = [...body.matchAll(/remit_check_duration_seconds_bucket\{[^}]*\} \d+ # \{trace_id="(\w+)"\}/g)];
    expect(exemplars.length).toBeGreaterThan(0);
    for (const [, traceId] of exemplars) expect(traceIds).toContain(traceId);
  });

  it('names no task, agent, host, path or trace in a label', async () => {
    const [contentType, body] = await scrape('text/plain');
    expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
    for (const secret of [taskId ?? 'no task', 'spiffe://', 'payments.acme.test', '/v1/payments', ...traceIds]) {
      expect(body).not.toContain(secret);
    }
  });
});
