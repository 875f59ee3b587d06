import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { PathGuard } from '../config/writable-path.ts';
import type { Faults } from '../telemetry/faults.ts';
import type { Log } from '../telemetry/log.ts';
import { isProblem } from '../runtime/problem.ts';
import type { Problem } from '../runtime/problem.ts';
import { codeOf } from './start-problem.ts';

/** What files of keys are read with. */
interface Reading {
  /** Refuses what others can write. */
  readonly guard: PathGuard;
  readonly faults: Faults;
  readonly log: Log;
}

/** A file of the configuration that something was made of. */
interface Followed {
  /** What it is for, such as "keys of `https://iam.acme.test`". */
  readonly what: string;
  readonly path: string;
  /** Takes its new text; the problem where it is not good, and then nothing has changed. */
  readonly take: (text: string) => string | null;
  text: string;
}

/** A file that is read at the start alone: a key of our own, which others know us by. */
interface Pinned {
  /** Its key in the configuration. */
  readonly key: string;
  readonly path: string;
  readonly digest: string | null;
}

/**
 * The files of keys and certificates that the configuration names, each read at the start and again on each SIGHUP. One that is not good
 * leaves in use what was made of it before, and is a fault until it is good again.
 */
export class KeyFiles {
  readonly #reading: Reading;
  readonly #followed: Followed[] = [];
  readonly #pinned: Pinned[] = [];

  constructor(reading: Reading) {
    this.#reading = reading;
  }

  /** The text of a file. */
  async read(path: string): Promise<{ readonly text: string } | Problem> {
    const refused = await this.#reading.guard(path);
    if (refused !== null) return { problem: refused };
    try {
      return { text: await readFile(path, 'utf8') };
    } catch (error) {
      return { problem: `\`${path}\` cannot be read: ${codeOf(error)}` };
    }
  }

  /** Reads it again from now on. */
  follow(file: Followed): void {
    this.#followed.push(file);
  }

  /** From now on says where it has changed that this needs a restart. */
  async pin(key: string, path: string): Promise<void> {
    this.#pinned.push({ key, path, digest: await digestOf(path) });
  }

  /** Reads all of them again, and says in the log what came of each that has changed. */
  async reload(): Promise<void> {
    for (const file of this.#followed) await this.#reloadOne(file);
    for (const { key, path, digest } of this.#pinned) {
      if ((await digestOf(path)) === digest) continue;
      this.#reading.log(`\`${key}\`: \`${path}\` has changed, which needs a restart`, 'config-waiting', { key });
    }
  }

  async #reloadOne(file: Followed): Promise<void> {
    const { faults, log } = this.#reading;
    const { what, path } = file;
    const read = await this.read(path);
    const problem = isProblem(read) ? read.problem : file.take(read.text);
    faults.set(what, problem === null ? null : `${problem}; what was read before stays in use`);
    if (problem !== null || isProblem(read) || read.text === file.text) return;
    file.text = read.text;
    log(`${what}: read again from \`${path}\``, 'keys-read', { what, file: path });
  }
}

/** `null` where it cannot be read. */
async function digestOf(path: string): Promise<string | null> {
  const bytes = await readFile(path).catch(() => null);
  return bytes === null ? null : createHash('sha256').update(bytes).digest('base64');
}
