import { describe, expect, it } from '@jest/globals';
import { LogPages } from '../../../../src/core/ledger/log/log-pages.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { incoming, mustOpenLog, portsAt, settingsIn } from './logs.ts';

const folder = testFolders();

const FILE = 'f'.repeat(32);

describe('LogPages', () => {
  it('has the records after a checkpoint that began one segment and pruned another', () => {
    const settings = settingsIn(folder(), {
      segment: { maxBytes: 1, maxAgeMs: 3_600_000 },
      retain: { maxBytes: 1024 ** 3, maxAgeMs: 2 },
    });
    const clock = { nowMs: 1_000 };
    const log = mustOpenLog(settings, { ...portsAt(0), nowMs: () => clock.nowMs });
    const pages = new LogPages(settings.folder);
    let [size, signed] = [0, 0];
    for (let n = 1; n <= 6; n++) {
      clock.nowMs += 1;
      expect(log.append([incoming(n)], FILE)).toBeNull();
      log.checkpoint();
      const head = pages.head();
      const page = pages.after(size, signed);
      expect(head).toMatchObject({ size: log.size });
      expect(page).toMatchObject({ leaves: { from: size, count: log.size - size }, checkpoint: expect.any(String) });
      [size, signed] = [log.size, log.size];
    }
    expect(pages.after(0, 0)).toEqual({ problem: 'record 1 was pruned before it was acknowledged' });
    pages.close();
    log.close();
  });
});
