import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import {
  checkpointFrom,
  checkpointText,
  openedCheckpoint,
  signedCheckpoint,
} from '../../../../src/core/ledger/proof/checkpoint.ts';
import { noteKeyOf } from '../../../../src/core/ledger/proof/note-key.ts';
import { isKeyName } from '../../../../src/core/runtime/verifier-key.ts';
import { signedNote } from '../../../../src/core/ledger/proof/signed-note.ts';
import { privateKeyOf, publicKeyOf } from '../keys.ts';

/** The example of C2SP tlog-checkpoint. */
const example = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n';
const root = Buffer.from('CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=', 'base64');

describe('checkpointFrom', () => {
  it('reads the example of C2SP tlog-checkpoint, and checkpointText writes it', () => {
    const checkpoint = { origin: 'example.com/behind-the-sofa', size: 20_852_163, root };
    expect(checkpointFrom(example)).toEqual(checkpoint);
    expect(checkpointText(checkpoint)).toBe(example);
  });

  it('reads what checkpointText writes', () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(fc.string({ minLength: 1 }).filter(isKeyName), fc.maxSafeNat(), hash, (origin, size, bytes) => {
        const checkpoint = { origin, size, root: Buffer.from(bytes) };
        expect(checkpointFrom(checkpointText(checkpoint))).toEqual(checkpoint);
      }),
    );
  });

  const lines = 'must be the three lines of a checkpoint';
  const size = 'must have a size in decimal, without leading zeros';
  const hash = 'must have a root of 32 bytes in base64';
  it.each<[string, string, string]>([
    ['nothing', '', lines],
    ['two lines', 'a\n1\n', lines],
    ['no final newline', example.slice(0, -1), lines],
    ['an extension line', `${example}more\n`, lines],
    ['an extension without its newline', `${example}more`, lines],
    ['an empty line', `${example}\n`, lines],
    ['no origin', `\n1\n${root.toString('base64')}\n`, 'must have an origin that can name a key'],
    ['an origin with a space', example.replace('-', ' '), 'must have an origin that can name a key'],
    ['a leading zero', example.replace('208', '0208'), size],
    ['a sign', example.replace('208', '+208'), size],
    ['hexadecimal', example.replace('20852163', '0x10'), size],
    ['an exponent', example.replace('20852163', '1e3'), size],
    ['no size', example.replace('20852163', ''), size],
    ['a size that is not safe', example.replace('20852163', '9007199254740992'), size],
    ['many digits', example.replace('20852163', '1'.repeat(400)), size],
    ['a short root', `a\n1\n${root.subarray(1).toString('base64')}\n`, hash],
    ['a long root', `a\n1\n${Buffer.concat([root, root]).toString('base64')}\n`, hash],
    ['an unpadded root', example.replace('=', ''), hash],
    ['trailing bits', example.replace('q2I=', 'q2J='), hash],
    ['a root with a space', example.replace('=', '= '), hash],
  ])('refuses %s', (_name, text, problem) => {
    expect(checkpointFrom(text)).toEqual({ problem });
  });
});

describe('openedCheckpoint', () => {
  const privateKey = privateKeyOf(Buffer.alloc(32, 1));
  const origin = 'remit.prod.example/edge-7/00000000000000000000000000000001';
  const key = noteKeyOf(origin, publicKeyOf(privateKey));
  const checkpoint = { origin, size: 7, root };

  it('opens what signedCheckpoint signed', () => {
    expect(openedCheckpoint(signedCheckpoint(checkpoint, privateKey), key)).toEqual(checkpoint);
  });

  it.each<[string, string, string]>([
    [
      'a checkpoint of another log, signed under its name',
      signedCheckpoint({ ...checkpoint, origin: 'other' }, privateKey),
      'is not signed by a known key',
    ],
    [
      'a checkpoint of another log, signed under this name',
      signedNote(checkpointText({ ...checkpoint, origin: 'other' }), { name: origin, privateKey }),
      `has the origin \`other\`, expected \`${origin}\``,
    ],
    [
      'a checkpoint of another key under this name',
      signedCheckpoint(checkpoint, privateKeyOf(Buffer.alloc(32, 2))),
      'is not signed by a known key',
    ],
    [
      'a note that is not a checkpoint',
      signedNote('hello\n', { name: origin, privateKey }),
      'must be the three lines of a checkpoint',
    ],
  ])('refuses %s', (_name, note, problem) => {
    expect(openedCheckpoint(note, key)).toEqual({ problem });
  });
});
