import { once } from 'node:events';
import { chownSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from '@jest/globals';
import { writeIndexFile } from '../../../../src/core/ledger/search/index-write.ts';
import { testFolders } from '../../../builders/test-folders.ts';

const folder = testFolders();

const OWNER = 1_234;

/** The owner of the folder above: puts a link to a file in place of each file that appears, as soon as it does. */
const SWAPPER = `
  const { readdirSync, symlinkSync, unlinkSync } = require('node:fs');
  const { parentPort, workerData: { index, victim } } = require('node:worker_threads');
  parentPort.postMessage('ready');
  for (;;) {
    const name = readdirSync(index).find((each) => each.endsWith('.tmp'));
    if (name === undefined) continue;
    unlinkSync(index + '/' + name);
    symlinkSync(victim, index + '/' + name);
    break;
  }
`;

/** A ledger of another user. */
function ledgerOf(uid: number): string {
  const ledger = join(folder(), 'ledger');
  mkdirSync(ledger);
  chownSync(ledger, uid, uid);
  return ledger;
}

const ofRoot = process.getuid?.() === 0 ? it : it.skip;

describe('writeIndexFile', () => {
  ofRoot('gives file and folder of root to the owner of the ledger', () => {
    const ledger = ledgerOf(OWNER);
    const path = join(ledger, 'index', 'a.index');
    writeIndexFile(path, Buffer.from('index'), '1');
    expect([path, join(ledger, 'index')].map((each) => statSync(each).uid)).toEqual([OWNER, OWNER]);
    expect(readdirSync(join(ledger, 'index'))).toEqual(['a.index']);
  });

  ofRoot(
    'gives no other file of root away, although its owner puts a link to it in place of the new file',
    async () => {
      const ledger = ledgerOf(OWNER);
      const index = join(ledger, 'index');
      mkdirSync(index);
      const victim = join(folder(), 'shadow');
      writeFileSync(victim, 'of root');
      const swapper = new Worker(SWAPPER, { eval: true, workerData: { index, victim } });
      await once(swapper, 'message');
      // So large that the file is swapped while it is written.
      writeIndexFile(join(index, 'a.index'), Buffer.alloc(128 * 1024 ** 2), '1');
      await once(swapper, 'exit');
      expect(statSync(victim).uid).toBe(0);
    },
  );

  it('leaves no temporary file behind if the new file cannot take its place', () => {
    const index = join(folder(), 'index');
    mkdirSync(join(index, 'a.index'), { recursive: true });
    expect(() => writeIndexFile(join(index, 'a.index'), Buffer.from('index'), '1')).toThrow('EISDIR');
    expect(readdirSync(index)).toEqual(['a.index']);
  });
});
