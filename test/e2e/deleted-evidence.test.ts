import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { ledgerVerify } from '../../src/cli/ledger/ledger-verify.ts';
import { addUse, ran, segmentsOf, START_MS } from '../cli/ledgers.ts';
import { mustOpenLog, portsAt } from '../core/ledger/log/logs.ts';
import { until } from '../until.ts';
import { remit, type Running } from './process.ts';
import { soundSettings } from './sound-settings.ts';
import { killedAfterEach } from './killed.ts';
import { testFolders } from '../builders/test-folders.ts';

/** Issue 14, point 1: the attack as it was tried, on a ledger of eight segments with a retention of 400 days. */
describe('evidence that was deleted', () => {
  const folders = testFolders();
  let folder = '';
  let config = '';
  let key = '';
  const killed = killedAfterEach();
  const ledger = (): string => join(folder, 'ledger');
  const anchors = (): string => join(folder, 'elsewhere.txt');

  beforeEach(async () => {
    folder = folders();
    config = join(folder, 'remit.yaml');
    await writeFile(config, stringify(await soundSettings(folder)));
    const settings = {
      folder: ledger(),
      trustDomain: 'acme.test',
      name: 'main',
      keyFile: join(folder, 'ledger-key.pem'),
      checkpointFile: join(folder, 'checkpoints.txt'),
      segment: { maxBytes: 1, maxAgeMs: 3_600_000 },
      retain: { maxBytes: 1024 ** 4, maxAgeMs: 400 * 86_400_000 },
    };
    const log = mustOpenLog(settings, portsAt(START_MS));
    key = log.verifierKey;
    for (let n = 1; n <= 21; n++) {
      addUse(log, n);
      if (n % 3 === 0) log.checkpoint();
    }
    log.close();
    expect(segmentsOf(ledger())).toHaveLength(8);
    await cp(settings.checkpointFile, anchors());
  });

  const serve = (): Running => killed(remit(['serve', '--config', config]));
  const verify = () => ran(ledgerVerify, '--key', key, '--ledger', ledger(), '--anchors', anchors());

  it('is detected by `verify`, and `serve` refuses to sign over it', async () => {
    expect(await verify()).toMatchObject({ exit: 0 });
    const deleted = segmentsOf(ledger()).slice(0, 3);
    const kept = join(folder, 'kept');
    await cp(ledger(), kept, { recursive: true });
    for (const path of deleted) await rm(path);
    const broken = 'BROKEN: records 1 to 12 are missing, and no signed record says that they were pruned\n';
    expect(await verify()).toMatchObject({ exit: 3, out: expect.stringContaining(broken) });

    const notes = await readFile(join(folder, 'checkpoints.txt'), 'utf8');
    const refused = serve();
    expect(await refused.exit).toBe(3);
    expect(refused.err()).toMatch(
      /^remit serve: the ledger cannot be continued: records 1 to 12 are missing, and no signed record says that they were pruned; run `remit ledger verify`, then restore the missing files/m,
    );
    expect(await readFile(join(folder, 'checkpoints.txt'), 'utf8')).toBe(notes);
    expect(await verify()).toMatchObject({ exit: 3, out: expect.stringContaining(broken) });

    // The way out: the files are restored, and everything is as before.
    for (const path of deleted) await cp(join(kept, path.slice(ledger().length)), path);
    const started = serve();
    await until(() => started.err().includes('checks on') || started.child.exitCode !== null);
    started.child.kill('SIGTERM');
    expect(await started.exit).toBe(0);
    expect(await verify()).toMatchObject({ exit: 0, out: expect.stringContaining('anchored   1 to 28\n') });
  });
});
