import { describe, expect, it } from '@jest/globals';
import { tracedBy } from '../../../src/agent/run/trace.ts';

const intent = `00-${'a'.repeat(32)}-${'1'.repeat(16)}-01`;
const sameTrace = `00-${'a'.repeat(32)}-${'2'.repeat(16)}-01`;
const otherTrace = `00-${'b'.repeat(32)}-${'2'.repeat(16)}-01`;

describe('tracedBy', () => {
  it.each([
    ['gives the span of the intent', {}, intent, { TRACEPARENT: intent }],
    [
      'keeps the state of the same trace',
      { TRACEPARENT: sameTrace, TRACESTATE: 'x=1' },
      intent,
      { TRACEPARENT: intent, TRACESTATE: 'x=1' },
    ],
    [
      'drops the state of another trace',
      { TRACEPARENT: otherTrace, TRACESTATE: 'x=1' },
      intent,
      { TRACEPARENT: intent },
    ],
    ['drops a state without a trace', { TRACESTATE: 'x=1' }, intent, { TRACEPARENT: intent }],
    ['changes nothing without a traceparent', { TRACEPARENT: otherTrace }, null, { TRACEPARENT: otherTrace }],
  ])('%s', (_name, environment, traceparent, expected) => {
    expect(tracedBy({ HOME: '/h', ...environment }, traceparent)).toEqual({ HOME: '/h', ...expected });
  });
});
