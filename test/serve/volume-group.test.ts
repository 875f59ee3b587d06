import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { startRemit } from '../../src/serve/remit.ts';
import { isStartProblem } from '../../src/serve/start-problem.ts';
import { closeToVolumeGroup } from '../../src/serve/volume-group.ts';
import { mustConfig } from '../builders/config.ts';
import { baseSchema, exampleCatalog } from '../builders/policy-folder.ts';

/** Opens all in a folder to its group, as the kubelet does for `fsGroup`. */
function openToGroup(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    const mode = statSync(path).mode & 0o7777;
    if (!entry.isSymbolicLink()) chmodSync(path, mode | (entry.isDirectory() ? 0o2770 : 0o660));
  }
  chmodSync(folder, 0o2770);
}

describe('closeToVolumeGroup (issue 38, point 6)', () => {
  let folder = '';
  let volume = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'remit-volume-'));
    volume = join(folder, 'volume');
    mkdirSync(volume, { mode: 0o700 });
    mkdirSync(join(folder, 'policies/policies'), { recursive: true });
    writeFileSync(join(folder, 'policies/base.cedarschema'), baseSchema);
    writeFileSync(join(folder, 'policies/actions.yaml'), exampleCatalog);
    writeFileSync(join(folder, 'policies/policies/all.cedar'), '@id("all") permit (principal, action, resource);\n');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const config = () =>
    mustConfig(
      stringify({
        trustDomains: ['acme.test'],
        admin: { listen: '127.0.0.1:0' },
        extAuthz: { listen: `unix:${folder}/check.sock` },
        policies: join(folder, 'policies'),
        state: `sqlite:${volume}/state.db`,
      }),
      { folder },
    );
  const started = (log: string[] = []) =>
    startRemit(config(), {
      ports: systemPorts,
      environment: {},
      log: (line) => log.push(line),
      onFatal: (error) => {
        throw new Error(error);
      },
    });
  const runOnce = async (log?: string[]): Promise<void> => {
    const remit = await started(log);
    if (isStartProblem(remit)) throw new Error(remit.problem);
    await remit.close();
  };
  const open = (): readonly string[] =>
    readdirSync(volume, { recursive: true, encoding: 'utf8' }).filter(
      (name) => (statSync(join(volume, name)).mode & 0o077) !== 0,
    );

  it('lets a process start with state and keys that the kubelet opened to the group of their volume, and says so', async () => {
    await runOnce();
    openToGroup(volume);
    expect(open()).toEqual(expect.arrayContaining(['state.db', 'ledger-key.pem', 'ledger']));
    const log: string[] = [];
    await runOnce(log);
    expect(open()).toEqual([]);
    expect(log.filter((line) => line.includes('fsGroup'))).toEqual([
      expect.stringMatching(
        /^the group of the volume could write \d+ own files and folders \(`fsGroup`\): closed again$/,
      ),
    ]);
  });

  it('changes nothing without the mark of the kubelet, so that the process refuses to start', async () => {
    await runOnce();
    openToGroup(volume);
    chmodSync(volume, 0o770);
    expect(closeToVolumeGroup(config())).toBe(0);
    expect(await started()).toMatchObject({ problem: expect.stringContaining('open to others: 0600 is required') });
  });

  it('changes nothing that everybody may read, and follows no link', async () => {
    await runOnce();
    const elsewhere = join(folder, 'elsewhere');
    writeFileSync(elsewhere, '');
    chmodSync(elsewhere, 0o660);
    symlinkSync(elsewhere, join(volume, 'link'));
    writeFileSync(join(volume, 'all'), '');
    openToGroup(volume);
    chmodSync(join(volume, 'all'), 0o664);
    expect(closeToVolumeGroup(config())).toBeGreaterThan(1);
    expect(statSync(elsewhere).mode & 0o777).toBe(0o660);
    expect(open().toSorted()).toEqual(['all', 'link']);
  });

  it('enters eight folders that lie in each other, of thousands that somebody in the group may have made', () => {
    for (const name of ['ledger-key.pem', 'state.db']) writeFileSync(join(volume, name), '', { mode: 0o600 });
    const deep = Array.from({ length: 12 }, (_, at) => join(volume, ...Array.from({ length: at + 1 }, () => 'd')));
    for (const path of deep) mkdirSync(path, { mode: 0o700 });
    openToGroup(volume);
    closeToVolumeGroup(config());
    const open = deep.map((path) => (statSync(path).mode & 0o070) !== 0);
    expect(open).toEqual(deep.map((_, at) => at >= 9));
  });
});
