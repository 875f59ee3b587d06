import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { canonicalJson, type JsonValue } from '../../../../src/core/ledger/canonical-json.ts';
import { leafFrom } from '../../../../src/core/ledger/proof/leaf.ts';
import { isPlainLeaf } from '../../../../src/core/ledger/proof/plain-leaf.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';

const boot = '0123456789abcdef0123456789abcdef';
const prev = Buffer.alloc(32, 9).toString('base64');
const around = (record: string, { mono = '12', link = prev, seq = '2' } = {}): string =>
  `{"boot":"${boot}","mono":${mono},"prev":"${link}","record":${record},"seq":${seq}}`;
const isPlain = (text: string | Uint8Array, place = { prev, seq: 2 }): boolean => isPlainLeaf(Buffer.from(text), place);
const isAccepted = (text: Uint8Array, place = { prev, seq: 2 }): boolean => {
  const leaf = leafFrom(text);
  return !isProblem(leaf) && leaf.prev === place.prev && leaf.seq === place.seq;
};

const use = `{"action":"files.read","at":1795794102217,"detail":null,"durationMs":183.558,"flags":[],"known":true,"late":false,"none":{},"policyIds":["a","b-c"],"reuse":[{"x":1}]}`;

const ofLength = (bytes: number): string => around(`{"a":"${'x'.repeat(bytes - around('{"a":""}').length)}"}`);

describe('isPlainLeaf', () => {
  it.each<[string, string]>([
    ['a record with every kind of value', use],
    ['an empty record', '{}'],
    ['numbers as ECMAScript writes them', '{"a":0,"b":999999999999999,"c":0.000001,"d":123456789.123456}'],
    ['names of which one begins as the other', '{"a":1,"a ":1,"aa":1}'],
  ])('accepts %s', (_, record) => {
    expect(isPlain(around(record))).toBe(true);
    expect(isAccepted(Buffer.from(around(record)))).toBe(true);
  });

  it('accepts record 1, which has no link', () => {
    expect(isPlain(around('{}', { link: '', seq: '1' }), { prev: '', seq: 1 })).toBe(true);
  });

  it.each<[string, string]>([
    ['another number', around(use, { seq: '3' })],
    ['another link', around(use, { link: Buffer.alloc(32, 8).toString('base64') })],
    ['no link', around(use, { link: '' })],
    ['a member too many', around(use).replace('"seq"', '"see":1,"seq"')],
    ['a byte after it', `${around(use)} `],
    ['a line end', around('{"a":"\n"}')],
    ['white space', around('{"a": 1}')],
    ['members out of order', around('{"b":1,"a":1}')],
    ['a name that begins like the name before it and is shorter', around('{"aa":1,"a":1}')],
    ['a member twice', around('{"a":1,"a":1}')],
    ['a needless escape', around('{"a":"\\u0041"}')],
    ['a zero in front', around('{"a":01}')],
    ['a zero at the end', around('{"a":1.50}')],
    ['a point alone', around('{"a":1.}')],
    ['minus zero', around('{"a":-0}')],
    ['an exponent', around('{"a":1e3}')],
    ['a small number without an exponent', around('{"a":0.0000001}')],
    ['more digits than a double has', around('{"a":12345678901234567891}')],
    ['a list for a record', around('[]')],
    ['a record that does not end', around('{"a":1')],
    ['a comma after the last member', around('{"a":1,}')],
    ['a comma after the last item', around('{"a":[1,]}')],
    ['a word cut short', around('{"a":nul}')],
    ['a boot id in capitals', around(use).replace('abcdef', 'ABCDEF')],
    ['a negative clock', around(use, { mono: '-1' })],
    ['nothing', ''],
  ])('does not accept %s, as `leafFrom` does not', (_, text) => {
    expect(isPlain(text)).toBe(false);
    expect(isAccepted(Buffer.from(text))).toBe(false);
  });

  it('leaves to `leafFrom` what is not written plainly', () => {
    const deep = `{"a":${'['.repeat(20)}${']'.repeat(20)}}`;
    for (const record of ['{"a":"é"}', '{"a":"\\n"}', '{"a":-1}', '{"a":1e+21}', deep]) {
      expect(isPlain(around(record))).toBe(false);
      expect(isAccepted(Buffer.from(around(record)))).toBe(true);
    }
  });

  it('leaves a leaf of 65,536 bytes to `leafFrom`', () => {
    expect(isPlain(ofLength(65_535))).toBe(true);
    expect(isPlain(ofLength(65_536))).toBe(false);
  });

  it('accepts nothing that `leafFrom` does not, for any canonical record with some bytes changed', () => {
    const plain = fc.string({ maxLength: 4 });
    const value = fc.jsonValue({ maxDepth: 3 });
    const records = fc.oneof(
      fc.dictionary(plain, fc.oneof(plain, fc.nat(), fc.double(), fc.boolean(), value)),
      fc.dictionary(fc.constantFrom('a', 'b', 'aa', '1', '10', '2', '__proto__'), fc.nat(20)),
    );
    const changes = fc.array(
      fc.tuple(fc.nat(), fc.constantFrom(...Buffer.from('"\\{}[],:.-+eE01 \nnultrfab\u0000é'))),
      {
        maxLength: 3,
      },
    );
    let accepted = 0;
    fc.assert(
      fc.property(records, changes, (record, changed) => {
        const canonical = canonicalJson(record as JsonValue);
        if (typeof canonical !== 'string') return;
        const bytes = Buffer.from(around(canonical));
        for (const [at, byte] of changed) bytes[at % bytes.length] = byte;
        if (!isPlain(bytes)) return;
        accepted += 1;
        expect(isAccepted(bytes)).toBe(true);
      }),
      { numRuns: 3_000 },
    );
    expect(accepted).toBeGreaterThan(300);
  });
});
