import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { PathGuard } from '../../core/config/writable-path.ts';
import type { Faults } from '../../core/telemetry/faults.ts';
import type { Log } from '../../core/telemetry/log.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

/** What key files are read with. */
interface Reading {
  /** Refuses files that others can write. */
  readonly guard: PathGuard;
  readonly faults: Faults;
  readonly log: Log;
}

/** A configured file that is read again on each reload. */
interface Followed {
  /** What the file is for, such as "keys of `https://iam.acme.test`". */
  readonly what: string;
  readonly path: string;
  /** Applies its new text. Returns the problem of an invalid text, which then changes nothing. */
  readonly take: (text: string) => string | null;
  text: string;
}

/** A file that is read only at the start: a key of our own, by which others know us. */
interface Pinned {
  /** Its key in the configuration. */
  readonly key: string;
  readonly path: string;
  readonly digest: string | null;
}

/**
 * The key and certificate files of the configuration, read at the start and again on each SIGHUP. After a reload of an invalid file the
 * former content stays in use, and a fault is reported until the file is valid again.
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
      return { problem: `\`${path}\` cannot be read: ${errorCode(error) ?? 'unknown error'}` };
    }
  }

  /** Reads the file again on each reload from now on. */
  follow(file: Followed): void {
    this.#followed.push(file);
  }

  /** Reports on each reload from now on whether the file has changed, which needs a restart. */
  async pin(key: string, path: string): Promise<void> {
    this.#pinned.push({ key, path, digest: await digestOf(path) });
  }

  /** Reads all files again, and logs the result for each that has changed. */
  async reload(): Promise<void> {
    for (const file of this.#followed) await this.#reloadOne(file);
    for (const { key, path, digest } of this.#pinned) {
      if ((await digestOf(path)) === digest) continue;
      this.#reading.log(`\`${key}\`: \`${path}\` has changed: restart to apply it`, 'config-waiting', { key });
    }
  }

  async #reloadOne(file: Followed): Promise<void> {
    const { faults, log } = this.#reading;
    const { what, path } = file;
    const read = await this.read(path);
    const problem = isProblem(read) ? read.problem : file.take(read.text);
    faults.set(what, problem === null ? null : `${problem}; the former content stays in use`);
    if (problem !== null || isProblem(read) || read.text === file.text) return;
    file.text = read.text;
    log(`${what}: read again from \`${path}\``, 'keys-read', { what, file: path });
  }
}

/** Digest of a file; `null` if it cannot be read. */
async function digestOf(path: string): Promise<string | null> {
  const bytes = await readFile(path).catch(() => null);
  return bytes === null ? null : createHash('sha256').update(bytes).digest('base64');
}
