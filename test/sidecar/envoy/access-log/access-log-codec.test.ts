import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { servedCallFrom, type EntryProblem } from '../../../../src/sidecar/envoy/access-log/access-log-entry.ts';
import type { ServedCall } from '../../../../src/sidecar/outcome/served-call.ts';
import { DECISION, entryBytes } from '../access-log-samples.ts';
import { capturedEntries } from '../captured-entries.ts';
import { callByCodec } from '../log-codec.ts';
import { wholeEntries } from '../log-entries.ts';
import { envoyAccessLogEntryType } from '../protos.ts';
import { delimitedField, fixedField, rewritten, varintField, type Embedded, type RawField } from '../rewritten.ts';

const entries = wholeEntries.map((entry) => envoyAccessLogEntryType.serialize(entry));

/** The embedded messages of an entry. The entries of its maps keep their order. */
const messages: Embedded = { 1: { 4: { 5: { 1: {} } }, 7: {}, 10: {}, 16: {}, 23: {} }, 3: {}, 4: { 1: {} } };

const unknownField = fc.oneof(
  fc.tuple(fc.integer({ min: 100, max: 5_000 }), fc.maxSafeNat()).map(([number, value]) => varintField(number, value)),
  fc
    .tuple(fc.integer({ min: 100, max: 5_000 }), fc.uint8Array({ maxLength: 40 }))
    .map(([number, content]) => delimitedField(number, Buffer.from(content))),
  fc
    .tuple(
      fc.integer({ min: 100, max: 5_000 }),
      fc.constantFrom(4, 8).chain((length) => fc.uint8Array({ minLength: length, maxLength: length })),
    )
    .map(([number, content]) => fixedField(number, Buffer.from(content))),
);

const isProblem = (call: ServedCall | EntryProblem | null): call is EntryProblem => call !== null && 'problem' in call;

/** What the codec reads from bytes that it would encode in the same way; `undefined` where it refuses them or would not. */
const strictlyByCodec = (bytes: Buffer): ServedCall | null | undefined => {
  try {
    const isSame = envoyAccessLogEntryType.serialize(envoyAccessLogEntryType.deserialize(bytes)).equals(bytes);
    return isSame ? callByCodec(bytes) : undefined;
  } catch {
    return undefined;
  }
};

/** The bytes with some changed, and possibly truncated. */
const damaged = (original: Buffer) =>
  fc
    .tuple(
      fc.array(fc.tuple(fc.nat(Math.max(0, original.length - 1)), fc.nat(255)), { maxLength: 6 }),
      fc.nat(original.length),
      fc.boolean(),
    )
    .map(([changes, length, isCut]) => {
      const bytes = Buffer.from(original);
      for (const [at, byte] of changes) bytes[at] = byte;
      return isCut ? bytes.subarray(0, length) : bytes;
    });

