import { describe, expect, it } from '@jest/globals';
import type { EventRecord } from '../../src/ledger/record.ts';
import { timelineText } from '../../src/ledger/timeline-text.ts';

const event = (name: EventRecord['event'], change: Partial<EventRecord> = {}) => ({
  kind: 'event' as const,
  at: 1_000,
  task: 't',
  event: name,
  cause: 'why',
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
    ['binding-violation', 'token presented by another workload, noticed by operator: why'],
    ['signal', 'signal by operator: why'],
  ])('tells of the event `%s` in a line', (name, text) => {
    const [, line] = timelineText([event(name)]);
    expect(line).toBe(`1970-01-01T00:00:01.000Z  ${text}  -         -       -         -`);
  });

  it('tells by time, and shows what a terminal would obey', () => {
    const lines = timelineText([
      event('resumed', { at: 2_000, cause: '\u001b[31mred\u202e' }),
      event('suspended', { cause: '' }),
    ]);
    expect(lines.map((line) => line.slice(26).replace(/ {2}.*$/, ''))).toEqual([
      'WHAT',
      'suspended by operator: -',
      'resumed by operator: ?[31mred?',
    ]);
  });
});
