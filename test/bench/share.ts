import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Stage } from './stage.ts';

/** The place of the control groups of processor time, and how a quota is written there. */
interface Controller {
  readonly root: string;
  readonly limit: (folder: string, quotaUs: number) => void;
}

/** Short, so that a group that has used its time waits for a few milliseconds only. */
const PERIOD_US = 10_000;

const version2: Controller = {
  root: '/sys/fs/cgroup',
  limit: (folder, quotaUs) => writeFileSync(join(folder, 'cpu.max'), `${quotaUs} ${PERIOD_US}`),
};
const version1: Controller = {
  root: '/sys/fs/cgroup/cpu',
  limit: (folder, quotaUs) => {
    writeFileSync(join(folder, 'cpu.cfs_period_us'), String(PERIOD_US));
    writeFileSync(join(folder, 'cpu.cfs_quota_us'), String(quotaUs));
  },
};

let groups = 0;

/**
 * A share of the processors that a group of processes cannot exceed, by a control group. So a load generator cannot take what the measured programs
 * would decide with, and the figure is theirs. Lifecycle: `open`; the stage removes it.
 */
export class ProcessorShare {
  /** What this machine allows, for the figures; `null` where no group can be made, and all share as they do. */
  readonly group: string | null;

  private constructor(group: string | null) {
    this.group = group;
  }

  /** @param cores processors, for example 0.5 */
  static open(stage: Stage, name: string, cores: number): ProcessorShare {
    try {
      const { root, limit } = controller();
      const folder = join(root, `remit-bench-${process.pid}-${name}-${(groups += 1)}`);
      mkdirSync(folder);
      // A group can be removed once its processes are gone.
      stage.onClose(() => removed(folder));
      limit(folder, Math.round(cores * PERIOD_US));
      return new ProcessorShare(folder);
    } catch {
      return new ProcessorShare(null);
    }
  }

  /** Moves a process, with all its threads and future children, into the group. */
  take(pid: number | undefined): void {
    if (this.group !== null && pid !== undefined) writeFileSync(join(this.group, 'cgroup.procs'), String(pid));
  }
}

function controller(): Controller {
  const controllers = join(version2.root, 'cgroup.controllers');
  return existsSync(controllers) && /\bcpu\b/.test(readFileSync(controllers, 'utf8')) ? version2 : version1;
}

async function removed(folder: string): Promise<void> {
  for (let tries = 50; tries > 0; tries -= 1) {
    try {
      return rmdirSync(folder);
    } catch {
      await delay(20);
    }
  }
}
