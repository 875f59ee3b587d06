import { usesMessage } from '../../core/fleet/token-uses.ts';
import type { Report } from '../../core/fleet/messages.ts';
import type { After } from '../../core/runtime/timers.ts';
import { storeFailure } from '../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { Revocation } from '../../core/state/reports.ts';
import type { DueSecret } from '../../core/state/secret-sighting.ts';
import type { UsesOfToken } from '../../core/state/reported-uses.ts';

/** Longest wait for the answer to a report. Then it has failed, and is made again. */
const REPORT_MS = 5_000;

interface PendingReport {
  readonly report: Report;
  readonly done: (failure: null | StoreFailure) => void;
}

/** Options of remote reports. */
export interface RemoteReportsOptions {
  /** Sends a report, if a stream follows the feed. */
  readonly send: (report: Report) => void;
  /** Whether a task is held here that has an idle limit. */
  readonly idles: (taskId: string) => boolean;
  readonly nowMs: () => number;
  readonly after: After;
}

/** Writes of `Reports` at an authority. A report is repeated under its number on the next stream until it is answered. */
export class RemoteReports {
  readonly #options: RemoteReportsOptions;
  readonly #waiting = new Map<number, PendingReport>();
  #last = 0;

  constructor(options: RemoteReportsOptions) {
    this.#options = options;
  }

  nowMs(): number {
    return this.#options.nowMs();
  }

  writeSecrets(due: readonly DueSecret[]): Promise<null | StoreFailure> {
    return this.#made({ secrets: due.map(({ secret, times }) => ({ ...secret, times })) });
  }

  /** Reports the uses of tasks with an idle limit; a use changes no other task, and no task that is not held. */
  touchTasks(used: ReadonlyMap<string, number>): Promise<null | StoreFailure> {
    const touched = [...used]
      .filter(([taskId]) => this.#options.idles(taskId))
      .map(([taskId, atMs]) => ({ task_id: taskId, at_ms: atMs }));
    return touched.length === 0 ? Promise.resolve(null) : this.#made({ touched });
  }

  revokeStolen({ key, jtiDigest, isOfTask, cause }: Revocation): Promise<null | StoreFailure> {
    const { issuer, id } = key;
    const stolen = { jti_digest: jtiDigest, is_of_task: isOfTask, cause: cause.code, note: cause.note };
    return this.#made({ stolen: [{ key: { issuer, id }, ...stolen }] });
  }

  writeUses(uses: readonly UsesOfToken[]): Promise<null | StoreFailure> {
    return this.#made({ uses: uses.map(({ jtiDigest, ...soFar }) => usesMessage(jtiDigest, soFar)) });
  }

  /** A new stream has renewed the lease: sends what was not answered on the previous stream. */
  repeat(): void {
    for (const { report } of this.#waiting.values()) this.#options.send(report);
  }

  reported({ id, problem }: { readonly id: number; readonly problem: string }): void {
    this.#waiting.get(id)?.done(problem === '' ? null : storeFailure('busy', problem));
  }

  #made(parts: Partial<Omit<Report, 'id'>>): Promise<null | StoreFailure> {
    this.#last += 1;
    const report: Report = { id: this.#last, touched: [], stolen: [], secrets: [], uses: [], ...parts };
    return new Promise((resolve) => {
      const late = (): void => done(storeFailure('busy', `no authority has answered in ${REPORT_MS} ms`));
      const cancel = this.#options.after(REPORT_MS, late);
      const done = (failure: null | StoreFailure): void => {
        cancel();
        this.#waiting.delete(report.id);
        resolve(failure);
      };
      this.#waiting.set(report.id, { report, done });
      this.#options.send(report);
    });
  }
}
