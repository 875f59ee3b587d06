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
  /** The file with the tasks of a helper. */
  journal: string | null;
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
  journal: null,
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
const { issuer, journal } = known;
// Read first: the journal may be in the folder that is removed below.
const tasks = journal === null ? known.tasks : await leftIn(journal);
for (const path of [...(known.file === null ? [] : [known.file]), ...known.svidFiles])
  await rm(path, { force: true }).catch(() => undefined);
if (known.privateFolder !== null)
  await rm(known.privateFolder, { recursive: true, force: true }).catch(() => undefined);
if (issuer !== null && tasks.length > 0) {
  // Loaded on demand: a waiting watcher, which is nearly all of its life, should be small.
  const { cancelTasks } = await import('../task/cancel-task.ts');
  await cancelTasks(issuer, tasks);
}

/** The tasks that a helper has left open. If a restart has taken the file over, it ends them itself. */
async function leftIn(path: string): Promise<readonly string[]> {
  const { leftIn: read } = await import('../service/journal.ts');
  return [...(await read(path))];
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
