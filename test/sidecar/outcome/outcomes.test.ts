import { describe, expect, it } from '@jest/globals';
import { answeredCall, decisionId, heldOutcomes, logged, NAME, refusedCall, servedCall, useNumber } from './samples.ts';

describe('Outcomes.served', () => {
  it('joins a call with its use, and trusts the use over the log', async () => {
    const { outcomes, records, observed, fates } = heldOutcomes();
    outcomes.answered(useNumber(1));
    await outcomes.served(servedCall({ decision: logged(1, { kind: 'deny' }) }));
    expect(records).toEqual([
      {
        kind: 'outcome',
        at: 1_000_000,
        decisionId: decisionId(1),
        known: true,
        task: 'task-1',
        agent: 'spiffe://acme.test/planner',
        action: 'files.read',
        decision: 'allow',
        status: 200,
        details: 'via_upstream',
        flags: [],
        durationMs: 12.5,
        upstreamMs: 3,
        requestBytes: 4,
        responseBytes: 5,
        attempts: 1,
        upstreamCluster: 'files',
      },
    ]);
    expect(observed).toEqual(['success']);
    expect(fates).toEqual(['executed']);
  });

  it('says of the outcome of an observed call that it was only observed, and of no other', async () => {
    const { outcomes, records } = heldOutcomes();
    outcomes.answered({ ...useNumber(1), mode: 'observe' });
    outcomes.answered(useNumber(2));
    await outcomes.served(servedCall({ decision: logged(1) }));
    await outcomes.served(servedCall({ decision: logged(2) }));
    expect(records).toMatchObject([
      { kind: 'outcome', decisionId: decisionId(1), decision: 'allow', mode: 'observe' },
      { kind: 'outcome', decisionId: decisionId(2), decision: 'allow' },
    ]);
    expect(records[1]).not.toHaveProperty('mode');
  });

  it('records an unknown decision as Envoy reports it', async () => {
    const { outcomes, records } = heldOutcomes();
    await outcomes.served(servedCall({ decision: logged(7) }));
    expect(records).toMatchObject([
      {
        kind: 'outcome',
        decisionId: decisionId(7),
        known: false,
        task: 'logged-task',
        agent: 'spiffe://acme.test/logged',
        action: 'logged.action',
        decision: 'allow',
      },
    ]);
  });

  it('withdraws an allow that crossed the refusal of Envoy, and says that it was not sent', async () => {
    const { outcomes, records, observed, fates } = heldOutcomes();
    let undone = 0;
    outcomes.answered(useNumber(1));
    outcomes.decided(answeredCall(1, () => (undone += 1)));
    await outcomes.served(refusedCall());
    await outcomes.served(refusedCall());
    expect(records).toMatchObject([
      {
        kind: 'use',
        decision: 'deny',
        reason: 'check.deadline',
        decisionId: decisionId(999),
        withdraws: decisionId(1),
        task: 'task-1',
        traceId: 'trace-1',
        spanId: 'span-1',
      },
      {
        kind: 'outcome',
        decisionId: decisionId(1),
        decision: 'allow',
        known: true,
        task: 'task-1',
        attempts: 0,
        flags: ['UAEX'],
        details: 'ext_authz_error',
      },
    ]);
    expect([observed, fates, undone]).toEqual([['unanswered', 'unasked'], ['not-sent'], 1]);
  });

  it('joins a denial that crossed the refusal of Envoy, and withdraws nothing', async () => {
    const { outcomes, records } = heldOutcomes();
    outcomes.answered(useNumber(1, 'deny'));
    outcomes.decided(answeredCall(1, null));
    await outcomes.served(refusedCall());
    expect(records).toMatchObject([{ kind: 'outcome', decisionId: decisionId(1), decision: 'deny' }]);
  });

  it('finds a bypass by the name of a call that was answered', async () => {
    const { outcomes, found } = heldOutcomes();
    outcomes.answered(useNumber(1));
    outcomes.decided(answeredCall(1, () => undefined));
    await outcomes.served(servedCall({ callName: NAME }));
    expect(found()).toEqual([['bypass', 1, null]]);
  });

  it('shows no credential of an unchecked call', async () => {
    const { outcomes, records, lines } = heldOutcomes();
    const key = `sk-${'c4'.repeat(20)}`;
    await outcomes.served(servedCall({ decision: null, path: `/v1/${key}/x`, requestId: key }));
    expect(records).toMatchObject([{ details: { path: '/v1/digest-of-43/x', requestId: 'digest-of-43' } }]);
    expect(lines.join()).not.toContain(key);
  });

  it('cuts a long text of a client to the length of a record, and shows no part of a credential where it is cut', async () => {
    const { outcomes, records, lines } = heldOutcomes();
    const key = `sk-${'c4'.repeat(20)}`;
    const path = `/${'x'.repeat(2_020)}/${key}/${'y'.repeat(20_000)}`;
    await outcomes.served(servedCall({ decision: null, path, host: '\u0001'.repeat(20_000) }));
    const record = JSON.stringify(records[0]);
    expect(record).toMatch(/x\/digest-of-43\/y+… sha-256:[\w-]{43}"/);
    expect(`${record}${lines.join('')}`).not.toContain('c4c4');
    // A record has at most 65,535 bytes.
    expect(record.length).toBeLessThan(20_000);
  });

  it.each([
    ['the use of this process', 1, 'allow'],
    ['Envoy', 2, 'deny'],
  ] as const)('finds a denied use that was served all the same, by the word of %s', async (_name, id, kind) => {
    const { outcomes, found, lines, observed } = heldOutcomes();
    outcomes.answered(useNumber(1, 'deny'));
    await outcomes.served(servedCall({ decision: logged(id, { kind }) }));
    expect(found()).toEqual([['denied-but-served', 1, decisionId(id)]]);
    expect(observed).toEqual(['denied', 'denied-but-served']);
    expect(lines).toEqual([
      expect.stringMatching(/^finding denied-but-served: a call reached an upstream although it was /),
    ]);
  });

  it.each([
    ['a denial', 'deny', { status: 403, details: 'ext_authz_denied', attempts: 0 }, 'denied'],
    [
      'a client that disconnected',
      'allow',
      { status: null, details: 'downstream_remote_disconnect', attempts: 0 },
      'unanswered',
    ],
    [
      'an upstream that is down',
      'allow',
      { status: 503, details: 'upstream_reset_before_response_started{}' },
      'unanswered',
    ],
    ['a server error', 'allow', { status: 500 }, 'server-error'],
    ['a client error', 'allow', { status: 404 }, 'client-error'],
  ] as const)('counts %s and finds nothing', async (_name, kind, call, expected) => {
    const { outcomes, found, observed } = heldOutcomes();
    outcomes.answered(useNumber(1, kind));
    await outcomes.served(servedCall({ decision: logged(1), ...call }));
    expect(found()).toEqual([]);
    expect(observed).toEqual([expected]);
  });

  it.each([
    ['bypass', { isFailureModeAllowed: false }],
    ['bypass', { status: 503, details: 'upstream_reset_before_response_started{}' }],
    ['failure-mode-allowed', { isFailureModeAllowed: true }],
  ] as const)('finds a %s if a call without a decision went to an upstream: %o', async (kind, call) => {
    const { outcomes, records, observed } = heldOutcomes();
    await outcomes.served(servedCall(call));
    expect(records).toMatchObject([
      {
        kind: 'finding',
        finding: kind,
        count: 1,
        agent: 'spiffe://acme.test/planner',
        details: { path: '/v1/files/a' },
      },
    ]);
    expect(observed).toEqual([kind]);
  });

  it.each([
    'http1.codec_error',
    'missing_host_header',
    'path_normalization_failed',
    'route_not_found',
    'direct_response',
    'request_payload_too_large',
    'upgrade_failed',
    'ext_authz_error',
    'downstream_remote_disconnect',
  ])('reports no bypass if Envoy answered by itself: %s', async (details) => {
    const { outcomes, records, observed } = heldOutcomes();
    await outcomes.served(servedCall({ details, attempts: 0, upstreamCluster: null, status: 400 }));
    expect(records).toEqual([]);
    expect(observed).toEqual(['unasked']);
  });

  it('replaces control characters', async () => {
    const { outcomes, lines } = heldOutcomes();
    await outcomes.served(servedCall({ path: '/\u001b[31m\nfinding' }));
    expect(lines[0]).toContain('path=/?[31m?finding ');
  });

  it('does not wait if the ledger has room', () => {
    const { outcomes, records } = heldOutcomes();
    outcomes.answered(useNumber(1));
    expect(outcomes.served(servedCall({ state: 'alive', decision: logged(1) }))).toBeNull();
    expect(outcomes.served(servedCall({ decision: logged(1) }))).toBeNull();
    expect(outcomes.served(servedCall())).toBeNull();
    expect(records.map(({ kind }) => kind)).toEqual(['outcome', 'finding']);
  });

  it('records a finding after its outcome, even if the outcome had to wait', async () => {
    const { outcomes, ledger, records, pass } = heldOutcomes();
    ledger.queued = 2_048;
    const done = outcomes.served(servedCall({ decision: logged(1, { kind: 'deny' }) }));
    await pass(100);
    expect(records).toEqual([]);
    ledger.queued = 0;
    await pass(20);
    await done;
    expect(records.map(({ kind }) => kind)).toEqual(['outcome', 'finding']);
  });

  it('records waiting outcomes when it is closed', async () => {
    const { outcomes, ledger, records, pass } = heldOutcomes();
    ledger.queued = 2_048;
    const done = outcomes.served(servedCall({ decision: logged(1) }));
    outcomes.close();
    await pass(20);
    await done;
    expect(records).toHaveLength(1);
    expect(outcomes.served(servedCall({ decision: logged(2) }))).toBeNull();
    expect(records).toHaveLength(2);
  });

  it("leaves half of the ledger's queue to uses, and waits", async () => {
    const { outcomes, ledger, records, pass } = heldOutcomes();
    ledger.queued = 2_048;
    let isDone = false;
    const done = Promise.resolve(outcomes.served(servedCall({ decision: logged(1) }))).then(() => (isDone = true));
    await pass(500);
    expect([isDone, records.length]).toEqual([false, 0]);
    ledger.queued = 2_047;
    await pass(20);
    await done;
    expect(records).toHaveLength(1);
  });

  it('drops an outcome after half a minute without room, and logs that', async () => {
    const { outcomes, ledger, lines, pass } = heldOutcomes();
    ledger.isOpen = false;
    const done = outcomes.served(servedCall({ decision: logged(1) }));
    await pass(31_000);
    await done;
    await pass(1_000);
    expect(lines).toEqual(['outcomes and findings that could not be recorded: 1']);
  });
});

describe('missing outcomes', () => {
  it('are reported once after the timeout, and still recorded when they arrive late', async () => {
    const { outcomes, records, found, pass } = heldOutcomes();
    outcomes.opened('`gateway`');
    outcomes.answered(useNumber(1));
    await pass(60_000);
    expect(found()).toEqual([]);
    await pass(2_000);
    expect(found()).toEqual([['outcome-missing', 1, decisionId(1)]]);
    expect(records[0]).toMatchObject({ task: 'task-1', action: 'files.read', details: { decision: 'allow' } });
    await outcomes.served(servedCall({ decision: logged(1) }));
    expect(records.at(-1)).toMatchObject({ kind: 'outcome', known: true, task: 'task-1' });
    await pass(120_000);
    expect(found()).toHaveLength(1);
  });

  it('are awaited as long as the call reports that it is running', async () => {
    const { outcomes, found, records, pass } = heldOutcomes();
    outcomes.opened('`gateway`');
    outcomes.answered(useNumber(1));
    for (let seconds = 0; seconds < 300; seconds += 30) {
      await outcomes.served(servedCall({ state: 'alive', decision: logged(1) }));
      await pass(30_000);
    }
    expect(records).toEqual([]);
    await pass(62_000);
    expect(found()).toEqual([['outcome-missing', 1, decisionId(1)]]);
  });

  it('are not reported if no access log ever connected, which is logged once', async () => {
    const { outcomes, found, lines, pass } = heldOutcomes();
    for (let n = 1; n <= 3; n += 1) {
      outcomes.answered(useNumber(n));
      await pass(100_000);
    }
    expect(found()).toEqual([]);
    expect(lines).toEqual([
      'no access log has connected: uses get no outcome, and calls without a check are not noticed',
    ]);
  });

  it('are reported without an access log if an access log is always expected', async () => {
    const { outcomes, found, pass } = heldOutcomes({ expected: 'always' });
    outcomes.answered(useNumber(1));
    await pass(62_000);
    expect(found()).toEqual([['outcome-missing', 1, decisionId(1)]]);
  });

  it('are not reported for uses from before the first access log', async () => {
    const { outcomes, found, pass } = heldOutcomes();
    outcomes.answered(useNumber(1));
    await pass(1_000);
    outcomes.opened('`gateway`');
    outcomes.answered(useNumber(2));
    await pass(70_000);
    expect(found()).toEqual([['outcome-missing', 1, decisionId(2)]]);
  });

  it('are reported with the lost access log, which is logged once until it is back', async () => {
    const { outcomes, found, lines, pass } = heldOutcomes();
    const gone = [outcomes.opened('`gateway`'), outcomes.opened('`gateway`')];
    for (const leave of gone) leave();
    await pass(10_000);
    outcomes.answered(useNumber(1));
    outcomes.answered(useNumber(2));
    await pass(62_000);
    expect(found()).toEqual([
      ['access-log-lost', 1, null],
      ['outcome-missing', 1, decisionId(1)],
      ['outcome-missing', 1, decisionId(2)],
    ]);
    outcomes.opened('`gateway`')();
    expect(lines.filter((line) => line === 'the access log of `gateway` has connected')).toHaveLength(2);
    outcomes.answered(useNumber(3));
    await pass(70_000);
    expect(found().filter(([kind]) => kind === 'access-log-lost')).toHaveLength(2);
  });

  it('do not count a log as lost that has just disconnected', async () => {
    const { outcomes, found, pass } = heldOutcomes();
    const leave = outcomes.opened('`gateway`');
    outcomes.answered(useNumber(1));
    await pass(40_000);
    leave();
    outcomes.answered(useNumber(2));
    await pass(30_000);
    expect(found()).toEqual([['outcome-missing', 1, decisionId(1)]]);
    await pass(40_000);
    expect(found().map(([kind]) => kind)).toEqual(['outcome-missing', 'access-log-lost', 'outcome-missing']);
  });

  it('do not count a log as lost while one of its streams is open', async () => {
    const { outcomes, found, pass } = heldOutcomes();
    outcomes.opened('`gateway`')();
    outcomes.opened('`gateway`');
    outcomes.opened('`gateway`')();
    outcomes.answered(useNumber(1));
    await pass(200_000);
    expect(found()).toEqual([['outcome-missing', 1, decisionId(1)]]);
  });

  it('are dropped beyond the bound, oldest first, and counted', async () => {
    const { outcomes, found, records, lines, pass } = heldOutcomes({ pending: { maxWaiting: 2 } });
    outcomes.opened('`gateway`');
    for (let n = 1; n <= 5; n += 1) outcomes.answered(useNumber(n));
    await outcomes.served(servedCall({ decision: logged(1) }));
    expect(records).toMatchObject([{ decisionId: decisionId(1), known: false }]);
    await pass(62_000);
    expect(found().map(([, , id]) => id)).toEqual([decisionId(4), decisionId(5)]);
    expect(lines).toContain('uses dropped because too many wait for their outcome: 3');
  });
});

describe('a flood of findings', () => {
  it('is 20 records, then a record a second, and the rest a summary every 10 s that counts all', async () => {
    const { outcomes, found, lines, observed, pass } = heldOutcomes();
    for (let second = 0; second < 30; second += 1) {
      for (let n = 0; n < 1_000; n += 1) await outcomes.served(servedCall());
      await pass(1_000);
    }
    outcomes.close();
    const counts = found().map(([, count]) => count);
    expect(counts.filter((count) => count === 1).length).toBeLessThanOrEqual(20 + 30);
    expect(counts.filter((count) => count > 1).length).toBeLessThanOrEqual(4);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(30_000);
    expect(observed).toHaveLength(30_000);
    expect(lines.length).toBe(counts.length);
    expect(lines.find((line) => / \(\d+ times more\)/.test(line))).toMatch(/^finding bypass: /);
  });

  it('of any kind leaves room for another', async () => {
    const { outcomes, found } = heldOutcomes();
    for (let n = 0; n < 1_000; n += 1) await outcomes.served(servedCall());
    await outcomes.served(servedCall({ isFailureModeAllowed: true }));
    expect(found().filter(([kind]) => kind === 'failure-mode-allowed')).toHaveLength(1);
  });

  it('has an end: `close` leaves no timer', async () => {
    const { outcomes, pass, pendingTimers } = heldOutcomes();
    await pass(5_000);
    outcomes.close();
    expect(pendingTimers()).toBe(0);
  });
});
