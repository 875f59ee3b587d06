import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { anchorsIn } from '../../../../src/core/ledger/proof/anchor-file.ts';

const note = (size: number): string => `remit.a/b/0\n${size}\nAAAA\n\n— remit.a/b/0 BBBB\n`;
const anchor = (size: number, atMs: number | null = null) => ({ origin: 'remit.a/b/0', note: note(size), atMs });

describe('anchorsIn', () => {
  it.each([
    ['nothing', '', [], false],
    ['one note', note(1), [anchor(1)], false],
    ['appended notes', `${note(1)}\n${note(2)}\n`, [anchor(1), anchor(2)], false],
    [
      'more empty lines, and the line ends of another system',
      `\n\n${note(1)}\n\n\n${note(2)}`.replaceAll('\n', '\r\n'),
      [anchor(1), anchor(2)],
      false,
    ],
    [
      'times of receipt',
      `# received 2026-01-01T00:00:00Z\n${note(1)}\n${note(2)}`,
      [anchor(1, 1_767_225_600_000), anchor(2)],
      false,
    ],
    ['an invalid instant', `# received soon\n${note(1)}`, [anchor(1)], false],
    ['a truncated note', `${note(1)}\nremit.a/b/0\n2`, [anchor(1)], true],
    ['a cosigned note', `${note(1)}— w CCCC\n`, [{ ...anchor(1), note: `${note(1)}— w CCCC\n` }], false],
    [
      'requests of a collector',
      `${JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue: note(3) }, timeUnixNano: '1' }, { body: { stringValue: 'x' } }, {}, null] }] }, null] })}\n{}\n`,
      [anchor(3)],
      false,
    ],
    ['a truncated request', `{}\n{"resourceLogs":[`, [], true],
  ])('reads %s', (_name, text, anchors, isCut) => {
    expect(anchorsIn(text)).toEqual({ anchors, isCut });
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void anchorsIn(text)));
  });
});
