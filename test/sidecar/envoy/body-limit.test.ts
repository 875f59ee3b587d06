import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { describeWith, envoyPart } from '../../parts.ts';
import { allow, answerWith, handlerOf, post, Wire } from './wire.ts';
import { MAX_REQUEST_BYTES } from './wire-config.ts';

/** What the check saw of the body, in bytes, or why it was refused. */
type Seen = number | string | null;

const chunked = (body: string) => ({
  head: ['POST /v1/a HTTP/1.1', 'host: api.test', 'transfer-encoding: chunked'],
  body: `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
});
const announced = (body: string) => ({ head: post('/v1/a', body), body });

/** Issue 14: a complete body of exactly `max_request_bytes` was denied. Envoy also calls one complete that continues after that. */
describeWith(envoyPart(), 'a body at the limit, through Envoy', (binary) => {
  let wire: Wire;
  let seen: Seen[] = [];
  beforeAll(async () => {
    wire = await Wire.start(binary, ['raw', 'merged', 'partial']);
    wire.server.setServing(true);
  });
  afterAll(() => wire?.stop());
  beforeEach(() => {
    seen = [];
    wire.forwarded.length = 0;
    wire.handler = handlerOf(async (facts, call) => {
      seen.push(
        isDeny(facts) ? facts.reason : isDeny(facts.call) ? facts.call.reason : (facts.call.body?.length ?? null),
      );
      return isDeny(facts) ? answerWith({ decision: facts }) : allow(facts, call);
    }, MAX_REQUEST_BYTES);
  });

  it.each<[string, 'raw' | 'merged' | 'partial', typeof announced, number, number, readonly Seen[]]>([
    ['a byte below it', 'raw', announced, -1, 200, [MAX_REQUEST_BYTES - 1]],
    ['exactly at it', 'raw', announced, 0, 200, [MAX_REQUEST_BYTES]],
    ['a byte above it', 'raw', announced, 1, 413, []],
    ['a byte below it, as text', 'merged', announced, -1, 200, [MAX_REQUEST_BYTES - 1]],
    ['exactly at it, as text', 'merged', announced, 0, 200, [MAX_REQUEST_BYTES]],
    ['a byte below it if a part is enough', 'partial', announced, -1, 200, [MAX_REQUEST_BYTES - 1]],
    ['exactly at it if a part is enough', 'partial', announced, 0, 200, [MAX_REQUEST_BYTES]],
    ['a byte above it if a part is enough', 'partial', announced, 1, 413, ['request.body-incomplete']],
    ['a byte below it, in chunks', 'raw', chunked, -1, 200, [MAX_REQUEST_BYTES - 1]],
    ['exactly at it, in chunks', 'raw', chunked, 0, 413, ['request.body-incomplete']],
    ['a byte above it, in chunks', 'partial', chunked, 1, 413, ['request.body-incomplete']],
  ])('answers a body %s', async (_name, listener, framed, over, status, expected) => {
    const { head, body } = framed('x'.repeat(MAX_REQUEST_BYTES + over));
    expect((await wire.to(listener, head, body)).status).toBe(status);
    expect(seen).toEqual(expected);
    expect(wire.forwarded.map(({ body: sent }) => sent.length)).toEqual(
      status === 200 ? [MAX_REQUEST_BYTES + over] : [],
    );
  });
});
