import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { canonicalJson, type JsonValue } from '../../../../src/core/ledger/canonical-json.ts';
import { leafBytes, leafFrom } from '../../../../src/core/ledger/proof/leaf.ts';
import { anyCharacter } from '../../../builders/any-character.ts';

const boot = '0123456789abcdef0123456789abcdef';
const hash = Buffer.alloc(32, 9);
const text =
  `{"boot":"${boot}","mono":12.5,"prev":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=",` +
  `"record":{"at":1,"kind":"end"},"seq":2}`;

const record = (length: number): Buffer => Buffer.from(`{"a":"${'x'.repeat(length - 8)}"}`);
describe('leafBytes', () => {
  it('writes a leaf in the documented form', () => {
    const bytes = leafBytes(Buffer.from('{"at":1,"kind":"end"}'), { boot, mono: 12.5, prev: hash, seq: 2 });
    expect(Buffer.from(bytes as Uint8Array).toString()).toBe(text);
  });

  it('is canonical JSON that leafFrom reads, for any canonical record', () => {
    const places = fc.record({
      mono: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
      seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    });
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: anyCharacter }), fc.jsonValue()), places, (record, { mono, seq }) => {
        const canonical = canonicalJson(record as JsonValue);
        if (typeof canonical !== 'string') return;
        const prev = seq === 1 ? null : hash;
        const bytes = leafBytes(Buffer.from(canonical), { boot, mono, prev, seq });
        expect(leafFrom(bytes as Uint8Array)).toEqual({
          boot,
          mono: mono === 0 ? 0 : mono,
          prev: prev === null ? '' : prev.toString('base64'),
          record: JSON.parse(canonical) as unknown,
          seq,
        });
      }),
    );
  });

  it('accepts a record up to a leaf of 65,535 bytes', () => {
    const place = { boot, mono: 12.5, prev: hash, seq: 2 };
    const room = 65_535 - (text.length - '{"at":1,"kind":"end"}'.length);
    expect(leafFrom(leafBytes(record(room), place) as Uint8Array)).toMatchObject({ seq: 2 });
    expect(leafBytes(record(room + 1), place)).toEqual({ problem: 'has 65536 bytes, more than 65535' });
  });

  it('adds at most 180 bytes to the record', () => {
    const place = { boot, mono: Number.MAX_VALUE, prev: hash, seq: Number.MAX_SAFE_INTEGER };
    expect((leafBytes(Buffer.from('{}'), place) as Uint8Array).length).toBeLessThanOrEqual(182);
  });
});

describe('leafFrom', () => {
  it.each<[string, string | Uint8Array, string]>([
    ['65,536 bytes', ' '.repeat(65_536), 'has 65536 bytes, more than 65535'],
    ['text that is not UTF-8', Buffer.from(text.replace('end', 'e\xffd'), 'latin1'), 'is not JSON in UTF-8'],
    ['a byte order mark', `\ufeff${text}`, 'is not JSON in UTF-8'],
    ['text that is not JSON', text.slice(1), 'is not JSON in UTF-8'],
    ['nothing', '', 'is not JSON in UTF-8'],
    ['a space', text.replace(':', ': '), 'is not canonical JSON'],
    ['a final newline', `${text}\n`, 'is not canonical JSON'],
    ['members in another order', '{"seq":1,"boot":""}', 'is not canonical JSON'],
    ['a duplicate member', text.replace('"seq":2', '"seq":1,"seq":2'), 'is not canonical JSON'],
    ['another spelling of a number', text.replace('12.5', '12.50'), 'is not canonical JSON'],
    ['a number that is not finite', text.replace('12.5', '1e999'), 'is not canonical JSON'],
    ['an escape too many', text.replace('end', '\\u0065nd'), 'is not canonical JSON'],
    ['65 levels', `${'['.repeat(65)}${']'.repeat(65)}`, 'is not canonical JSON'],
    ['30,000 levels', `${'['.repeat(30_000)}${']'.repeat(30_000)}`, 'is not canonical JSON'],
    ['an array', '[]', 'must be an object'],
    ['null', 'null', 'must be an object'],
    ['a member too few', text.replace(/"mono":12.5,/, ''), 'member `mono` must be a number, 0 or more'],
    ['a member too many', text.replace('"seq":2', '"seq":2,"z":1'), 'has an unknown member `z`'],
    ['a boot in capitals', text.replace('abc', 'ABC'), 'member `boot` must be 16 bytes in hex'],
    ['a mono below 0', text.replace('12.5', '-1'), 'member `mono` must be a number, 0 or more'],
    ['a mono that is text', text.replace('12.5', '"1"'), 'member `mono` must be a number, 0 or more'],
    ['a short prev', text.replace(/CQ.*=/, 'CQkJ'), 'member `prev` must be empty or 32 bytes in base64'],
    ['trailing bits in prev', text.replace('Qk=', 'Ql='), 'member `prev` must be empty or 32 bytes in base64'],
    ['a record that is a list', text.replace(/\{"at.*"end"\}/, '[]'), 'member `record` must be an object'],
    ['a record that is null', text.replace(/\{"at.*"end"\}/, 'null'), 'member `record` must be an object'],
    ['number 0', text.replace('"seq":2', '"seq":0'), 'member `seq` must be a whole number from 1 to 9007199254740991'],
    ['no prev in record 2', text.replace(/CQ.*=/, ''), 'must have an empty `prev` in record 1, and there alone'],
    ['a prev in record 1', text.replace('q":2', 'q":1'), 'must have an empty `prev` in record 1, and there alone'],
  ])('refuses %s', (_name, stored, problem) => {
    expect(leafFrom(typeof stored === 'string' ? Buffer.from(stored) : stored)).toEqual({ problem });
  });
});
