import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { programBeside } from '../../core/runtime/system/program-beside.ts';
import type { IssuerPlace } from '../task/issuer-call.ts';

/** Messages to the watcher, one line of JSON each; a later message overrides an earlier message of its kind. */
export type WatcherNote =
  | { readonly issuer: IssuerPlace }
  | { readonly tasks: readonly string[] }
  | { readonly journal: string }
  | { readonly pid: number }
  | { readonly file: string }
  | { readonly svidFiles: readonly string[] }
  | { readonly privateFolder: string }
  | { readonly bye: true };

/**
 * The watcher of one run: a process in its own session that cleans up if the wrapper is killed. It cancels the tasks, asks the command to
 * end and removes the files of the token and the SVID and the folder of its forwarders. It notices by the end of a pipe, so no signal or crash goes
 * unnoticed. If it is killed too, the deadlines and idle limits of the tasks apply.
 *
 * Lifecycle: the constructor starts it; after `dismiss` it ends without doing anything.
 */
export class Watcher {
  readonly #process: ChildProcess;

  /** @param onLost called once if the watcher ends before it is dismissed */
  constructor(issuer: IssuerPlace, onLost: () => void) {
    // The IPC channel is unused, but `fork`, which finds the running Node.js, requires one.
    this.#process = fork(programBeside(import.meta.url, 'watcher-process'), [], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore', 'ipc'],
      env: {},
      execArgv: [],
      cwd: '/',
    });
    this.#process.once('error', onLost).once('exit', onLost);
    // A write after the watcher's end fails; `onLost` has reported that end.
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
