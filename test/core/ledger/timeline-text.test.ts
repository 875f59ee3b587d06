import { describe, expect, it } from '@jest/globals';
import type { EventRecord, PolicyRecord, UseRecord } from '../../../src/core/ledger/record.ts';
import type { FindingRecord, OutcomeRecord } from '../../../src/core/ledger/outcome-record.ts';
import type { TimelineEntry } from '../../../src/core/ledger/timeline.ts';
import { timelineText } from '../../../src/core/ledger/timeline-text.ts';
import { useRecord } from '../../builders/ledger-record.ts';

const event = (
  name: EventRecord['event'],
  change: Partial<EventRecord> = {},
): EventRecord & { readonly seq: number } => ({
  kind: 'event',
  at: 1_000,
  task: 't',
  event: name,
  cause: 'operator.suspended',
  note: 'why',
  by: 'operator',
  details: {},
  seq: 1,
  ...change,
});

describe('timelineText', () => {
  it.each<[EventRecord['event'], string]>([
    ['suspended', 'suspended by operator: why'],
    ['resumed', 'resumed by operator: why'],
    ['context', 'context changed by operator: why'],
    ['risk', 'risk changed by operator: why'],
    ['token-revoked', 'token revoked by operator: why'],
    ['binding-violation', 'token presented by operator, to whom it was not issued'],
    ['signal', 'signal by operator: why'],
    ['refused', 'calls denied without a check by operator: why'],
  ])('prints the event `%s` in one line', (name, text) => {
    const [, line] = timelineText([event(name)]);
    expect(line).toBe(`1970-01-01T00:00:01.000Z  ${text}  -       -         -       -         -`);
  });

  it('sorts by time, and replaces control characters', () => {
    const lines = timelineText([
      event('resumed', { at: 2_000, note: '\u001b[31mred\u202e' }),
      event('suspended', { note: '' }),
    ]);
    expect(lines.map((line) => line.slice(26).replace(/ {2}.*$/, ''))).toEqual([
      'WHAT',
      'suspended by operator: -',
      'resumed by operator: ?[31mred?',
    ]);
  });

  it.each<[string, PolicyRecord['origin'] | undefined, string]>([
    ['a folder', { kind: 'folder', folder: '/etc/remit/policies' }, ' from /etc/remit/policies'],
    [
      'a signed bundle',
      {
        kind: 'bundle',
        from: 'https://p.acme.test',
        name: 'prod',
        signers: ['k-1', 'k-2'],
        version: '3',
        serial: 7,
        issuedAt: 1,
      },
      ' from https://p.acme.test, version 3, signed by k-1 and k-2',
    ],
    [
      'a signed bundle, in a record of an earlier version',
      {
        ...({ keyId: 'k-1' } as object),
        kind: 'bundle',
        from: 'https://p.acme.test',
        version: '3',
        serial: 7,
        issuedAt: 1,
      } as PolicyRecord['origin'],
      ' from https://p.acme.test, version 3, signed by k-1',
    ],
    ['a source missing in older records', undefined, ''],
  ])('prints that a policy set came from %s', (_name, origin, from) => {
    const set = {
      kind: 'policy',
      at: 1_000,
      task: null,
      policySet: 'sha-256:p',
      policies: 2,
      actions: 3,
      seq: 1,
    } as const;
    const record = { ...set, ...(origin === undefined ? {} : { origin }), by: 'remit', isTextKept: true };
    const [, line] = timelineText([record as TimelineEntry]);
    expect(line?.slice(26).replace(/ {2}.*$/, '')).toBe(`policy set of 2 policies and 3 actions in force${from}`);
  });

  it('shows the recorded arguments of a use', () => {
    const args = { amount: 250, note: 'a "b"\u001b[31m', file: { bytes: 300, 'sha-256': 'abc' } };
    const [, line] = timelineText([{ ...use('d-1', 1_000), args }]);
    expect(line).toContain(
      'files.acme.test/v1/d-1 amount=250 note="a \\"b\\"\\u001b[31m" file={"bytes":300,"sha-256":"abc"}  a       allow',
    );
  });

  it('prints the outcome of a use right under it, whenever it was reported', () => {
    const lines = timelineText([use('d-1', 1_000), use('d-2', 2_000), outcome('d-2'), finding('d-1'), outcome('d-1')]);
    expect(lines.slice(1).map((line) => line.slice(26))).toEqual([
      expect.stringMatching(/^use 1: files.read GET files.acme.test\/v1\/d-1 +a +allow/),
      expect.stringMatching(/^ {2}! the outcome is missing +- +- +outcome-missing/),
      expect.stringMatching(/^ {2}outcome: 200, 13 ms \(upstream 3 ms\), 4 B in, 5 B out +- +- +via_upstream/),
      expect.stringMatching(/^use 1: files.read GET files.acme.test\/v1\/d-2 +a +allow/),
      expect.stringMatching(/^ {2}outcome: 200, /),
    ]);
  });

  it.each<[string, Partial<OutcomeRecord>, string]>([
    [
      'anything unusual',
      { status: 503, upstreamMs: null, attempts: 3, flags: ['UF', 'URX'] },
      '503, 13 ms, 4 B in, 5 B out, 3 attempts, flags UF URX',
    ],
    ['that there was no answer', { status: null, durationMs: null }, 'no answer, 4 B in, 5 B out'],
    [
      'that another process decided',
      { known: false },
      '200, 13 ms (upstream 3 ms), 4 B in, 5 B out, decided elsewhere or before a restart',
    ],
  ])('prints for an outcome %s', (_name, change, text) => {
    expect(timelineText([outcome('d', change)])[1]?.slice(26)).toMatch(`  outcome: ${text}  `);
  });

  it('prints the count of a finding', () => {
    expect(timelineText([finding('d', { finding: 'bypass', count: 7 })])[1]).toContain(
      '! sent to an upstream without a check (7 times)  -       -         bypass',
    );
  });
});

const use = (decisionId: string, at: number): UseRecord & { readonly seq: number } => ({
  ...useRecord({
    at,
    decisionId,
    task: 't',
    agent: 'a',
    credential: 'task-token',
    action: 'files.read',
    tokenUse: 1,
    host: 'files.acme.test',
    path: `/v1/${decisionId}`,
    traceId: 'trace',
    spanId: 'span',
  }),
  seq: 1,
});

const outcome = (
  decisionId: string,
  change: Partial<OutcomeRecord> = {},
): OutcomeRecord & { readonly seq: number } => ({
  kind: 'outcome',
  at: 9_000,
  decisionId,
  known: true,
  task: 't',
  agent: 'a',
  action: 'files.read',
  decision: 'allow',
  status: 200,
  details: 'via_upstream',
  flags: [],
  durationMs: 12.6,
  upstreamMs: 3,
  requestBytes: 4,
  responseBytes: 5,
  attempts: 1,
  upstreamCluster: 'files',
  seq: 2,
  ...change,
});

const finding = (
  decisionId: string,
  change: Partial<FindingRecord> = {},
): FindingRecord & { readonly seq: number } => ({
  kind: 'finding',
  at: 8_000,
  finding: 'outcome-missing',
  count: 1,
  decisionId,
  task: 't',
  agent: 'a',
  action: 'files.read',
  details: {},
  seq: 3,
  ...change,
});
