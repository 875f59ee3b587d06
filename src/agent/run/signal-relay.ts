import type { Child } from './child.ts';
import { inForeground, PASSED_ON } from './signals.ts';

/** Calls back on each signal of `PASSED_ON`, which no longer end the process. The returned function stops that. */
export type OnSignal = (heard: (signal: NodeJS.Signals) => void) => () => void;

/**
 * Forwards signals to a command. A signal that would end it before it has started is remembered; after it has ended signals do
 * nothing, so that ending the task is not interrupted.
 *
 * Lifecycle: listens from the constructor to `close`; `passTo` once.
 */
export class SignalRelay {
  /** The first signal that requested an end before the command started. */
  stoppedBy: NodeJS.Signals | null = null;
  /** The first signal that asked the whole run to end while the command ran. */
  endedBy: NodeJS.Signals | null = null;
  #child: Child | null = null;
  readonly #stop: () => void;

  constructor(onSignal: OnSignal) {
    this.#stop = onSignal((signal) => this.#heard(signal));
  }

  passTo(child: Child): void {
    this.#child = child;
  }

  close(): void {
    this.#stop();
  }

  #heard(signal: NodeJS.Signals): void {
    const rule = PASSED_ON.get(signal);
    if (rule === undefined) return;
    if (this.#child === null) {
      if (rule.endsRun || signal === 'SIGINT' || signal === 'SIGQUIT') this.stoppedBy ??= signal;
      return;
    }
    if (rule.endsRun) this.endedBy ??= signal;
    if (!rule.fromTerminal || !inForeground()) this.#child.send(signal);
  }
}
