import { open, readdir, readFile, rename, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { PRIVATE_MODE } from '../../core/runtime/system/private-file.ts';

/** The file is written anew, with the open tasks alone, once it has this many lines more than there are open tasks. */
const MAX_LINES = 20_000;

const TASK_LINE = /^([+-])([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/**
 * The ids of the open tasks of a helper, in a file: `+ID` for each that was declared, `-ID` for each that has ended. The watcher
 * or the next process ends the tasks that a crash left in it. It is not synced to disk: it survives a crash of the process; after
 * a crash of the machine the tasks end at their deadlines.
 *
 * Lifecycle: `open` to `close`.
 */
export class TaskJournal {
  readonly path: string;
  readonly #open: Set<string>;
  #file: FileHandle;
  #lines: number;
  #last: Promise<void> = Promise.resolve();

  private constructor(path: string, file: FileHandle, left: ReadonlySet<string>) {
    this.path = path;
    this.#file = file;
    this.#open = new Set(left);
    this.#lines = left.size;
  }

  /**
   * Opens a file of its own in the folder, with the tasks that earlier processes have left, and removes theirs.
   *
   * @param mark of this process; each process has its own, so that the watcher of an earlier process never reads this file
   */
  static async open(
    folder: string,
    mark: string,
  ): Promise<{ readonly journal: TaskJournal; readonly left: readonly string[] }> {
    const names = await readdir(folder);
    const earlier = names.filter((name) => /^tasks-[\w-]+\.journal$/.test(name)).map((name) => join(folder, name));
    const left = new Set<string>();
    for (const file of earlier) for (const taskId of await leftIn(file)) left.add(taskId);
    const path = join(folder, `tasks-${mark}.journal`);
    const file = await written(path, left);
    for (const one of earlier) await rm(one, { force: true });
    return { journal: new TaskJournal(path, file, left), left: [...left] };
  }

  /** Resolves once the id is in the file: before anybody gets the URL of the task. */
  declared(taskId: string): Promise<void> {
    this.#open.add(taskId);
    return this.#write(`+${taskId}\n`);
  }

  ended(taskId: string): Promise<void> {
    return this.#open.delete(taskId) ? this.#write(`-${taskId}\n`) : Promise.resolve();
  }

  /** Removes the file if no task is open. */
  async close(): Promise<void> {
    await this.#last;
    await this.#file.close();
    if (this.#open.size === 0) await rm(this.path, { force: true });
  }

  /** Writes come one after the other. A failure of the disk rejects. */
  #write(line: string): Promise<void> {
    const done = this.#last.then(async () => {
      this.#lines += 1;
      if (this.#lines <= MAX_LINES + this.#open.size) return void (await this.#file.write(line));
      const before = this.#file;
      this.#file = await written(this.path, this.#open);
      this.#lines = this.#open.size;
      return before.close();
    });
    this.#last = done.catch(() => undefined);
    return done;
  }
}

/** Writes the file anew, by rename: a reader sees the old or the new. */
async function written(path: string, taskIds: ReadonlySet<string>): Promise<FileHandle> {
  const next = `${path}.next`;
  const file = await open(next, 'w', PRIVATE_MODE);
  await file.write([...taskIds].map((taskId) => `+${taskId}\n`).join(''));
  await rename(next, path);
  return file;
}

/** The ids of the tasks that a file of a journal leaves open; none if it cannot be read. */
export async function leftIn(path: string): Promise<Set<string>> {
  const left = new Set<string>();
  for (const line of (await readFile(path, 'utf8').catch(() => '')).split('\n')) {
    const [, sign, taskId] = TASK_LINE.exec(line) ?? [];
    if (taskId === undefined) continue;
    if (sign === '+') left.add(taskId);
    else left.delete(taskId);
  }
  return left;
}
