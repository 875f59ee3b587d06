import type { Child } from './child.ts';
import { inForeground, PASSED_ON } from './signals.ts';

/** Calls back on each signal of `PASSED_ON`, none of which ends the process from then on; the result takes that back. */
export type OnSignal = (heard: (signal: NodeJS.Signals) => void) => () => void;

/**
 * Passes signals on to a command. Before there is one, a signal that would have ended it is kept; after it has ended, none
 * does anything, so that the end of the task is not cut short.
 *
 * Lifecycle: hears from the constructor to `close`; `passTo` once.
 */
export class SignalRelay {
  /** The first signal that asked for an end before there was a command. */
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
