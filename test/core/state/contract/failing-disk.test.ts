import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { describeWith, stracePart } from '../../../parts.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../../builders/task.ts';
import { spentIn } from '../state-file.ts';
import { fileImplementations } from './implementations.ts';
import type { OpenState } from './implementations.ts';

// Traced processes start here, which is slow on a loaded machine.

const folder = testFolders();

const key = { issuer: taskNumber(1).issuer, id: taskNumber(1).id };

/** Settles uses on a disk that fails from one system call on, until the process ends or has printed 60 lines; returns these lines. */
async function saidOn(
  strace: string,
  words: readonly string[],
  fault: { readonly call: string; readonly spec: string },
) {
  const log = join(folder(), 'log');
  const { call, spec } = fault;
  const tracing = ['-f', '--seccomp-bpf', '-qq', '-o', log, '-e', `trace=${call}`, '-e', `inject=${call}:${spec}`];
  const script = join(import.meta.dirname, 'killed-settler.ts');
  const child = spawn(strace, [...tracing, process.execPath, '--no-warnings', script, ...words], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let said = '';
  child.stdout.on('data', (data) => {
    said += String(data);
    const pid = /^opened (\d+)$/m.exec(said)?.[1];
    if (pid !== undefined && said.split('\n').length > 60) child.stdout.emit('enough', Number(pid));
  });
  child.stdout.once('enough', (pid: number) => process.kill(pid, 'SIGKILL'));
  await once(child, 'close');
  return { lines: said.split('\n').slice(0, -1), isInjected: readFileSync(log, 'utf8').includes('(INJECTED)') };
}

describeWith(stracePart(), 'a state on a disk that fails', (strace) => {
  it.each(Object.entries<OpenState>(fileImplementations))(
    'with %s, acknowledges nothing that is lost',
    async (name, open: OpenState) => {
      let injected = 0;
      for (const call of ['fsync', 'pwrite64']) {
        for (const [error, when] of [
          ['EIO', 4],
          ['EIO', 9],
          ['ENOSPC', 12],
        ] as const) {
          const file = join(folder(), 'state.db');
          const state = await open(file, agreeing());
          await state.authority.insertTask(taskNumber(1), tokenNumber(1), []);
          await state.close();
          const fault = { call, spec: `error=${error}:when=${when}+` };
          const { lines, isInjected } = await saidOn(strace, [name, file, '1'], fault);
          injected += isInjected ? 1 : 0;
          const acknowledged = lines.filter((line) => /^\d+$/.test(line)).map(Number);
          const last = Math.max(0, ...acknowledged);
          const again = await open(file, agreeing());
          expect(spentIn(file, key.id)).toBeGreaterThanOrEqual(acknowledged.length);
          const settle = (n: number) =>
            again.settling.settle({
              decisionId: `decision-${n}`,
              key,
              jtiDigest: 'digest-1',
              spends: [{ kind: 'calls', limit: 1_000_000 }],
            });
          // Acknowledged uses are counted already. Later ones may be, and each counts once.
          const before = spentIn(file, key.id);
          for (const n of acknowledged) expect(await settle(n)).toBeNull();
          expect(spentIn(file, key.id)).toBe(before);
          for (let n = 1; n <= last + 7; n += 1) expect(await settle(n)).toBeNull();
          expect(spentIn(file, key.id)).toBe(Math.max(before, last + 7));
          await again.close();
        }
      }
      expect(injected).toBeGreaterThan(3);
    },
  );
});
