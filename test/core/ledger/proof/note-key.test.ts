import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isKeyName } from '../../../../src/core/runtime/verifier-key.ts';
import { noteKeyFrom, noteKeyOf, noteKeyText } from '../../../../src/core/ledger/proof/note-key.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';
import { anyCharacter } from '../../../builders/any-character.ts';
import { privateKeyOf, publicKeyOf } from '../keys.ts';

/** The example key of golang.org/x/mod/sumdb/note. */
const peter = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';

describe('noteKeyFrom', () => {
  it('reads the example of golang.org/x/mod/sumdb/note, and noteKeyText writes it', () => {
    const key = noteKeyFrom(peter);
    if (isProblem(key)) throw new Error(key.problem);
    expect([key.name, key.id]).toEqual(['PeterNeumann', 'c74f20a3']);
    expect(noteKeyText(key)).toBe(peter);
  });

  it('refuses each part of it', () => {
    for (let start = 0; start <= peter.length; start++) {
      for (let end = start; end <= peter.length; end++) {
        const isWhole = start === 0 && end === peter.length;
        expect('problem' in noteKeyFrom(peter.slice(start, end))).toBe(!isWhole);
      }
    }
  });

  it('refuses it with any single character changed', () => {
    for (let index = 0; index < peter.length; index++) {
      const changed = String.fromCharCode(peter.charCodeAt(index) + 1);
      expect(noteKeyFrom(peter.slice(0, index) + changed + peter.slice(index + 1))).toHaveProperty('problem');
    }
  });

  it.each([
    [
      'a key that is too long, with its own id',
      'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==',
      'must be a note key: `name+id+base64` of an Ed25519 key',
    ],
    [
      'another type, with its own id',
      'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
      'must be a note key of type Ed25519',
    ],
    ['another id', peter.replace('c74f20a3', 'c74f20a4'), 'has the id `c74f20a4`, but its key has `c74f20a3`'],
    ['an id in capitals', peter.replace('c74f', 'C74F'), 'must be a note key: `name+id+base64` of an Ed25519 key'],
    ['a final newline', `${peter}\n`, 'must be a note key: `name+id+base64` of an Ed25519 key'],
    ['a name with a space', peter.replace('rN', 'r N'), 'must be a note key: `name+id+base64` of an Ed25519 key'],
  ])('refuses %s', (_name, text, problem) => {
    expect(noteKeyFrom(text)).toEqual({ problem });
  });

  it('reads what noteKeyText writes, for any key and name', () => {
    const names = fc.string({ minLength: 1, unit: anyCharacter }).filter(isKeyName);
    fc.assert(
      fc.property(names, fc.uint8Array({ minLength: 32, maxLength: 32 }), (name, seed) => {
        const key = noteKeyOf(name, publicKeyOf(privateKeyOf(seed)));
        const read = noteKeyFrom(noteKeyText(key));
        if (isProblem(read)) throw new Error(read.problem);
        expect([read.name, read.id, read.publicKey.equals(key.publicKey)]).toEqual([key.name, key.id, true]);
      }),
    );
  });
});

describe('noteKeyOf', () => {
  it('throws for a key of another kind, and for an invalid name', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expect(() => noteKeyOf('name', publicKey)).toThrow('not an Ed25519 key');
    expect(() => noteKeyOf('a b', publicKey)).toThrow('invalid key name `a b`');
  });
});

describe('isKeyName', () => {
  it.each([
    ['nothing', ''],
    ['a space', 'a b'],
    ['a no-break space', 'a\u00a0b'],
    ['an ideographic space', 'a\u3000b'],
    ['a next line', 'a\u0085b'],
    ['a plus', 'a+b'],
    ['a newline', 'a\n'],
    ['a control character', 'a\u0001'],
    ['a lone surrogate', 'a\ud800'],
    ['513 characters', 'a'.repeat(513)],
  ])('refuses %s', (_name, text) => {
    expect(isKeyName(text)).toBe(false);
  });

  it.each(['remit.prod.example/edge-7/3f9c', 'ñ', 'a'.repeat(512)])('accepts %s', (text) => {
    expect(isKeyName(text)).toBe(true);
  });
});
