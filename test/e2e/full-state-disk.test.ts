import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { freePort } from '../free-port.ts';
import { fillDisk } from '../full-disk.ts';
import { describeWith } from '../parts.ts';
import { until } from '../until.ts';
import { remit } from './process.ts';
import type { Running } from './process.ts';

const folder = mkdtempSync(join(tmpdir(), 'remit-full-'));
const disk = join(folder, 'disk');
let started: Running | null = null;

const mountSmall = (): string | null => {
  try {
    execFileSync('mkdir', [disk]);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'tmpfs', disk], { stdio: 'ignore' });
    return disk;
  } catch {
    return null;
  }
};
const found = mountSmall();

afterAll(async () => {
  started?.child.kill('SIGKILL');
  await started?.exit;
  if (found !== null) execFileSync('umount', ['-l', found]);
  rmSync(folder, { recursive: true, force: true });
});

interface Said {
  readonly event: string;
  readonly message: string;
  readonly what?: string;
}

const linesOf = (running: Running): readonly Said[] =>
  running
    .err()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Said);

const part = { name: 'root, to mount a tmpfs of 4 MiB', found, enable: 'sudo npm test' };

describeWith(part, 'remit serve with its state file on a full disk', (at) => {
  it('is reported once in log, readiness and metrics, and once more when it is over', async () => {
    cpSync(resolve(import.meta.dirname, '../../cedar-policies'), join(folder, 'policies'), { recursive: true });
    const file = join(folder, 'remit.yaml');
    const port = await freePort();
    const config = {
      trustDomains: ['acme.test'],
      extAuthz: { listen: `unix:${folder}/check.sock` },
      admin: { listen: `127.0.0.1:${port}` },
      policies: 'policies',
      state: `sqlite:${at}/state.db`,
      ledger: { folder: join(folder, 'ledger') },
      log: { format: 'json' },
    };
    writeFileSync(file, stringify(config), { mode: 0o600 });
    const running = remit(['serve', '--config', file]);
    started = running;
    await running.said('checks on');
    // A server may close a kept connection in the moment in which it is used again.
    const reply = (path: string) => fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } });
    const ask = async (path: string): Promise<string> => (await reply(path)).text();
    const isReady = async (): Promise<boolean> => (await reply('/readyz')).status === 200;
    const faults = (): readonly Said[] => linesOf(running).filter(({ what }) => what === 'state file');
    await until(isReady);
    // The clock mark is written within 10 s.
    fillDisk(join(at, 'ballast'));
    await until(async () => !(await isReady()));
    expect(await ask('/readyz')).toContain('state: the disk under the state file is full');
    await until(() => faults().length > 0);
    const metrics = await ask('/metrics');
    expect(metrics).toMatch(/^remit_state_write_failures_total\{code="full"\} [1-9]/m);
    expect(metrics).toMatch(/^remit_disk_free_bytes\{of="state"\} \d{1,6}$/m);
    expect(metrics).toMatch(/^remit_state_bytes [1-9]/m);
    expect(metrics).toContain('remit_dependency_up{name="state"} 0');
    rmSync(join(at, 'ballast'));
    await until(isReady);
    await until(() => faults().length > 1);
    expect(faults().map(({ event, message }) => [event, message])).toEqual([
      ['fault', 'state file: the disk under the state file is full'],
      ['recovered', 'state file: over: the disk under the state file is full'],
    ]);
    running.child.kill('SIGTERM');
    expect(await running.exit).toBe(0);
    const events = linesOf(running).map(({ event }) => event);
    for (const event of ['start', 'policies-loaded', 'ready', 'not-ready', 'drain']) expect(events).toContain(event);
  });
});
