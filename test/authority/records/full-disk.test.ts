import { execFileSync } from 'node:child_process';
import { readdirSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import type { Section } from '../../../src/authority/records/pack.ts';
import { RecordFiles, recordFilesIn } from '../../../src/authority/records/record-files.ts';
import { scratch } from '../../builders/scratch.ts';
import { fillDisk } from '../../full-disk.ts';
import { describeWith } from '../../parts.ts';
import { portsAt } from '../../core/ledger/log/logs.ts';

const { folder, remove } = scratch();

const mountSmall = (): string | null => {
  const at = folder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs', at], { stdio: 'ignore' });
  } catch {
    return null;
  }
  return at;
};
const disk = mountSmall();
afterAll(() => {
  if (disk !== null) execFileSync('umount', ['-l', disk]);
  remove();
});

const part = { name: 'root, to mount a tmpfs of 1 MiB', found: disk, enable: 'sudo npm test' };

const section: Section = {
  origin: 'acme.test/pod',
  id: 'spiffe://acme.test/pod',
  verifierKey: null,
  term: 1,
  from: 0,
  tree: '',
  last: '',
  leaves: [Buffer.alloc(100, 'x')],
  checkpoints: [],
};

/** How many files of a folder this process has open. */
const openIn = (at: string): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(join('/proc/self/fd', fd)).startsWith(at);
    } catch {
      return false;
    }
  }).length;

describeWith(part, 'received records on a full disk', (at) => {
  it('keeps no file open and leaves none for each write that fails, and goes on once there is room (issue 38, point 4)', async () => {
    const records = join(at, 'records');
    const files = new RecordFiles(records, portsAt(0));
    expect(await files.keep([section])).toBeNull();
    const before = recordFilesIn(records);
    fillDisk(join(at, 'ballast'));
    const large = { ...section, leaves: [Buffer.alloc(8_192, 'x')] };
    for (let n = 0; n < 5; n += 1) expect(await files.keep([large])).toMatch(/ENOSPC/);
    expect([openIn(at), recordFilesIn(records)]).toEqual([0, before]);
    rmSync(join(at, 'ballast'));
    expect(await files.keep([large])).toBeNull();
    expect(recordFilesIn(records)).toHaveLength(before.length + 1);
    await files.close();
  });
});
