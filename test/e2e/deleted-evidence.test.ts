import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { ledgerVerify } from '../../src/cli/ledger/ledger-verify.ts';
import { addUse, ran, segmentsOf, START_MS } from '../cli/ledgers.ts';
import { mustOpenLog, portsAt } from '../core/ledger/log/logs.ts';
import { until } from '../until.ts';
import { remit, type Running } from './process.ts';

const examples = resolve(import.meta.dirname, '../../cedar-policies');

/** Issue 14, point 1: the attack as it was tried, on a ledger of eight segments with a retention of 400 days. */
describe('evidence that was deleted', () => {
  let folder = '';
  let config = '';
  let key = '';
  const running: Running[] = [];
  const ledger = (): string => join(folder, 'ledger');
  const anchors = (): string => join(folder, 'elsewhere.txt');

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-evidence-'));
    await cp(examples, join(folder, 'policies'), { recursive: true });
    config = join(folder, 'remit.yaml');
    await writeFile(
      config,
      stringify({
        trustDomains: ['acme.test'],
        extAuthz: { listen: `unix:${folder}/check.sock` },
        admin: { listen: '127.0.0.1:0' },
        policies: 'policies',
        state: 'sqlite:state.db',
      }),
    );
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
  afterEach(async () => {
    for (const { child, exit } of running.splice(0)) {
      child.kill('SIGKILL');
      await exit;
    }
    await rm(folder, { recursive: true, force: true });
  });

  const serve = (): Running => {
    const started = remit(['serve', '--config', config]);
    running.push(started);
    return started;
  };
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