describe('servedCallFrom against the codec', () => {
  it.each(Object.entries(capturedEntries))('reads an entry of Envoy: %s', (_name, entry) => {
    expect(servedCallFrom(entry)).toEqual(callByCodec(entry));
  });

  it('reads every entry as the codec does, at any offset', () => {
    fc.assert(
      fc.property(entries, fc.nat(9), fc.nat(9), (entry, before, after) => {
        const bytes = Buffer.concat([Buffer.alloc(before, 0xff), entry, Buffer.alloc(after, 0xff)]);
        expect(servedCallFrom(bytes, { from: before, to: before + entry.length })).toEqual(callByCodec(entry));
      }),
      { numRuns: 1_000 },
    );
  });

  it('reads the same among unknown fields, and in any order', () => {
    const shuffled = fc.infiniteStream(fc.nat(1_000));
    fc.assert(
      fc.property(entries, fc.array(unknownField, { maxLength: 3 }), shuffled, (entry, unknown, order) => {
        const change = (fields: readonly RawField[]) =>
          [...unknown, ...fields]
            .map((field) => ({ field, place: order.next().value ?? 0 }))
            .toSorted((a, b) => a.place - b.place)
            .map(({ field }) => field);
        const bytes = rewritten(entry, messages, change);
        expect(servedCallFrom(bytes)).toEqual(callByCodec(bytes));
      }),
      { numRuns: 1_000 },
    );
  });

  it('reads text that is not UTF-8 as the codec does', () => {
    const content = fc
      .array(
        fc.oneof(
          fc.constantFrom('a', '?', '/', '€', '😀').map((unit) => Buffer.from(unit)),
          fc.uint8Array({ minLength: 1, maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
          fc.constantFrom('e282', 'f09f98', 'eda080', 'c0af', 'f4908080').map((hex) => Buffer.from(hex, 'hex')),
        ),
        { maxLength: 400 },
      )
      .map((parts) => Buffer.concat(parts));
    const repeated = fc
      .tuple(content, fc.integer({ min: 1, max: 300 }))
      .map(([unit, times]) => Buffer.concat(Array<Buffer>(times).fill(unit)).subarray(0, 20_000));
    fc.assert(
      fc.property(fc.oneof(content, repeated), (value) => {
        const bytes = Buffer.concat([
          delimitedField(1, delimitedField(15, value).bytes).bytes,
          delimitedField(3, Buffer.concat([3, 5, 9].map((number) => delimitedField(number, value).bytes))).bytes,
          delimitedField(4, delimitedField(6, value).bytes).bytes,
        ]);
        expect(servedCallFrom(bytes)).toEqual(callByCodec(bytes));
      }),
      { numRuns: 500 },
    );
  });

  it('never throws, and never reads another call than the codec does', () => {
    let [read, decided] = [0, 0];
    const captured = fc.constantFrom(...Object.values(capturedEntries)).chain(damaged);
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 256 }), captured, entries.chain(damaged)), (array) => {
        const bytes = Buffer.from(array);
        const call = servedCallFrom(bytes);
        if (isProblem(call)) return;
        const byCodec = strictlyByCodec(bytes);
        if (byCodec === undefined) return;
        read += 1;
        if (byCodec !== null && byCodec.decision !== null) decided += 1;
        expect(call).toEqual(byCodec);
      }),
      { numRuns: 4_000 },
    );
    expect(read).toBeGreaterThan(100);
    expect(decided).toBeGreaterThan(50);
  });
});

const text = (number: number, content: string): Buffer => delimitedField(number, Buffer.from(content)).bytes;
const within = (numbers: readonly number[], ...content: readonly Buffer[]): Buffer =>
  numbers.reduceRight<Buffer>((inner, number) => delimitedField(number, inner).bytes, Buffer.concat(content));
const number = (field: number, value: number): Buffer => varintField(field, value).bytes;
const both = (part: Buffer): Buffer => Buffer.concat([part, part]);
/** An encoded metadata value of our namespace. */
const value = (key: string, ...content: readonly Buffer[]): Buffer =>
  within([1], text(1, key), within([2], ...content));
const ours = (...content: readonly Buffer[]): Buffer =>
  within([1, 17, 1], text(1, 'envoy.filters.http.ext_authz'), within([2], ...content));
const decisionId = value('decision_id', text(3, DECISION));

