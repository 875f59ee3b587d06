import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { noteKeyFrom, noteKeyOf, type NoteKey } from '../../../../src/core/ledger/proof/note-key.ts';
import { openedNote, signedNote } from '../../../../src/core/ledger/proof/signed-note.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';
import { anyCharacter } from '../../../builders/any-character.ts';
import { privateKeyOf, publicKeyOf } from '../keys.ts';

const mustKey = (text: string): NoteKey => {
  const key = noteKeyFrom(text);
  if (isProblem(key)) throw new Error(key.problem);
  return key;
};

// The examples of golang.org/x/mod/sumdb/note: keys, text and both signatures.
const peter = mustKey('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
const enoch = mustKey('EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop');
const peterPrivate = privateKeyOf(Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1));
const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const byPeter =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
const byEnoch =
  '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n';

describe('signedNote', () => {
  it('writes the example of golang.org/x/mod/sumdb/note byte for byte', () => {
    expect(signedNote(text, { name: 'PeterNeumann', privateKey: peterPrivate })).toBe(`${text}\n${byPeter}`);
  });

  it.each([
    ['without a final newline', 'abc'],
    ['with a control character', 'a\u0001\n'],
    ['with a carriage return', 'a\r\n'],
    ['with a lone surrogate', '\ud800\n'],
  ])('throws for a text %s', (_name, wrong) => {
    expect(() => signedNote(wrong, { name: 'PeterNeumann', privateKey: peterPrivate })).toThrow(
      'invalid text of a note',
    );
  });

  it('throws for a key of another kind', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expect(() => signedNote(text, { name: 'PeterNeumann', privateKey })).toThrow('not an Ed25519 key');
  });
});

describe('openedNote', () => {
  it.each<[string, string, readonly NoteKey[], readonly NoteKey[]]>([
    ['the only known key', byPeter, [peter], [peter]],
    ['a known key and an unknown key', byPeter + byEnoch, [peter], [peter]],
    ['both known keys', byPeter + byEnoch, [enoch, peter], [peter, enoch]],
    ['a known key, twice', byPeter + byPeter, [peter], [peter]],
    ['the second of two known keys', byEnoch, [enoch, peter], [enoch]],
    ['a known key, after 15 others', byEnoch.repeat(15) + byPeter, [peter], [peter]],
    ['a known key, beside another of its name', byPeter + byPeter.replace('x08g', 'x18g'), [peter], [peter]],
    ['a known key, beside another of its id', byPeter + byPeter.replace('PeterN', 'PaulN'), [peter], [peter]],
  ])('opens a text signed by %s', (_name, signatures, keys, signers) => {
    expect(openedNote(`${text}\n${signatures}`, keys)).toEqual({ text, signers });
  });

  it('ends the text at the last empty line', () => {
    const note = signedNote('a\n\n— b c\n\n', { name: 'PeterNeumann', privateKey: peterPrivate });
    expect(openedNote(note, [peter])).toEqual({ text: 'a\n\n— b c\n\n', signers: [peter] });
  });

  const broken = byPeter.replace('x08go/ZJ', 'x08go/ZK');
  const long = `${'a'.repeat(131_073)}\n\n${byPeter}`;
  it.each<[string, string, string]>([
    ['no known key', `${text}\n${byEnoch}`, 'is not signed by a known key'],
    ['a wrong signature', `${text}\n${broken}`, 'has a wrong signature of `PeterNeumann+c74f20a3`'],
    [
      'a wrong signature after a right signature',
      `${text}\n${byPeter}${broken}`,
      'has a wrong signature of `PeterNeumann+c74f20a3`',
    ],
    ['another text', `${text.replace('don', 'Don')}\n${byPeter}`, 'has a wrong signature of `PeterNeumann+c74f20a3`'],
    ['a short signature', `${text}\n— PeterNeumann x08goxc=\n`, 'has a wrong signature of `PeterNeumann+c74f20a3`'],
    ['17 signatures', `${text}\n${byEnoch.repeat(16)}${byPeter}`, 'has more than 16 signatures'],
    ['131,073 characters', long, 'is longer than 131072 characters'],
    ['no signature', `${text}\n`, 'has a line that is not a signature'],
    ['no empty line', text + byPeter, 'is not a signed note'],
    ['nothing', '', 'is not a signed note'],
    ['no final newline', `${text}\n${byPeter}`.slice(0, -1), 'is not a signed note'],
    ['a control character', `\u0001${text}\n${byPeter}`, 'is not a signed note'],
    ['carriage returns', `${text}\n${byPeter}`.replaceAll('\n', '\r\n'), 'is not a signed note'],
    ['a lone surrogate', `\ud800${text}\n${byPeter}`, 'is not a signed note'],
    ['a line that is not a signature', `${text}\n${byPeter}Unexpected line.\n`, 'has a line that is not a signature'],
    ['a name with a space', `${text}\n${byPeter.replace('rN', 'r N')}`, 'has a line that is not a signature'],
    ['a hyphen for the dash', `${text}\n${byPeter.replace('—', '-')}`, 'has a line that is not a signature'],
    ['a signature of an id alone', `${text}\n— PeterNeumann x08gow==\n`, 'has a line that is not a signature'],
    ['unpadded base64', `${text}\n${byPeter.replace('=', '')}`, 'has a line that is not a signature'],
    ['base64url', `${text}\n${byPeter.replaceAll('/', '_')}`, 'has a line that is not a signature'],
    ['non-zero trailing bits', `${text}\n${byPeter.replace('AM=', 'AN=')}`, 'has a line that is not a signature'],
    ['a tab after the name', `${text}\n${byPeter.replace('n x', 'n\tx')}`, 'is not a signed note'],
  ])('refuses a note with %s', (_name, note, problem) => {
    expect(openedNote(note, [peter])).toEqual({ problem });
  });

  it('opens what signedNote wrote, and nothing with one character changed or removed', () => {
    const line = fc
      .string({ unit: anyCharacter })
      .filter((value) => /^[ -\u{10ffff}]*$/u.test(value) && value.isWellFormed());
    const texts = fc.array(line, { minLength: 1, maxLength: 4 }).map((lines) => `${lines.join('\n')}\n`);
    fc.assert(
      fc.property(texts, fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(), (signed, seed, any) => {
        const privateKey = privateKeyOf(seed);
        const key = noteKeyOf('log.example', publicKeyOf(privateKey));
        const note = signedNote(signed, { name: 'log.example', privateKey });
        expect(openedNote(note, [key])).toEqual({ text: signed, signers: [key] });
        const at = any % note.length;
        const changed = note.slice(0, at) + (note[at] === 'x' ? 'y' : 'x') + note.slice(at + 1);
        expect(openedNote(changed, [key])).toHaveProperty('problem');
        expect(openedNote(note.slice(0, at) + note.slice(at + 1), [key])).toHaveProperty('problem');
      }),
    );
  });
});
