import { createPrivateKey, type KeyObject } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Ports } from '../runtime/ports.ts';
import { messageOfFault, repeatedly } from '../runtime/repeatedly.ts';
import { certificatesFromPem } from './certificate-list.ts';
import { HeldSvid, type HeldSvidOptions } from './held-svid.ts';
import { smallFile } from './small-file.ts';
import { svidFrom, type Svid, type SvidProblem, type SvidRefusal, type SvidSource } from './svid.ts';

/** The PEM files of an SVID. */
export interface SvidFiles {
  /** The leaf, then any intermediates. */
  readonly certificate: string;
  /** PKCS#8, SEC1 or PKCS#1, unencrypted. Must not be accessible beyond user and group. */
  readonly key: string;
  /** The CA certificates of the SVID's own trust domain. */
  readonly bundle: string;
}

/** What a {@link SvidFileSource} needs. */
export interface SvidFilesOptions extends SvidFiles {
  readonly ports: Pick<Ports, 'nowMs'>;
  /** Runs something once after `delayMs`; the returned function cancels it. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** @see HeldSvidOptions.onProblem */
  readonly onProblem?: HeldSvidOptions['onProblem'];
  /** @see HeldSvidOptions.onRefused */
  readonly onRefused?: HeldSvidOptions['onRefused'];
}

/** Delay from the first change event to reading, so that a set of files is read once it is complete. */
const SETTLE_MS = 100;
/** Polling interval. Some file systems deliver no change events. */
const POLL_MS = 5_000;

/**
 * The SVID in three PEM files, reloaded when they change: overwritten, renamed into place, or behind a switched symlink, as
 * Kubernetes mounts them.
 *
 * A set that is not good now (half written, a key of another certificate, expired, not valid yet, of another workload, a key readable by
 * everyone) is refused, and the last good SVID stays in use until the next change, or until the new SVID is valid.
 *
 * Lifecycle: `open` reads the files once and starts watching; `close` once. Missing files are waited for.
 */
export class SvidFileSource implements SvidSource {
  readonly #options: SvidFilesOptions;
  readonly #held: HeldSvid;
  readonly #watchers = new Map<string, FSWatcher>();
  /** State of the files at the last reading. */
  #seen = '';
  #cancelPoll: () => unknown = () => undefined;
  #cancelSettle: (() => void) | null = null;
  #reading: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor(options: SvidFilesOptions) {
    this.#options = options;
    const { after, onProblem, onRefused, ports } = options;
    this.#held = new HeldSvid({ nowMs: ports.nowMs, after, onProblem, onRefused });
  }

  /** Opens a source and reads its files once. Never rejects: what is wrong is its `problem`. */
  static async open(options: SvidFilesOptions): Promise<SvidFileSource> {
    const source = new SvidFileSource(options);
    source.#watch();
    await source.#look();
    source.#poll();
    return source;
  }

  current(): Svid | null {
    return this.#held.current();
  }

  problem(): string | null {
    return this.#held.problem();
  }

  refusal(): SvidRefusal | null {
    return this.#held.refusal();
  }

  onChange(listener: (svid: Svid) => void): () => void {
    return this.#held.onChange(listener);
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelPoll();
    this.#cancelSettle?.();
    this.#held.close();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  get #paths(): readonly string[] {
    const { certificate, key, bundle } = this.#options;
    return [certificate, key, bundle];
  }

  /** Watches the folders rather than the files: a replaced file is a new inode under the same name. */
  #watch(): void {
    for (const folder of new Set(this.#paths.map((path) => dirname(path)))) {
      if (this.#watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, () => this.#settle());
        watcher.on('error', () => this.#unwatch(folder, watcher));
        this.#watchers.set(folder, watcher);
      } catch {
        // The folder is missing or no watches are left. The poll notices changes and tries again.
      }
    }
  }

  #unwatch(folder: string, watcher: FSWatcher): void {
    watcher.close();
    if (this.#watchers.get(folder) === watcher) this.#watchers.delete(folder);
  }

  /** Debounces a burst of events, without extending the delay: a folder that changes all the time is still read. */
  #settle(): void {
    if (this.#isClosed || this.#cancelSettle !== null) return;
    this.#cancelSettle = this.#options.after(SETTLE_MS, () => {
      this.#cancelSettle = null;
      void this.#look();
    });
  }

  #poll(): void {
    if (this.#isClosed) return;
    const look = (): Promise<void> => {
      this.#watch();
      return this.#look();
    };
    const { after } = this.#options;
    this.#cancelPoll = repeatedly(look, { everyMs: POLL_MS, after, onFault: this.#onFault });
  }

  /** Reads changed files, one read at a time. Never rejects: a failed read is retried at the next look. */
  #look(): Promise<void> {
    this.#reading = this.#reading
      .then(() => this.#readIfChanged())
      .catch((error: unknown) => this.#onFault(messageOfFault(error)));
    return this.#reading;
  }

  readonly #onFault = (fault: string): void => this.#held.report(`the svid could not be read: ${fault}`);

  async #readIfChanged(): Promise<void> {
    const before = await this.#state();
    if (this.#isClosed || before === this.#seen) return;
    const svid = await this.#read();
    if (this.#isClosed) return;
    // Changed while reading: the result may mix two sets, so the files are read again.
    if ((await this.#state()) !== before) return this.#settle();
    this.#seen = before;
    if ('problem' in svid) this.#held.refuse(svid);
    else this.#held.offer(svid);
  }

  /** A fingerprint of the files' state, following links. */
  async #state(): Promise<string> {
    const states = await Promise.all(
      this.#paths.map((path) =>
        stat(path).then(
          ({ dev, ino, size, mtimeMs, ctimeMs }) => [dev, ino, size, mtimeMs, ctimeMs].join(' '),
          () => 'none',
        ),
      ),
    );
    return states.join(', ');
  }

  async #read(): Promise<Svid | SvidProblem> {
    const [certificate, key, bundle] = await Promise.all([
      smallFile(this.#options.certificate),
      smallFile(this.#options.key),
      smallFile(this.#options.bundle),
    ]);
    if ('problem' in certificate) return certificate;
    if ('problem' in key) return key;
    if ('problem' in bundle) return bundle;
    if (key.isOpenToAll)
      return { problem: `every user may access the key \`${this.#options.key}\`: make its mode 0600` };
    const chain = certificatesFromPem(certificate.text);
    const privateKey = keyFrom(key.text);
    const anchors = certificatesFromPem(bundle.text);
    if (chain === null) return notWhole('certificate', this.#options.certificate);
    if (privateKey === null)
      return { problem: `\`${this.#options.key}\` must be a single private key without a password` };
    if (anchors === null) return notWhole('bundle', this.#options.bundle);
    const svid = svidFrom(
      { chain, key: privateKey, bundle: anchors, federated: new Map() },
      this.#options.ports.nowMs(),
    );
    return 'problem' in svid ? { ...svid, problem: `\`${this.#options.certificate}\`: ${svid.problem}` } : svid;
  }
}

const notWhole = (what: string, path: string): SvidProblem => ({
  problem: `the ${what} file \`${path}\` must contain whole pem certificates only`,
});

function keyFrom(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}
