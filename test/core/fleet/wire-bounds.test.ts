import { limitSpendMessage } from '../../../src/core/fleet/limit-message.ts';
import { describe, expect, it } from '@jest/globals';
import { MESSAGE_BOUNDS } from '../../../src/core/fleet/message-bounds.ts';
import { boundedMethodOf, fieldNamesOf, methodOf } from '../../../src/core/fleet/service.ts';
import { wireProblem } from '../../../src/core/fleet/wire-bounds.ts';
import { mustFind } from '../../builders/must.ts';

const varint = (value: number): readonly number[] =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
/** A field with content. */
const field = (number: number, content: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([...varint(number * 8 + 2), ...varint(content.length)]), content]);
const many = (count: number, one: Uint8Array): Buffer => Buffer.concat(Array.from({ length: count }, () => one));
const EMPTY = Buffer.alloc(0);

const numberOf = (message: string, name: string): number =>
  mustFind([...fieldNamesOf(message)].find(([, own]) => own === name))[0];

const bounds = Object.entries(MESSAGE_BOUNDS).flatMap(([message, fields]) =>
  Object.entries(fields).map(([name, bound]) => [message, name, bound] as const),
);
const lists = bounds.flatMap(([message, name, bound]) =>
  bound.kind === 'list' ? [[message, name, bound.beyond === 'refused' ? bound.max : 8 * bound.max] as const] : [],
);
const singles = bounds.flatMap(([message, name, bound]) =>
  bound.kind === 'list' || bound.kind === 'number' || bound.kind === 'flag' ? [] : [[message, name] as const],
);

// Issue 37: found, not mended.
describe('wireProblem', () => {
  it.each(lists)('refuses %s with more %s than %d, before it is decoded', (message, name, max) => {
    const one = field(numberOf(message, name), EMPTY);
    // An empty packed list of numbers has none.
    const bound = MESSAGE_BOUNDS[message]?.[name];
    const isOfNumbers = bound?.kind === 'list' && bound.of.kind === 'number';
    const entry = isOfNumbers ? field(numberOf(message, name), Buffer.from([1])) : one;
    expect(wireProblem(message, many(max, entry), fieldNamesOf)).toBeNull();
    expect(wireProblem(message, many(max + 1, entry), fieldNamesOf)).toBe(
      `\`${message}.${name}\` has too many entries`,
    );
  });

  it.each(singles)('refuses %s with two %s', (message, name) => {
    const one = field(numberOf(message, name), EMPTY);
    expect(wireProblem(message, one, fieldNamesOf)).toBeNull();
    expect(wireProblem(message, many(2, one), fieldNamesOf)).toBe(`\`${message}\` is malformed: twice`);
  });

  it('counts packed numbers, and the lists of all entries together', () => {
    const traces = field(numberOf('AllowedUses', 'traces'), Buffer.alloc(20_000, 1));
    expect(wireProblem('AllowedUses', traces, fieldNamesOf)).toMatch(/`AllowedUses\.traces` has too many entries/);
    const card = field(numberOf('Hello', 'held'), many(100, field(numberOf('HeldCard', 'jti_digests'), EMPTY)));
    const hello = field(numberOf('Up', 'hello'), many(2_000, card));
    expect(wireProblem('Up', hello, fieldNamesOf)).toBe('`HeldCard.jti_digests` has too many entries');
  });

  it.each([
    ['`Up` is malformed: beyond-end', Buffer.from([0x0a, 5, 1])],
    ['`Up` is malformed: other-wire-type', Buffer.from([0x0b])],
  ])('refuses bytes that are no message: %s', (problem, bytes) => {
    expect(wireProblem('Up', bytes, fieldNamesOf)).toBe(problem);
  });
});

const NO_LIMIT = { measure: '', who: '', window_ms: 0, value: '', effect: '' };

describe('boundedMethodOf', () => {
  it('decodes what a sidecar sends', () => {
    const { requestSerialize } = methodOf('Settle');
    const use = {
      decision_id: 'd',
      key: { issuer: 'i', id: 't' },
      jti_digest: 'j',
      generation: 1,
      spends: [
        { kind: 'decimal', name: 'price', amount: 2 ** 53 - 1, limit: 2 ** 53 - 1, ...NO_LIMIT },
        limitSpendMessage({
          kind: 'limit',
          limit: 'a',
          measure: 'distinct',
          who: '[]',
          windowMs: 86_400_000,
          amount: 1,
          max: 5,
          value: 'v',
          effect: 'stop',
        }),
      ],
      entry: { version: 1, action: 'a', labels: ['b', 'c'] },
      record: Buffer.from('{}'),
      agent: 'spiffe://acme.test/a',
      ahead: [2 ** 53 - 1],
      before: 0,
      left: [7],
    };
    const request = { instance: 'one', uses: Array.from({ length: 256 }, () => use) };
    expect(boundedMethodOf('Settle').requestDeserialize(requestSerialize(request))).toEqual(request);
  });

  it('does not decode 4 MiB of uses without content', () => {
    const uses = many(2_097_152, field(numberOf('SettleRequest', 'uses'), EMPTY));
    expect(() => boundedMethodOf('Settle').requestDeserialize(uses)).toThrow(
      '`SettleRequest.uses` has too many entries',
    );
  });
});