describe('servedCallFrom of entries that Envoy never writes', () => {
  it.each([
    ['properties twice', both(within([1])), 'a field is repeated'],
    ['a request twice', both(within([3], number(1, 1))), 'a field is repeated'],
    ['a status twice', within([4], both(within([1], number(1, 200)))), 'a field is repeated'],
    ['the value of a status twice', within([4, 1], both(number(1, 200))), 'a field is repeated'],
    ['a type twice', within([1], number(33, 6), number(33, 8)), 'a field is repeated'],
    ['a duration twice', within([1], both(within([23]))), 'a field is repeated'],
    ['metadata twice', within([1], both(within([17]))), 'a field is repeated'],
    ['a flag twice', within([1, 16], both(number(6, 1))), 'a field is repeated'],
    ['a path twice', within([3], text(5, '/a'), text(5, '/b')), 'a field is repeated'],
    ['a name of two kinds', within([1, 4, 5, 1], text(1, 'spiffe://a'), text(2, 'a')), 'a field is repeated'],
    ['a value of two kinds', ours(value('decision_id', text(3, DECISION), number(4, 1))), 'a field is repeated'],
    ['a value without end', ours(value('decision_id', Buffer.from('1a24', 'hex'))), 'a field goes beyond its message'],
    ['a decision twice', ours(decisionId, decisionId), 'a map has a key twice'],
    [
      'our namespace twice',
      within([1, 17], both(within([1], text(1, 'envoy.filters.http.ext_authz')))),
      'a map has a key twice',
    ],
    [
      'a value before its key',
      ours(within([1], within([2], text(3, DECISION)), text(1, 'decision_id'))),
      'a map has a value before its key',
    ],
    [
      'a namespace after its content',
      within([1, 17, 1], within([2], decisionId), text(1, 'envoy.filters.http.ext_authz')),
      'a map has a value before its key',
    ],
    ['a path as a number', within([3], number(5, 1)), 'a field has another wire type'],
    ['properties as a number', number(1, 1), 'a field has another wire type'],
    ['a size as text', within([3], text(12, 'a')), 'a field has another wire type'],
    ['a group', Buffer.from('7b7c', 'hex'), 'a field has an unknown wire type'],
    [
      'a number of 70 bits',
      within([3], Buffer.from('60ffffffffffffffffff7f', 'hex')),
      'a number is incomplete or too long',
    ],
    ['a number without end', within([3], Buffer.from('60ffff', 'hex')), 'a number is incomplete or too long'],
    ['nanoseconds of 33 bits', within([1, 23], number(2, 2 ** 32)), 'a number has more bits than its field'],
    ['a part beyond its message', Buffer.from('0a020a0501020304050607', 'hex'), 'a field goes beyond its message'],
  ])('refuses %s', (_name, bytes, detail) => {
    expect(servedCallFrom(bytes)).toEqual({ problem: `not an access log entry: ${detail}` });
  });

  it.each([
    ['nothing set to nothing', within([1], number(33, 0), within([16]), within([17]), text(15, '')), {}],
    ['a status without a value', within([4, 1]), { status: null }],
    ['a status of 0', within([4, 1], number(1, 0)), { status: 0 }],
    ['a flag that is not set', within([1, 16], number(6, 0)), { flags: [] }],
    ['a refusal without details', within([1, 16, 13]), { flags: ['UAEX'] }],
    ['an empty duration', within([1, 23]), { durationMs: 0 }],
    [
      'a negative duration',
      within([1, 23], Buffer.from('08ffffffffffffffffff0110ffffffffffffffffff01', 'hex')),
      { durationMs: 0 },
    ],
    [
      'a size of 64 bits',
      within([3], Buffer.from('60ffffffffffffffffff01', 'hex')),
      { requestBytes: Number.MAX_SAFE_INTEGER },
    ],
    [
      'the header of a failed check among others',
      within(
        [3],
        within([13], text(1, 'a')),
        both(within([13], text(1, 'x-envoy-auth-failure-mode-allowed'), text(2, 'true'))),
        within([13], text(1, 'b')),
      ),
      { isFailureModeAllowed: true },
    ],
  ])('reads %s as the codec does', (_name, bytes, expected) => {
    expect(servedCallFrom(bytes)).toEqual(callByCodec(bytes));
    expect(servedCallFrom(bytes)).toMatchObject(expected);
  });

  it('ignores an empty map entry', () => {
    expect(servedCallFrom(within([1, 17, 1]))).toMatchObject({ state: 'ended', decision: null });
  });

  it('keeps no more of a message than the call contains', () => {
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    const path = `/v1/files/${'a'.repeat(100)}`;
    const message = { request: { path: `${path}?secret=${'s'.repeat(60_000)}`, request_id: 'i'.repeat(60_000) } };
    const read = () => Array.from({ length: 100 }, () => servedCallFrom(entryBytes(message)));
    expect(read()[0]).toMatchObject({ path });
    collect();
    const before = getHeapStatistics().used_heap_size;
    const calls = read();
    collect();
    // Strings are on the heap, and a slice keeps the whole string alive.
    expect((getHeapStatistics().used_heap_size - before) / calls.length).toBeLessThan(10_000);
  });
});
