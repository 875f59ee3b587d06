import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { IssuerPlace } from './issuer-call.ts';
import type { WatcherNote } from './watched.ts';

/**
 * The program of `Watcher`: listens to the wrapper, and where it falls silent without a goodbye, ends the command and the
 * task. A program of its own, so it reads its own `process`. It never says anything.
 */

interface Known {
  issuer: IssuerPlace | null;
  task: string | null;
  file: string | null;
  pid: number | null;
  /** When the command was started, as the kernel counts: its process id alone may be another's by then. */
  startedAt: string | null;
}

const known: Known = { issuer: null, task: null, file: null, pid: null, startedAt: null };

for await (const line of createInterface({ input: process.stdin })) {
  const note = noteFrom(line);
  if ('bye' in note) process.exit(0);
  Object.assign(known, note, 'pid' in note ? { startedAt: startOf(note.pid) } : {});
}
if (known.pid !== null && startOf(known.pid) === known.startedAt) terminate(known.pid);
if (known.file !== null) await rm(known.file, { force: true }).catch(() => undefined);
if (known.issuer !== null && known.task !== null) {
  // Not before it is needed: a watcher that waits, as nearly all do to their end, is to be small.
  const { cancelTask } = await import('./cancel-task.ts');
  await cancelTask(known.issuer, known.task);
}

/** The wrapper alone holds the other end and writes nothing but notes, the last of them perhaps cut by its death. */
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
    // It has ended.
  }
}
