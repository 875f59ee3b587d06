import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { IssuerPlace } from './issuer-call.ts';

/** What the watcher is told, a line of JSON each; the later word on the same thing counts. */
export type WatcherNote =
  | { readonly issuer: IssuerPlace }
  | { readonly task: string }
  | { readonly pid: number }
  | { readonly file: string }
  | { readonly bye: true };

/**
 * The watcher of one run: a small process in a session of its own, that does what the wrapper cannot do once it has been
 * killed: it cancels the task, asks the command to end and removes the token file. It learns of the death by the end of a
 * pipe, so no signal and no crash gets past it; where it is killed too, the task's deadline and idle limit are the net.
 *
 * Lifecycle: the constructor starts it; `dismiss` says goodbye, and it ends without doing anything.
 */
export class Watcher {
  readonly #process: ChildProcess;

  /** @param onLost told once where the watcher ends before it is dismissed */
  constructor(issuer: IssuerPlace, onLost: () => void) {
    // The channel is not used, but `fork` is what finds the running Node.js and demands one.
    this.#process = fork(watcherFile(), [], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore', 'ipc'],
      env: {},
      execArgv: [],
      cwd: '/',
    });
    this.#process.once('error', onLost).once('exit', onLost);
    // Written to after its end: `onLost` has said so.
    this.#process.stdin?.on('error', () => undefined);
    this.#process.unref();
    this.#process.channel?.unref();
    this.tell({ issuer });
  }

  tell(note: WatcherNote): void {
    this.#process.stdin?.write(`${JSON.stringify(note)}\n`);
  }

  dismiss(): void {
    this.#process.removeAllListeners('exit');
    this.tell({ bye: true });
    this.#process.stdin?.end();
    if (this.#process.connected) this.#process.disconnect();
  }
}

/** Beside this file and with its extension: `.ts` from the sources, `.js` once built. */
function watcherFile(): string {
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'));
  return fileURLToPath(new URL(`./watcher-process${extension}`, import.meta.url).href);
}
