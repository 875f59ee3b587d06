/** The program that watches over one run, and cleans up after its wrapper was killed. */
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { IssuerPlace } from '../task/issuer-call.ts';
import type { WatcherNote } from './watched.ts';

/**
 * The program of `Watcher`: reads from the wrapper, and if the pipe ends without a goodbye, ends the command and its tasks.
 * It is a program of its own, so it uses its own `process`. It prints nothing.
 */

interface Known {
  issuer: IssuerPlace | null;
  tasks: readonly string[];
  file: string | null;
  svidFiles: readonly string[];
  privateFolder: string | null;
  pid: number | null;
  /** Start time of the command by the kernel: its process id may have been reused. */
  startedAt: string | null;
}

const known: Known = {
  issuer: null,
  tasks: [],
  file: null,
  svidFiles: [],
  privateFolder: null,
  pid: null,
  startedAt: null,
};

for await (const line of createInterface({ input: process.stdin })) {
  const note = noteFrom(line);
  if ('bye' in note) process.exit(0);
  Object.assign(known, note, 'pid' in note ? { startedAt: startOf(note.pid) } : {});
}
if (known.pid !== null && startOf(known.pid) === known.startedAt) terminate(known.pid);
for (const path of [...(known.file === null ? [] : [known.file]), ...known.svidFiles])
  await rm(path, { force: true }).catch(() => undefined);
if (known.privateFolder !== null)
  await rm(known.privateFolder, { recursive: true, force: true }).catch(() => undefined);
const { issuer, tasks } = known;
if (issuer !== null && tasks.length > 0) {
  // Loaded on demand: a waiting watcher, which is nearly all of its life, should be small.
  const { cancelTask } = await import('../task/cancel-task.ts');
  await Promise.all(tasks.map((task) => cancelTask(issuer, task)));
}

/** Only the wrapper writes here, and only notes; its death may truncate the last note. */
function noteFrom(line: string): WatcherNote | Record<string, never> {
  try {
    return JSON.parse(line) as WatcherNote;
  } catch {
    return {};
  }
}

function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function terminate(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    // It has already ended.
  }
}
