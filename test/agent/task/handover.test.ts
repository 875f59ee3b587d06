import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { handOver } from '../../../src/agent/task/handover.ts';
import type { TaskCredential } from '../../../src/agent/task/issuer-client.ts';
import { issuerProblem } from '../../../src/agent/task/issuer-problem.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { HeldTimers } from '../../core/identity/held-timers.ts';

const folder = testFolders();

const credential = (token: string, askedAtMs: number): TaskCredential => ({
  taskId: '0198c0de-0000-7000-8000-000000000001',
  token,
  type: 'Bearer',
  askedAtMs,
  expiresAtMs: askedAtMs + 300_000,
  boundTo: 'a-thumbprint',
});

/** A token in a file, whose renewal the test begins. */
const inFile = async (further: () => Promise<TaskCredential>) => {
  const [of, timers, told] = [folder(), new HeldTimers(), [] as string[]];
  let nowMs = 0;
  const handover = must(
    await handOver(
      { file: join(of, 'token') },
      { credential: credential('first', 0), generation: 1 },
      {
        client: { further, task: async () => issuerProblem('unreachable', 'no issuer') },
        svid: { thumbprint: () => null },
        nowMs: () => nowMs,
        after: timers.after,
        tell: (line) => void told.push(line),
        heartbeatMs: () => Infinity,
        ports: systemPorts,
      },
    ),
  );
  const renew = async (): Promise<void> => {
    nowMs += 210_000;
    timers.fire();
    await new Promise(setImmediate);
  };
  return { handover, timers, told, renew, files: () => readdirSync(of), path: join(of, 'token') };
};

describe('handOver of a token in a file', () => {
  it('leaves no file behind if it is closed while a new token is being written', async () => {
    const { handover, renew, files, path } = await inFile(async () => credential('second', 210_000));
    expect(readFileSync(path, 'utf8')).toBe('first');
    await renew();
    await handover.close();
    expect(files()).toEqual([]);
  });

  it('goes on after a renewal that throws, and says so', async () => {
    const { handover, renew, timers, told } = await inFile(() => Promise.reject(new Error('broken')));
    await renew();
    expect([told, timers.delays.length]).toEqual([['the token could not be renewed: Error: broken'], 1]);
    await handover.close();
    expect(timers.delays).toEqual([]);
  });
});
