import { describe, expect, it } from '@jest/globals';
import type { DenialStyle } from '../../../src/core/action/denial-style.ts';
import { jsonRpcAnswer } from '../../../src/agent/forward/json-rpc-answer.ts';
import { refusal, undecided } from '../../../src/agent/forward/local/local-answer.ts';

const data = { reason: 'forward.no-decision', next: 'retry_later' };
const result = (isError: boolean): object => ({
  content: [
    {
      type: 'text',
      text: expect.stringMatching(/^Denied: no decision .*\nreason: forward.no-decision, next: retry_later$/),
    },
  ],
  isError,
  resultType: 'complete',
  _meta: { 'remit.dev/denial': data },
});
const error = { code: -32_010, message: expect.stringContaining('no decision could be had'), data };
const call = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'x' } };

/** The answer to a message, with its body parsed. */
function answered(message: unknown, style?: DenialStyle) {
  const answer = jsonRpcAnswer(undecided, Buffer.from(JSON.stringify(message)), style);
  return answer === null ? null : [answer.status, answer.body === '' ? '' : JSON.parse(answer.body)];
}

describe('jsonRpcAnswer', () => {
  it.each<[style: DenialStyle | undefined, status: number, outcome: object]>([
    [undefined, 200, { result: result(true) }],
    ['result', 200, { result: result(true) }],
    ['text', 200, { result: result(false) }],
    ['error', 200, { error }],
    ['http', 503, { error }],
  ])('is in the style %s for the call of a tool', (style, status, outcome) => {
    expect(answered(call, style)).toEqual([status, { jsonrpc: '2.0', id: 7, ...outcome }]);
  });

  it.each<[style: DenialStyle, status: number]>([
    ['result', 200],
    ['text', 200],
    ['error', 200],
    ['http', 503],
  ])('is an error in the style %s for other requests, and for a call that begins a task', (style, status) => {
    const others = [
      { jsonrpc: '2.0', id: 'a', method: 'tools/list' },
      { ...call, id: 'a', params: { name: 'x', task: {} } },
    ];
    for (const one of others) expect(answered(one, style)).toEqual([status, { jsonrpc: '2.0', id: 'a', error }]);
  });

  it.each<[style: DenialStyle, answer: unknown]>([
    ['result', [202, '']],
    ['text', [202, '']],
    ['error', [202, '']],
    ['http', [503, { jsonrpc: '2.0', id: null, error }]],
  ])('is nothing in the style %s for what gets no answer, but a status in that of HTTP', (style, answer) => {
    const unanswered = [
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      { jsonrpc: '2.0', method: 'tools/call', params: {} },
      { jsonrpc: '2.0', id: 1, result: {} },
    ];
    for (const one of unanswered) expect(answered(one, style)).toEqual(answer);
  });

  it.each([[{ pay: 1 }], [[call]], ['x']])('is none to %j, which is no message', (message) => {
    for (const style of ['result', 'http'] as const) expect(answered(message, style)).toBeNull();
  });

  it('says in the style of HTTP alone when to try again', () => {
    const headers = (style: DenialStyle) => jsonRpcAnswer(undecided, Buffer.from(JSON.stringify(call)), style)?.headers;
    expect([headers('http')?.['retry-after'], headers('text')?.['retry-after']]).toEqual(['1', undefined]);
    const gone = jsonRpcAnswer(refusal(404, 'x', 'gone'), Buffer.from(JSON.stringify(call)), 'http');
    expect([gone?.status, gone?.headers['retry-after']]).toEqual([404, undefined]);
  });
});
